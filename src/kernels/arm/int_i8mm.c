/* int_i8mm.c - products of quantized weights by SMMLA (Armv8.6; with SDOT for single rows).
 *
 * The cells of int_products.h are two weight rows by two activation rows here, which is what the
 * instruction multiplies, eight values deep. Lanes: x0 w0, x0 w1, x1 w0, x1 w1.
 *   panel, for 8 values: int8 [4][2][8]   pair of rows; row; value
 */
#include "kernels/arm/int_tiles.h"
#include "kernels/levels.h"

#include <string.h>

enum { W_CELLS = 4, X_CELLS = 1, X_COPIES = 2 };

ARM_INLINE int32x4_t dot_16(int32x4_t sum, int8x16_t a, int8x16_t b) {
    return vdotq_s32(sum, a, b);
}

ARM_INLINE void times_8(int32x4_t *cell, const size_t n_pair, const int8_t *w, const int8_t *x) {
    for (size_t p = 0; p < n_pair; p++) {
        const int8x16_t two = vld1q_s8(x + 16 * p);
        for (size_t c = 0; c < W_CELLS; c++) {
            cell[W_CELLS * p + c] = vmmlaq_s32(cell[W_CELLS * p + c], two, vld1q_s8(w + 16 * c));
        }
    }
}

ARM_INLINE void put_16(int8_t *to, const int8x16_t *q) {
    for (size_t c = 0; c < W_CELLS; c++) {
        const int64x2_t a = vreinterpretq_s64_s8(q[2 * c]), b = vreinterpretq_s64_s8(q[2 * c + 1]);
        vst1q_s8(to + 16 * c, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
        vst1q_s8(to + 64 + 16 * c, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
    }
}

/* Those of two weight rows, twice. */
ARM_INLINE uint64x2_t twice(const void *p) {
    uint64_t both;
    memcpy(&both, p, sizeof both);
    return vdupq_n_u64(both);
}

ARM_INLINE float32x4_t w_floats(const float *p, size_t c) {
    return vreinterpretq_f32_u64(twice(p + 2 * c));
}

ARM_INLINE int32x4_t w_ints(const int32_t *p, size_t c) {
    return vreinterpretq_s32_u64(twice(p + 2 * c));
}

/* A group has each activation row's number twice (X_COPIES). */
ARM_INLINE float32x4_t x_floats(const float *p, size_t c) {
    return vld1q_f32(p + 4 * c);
}

ARM_INLINE float32x4_t tile_cell(float (*tile)[INT_OUT], size_t cw, size_t cx) {
    return vcombine_f32(vld1_f32(tile[2 * cx] + 2 * cw), vld1_f32(tile[2 * cx + 1] + 2 * cw));
}

ARM_INLINE void put_tile_cell(float (*tile)[INT_OUT], size_t cw, size_t cx, float32x4_t v) {
    vst1_f32(tile[2 * cx] + 2 * cw, vget_low_f32(v));
    vst1_f32(tile[2 * cx + 1] + 2 * cw, vget_high_f32(v));
}

#include "kernels/arm/int_products.h"

void kernel_fill_i8mm(kernel_table *table) {
    table->name = "neon i8mm";
    int_products_fill(table);
}
