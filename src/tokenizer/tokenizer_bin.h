/* tokenizer_bin.h - reads the tokenizer.bin of llama2.c from memory:
 *
 *   u32 bytes of the longest text; tokens times: f32 score, u32 length, text
 *
 * It is SentencePiece's vocabulary, with spaces as spaces and bytes as "<0x0A>". */
#ifndef TOKENIZER_TOKENIZER_BIN_H
#define TOKENIZER_TOKENIZER_BIN_H

#include "formats/tables.h"

/* Whether all bytes are such a file: it has no magic number, but adds up. */
bool tokenizer_bin_detect(const uint8_t *bytes, size_t size);

/* Adds tokenizer.ggml.*; what is wrong becomes the tables' failure. */
void tokenizer_bin_add(tables *t, const uint8_t *bytes, size_t size);

#endif
