#include "engine/residency.h"

#include "base/error.h"

#include <stdlib.h>

struct residency {
    const program *p;
    const model_file *file;
    float **vectors; /* by weight number; NULL for matrices */
    size_t bytes;
};

static sl_status convert_vector(residency *r, weight_id id, sl_error *error) {
    const weight_ref *ref = program_weight(r->p, id);
    const tensor_entry *tensor = &r->file->tensors[ref->tensor];
    const size_t bytes = ref->n_in * sizeof(float);
    r->vectors[id] = malloc(bytes);
    if (!r->vectors[id]) {
        return error_memory(error, "norms and biases", bytes);
    }
    quant_format_of(ref->type)->decode(tensor->data + ref->offset, r->vectors[id], ref->n_in);
    r->bytes += bytes;
    return SL_OK;
}

sl_status residency_create(const program *p, const model_file *file, residency **out,
                           sl_error *error) {
    const size_t count = p->weights.count;
    residency *r = calloc(1, sizeof *r);
    if (!r || !(r->vectors = calloc(count, sizeof *r->vectors))) {
        residency_free(r);
        return error_memory(error, "the table of weights", count * sizeof(float *));
    }
    r->p = p;
    r->file = file;
    r->bytes = sizeof *r + count * sizeof *r->vectors;
    for (weight_id id = 0; id < count; id++) {
        if (program_weight(p, id)->vector && convert_vector(r, id, error) != SL_OK) {
            residency_free(r);
            return SL_ERR_MEMORY;
        }
    }
    *out = r;
    return SL_OK;
}

void residency_free(residency *r) {
    if (!r) {
        return;
    }
    for (size_t i = 0; r->vectors && i < r->p->weights.count; i++) {
        free(r->vectors[i]);
    }
    free(r->vectors);
    free(r);
}

const void *residency_matrix(const residency *r, weight_id id) {
    const weight_ref *ref = program_weight(r->p, id);
    return r->file->tensors[ref->tensor].data + ref->offset;
}

const float *residency_vector(const residency *r, weight_id id) {
    return id == NO_WEIGHT ? NULL : r->vectors[id];
}

uint64_t residency_token_bytes(const residency *r) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->p->ops.count; i++) {
        const op *o = program_op(r->p, i);
        for (size_t k = 0; o->kind == OP_LINEAR && k < o->as.linear.n_weight; k++) {
            const weight_ref *ref = program_weight(r->p, o->as.linear.weight[k]);
            bytes += (uint64_t)ref->n_out * ref->row_stride;
        }
    }
    return bytes;
}

size_t residency_bytes(const residency *r) {
    return r->bytes;
}
