/* dialect_legacy.h - model files of ggml's first year, told in GGUF's dialect.
 *
 * Names, hyper-parameters and the vocabulary are translated; tensor data stays where it lies. What
 * such files leave out is filled in with what was usual: rotation base 10000, epsilon 1e-5, and for
 * LLaMA 5e-6 (1e-5 with grouped heads, which only LLaMA 2 had) and a context of 2048 (4096); a
 * LLaMA file's key "sluice.notice" says so. Their vocabularies have no merges: "sluice.tokenizer.
 * ranks" says that a token's number is its rank. */
#ifndef MODELS_DIALECT_LEGACY_H
#define MODELS_DIALECT_LEGACY_H

#include "formats/legacy_ggml.h"
#include "formats/model_file.h"
#include "formats/tables.h"

/* Reads a file of these formats (formats/legacy_ggml.h says what is refused) and translates it.
 * *out is the caller's to free and points into the bytes. Refused besides, with one line: tensors
 * of names that the architecture does not know or that are there twice, one part of a model in
 * several. What is missing, or of a wrong shape, the architecture refuses. */
SL_CHECK sl_status dialect_legacy_read(const uint8_t *bytes, size_t size, model_file *out,
                                       sl_error *error);

/* The vocabulary's part of it: tokenizer.ggml.*. */
void dialect_legacy_words(tables *t, const legacy_file *file);

#endif
