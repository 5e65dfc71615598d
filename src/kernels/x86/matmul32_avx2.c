/* matmul32_avx2.c - products of the types of 32 values with 8-bit activations, eight weight rows at
 * a time, a lane for each.
 *
 *   byte[r][k] = q[r][k] + offset
 *   i[r]       = sum of byte[r][k] * x8[k]  -  offset * sum of x8[k]
 *   y[r]       = fma(dw[r] * dx, (float)i[r], y[r])    block after block, from 0
 *   y[r]       = fma(mw[r] * dx, (float)sum of x8[k], y[r])   with a minimum
 *
 *   panel, per block:  u8 value[8][8][4]; f16 scale[8]; f16 min[8]
 *
 * MXFP4 has bytes of E8M0 where the others have the scale, with a byte behind each in a panel.
 */
#include "kernels/x86/blocks_avx2.h"
#include "kernels/x86/panels.h"
#include "kernels/x86/parts.h"

enum {
    LANES = 8,
    STRETCH = 32, /* blocks of a panel: 9 KiB */
    GROUP = 4,    /* activation rows that share a pass over a panel */
};

typedef struct panel_block {
    uint8_t value[8][LANES][4];
    uint16_t scale[LANES];
    uint16_t min[LANES];
} panel_block;

typedef struct panel {
    panel_block block[STRETCH];
} panel;

X86_INLINE int32_t block_sum(const int16_t *sums, size_t block) {
    return sums[2 * block] + sums[2 * block + 1];
}

