/* gguf_writer.h - what stands before the data in a GGUF file, version 3.
 * Source of the layout: ggml's docs/gguf.md. */
#ifndef FORMATS_GGUF_WRITER_H
#define FORMATS_GGUF_WRITER_H

#include "base/array.h"
#include "formats/model_file.h"

enum { GGUF_ALIGNMENT = 32 };

/* A tensor as the file will have it. */
typedef struct gguf_tensor {
    str name;
    quant_type type;
    size_t n_dims;
    uint64_t dims[4]; /* dims[0]: values of a row; unused ones are 1 */
} gguf_tensor;

/* Which file of a set it is. */
typedef struct gguf_split {
    uint16_t number, count; /* number from 0 */
    size_t n_tensor;        /* of all files */
} gguf_split;

/* Bytes of a tensor's data, with what pads it to GGUF_ALIGNMENT. */
uint64_t gguf_padded_bytes(const gguf_tensor *tensor);

/* Appends the header to `out`, an array of bytes: the metadata of `file` but for the keys that are
 * this program's own ("sluice."), general.alignment and those of `more`; that of `more`; what split
 * says (NULL: it is the only file); the tensors, and padding. The first file of a set has all
 * metadata, the others only that of the split. The data of the tensors follows in their order, each
 * padded to GGUF_ALIGNMENT. */
SL_CHECK sl_status gguf_write_header(const model_file *file, const model_file *more,
                                     const gguf_split *split, const gguf_tensor *tensors, size_t n,
                                     array *out, sl_error *error);

#endif
