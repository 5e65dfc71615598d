/* vec_avx2.h - a vector of floats in AVX2, in the words of vector_loops.h. */
#ifndef KERNELS_X86_VEC_AVX2_H
#define KERNELS_X86_VEC_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define X86_INLINE static inline __attribute__((always_inline))

enum {
    VEC_WIDTH = 8,
    VEC_COUNT = 16, /* registers */
};

typedef __m256 vec;

X86_INLINE __m256i vec_first(size_t n) {
    const __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), at);
}

X86_INLINE vec vec_all(float f) {
    return _mm256_set1_ps(f);
}

X86_INLINE vec vec_load(const float *p) {
    return _mm256_loadu_ps(p);
}

X86_INLINE void vec_store(float *p, vec v) {
    _mm256_storeu_ps(p, v);
}

/* The first n < VEC_WIDTH values, zeros after them; touches nothing else in memory. */
X86_INLINE vec vec_load_part(const float *p, size_t n) {
    return _mm256_maskload_ps(p, vec_first(n));
}

X86_INLINE void vec_store_part(float *p, vec v, size_t n) {
    _mm256_maskstore_ps(p, vec_first(n), v);
}

/* VEC_WIDTH f16 values. */
X86_INLINE vec vec_load_f16(const uint8_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* The second of VEC_WIDTH pairs of bf16 values, or the first. */
X86_INLINE vec vec_load_odd(const uint8_t *p) {
    const __m256i pairs = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000)));
}

X86_INLINE vec vec_load_even(const uint8_t *p) {
    const __m256i pairs = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}

/* a in the first n lanes, b in the others. */
X86_INLINE vec vec_choose_first(size_t n, vec a, vec b) {
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(vec_first(n)));
}

X86_INLINE vec vec_add(vec a, vec b) {
    return _mm256_add_ps(a, b);
}

X86_INLINE vec vec_sub(vec a, vec b) {
    return _mm256_sub_ps(a, b);
}

X86_INLINE vec vec_mul(vec a, vec b) {
    return _mm256_mul_ps(a, b);
}

X86_INLINE vec vec_div(vec a, vec b) {
    return _mm256_div_ps(a, b);
}

X86_INLINE vec vec_fma(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}

/* a > b ? a : b and a < b ? a : b, so b if one is NaN. */
X86_INLINE vec vec_max(vec a, vec b) {
    return _mm256_max_ps(a, b);
}

X86_INLINE vec vec_min(vec a, vec b) {
    return _mm256_min_ps(a, b);
}

X86_INLINE vec vec_negative(vec v) {
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}

X86_INLINE vec vec_magnitude(vec v) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

/* |v| with the sign of `sign`, for v that is not negative. */
X86_INLINE vec vec_with_sign(vec v, vec sign) {
    return _mm256_or_ps(v, _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
}

/* a < b ? yes : no; `no` if one is NaN. */
X86_INLINE vec vec_if_less(vec a, vec b, vec yes, vec no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

/* Lanes that are NaN become NaN in `to`. */
X86_INLINE vec vec_keep_nan(vec to, vec v) {
    return _mm256_or_ps(to, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}

/* The numbers of the bits, less those of `zero`, as integers n: 2^(n >> 1) and 2^(n - (n >> 1)). */
X86_INLINE void vec_two_to(vec shifted, vec zero, vec *first, vec *second) {
    const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(zero));
    const __m256i half = _mm256_srai_epi32(n, 1), rest = _mm256_sub_epi32(n, half);
    const __m256i bias = _mm256_set1_epi32(127);
    *first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    *second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
}

/* p * 2^n, where n stands in the low 9 bits of `shifted` and the result is normal. NaN stays if the
 * low bits of its number and of `shifted` are 0, as the processor makes it. */
X86_INLINE vec vec_raised(vec p, vec shifted) {
    const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), n));
}

/* Pairs (a, b) turned by (c, s): fma(a, c, -(b * s)), fma(a, s, b * c). */
X86_INLINE vec vec_rotate(vec ab, vec cs) {
    const vec product = _mm256_mul_ps(_mm256_movehdup_ps(ab), _mm256_permute_ps(cs, 0xb1));
    return _mm256_fmaddsub_ps(_mm256_moveldup_ps(ab), cs, product);
}

/* The values at even and at odd places of `low` and `high` side by side. */
X86_INLINE void vec_unzip(vec low, vec high, vec *even, vec *odd) {
    const __m256d evens = _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0x88));
    const __m256d odds = _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0xdd));
    *even = _mm256_castpd_ps(_mm256_permute4x64_pd(evens, 0xd8));
    *odd = _mm256_castpd_ps(_mm256_permute4x64_pd(odds, 0xd8));
}

/* To nearest even. */
X86_INLINE vec vec_nearest(vec v) {
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Lane j of row i becomes lane i of row j, VEC_WIDTH rows. */
X86_INLINE void vec_transpose(vec *rows) {
    vec pairs[8], fours[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int j = 0; j < 2; j++) {
            fours[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0x44);
            fours[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0xee);
        }
    }
    for (int i = 0; i < 4; i++) {
        rows[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
    }
}

/* Sixteen sums, s[0] the first eight: the tree 8, 4, 2, 1. */
X86_INLINE float vec_tree(const vec *s) {
    const __m256 eight = _mm256_add_ps(s[0], s[1]);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#endif
