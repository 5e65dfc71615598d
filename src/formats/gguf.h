/* gguf.h - reads GGUF versions 1, 2 and 3, little-endian, from memory.
 * Source of the layout: ggml's docs/gguf.md. */
#ifndef FORMATS_GGUF_H
#define FORMATS_GGUF_H

#include "formats/model_file.h"

/* Whether the bytes begin as a GGUF file does. */
bool gguf_detect(const uint8_t *bytes, size_t size);

/* Parses all tables. What is wrong is refused with the byte offset, what was expected and what was
 * found: bad magic, versions, big-endian files (named as such), counts over their ceilings,
 * truncation, unknown value and tensor types, arrays of arrays, strings past the end, keys and
 * tensor names that are empty, too long or twice there, bool values other than 0 and 1, zero or
 * more than 4 dimensions, zero-sized dimensions, products that overflow, rows that are no multiple
 * of the block length, alignments that are no power of two (8 to 65536) or of the wrong type,
 * offsets that are not aligned, beyond the end, or overlapping another tensor.
 * On success the caller frees *file with model_file_free and keeps the bytes until then. */
SL_CHECK sl_status gguf_parse(const uint8_t *bytes, size_t size, model_file *file, sl_error *error);

#endif
