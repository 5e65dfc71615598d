/* dialect_llama2c.h - llama2.c checkpoints, told in GGUF's dialect. */
#ifndef MODELS_DIALECT_LLAMA2C_H
#define MODELS_DIALECT_LLAMA2C_H

#include "formats/model_file.h"

/* Reads a checkpoint (formats/llama2c.h) and names its weights. The matrices of version 2 are
 * TENSOR_PLANES, of which a key "sluice.notice" tells. There is no vocabulary in such a file. *out
 * is the caller's to free and points into the bytes. */
SL_CHECK sl_status dialect_llama2c_read(const uint8_t *bytes, size_t size, model_file *out,
                                        sl_error *error);

#endif
