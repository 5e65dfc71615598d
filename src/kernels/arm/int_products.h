/* int_products.h - products of all quantized types with 8-bit activations, in cells of any shape.
 *
 * A cell is a vector of four int32: the products of some weight rows and some activation rows, four
 * pairs of them. A level's file says what its cells are and then includes this; everything here is
 * static, each level has its own copy:
 *   dot_16(sum, a, b)          four integers that add 16 products of bytes to those in sum
 *   W_CELLS, X_CELLS           cells side by side for the 8 weight rows of a panel, and one below
 *                              the other for a pair of activation rows; 4 together
 *   times_8(cell, n_pair, w, x) cell[cw + W_CELLS * cx] += 8 values of a panel by n_pair pairs
 *   put_16(to, q)              16 values of eight rows as 2 * 64 bytes of a panel
 *   w_floats, w_ints(p, cw)    the lanes of a cell from eight numbers, one for each weight row
 *   x_floats(p, cx)            the same from X_COPIES numbers for each activation row
 *   tile_cell, put_tile_cell   a cell of tile[4][8]
 *
 * Blocks of 32:   i = sum of q * x8;  y = fma(dw * dx, (float)i, y);
 *                 y = fma(mw * dx, (float)sum of x8, y) with a minimum
 * Blocks of 256:  i = sum over groups of scale * (sum of q * x8);  y = fma(d * dx, (float)i, y);
 *                 j = sum of min * (sum of x8);  y = fma(-(dmin * dx), (float)j, y)
 */
#ifndef KERNELS_ARM_INT_PRODUCTS_H
#define KERNELS_ARM_INT_PRODUCTS_H

#include "kernels/arm/blocks_neon.h"
#include "kernels/arm/int_tiles.h"

enum { CELLS = 8 }; /* of a panel and a group */

/* The four sums of four vectors. */
ARM_INLINE int32x4_t sum_each(const int32x4_t *v) {
    return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]));
}

/* An f16 at the same place of four blocks. */
ARM_INLINE float32x4_t four_f16(const uint8_t *const *w, size_t at) {
    uint16_t bits[4];
    for (size_t r = 0; r < 4; r++) {
        memcpy(&bits[r], w[r] + at, sizeof bits[r]);
    }
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(bits)));
}

/* The scales of four blocks. */
ARM_INLINE float32x4_t four_scales(const blocks32 type, const uint8_t *const *w) {
    if (!type.is_e8m0) {
        return four_f16(w, 0);
    }
    const float four[4] = {half_of_e8m0(w[0][0]), half_of_e8m0(w[1][0]), half_of_e8m0(w[2][0]),
                           half_of_e8m0(w[3][0])};
    return vld1q_f32(four);
}

ARM_INLINE void put_eight_f16(const uint8_t *const *w, size_t at, float *to) {
    vst1q_f32(to, four_f16(w, at));
    vst1q_f32(to + 4, four_f16(w + 4, at));
}

/* ---- one or two activation rows ------------------------------------------------------------- */

/* n_row is a constant. */
ARM_INLINE void direct_32_rows(const blocks32 type, const uint8_t *const *w, size_t n_block,
                               const int_rows *x, const size_t n_row,
                               float (*tile)[INT_DIRECT_OUT]) {
    const uint8_t *rows[4] = {w[0], w[1], w[2], w[3]};
    float32x4_t acc[INT_DIRECT_ROW] = {vdupq_n_f32(0), vdupq_n_f32(0)};
    for (size_t b = 0; b < n_block; b++) {
        int32x4_t sum[INT_DIRECT_ROW][4];
        for (size_t r = 0; r < 4; r++) {
            const bytes_32 q = type.unpack(rows[r]);
            for (size_t i = 0; i < n_row; i++) {
                const int8_t *x8 = int_values(x, i) + 32 * b;
                sum[i][r] = dot_16(vdupq_n_s32(0), q.half[0], vld1q_s8(x8));
                sum[i][r] = dot_16(sum[i][r], q.half[1], vld1q_s8(x8 + 16));
            }
        }
        const float32x4_t scale = four_scales(type, rows);
        const float32x4_t min = type.has_min ? four_f16(rows, 2) : vdupq_n_f32(0);
        for (size_t i = 0; i < n_row; i++) {
            const float dx = int_scales(x, i)[b];
            const int16_t *halves = int_sums(x, i) + 2 * b;
            acc[i] = vfmaq_f32(acc[i], vmulq_n_f32(scale, dx), vcvtq_f32_s32(sum_each(sum[i])));
            if (type.has_min) {
                acc[i] = vfmaq_n_f32(acc[i], vmulq_n_f32(min, dx), (float)(halves[0] + halves[1]));
            }
        }
        for (size_t r = 0; r < 4; r++) {
            rows[r] += type.bytes;
        }
    }
    for (size_t i = 0; i < n_row; i++) {
        vst1q_f32(tile[i], acc[i]);
    }
}

