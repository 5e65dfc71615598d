/* float_512.h - float products with a few activation rows in AVX-512, whatever the weights' type.
 *
 * A step takes 64 bytes of activations (16 floats or 32 bfloat16) and as many weights, and adds
 * their products to sixteen partial sums, which are one vector.
 */
#ifndef KERNELS_X86_FLOAT_512_H
#define KERNELS_X86_FLOAT_512_H

#include "kernels/x86/float_tiles.h"

#include <immintrin.h>

#define X86_INLINE static inline __attribute__((always_inline))

enum {
    FLOAT_GROUP_512 = 4, /* activation rows at a time */
};

typedef struct steps_512 {
    size_t values;  /* in a step */
    size_t w_bytes; /* of weights in a step */
    __m512i (*load)(const uint8_t *w);
    __m512 (*add)(__m512 sum, __m512i w, __m512i x);
    /* The first n values of a step; reads nothing else and changes no other partial sums. */
    __m512i (*load_part)(const uint8_t *w, size_t n);
    __m512i (*load_x_part)(const uint8_t *x, size_t n);
    __m512 (*add_part)(__m512 sum, __m512i w, __m512i x, size_t n);
} steps_512;

/* float_multiply for n_w <= 8 weight rows and n_x activation rows, both constants. `ahead`: while
 * these rows are used, the same places of the FLOAT_ROWS rows after them are prefetched; if a line
 * lasts for two steps, every other row in each. */
X86_INLINE void multiply_512(const steps_512 type, const bool ahead, const size_t n_w,
                             const size_t n_x, const uint8_t *w, size_t w_stride, size_t n,
                             const uint8_t *x, size_t x_stride, bool first, float_partial *partial,
                             size_t at) {
    __m512 sum[8][FLOAT_GROUP_512];
    __m512i xs[FLOAT_GROUP_512];
    const size_t line = 64 / type.w_bytes;
    for (size_t r = 0; r < n_w; r++) {
        for (size_t i = 0; i < n_x; i++) {
            sum[r][i] = first ? _mm512_setzero_ps() : _mm512_load_ps(partial[i].s[at + r]);
        }
    }
    for (; n >= type.values; n -= type.values, w += type.w_bytes, x += 64) {
        for (size_t i = 0; i < n_x; i++) {
            xs[i] = _mm512_load_si512(x + i * x_stride);
        }
        for (size_t r = 0; r < n_w; r++) {
            const __m512i ws = type.load(w + r * w_stride);
            if (ahead && r % line == 0) {
                const uint8_t *same = w + (r + FLOAT_ROWS + n / type.values % line) * w_stride;
                _mm_prefetch((const char *)same, _MM_HINT_T1);
            }
            for (size_t i = 0; i < n_x; i++) {
                sum[r][i] = type.add(sum[r][i], ws, xs[i]);
            }
        }
    }
    if (n > 0) {
        for (size_t i = 0; i < n_x; i++) {
            xs[i] = type.load_x_part(x + i * x_stride, n);
        }
        for (size_t r = 0; r < n_w; r++) {
            const __m512i ws = type.load_part(w + r * w_stride, n);
            for (size_t i = 0; i < n_x; i++) {
                sum[r][i] = type.add_part(sum[r][i], ws, xs[i], n);
            }
        }
    }
    for (size_t r = 0; r < n_w; r++) {
        for (size_t i = 0; i < n_x; i++) {
            _mm512_store_ps(partial[i].s[at + r], sum[r][i]);
        }
    }
}

/* float_multiply. */
X86_INLINE void multiply_rows_512(const steps_512 type, const bool ahead, const uint8_t *w,
                                  size_t w_stride, size_t n, const uint8_t *x, size_t x_stride,
                                  size_t n_row, bool first, float_partial *partial) {
    const uint8_t *w4 = w + 4 * w_stride;
    switch (n_row) {
    case 1:
        multiply_512(type, ahead, 8, 1, w, w_stride, n, x, x_stride, first, partial, 0);
        break;
    case 2:
        multiply_512(type, ahead, 8, 2, w, w_stride, n, x, x_stride, first, partial, 0);
        break;
    case 3:
        multiply_512(type, ahead, 8, 3, w, w_stride, n, x, x_stride, first, partial, 0);
        break;
    default:
        multiply_512(type, ahead, 4, 4, w, w_stride, n, x, x_stride, first, partial, 0);
        multiply_512(type, ahead, 4, 4, w4, w_stride, n, x, x_stride, first, partial, 4);
        break;
    }
}

/* ---- the final tree -----------------------------------------------------------------------------
 */

X86_INLINE __m512 tree8_512(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}

X86_INLINE __m512 tree4_512(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

X86_INLINE __m512 tree2_512(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}

X86_INLINE __m512 tree1_512(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

/* Row r's sums become lane r. */
X86_INLINE __m256 tree_rows_512(const float_partial *partial) {
    __m512 t[4];
    for (size_t d = 0; d < 4; d++) {
        /* Four lanes of 128 bits: row d, row d + 4, and the same again. */
        const __m512 a =
            tree8_512(_mm512_load_ps(partial->s[d]), _mm512_load_ps(partial->s[d + 4]));
        t[d] = tree4_512(a, a);
    }
    return _mm512_castps512_ps256(tree1_512(tree2_512(t[0], t[1]), tree2_512(t[2], t[3])));
}

/* float_finish */
X86_INLINE void finish_512(const float_partial *partial, size_t n_out, float *y) {
    const __mmask8 mask = (__mmask8)((1u << n_out) - 1);
    _mm256_mask_storeu_ps(y, mask, tree_rows_512(partial));
}

/* ---- steps of whole vectors ------------------------------------------------------------------ */

X86_INLINE __mmask16 lanes_512(size_t n) {
    return (__mmask16)((1u << n) - 1);
}

X86_INLINE __m512i load_512(const uint8_t *p) {
    return _mm512_loadu_si512(p);
}

X86_INLINE __m512i load_part32_512(const uint8_t *p, size_t n) {
    return _mm512_maskz_loadu_epi32(lanes_512(n), p);
}

X86_INLINE __m512i load_part16_512(const uint8_t *p, size_t n) {
    return _mm512_maskz_loadu_epi16((__mmask32)(((uint64_t)1 << n) - 1), p);
}

#endif