/* acc + the block's float products; i as above. */
X86_INLINE __m256 add_block(const blocks32 type, __m256i i, const uint16_t *scale,
                            const uint16_t *min, float dx, int32_t sum, __m256 acc) {
    const __m256 d = _mm256_set1_ps(dx);
    acc = _mm256_fmadd_ps(_mm256_mul_ps(lanes_scale(type, scale), d), _mm256_cvtepi32_ps(i), acc);
    if (type.has_min) {
        acc = _mm256_fmadd_ps(_mm256_mul_ps(lanes_f16(min), d), _mm256_set1_ps((float)sum), acc);
    }
    return acc;
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

X86_INLINE void collect(const blocks32 type, const eight_rows *rows, size_t ahead, size_t block,
                        collected *c) {
    const size_t at = block % (2 * COLLECT_AHEAD);
    eight_rows_f16(rows, ahead * type.bytes, c->scale[at]);
    if (type.has_min) {
        eight_rows_f16(rows, ahead * type.bytes + 2, c->min[at]);
    }
}

/* Lane r = sum of byte * x8 of the block at row r. */
X86_INLINE __m256i block_times_one(const blocks32 type, const eight_rows *rows, const int8_t *x8) {
    const __m256i x = _mm256_load_si256((const __m256i *)(const void *)x8);
    __m256i dot[8];
    for (size_t r = 0; r < 8; r++) {
        const __m256i twos = multiply_bytes(!type.sums_fit, type.row(eight_rows_get(rows, r)), x);
        dot[r] = _mm256_madd_epi16(twos, _mm256_set1_epi16(1));
    }
    return rows_sum(dot);
}

X86_INLINE void rows_times_one(const blocks32 type, const uint8_t *w, size_t stride, size_t n_block,
                               const q8_rows *x, float *y) {
    const int8_t *x8 = (const int8_t *)q8_values(x, 0);
    const float *dx = q8_scales(x, 0);
    const int16_t *sums = q8_sums(x, 0);
    const uint8_t *next = w + LANES * stride;
    eight_rows rows = eight_rows_at(w, stride);
    collected c;
    __m256 acc = _mm256_setzero_ps();
    for (size_t b = 0; b < COLLECT_AHEAD && b < n_block; b++) {
        collect(type, &rows, b, b, &c);
    }
    for (size_t b = 0; b < n_block; b++) {
        if (b + COLLECT_AHEAD < n_block) {
            collect(type, &rows, COLLECT_AHEAD, b + COLLECT_AHEAD, &c);
        }
        prefetch_ahead(next, LANES * type.bytes);
        prefetch_in_place();
        const int32_t sum = block_sum(sums, b);
        const __m256i i = _mm256_sub_epi32(block_times_one(type, &rows, x8 + 32 * b),
                                           _mm256_set1_epi32(type.offset * sum));
        const size_t at = b % (2 * COLLECT_AHEAD);
        acc = add_block(type, i, c.scale[at], c.min[at], dx[b], sum, acc);
        eight_rows_advance(&rows, type.bytes);
        next += LANES * type.bytes;
    }
    _mm256_storeu_ps(y, acc);
}

/* ---- several activation rows --------------------------------------------------------------------
 */

X86_INLINE void fill_panel(const blocks32 type, const uint8_t *w, size_t stride, size_t count,
                           const uint8_t *next, panel *to) {
    eight_rows rows = eight_rows_at(w, stride);
    eight_rows next_rows = eight_rows_at(next, stride);
    for (size_t b = 0; b < count; b++) {
        panel_block *block = &to->block[b];
        __m256i row[8], dword[8];
        eight_rows_f16(&rows, 0, block->scale);
        if (type.has_min) {
            eight_rows_f16(&rows, 2, block->min);
        }
        for (size_t r = 0; r < 8; r++) {
            row[r] = type.row(eight_rows_get(&rows, r));
            if (b * type.bytes % 64 < type.bytes) {
                _mm_prefetch((const char *)eight_rows_get(&next_rows, r), _MM_HINT_T1);
            }
        }
        rows_transpose(row, dword);
        for (size_t k = 0; k < 8; k++) {
            _mm256_store_si256((__m256i *)(void *)block->value[k], dword[k]);
        }
        eight_rows_advance(&rows, type.bytes);
        eight_rows_advance(&next_rows, type.bytes);
    }
}

X86_INLINE __m256i load_values(const panel_block *block, size_t k) {
    return _mm256_load_si256((const __m256i *)(const void *)block->value[k]);
}

X86_INLINE __m256i broadcast_x(const uint8_t *x8, size_t k) {
    return _mm256_set1_epi32(load_i32(x8 + 4 * k));
}

/* dot[n] = sum of byte * x8 of a block and n_row activation rows: sums of two products are added in
 * 16 bits as far as they fit. */
X86_INLINE void block_times_rows(const blocks32 type, const panel_block *block, const uint8_t *x8,
                                 size_t x_stride, const size_t n_row, __m256i dot[GROUP]) {
    const size_t fit = type.sums_fit ? type.sums_fit : 1;
    for (size_t n = 0; n < n_row; n++) {
        dot[n] = _mm256_setzero_si256();
    }
    for (size_t from = 0; from < 8; from += fit) {
        __m256i twos[GROUP];
        const __m256i first = load_values(block, from);
        for (size_t n = 0; n < n_row; n++) {
            twos[n] = multiply_bytes(!type.sums_fit, first, broadcast_x(x8 + n * x_stride, from));
        }
        for (size_t k = from + 1; k < from + fit; k++) {
            const __m256i w = load_values(block, k);
            for (size_t n = 0; n < n_row; n++) {
                const __m256i x = broadcast_x(x8 + n * x_stride, k);
                twos[n] = _mm256_add_epi16(twos[n], multiply_bytes(!type.sums_fit, w, x));
            }
        }
        for (size_t n = 0; n < n_row; n++) {
            const __m256i fours = _mm256_madd_epi16(twos[n], _mm256_set1_epi16(1));
            dot[n] = _mm256_add_epi32(dot[n], fours);
        }
    }
}

X86_INLINE void panel_times_rows(const blocks32 type, const panel *w, size_t from, size_t count,
                                 const q8_rows *x, const size_t n_row, float *y, size_t y_stride,
                                 __m256i mask) {
    __m256 acc[GROUP];
    for (size_t n = 0; n < n_row; n++) {
        acc[n] = from == 0 ? _mm256_setzero_ps() : _mm256_maskload_ps(y + n * y_stride, mask);
    }
    for (size_t b = 0; b < count; b++) {
        const panel_block *block = &w->block[b];
        __m256i dot[GROUP];
        block_times_rows(type, block, x->base + 32 * (from + b), x->stride, n_row, dot);
        for (size_t n = 0; n < n_row; n++) {
            const int32_t sum =
                type.offset || type.has_min ? block_sum(q8_sums(x, n), from + b) : 0;
            const __m256i i = _mm256_sub_epi32(dot[n], _mm256_set1_epi32(type.offset * sum));
            acc[n] = add_block(type, i, block->scale, block->min, q8_scales(x, n)[from + b], sum,
                               acc[n]);
        }
    }
    for (size_t n = 0; n < n_row; n++) {
        _mm256_maskstore_ps(y + n * y_stride, mask, acc[n]);
    }
}

/* n_row from 1 to GROUP, each with code of its own. */
X86_INLINE void panel_times_group(const blocks32 type, const panel *w, size_t from, size_t count,
                                  const q8_rows *x, size_t n_row, float *y, size_t y_stride,
                                  __m256i mask) {
    switch (n_row) {
    case 1:
        panel_times_rows(type, w, from, count, x, 1, y, y_stride, mask);
        break;
    case 2:
        panel_times_rows(type, w, from, count, x, 2, y, y_stride, mask);
        break;
    case 3:
        panel_times_rows(type, w, from, count, x, 3, y, y_stride, mask);
        break;
    default:
        panel_times_rows(type, w, from, count, x, GROUP, y, y_stride, mask);
        break;
    }
}

#include "kernels/x86/matmul32_types.h"

void matmul32_fill_avx2(kernel_table *table) {
    matmul32_fill_table(table);
}
