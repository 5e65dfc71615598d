/* probe_avxvnni.c - the limit of int8 by VPDPBUSD on ymm registers. */
#include "kernels/probe.h"

#include <immintrin.h>

/* Two instructions a cycle that take five cycles each need ten. */
enum { SUMS = 12 };

static uint64_t run_int8(size_t rounds) {
    __m256i sum[SUMS];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS; i++) {
        sum[i] = _mm256_set1_epi32(i);
    }
    __m256i a = _mm256_set1_epi8(3);
    const __m256i b = _mm256_set1_epi8(-5);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+x"(a));
#pragma GCC unroll 20
        for (int i = 0; i < SUMS; i++) {
            sum[i] = _mm256_dpbusd_avx_epi32(sum[i], a, b);
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS; i++) {
        sum[0] = _mm256_add_epi32(sum[0], sum[i]);
    }
    return (uint64_t)_mm256_extract_epi64(sum[0], 0);
}

void probe_fill_avxvnni(probe_table *table) {
    table->arithmetic[PROBE_INT8] = (probe_arithmetic){"avx vnni", SUMS * 32 * 2, run_int8};
}
