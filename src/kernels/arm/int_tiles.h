/* int_tiles.h - the tile loops that all integer products of ARM share.
 *
 * One or two activation rows go straight over the file's blocks, four weight rows at a time. For
 * more of them both sides are rearranged, a stretch of the rows at a time: eight weight rows become
 * a panel of bytes, whatever their type, and four activation rows a group; each panel then meets
 * each group. What panels and groups look like is each level's affair (int_products.h).
 */
#ifndef KERNELS_ARM_INT_TILES_H
#define KERNELS_ARM_INT_TILES_H

#include "kernels/arm/neon.h"

enum {
    INT_OUT = 8,        /* weight rows of a panel */
    INT_ROW = 4,        /* activation rows of a group */
    INT_STRETCH = 2048, /* values: a panel takes 20 KiB, which L1 holds beside a group */
    INT_DIRECT_OUT = 4, /* weight rows at a time without panels */
    INT_DIRECT_ROW = 2, /* activation rows up to which panels do not pay */
};

/* Several rows of 8-bit activations; row i begins at base + i * stride, its parts as kernels.h has
 * them. */
typedef struct int_rows {
    const uint8_t *base;
    size_t stride;
    size_t scales_at;
    size_t sums_at;
} int_rows;

ARM_INLINE const int8_t *int_values(const int_rows *x, size_t i) {
    return (const int8_t *)(x->base + i * x->stride);
}

ARM_INLINE const float *int_scales(const int_rows *x, size_t i) {
    return (const float *)(const void *)(x->base + i * x->stride + x->scales_at);
}

ARM_INLINE const int16_t *int_sums(const int_rows *x, size_t i) {
    return (const int16_t *)(const void *)(x->base + i * x->stride + x->sums_at);
}

/* Rearranges `count` blocks of eight rows. */
typedef void int_fill(const uint8_t *const *w, size_t count, void *panel);

/* Rearranges blocks `from` to from + count - 1 of n_row rows, 1 to 4; the last one stands in for
 * those that are missing. */
typedef void int_pack(const int_rows *x, size_t n_row, size_t from, size_t count, void *group);

/* tile[i][r] += product of weight row r and activation row i < n_row, over `count` blocks. */
typedef void int_times(const void *panel, const void *group, size_t count, size_t n_row,
                       float (*tile)[INT_OUT]);

/* tile[i][r] = product of weight row r and activation row i < n_row, 1 or 2. */
typedef void int_direct(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]);

typedef struct int_kernel {
    size_t block_length;
    size_t block_bytes;
    size_t panel_bytes; /* for one block; a multiple of 16, like the next */
    size_t group_bytes;
    int_fill *fill;
    int_pack *pack;
    int_times *times;
    int_direct *direct;
} int_kernel;

/* kernel_matmul by way of `kernel`. */
void int_matmul(const int_kernel *kernel, size_t n_out, size_t n_row, size_t n_in, const void *w,
                size_t w_stride, const void *x, size_t x_stride, float *y, size_t y_stride,
                void *scratch);

#endif
