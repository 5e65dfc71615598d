/* float_tiles.h - the tile loops that all float products of x86 share.
 *
 * Every pair of a weight row and an activation row has sixteen partial sums (kernels.h: sum16).
 *
 * A few activation rows meet the weights as they lie in the file, whole rows at a time, from four
 * places far from each other: four sequences of addresses are read faster than one that skips from
 * row to row. In AVX-512, whose registers hold the sums of four by six rows, many meet them as they
 * lie too, as many at a time as stay in L2, unless rows are very long.
 *
 * One activation row may meet one weight row after the other, where it takes few instructions for a
 * line of them: that is a single sequence, which the processor reads ahead best by itself, at least
 * in large pages.
 *
 * Elsewhere, for many both sides are copied into panels, a stretch of the rows at a time: in the
 * form that they are multiplied in, and in the order in which they are read, so that what is read
 * lies in one piece, whatever the strides are. A step is what meets the sixteen sums once: 16
 * floats, or 32 bfloat16 where an instruction multiplies them.
 *   weights      [steps][FLOAT_ROWS][64 bytes]                       16 KiB, in L1
 *   activations  for each group of rows: [steps][rows][64 bytes]     192 KiB in all, in L2
 *   partial      [weight panel][activation row][FLOAT_ROWS][16]      768 KiB, between stretches
 * A level may order the inside of its panels in another way.
 */
#ifndef KERNELS_X86_FLOAT_TILES_H
#define KERNELS_X86_FLOAT_TILES_H

#include "kernels/kernels.h"

#include <string.h>

enum {
    FLOAT_ROWS = 8,  /* weight rows of a panel */
    FLOAT_GROUP = 3, /* activation rows of a group: with 8 weight rows, 24 vectors of sums, */
    FLOAT_SIX = 6,   /* and of one that meets four: as many */
    FLOAT_SUMS = 16,
    FLOAT_VECTOR = 64,         /* bytes that meet the sums of a pair at once */
    FLOAT_FLUSH_MODE = 0x8040, /* MXCSR: flush to zero, denormals are zero */
};

/* Partial sums of FLOAT_ROWS weight rows and one activation row. */
typedef struct float_partial {
    float s[FLOAT_ROWS][FLOAT_SUMS];
} float_partial;

/* Rows of memory, seen as bytes. */
typedef struct float_rows {
    const uint8_t *at;
    size_t stride, count;
} float_rows;

/* How many of the activation rows that are left make the next group: not 1 if it can be helped,
 * since its sums would wait for each other. */
static inline size_t float_group(size_t left) {
    return left == 4 ? 2 : left < FLOAT_GROUP ? left : FLOAT_GROUP;
}

/* The n values that a row ends with, of `bytes` each, as a step of 128 bytes at most: what is
 * missing is zero in weights and minus zero in activations, whose product changes no sum. Only the
 * odd value that completes a pair of bfloat16 is zero in both. */
static inline void float_last_step(const uint8_t *from, size_t n, size_t bytes, bool is_x,
                                   uint8_t *step) {
    memset(step, 0, 2 * FLOAT_VECTOR);
    memcpy(step, from, n * bytes);
    for (size_t k = bytes == 2 ? (n + 1) / 2 * 2 : n; is_x && k < 2 * FLOAT_VECTOR / bytes; k++) {
        step[k * bytes + bytes - 1] = 0x80;
    }
}

/* FLOAT_ROWS weight rows: number r lies at at + r * stride for r < 4, and the other four `half`
 * bytes behind these. While they are read, what lies `ahead` bytes behind is asked for, which need
 * not be memory. */
typedef struct float_eight {
    const uint8_t *at;
    size_t stride, half, ahead;
} float_eight;

/* The products of n values of eight weight rows and of n_row > 0 activation rows, in
 * partial[0 .. n_row - 1]. */
typedef void float_direct(float_eight w, size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                          float_partial *partial);

/* y[r] = the product of n values of row r < w->count and of one activation row. */
typedef void float_in_order(const float_rows *w, size_t n, const uint8_t *x, float *y);

/* Four weight rows, `stride` bytes apart, and `ahead` as above; 0: nothing is asked for. */
typedef struct float_four {
    const uint8_t *at;
    size_t stride, ahead;
} float_four;

/* y[i * y_stride + r] = the product of row r < 4 and activation row i < n_row, n_row > 2. */
typedef void float_fours(const float_four *w, size_t n, const uint8_t *x, size_t x_stride,
                         size_t n_row, float *y, size_t y_stride);

/* Copies n values of rows.count <= FLOAT_ROWS weight rows (of <= FLOAT_GROUP activation rows, a
 * group) into a panel. What is missing of the last step multiplies to minus zero, which changes
 * no sum; rows that are missing of the weights may be anything. */
typedef void float_fill(const float_rows *rows, size_t n, uint8_t *panel);

/* Asks for what lies `ahead` bytes behind a line, into L2. */
static inline void float_fetch(const uint8_t *line, size_t ahead) {
    __builtin_prefetch((const void *)((uintptr_t)line + ahead), 0, 2);
}

/* Cache lines that the next panels are made of: `lines` of them in the order of rows that have
 * `per_row` each. */
typedef struct float_lines {
    const uint8_t *row;
    size_t stride, per_row, at, lines;
} float_lines;

/* Asks for at most n more of them. */
static inline void float_prefetch(float_lines *l, size_t n) {
    n = n < l->lines ? n : l->lines;
    l->lines -= n;
    for (; n > 0; n--) {
        __builtin_prefetch(l->row + 64 * l->at, 0, 2);
        l->at++;
        if (l->at == l->per_row) {
            l->at = 0;
            l->row += l->stride;
        }
    }
}

/* What to prefetch while one panel of weights is multiplied, and how much for each group. */
typedef struct float_ahead {
    float_lines w, x;
    size_t w_share, x_share;
} float_ahead;

static inline void float_prefetch_share(float_ahead *ahead) {
    float_prefetch(&ahead->w, ahead->w_share);
    float_prefetch(&ahead->x, ahead->x_share);
}

/* Adds the products of a panel of weights and the panels of n_row activation rows to partial[0 ..
 * n_row - 1]; `first`: these count as zero. Meanwhile prefetches
 * what lies ahead. */
typedef void float_multiply(const uint8_t *w_panel, const uint8_t *x_panels, size_t n_row,
                            size_t vectors, bool first, float_partial *partial, float_ahead *ahead);

/* y[r] = the sum of partial.s[r], by the tree, for r < n_out <= FLOAT_ROWS. */
typedef void float_finish(const float_partial *partial, size_t n_out, float *y);

typedef struct float_kernel {
    size_t few;     /* up to so many activation rows `direct` is the fastest */
    size_t w_bytes; /* of a value in the file */
    size_t x_bytes; /* of an activation */
    size_t step;    /* values that are two vectors in a panel */
    float_direct *direct;
    float_in_order *in_order; /* for one, instead of `direct`; or NULL */
    float_fours *fours;       /* for more than two, instead of panels while L2 has room; or NULL */
    float_fill *fill_w, *fill_x;
    float_multiply *multiply;
    float_finish *finish;
} float_kernel;

/* kernel_matmul by way of `kernel`. */
void float_matmul(const float_kernel *kernel, size_t n_out, size_t n_row, size_t n_in,
                  const void *w, size_t w_stride, const void *x, size_t x_stride, float *y,
                  size_t y_stride, void *scratch);

#endif
