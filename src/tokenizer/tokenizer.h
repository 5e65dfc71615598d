/* tokenizer.h - text to tokens and back, as the model file's metadata says.
 *
 * tokenizer/ holds SentencePiece-style BPE ("llama"), byte-level BPE ("gpt2") with its
 * pre-tokenizers, WordPiece ("bert"), and the streaming decoder.
 */
#ifndef TOKENIZER_TOKENIZER_H
#define TOKENIZER_TOKENIZER_H

#include "base/array.h"
#include "base/str.h"
#include "formats/model_file.h"
#include "sluice.h"

/* Read-only once created; any number of threads may use one. */
typedef struct tokenizer tokenizer;

/* Copies what it needs: the file may be freed afterwards. An unknown tokenizer.ggml.model or
 * tokenizer.ggml.pre is SL_ERR_UNSUPPORTED with its name and the known ones; inconsistent tables
 * (scores shorter than tokens, ids out of range, a token twice, merges that name no token, ...)
 * SL_ERR_FORMAT. A missing tokenizer.ggml.pre means GPT-2's. */
SL_CHECK sl_status tokenizer_create(const model_file *file, tokenizer **out, sl_error *error);
void tokenizer_free(tokenizer *t);

size_t tokenizer_count(const tokenizer *t);
int32_t tokenizer_bos(const tokenizer *t); /* -1: none */
int32_t tokenizer_eos(const tokenizer *t);
bool tokenizer_is_end(const tokenizer *t, int32_t token);

/* Whether the token stands for no text: control tokens and the unknown token. */
bool tokenizer_is_control(const tokenizer *t, int32_t token);

/* Whether a text is tokenized with a space put before it. */
bool tokenizer_adds_space(const tokenizer *t);

/* Whether the first piece of a text loses the space that it begins with: one was put before it, or
 * every word has one (WordPiece). */
bool tokenizer_drops_space(const tokenizer *t);

/* Bytes held, for the memory plan. */
size_t tokenizer_bytes(const tokenizer *t);

/* Bytes that one call of tokenizer_encode works with at most, but for words of over
 * ENCODER_SYMBOLS characters and texts with over ENCODER_MATCHES special tokens. */
size_t tokenizer_work_bytes(const tokenizer *t);

/* Appends the tokens of any bytes (at most LIMIT_TEXT_BYTES) to `out`, an array of int32_t, or on
 * failure nothing. flags: sl_tokenize_flags.
 *
 * User-defined tokens are always matched as they are written, control tokens with
 * SL_TOKENIZE_SPECIAL only, the longest first; plain text never becomes a control token. The
 * pieces put together are the text, less the space that SentencePiece puts before it, but for
 * these: U+2581 is a space to SentencePiece; after a control token a SentencePiece text begins
 * anew, with a space; WordPiece keeps neither spaces nor, in most vocabularies, capitals and
 * accents; what the vocabulary has no token for, not even as bytes, becomes its unknown token
 * (without one: SL_ERR_UNSUPPORTED). */
SL_CHECK sl_status tokenizer_encode(const tokenizer *t, str text, unsigned flags, array *out,
                                    sl_error *error);

/* The same with at most tokenizer_work_bytes(t) + room bytes to work with, beside `out`: what needs
 * more is SL_ERR_MEMORY. */
SL_CHECK sl_status tokenizer_encode_within(const tokenizer *t, str text, unsigned flags,
                                           uint64_t room, array *out, sl_error *error);

/* The bytes that one token adds to a text, as stored in t (never freed by the caller). Control
 * tokens give nothing unless special. A SentencePiece token begins with its space as it is.
 * An id outside the vocabulary gives nothing. */
str tokenizer_piece(const tokenizer *t, int32_t token, bool special);

/* The longest piece there is, in bytes. */
size_t tokenizer_longest_piece(const tokenizer *t);

/* Streaming decoder, see sl_decoder in sluice.h. tokenizer_decoder_create allocates all it will
 * need. The first text piece after a start loses its leading space where tokenizer_drops_space. */
typedef struct tokenizer_decoder tokenizer_decoder;
SL_CHECK sl_status tokenizer_decoder_create(const tokenizer *t, bool special,
                                            tokenizer_decoder **out, sl_error *error);
void tokenizer_decoder_free(tokenizer_decoder *d);
str tokenizer_decoder_add(tokenizer_decoder *d, int32_t token);
str tokenizer_decoder_finish(tokenizer_decoder *d);

#endif
