/* levels_e8m0.h - what the types of sixteen levels need in vectors: their levels, to be looked up
 * by nibbles, and MXFP4's scales, E8M0, as floats.
 */
#ifndef KERNELS_X86_LEVELS_E8M0_H
#define KERNELS_X86_LEVELS_E8M0_H

#include "kernels/x86/q8_rows.h"
#include "quant/blocks.h"

#include <immintrin.h>

/* Each level plus `offset`, in each lane of 16 bytes. */
X86_INLINE __m256i levels_256(const int8_t *levels, int offset) {
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)levels);
    return _mm256_broadcastsi128_si256(_mm_add_epi8(v, _mm_set1_epi8((char)offset)));
}

/* Half of what the byte in each 32-bit lane stands for, as half_of_e8m0 has it: below 2 the bit
 * that is the subnormal number, from there on the exponent, which is larger as an integer. */
X86_INLINE __m256 floats_of_e8m0_256(__m256i e) {
    const __m256i two = _mm256_set1_epi32(2), unit = _mm256_set1_epi32(0x00200000);
    const __m256i small = _mm256_sllv_epi32(unit, _mm256_min_epi32(e, two));
    const __m256i exponent = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i no_number = _mm256_cmpeq_epi32(e, _mm256_set1_epi32(255));
    const __m256i bits = _mm256_max_epi32(small, exponent);
    return _mm256_castsi256_ps(_mm256_or_si256(bits, no_number));
}

#ifdef __AVX512F__

X86_INLINE __m512i levels_512(const int8_t *levels, int offset) {
    return _mm512_broadcast_i64x4(levels_256(levels, offset));
}

X86_INLINE __m512 floats_of_e8m0_512(__m512i e) {
    const __m512i two = _mm512_set1_epi32(2), unit = _mm512_set1_epi32(0x00200000);
    const __m512i small = _mm512_sllv_epi32(unit, _mm512_min_epi32(e, two));
    const __m512i exponent = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    const __mmask16 no_number = _mm512_cmpeq_epi32_mask(e, _mm512_set1_epi32(255));
    const __m512i bits = _mm512_max_epi32(small, exponent);
    return _mm512_castsi512_ps(
        _mm512_mask_mov_epi32(bits, no_number, _mm512_set1_epi32(0x7fc00000)));
}

#endif

#endif
