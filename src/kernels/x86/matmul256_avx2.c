/* matmul256_avx2.c - products of the types of 256 values with 8-bit activations, eight weight rows
 * at a time, a lane for each. The sums are those of matmul256_avx512vnni.c:
 *
 *   i[r] = sum over groups g of scale[r][g] * sum of byte[r][k] * x8[k]
 *   j[r] = sum over groups g of min[r][g] * sum of x8[k]           k in group g
 *   types with minimums:  y[r] = fma(d[r] * dx, i[r], y[r]), then fma(-(dmin[r] * dx), j[r], y[r])
 *   types with an offset: y[r] = fma(d[r] * dx, i[r] - offset * j[r], y[r]), min being the scale;
 *                         offset 0 in IQ4_XS, whose bytes are signed here
 *
 * Products of two neighbouring bytes are added in 16 bits; VPMADDWD multiplies such sums by their
 * scales and brings them to 32 bits.
 */
#include "kernels/x86/blocks_avx2.h"
#include "kernels/x86/panels.h"
#include "kernels/x86/parts.h"

enum {
    LANES = 8,
    STRETCH = 4, /* blocks of a panel: 11 KiB */
    GROUP = 4,   /* activation rows that share a pass over a panel */
};

typedef struct panel_block {
    uint8_t value[64][LANES][4];
    int16_t scale[16][LANES][2]; /* the same twice */
    int16_t min[8][LANES][2];
    uint16_t d[LANES];
    uint16_t dmin[LANES];
} panel_block;

typedef struct panel {
    panel_block block[STRETCH];
} panel;

X86_INLINE __m256i load_lanes(const void *p) {
    return _mm256_load_si256((const __m256i *)p);
}

/* acc + the block's float products; i and j as above. */
X86_INLINE __m256 add_block(const blocks256 type, __m256i i, __m256i j, const uint16_t *d,
                            const uint16_t *dmin, float dx, __m256 acc) {
    const __m256 dx_all = _mm256_set1_ps(dx);
    acc = _mm256_fmadd_ps(_mm256_mul_ps(lanes_f16(d), dx_all), _mm256_cvtepi32_ps(i), acc);
    if (type.dmin_at) {
        acc = _mm256_fnmadd_ps(_mm256_mul_ps(lanes_f16(dmin), dx_all), _mm256_cvtepi32_ps(j), acc);
    }
    return acc;
}

/* i - offset * j where there is an offset. */
X86_INLINE __m256i less_offset(const blocks256 type, __m256i i, __m256i j) {
    return !type.offset_shift ? i : _mm256_sub_epi32(i, _mm256_slli_epi32(j, type.offset_shift));
}

/* ---- one activation row -------------------------------------------------------------------------
 */

/* Eight rows: their scales as 16-bit numbers (head_even_odd), and dwords whose sum is j. */
typedef struct row_heads {
    __m256i scale[8];
    __m256i j[8];
} row_heads;

X86_INLINE void row_heads_read(const blocks256 type, const eight_rows *rows, __m256i sums,
                               row_heads *heads) {
    for (size_t r = 0; r < 8; r++) {
        const head256 head = type.head(eight_rows_get(rows, r));
        heads->scale[r] = head_even_odd(head.scale);
        heads->j[r] = _mm256_madd_epi16(_mm256_cvtepi8_epi16(head.min), sums);
    }
}

/* Adds a part of eight rows. */
X86_INLINE void add_part(const blocks256 type, const eight_rows *rows, const int8_t *x8,
                         const __m256i scale[8], int part, const uint8_t *next, __m256i i[8]) {
    prefetch_ahead(next + (size_t)part * type.bytes, type.bytes);
    prefetch_in_place();
    const __m256i x = _mm256_load_si256((const __m256i *)(const void *)x8 + part);
    const __m256i at = _mm256_set1_epi16((int16_t)(0x0100 + 0x0202 * part));
    for (size_t r = 0; r < 8; r++) {
        const __m256i twos =
            multiply_bytes(!type.sums_fit, type.row(eight_rows_get(rows, r), part), x);
        const __m256i scaled = _mm256_madd_epi16(twos, _mm256_shuffle_epi8(scale[r], at));
        i[r] = _mm256_add_epi32(i[r], scaled);
    }
}

