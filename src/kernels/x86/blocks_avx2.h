/* blocks_avx2.h - 32 values of a weight row at a time, as bytes, in AVX2.
 *
 * Byte k of a vector is q[k] + offset and not negative, but for Q8_0, IQ4_NL and IQ4_XS, whose
 * bytes are q[k] itself. VPMADDUBSW adds two neighbouring products in 16 bits; as all other types
 * have bytes of few bits, several such sums can be added before they need 32 bits. Everything else
 * about the integer products is the same for all types.
 */
#ifndef KERNELS_X86_BLOCKS_AVX2_H
#define KERNELS_X86_BLOCKS_AVX2_H

#include "kernels/x86/heads256.h"
#include "kernels/x86/levels_e8m0.h"
#include "kernels/x86/q8_rows.h"

#include <immintrin.h>

X86_INLINE __m256i row_bytes(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* The 32 nibbles of 16 bytes, low nibbles first, as the 32-value types have them. */
X86_INLINE __m256i row_nibbles(const uint8_t *p) {
    const __m256i twice =
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
    const __m256i shifted = _mm256_srlv_epi64(twice, _mm256_setr_epi64x(0, 0, 4, 4));
    return _mm256_and_si256(shifted, _mm256_set1_epi8(15));
}

/* Those nibbles' levels, plus offset. */
X86_INLINE __m256i row_levels(const uint8_t *p, const int8_t *levels, int offset) {
    return _mm256_shuffle_epi8(levels_256(levels, offset), row_nibbles(p));
}

/* Sums of two neighbouring products. A signed byte's sign goes over to x, which is never -128. */
X86_INLINE __m256i multiply_bytes(bool is_signed, __m256i w, __m256i x) {
    return is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                     : _mm256_maddubs_epi16(w, x);
}

/* 16 in byte k where bit k of the 32-bit word at p is set. */
X86_INLINE __m256i row_fifth_bits(const uint8_t *p) {
    const __m256i word = _mm256_set1_epi32(load_i32(p));
    const __m256i byte_at = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2,
                                             2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    const __m256i is_set =
        _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(word, byte_at), bit), bit);
    return _mm256_and_si256(is_set, _mm256_set1_epi8(16));
}

/* ---- types of 32 values -------------------------------------------------------------------------
 */

typedef struct blocks32 {
    size_t bytes;   /* of a block, which begins with its scale */
    bool has_min;   /* a minimum follows the scale */
    int16_t offset; /* byte = q + offset */
    bool is_signed; /* so are the bytes */
    bool is_e8m0;   /* the scale is a byte of E8M0, no f16 */
    __m256i (*row)(const uint8_t *block);
} blocks32;

X86_INLINE __m256i row_q8_0(const uint8_t *block) {
    return row_bytes(block + 2);
}

X86_INLINE __m256i row_q4_0(const uint8_t *block) {
    return row_nibbles(block + 2);
}

X86_INLINE __m256i row_q4_1(const uint8_t *block) {
    return row_nibbles(block + 4);
}

X86_INLINE __m256i row_q5_0(const uint8_t *block) {
    return _mm256_or_si256(row_nibbles(block + 6), row_fifth_bits(block + 2));
}

X86_INLINE __m256i row_q5_1(const uint8_t *block) {
    return _mm256_or_si256(row_nibbles(block + 8), row_fifth_bits(block + 4));
}

X86_INLINE __m256i row_iq4_nl(const uint8_t *block) {
    return row_levels(block + 2, block_iq4_levels, 0);
}

X86_INLINE __m256i row_mxfp4(const uint8_t *block) {
    return row_levels(block + 1, block_mxfp4_levels, 12);
}

#define BLOCKS32_Q4_0 ((blocks32){BLOCKS32_Q4_0_BYTES, false, 8, false, false, row_q4_0})
#define BLOCKS32_Q4_1 ((blocks32){BLOCKS32_Q4_1_BYTES, true, 0, false, false, row_q4_1})
#define BLOCKS32_Q5_0 ((blocks32){BLOCKS32_Q5_0_BYTES, false, 16, false, false, row_q5_0})
#define BLOCKS32_Q5_1 ((blocks32){BLOCKS32_Q5_1_BYTES, true, 0, false, false, row_q5_1})
#define BLOCKS32_Q8_0 ((blocks32){BLOCKS32_Q8_0_BYTES, false, 0, true, false, row_q8_0})
#define BLOCKS32_IQ4_NL ((blocks32){BLOCKS32_IQ4_NL_BYTES, false, 0, true, false, row_iq4_nl})
#define BLOCKS32_MXFP4 ((blocks32){BLOCKS32_MXFP4_BYTES, false, 12, false, true, row_mxfp4})

/* ---- types of 256 values ------------------------------------------------------------------------
 * `part` says which 32 of the 256; it is a constant wherever these are called. */

typedef struct blocks256 {
    size_t bytes;
    size_t d_at;      /* the block's scale */
    size_t dmin_at;   /* and that of its minimums; 0: has none */
    int offset_shift; /* without minimums: q = byte - (1 << offset_shift) */
    bool is_signed;   /* so are the bytes, and there is no offset */
    __m256i (*row)(const uint8_t *block, int part);
    head256 (*head)(const uint8_t *block);
} blocks256;

typedef uint16_t words_256 __attribute__((vector_size(32)));

/* v >> right, or v << -right, and the bits of each byte that are in the mask. */
X86_INLINE __m256i bits_of(__m256i v, int right, int mask) {
    const words_256 words = (words_256)v;
    const __m256i shifted = (__m256i)(right >= 0 ? words >> right : words << -right);
    return _mm256_and_si256(shifted, _mm256_set1_epi8((char)mask));
}

