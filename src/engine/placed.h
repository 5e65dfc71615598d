/* placed.h - the weights of a model that does not fit into memory: the slices that placement.h
 * keeps, read once, and a stream of the others, read for each pass.
 */
#ifndef ENGINE_PLACED_H
#define ENGINE_PLACED_H

#include "engine/placement.h"
#include "formats/model_file.h"
#include "os/os.h"

typedef struct placed placed;

typedef struct placed_options {
    uint64_t room;           /* for kept slices and the ring */
    bool file_order;         /* keep rows as they lie in the file, whatever the kernels prefer */
    sl_progress_fn progress; /* may be NULL */
    sl_notice_fn notice;     /* may be NULL */
    bool told; /* where weights lie is known: noted only if reading is not at its best */
    void *user;
} placed_options;

/* Places the weights and reads those that are kept. All the others outlive *out. SL_ERR_MEMORY with
 * the number where the room is too small. */
SL_CHECK sl_status placed_create(const program *p, const model_file *file,
                                 const os_mapping *mapping, const placed_options *options,
                                 placed **out, sl_error *error);
void placed_free(placed *w);

/* Bytes of memory held, weights and all. */
uint64_t placed_bytes(const placed *w);

const placement *placed_placement(const placed *w);

/* As linear_source wants them; streamed rows only between placed_begin and placed_end. */
linear_rows placed_acquire(placed *w, weight_id id, size_t first, size_t count);
void placed_release(placed *w, weight_id id, size_t first, size_t count);

/* One row as the file has it, if it is kept; false if not. */
bool placed_row(const placed *w, weight_id id, size_t row, void *to);

/* A pass: stream_begin and stream_end, where anything is streamed. */
void placed_begin(placed *w, bool logits);
bool placed_failed(const placed *w);
SL_CHECK sl_status placed_end(placed *w, bool whole, sl_error *error);

#endif
