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
    FLOAT_GROUP_512 = 6, /* activation rows at a time: with four weight rows, 24 vectors of sums */
    FLOAT_FEW_512 = 24,  /* float_kernel's `few`, as measured on Zen 4 */
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

/* v, loaded into a register. Without it GCC loads it again for each use as an operand, and the
 * processor has fewer loads than products a cycle. */
X86_INLINE __m512i in_register_512(__m512i v) {
    __asm__("" : "+v"(v));
    return v;
}

/* The first `count` (4 or 8) of the rows and n_x activation rows; these, and whether to fetch
 * ahead, are constants. `sums` begins in the first activation row's. */
X86_INLINE void multiply_512(const steps_512 type, const bool fetch, const size_t count,
                             const size_t n_x, float_eight rows, size_t n, const uint8_t *x,
                             size_t x_stride, float *sums) {
    const size_t sums_of_row = sizeof(float_partial) / sizeof *sums;
    __m512 sum[8][FLOAT_GROUP_512];
    __m512i xs[FLOAT_GROUP_512];
    const uint8_t *w[2] = {rows.at, rows.at + rows.half};
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < n_x; i++) {
            sum[r][i] = _mm512_setzero_ps();
        }
    }
    for (; n >= type.values; n -= type.values, x += 64) {
        for (size_t i = 0; i < n_x; i++) {
            xs[i] = _mm512_load_si512(x + i * x_stride);
        }
        for (size_t r = 0; r < count; r++) {
            const uint8_t *at = w[r / 4] + r % 4 * rows.stride;
            const __m512i ws = in_register_512(type.load(at));
            if (fetch) {
                float_fetch(at, rows.ahead);
            }
            for (size_t i = 0; i < n_x; i++) {
                sum[r][i] = type.add(sum[r][i], ws, xs[i]);
            }
        }
        w[0] += type.w_bytes;
        w[1] += type.w_bytes;
    }
    if (n > 0) {
        for (size_t i = 0; i < n_x; i++) {
            xs[i] = type.load_x_part(x + i * x_stride, n);
        }
        for (size_t r = 0; r < count; r++) {
            const __m512i ws = type.load_part(w[r / 4] + r % 4 * rows.stride, n);
            for (size_t i = 0; i < n_x; i++) {
                sum[r][i] = type.add_part(sum[r][i], ws, xs[i], n);
            }
        }
    }
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < n_x; i++) {
            _mm512_store_ps(sums + i * sums_of_row + r * FLOAT_SUMS, sum[r][i]);
        }
    }
}

/* Four rows and a group of at least three activation rows. */
X86_INLINE void multiply_group_512(const steps_512 type, const bool fetch, float_eight rows,
                                   size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                                   float *sums) {
    switch (n_row) {
    case 3:
        multiply_512(type, fetch, 4, 3, rows, n, x, x_stride, sums);
        break;
    case 4:
        multiply_512(type, fetch, 4, 4, rows, n, x, x_stride, sums);
        break;
    case 5:
        multiply_512(type, fetch, 4, 5, rows, n, x, x_stride, sums);
        break;
    default:
        multiply_512(type, fetch, 4, 6, rows, n, x, x_stride, sums);
        break;
    }
}

/* How many of the activation rows that are left make a group: no fewer than three, which would be
 * slow, unless there are no more. */
static inline size_t group_512(size_t left) {
    return left <= FLOAT_GROUP_512      ? left
           : left < 2 * FLOAT_GROUP_512 ? (left + 1) / 2
                                        : FLOAT_GROUP_512;
}

/* float_direct. Four weight rows stay in L1, if they are not too long, while all activation rows
 * meet them. Only the first of these fetch ahead, which takes time where it is for nothing. */
X86_INLINE void multiply_rows_512(const steps_512 type, float_eight w, size_t n, const uint8_t *x,
                                  size_t x_stride, size_t n_row, float_partial *partial) {
    switch (n_row) {
    case 1:
        multiply_512(type, true, 8, 1, w, n, x, x_stride, partial->s[0]);
        return;
    case 2:
        multiply_512(type, true, 8, 2, w, n, x, x_stride, partial->s[0]);
        return;
    case 3:
        multiply_512(type, true, 8, 3, w, n, x, x_stride, partial->s[0]);
        return;
    default:
        break;
    }
    for (size_t r = 0; r < FLOAT_ROWS; r += 4, w.at += w.half) {
        for (size_t i = 0, group; i < n_row; i += group) {
            group = group_512(n_row - i);
            if (i == 0 && w.ahead > 0) {
                multiply_group_512(type, true, w, n, x, x_stride, group, partial->s[r]);
            } else {
                multiply_group_512(type, false, w, n, x + i * x_stride, x_stride, group,
                                   partial[i].s[r]);
            }
        }
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