ARM_INLINE void direct_32(const blocks32 type, const uint8_t *const *w, size_t n_block,
                          const int_rows *x, size_t n_row, float (*tile)[INT_DIRECT_OUT]) {
    if (n_row == 1) {
        direct_32_rows(type, w, n_block, x, 1, tile);
    } else {
        direct_32_rows(type, w, n_block, x, 2, tile);
    }
}

/* Adds scale times the products of 32 values, which share one scale or have two. */
ARM_INLINE int32x4_t add_part(const blocks256 type, int32x4_t sum, bytes_32 q, const int8_t *x8,
                              const int32x4_t *scale, size_t part) {
    const int32x4_t first = dot_16(vdupq_n_s32(0), q.half[0], vld1q_s8(x8));
    if (type.group == 32) {
        const int32x4_t both = dot_16(first, q.half[1], vld1q_s8(x8 + 16));
        return vmlaq_n_s32(sum, both, scale[part / 4][part % 4]);
    }
    const int32x4_t second = dot_16(vdupq_n_s32(0), q.half[1], vld1q_s8(x8 + 16));
    const int32x4_t four = scale[part / 2];
    sum = vmlaq_n_s32(sum, first, four[part % 2 * 2]);
    return vmlaq_n_s32(sum, second, four[part % 2 * 2 + 1]);
}

/* Four integers whose sum is that of the minimums times the sums of their groups' values. */
ARM_INLINE int32x4_t min_products(const blocks256 type, int8x16_t min, const int16_t *sums) {
    const int16x8_t low = vld1q_s16(sums), high = vld1q_s16(sums + 8);
    const int16x8_t first = vmovl_s8(vget_low_s8(min));
    const int16x8_t x = type.group == 32 ? vpaddq_s16(low, high) : low;
    int32x4_t total = vmull_s16(vget_low_s16(first), vget_low_s16(x));
    total = vmlal_high_s16(total, first, x);
    if (type.group == 16) {
        const int16x8_t second = vmovl_high_s8(min);
        total = vmlal_s16(total, vget_low_s16(second), vget_low_s16(high));
        total = vmlal_high_s16(total, second, high);
    }
    return total;
}

/* One block of one weight row by n_row activation rows, at block b. */
ARM_INLINE void direct_256_block(const blocks256 type, const uint8_t *block, size_t b,
                                 const int_rows *x, const size_t n_row, int32x4_t *sum,
                                 int32x4_t *min_sum) {
    const heads h = type.heads(block);
    const int16x8_t low = vmovl_s8(vget_low_s8(h.scale)), high = vmovl_high_s8(h.scale);
    const int32x4_t scale[4] = {vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low),
                                vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)};
    for (size_t i = 0; i < n_row; i++) {
        sum[i] = vdupq_n_s32(0);
        min_sum[i] = vdupq_n_s32(0);
        if (type.has_min) {
            min_sum[i] = min_products(type, h.min, int_sums(x, i) + 16 * b);
        }
    }
#pragma GCC unroll 8
    for (size_t part = 0; part < 8; part++) {
        const bytes_32 q = type.unpack(block, part);
        for (size_t i = 0; i < n_row; i++) {
            const int8_t *x8 = int_values(x, i) + 256 * b + 32 * part;
            sum[i] = add_part(type, sum[i], q, x8, scale, part);
        }
    }
}

