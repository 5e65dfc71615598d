/* probe_avx512.c - the limits of AVX-512: wide loads, int8 by VPMADDUBSW, f32 by VFMADD.
 *
 * Int8 as in probe_avx2.c: eight products of bytes are added before VPMADDWD widens them. */
#define PROBE_VECTOR 64
#include "kernels/probe_reads.h"

#include <immintrin.h>

/* Two instructions a cycle that take four cycles each need eight. */
enum {
    SUMS = 16,
    SUMS_INT8 = 8, /* an addition of integers takes one cycle */
    FIT_INT8 = 8,
};

static uint64_t run_int8(size_t rounds) {
    __m512i sum[SUMS_INT8], pairs[SUMS_INT8];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS_INT8; i++) {
        sum[i] = _mm512_set1_epi32(i);
    }
    __m512i a = _mm512_set1_epi8(3);
    const __m512i b = _mm512_set1_epi8(-5), ones = _mm512_set1_epi16(1);
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 20
        for (int i = 0; i < SUMS_INT8; i++) {
            pairs[i] = _mm512_setzero_si512();
        }
#pragma GCC unroll 20
        for (int k = 0; k < FIT_INT8; k++) {
#pragma GCC unroll 20
            for (int i = 0; i < SUMS_INT8; i++) {
                __asm__ volatile("" : "+v"(a)); /* a product for each sum */
                pairs[i] = _mm512_add_epi16(pairs[i], _mm512_maddubs_epi16(a, b));
            }
        }
#pragma GCC unroll 20
        for (int i = 0; i < SUMS_INT8; i++) {
            sum[i] = _mm512_add_epi32(sum[i], _mm512_madd_epi16(pairs[i], ones));
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS_INT8; i++) {
        sum[0] = _mm512_add_epi32(sum[0], sum[i]);
    }
    return (uint64_t)_mm512_reduce_add_epi32(sum[0]);
}

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
    table->arithmetic[PROBE_INT8] =
        (probe_arithmetic){"avx512", SUMS_INT8 * FIT_INT8 * 64 * 2, run_int8};
    table->arithmetic[PROBE_F32] = (probe_arithmetic){"avx512 fma", SUMS * 16 * 2, run_f32};
}
