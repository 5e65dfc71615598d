/* matmul32_avx512vnni.c - products of the types of 32 values with 8-bit activations, sixteen weight
 * rows at a time, a lane for each.
 *
 *   byte[r][k] = q[r][k] + offset                      unsigned, for VPDPBUSD
 *   i[r]       = sum of byte[r][k] * x8[k]  -  offset * sum of x8[k]
 *   y[r]       = fma(dw[r] * dx, (float)i[r], y[r])    block after block, from 0
 *   y[r]       = fma(mw[r] * dx, (float)sum of x8[k], y[r])   with a minimum
 *
 * MXFP4 has bytes of E8M0 where the others have the scale.
 */
#include "kernels/levels.h"
#include "kernels/x86/blocks_512.h"
#include "kernels/x86/parts.h"

enum {
    LANES = 16,
    STRETCH = 32, /* blocks whose sums of activations are made together */
};

/* out[b] = the sum of the 32 values of block b, for `count` blocks; room for 16 more. */
X86_INLINE void stretch_sums(const int16_t *sums, size_t count, int32_t *out) {
    for (size_t b = 0; b < count; b += 16) {
        const size_t left = count - b;
        const __mmask16 mask = left < 16 ? (__mmask16)((1u << left) - 1) : 0xffff;
        const __m512i pairs = _mm512_maskz_loadu_epi32(mask, sums + 2 * b);
        _mm512_storeu_si512(out + b, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
    }
}

/* Scales (and minimums) are collected this many blocks before they are used, so that the narrow
 * stores of a vector are done when it is loaded. */
enum { COLLECT_AHEAD = 4 };

typedef struct collected {
    uint16_t scale[2 * COLLECT_AHEAD][LANES];
    uint16_t min[2 * COLLECT_AHEAD][LANES];
} collected;

X86_INLINE void collect(const blocks32 type, const sixteen_rows *rows, size_t ahead, size_t block,
                        collected *c) {
    const size_t at = block % (2 * COLLECT_AHEAD);
    sixteen_rows_f16(rows, ahead * type.bytes, c->scale[at]);
    if (type.has_min) {
        sixteen_rows_f16(rows, ahead * type.bytes + 2, c->min[at]);
    }
}

/* Where memory is the limit prefetches are spread over the loads, lest those wait for them. Where
 * unpacking is, holding the compiler to that order would cost more. */
X86_INLINE bool is_memory_bound(const blocks32 type) {
    return type.bytes > 32;
}

/* Lane r = sum of byte * x8 of the block at row r. */
X86_INLINE __m512i pairs_times_one(const blocks32 type, const sixteen_rows *rows, const int8_t *x8,
                                   const uint8_t *next) {
    const __m512i values = _mm512_broadcast_i64x4(_mm256_load_si256((const __m256i *)x8));
    __m512i dot[8];
    for (size_t j = 0; j < 8; j++) {
        if (is_memory_bound(type)) {
            prefetch_piece(next, LANES * type.bytes, j, 8);
        }
        const __m512i bytes = type.pair(sixteen_rows_get(rows, j), sixteen_rows_get(rows, j + 8));
        dot[j] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), bytes, values);
    }
    return pairs_sum(dot);
}

/* What nibbles stand for. */
X86_INLINE __m512i values_of(const blocks32 type, __m512i nibbles) {
    return type.levels ? _mm512_shuffle_epi8(levels_512(type.levels, type.offset), nibbles)
                       : nibbles;
}

/* The same for plain nibbles, with fewer shuffles. */
X86_INLINE __m512i nibbles_times_one(const blocks32 type, const sixteen_rows *rows,
                                     const int8_t *x8) {
    const __m512i low = _mm512_broadcast_i64x2(_mm_load_si128((const __m128i *)x8));
    const __m512i high = _mm512_broadcast_i64x2(_mm_load_si128((const __m128i *)x8 + 1));
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i dot[4];
    for (size_t j = 0; j < 4; j++) {
        const __m512i q = quad_bytes(sixteen_rows_get(rows, j) + type.nibbles_at,
                                     sixteen_rows_get(rows, j + 4) + type.nibbles_at,
                                     sixteen_rows_get(rows, j + 8) + type.nibbles_at,
                                     sixteen_rows_get(rows, j + 12) + type.nibbles_at);
        const __m512i q_low = values_of(type, _mm512_and_si512(q, mask));
        const __m512i q_high = values_of(type, _mm512_and_si512(_mm512_srli_epi16(q, 4), mask));
        dot[j] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q_low, low);
        dot[j] = _mm512_dpbusd_epi32(dot[j], q_high, high);
    }
    return quads_sum(dot);
}

/* y[0..15] = sixteen rows times one. */
X86_INLINE void rows_times_one(const blocks32 type, const uint8_t *w, size_t stride, size_t n_block,
                               const q8_rows *x, float *y) {
    const int8_t *x8 = (const int8_t *)q8_values(x, 0);
    const float *dx = q8_scales(x, 0);
    const int16_t *sums = q8_sums(x, 0);
    const uint8_t *next = w + LANES * stride;
    sixteen_rows rows = sixteen_rows_at(w, stride);
    collected c;
    int32_t sum[STRETCH + 16];
    __m512 acc = _mm512_setzero_ps();
    for (size_t b = 0; b < COLLECT_AHEAD && b < n_block; b++) {
        collect(type, &rows, b, b, &c);
    }
    for (size_t b = 0; b < n_block; b++) {
        if (b % STRETCH == 0) {
            const size_t left = n_block - b;
            stretch_sums(sums + 2 * b, left < STRETCH ? left : STRETCH, sum);
        }
        if (b + COLLECT_AHEAD < n_block) {
            collect(type, &rows, COLLECT_AHEAD, b + COLLECT_AHEAD, &c);
        }
        if (!is_memory_bound(type)) {
            prefetch_ahead(next, LANES * type.bytes);
        }
        const int32_t sum_b = sum[b % STRETCH];
        const __m512i sum_bytes = type.nibbles_at ? nibbles_times_one(type, &rows, x8 + 32 * b)
                                                  : pairs_times_one(type, &rows, x8 + 32 * b, next);
        const __m512i i = _mm512_sub_epi32(sum_bytes, _mm512_set1_epi32(type.offset * sum_b));
        const __m512 d = _mm512_set1_ps(dx[b]);
        const size_t at = b % (2 * COLLECT_AHEAD);
        acc = _mm512_fmadd_ps(_mm512_mul_ps(lanes_scale(type, c.scale[at]), d),
                              _mm512_cvtepi32_ps(i), acc);
        if (type.has_min) {
            acc = _mm512_fmadd_ps(_mm512_mul_ps(lanes_f16(c.min[at]), d),
                                  _mm512_set1_ps((float)sum_b), acc);
        }
        sixteen_rows_advance(&rows, type.bytes);
        next += LANES * type.bytes;
    }
    _mm512_storeu_ps(y, acc);
}

#include "kernels/x86/matmul32_types.h"

void matmul32_fill_avx512vnni(kernel_table *table) {
    matmul32_fill_table(table);
}
