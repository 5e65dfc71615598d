/* probe_avx512vnni.c - the limit of int8 by VPDPBUSD on zmm registers. */
#include "kernels/probe.h"

#include <immintrin.h>

enum { SUMS = 16 };

static uint64_t run_int8(size_t rounds) {
    __m512i sum[SUMS];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS; i++) {
        sum[i] = _mm512_set1_epi32(i);
    }
    __m512i a = _mm512_set1_epi8(3);
    const __m512i b = _mm512_set1_epi8(-5);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+v"(a));
#pragma GCC unroll 20
        for (int i = 0; i < SUMS; i++) {
            sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS; i++) {
        sum[0] = _mm512_add_epi32(sum[0], sum[i]);
    }
    return (uint64_t)_mm512_reduce_add_epi32(sum[0]);
}

void probe_fill_avx512vnni(probe_table *table) {
    table->arithmetic[PROBE_INT8] = (probe_arithmetic){"avx512 vnni", SUMS * 64 * 2, run_int8};
}