/* n_row is a constant. */
ARM_INLINE void direct_256_rows(const blocks256 type, const uint8_t *const *w, size_t n_block,
                                const int_rows *x, const size_t n_row,
                                float (*tile)[INT_DIRECT_OUT]) {
    const uint8_t *rows[4] = {w[0], w[1], w[2], w[3]};
    float32x4_t acc[INT_DIRECT_ROW] = {vdupq_n_f32(0), vdupq_n_f32(0)};
    for (size_t b = 0; b < n_block; b++) {
        int32x4_t sum[4][INT_DIRECT_ROW], min_sum[4][INT_DIRECT_ROW];
        for (size_t r = 0; r < 4; r++) {
            direct_256_block(type, rows[r], b, x, n_row, sum[r], min_sum[r]);
        }
        const float32x4_t d = four_f16(rows, type.d_at);
        const float32x4_t dmin = type.has_min ? four_f16(rows, type.dmin_at) : vdupq_n_f32(0);
        for (size_t i = 0; i < n_row; i++) {
            const float dx = int_scales(x, i)[b];
            const int32x4_t each[4] = {sum[0][i], sum[1][i], sum[2][i], sum[3][i]};
            acc[i] = vfmaq_f32(acc[i], vmulq_n_f32(d, dx), vcvtq_f32_s32(sum_each(each)));
            if (type.has_min) {
                const int32x4_t mins[4] = {min_sum[0][i], min_sum[1][i], min_sum[2][i],
                                           min_sum[3][i]};
                acc[i] = vfmsq_f32(acc[i], vmulq_n_f32(dmin, dx), vcvtq_f32_s32(sum_each(mins)));
            }
        }
        for (size_t r = 0; r < 4; r++) {
            rows[r] += type.bytes;
        }
    }
    for (size_t i = 0; i < n_row; i++) {
        vst1q_f32(tile[i], acc[i]);
    }
}

ARM_INLINE void direct_256(const blocks256 type, const uint8_t *const *w, size_t n_block,
                           const int_rows *x, size_t n_row, float (*tile)[INT_DIRECT_OUT]) {
    if (n_row == 1) {
        direct_256_rows(type, w, n_block, x, 1, tile);
    } else {
        direct_256_rows(type, w, n_block, x, 2, tile);
    }
}

/* ---- panels and groups: layout and filling ------------------------------------------------------
 */

typedef struct panel_32 {
    int8_t value[32 * INT_OUT];
    float scale[INT_OUT];
    float min[INT_OUT];
} panel_32;

/* Values: for each 8 of them, int8 [2][2][8]: pair of rows; row; value. */
typedef struct group_32 {
    int8_t value[32 * INT_ROW];
    float scale[INT_ROW * X_COPIES];
    float sum[INT_ROW * X_COPIES];
} group_32;

/* In types whose values are so small the scale is multiplied in, and the product negated, for
 * -4 * -32 is the one that would not fit: q = -(value * scale). The others have scales. Minimums
 * lie as values do, one for each group. */
typedef struct panel_256 {
    int8_t value[256 * INT_OUT];
    int8_t min[16 * INT_OUT];
    int32_t scale[16][INT_OUT];
    float d[INT_OUT];
    float dmin[INT_OUT];
} panel_256;

/* The sums of the groups' values are 128 * high + low, so that they are bytes and meet minimums
 * as values meet values: at most 32 * 127 in magnitude, -64 <= low < 64. */
typedef struct group_256 {
    int8_t value[256 * INT_ROW];
    int8_t high[16 * INT_ROW];
    int8_t low[16 * INT_ROW];
    float scale[INT_ROW * X_COPIES];
} group_256;

ARM_INLINE void fill_32(const blocks32 type, const uint8_t *const *w, size_t count, void *panel) {
    panel_32 *to = panel;
    const uint8_t *rows[INT_OUT];
    for (size_t r = 0; r < INT_OUT; r++) {
        rows[r] = w[r];
    }
    for (size_t b = 0; b < count; b++, to++) {
        int8x16_t first[INT_OUT], second[INT_OUT];
        for (size_t r = 0; r < INT_OUT; r++) {
            const bytes_32 q = type.unpack(rows[r]);
            first[r] = q.half[0];
            second[r] = q.half[1];
        }
        put_16(to->value, first);
        put_16(to->value + 16 * INT_OUT, second);
        vst1q_f32(to->scale, four_scales(type, rows));
        vst1q_f32(to->scale + 4, four_scales(type, rows + 4));
        if (type.has_min) {
            put_eight_f16(rows, 2, to->min);
        }
        for (size_t r = 0; r < INT_OUT; r++) {
            rows[r] += type.bytes;
        }
    }
}

