/* make_rows.h - tensors whose values do not lie in rows in the file, put into rows in memory.
 *
 * Everything else takes rows for granted: products, packing, streaming. The few files that have
 * them otherwise (model_file.h, tensor_layout) pay for it once, when they are loaded.
 */
#ifndef ENGINE_MAKE_ROWS_H
#define ENGINE_MAKE_ROWS_H

#include "formats/model_file.h"

/* Bytes of memory that make_rows fills; 0 if all tensors lie in rows already. */
size_t make_rows_bytes(const model_file *file);

/* Puts the tensors into `memory`, of make_rows_bytes, and has the file's table say so: they are
 * TENSOR_ROWS then, and their data is there. The pages that they were in are given back as it
 * goes. SL_ERR_CANCELLED if progress (may be NULL) says so; the table is half changed then. */
SL_CHECK sl_status make_rows(model_file *file, uint8_t *memory, sl_progress_fn progress, void *user,
                             sl_error *error);

/* Of a tensor of TENSOR_PLANES some rows, as rows of its type (`to` is aligned for floats), or as
 * floats: products of value and scale, exact but for their rounding. */
void make_rows_of_planes(const tensor_entry *t, size_t first, size_t count, void *to);
void make_rows_floats(const tensor_entry *t, size_t first, size_t count, float *to);

/* Bytes of the file that a tensor is made of, whatever its layout. */
size_t make_rows_source_bytes(const tensor_entry *t);

#endif
