/* blocks_512.h - 32 values of two weight rows at a time, as unsigned bytes, in AVX-512.
 *
 * A "pair" is a vector whose low half holds 32 successive values of one row and whose high half
 * those of another, in order, each with the type's offset added so that it is not negative:
 *   byte k = q[k] + offset
 * Everything else about the integer products is the same for all types.
 */
#ifndef KERNELS_X86_BLOCKS_512_H
#define KERNELS_X86_BLOCKS_512_H

#include "kernels/x86/heads256.h"
#include "kernels/x86/levels_e8m0.h"
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

/* Those nibbles' levels, plus offset. */
X86_INLINE __m512i pair_levels(const uint8_t *a, const uint8_t *b, const int8_t *levels,
                               int offset) {
    return _mm512_shuffle_epi8(levels_512(levels, offset), pair_nibbles(a, b));
}

/* ---- types of 32 values -------------------------------------------------------------------------
 */

typedef __m512i pair32_function(const uint8_t *a, const uint8_t *b);

typedef struct blocks32 {
    size_t bytes;         /* of a block, which begins with its scale */
    bool has_min;         /* a minimum follows the scale */
    int16_t offset;       /* byte = q + offset */
    size_t nibbles_at;    /* if the values are nibbles and nothing else: where; else 0 */
    const int8_t *levels; /* what nibbles stand for, before the offset; NULL: themselves */
    bool is_e8m0;         /* the scale is a byte of E8M0, no f16 */
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

X86_INLINE __m512i pair_iq4_nl(const uint8_t *a, const uint8_t *b) {
    return pair_levels(a + 2, b + 2, block_iq4_levels, 128);
}

X86_INLINE __m512i pair_mxfp4(const uint8_t *a, const uint8_t *b) {
    return pair_levels(a + 1, b + 1, block_mxfp4_levels, 12);
}

#define BLOCKS32_Q4_0 ((blocks32){BLOCKS32_Q4_0_BYTES, false, 8, 2, NULL, false, pair_q4_0})
#define BLOCKS32_Q4_1 ((blocks32){BLOCKS32_Q4_1_BYTES, true, 0, 4, NULL, false, pair_q4_1})
#define BLOCKS32_Q5_0 ((blocks32){BLOCKS32_Q5_0_BYTES, false, 16, 0, NULL, false, pair_q5_0})
#define BLOCKS32_Q5_1 ((blocks32){BLOCKS32_Q5_1_BYTES, true, 0, 0, NULL, false, pair_q5_1})
#define BLOCKS32_Q8_0 ((blocks32){BLOCKS32_Q8_0_BYTES, false, 128, 0, NULL, false, pair_q8_0})
#define BLOCKS32_IQ4_NL                                                                            \
    ((blocks32){BLOCKS32_IQ4_NL_BYTES, false, 128, 2, block_iq4_levels, false, pair_iq4_nl})
#define BLOCKS32_MXFP4                                                                             \
    ((blocks32){BLOCKS32_MXFP4_BYTES, false, 12, 1, block_mxfp4_levels, true, pair_mxfp4})

/* ---- types of 256 values ------------------------------------------------------------------------
 * `part` says which 32 of the 256; it is a constant wherever these are called. */

typedef __m512i pair256_function(const uint8_t *a, const uint8_t *b, int part);
typedef head256 head256_function(const uint8_t *block);

typedef struct blocks256 {
    size_t bytes;
    size_t d_at;      /* the block's scale */
    size_t dmin_at;   /* and that of its minimums; 0: has none */
    int offset_shift; /* without minimums: q = byte - (1 << offset_shift) */
    bool is_wide;     /* sums of four products do not fit into 16 bits */
    pair256_function *pair;
    head256_function *head;
} blocks256;

typedef uint16_t words_512 __attribute__((vector_size(64)));

/* v >> right, or v << -right, and the bits of each byte that are in the mask. */
X86_INLINE __m512i bits_of(__m512i v, int right, int mask) {
    const words_512 words = (words_512)v;
    const __m512i shifted = (__m512i)(right >= 0 ? words >> right : words << -right);
    return _mm512_and_si512(shifted, _mm512_set1_epi8((char)mask));
}

X86_INLINE __m512i pair_q2_k(const uint8_t *a, const uint8_t *b, int part) {
    const size_t at = 16 + (size_t)(part / 4) * 32;
    return bits_of(pair_bytes(a + at, b + at), part % 4 * 2, 3);
}

X86_INLINE __m512i pair_q3_k(const uint8_t *a, const uint8_t *b, int part) {
    const size_t at = 32 + (size_t)(part / 4) * 32;
    const __m512i low = bits_of(pair_bytes(a + at, b + at), part % 4 * 2, 3);
    return _mm512_or_si512(low, bits_of(pair_bytes(a, b), part - 2, 4));
}

X86_INLINE __m512i pair_q4_k(const uint8_t *a, const uint8_t *b, int part) {
    const size_t at = 16 + (size_t)(part / 2) * 32;
    return bits_of(pair_bytes(a + at, b + at), part % 2 * 4, 15);
}

X86_INLINE __m512i pair_q5_k(const uint8_t *a, const uint8_t *b, int part) {
    const size_t at = 48 + (size_t)(part / 2) * 32;
    const __m512i low = bits_of(pair_bytes(a + at, b + at), part % 2 * 4, 15);
    return _mm512_or_si512(low, bits_of(pair_bytes(a + 16, b + 16), part - 4, 16));
}

X86_INLINE __m512i pair_q6_k(const uint8_t *a, const uint8_t *b, int part) {
    const size_t at = (size_t)(part / 4) * 64 + (size_t)(part % 2) * 32;
    const size_t high_at = 128 + (size_t)(part / 4) * 32;
    const __m512i low = bits_of(pair_bytes(a + at, b + at), part % 4 / 2 * 4, 15);
    const __m512i high = pair_bytes(a + high_at, b + high_at);
    return _mm512_or_si512(low, bits_of(high, part % 4 * 2 - 4, 0x30));
}

X86_INLINE __m512i pair_iq4_xs(const uint8_t *a, const uint8_t *b, int part) {
    const size_t at = 8 + (size_t)part * 16;
    return pair_levels(a + at, b + at, block_iq4_levels, 128);
}

#define BLOCKS256_Q2_K ((blocks256){BLOCKS256_Q2_K_BYTES, 80, 82, 0, false, pair_q2_k, head_q2_k})
#define BLOCKS256_Q3_K ((blocks256){BLOCKS256_Q3_K_BYTES, 108, 0, 2, false, pair_q3_k, head_q3_k})
#define BLOCKS256_Q4_K ((blocks256){BLOCKS256_Q4_K_BYTES, 0, 2, 0, false, pair_q4_k, head_q4_k})
#define BLOCKS256_Q5_K ((blocks256){BLOCKS256_Q5_K_BYTES, 0, 2, 0, false, pair_q5_k, head_q4_k})
#define BLOCKS256_Q6_K ((blocks256){BLOCKS256_Q6_K_BYTES, 208, 0, 5, false, pair_q6_k, head_q6_k})
#define BLOCKS256_IQ4_XS                                                                           \
    ((blocks256){BLOCKS256_IQ4_XS_BYTES, 0, 0, 7, true, pair_iq4_xs, head_iq4_xs})

/* ---- sixteen rows at once -----------------------------------------------------------------------
 * Eight pairs, pair j of rows j and j + 8. */

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

/* Sixteen rows at one distance from each other, held in six registers: row r is reached from its
 * group of four by an addressing mode. */
typedef struct sixteen_rows {
    const uint8_t *four[4]; /* rows 0, 4, 8, 12 */
    size_t stride;
    size_t stride3;
} sixteen_rows;

static inline sixteen_rows sixteen_rows_at(const uint8_t *p, size_t stride) {
    sixteen_rows rows = {{p, p + 4 * stride, p + 8 * stride, p + 12 * stride}, stride, 3 * stride};
    /* Unknown from here on, lest the compiler computes an address for each row. */
    __asm__("" : "+r"(rows.four[1]), "+r"(rows.four[2]), "+r"(rows.four[3]), "+r"(rows.stride3));
    return rows;
}

X86_INLINE const uint8_t *sixteen_rows_get(const sixteen_rows *rows, size_t r) {
    return rows->four[r / 4] + (r % 4 == 3 ? rows->stride3 : r % 4 * rows->stride);
}

X86_INLINE void sixteen_rows_advance(sixteen_rows *rows, size_t bytes) {
    for (size_t g = 0; g < 4; g++) {
        rows->four[g] += bytes;
        __asm__("" : "+r"(rows->four[g]));
    }
}

/* out[r] = the f16 at row r + at. The stores are volatile, lest the compiler builds the vector by
 * shuffles instead, which are what the loops around this are short of. */
X86_INLINE void sixteen_rows_f16(const sixteen_rows *rows, size_t at, uint16_t out[16]) {
    for (size_t r = 0; r < 16; r++) {
        ((volatile uint16_t *)out)[r] = load_u16(sixteen_rows_get(rows, r) + at);
    }
}

X86_INLINE __m512 lanes_f16(const uint16_t *h) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)h));
}

