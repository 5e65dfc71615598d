/* neon.h - the files of this folder by what they put into the table, and what they share. Private
 * to kernels/arm; levels.h names only whole levels. */
#ifndef KERNELS_ARM_NEON_H
#define KERNELS_ARM_NEON_H

#include "kernels/kernels.h"

#include <arm_neon.h>

/* Building blocks take constants (numbers of rows, a type's layout) and are worth nothing unless
 * the compiler sees them. */
#define ARM_INLINE static inline __attribute__((always_inline))

/* Each replaces the entries that its file has. */
void float_fill_neon(kernel_table *table);
void int_fill_neon(kernel_table *table);
void rows_fill_neon(kernel_table *table);
void vector_fill_neon(kernel_table *table);
void attention_fill_neon(kernel_table *table);

/* vector_neon.c: entries that attention is made of too. */
float neon_sum(const float *a, size_t n);
float neon_max(const float *a, size_t n);
void neon_exp_shifted(float *x, float shift, size_t n);

/* What stands before this is not mixed with what follows. GCC otherwise begins so much at once that
 * registers run out and sums go to memory; clang does not. */
ARM_INLINE void keep_order(void) {
#if !defined(__clang__)
    __asm__ volatile("");
#endif
}

/* The final tree of sum16: partial sum i is lane i % 4 of v[i / 4]. */
ARM_INLINE float tree16(const float32x4_t *v) {
    const float32x4_t eight_0 = vaddq_f32(v[0], v[2]), eight_1 = vaddq_f32(v[1], v[3]);
    const float32x4_t four = vaddq_f32(eight_0, eight_1);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

#endif
