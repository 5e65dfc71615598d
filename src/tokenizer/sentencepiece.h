/* sentencepiece.h - reads SentencePiece's tokenizer.model from memory: a protocol buffer, of which
 * the parts that matter here are
 *
 *   1 pieces: 1 text, 2 score (float), 3 type (1 normal, as GGUF numbers them)
 *   2 trainer: 3 kind (1 Unigram, 2 BPE), 40 to 43 ids of unknown, begin, end, padding
 *   3 normalizer: 1 name, 2 its table, 3 whether a space is put before, 4 whether spaces are
 *     collapsed, 5 whether they are U+2581
 *
 * Source: sentencepiece_model.proto of google/sentencepiece. */
#ifndef TOKENIZER_SENTENCEPIECE_H
#define TOKENIZER_SENTENCEPIECE_H

#include "formats/tables.h"

/* Whether the bytes begin with a piece, as all such files do. */
bool sentencepiece_detect(const uint8_t *bytes, size_t size);

/* Adds tokenizer.ggml.*; what is wrong becomes the tables' failure, with its byte. Refused by name:
 * Unigram and other kinds than BPE, normalizers that change characters, collapsed spaces. */
void sentencepiece_add(tables *t, const uint8_t *bytes, size_t size);

/* The same for a model that may have more rows of embedding than the vocabulary has tokens. */
void sentencepiece_add_rows(tables *t, const uint8_t *bytes, size_t size, size_t at_least);

#endif