/* Values 32 * part on of eight blocks; scale[r] as the blocks have them. */
ARM_INLINE void fill_part(const blocks256 type, const uint8_t *const *rows, size_t part,
                          const int8x16_t *scale, int8_t *to) {
    int8x16_t first[INT_OUT], second[INT_OUT];
    for (size_t r = 0; r < INT_OUT; r++) {
        const bytes_32 q = type.unpack(rows[r], part);
        first[r] = q.half[0];
        second[r] = q.half[1];
        if (type.is_small) {
            const int8x16_t minus = vnegq_s8(scale[r]);
            first[r] = vmulq_s8(first[r], vdupq_n_s8(minus[2 * part]));
            second[r] = vmulq_s8(second[r], vdupq_n_s8(minus[2 * part + 1]));
        }
    }
    put_16(to, first);
    put_16(to + 16 * INT_OUT, second);
}

ARM_INLINE void fill_scales(const int8x16_t *scale, int32_t (*to)[INT_OUT]) {
    int8_t bytes[INT_OUT][16];
    for (size_t r = 0; r < INT_OUT; r++) {
        vst1q_s8(bytes[r], scale[r]);
    }
    for (size_t g = 0; g < 16; g++) {
        for (size_t r = 0; r < INT_OUT; r++) {
            to[g][r] = bytes[r][g];
        }
    }
}

ARM_INLINE void fill_256(const blocks256 type, const uint8_t *const *w, size_t count, void *panel) {
    panel_256 *to = panel;
    const uint8_t *rows[INT_OUT];
    for (size_t r = 0; r < INT_OUT; r++) {
        rows[r] = w[r];
    }
    for (size_t b = 0; b < count; b++, to++) {
        int8x16_t scale[INT_OUT], min[INT_OUT];
        for (size_t r = 0; r < INT_OUT; r++) {
            const heads h = type.heads(rows[r]);
            scale[r] = h.scale;
            min[r] = h.min;
        }
#pragma GCC unroll 8
        for (size_t part = 0; part < 8; part++) {
            fill_part(type, rows, part, scale, to->value + 32 * INT_OUT * part);
        }
        if (!type.is_small) {
            fill_scales(scale, to->scale);
        }
        put_eight_f16(rows, type.d_at, to->d);
        if (type.has_min) {
            put_16(to->min, min);
            put_eight_f16(rows, type.dmin_at, to->dmin);
        }
        for (size_t r = 0; r < INT_OUT; r++) {
            rows[r] += type.bytes;
        }
    }
}

