/* probe_i8mm.c - the limit of int8 by SMMLA. */
#include "kernels/probe.h"

#include <arm_neon.h>

enum { SUMS = 20 };

static uint64_t run_int8(size_t rounds) {
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
            sum[i] = vmmlaq_s32(sum[i], a, b);
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS; i++) {
        sum[0] = vaddq_s32(sum[0], sum[i]);
    }
    return (uint64_t)vaddvq_s32(sum[0]);
}

void probe_fill_i8mm(probe_table *table) {
    table->arithmetic[PROBE_INT8] = (probe_arithmetic){"neon i8mm", SUMS * 32 * 2, run_int8};
}
