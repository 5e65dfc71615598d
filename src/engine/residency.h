/* residency.h - where a model's weights live.
 *
 * engine/ is where a program meets weights, caches and threads: residency, the cache of keys and
 * values, the executor, and the public functions over them.
 *
 * Matrices are used where they lie, in the mapped file, at first. Where the kernels prefer it, a
 * thread packs them meanwhile (kernels/packed.h), some rows at a time, and drops the pages of the
 * file that are done with; the bits of a product are the same. Vectors (norms, biases) are small
 * and are turned to floats once.
 */
#ifndef ENGINE_RESIDENCY_H
#define ENGINE_RESIDENCY_H

#include "formats/model_file.h"
#include "program/program.h"

/* Read-only for its users once created; any number of threads may use one, also while it packs. */
typedef struct residency residency;

/* Both must outlive *out, which the caller frees. Freeing ends the packing. */
SL_CHECK sl_status residency_create(const program *p, const model_file *file, residency **out,
                                    sl_error *error);
void residency_free(residency *r);

/* First row of a matrix; rows are program_weight(...)->row_stride bytes apart. */
const void *residency_matrix(const residency *r, weight_id id);

/* The part of a matrix that is packed: its first *rows rows, a multiple of PACKED_ROWS or all. NULL
 * if there is none. */
const void *residency_packed(const residency *r, weight_id id, size_t *rows);

/* One row of a matrix as the file has it; `room` (of a row's bytes) may be used to hold it. */
const void *residency_row(const residency *r, weight_id id, size_t row, void *room);

/* Bytes of the packed copies of all matrices that packing would rearrange on this processor; 0:
 * none. */
uint64_t residency_packable_bytes(const residency *r);

/* Memory that packing takes beside the weights' own: pages of the file that are not dropped yet,
 * and the rows that fill up last panels. */
uint64_t residency_packing_bytes(const residency *r);

/* Begins to pack the matrices, on a thread of its own and after a moment; at most once, and before
 * other threads have the residency. The pages of the file that it drops must come back when they
 * are touched, or not be touched until it is done. SL_ERR_MEMORY, all weights where they are, if
 * there is no memory or no thread for it. */
SL_CHECK sl_status residency_pack(residency *r, sl_error *error);

/* Waits for the end of the packing, if it was begun, which then sees to it at once. Any number of
 * threads may. */
void residency_wait(residency *r);

/* Bytes that are packed by now. */
uint64_t residency_packed_bytes(const residency *r);

/* A vector's floats; NULL for NO_WEIGHT. */
const float *residency_vector(const residency *r, weight_id id);

/* Bytes of weights that decoding one token reads. */
uint64_t residency_token_bytes(const residency *r);

/* Bytes allocated, beside the file's pages. */
size_t residency_bytes(const residency *r);

#endif