/* 16 values of each of four activation rows. */
ARM_INLINE void put_pairs(int8_t *to, const int8x16_t *q) {
    for (size_t p = 0; p < 2; p++) {
        const int64x2_t a = vreinterpretq_s64_s8(q[2 * p]), b = vreinterpretq_s64_s8(q[2 * p + 1]);
        vst1q_s8(to + 16 * p, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
        vst1q_s8(to + 32 + 16 * p, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
    }
}

ARM_INLINE void put_values(int8_t *to, const int_rows *x, const size_t *row, size_t from,
                           size_t n) {
    for (size_t k = 0; k < n; k += 16) {
        int8x16_t q[INT_ROW];
        for (size_t i = 0; i < INT_ROW; i++) {
            q[i] = vld1q_s8(int_values(x, row[i]) + from + k);
        }
        put_pairs(to + INT_ROW * k, q);
    }
}

ARM_INLINE void put_copies(float *to, size_t i, float f) {
    for (size_t c = 0; c < X_COPIES; c++) {
        to[i * X_COPIES + c] = f;
    }
}

ARM_INLINE void row_numbers(size_t n_row, size_t *row) {
    for (size_t i = 0; i < INT_ROW; i++) {
        row[i] = i < n_row ? i : n_row - 1;
    }
}

static void pack_32(const int_rows *x, size_t n_row, size_t from, size_t count, void *group) {
    group_32 *to = group;
    size_t row[INT_ROW];
    row_numbers(n_row, row);
    for (size_t b = from; b < from + count; b++, to++) {
        put_values(to->value, x, row, 32 * b, 32);
        for (size_t i = 0; i < INT_ROW; i++) {
            const int16_t *halves = int_sums(x, row[i]) + 2 * b;
            put_copies(to->scale, i, int_scales(x, row[i])[b]);
            put_copies(to->sum, i, (float)(halves[0] + halves[1]));
        }
    }
}

/* Sums of groups as 128 * high + low. */
ARM_INLINE void split_sums(const blocks256 type, const int16_t *sums, int8x16_t *high,
                           int8x16_t *low) {
    int16x8_t first = vld1q_s16(sums), second = vld1q_s16(sums + 8);
    if (type.group == 32) {
        first = vpaddq_s16(first, second);
        second = vdupq_n_s16(0);
    }
    const int16x8_t first_high = vrshrq_n_s16(first, 7), second_high = vrshrq_n_s16(second, 7);
    *high = vcombine_s8(vmovn_s16(first_high), vmovn_s16(second_high));
    *low = vcombine_s8(vmovn_s16(vsubq_s16(first, vshlq_n_s16(first_high, 7))),
                       vmovn_s16(vsubq_s16(second, vshlq_n_s16(second_high, 7))));
}

ARM_INLINE void pack_256(const blocks256 type, const int_rows *x, size_t n_row, size_t from,
                         size_t count, void *group) {
    group_256 *to = group;
    size_t row[INT_ROW];
    row_numbers(n_row, row);
    for (size_t b = from; b < from + count; b++, to++) {
        int8x16_t high[INT_ROW], low[INT_ROW];
        put_values(to->value, x, row, 256 * b, 256);
        for (size_t i = 0; i < INT_ROW; i++) {
            put_copies(to->scale, i, int_scales(x, row[i])[b]);
            split_sums(type, int_sums(x, row[i]) + 16 * b, &high[i], &low[i]);
        }
        if (type.has_min) {
            put_pairs(to->high, high);
            put_pairs(to->low, low);
        }
    }
}

/* ---- panels by groups --------------------------------------------------------------------------
 * n_pair, pairs of activation rows, is a constant: 1 or 2. */

ARM_INLINE void cells_zero(const size_t n_pair, int32x4_t *cell) {
    for (size_t c = 0; c < 4 * n_pair; c++) {
        cell[c] = vdupq_n_s32(0);
    }
}

/* n values of a panel and a group. */
ARM_INLINE void cells_add(const size_t n_pair, const size_t n, const int8_t *w, const int8_t *x,
                          int32x4_t *cell) {
#pragma GCC unroll 4
    for (size_t k = 0; k < n; k += 8) {
        times_8(cell, n_pair, w + INT_OUT * k, x + INT_ROW * k);
        keep_order();
    }
}

ARM_INLINE void read_tile(const size_t n_pair, float (*tile)[INT_OUT], float32x4_t *acc) {
    for (size_t c = 0; c < 4 * n_pair; c++) {
        acc[c] = tile_cell(tile, c % W_CELLS, c / W_CELLS);
    }
}

ARM_INLINE void write_tile(const size_t n_pair, float (*tile)[INT_OUT], const float32x4_t *acc) {
    for (size_t c = 0; c < 4 * n_pair; c++) {
        put_tile_cell(tile, c % W_CELLS, c / W_CELLS, acc[c]);
    }
}

ARM_INLINE void times_32_pairs(const bool has_min, const size_t n_pair, const panel_32 *w,
                               const group_32 *x, size_t count, float (*tile)[INT_OUT]) {
    float32x4_t acc[CELLS];
    read_tile(n_pair, tile, acc);
    for (size_t b = 0; b < count; b++, w++, x++) {
        int32x4_t sum[CELLS];
        cells_zero(n_pair, sum);
        cells_add(n_pair, 32, w->value, x->value, sum);
        for (size_t c = 0; c < 4 * n_pair; c++) {
            const size_t cw = c % W_CELLS, cx = c / W_CELLS;
            const float32x4_t dx = x_floats(x->scale, cx);
            acc[c] =
                vfmaq_f32(acc[c], vmulq_f32(w_floats(w->scale, cw), dx), vcvtq_f32_s32(sum[c]));
            if (has_min) {
                acc[c] =
                    vfmaq_f32(acc[c], vmulq_f32(w_floats(w->min, cw), dx), x_floats(x->sum, cx));
            }
        }
    }
    write_tile(n_pair, tile, acc);
}

ARM_INLINE void times_32(const bool has_min, const void *panel, const void *group, size_t count,
                         size_t n_row, float (*tile)[INT_OUT]) {
    if (n_row > 2) {
        times_32_pairs(has_min, 2, panel, group, count, tile);
    } else {
        times_32_pairs(has_min, 1, panel, group, count, tile);
    }
}

/* The exact integer of a block of 256, before d * dx. */
ARM_INLINE void block_256_sums(const blocks256 type, const size_t n_pair, const panel_256 *w,
                               const group_256 *x, int32x4_t *sum) {
    cells_zero(n_pair, sum);
    if (type.is_small) {
        for (size_t k = 0; k < 256; k += 32) {
            cells_add(n_pair, 32, w->value + INT_OUT * k, x->value + INT_ROW * k, sum);
        }
        for (size_t c = 0; c < 4 * n_pair; c++) {
            sum[c] = vnegq_s32(sum[c]);
        }
        return;
    }
    for (size_t g = 0; g < 256 / type.group; g++) {
        const size_t k = g * type.group;
        int32x4_t group[CELLS];
        cells_zero(n_pair, group);
        cells_add(n_pair, type.group, w->value + INT_OUT * k, x->value + INT_ROW * k, group);
        for (size_t c = 0; c < 4 * n_pair; c++) {
            sum[c] = vmlaq_s32(sum[c], group[c], w_ints(w->scale[g], c % W_CELLS));
        }
    }
}

ARM_INLINE void block_256_min_sums(const blocks256 type, const size_t n_pair, const panel_256 *w,
                                   const group_256 *x, int32x4_t *sum) {
    int32x4_t low[CELLS];
    cells_zero(n_pair, sum);
    cells_add(n_pair, 256 / type.group, w->min, x->high, sum);
    cells_zero(n_pair, low);
    cells_add(n_pair, 256 / type.group, w->min, x->low, low);
    for (size_t c = 0; c < 4 * n_pair; c++) {
        sum[c] = vaddq_s32(vshlq_n_s32(sum[c], 7), low[c]);
    }
}

ARM_INLINE void times_256_pairs(const blocks256 type, const size_t n_pair, const panel_256 *w,
                                const group_256 *x, size_t count, float (*tile)[INT_OUT]) {
    float32x4_t acc[CELLS];
    read_tile(n_pair, tile, acc);
    for (size_t b = 0; b < count; b++, w++, x++) {
        int32x4_t sum[CELLS];
        block_256_sums(type, n_pair, w, x, sum);
        for (size_t c = 0; c < 4 * n_pair; c++) {
            const float32x4_t d = w_floats(w->d, c % W_CELLS);
            acc[c] = vfmaq_f32(acc[c], vmulq_f32(d, x_floats(x->scale, c / W_CELLS)),
                               vcvtq_f32_s32(sum[c]));
        }
        if (!type.has_min) {
            continue;
        }
        block_256_min_sums(type, n_pair, w, x, sum);
        for (size_t c = 0; c < 4 * n_pair; c++) {
            const float32x4_t dmin = w_floats(w->dmin, c % W_CELLS);
            acc[c] = vfmsq_f32(acc[c], vmulq_f32(dmin, x_floats(x->scale, c / W_CELLS)),
                               vcvtq_f32_s32(sum[c]));
        }
    }
    write_tile(n_pair, tile, acc);
}

ARM_INLINE void times_256(const blocks256 type, const void *panel, const void *group, size_t count,
                          size_t n_row, float (*tile)[INT_OUT]) {
    if (n_row > 2) {
        times_256_pairs(type, 2, panel, group, count, tile);
    } else {
        times_256_pairs(type, 1, panel, group, count, tile);
    }
}

#include "kernels/arm/int_types.h"

#endif