typedef struct collected {
    uint16_t d[2][LANES];
    uint16_t dmin[2][LANES];
} collected;

X86_INLINE void collect(const blocks256 type, const eight_rows *rows, size_t ahead, size_t block,
                        collected *c) {
    eight_rows_f16(rows, ahead * type.bytes + type.d_at, c->d[block % 2]);
    if (type.dmin_at) {
        eight_rows_f16(rows, ahead * type.bytes + type.dmin_at, c->dmin[block % 2]);
    }
}

X86_INLINE void rows_times_one(const blocks256 type, const uint8_t *w, size_t stride,
                               size_t n_block, const q8_rows *x, float *y) {
    const int8_t *x8 = (const int8_t *)q8_values(x, 0);
    const __m256i *sums = (const __m256i *)(const void *)q8_sums(x, 0);
    const float *dx = q8_scales(x, 0);
    const uint8_t *next = w + LANES * stride;
    eight_rows rows = eight_rows_at(w, stride);
    collected c;
    __m256 acc = _mm256_setzero_ps();
    collect(type, &rows, 0, 0, &c);
    for (size_t b = 0; b < n_block; b++, x8 += 256, next += LANES * type.bytes) {
        row_heads heads;
        __m256i i[8];
        if (b + 1 < n_block) {
            collect(type, &rows, 1, b + 1, &c);
        }
        row_heads_read(type, &rows, _mm256_load_si256(sums + b), &heads);
        for (size_t r = 0; r < 8; r++) {
            i[r] = less_offset(type, _mm256_setzero_si256(), heads.j[r]);
        }
        add_part(type, &rows, x8, heads.scale, 0, next, i);
        add_part(type, &rows, x8, heads.scale, 1, next, i);
        add_part(type, &rows, x8, heads.scale, 2, next, i);
        add_part(type, &rows, x8, heads.scale, 3, next, i);
        add_part(type, &rows, x8, heads.scale, 4, next, i);
        add_part(type, &rows, x8, heads.scale, 5, next, i);
        add_part(type, &rows, x8, heads.scale, 6, next, i);
        add_part(type, &rows, x8, heads.scale, 7, next, i);
        const __m256i j = type.dmin_at ? rows_sum(heads.j) : _mm256_setzero_si256();
        acc = add_block(type, rows_sum(i), j, c.d[b % 2], c.dmin[b % 2], dx[b], acc);
        eight_rows_advance(&rows, type.bytes);
    }
    _mm256_storeu_ps(y, acc);
}

/* ---- several activation rows --------------------------------------------------------------------
 */

X86_INLINE void fill_part(const blocks256 type, const eight_rows *rows, int part,
                          const uint8_t *next, size_t stride, panel_block *block) {
    __m256i row[8], dword[8];
    prefetch_ahead(next + (size_t)part * stride, type.bytes);
    prefetch_in_place();
    for (size_t r = 0; r < 8; r++) {
        row[r] = type.row(eight_rows_get(rows, r), part);
    }
    rows_transpose(row, dword);
    for (size_t k = 0; k < 8; k++) {
        _mm256_store_si256((__m256i *)(void *)block->value[(size_t)part * 8 + k], dword[k]);
    }
}

/* Bytes `first` and `second` of every dword, as 16-bit numbers. */
X86_INLINE __m256i two_bytes(__m256i v, int first, int second) {
    const int32_t at = first << 8 | second << 24;
    const __m128i lane = _mm_setr_epi32(at, at + 0x04000400, at + 0x08000800, at + 0x0c000c00);
    return _mm256_srai_epi16(_mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(lane)), 8);
}

/* Small scales and minimums: dword k of all rows holds those of groups 4k to 4k + 3. */
X86_INLINE void fill_heads(const blocks256 type, const eight_rows *rows, panel_block *block) {
    __m256i scale[4], min[4];
    for (size_t j = 0; j < 4; j++) {
        const head256 a = type.head(eight_rows_get(rows, j));
        const head256 b = type.head(eight_rows_get(rows, j + 4));
        scale[j] = _mm256_set_m128i(b.scale, a.scale);
        min[j] = _mm256_set_m128i(b.min, a.min);
    }
    halves_transpose(scale);
    halves_transpose(min);
    __m256i *scales = (__m256i *)(void *)block->scale;
    __m256i *mins = (__m256i *)(void *)block->min;
    for (size_t k = 0; k < 4; k++) {
        for (int g = 0; g < 4; g++) {
            _mm256_store_si256(scales++, two_bytes(scale[k], g, g));
        }
        _mm256_store_si256(mins++, two_bytes(min[k], 0, 1));
        _mm256_store_si256(mins++, two_bytes(min[k], 2, 3));
    }
}

