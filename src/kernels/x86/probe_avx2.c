/* probe_avx2.c - the limits of AVX2: int8 by VPMADDUBSW, f32 by VFMADD.
 *
 * Eight products of bytes are added in words of 16 bits before VPMADDWD widens them: as many as fit
 * where one side has four bits, which is the best that any type's weights allow. */
#define PROBE_VECTOR 32
#include "kernels/probe_reads.h"

#include <immintrin.h>

/* Two instructions a cycle that take four cycles each need eight sums; sixteen registers hold them,
 * if the loops over them are unrolled. */
enum {
    SUMS = 10,
    SUMS_INT8 = 5, /* an addition of integers takes one cycle */
    FIT_INT8 = 8,
};

static uint64_t run_int8(size_t rounds) {
    __m256i sum[SUMS_INT8], pairs[SUMS_INT8];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS_INT8; i++) {
        sum[i] = _mm256_set1_epi32(i);
    }
    __m256i a = _mm256_set1_epi8(3);
    const __m256i b = _mm256_set1_epi8(-5), ones = _mm256_set1_epi16(1);
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 20
        for (int i = 0; i < SUMS_INT8; i++) {
            pairs[i] = _mm256_setzero_si256();
        }
#pragma GCC unroll 20
        for (int k = 0; k < FIT_INT8; k++) {
#pragma GCC unroll 20
            for (int i = 0; i < SUMS_INT8; i++) {
                __asm__ volatile("" : "+x"(a)); /* a product for each sum */
                pairs[i] = _mm256_add_epi16(pairs[i], _mm256_maddubs_epi16(a, b));
            }
        }
#pragma GCC unroll 20
        for (int i = 0; i < SUMS_INT8; i++) {
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs[i], ones));
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS_INT8; i++) {
        sum[0] = _mm256_add_epi32(sum[0], sum[i]);
    }
    return (uint64_t)_mm256_extract_epi64(sum[0], 0);
}

static uint64_t run_f32(size_t rounds) {
    __m256 sum[SUMS];
#pragma GCC unroll 20
    for (int i = 0; i < SUMS; i++) {
        sum[i] = _mm256_set1_ps((float)i);
    }
    __m256 a = _mm256_set1_ps(0.5f);
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+x"(a));
#pragma GCC unroll 20
        for (int i = 0; i < SUMS; i++) {
            sum[i] = _mm256_fmadd_ps(sum[i], a, a);
        }
    }
#pragma GCC unroll 20
    for (int i = 1; i < SUMS; i++) {
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    }
    return (uint64_t)_mm256_cvtss_f32(sum[0]);
}

void probe_fill_avx2(probe_table *table) {
    probe_fill_reads(table);
    table->arithmetic[PROBE_INT8] =
        (probe_arithmetic){"avx2", SUMS_INT8 * FIT_INT8 * 32 * 2, run_int8};
    table->arithmetic[PROBE_F32] = (probe_arithmetic){"avx2 fma", SUMS * 8 * 2, run_f32};
}
