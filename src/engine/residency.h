/* residency.h - where a model's weights live.
 *
 * engine/ is where a program meets weights, caches and threads: residency, the cache of keys and
 * values, the executor, and the public functions over them.
 *
 * Where all weights fit into memory, matrices are used where they lie, in the mapped file, at
 * first. Where that is faster, a thread rearranges them meanwhile (kernels/packed.h), some rows at
 * a time, and drops the pages of the file that are done with. Where they do not fit, they are
 * placed (placed.h): some are kept, the others are read for each pass. The bits of a product are
 * the same. Vectors (norms, biases) are small and are turned to floats once.
 */
#ifndef ENGINE_RESIDENCY_H
#define ENGINE_RESIDENCY_H

#include "engine/placed.h"
#include "formats/model_file.h"
#include "program/program.h"

/* Read-only for its users once created; any number of threads may use one, also while it packs. */
typedef struct residency residency;

/* All must outlive *out, which the caller frees. Freeing ends the packing. `mapping` is that of the
 * file; NULL: the weights are memory of their own, which can be neither placed nor changed
 * underneath. */
SL_CHECK sl_status residency_create(const program *p, const model_file *file,
                                    const os_mapping *mapping, residency **out, sl_error *error);
void residency_free(residency *r);

/* ---- use ------------------------------------------------------------------------------------ */

/* A pass over the weights; `logits`: of the output matrix, too. If weights are streamed, waits for
 * the end of another's pass. */
void residency_begin(residency *r, bool logits);

/* Whether the pass is spoilt and may as well be broken off. */
bool residency_failed(const residency *r);

/* Ends the pass, of which `whole` says that it was not broken off. SL_ERR_RUNTIME, the results
 * worthless, if weights could not be read, or the file was changed meanwhile. */
SL_CHECK sl_status residency_end(residency *r, bool whole, sl_error *error);

/* Where rows of matrices are, within a pass; its context is the residency. */
linear_source residency_source(residency *r);

/* Rows of the slices that a matrix is kept in. */
size_t residency_slice_rows(const residency *r, weight_id id);

/* One row of a matrix as the file has it, within a pass; `room` (of a row's bytes) may be used to
 * hold it. NULL, with *error filled, if it cannot be read. */
const void *residency_row(const residency *r, weight_id id, size_t row, void *room,
                          sl_error *error);

/* A vector's floats; NULL for NO_WEIGHT. */
const float *residency_vector(const residency *r, weight_id id);

/* ---- where all of them fit ------------------------------------------------------------------ */

/* The part of a matrix that is packed: its first *rows rows, a multiple of PACKED_ROWS or all. NULL
 * if there is none. */
const void *residency_packed(const residency *r, weight_id id, size_t *rows);

/* Bytes of the copies of all matrices that packing would rearrange on this machine; 0: none. */
uint64_t residency_packable_bytes(const residency *r);

/* Memory that packing takes beside the weights' own: pages of the file that are not dropped yet,
 * and the rows that fill up last panels. */
uint64_t residency_packing_bytes(const residency *r);

/* The same for a file with this program, before there is one. */
uint64_t residency_plan_packing(const program *p);

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

/* ---- where they do not ---------------------------------------------------------------------- */

/* Places the weights, in place of whatever held them before; no pass may be going on, and those
 * that were packed are given up. On failure the weights are where they lie in the file. Meanwhile
 * other threads may ask what follows. */
SL_CHECK sl_status residency_place(residency *r, const placed_options *options, sl_error *error);

bool residency_is_placed(const residency *r);

/* Bytes that a pass which ends in logits reads from the file; 0 if the weights are not placed. */
uint64_t residency_streamed_bytes(const residency *r);

/* ---- sizes ---------------------------------------------------------------------------------- */

/* Bytes allocated: placed weights and all; of others what lies beside the file's pages. */
size_t residency_bytes(const residency *r);

/* Of them, those that do not depend on where matrices are. */
size_t residency_table_bytes(const residency *r);

#endif
