/* probe_avx512.c - the limits of AVX-512: wide loads, and f32 by VFMADD. */
#define PROBE_VECTOR 64
#include "kernels/probe_reads.h"

#include <immintrin.h>

/* Two instructions a cycle that take four cycles each need eight. */
enum { SUMS = 16 };

static uint64_t run_f32(size_t rounds) {
    __m512 sum[SUMS];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS; i++) {
        sum[i] = _mm512_set1_ps((float)i);
    }
    __m512 a = _mm512_set1_ps(0.5f);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+v"(a));
#pragma GCC unroll 20
        for (int i = 0; i < SUMS; i++) {
            sum[i] = _mm512_fmadd_ps(sum[i], a, a);
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS; i++) {
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    }
    return (uint64_t)_mm512_cvtss_f32(sum[0]);
}

void probe_fill_avx512(probe_table *table) {
    probe_fill_reads(table);
    table->arithmetic[PROBE_F32] = (probe_arithmetic){"avx512 fma", SUMS * 16 * 2, run_f32};
}
