/* hf_tokenizer.h - the vocabulary of a Hugging Face folder, as keys of GGUF.
 *
 * Taken is the first that is there of: tokenizer.json; tokenizer.model of SentencePiece; vocab.json
 * with merges.txt (and added_tokens.json). Beside it tokenizer_config.json,
 * special_tokens_map.json, generation_config.json (the ids that end a text) and
 * chat_template.jinja. A folder without a vocabulary is a model without one.
 */
#ifndef ENGINE_HF_TOKENIZER_H
#define ENGINE_HF_TOKENIZER_H

#include "formats/tables.h"

/* Adds tokenizer.ggml.* and tokenizer.chat_template to *t, which has the tensors already: the
 * vocabulary is filled up to the embedding's rows. Failures stick in *t. */
void hf_tokenizer_read(tables *t, const char *directory);

#endif
