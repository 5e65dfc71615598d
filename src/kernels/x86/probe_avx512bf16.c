/* probe_avx512bf16.c - the limit of bf16 by VDPBF16PS. */
#include "kernels/probe.h"

#include <immintrin.h>

enum { SUMS = 16 };

static uint64_t run_bf16(size_t rounds) {
    __m512 sum[SUMS];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS; i++) {
        sum[i] = _mm512_set1_ps((float)i);
    }
    /* 2^-7 in each half: the sums grow to 2^24 at most, where adding such a product changes
     * nothing any more. */
    __m512i a = _mm512_set1_epi16(0x3c00);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+v"(a));
#pragma GCC unroll 20
        for (int i = 0; i < SUMS; i++) {
            sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)a, (__m512bh)a);
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS; i++) {
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    }
    return (uint64_t)_mm512_cvtss_f32(sum[0]);
}

void probe_fill_avx512bf16(probe_table *table) {
    table->arithmetic[PROBE_BF16] = (probe_arithmetic){"avx512 bf16", SUMS * 32 * 2, run_bf16};
}
