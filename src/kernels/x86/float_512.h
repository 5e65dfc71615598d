/* float_512.h - float products of weights as they lie in AVX-512, whatever the weights' type.
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
    FLOAT_FEW_512 = FLOAT_GROUP, /* activation rows that meet eight weight rows at once */
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
    bool flushes; /* `add` takes and gives zero for subnormals, by the processor's mode */
} steps_512;

/* v, loaded into a register. Without it GCC loads it again for each use as an operand, and the
 * processor has fewer loads than products a cycle. */
X86_INLINE __m512i in_register_512(__m512i v) {
    __asm__("" : "+v"(v));
    return v;
}

/* v, which is computed before this and used only after it: neither moves across a change of mode
 * beside it. */
X86_INLINE __m512 pinned_512(__m512 v) {
    __asm__ volatile("" : "+v"(v) : : "memory");
    return v;
}

/* `steps` steps, one or two, of `count` weight rows, of which row r lies at w[r / 4] + r % 4 *
 * stride, and of n_x activation rows; these are constants. What lies `ahead` behind is asked for
 * meanwhile, if `fetch` says so, a constant too: where it is for nothing it takes time. */
X86_INLINE void steps_of_512(const steps_512 type, const bool fetch, const size_t steps,
                             const size_t count, const size_t n_x, const uint8_t *w[2],
                             size_t stride, size_t ahead, const uint8_t *x, size_t x_stride,
                             __m512 sum[FLOAT_ROWS][FLOAT_SIX]) {
    __m512i xs[2][FLOAT_SIX];
    for (size_t k = 0; k < steps; k++) {
        for (size_t i = 0; i < n_x; i++) {
            xs[k][i] = _mm512_load_si512(x + i * x_stride + 64 * k);
        }
    }
    for (size_t r = 0; r < count; r++) {
        const uint8_t *at = w[r / 4] + r % 4 * stride;
        if (fetch) {
            float_fetch(at, ahead);
        }
        for (size_t k = 0; k < steps; k++) {
            const __m512i ws = in_register_512(type.load(at + k * type.w_bytes));
            for (size_t i = 0; i < n_x; i++) {
                sum[r][i] = type.add(sum[r][i], ws, xs[k][i]);
            }
        }
    }
    w[0] += steps * type.w_bytes;
    w[1] += steps * type.w_bytes;
}

/* All steps; sum[r][i] is that of weight row r and activation row i. A few activation rows meet
 * whole lines of weights: rows may lie so that their lines take each other's places in L1. */
X86_INLINE void multiply_512(const steps_512 type, const bool fetch, const size_t count,
                             const size_t n_x, const uint8_t *w[2], size_t stride, size_t ahead,
                             size_t n, const uint8_t *x, size_t x_stride,
                             __m512 sum[FLOAT_ROWS][FLOAT_SIX]) {
    const size_t in_line = n_x <= FLOAT_FEW_512 ? 64 / type.w_bytes : 1; /* steps */
    const unsigned mode = type.flushes ? _mm_getcsr() : 0;
    if (type.flushes) {
        _mm_setcsr(mode | FLOAT_FLUSH_MODE);
    }
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < n_x; i++) {
            sum[r][i] = type.flushes ? pinned_512(_mm512_setzero_ps()) : _mm512_setzero_ps();
        }
    }
    for (; in_line > 1 && n >= in_line * type.values; n -= in_line * type.values) {
        steps_of_512(type, fetch, in_line, count, n_x, w, stride, ahead, x, x_stride, sum);
        x += 64 * in_line;
    }
    for (; n >= type.values; n -= type.values, x += 64) {
        steps_of_512(type, fetch, 1, count, n_x, w, stride, ahead, x, x_stride, sum);
    }
    if (n > 0) {
        __m512i xs[FLOAT_SIX];
        for (size_t i = 0; i < n_x; i++) {
            xs[i] = type.load_x_part(x + i * x_stride, n);
        }
        for (size_t r = 0; r < count; r++) {
            const __m512i ws = type.load_part(w[r / 4] + r % 4 * stride, n);
            for (size_t i = 0; i < n_x; i++) {
                sum[r][i] = type.add_part(sum[r][i], ws, xs[i], n);
            }
        }
    }
    if (type.flushes) {
        for (size_t r = 0; r < count; r++) {
            for (size_t i = 0; i < n_x; i++) {
                sum[r][i] = pinned_512(sum[r][i]);
            }
        }
        _mm_setcsr(mode);
    }
}

/* ---- a few activation rows ------------------------------------------------------------------- */

X86_INLINE void multiply_eight_512(const steps_512 type, const size_t n_x, float_eight rows,
                                   size_t n, const uint8_t *x, size_t x_stride,
                                   float_partial *partial) {
    __m512 sum[FLOAT_ROWS][FLOAT_SIX];
    const uint8_t *w[2] = {rows.at, rows.at + rows.half};
    multiply_512(type, true, FLOAT_ROWS, n_x, w, rows.stride, rows.ahead, n, x, x_stride, sum);
    for (size_t r = 0; r < FLOAT_ROWS; r++) {
        for (size_t i = 0; i < n_x; i++) {
            _mm512_store_ps(partial[i].s[r], sum[r][i]);
        }
    }
}

