/* matmul256_avx512vnni.c - products of the types of 256 values with 8-bit activations, sixteen
 * weight rows at a time, a lane for each.
 *
 *   byte[r][k] = q[r][k] + offset                                  unsigned, for VPDPBUSD
 *   i[r] = sum over groups g of scale[r][g] * sum of byte[r][k] * x8[k]
 *   j[r] = sum over groups g of min[r][g] * sum of x8[k]           k in group g
 *   types with minimums:  y[r] = fma(d[r] * dx, i[r], y[r]), then fma(-(dmin[r] * dx), j[r], y[r])
 *   types with an offset: y[r] = fma(d[r] * dx, i[r] - offset * j[r], y[r]), min being the scale
 */
#include "kernels/x86/blocks_512.h"
#include "kernels/x86/panels.h"
#include "kernels/x86/parts.h"

enum {
    LANES = 16,
    STRETCH = 4, /* blocks of a panel: 22 KiB */
    GROUP = 8,   /* activation rows that share a pass over a panel */
};

typedef struct panel_block {
    uint8_t value[64][LANES][4];
    int32_t scale[16][LANES];
    int16_t min[8][LANES][2];
    uint16_t d[LANES];
    uint16_t dmin[LANES];
} panel_block;

typedef struct panel {
    panel_block block[STRETCH];
} panel;

/* acc + the block's float products; i and j as above. */
X86_INLINE __m512 add_block(const blocks256 type, __m512i i, __m512i j, const uint16_t *d,
                            const uint16_t *dmin, float dx, __m512 acc) {
    const __m512 dx_all = _mm512_set1_ps(dx);
    acc = _mm512_fmadd_ps(_mm512_mul_ps(lanes_f16(d), dx_all), _mm512_cvtepi32_ps(i), acc);
    if (type.dmin_at) {
        acc = _mm512_fnmadd_ps(_mm512_mul_ps(lanes_f16(dmin), dx_all), _mm512_cvtepi32_ps(j), acc);
    }
    return acc;
}

/* ---- one activation row -------------------------------------------------------------------------
 */

/* Eight pairs of rows: their scales as 16-bit numbers (head_even_odd), and dwords whose sum is j.
 */
typedef struct pair_heads {
    __m512i scale[8];
    __m512i j[8];
} pair_heads;

X86_INLINE void pair_heads_read(const blocks256 type, const sixteen_rows *rows, __m256i sums,
                                pair_heads *heads) {
    const __m512i sums_twice = _mm512_broadcast_i64x4(sums);
    for (size_t p = 0; p < 8; p++) {
        const head256 a = type.head(sixteen_rows_get(rows, p));
        const head256 b = type.head(sixteen_rows_get(rows, p + 8));
        const __m512i min = _mm512_cvtepi8_epi16(_mm256_set_m128i(b.min, a.min));
        heads->scale[p] = _mm512_inserti64x4(_mm512_castsi256_si512(head_even_odd(a.scale)),
                                             head_even_odd(b.scale), 1);
        heads->j[p] = _mm512_madd_epi16(min, sums_twice);
    }
}

/* i + dot times the scales (pair_heads) of a part. */
X86_INLINE __m512i add_wide(__m512i i, __m512i dot, __m512i scale, int part) {
    const __m512i at = _mm512_set1_epi32(0x01008080 + 0x02020000 * part);
    const __m512i factor = _mm512_srai_epi32(_mm512_shuffle_epi8(scale, at), 16);
    return _mm512_add_epi32(i, _mm512_mullo_epi32(dot, factor));
}

/* Adds parts `part` and `part` + 1 of eight pairs. A dword of VPDPBUSD is a sum of four products,
 * which fits into 16 bits for all types but IQ4_XS, so that those of two parts are packed into one
 * vector and multiplied by their groups' scales together. */
X86_INLINE void add_two_parts(const blocks256 type, const sixteen_rows *rows, const int8_t *x8,
                              const __m512i scale[8], int part, const uint8_t *next, __m512i i[8]) {
    const __m256i *x = (const __m256i *)(const void *)x8 + part;
    const __m512i x0 = _mm512_broadcast_i64x4(_mm256_load_si256(x));
    const __m512i x1 = _mm512_broadcast_i64x4(_mm256_load_si256(x + 1));
    const int32_t at0 = 0x01000100 + 0x02020202 * part;
    const int32_t at1 = at0 + 0x02020202;
    const __m512i at = _mm512_broadcast_i32x4(_mm_setr_epi32(at0, at0, at1, at1));
    for (size_t p = 0; p < 8; p++) {
        prefetch_ahead(next + p * (LANES * type.bytes / 32), LANES * type.bytes / 32);
        prefetch_in_place();
        const uint8_t *a = sixteen_rows_get(rows, p);
        const uint8_t *b = sixteen_rows_get(rows, p + 8);
        const __m512i zero = _mm512_setzero_si512();
        const __m512i dot0 = _mm512_dpbusd_epi32(zero, type.pair(a, b, part), x0);
        const __m512i dot1 = _mm512_dpbusd_epi32(zero, type.pair(a, b, part + 1), x1);
        if (type.is_wide) {
            i[p] = add_wide(add_wide(i[p], dot0, scale[p], part), dot1, scale[p], part + 1);
        } else {
            i[p] = _mm512_dpwssd_epi32(i[p], _mm512_packs_epi32(dot0, dot1),
                                       _mm512_shuffle_epi8(scale[p], at));
        }
    }
}

