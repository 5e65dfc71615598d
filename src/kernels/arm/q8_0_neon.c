/* q8_0_neon.c - product of Q8_0 weights, and rows of 8-bit activations, without the dot product
 * instruction. */
#include "kernels/arm/q8_0_tile.h"

#include <math.h>

/* Two products of bytes fit into 16 bits: 2 * 128 * 127 < 2^15. */
ARM_INLINE int32x4_t dot_32(const int8_t *a, const int8_t *b) {
    const int8x16_t a0 = vld1q_s8(a), a1 = vld1q_s8(a + 16);
    const int8x16_t b0 = vld1q_s8(b), b1 = vld1q_s8(b + 16);
    int16x8_t first = vmull_s8(vget_low_s8(a0), vget_low_s8(b0));
    int16x8_t second = vmull_s8(vget_low_s8(a1), vget_low_s8(b1));
    first = vmlal_s8(first, vget_high_s8(a0), vget_high_s8(b0));
    second = vmlal_s8(second, vget_high_s8(a1), vget_high_s8(b1));
    return vpadalq_s16(vpaddlq_s16(first), second);
}

void neon_matmul_q8_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                      const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    q8_0_matmul(dot_32, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

/* Eight values times inverse, to nearest even, as int16. */
ARM_INLINE int16x8_t quantize_8(const float *x, float inverse) {
    const int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse));
    const int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), inverse));
    return vcombine_s16(vmovn_s32(low), vmovn_s32(high));
}

/* The largest magnitude of 32 values; NaN if there is one (vmaxq keeps it). */
ARM_INLINE float largest_32(const float *x) {
    float32x4_t most = vdupq_n_f32(0);
    for (int k = 0; k < 32; k += 4) {
        most = vmaxq_f32(most, vabsq_f32(vld1q_f32(x + k)));
    }
    return vmaxvq_f32(most);
}

void neon_make_row_q8_32(const float *x, size_t n, void *row) {
    int8_t *value = row;
    float *scale = (float *)(void *)((uint8_t *)row + kernel_q8_scales_at(n));
    int16_t *sum = (int16_t *)(void *)((uint8_t *)row + kernel_q8_sums_at(n, 32));
    for (size_t b = 0; b < n / 32; b++, x += 32, value += 32, sum += 2) {
        const float amax = largest_32(x);
        const float inverse = 127 / amax;
        if (!(amax <= __FLT_MAX__) || isinf(inverse)) {
            scale[b] = amax <= __FLT_MAX__ ? 0 : NAN;
            memset(value, 0, 32);
            memset(sum, 0, 2 * sizeof *sum);
            continue;
        }
        scale[b] = amax / 127;
        for (int half = 0; half < 2; half++) {
            const int16x8_t low = quantize_8(x + 16 * half, inverse);
            const int16x8_t high = quantize_8(x + 16 * half + 8, inverse);
            vst1q_s8(value + 16 * half, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
            sum[half] = vaddvq_s16(vaddq_s16(low, high));
        }
    }
}
