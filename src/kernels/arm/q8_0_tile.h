/* q8_0_tile.h - product of Q8_0 weights for any way to multiply 32 bytes. Private to kernels/arm.
 *
 * Four weight rows at a time: their integer sums are the four lanes of one vector, so that one
 * conversion, one product of scales and one fma serve all four. A lane rounds as kernels.h says.
 */
#ifndef KERNELS_ARM_Q8_0_TILE_H
#define KERNELS_ARM_Q8_0_TILE_H

#include "kernels/arm/neon.h"

#include <assert.h>
#include <string.h>

enum { Q8_0_BLOCK_BYTES = 34, Q8_0_TILE_OUT = 4, Q8_0_TILE_ROW = 4 };

/* Four integers whose sum is the product of 32 values with 32 values. */
typedef int32x4_t q8_0_dot(const int8_t *a, const int8_t *b);

/* One weight block of each of four rows, by one activation block. */
ARM_INLINE int32x4_t q8_0_four_sums(q8_0_dot *dot, const uint8_t *const *w, const int8_t *x) {
    int32x4_t sums[Q8_0_TILE_OUT];
    for (int r = 0; r < Q8_0_TILE_OUT; r++) {
        sums[r] = dot((const int8_t *)w[r] + 2, x);
    }
    return vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
}

ARM_INLINE float32x4_t q8_0_four_scales(const uint8_t *const *w) {
    uint16_t bits[Q8_0_TILE_OUT];
    for (int r = 0; r < Q8_0_TILE_OUT; r++) {
        memcpy(&bits[r], w[r], sizeof bits[r]);
    }
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(bits)));
}

/* n_out <= 4 weight rows (of fewer, the last one stands in for the missing) by n_row activation
 * rows, a constant <= 4. */
ARM_INLINE void q8_0_tile(q8_0_dot *dot, size_t n_out, size_t n_row, size_t n_in, const uint8_t *w,
                          size_t w_stride, const uint8_t *x, size_t x_stride, float *y,
                          size_t y_stride) {
    const size_t scales_at = kernel_q8_scales_at(n_in);
    const uint8_t *rows[Q8_0_TILE_OUT];
    for (size_t r = 0; r < Q8_0_TILE_OUT; r++) {
        rows[r] = w + (r < n_out ? r : n_out - 1) * w_stride;
    }
    float32x4_t acc[Q8_0_TILE_ROW];
    for (size_t i = 0; i < n_row; i++) {
        acc[i] = vdupq_n_f32(0);
    }
    for (size_t b = 0; b < n_in / 32; b++) {
        const float32x4_t dw = q8_0_four_scales(rows);
        for (size_t i = 0; i < n_row; i++) {
            const uint8_t *x_row = x + i * x_stride;
            float dx;
            memcpy(&dx, x_row + scales_at + 4 * b, sizeof dx);
            const int32x4_t sums = q8_0_four_sums(dot, rows, (const int8_t *)x_row + 32 * b);
            acc[i] = vfmaq_f32(acc[i], vmulq_n_f32(dw, dx), vcvtq_f32_s32(sums));
        }
        for (size_t r = 0; r < Q8_0_TILE_OUT; r++) {
            rows[r] += Q8_0_BLOCK_BYTES;
        }
    }
    for (size_t i = 0; i < n_row; i++) {
        float lanes[Q8_0_TILE_OUT];
        vst1q_f32(lanes, acc[i]);
        memcpy(y + i * y_stride, lanes, n_out * sizeof(float));
    }
}

ARM_INLINE void q8_0_matmul(q8_0_dot *dot, size_t n_out, size_t n_row, size_t n_in,
                            const uint8_t *w, size_t w_stride, const uint8_t *x, size_t x_stride,
                            float *y, size_t y_stride) {
    assert(n_in % 32 == 0);
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0);
    for (size_t r = 0; r < n_out; r += Q8_0_TILE_OUT) {
        const size_t n = n_out - r < Q8_0_TILE_OUT ? n_out - r : Q8_0_TILE_OUT;
        const uint8_t *w_rows = w + r * w_stride;
        size_t i = 0;
        for (; i + Q8_0_TILE_ROW <= n_row; i += Q8_0_TILE_ROW) {
            q8_0_tile(dot, n, Q8_0_TILE_ROW, n_in, w_rows, w_stride, x + i * x_stride, x_stride,
                      y + i * y_stride + r, y_stride);
        }
        for (; i < n_row; i++) {
            q8_0_tile(dot, n, 1, n_in, w_rows, w_stride, x + i * x_stride, x_stride,
                      y + i * y_stride + r, y_stride);
        }
    }
}

#endif