/* Scales as they are collected: f16, or the low bytes E8M0. */
X86_INLINE __m512 lanes_scale(const blocks32 type, const uint16_t *scale) {
    if (!type.is_e8m0) {
        return lanes_f16(scale);
    }
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)scale));
    return floats_of_e8m0_512(_mm512_and_si512(words, _mm512_set1_epi32(255)));
}

/* The sixteen rows after these are wanted next: as many bytes of them as are used up here. */
X86_INLINE void prefetch_ahead(const uint8_t *p, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) {
        _mm_prefetch((const char *)p + at, _MM_HINT_T1);
    }
}

/* Keeps the compiler from moving loads that follow to before a prefetch, and so from putting all
 * prefetches of a loop together: too many at a time, and loads wait for them. */
X86_INLINE void prefetch_in_place(void) {
    __asm__ volatile("" : : : "memory");
}

/* Of the lines that prefetch_ahead(p, bytes) fetches, those whose number is `piece` modulo
 * `pieces`. */
X86_INLINE void prefetch_piece(const uint8_t *p, size_t bytes, size_t piece, size_t pieces) {
    for (size_t at = 64 * piece; at < bytes; at += 64 * pieces) {
        _mm_prefetch((const char *)p + at, _MM_HINT_T1);
    }
    prefetch_in_place();
}

#endif
