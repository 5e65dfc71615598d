/* raw_tensors.h - the tensors of a file of weights that says nothing of the model: names, types,
 * shapes and bytes, as the file has them. Readers of safetensors and torch files fill it; models/
 * gives the tensors their names and meaning.
 */
#ifndef FORMATS_RAW_TENSORS_H
#define FORMATS_RAW_TENSORS_H

#include "base/array.h"
#include "base/str.h"

#include <stdint.h>

typedef enum raw_type {
    RAW_F32,
    RAW_F16,
    RAW_BF16,
    RAW_OTHER, /* buffers, mostly; whoever needs such a one refuses it by type_name */
} raw_type;

enum { RAW_MAX_DIMS = 8 };

typedef struct raw_tensor {
    str name; /* followed by a NUL; the list owns it. Never empty */
    raw_type type;
    const char *type_name; /* as its format calls it; static */
    size_t n_dims;
    uint64_t dims[RAW_MAX_DIMS]; /* in the format's order: the last one varies fastest */
    const uint8_t *data;         /* `bytes` of them, inside the file; any alignment */
    size_t bytes;
    bool transposed; /* of two dimensions: the first one varies fastest */
    bool scattered;  /* elements do not lie one after the other: there is no other use than to be
                        skipped. data and bytes are NULL and 0 */
} raw_tensor;

typedef struct raw_tensors {
    array items; /* raw_tensor */
} raw_tensors;

raw_tensors raw_tensors_new(void);
void raw_tensors_free(raw_tensors *list);

/* Appends a copy, with a copy of its name. Refuses empty names and those with control characters,
 * and lists that are longer than LIMIT_TENSORS. */
SL_CHECK sl_status raw_tensors_add(raw_tensors *list, const raw_tensor *tensor, sl_error *error);

/* Product of the dimensions, in *count; false if it overflows. */
bool raw_tensor_count(const raw_tensor *tensor, uint64_t *count);

static inline const raw_tensor *raw_tensor_at(const raw_tensors *list, size_t index) {
    return &((const raw_tensor *)list->items.items)[index];
}

#endif
