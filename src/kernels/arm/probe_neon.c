/* probe_neon.c - the limits of NEON: f32 by FMLA, int8 by SMULL and SADALP. */
#define PROBE_VECTOR 16
#include "kernels/probe_reads.h"

#include <arm_neon.h>

/* Four instructions a cycle that take four cycles each need sixteen. */
enum { SUMS = 20 };

static uint64_t run_int8(size_t rounds) {
    int32x4_t sum[SUMS];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS; i++) {
        sum[i] = vdupq_n_s32(i);
    }
    int8x8_t a = vdup_n_s8(3);
    const int8x8_t b = vdup_n_s8(-5);
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 20
        for (int i = 0; i < SUMS; i++) {
            __asm__ volatile("" : "+w"(a)); /* a product for each sum */
            sum[i] = vpadalq_s16(sum[i], vmull_s8(a, b));
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS; i++) {
        sum[0] = vaddq_s32(sum[0], sum[i]);
    }
    return (uint64_t)vaddvq_s32(sum[0]);
}

static uint64_t run_f32(size_t rounds) {
    float32x4_t sum[SUMS];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS; i++) {
        sum[i] = vdupq_n_f32((float)i);
    }
    float32x4_t a = vdupq_n_f32(0x1p-12f);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+w"(a));
#pragma GCC unroll 20
        for (int i = 0; i < SUMS; i++) {
            sum[i] = vfmaq_f32(sum[i], a, a);
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS; i++) {
        sum[0] = vaddq_f32(sum[0], sum[i]);
    }
    return (uint64_t)vgetq_lane_f32(sum[0], 0);
}

void probe_fill_neon(probe_table *table) {
    probe_fill_reads(table);
    table->arithmetic[PROBE_INT8] = (probe_arithmetic){"neon", SUMS * 8 * 2, run_int8};
    table->arithmetic[PROBE_F32] = (probe_arithmetic){"neon", SUMS * 4 * 2, run_f32};
}