typedef struct collected {
    uint16_t d[2][LANES];
    uint16_t dmin[2][LANES];
} collected;

X86_INLINE void collect(const blocks256 type, const sixteen_rows *rows, size_t ahead, size_t block,
                        collected *c) {
    sixteen_rows_f16(rows, ahead * type.bytes + type.d_at, c->d[block % 2]);
    if (type.dmin_at) {
        sixteen_rows_f16(rows, ahead * type.bytes + type.dmin_at, c->dmin[block % 2]);
    }
}

X86_INLINE void rows_times_one(const blocks256 type, const uint8_t *w, size_t stride,
                               size_t n_block, const q8_rows *x, float *y) {
    const int8_t *x8 = (const int8_t *)q8_values(x, 0);
    const __m256i *sums = (const __m256i *)(const void *)q8_sums(x, 0);
    const float *dx = q8_scales(x, 0);
    const uint8_t *next = w + LANES * stride;
    sixteen_rows rows = sixteen_rows_at(w, stride);
    const size_t quarter = LANES * type.bytes / 4; /* prefetched bit by bit, lest loads wait */
    collected c;
    __m512 acc = _mm512_setzero_ps();
    collect(type, &rows, 0, 0, &c);
    for (size_t b = 0; b < n_block; b++, x8 += 256, next += LANES * type.bytes) {
        pair_heads heads;
        __m512i i[8];
        if (b + 1 < n_block) {
            collect(type, &rows, 1, b + 1, &c);
        }
        pair_heads_read(type, &rows, _mm256_load_si256(sums + b), &heads);
        for (size_t p = 0; p < 8; p++) {
            const __m512i offset_j = _mm512_slli_epi32(heads.j[p], (unsigned)type.offset_shift);
            i[p] = type.dmin_at ? _mm512_setzero_si512()
                                : _mm512_sub_epi32(_mm512_setzero_si512(), offset_j);
        }
        add_two_parts(type, &rows, x8, heads.scale, 0, next + 0 * quarter, i);
        add_two_parts(type, &rows, x8, heads.scale, 2, next + 1 * quarter, i);
        add_two_parts(type, &rows, x8, heads.scale, 4, next + 2 * quarter, i);
        add_two_parts(type, &rows, x8, heads.scale, 6, next + 3 * quarter, i);
        const __m512i j = type.dmin_at ? pairs_sum(heads.j) : _mm512_setzero_si512();
        acc = add_block(type, pairs_sum(i), j, c.d[b % 2], c.dmin[b % 2], dx[b], acc);
        sixteen_rows_advance(&rows, type.bytes);
    }
    _mm512_storeu_ps(y, acc);
}

/* ---- several activation rows --------------------------------------------------------------------
 */

X86_INLINE void fill_part(const blocks256 type, const sixteen_rows *rows, int part,
                          const uint8_t *next, size_t stride, panel_block *block) {
    __m512i pair[8], dword[8];
    prefetch_ahead(next + (size_t)(2 * part) * stride, type.bytes);
    prefetch_ahead(next + (size_t)(2 * part + 1) * stride, type.bytes);
    prefetch_in_place();
    for (size_t p = 0; p < 8; p++) {
        pair[p] = type.pair(sixteen_rows_get(rows, p), sixteen_rows_get(rows, p + 8), part);
    }
    pairs_transpose(pair, dword);
    for (size_t k = 0; k < 8; k++) {
        _mm512_store_si512(block->value[(size_t)part * 8 + k], dword[k]);
    }
}

/* Small scales and minimums: dword k of all rows holds those of groups 4k to 4k + 3. */
X86_INLINE void fill_heads(const blocks256 type, const sixteen_rows *rows, panel_block *block) {
    __m512i scale[4], min[4];
    for (size_t j = 0; j < 4; j++) {
        const head256 a = type.head(sixteen_rows_get(rows, j));
        const head256 b = type.head(sixteen_rows_get(rows, j + 4));
        const head256 c = type.head(sixteen_rows_get(rows, j + 8));
        const head256 d = type.head(sixteen_rows_get(rows, j + 12));
        scale[j] = quad_of(a.scale, b.scale, c.scale, d.scale);
        min[j] = quad_of(a.min, b.min, c.min, d.min);
    }
    quads_transpose(scale);
    quads_transpose(min);
    const __m512i first = _mm512_set1_epi32((int)0x01ff00ff),
                  second = _mm512_set1_epi32(0x03ff02ff);
    const __m512i lane =
        _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x04000400, 0x08000800, 0x0c000c00));
    for (size_t k = 0; k < 4; k++) {
        for (size_t g = 0; g < 4; g++) {
            const __m512i top = _mm512_sll_epi32(scale[k], _mm_cvtsi32_si128(24 - 8 * (int)g));
            _mm512_store_si512(block->scale[4 * k + g], _mm512_srai_epi32(top, 24));
        }
        const __m512i m0 = _mm512_shuffle_epi8(min[k], _mm512_or_si512(first, lane));
        const __m512i m1 = _mm512_shuffle_epi8(min[k], _mm512_or_si512(second, lane));
        _mm512_store_si512(block->min[2 * k], _mm512_srai_epi16(m0, 8));
        _mm512_store_si512(block->min[2 * k + 1], _mm512_srai_epi16(m1, 8));
    }
}