X86_INLINE void fill_panel(const blocks256 type, const uint8_t *w, size_t stride, size_t count,
                           const uint8_t *next, panel *to) {
    eight_rows rows = eight_rows_at(w, stride);
    for (size_t b = 0; b < count; b++) {
        panel_block *block = &to->block[b];
        eight_rows_f16(&rows, type.d_at, block->d);
        if (type.dmin_at) {
            eight_rows_f16(&rows, type.dmin_at, block->dmin);
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
        eight_rows_advance(&rows, type.bytes);
        next += type.bytes;
    }
}

/* i and j of one block and n_row activation rows whose values and sums are at x8 and sums. */
X86_INLINE void block_times_rows(const blocks256 type, const panel_block *block, const uint8_t *x8,
                                 const uint8_t *sums, size_t x_stride, const size_t n_row,
                                 __m256i i[GROUP], __m256i j[GROUP]) {
    const size_t fit = type.sums_fit ? type.sums_fit : 1;
    for (size_t n = 0; n < n_row; n++) {
        i[n] = _mm256_setzero_si256();
        j[n] = _mm256_setzero_si256();
    }
    for (size_t k = 0; k < 64; k += fit) {
        const __m256i scale = load_lanes(block->scale[k / 4]);
        __m256i twos[GROUP];
        for (size_t n = 0; n < n_row; n++) {
            twos[n] = _mm256_setzero_si256();
        }
        for (size_t l = k; l < k + fit; l++) {
            const __m256i values = load_lanes(block->value[l]);
            for (size_t n = 0; n < n_row; n++) {
                const __m256i x = _mm256_set1_epi32(load_i32(x8 + n * x_stride + 4 * l));
                twos[n] = _mm256_add_epi16(twos[n], multiply_bytes(!type.sums_fit, values, x));
            }
        }
        for (size_t n = 0; n < n_row; n++) {
            i[n] = _mm256_add_epi32(i[n], _mm256_madd_epi16(twos[n], scale));
        }
    }
    for (size_t g = 0; g < 8; g++) {
        const __m256i min = load_lanes(block->min[g]);
        for (size_t n = 0; n < n_row; n++) {
            const __m256i sum = _mm256_set1_epi32(load_i32(sums + n * x_stride + 4 * g));
            j[n] = _mm256_add_epi32(j[n], _mm256_madd_epi16(min, sum));
        }
    }
}

X86_INLINE void panel_times_rows(const blocks256 type, const panel *w, size_t from, size_t count,
                                 const q8_rows *x, const size_t n_row, float *y, size_t y_stride,
                                 __m256i mask) {
    __m256 acc[GROUP];
    for (size_t n = 0; n < n_row; n++) {
        acc[n] = from == 0 ? _mm256_setzero_ps() : _mm256_maskload_ps(y + n * y_stride, mask);
    }
    for (size_t b = 0; b < count; b++) {
        const panel_block *block = &w->block[b];
        __m256i i[GROUP], j[GROUP];
        block_times_rows(type, block, x->base + 256 * (from + b),
                         x->base + x->sums_at + 32 * (from + b), x->stride, n_row, i, j);
        for (size_t n = 0; n < n_row; n++) {
            acc[n] = add_block(type, less_offset(type, i[n], j[n]), j[n], block->d, block->dmin,
                               q8_scales(x, n)[from + b], acc[n]);
        }
    }
    for (size_t n = 0; n < n_row; n++) {
        _mm256_maskstore_ps(y + n * y_stride, mask, acc[n]);
    }
}

/* n_row from 1 to GROUP, each with code of its own. */
X86_INLINE void panel_times_group(const blocks256 type, const panel *w, size_t from, size_t count,
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

#include "kernels/x86/matmul256_types.h"

void matmul256_fill_avx2(kernel_table *table) {
    matmul256_fill_table(table);
}
