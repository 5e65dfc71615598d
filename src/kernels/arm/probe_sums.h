/* probe_sums.h - the loop of the int8 limits of ARM, for an instruction that multiplies the bytes
 * of two vectors and adds what belongs together to the words of a third. */
#ifndef KERNELS_ARM_PROBE_SUMS_H
#define KERNELS_ARM_PROBE_SUMS_H

#include "kernels/arm/neon.h"

enum { SUMS = 20 }; /* so many that none waits for its own last product; all in registers */

typedef int32x4_t probe_product(int32x4_t sum, int8x16_t a, int8x16_t b);

/* Each round: SUMS products. Returns what depends on all of them. */
ARM_INLINE uint64_t probe_sums(probe_product *product, size_t rounds) {
    int32x4_t sum[SUMS];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS; i++) {
        sum[i] = vdupq_n_s32(i);
    }
    int8x16_t a = vdupq_n_s8(3);
    const int8x16_t b = vdupq_n_s8(-5);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+w"(a));
#pragma GCC unroll 20
        for (int i = 0; i < SUMS; i++) {
            sum[i] = product(sum[i], a, b);
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS; i++) {
        sum[0] = vaddq_s32(sum[0], sum[i]);
    }
    return (uint64_t)vaddvq_s32(sum[0]);
}

#endif
