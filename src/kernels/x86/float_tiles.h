/* float_tiles.h - the tile loops that all float products of x86 share.
 *
 * Every pair of a weight row and an activation row has sixteen partial sums (kernels.h: sum16),
 * which stay in memory between stretches of the rows:
 *   partial[i][r][16]   activation row i, weight row r of the eight of a group
 * so that within a stretch the weights lie in L1 and the activations in L2.
 */
#ifndef KERNELS_X86_FLOAT_TILES_H
#define KERNELS_X86_FLOAT_TILES_H

#include "kernels/kernels.h"

enum {
    FLOAT_ROWS = 8, /* weight rows of a group */
    FLOAT_SUMS = 16,
};

/* Partial sums of FLOAT_ROWS weight rows and one activation row. */
typedef struct float_partial {
    float s[FLOAT_ROWS][FLOAT_SUMS];
} float_partial;

/* Adds the products of n values of FLOAT_ROWS weight rows and of n_row <= `group` activation
 * rows to partial[0 .. n_row - 1]; `first`: these count as zero. Only the last stretch of a row may
 * have an n that is not a multiple of a vector. */
typedef void float_multiply(const uint8_t *w, size_t w_stride, size_t n, const uint8_t *x,
                            size_t x_stride, size_t n_row, bool first, float_partial *partial);

/* Copies n values of FLOAT_ROWS rows to rows `to_stride` bytes apart, in the form that `panel`
 * takes. Row r is at w + min(r, n_out - 1) * w_stride. */
typedef void float_fill(const uint8_t *w, size_t w_stride, size_t n_out, size_t n, uint8_t *to,
                        size_t to_stride);

/* y[r] = the sum of partial.s[r], by the tree, for r < n_out <= FLOAT_ROWS. */
typedef void float_finish(const float_partial *partial, size_t n_out, float *y);

typedef struct float_kernel {
    size_t group;   /* activation rows that one call takes */
    size_t few;     /* up to so many activation rows a panel does not pay */
    size_t w_bytes; /* of a value in the file */
    size_t x_bytes; /* of an activation */
    size_t stretch; /* values; a multiple of a vector */
    size_t panel_stride;
    float_multiply *direct; /* weights as in the file */
    float_multiply *panel;  /* weights as `fill` leaves them */
    float_fill *fill;
    float_finish *finish;
} float_kernel;

/* kernel_matmul by way of `kernel`. */
void float_matmul(const float_kernel *kernel, size_t n_out, size_t n_row, size_t n_in,
                  const void *w, size_t w_stride, const void *x, size_t x_stride, float *y,
                  size_t y_stride, void *scratch);

#endif
