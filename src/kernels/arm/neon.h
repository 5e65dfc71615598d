/* neon.h - the entries of this folder by file, and what its files share. Private to kernels/arm.
 */
#ifndef KERNELS_ARM_NEON_H
#define KERNELS_ARM_NEON_H

#include "kernels/kernels.h"

#include <arm_neon.h>

/* Building blocks take constants (numbers of rows, a dot product) and are worth nothing unless the
 * compiler sees them. */
#define ARM_INLINE static inline __attribute__((always_inline))

/* ---- f32_neon.c */
kernel_matmul neon_matmul_f32;

/* ---- q8_0_neon.c, q8_0_dotprod.c */
kernel_matmul neon_matmul_q8_0, dotprod_matmul_q8_0;
void neon_make_row_q8_32(const float *x, size_t n, void *row);

/* ---- vector_neon.c */
float neon_dot(const float *a, const float *b, size_t n);
float neon_sum(const float *a, size_t n);
float neon_max(const float *a, size_t n);
void neon_scale(float a, float *y, size_t n);
void neon_add(const float *x, float *y, size_t n);
void neon_exp_shifted(float *x, float shift, size_t n);
void neon_silu_mul(const float *gate, const float *up, float *y, size_t n);
void neon_rms_norm(const float *x, const float *weight, float epsilon, float *y, size_t n);
void neon_rope_pairs(float *x, const float *cs, size_t n_pair);
void neon_decode_f16(const void *blocks, float *values, size_t n);

/* ---- attention_neon.c */
void neon_attention_fill(kernel_table *table);

/* Sixteen partial sums: element i of sum16 is lane i % 4 of v[i / 4]. */
typedef struct sum16 {
    float32x4_t v[4];
} sum16;

/* Four floats at any byte address. */
ARM_INLINE float32x4_t load_4(const void *p) {
    return vreinterpretq_f32_u8(vld1q_u8(p));
}

ARM_INLINE float sum16_tree(sum16 s) {
    const float32x4_t eight_0 = vaddq_f32(s.v[0], s.v[2]), eight_1 = vaddq_f32(s.v[1], s.v[3]);
    const float32x4_t four = vaddq_f32(eight_0, eight_1);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

#endif
