/* packed_products.h - the tile loops around the products of packed weights (packed.h).
 *
 * Activation rows are taken a few at a time ("group") and over a stretch of the row's blocks, and
 * interleaved, so that one pointer and a constant reach every number in the inner loop.
 */
#ifndef KERNELS_X86_PACKED_PRODUCTS_H
#define KERNELS_X86_PACKED_PRODUCTS_H

#include "kernels/packed.h"
#include "kernels/x86/q8_rows.h"

/* A stretch of blocks of `rows` activation rows; index [..][rows] throughout. */
typedef struct packed_group {
    const uint8_t *values;    /* int8 [n / 4][rows][4] */
    const float *scales;      /* [block][rows] */
    const int32_t *start;     /* types of 32: [block][rows], -offset * sum of the block's values */
    const float *float_sums;  /* types of 32 with a minimum: [block][rows], sum of the values */
    const int16_t *pair_sums; /* types of 256: [block][pair of groups][rows][2], sums of a group */
    bool is_first;            /* the rows' first stretch: y counts as zero */
} packed_group;

/* Blocks that follow each other, of one panel, or of several `stride` bytes apart whose blocks take
 * turns: so one activation row meets types of 32 values, since several sequences of addresses are
 * read faster than one. (A block of 256 values takes longer than its bytes need to arrive.) While
 * a block meets several activation rows, the lines `ahead` bytes behind it are asked for, which
 * need not be memory; with one row the processor sees it read in order, and asks better itself. */
typedef struct packed_blocks {
    const uint8_t *first;
    size_t count;
    size_t ahead;          /* unused with one activation row */
    size_t panels, stride; /* 1 panel with several activation rows, and types of 256 */
} packed_blocks;

/* Asks for part number `part` of `parts` of what lies ahead of a block of `bytes`, into L2: in L1
 * it would take the place of what is used until then. */
X86_INLINE void packed_fetch(const uint8_t *block, size_t ahead, size_t bytes, size_t part,
                             size_t parts) {
    const uintptr_t at = (uintptr_t)block + ahead;
    const size_t end = bytes * (part + 1) / parts;
    for (size_t line = (bytes * part / parts + 63) / 64 * 64; line < end; line += 64) {
        __builtin_prefetch((const void *)(at + line), 0, 2);
    }
}

/* Adds to y[n * y_stride + r] the products of blocks with the n_row rows of a group, n_row being
 * the kernel's `rows`, a smaller power of two, or 1; then n is the number of the panel. */
typedef void packed_times(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                          size_t y_stride);

/* Turns blocks into a form that is larger and faster to multiply. */
typedef void packed_expand(const packed_blocks *w, uint8_t *to);

typedef struct packed_kernel {
    size_t rows; /* of the largest group: a power of two, at most PACKED_GROUP_MAX */
    size_t block_length, block_bytes;
    size_t expanded_bytes; /* of a row's block after `expand` */
    int offset;            /* types of 32: byte = q + offset */
    size_t group;          /* types of 256: values that share a small scale, 16 or 32 */
    packed_times *times;
    packed_expand *expand;        /* NULL where it does not pay */
    packed_times *expanded_times; /* for whole groups only */
} packed_kernel;

enum { PACKED_GROUP_MAX = 8 };

/* kernel_matmul over packed weights by way of `kernel`; w_stride is that of one row, a sixteenth
 * of a panel's. */
void packed_matmul(const packed_kernel *kernel, size_t n_out, size_t n_row, size_t n_in,
                   const void *w, size_t w_stride, const void *x, size_t x_stride, float *y,
                   size_t y_stride, void *scratch);

#endif
