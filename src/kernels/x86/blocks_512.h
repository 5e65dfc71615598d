/* blocks_512.h - 32 values of two weight rows at a time, as unsigned bytes, in AVX-512.
 *
 * A "pair" is a vector whose low half holds 32 successive values of one row and whose high half
 * those of another, in order, each with the type's offset added so that it is not negative:
 *   byte k = q[k] + offset
 * Everything else about the integer products is the same for all types.
 */
#ifndef KERNELS_X86_BLOCKS_512_H
#define KERNELS_X86_BLOCKS_512_H

#include "kernels/x86/q8_rows.h"

#include <immintrin.h>

/* 32 bytes from each of two places. */
X86_INLINE __m512i pair_bytes(const uint8_t *a, const uint8_t *b) {
    const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)a));
    return _mm512_inserti64x4(low, _mm256_loadu_si256((const __m256i *)b), 1);
}

/* The 32 nibbles of 16 bytes from each of two places: low nibbles first, as the 32-value types have
 * them. */
X86_INLINE __m512i pair_nibbles(const uint8_t *a, const uint8_t *b) {
    const __m128i qa = _mm_loadu_si128((const __m128i *)a);
    const __m128i qb = _mm_loadu_si128((const __m128i *)b);
    const __m512i both = _mm512_mask_broadcast_i64x2(_mm512_broadcast_i64x2(qa), 0xf0, qb);
    const __m512i shift = _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0);
    return _mm512_and_si512(_mm512_srlv_epi64(both, shift), _mm512_set1_epi8(15));
}

/* ---- types of 32 values ------------------------------------------------------------------------
 */

typedef __m512i pair32_function(const uint8_t *a, const uint8_t *b);

typedef struct blocks32 {
    size_t bytes;      /* of a block, which begins with its scale */
    bool has_min;      /* a minimum follows the scale */
    int16_t offset;    /* byte = q + offset */
    size_t nibbles_at; /* if the values are nibbles and nothing else: where; else 0 */
    pair32_function *pair;
} blocks32;

X86_INLINE __m512i pair_q8_0(const uint8_t *a, const uint8_t *b) {
    return _mm512_xor_si512(pair_bytes(a + 2, b + 2), _mm512_set1_epi8((char)0x80));
}

X86_INLINE __m512i pair_q4_0(const uint8_t *a, const uint8_t *b) {
    return pair_nibbles(a + 2, b + 2);
}

X86_INLINE __m512i pair_q4_1(const uint8_t *a, const uint8_t *b) {
    return pair_nibbles(a + 4, b + 4);
}

/* Nibbles with a fifth bit: bit k of the 32-bit word of high bits belongs to value k. */
X86_INLINE __m512i pair_five(const uint8_t *high_a, const uint8_t *high_b, __m512i nibbles) {
    const uint64_t high = load_u32(high_a) | (uint64_t)load_u32(high_b) << 32;
    const __m512i sixteen = _mm512_set1_epi8(16);
    return _mm512_mask_add_epi8(nibbles, (__mmask64)high, nibbles, sixteen);
}

X86_INLINE __m512i pair_q5_0(const uint8_t *a, const uint8_t *b) {
    return pair_five(a + 2, b + 2, pair_nibbles(a + 6, b + 6));
}

X86_INLINE __m512i pair_q5_1(const uint8_t *a, const uint8_t *b) {
    return pair_five(a + 4, b + 4, pair_nibbles(a + 8, b + 8));
}

#define BLOCKS32_Q4_0 ((blocks32){18, false, 8, 2, pair_q4_0})
#define BLOCKS32_Q4_1 ((blocks32){20, true, 0, 4, pair_q4_1})
#define BLOCKS32_Q5_0 ((blocks32){22, false, 16, 0, pair_q5_0})
#define BLOCKS32_Q5_1 ((blocks32){24, true, 0, 0, pair_q5_1})
#define BLOCKS32_Q8_0 ((blocks32){34, false, 128, 0, pair_q8_0})

/* ---- sixteen rows at once ----------------------------------------------------------------------
 * Eight pairs, pair j of rows j and j + 8. */

/* Dword k of every row: out[k] lane r = dword k of row r. Transposes in the two halves alike. */
X86_INLINE void pairs_transpose(const __m512i pair[8], __m512i out[8]) {
    __m512i t[8], u[8];
    for (int j = 0; j < 4; j++) {
        t[2 * j] = _mm512_unpacklo_epi32(pair[2 * j], pair[2 * j + 1]);
        t[2 * j + 1] = _mm512_unpackhi_epi32(pair[2 * j], pair[2 * j + 1]);
    }
    for (int j = 0; j < 2; j++) {
        u[4 * j] = _mm512_unpacklo_epi64(t[4 * j], t[4 * j + 2]);
        u[4 * j + 1] = _mm512_unpackhi_epi64(t[4 * j], t[4 * j + 2]);
        u[4 * j + 2] = _mm512_unpacklo_epi64(t[4 * j + 1], t[4 * j + 3]);
        u[4 * j + 3] = _mm512_unpackhi_epi64(t[4 * j + 1], t[4 * j + 3]);
    }
    const __m512i low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    const __m512i high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    for (int k = 0; k < 4; k++) {
        out[k] = _mm512_permutex2var_epi64(u[k], low, u[4 + k]);
        out[4 + k] = _mm512_permutex2var_epi64(u[k], high, u[4 + k]);
    }
}

X86_INLINE __m512i pairs_add_dwords(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

X86_INLINE __m512i pairs_add_qwords(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* 16 bytes from each of four places. */
X86_INLINE __m512i quad_bytes(const uint8_t *a, const uint8_t *b, const uint8_t *c,
                              const uint8_t *d) {
    __m512i all = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)a));
    all = _mm512_mask_broadcast_i64x2(all, 0x0c, _mm_loadu_si128((const __m128i *)b));
    all = _mm512_mask_broadcast_i64x2(all, 0x30, _mm_loadu_si128((const __m128i *)c));
    return _mm512_mask_broadcast_i64x2(all, 0xc0, _mm_loadu_si128((const __m128i *)d));
}

/* Four quads, quad j of rows j, j + 4, j + 8, j + 12. Lane r = sum of the four dwords of row r. */
X86_INLINE __m512i quads_sum(const __m512i quad[4]) {
    return pairs_add_qwords(pairs_add_dwords(quad[0], quad[1]), pairs_add_dwords(quad[2], quad[3]));
}

/* Lane r = sum of the eight dwords of row r. */
X86_INLINE __m512i pairs_sum(const __m512i pair[8]) {
    const __m512i a =
        pairs_add_qwords(pairs_add_dwords(pair[0], pair[1]), pairs_add_dwords(pair[2], pair[3]));
    const __m512i b =
        pairs_add_qwords(pairs_add_dwords(pair[4], pair[5]), pairs_add_dwords(pair[6], pair[7]));
    const __m512i low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    const __m512i high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    return _mm512_add_epi32(_mm512_permutex2var_epi64(a, low, b),
                            _mm512_permutex2var_epi64(a, high, b));
}

#endif
