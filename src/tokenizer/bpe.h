/* bpe.h - byte-level BPE ("gpt2"): a text is cut into words by a pattern, and a word's bytes are
 * merged in the order of the merges. Tokens are written with one character for each byte. */
#ifndef TOKENIZER_BPE_H
#define TOKENIZER_BPE_H

#include "base/str.h"
#include "tokenizer/encoder.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/vocabulary.h"

typedef struct bpe_word {
    str text; /* first: name_index reads it there */
    uint32_t token;
} bpe_word;

/* Read-only once built. */
typedef struct bpe {
    size_t vocabulary;
    pretokenizer pre;
    uint32_t symbols[256];  /* of each byte: its token, or vocabulary + byte if it has none */
    uint64_t seams[256][4]; /* bits: which two bytes some merge joins */
    int32_t unknown;        /* -1: none */
    bpe_word *words;        /* if the pre-tokenizer takes whole words: all tokens as bytes */
    size_t word_count;
    size_t longest_word;
    name_index word_index;
} bpe;

/* Writes the bytes that a token's text stands for; false if a character stands for none. `out` has
 * room for text.len bytes. */
bool bpe_decode_text(str text, char *out, size_t *length);

/* The other way: bytes as the characters that a vocabulary writes them with. `out` has room for
 * 2 * bytes.len; returns how much was written. */
size_t bpe_encode_bytes(str bytes, char *out);

/* All bytes in the order of their characters, which is that of their tokens in vocabularies made by
 * the usual trainers. */
void bpe_byte_order(uint8_t order[256]);

/* Fills a *b that holds only its pre-tokenizer, and the merges, from the vocabulary: those of
 * tokenizer.ggml.merges, or with sluice.tokenizer.ranks those that the ids say. pieces[i]: the
 * bytes of token i, which outlive *b. SL_ERR_FORMAT for merges that are malformed or name no
 * tokens. The caller frees both in any case. */
SL_CHECK sl_status bpe_build(bpe *b, merge_table *merges, const vocabulary *v, const str *pieces,
                             sl_error *error);
/* For bpe_build: the merges of a vocabulary that lists none (bpe_ranks.c). */
SL_CHECK sl_status bpe_add_ranks(bpe *b, merge_table *merges, const vocabulary *v,
                                 const str *pieces, sl_error *error);
void bpe_free(bpe *b);
size_t bpe_bytes(const bpe *b);

/* Appends the tokens of a text without special tokens. SL_ERR_UNSUPPORTED for a byte that has no
 * token in a vocabulary without an unknown token. */
SL_CHECK sl_status bpe_encode(const bpe *b, encoder *e, str text);

#endif
