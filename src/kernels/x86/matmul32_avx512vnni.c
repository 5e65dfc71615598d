/* matmul32_avx512vnni.c - products of the types of 32 values with 8-bit activations, sixteen weight
 * rows at a time, a lane for each.
 *
 *   byte[r][k] = q[r][k] + offset                      unsigned, for VPDPBUSD
 *   i[r]       = sum of byte[r][k] * x8[k]  -  offset * sum of x8[k]
 *   y[r]       = fma(dw[r] * dx, (float)i[r], y[r])    block after block, from 0
 *   y[r]       = fma(mw[r] * dx, (float)sum of x8[k], y[r])   with a minimum
 *
 * One activation row goes straight over the file's blocks. For more of them a stretch of the
 * sixteen rows is rearranged first ("panel"), so that their bytes meet one broadcast dword of x:
 *   panel, per block:  u8 value[8][16][4]; f16 scale[16]; f16 min[16]
 *
 * MXFP4 has bytes of E8M0 where the others have the scale, with a byte behind each in a panel.
 */
#include "kernels/levels.h"
#include "kernels/x86/blocks_512.h"
#include "kernels/x86/panels.h"
#include "kernels/x86/parts.h"

enum {
    LANES = 16,
    STRETCH = 32, /* blocks of a panel: 18 KiB, which fit into L1 beside some activations */
    GROUP = 8,    /* activation rows that share a pass over a panel */
};

typedef struct panel_block {
    uint8_t value[8][LANES][4];
    uint16_t scale[LANES];
    uint16_t min[LANES];
} panel_block;

typedef struct panel {
    panel_block block[STRETCH];
} panel;

/* out[b] = factor * (sum of the 32 values of block b), for `count` blocks. */
X86_INLINE void stretch_sums(const int16_t *sums, size_t count, int16_t factor, int32_t *out) {
    for (size_t b = 0; b < count; b += 16) {
        const size_t left = count - b;
        const __mmask16 mask = left < 16 ? (__mmask16)((1u << left) - 1) : 0xffff;
        const __m512i pairs = _mm512_maskz_loadu_epi32(mask, sums + 2 * b);
        _mm512_storeu_si512(out + b, _mm512_madd_epi16(pairs, _mm512_set1_epi16(factor)));
    }
}

/* ---- one activation row -------------------------------------------------------------------------
 */

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
            stretch_sums(sums + 2 * b, left < STRETCH ? left : STRETCH, 1, sum);
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

/* ---- several activation rows --------------------------------------------------------------------
 */

/* Rearranges `count` blocks of sixteen rows, and prefetches those that come `next`. */
X86_INLINE void fill_panel(const blocks32 type, const uint8_t *w, size_t stride, size_t count,
                           const uint8_t *next, panel *to) {
    sixteen_rows rows = sixteen_rows_at(w, stride);
    sixteen_rows next_rows = sixteen_rows_at(next, stride);
    for (size_t b = 0; b < count; b++) {
        panel_block *block = &to->block[b];
        __m512i pair[8], dword[8];
        sixteen_rows_f16(&rows, 0, block->scale);
        if (type.has_min) {
            sixteen_rows_f16(&rows, 2, block->min);
        }
        for (size_t j = 0; j < 8; j++) {
            pair[j] = type.pair(sixteen_rows_get(&rows, j), sixteen_rows_get(&rows, j + 8));
        }
        if (b * type.bytes % 64 < type.bytes) {
            for (size_t r = 0; r < LANES; r++) {
                _mm_prefetch((const char *)sixteen_rows_get(&next_rows, r), _MM_HINT_T1);
            }
        }
        pairs_transpose(pair, dword);
        for (size_t k = 0; k < 8; k++) {
            _mm512_store_si512(block->value[k], dword[k]);
        }
        sixteen_rows_advance(&rows, type.bytes);
        sixteen_rows_advance(&next_rows, type.bytes);
    }
}

/* Adds the products of a panel and n_row (a constant, at most GROUP) activation rows to y, for the
 * weight rows in the mask. The panel's first block is block `from` of the rows. */
X86_INLINE void panel_times_rows(const blocks32 type, const panel *w, size_t from, size_t count,
                                 const q8_rows *x, const size_t n_row, float *y, size_t y_stride,
                                 __mmask16 mask) {
    int32_t correction[GROUP][STRETCH + 16], sum[GROUP][STRETCH + 16];
    __m512 acc[GROUP];
    for (size_t i = 0; i < n_row; i++) {
        const int16_t *sums = q8_sums(x, i) + 2 * from;
        stretch_sums(sums, count, (int16_t)-type.offset, correction[i]);
        if (type.has_min) {
            stretch_sums(sums, count, 1, sum[i]);
        }
        acc[i] = from == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, y + i * y_stride);
    }
    for (size_t b = 0; b < count; b++) {
        const panel_block *block = &w->block[b];
        const uint8_t *x8 = x->base + 32 * (from + b);
        __m512i dot[GROUP];
        for (size_t i = 0; i < n_row; i++) {
            dot[i] = _mm512_set1_epi32(correction[i][b]);
        }
        for (size_t k = 0; k < 8; k++) {
            const __m512i values = _mm512_load_si512(block->value[k]);
            for (size_t i = 0; i < n_row; i++) {
                const __m512i xk = _mm512_set1_epi32(load_i32(x8 + i * x->stride + 4 * k));
                dot[i] = _mm512_dpbusd_epi32(dot[i], values, xk);
            }
        }
        const __m512 scale = lanes_scale(type, block->scale);
        const __m512 min = type.has_min ? lanes_f16(block->min) : scale;
        for (size_t i = 0; i < n_row; i++) {
            const __m512 d = _mm512_set1_ps(q8_scales(x, i)[from + b]);
            acc[i] = _mm512_fmadd_ps(_mm512_mul_ps(scale, d), _mm512_cvtepi32_ps(dot[i]), acc[i]);
            if (type.has_min) {
                acc[i] = _mm512_fmadd_ps(_mm512_mul_ps(min, d), _mm512_set1_ps((float)sum[i][b]),
                                         acc[i]);
            }
        }
    }
    for (size_t i = 0; i < n_row; i++) {
        _mm512_mask_storeu_ps(y + i * y_stride, mask, acc[i]);
    }
}

/* n_row from 1 to GROUP, taken apart into the numbers for which there is code. */
X86_INLINE void panel_times_group(const blocks32 type, const panel *w, size_t from, size_t count,
                                  const q8_rows *x, size_t n_row, float *y, size_t y_stride,
                                  __mmask16 mask) {
    q8_rows rest = *x;
    if (n_row == GROUP) {
        panel_times_rows(type, w, from, count, x, GROUP, y, y_stride, mask);
        return;
    }
    if (n_row & 4) {
        panel_times_rows(type, w, from, count, &rest, 4, y, y_stride, mask);
        rest = q8_rows_from(&rest, 4);
        y += 4 * y_stride;
    }
    if (n_row & 2) {
        panel_times_rows(type, w, from, count, &rest, 2, y, y_stride, mask);
        rest = q8_rows_from(&rest, 2);
        y += 2 * y_stride;
    }
    if (n_row & 1) {
        panel_times_rows(type, w, from, count, &rest, 1, y, y_stride, mask);
    }
}

#include "kernels/x86/matmul32_types.h"

void matmul32_fill_avx512vnni(kernel_table *table) {
    matmul32_fill_table(table);
}