X86_INLINE __m256i row_q2_k(const uint8_t *block, int part) {
    return bits_of(row_bytes(block + 16 + part / 4 * 32), part % 4 * 2, 3);
}

X86_INLINE __m256i row_q3_k(const uint8_t *block, int part) {
    const __m256i low = bits_of(row_bytes(block + 32 + part / 4 * 32), part % 4 * 2, 3);
    return _mm256_or_si256(low, bits_of(row_bytes(block), part - 2, 4));
}

X86_INLINE __m256i row_q4_k(const uint8_t *block, int part) {
    return bits_of(row_bytes(block + 16 + part / 2 * 32), part % 2 * 4, 15);
}

X86_INLINE __m256i row_q5_k(const uint8_t *block, int part) {
    const __m256i low = bits_of(row_bytes(block + 48 + part / 2 * 32), part % 2 * 4, 15);
    return _mm256_or_si256(low, bits_of(row_bytes(block + 16), part - 4, 16));
}

X86_INLINE __m256i row_q6_k(const uint8_t *block, int part) {
    const __m256i low =
        bits_of(row_bytes(block + part / 4 * 64 + part % 2 * 32), part % 4 / 2 * 4, 15);
    const __m256i high = row_bytes(block + 128 + part / 4 * 32);
    return _mm256_or_si256(low, bits_of(high, part % 4 * 2 - 4, 0x30));
}

X86_INLINE __m256i row_iq4_xs(const uint8_t *block, int part) {
    return row_levels(block + 8 + part * 16, block_iq4_levels, 0);
}

#define BLOCKS256_Q2_K ((blocks256){BLOCKS256_Q2_K_BYTES, 80, 82, 0, false, row_q2_k, head_q2_k})
#define BLOCKS256_Q3_K ((blocks256){BLOCKS256_Q3_K_BYTES, 108, 0, 2, false, row_q3_k, head_q3_k})
#define BLOCKS256_Q4_K ((blocks256){BLOCKS256_Q4_K_BYTES, 0, 2, 0, false, row_q4_k, head_q4_k})
#define BLOCKS256_Q5_K ((blocks256){BLOCKS256_Q5_K_BYTES, 0, 2, 0, false, row_q5_k, head_q4_k})
#define BLOCKS256_Q6_K ((blocks256){BLOCKS256_Q6_K_BYTES, 208, 0, 5, false, row_q6_k, head_q6_k})
#define BLOCKS256_IQ4_XS                                                                           \
    ((blocks256){BLOCKS256_IQ4_XS_BYTES, 0, 0, 0, true, row_iq4_xs, head_iq4_xs})

/* ---- eight rows at once -------------------------------------------------------------------------
 */

X86_INLINE __m256i lanes_lower(__m256i a, __m256i b) {
    return _mm256_permute2x128_si256(a, b, 0x20);
}

X86_INLINE __m256i lanes_upper(__m256i a, __m256i b) {
    return _mm256_permute2x128_si256(a, b, 0x31);
}

X86_INLINE __m256i rows_add_dwords(__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}

X86_INLINE __m256i rows_add_qwords(__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

/* Lane r = sum of the eight dwords of row[r]. */
X86_INLINE __m256i rows_sum(const __m256i row[8]) {
    const __m256i a =
        rows_add_qwords(rows_add_dwords(row[0], row[1]), rows_add_dwords(row[2], row[3]));
    const __m256i b =
        rows_add_qwords(rows_add_dwords(row[4], row[5]), rows_add_dwords(row[6], row[7]));
    return _mm256_add_epi32(lanes_lower(a, b), lanes_upper(a, b));
}

/* Eight rows at one distance from each other, held in four registers. */
typedef struct eight_rows {
    const uint8_t *four[2]; /* rows 0 and 4 */
    size_t stride;
    size_t stride3;
} eight_rows;

static inline eight_rows eight_rows_at(const uint8_t *p, size_t stride) {
    eight_rows rows = {{p, p + 4 * stride}, stride, 3 * stride};
    /* Unknown from here on, lest the compiler computes an address for each row. */
    __asm__("" : "+r"(rows.four[1]), "+r"(rows.stride3));
    return rows;
}

X86_INLINE const uint8_t *eight_rows_get(const eight_rows *rows, size_t r) {
    return rows->four[r / 4] + (r % 4 == 3 ? rows->stride3 : r % 4 * rows->stride);
}

X86_INLINE void eight_rows_advance(eight_rows *rows, size_t bytes) {
    for (size_t g = 0; g < 2; g++) {
        rows->four[g] += bytes;
        __asm__("" : "+r"(rows->four[g]));
    }
}

/* out[r] = the f16 at row r + at. The stores are volatile, lest the compiler builds the vector by
 * shuffles instead, which are what the loops around this are short of. */
X86_INLINE void eight_rows_f16(const eight_rows *rows, size_t at, uint16_t out[8]) {
    for (size_t r = 0; r < 8; r++) {
        ((volatile uint16_t *)out)[r] = load_u16(eight_rows_get(rows, r) + at);
    }
}

X86_INLINE __m256 lanes_f16(const uint16_t *h) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)h));
}

/* Scales as they are collected: f16, or the low bytes E8M0. */
X86_INLINE __m256 lanes_scale(const blocks32 type, const uint16_t *scale) {
    if (!type.is_e8m0) {
        return lanes_f16(scale);
    }
    const __m256i words =
        _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)scale));
    return floats_of_e8m0_256(_mm256_and_si256(words, _mm256_set1_epi32(255)));
}

/* The eight rows after these are wanted next: as many bytes of them as are used up here. */
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

#endif