/* float_direct for up to FLOAT_FEW_512 activation rows. */
X86_INLINE void multiply_rows_512(const steps_512 type, float_eight w, size_t n, const uint8_t *x,
                                  size_t x_stride, size_t n_row, float_partial *partial) {
    switch (n_row) {
    case 1:
        multiply_eight_512(type, 1, w, n, x, x_stride, partial);
        break;
    case 2:
        multiply_eight_512(type, 2, w, n, x, x_stride, partial);
        break;
    default:
        multiply_eight_512(type, 3, w, n, x, x_stride, partial);
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

/* ---- one activation row ---------------------------------------------------------------------- */

/* float_in_order. Nothing is asked for ahead: that takes from what the processor does by itself. */
X86_INLINE void multiply_in_order_512(const steps_512 type, const float_rows *rows, size_t n,
                                      const uint8_t *x, float *y) {
    _Alignas(64) float_partial partial = {0};
    for (size_t r = 0, count; r < rows->count; r += count) {
        count = rows->count - r < FLOAT_ROWS ? rows->count - r : FLOAT_ROWS;
        for (size_t k = 0; k < count; k++) {
            __m512 sum[FLOAT_ROWS][FLOAT_SIX];
            const uint8_t *const at = rows->at + (r + k) * rows->stride, *w[2] = {at, at};
            multiply_512(type, false, 1, 1, w, 0, 0, n, x, 0, sum);
            _mm512_store_ps(partial.s[k], sum[0][0]);
        }
        finish_512(&partial, count, y + r);
    }
}

/* ---- many activation rows -------------------------------------------------------------------- */

/* y[i * y_stride + r] = the sum of sum[r][i], by the tree, of four weight rows and at most four
 * activation rows from `first` on of n_x, a constant. */
X86_INLINE void finish_fours_512(__m512 sum[FLOAT_ROWS][FLOAT_SIX], const size_t first,
                                 const size_t n_x, float *y, size_t y_stride) {
    const __m512i turn = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const size_t count = n_x - first < 4 ? n_x - first : 4;
    __m512 four[4]; /* of an activation row; row r's are lane r of 128 bits */
    for (size_t k = 0; k < 4; k++) {
        const size_t i = first + (k < count ? k : count - 1);
        four[k] = tree4_512(tree8_512(sum[0][i], sum[1][i]), tree8_512(sum[2][i], sum[3][i]));
    }
    const __m512 all = tree1_512(tree2_512(four[0], four[1]), tree2_512(four[2], four[3]));
    const __m512 of_rows = _mm512_permutexvar_ps(turn, all);
    float *to = y + first * y_stride;
    _mm_storeu_ps(to, _mm512_castps512_ps128(of_rows));
    if (count > 1) {
        _mm_storeu_ps(to + y_stride, _mm512_extractf32x4_ps(of_rows, 1));
    }
    if (count > 2) {
        _mm_storeu_ps(to + 2 * y_stride, _mm512_extractf32x4_ps(of_rows, 2));
    }
    if (count > 3) {
        _mm_storeu_ps(to + 3 * y_stride, _mm512_extractf32x4_ps(of_rows, 3));
    }
}

/* Four weight rows and a group of n_x > 2 activation rows, a constant. */
X86_INLINE void multiply_four_512(const steps_512 type, const bool fetch, const size_t n_x,
                                  const float_four *rows, size_t n, const uint8_t *x,
                                  size_t x_stride, float *y, size_t y_stride) {
    __m512 sum[FLOAT_ROWS][FLOAT_SIX];
    const uint8_t *w[2] = {rows->at, rows->at};
    multiply_512(type, fetch, 4, n_x, w, rows->stride, rows->ahead, n, x, x_stride, sum);
    finish_fours_512(sum, 0, n_x, y, y_stride);
    if (n_x > 4) {
        finish_fours_512(sum, 4, n_x, y, y_stride);
    }
}

X86_INLINE void multiply_group_512(const steps_512 type, const bool fetch, const float_four *rows,
                                   size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                                   float *y, size_t y_stride) {
    switch (n_row) {
    case 3:
        multiply_four_512(type, fetch, 3, rows, n, x, x_stride, y, y_stride);
        break;
    case 4:
        multiply_four_512(type, fetch, 4, rows, n, x, x_stride, y, y_stride);
        break;
    case 5:
        multiply_four_512(type, fetch, 5, rows, n, x, x_stride, y, y_stride);
        break;
    default:
        multiply_four_512(type, fetch, 6, rows, n, x, x_stride, y, y_stride);
        break;
    }
}

/* How many of the activation rows that are left make a group: if they are more than two, so are
 * all groups. */
static inline size_t group_512(size_t left) {
    return left <= FLOAT_SIX ? left : left < 2 * FLOAT_SIX ? (left + 1) / 2 : FLOAT_SIX;
}

/* float_fours. The weight rows stay in L1, if they are not too long, while all activation rows meet
 * them; only the first of these fetch ahead. */
X86_INLINE void multiply_fours_512(const steps_512 type, const float_four *rows, size_t n,
                                   const uint8_t *x, size_t x_stride, size_t n_row, float *y,
                                   size_t y_stride) {
    size_t group = group_512(n_row);
    if (rows->ahead > 0) {
        multiply_group_512(type, true, rows, n, x, x_stride, group, y, y_stride);
    } else {
        multiply_group_512(type, false, rows, n, x, x_stride, group, y, y_stride);
    }
    for (size_t i = group; i < n_row; i += group) {
        group = group_512(n_row - i);
        multiply_group_512(type, false, rows, n, x + i * x_stride, x_stride, group,
                           y + i * y_stride, y_stride);
    }
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
