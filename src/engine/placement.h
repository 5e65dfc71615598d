/* placement.h - which rows of which matrices stay in memory when not all of them fit.
 *
 * Arithmetic over a program alone: nothing is read and no file is needed, so that a plan and the
 * run that follows it agree. Matrices are cut into slices of some MiB. Kept ones and streamed ones
 * take turns all the way through a pass in the proportion of their bytes, so that the disk reads
 * streamed slices ahead into a ring of slots while kept ones are computed:
 *
 *   pass     | kept | kept | STREAMED | kept | kept | STREAMED | ...
 *   ring       slot 0: STREAMED 1   slot 1: STREAMED 2   ...  slot n - 1: STREAMED n
 */
#ifndef ENGINE_PLACEMENT_H
#define ENGINE_PLACEMENT_H

#include "program/program.h"

enum {
    PLACEMENT_RING_BYTES = 64 << 20, /* the most that the ring takes */
    PLACEMENT_MOST_SLOTS = 64,       /* of the ring: each may have a read under way */
    PLACEMENT_SLICE_BYTES = 2 << 20, /* of a slice, but for matrices with very long rows */
    PLACEMENT_PAGE = 4096,           /* direct reads begin and end at multiples of it */
};

/* The slices of one matrix: all of slice_rows rows, a multiple of 16, but for the last. */
typedef struct placement_matrix {
    size_t first_slice, n_slice; /* n_slice 0: no product uses it */
    size_t slice_rows;
} placement_matrix;

typedef struct placement_slice {
    weight_id weight;
    bool streamed;
    size_t place; /* kept: where it begins, bytes into what is kept. streamed: its number among
                     those of a pass */
} placement_slice;

typedef struct placement {
    placement_matrix *matrices; /* by weight number */
    placement_slice *slices;    /* in the order of a pass */
    size_t n_matrix, n_slice, n_streamed;
    uint64_t matrix_bytes;   /* of all matrices that products use, as the file has them */
    uint64_t kept_bytes;     /* memory for the kept slices, padding included */
    uint64_t streamed_bytes; /* read from the file by a pass that ends in logits */
    uint64_t output_bytes;   /* of them, those that a pass without logits does not need */
    size_t n_output;         /* streamed slices of that kind: the last ones of a pass */
    size_t slot_bytes;       /* of one slot of the ring: any slice and PLACEMENT_PAGE around it */
    size_t n_slot;           /* kept slices are read through them, too */
} placement;

/* The least room that placement_make takes; 0 if memory is out. */
uint64_t placement_least_room(const program *p);

/* Places the matrices of a finished program in `room` bytes: what is kept and the ring together.
 * SL_ERR_MEMORY, with the number, where not even a small ring fits. On success *out is the
 * caller's, for placement_free. */
SL_CHECK sl_status placement_make(const program *p, uint64_t room, placement *out, sl_error *error);
void placement_free(placement *l);

/* An upper bound of what lists of slices, and of reads of those that are streamed, take for a file
 * of so many bytes, of some thousands of matrices at most. */
uint64_t placement_list_bytes(uint64_t file_bytes);

/* Bytes held beside the matrices and the ring. */
size_t placement_bytes(const placement *l);

/* Rows of a slice of its matrix: the first of them, and how many. */
size_t placement_first_row(const placement *l, const placement_slice *slice);
size_t placement_rows(const program *p, const placement *l, const placement_slice *slice);

#endif
