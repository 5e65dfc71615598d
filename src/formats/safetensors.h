/* safetensors.h - reads .safetensors files from memory.
 * Source of the layout: README.md of huggingface/safetensors.
 *
 *   u64 header_bytes   little-endian, at most 100,000,000
 *   header             JSON: {"NAME": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]},
 *                      ..., "__metadata__": {"KEY": "VALUE"}}, padded with spaces
 *   data               data_offsets count from here; values are little-endian, last index fastest
 */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "formats/raw_tensors.h"

/* Whether the bytes begin as such a file does: a length that fits, and an opening brace. */
bool safetensors_detect(const uint8_t *bytes, size_t size);

/* Appends the file's tensors to *list in the order of their data; they point into the bytes. What
 * the format's specification forbids is refused with the tensor's name, what was expected and what
 * was found: truncation, headers that are no JSON object, names that are there twice, unknown
 * types, shapes that overflow, data_offsets that disagree with the shape, exceed the file, overlap
 * another tensor's, or leave bytes that belong to none. On failure some tensors may have been
 * appended. */
SL_CHECK sl_status safetensors_parse(const uint8_t *bytes, size_t size, raw_tensors *list,
                                     sl_error *error);

#endif
