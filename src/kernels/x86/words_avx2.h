/* words_avx2.h - the vectors of packed_loops.h in AVX2: eight weight rows. words_madd.h or
 * words_vnni.h adds the sums of products. */
#ifndef KERNELS_X86_WORDS_AVX2_H
#define KERNELS_X86_WORDS_AVX2_H

#include "kernels/x86/levels_e8m0.h"
#include "kernels/x86/q8_rows.h"

#include <immintrin.h>

enum {
    LANES = 8,
    ROWS = 4, /* activation rows taken together */
};

typedef __m256i vec_int;
typedef __m256 vec_float;

X86_INLINE vec_int int_load(const void *p) {
    return _mm256_loadu_si256(p);
}

X86_INLINE void int_store(void *p, vec_int v) {
    _mm256_storeu_si256(p, v);
}

X86_INLINE vec_int int_all(const void *p) {
    return _mm256_set1_epi32(load_i32(p));
}

X86_INLINE vec_int int_all_bytes(int byte) {
    return _mm256_set1_epi8((char)byte);
}

/* A number of 16 bits for each lane, not negative. */
X86_INLINE vec_int int_of_u16(const void *p) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(p));
}

/* What sixteen levels plus an offset give for the nibbles in each byte. */
X86_INLINE vec_int int_look_up(const int8_t *levels, int offset, vec_int nibbles) {
    return _mm256_shuffle_epi8(levels_256(levels, offset), nibbles);
}

X86_INLINE vec_int int_zero(void) {
    return _mm256_setzero_si256();
}

X86_INLINE vec_int int_and(vec_int a, vec_int b) {
    return _mm256_and_si256(a, b);
}

X86_INLINE vec_int int_or(vec_int a, vec_int b) {
    return _mm256_or_si256(a, b);
}

X86_INLINE vec_int int_xor(vec_int a, vec_int b) {
    return _mm256_xor_si256(a, b);
}

X86_INLINE vec_int int_add(vec_int a, vec_int b) {
    return _mm256_add_epi32(a, b);
}

X86_INLINE vec_int int_sub(vec_int a, vec_int b) {
    return _mm256_sub_epi32(a, b);
}

X86_INLINE vec_int int_mul(vec_int a, vec_int b) {
    return _mm256_mullo_epi32(a, b);
}

X86_INLINE vec_int int_sub_bytes(vec_int a, vec_int b) {
    return _mm256_sub_epi8(a, b);
}

X86_INLINE vec_int int_shift_left(vec_int a, int bits) {
    return _mm256_slli_epi32(a, bits);
}

typedef uint16_t words_16 __attribute__((vector_size(32)));

/* Bits of a byte go over to its neighbours in a word of 16. */
X86_INLINE vec_int int_right_16(vec_int a, int bits) {
    return (vec_int)((words_16)a >> bits);
}

X86_INLINE vec_int int_left_16(vec_int a, int bits) {
    return (vec_int)((words_16)a << bits);
}

/* Bytes of each lane's word by number (0 to 3; 0x80: zero). */
X86_INLINE vec_int int_pick_bytes(vec_int a, uint32_t which) {
    const vec_int lanes = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
    return _mm256_shuffle_epi8(a, _mm256_or_si256(_mm256_set1_epi32((int)which), lanes));
}

/* The upper byte of each word of 16 bits, signed. */
X86_INLINE vec_int int_sign_16(vec_int a) {
    return _mm256_srai_epi16(a, 8);
}

/* The uppermost byte of each lane, signed. */
X86_INLINE vec_int int_sign_32(vec_int a) {
    return _mm256_srai_epi32(a, 24);
}

X86_INLINE vec_int int_add_16(vec_int a, vec_int b) {
    return _mm256_add_epi16(a, b);
}

/* Sums of two products of 16 bits, in 32. */
X86_INLINE vec_int int_pairs_16(vec_int a, vec_int b) {
    return _mm256_madd_epi16(a, b);
}

/* Sums of two products of an unsigned byte and a signed one, in 16 bits. */
X86_INLINE vec_int int_pairs_8(vec_int a, vec_int b) {
    return _mm256_maddubs_epi16(a, b);
}

X86_INLINE vec_int int_abs_8(vec_int a) {
    return _mm256_abs_epi8(a);
}

/* The bytes of a, negated where those of b are negative. Where b is 0 they may be 0, too. */
X86_INLINE vec_int int_negate_8(vec_int a, vec_int b) {
    return _mm256_sign_epi8(a, b);
}

/* ---- floats */

X86_INLINE vec_float float_zero(void) {
    return _mm256_setzero_ps();
}

X86_INLINE vec_float float_load(const float *p) {
    return _mm256_loadu_ps(p);
}

X86_INLINE void float_store(float *p, vec_float v) {
    _mm256_storeu_ps(p, v);
}

X86_INLINE vec_float float_all(const float *p) {
    return _mm256_broadcast_ss(p);
}

X86_INLINE vec_float float_of_int(vec_int v) {
    return _mm256_cvtepi32_ps(v);
}

X86_INLINE vec_float float_of_f16(const void *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}

/* A byte of E8M0 for each lane: half of what it stands for. */
X86_INLINE vec_float float_of_e8m0(const void *p) {
    return floats_of_e8m0_256(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p)));
}

X86_INLINE vec_float float_mul(vec_float a, vec_float b) {
    return _mm256_mul_ps(a, b);
}

/* a * b + c, and c - a * b, rounded once. */
X86_INLINE vec_float float_fma(vec_float a, vec_float b, vec_float c) {
    return _mm256_fmadd_ps(a, b, c);
}

X86_INLINE vec_float float_fnma(vec_float a, vec_float b, vec_float c) {
    return _mm256_fnmadd_ps(a, b, c);
}

#endif
