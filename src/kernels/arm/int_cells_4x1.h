/* int_cells_4x1.h - the cells of int_products.h where a lane is a weight row: four weight rows by
 * one activation row.
 *
 * Included after dot_8, which the level defines. A panel's vector holds four successive values of
 * each of four rows; they meet four values of an activation row in all lanes.
 *   panel, for 8 values: int8 [2][2][4][4]   four values; rows 0-3 or 4-7; row; value
 */
#ifndef KERNELS_ARM_INT_CELLS_4X1_H
#define KERNELS_ARM_INT_CELLS_4X1_H

#include "kernels/arm/int_tiles.h"

enum { W_CELLS = 2, X_CELLS = 2, X_COPIES = 1 };

/* One pair of activation rows. Written out: not every compiler unrolls loops of this size, and
 * cells must not be in memory. */
ARM_INLINE void times_8_pair(int32x4_t *cell, const int8_t *w, const int8_t *x) {
    const int8x16_t two = vld1q_s8(x);
    dot_8(&cell[0], &cell[2], vld1q_s8(w), vld1q_s8(w + 32), two);
    dot_8(&cell[1], &cell[3], vld1q_s8(w + 16), vld1q_s8(w + 48), two);
}

ARM_INLINE void times_8(int32x4_t *cell, const size_t n_pair, const int8_t *w, const int8_t *x) {
    times_8_pair(cell, w, x);
    if (n_pair == 2) {
        times_8_pair(cell + 4, w, x + 16);
    }
}

/* The 4 by 4 words of four rows, transposed: the words of values 0-3, 4-7, 8-11, 12-15. */
ARM_INLINE void put_words(int8_t *to, const int8x16_t *q) {
    const int32x4_t a = vreinterpretq_s32_s8(q[0]), b = vreinterpretq_s32_s8(q[1]);
    const int32x4_t c = vreinterpretq_s32_s8(q[2]), d = vreinterpretq_s32_s8(q[3]);
    const int64x2_t ab_even = vreinterpretq_s64_s32(vtrn1q_s32(a, b));
    const int64x2_t ab_odd = vreinterpretq_s64_s32(vtrn2q_s32(a, b));
    const int64x2_t cd_even = vreinterpretq_s64_s32(vtrn1q_s32(c, d));
    const int64x2_t cd_odd = vreinterpretq_s64_s32(vtrn2q_s32(c, d));
    vst1q_s8(to, vreinterpretq_s8_s64(vtrn1q_s64(ab_even, cd_even)));
    vst1q_s8(to + 32, vreinterpretq_s8_s64(vtrn1q_s64(ab_odd, cd_odd)));
    vst1q_s8(to + 64, vreinterpretq_s8_s64(vtrn2q_s64(ab_even, cd_even)));
    vst1q_s8(to + 96, vreinterpretq_s8_s64(vtrn2q_s64(ab_odd, cd_odd)));
}

ARM_INLINE void put_16(int8_t *to, const int8x16_t *q) {
    put_words(to, q);
    put_words(to + 16, q + 4);
}

ARM_INLINE float32x4_t w_floats(const float *p, size_t c) {
    return vld1q_f32(p + 4 * c);
}

ARM_INLINE int32x4_t w_ints(const int32_t *p, size_t c) {
    return vld1q_s32(p + 4 * c);
}

ARM_INLINE float32x4_t x_floats(const float *p, size_t c) {
    return vdupq_n_f32(p[c]);
}

ARM_INLINE float32x4_t tile_cell(float (*tile)[INT_OUT], size_t cw, size_t cx) {
    return vld1q_f32(tile[cx] + 4 * cw);
}

ARM_INLINE void put_tile_cell(float (*tile)[INT_OUT], size_t cw, size_t cx, float32x4_t v) {
    vst1q_f32(tile[cx] + 4 * cw, v);
}

#endif
