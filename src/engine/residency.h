/* residency.h - where a model's weights live.
 *
 * engine/ is where a program meets weights, caches and threads: residency, the cache of keys and
 * values, the executor, and the public functions over them.
 *
 * Matrices are used where they lie, in the mapped file. Vectors (norms, biases) are small and are
 * turned to floats once.
 */
#ifndef ENGINE_RESIDENCY_H
#define ENGINE_RESIDENCY_H

#include "formats/model_file.h"
#include "program/program.h"

/* Read-only once created; any number of threads may use one. */
typedef struct residency residency;

/* Both must outlive *out, which the caller frees. */
SL_CHECK sl_status residency_create(const program *p, const model_file *file, residency **out,
                                    sl_error *error);
void residency_free(residency *r);

/* First row of a matrix; rows are program_weight(...)->row_stride bytes apart. */
const void *residency_matrix(const residency *r, weight_id id);

/* A vector's floats; NULL for NO_WEIGHT. */
const float *residency_vector(const residency *r, weight_id id);

/* Bytes of weights that decoding one token reads. */
uint64_t residency_token_bytes(const residency *r);

/* Bytes allocated, beside the file's pages. */
size_t residency_bytes(const residency *r);

#endif
