/* words_avx512.h - the vectors of packed_loops.h in AVX-512 with VNNI: sixteen weight rows. */
#ifndef KERNELS_X86_WORDS_AVX512_H
#define KERNELS_X86_WORDS_AVX512_H

#include "kernels/x86/q8_rows.h"

#include <immintrin.h>

enum {
    LANES = 16,
    ROWS = 8,            /* activation rows taken together */
    SIGNED_OFFSET = 128, /* VPDPBUSD wants unsigned weights: signed bytes get this added */
};

typedef __m512i vec_int;
typedef __m512 vec_float;

X86_INLINE vec_int int_load(const void *p) {
    return _mm512_loadu_si512(p);
}

X86_INLINE void int_store(void *p, vec_int v) {
    _mm512_storeu_si512(p, v);
}

X86_INLINE vec_int int_all(const void *p) {
    return _mm512_set1_epi32(load_i32(p));
}

X86_INLINE vec_int int_all_bytes(int byte) {
    return _mm512_set1_epi8((char)byte);
}

X86_INLINE vec_int int_zero(void) {
    return _mm512_setzero_si512();
}

X86_INLINE vec_int int_and(vec_int a, vec_int b) {
    return _mm512_and_si512(a, b);
}

X86_INLINE vec_int int_or(vec_int a, vec_int b) {
    return _mm512_or_si512(a, b);
}

X86_INLINE vec_int int_add(vec_int a, vec_int b) {
    return _mm512_add_epi32(a, b);
}

X86_INLINE vec_int int_sub(vec_int a, vec_int b) {
    return _mm512_sub_epi32(a, b);
}

X86_INLINE vec_int int_sub_bytes(vec_int a, vec_int b) {
    return _mm512_sub_epi8(a, b);
}

X86_INLINE vec_int int_shift_left(vec_int a, int bits) {
    return _mm512_sll_epi32(a, _mm_cvtsi32_si128(bits));
}

typedef uint16_t words_16 __attribute__((vector_size(64)));

/* Bits of a byte go over to its neighbours in a word of 16. */
X86_INLINE vec_int int_right_16(vec_int a, int bits) {
    return (vec_int)((words_16)a >> bits);
}

X86_INLINE vec_int int_left_16(vec_int a, int bits) {
    return (vec_int)((words_16)a << bits);
}

/* Bytes of each lane's word by number (0 to 3; 0x80: zero). */
X86_INLINE vec_int int_pick_bytes(vec_int a, uint32_t which) {
    const vec_int lanes =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
    return _mm512_shuffle_epi8(a, _mm512_or_si512(_mm512_set1_epi32((int)which), lanes));
}

X86_INLINE vec_int int_sign_16(vec_int a) {
    return _mm512_srai_epi16(a, 8);
}

X86_INLINE vec_int int_madd_16(vec_int sum, vec_int a, vec_int b) {
    return _mm512_dpwssd_epi32(sum, a, b);
}

/* ---- sums of products of bytes: unsigned weights and signed activations, any number of them. */

X86_INLINE size_t int_dot_fit(size_t fit) {
    (void)fit;
    return 8;
}

X86_INLINE vec_int int_dot_begin(vec_int start, vec_int w, vec_int x) {
    return _mm512_dpbusd_epi32(start, w, x);
}

X86_INLINE vec_int int_dot_more(vec_int sum, vec_int w, vec_int x) {
    return _mm512_dpbusd_epi32(sum, w, x);
}

X86_INLINE vec_int int_dot_end(vec_int start, vec_int sum) {
    (void)start; /* the sum began with it */
    return sum;
}

X86_INLINE vec_int int_dot_signed(vec_int start, vec_int w, vec_int x) {
    return _mm512_dpbusd_epi32(start, _mm512_xor_si512(w, int_all_bytes(0x80)), x);
}

/* A small scale, byte `which` of each lane's word, as int_dot_scaled wants it. */
X86_INLINE vec_int int_dot_scale(vec_int bytes, int which) {
    const vec_int top = int_shift_left(bytes, 24 - 8 * which);
    return _mm512_srai_epi32(top, 24);
}

X86_INLINE vec_int int_dot_scaled(vec_int start, vec_int sum, vec_int scale) {
    return _mm512_add_epi32(start, _mm512_mullo_epi32(sum, scale));
}

/* ---- floats */

X86_INLINE vec_float float_zero(void) {
    return _mm512_setzero_ps();
}

X86_INLINE vec_float float_load(const float *p) {
    return _mm512_loadu_ps(p);
}

X86_INLINE void float_store(float *p, vec_float v) {
    _mm512_storeu_ps(p, v);
}

X86_INLINE vec_float float_all(const float *p) {
    return _mm512_set1_ps(*p);
}

X86_INLINE vec_float float_of_int(vec_int v) {
    return _mm512_cvtepi32_ps(v);
}

X86_INLINE vec_float float_of_f16(const void *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}

X86_INLINE vec_float float_mul(vec_float a, vec_float b) {
    return _mm512_mul_ps(a, b);
}

/* a * b + c, and c - a * b, rounded once. */
X86_INLINE vec_float float_fma(vec_float a, vec_float b, vec_float c) {
    return _mm512_fmadd_ps(a, b, c);
}

X86_INLINE vec_float float_fnma(vec_float a, vec_float b, vec_float c) {
    return _mm512_fnmadd_ps(a, b, c);
}

#endif
