/* tokenizer_json.h - the tokenizer of a Hugging Face directory, from tokenizer.json and the small
 * files beside it, in the words of GGUF's dialect.
 *
 * Read are BPE of bytes and of characters (with bytes to fall back on), and WordPiece; Unigram and
 * whatever the tokenizer here does not do is refused by its name. Matched tokens follow the
 * library `tokenizers`, but for these: added tokens are matched in the text as it was given, also
 * if they are `normalized`; plain text never becomes a special token.
 *
 * Keys that are written: tokenizer.ggml.{model, tokens, token_type, merges, pre, bos_token_id,
 * eos_token_id, unknown_token_id, padding_token_id, add_bos_token, add_eos_token,
 * add_space_prefix}, tokenizer.chat_template, and those that translated.c reads. */
#ifndef TOKENIZER_TOKENIZER_JSON_H
#define TOKENIZER_TOKENIZER_JSON_H

#include "base/str.h"
#include "formats/tables.h"

/* The bytes of the files; all but the first may be of no bytes. They outlive the call only. */
typedef struct tokenizer_json_files {
    str tokenizer;      /* tokenizer.json */
    str config;         /* tokenizer_config.json: bos, eos, whether they are added, chat template */
    str special_tokens; /* special_tokens_map.json: bos, eos */
    str chat_template;  /* chat_template.jinja, which outdoes the configuration's */
    str generation;     /* generation_config.json: ids that end a generation */
    size_t at_least;    /* rows of the model's embedding, if it may have more than tokens; or 0 */
} tokenizer_json_files;

/* Adds the keys. What is returned is t->status; messages begin with the file's name. */
SL_CHECK sl_status tokenizer_json_read(const tokenizer_json_files *files, tables *t);

/* vocab.json and merges.txt, as GPT-2's and OPT's directories have them, with added_tokens.json (or
 * of no bytes); the pre-tokenizer is GPT-2's. `files` holds the others; its `tokenizer` is not
 * looked at. */
SL_CHECK sl_status vocab_merges_read(str tokens, str merges, str added,
                                     const tokenizer_json_files *files, tables *t);

/* What the small files say beside a vocabulary that another reader adds (tokenizer.model): whether
 * BOS and EOS are added, the chat template, ids that end a generation. */
SL_CHECK sl_status tokenizer_config_read(const tokenizer_json_files *files, tables *t);

/* For tables of readers: whether the bytes may be a tokenizer.json, and reading it alone. */
bool tokenizer_json_detect(const uint8_t *bytes, size_t size);
void tokenizer_json_add(tables *t, const uint8_t *bytes, size_t size);

#endif