X86_INLINE void fill_panel(const blocks256 type, const uint8_t *w, size_t stride, size_t count,
                           const uint8_t *next, panel *to) {
    sixteen_rows rows = sixteen_rows_at(w, stride);
    for (size_t b = 0; b < count; b++) {
        panel_block *block = &to->block[b];
        sixteen_rows_f16(&rows, type.d_at, block->d);
        if (type.dmin_at) {
            sixteen_rows_f16(&rows, type.dmin_at, block->dmin);
        }
        fill_heads(type, &rows, block);
        fill_part(type, &rows, 0, next, stride, block);
        fill_part(type, &rows, 1, next, stride, block);
        fill_part(type, &rows, 2, next, stride, block);
        fill_part(type, &rows, 3, next, stride, block);
        fill_part(type, &rows, 4, next, stride, block);
        fill_part(type, &rows, 5, next, stride, block);
        fill_part(type, &rows, 6, next, stride, block);
        fill_part(type, &rows, 7, next, stride, block);
        sixteen_rows_advance(&rows, type.bytes);
        next += type.bytes;
    }
}

/* i and j of one block and n_row activation rows whose values and sums are at x8 and sums. */
X86_INLINE void block_times_rows(const blocks256 type, const panel_block *block, const uint8_t *x8,
                                 const uint8_t *sums, size_t x_stride, const size_t n_row,
                                 __m512i i[GROUP], __m512i j[GROUP]) {
    const size_t step = type.group / 4; /* dwords of a group */
    for (size_t n = 0; n < n_row; n++) {
        i[n] = _mm512_setzero_si512();
        j[n] = _mm512_setzero_si512();
    }
    for (size_t k = 0; k < 64; k += step) {
        const __m512i scale = _mm512_load_si512(block->scale[k / 4]);
        __m512i dot[GROUP];
        for (size_t n = 0; n < n_row; n++) {
            dot[n] = _mm512_setzero_si512();
        }
        for (size_t l = 0; l < step; l++) {
            const __m512i values = _mm512_load_si512(block->value[k + l]);
            for (size_t n = 0; n < n_row; n++) {
                const __m512i xk = _mm512_set1_epi32(load_i32(x8 + n * x_stride + 4 * (k + l)));
                dot[n] = _mm512_dpbusd_epi32(dot[n], values, xk);
            }
        }
        for (size_t n = 0; n < n_row; n++) {
            i[n] = _mm512_add_epi32(i[n], _mm512_mullo_epi32(dot[n], scale));
        }
    }
    for (size_t g = 0; g < 8; g++) {
        const __m512i min = _mm512_load_si512(block->min[g]);
        for (size_t n = 0; n < n_row; n++) {
            const __m512i sum = _mm512_set1_epi32(load_i32(sums + n * x_stride + 4 * g));
            j[n] = _mm512_dpwssd_epi32(j[n], min, sum);
        }
    }
}

X86_INLINE void panel_times_rows(const blocks256 type, const panel *w, size_t from, size_t count,
                                 const q8_rows *x, const size_t n_row, float *y, size_t y_stride,
                                 __mmask16 mask) {
    __m512 acc[GROUP];
    for (size_t n = 0; n < n_row; n++) {
        acc[n] = from == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, y + n * y_stride);
    }
    for (size_t b = 0; b < count; b++) {
        const panel_block *block = &w->block[b];
        __m512i i[GROUP], j[GROUP];
        block_times_rows(type, block, x->base + 256 * (from + b),
                         x->base + x->sums_at + 32 * (from + b), x->stride, n_row, i, j);
        for (size_t n = 0; n < n_row; n++) {
            if (!type.dmin_at) {
                i[n] = _mm512_sub_epi32(i[n], _mm512_slli_epi32(j[n], (unsigned)type.offset_shift));
            }
            acc[n] = add_block(type, i[n], j[n], block->d, block->dmin, q8_scales(x, n)[from + b],
                               acc[n]);
        }
    }
    for (size_t n = 0; n < n_row; n++) {
        _mm512_mask_storeu_ps(y + n * y_stride, mask, acc[n]);
    }
}

/* n_row from 1 to GROUP, taken apart into the numbers for which there is code. */
X86_INLINE void panel_times_group(const blocks256 type, const panel *w, size_t from, size_t count,
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

#include "kernels/x86/matmul256_types.h"

void matmul256_fill_avx512vnni(kernel_table *table) {
    matmul256_fill_table(table);
}
