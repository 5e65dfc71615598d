/* vec_avx512.h - a vector of floats in AVX-512, in the words of vector_loops.h. */
#ifndef KERNELS_X86_VEC_AVX512_H
#define KERNELS_X86_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define X86_INLINE static inline __attribute__((always_inline))

enum {
    VEC_WIDTH = 16,
    VEC_COUNT = 32, /* registers */
};

typedef __m512 vec;

X86_INLINE __mmask16 vec_first(size_t n) {
    return (__mmask16)((1u << n) - 1);
}

X86_INLINE vec vec_all(float f) {
    return _mm512_set1_ps(f);
}

X86_INLINE vec vec_load(const float *p) {
    return _mm512_loadu_ps(p);
}

X86_INLINE void vec_store(float *p, vec v) {
    _mm512_storeu_ps(p, v);
}

/* The first n < VEC_WIDTH values, zeros after them; touches nothing else in memory. */
X86_INLINE vec vec_load_part(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(vec_first(n), p);
}

X86_INLINE void vec_store_part(float *p, vec v, size_t n) {
    _mm512_mask_storeu_ps(p, vec_first(n), v);
}

/* VEC_WIDTH f16 values. */
X86_INLINE vec vec_load_f16(const uint8_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* The second of VEC_WIDTH pairs of bf16 values, or the first. */
X86_INLINE vec vec_load_odd(const uint8_t *p) {
    const __m512i pairs = _mm512_loadu_si512(p);
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000)));
}

X86_INLINE vec vec_load_even(const uint8_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}

/* a in the first n lanes, b in the others. */
X86_INLINE vec vec_choose_first(size_t n, vec a, vec b) {
    return _mm512_mask_blend_ps(vec_first(n), b, a);
}

X86_INLINE vec vec_add(vec a, vec b) {
    return _mm512_add_ps(a, b);
}

X86_INLINE vec vec_sub(vec a, vec b) {
    return _mm512_sub_ps(a, b);
}

X86_INLINE vec vec_mul(vec a, vec b) {
    return _mm512_mul_ps(a, b);
}

X86_INLINE vec vec_div(vec a, vec b) {
    return _mm512_div_ps(a, b);
}

X86_INLINE vec vec_fma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}

/* a > b ? a : b and a < b ? a : b, so b if one is NaN. */
X86_INLINE vec vec_max(vec a, vec b) {
    return _mm512_max_ps(a, b);
}

X86_INLINE vec vec_min(vec a, vec b) {
    return _mm512_min_ps(a, b);
}

X86_INLINE vec vec_negative(vec v) {
    return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f));
}

X86_INLINE vec vec_magnitude(vec v) {
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), v);
}

/* |v| with the sign of `sign`, for v that is not negative. */
X86_INLINE vec vec_with_sign(vec v, vec sign) {
    return _mm512_or_ps(v, _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
}

/* a < b ? yes : no; `no` if one is NaN. */
X86_INLINE vec vec_if_less(vec a, vec b, vec yes, vec no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}

/* Lanes that are NaN become NaN in `to`. */
X86_INLINE vec vec_keep_nan(vec to, vec v) {
    return _mm512_mask_mov_ps(to, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), v);
}

/* The numbers of the bits, less those of `zero`, as integers n: 2^(n >> 1) and 2^(n - (n >> 1)). */
X86_INLINE void vec_two_to(vec shifted, vec zero, vec *first, vec *second) {
    const __m512i n = _mm512_sub_epi32(_mm512_castps_si512(shifted), _mm512_castps_si512(zero));
    const __m512i half = _mm512_srai_epi32(n, 1), rest = _mm512_sub_epi32(n, half);
    const __m512i bias = _mm512_set1_epi32(127);
    *first = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(half, bias), 23));
    *second = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(rest, bias), 23));
}

/* p * 2^n, where n stands in the low 9 bits of `shifted` and the result is normal. NaN stays if the
 * low bits of its number and of `shifted` are 0, as the processor makes it. */
X86_INLINE vec vec_raised(vec p, vec shifted) {
    const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), n));
}

/* Pairs (a, b) turned by (c, s): fma(a, c, -(b * s)), fma(a, s, b * c). */
X86_INLINE vec vec_rotate(vec ab, vec cs) {
    const vec product = _mm512_mul_ps(_mm512_movehdup_ps(ab), _mm512_permute_ps(cs, 0xb1));
    return _mm512_fmaddsub_ps(_mm512_moveldup_ps(ab), cs, product);
}

/* The values at even and at odd places of `low` and `high` side by side. */
X86_INLINE void vec_unzip(vec low, vec high, vec *even, vec *odd) {
    const __m512i at = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *even = _mm512_permutex2var_ps(low, at, high);
    *odd = _mm512_permutex2var_ps(low, _mm512_add_epi32(at, _mm512_set1_epi32(1)), high);
}

/* Sixteen sums: the tree 8, 4, 2, 1. */
X86_INLINE float vec_tree(const vec *s) {
    const __m256 eight =
        _mm256_add_ps(_mm512_castps512_ps256(s[0]), _mm512_extractf32x8_ps(s[0], 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#endif
