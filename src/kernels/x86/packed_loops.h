/* packed_loops.h - products of packed weights (packed.h) with 8-bit activations, for vectors of any
 * width: a lane for each weight row.
 *
 * Types of 32 values, where byte = q + offset:
 *   i[r] = sum of byte[r][k] * x8[k]  -  offset * sum of x8[k]
 *   y[r] = fma(dw[r] * dx, (float)i[r], y[r])    block after block, from 0
 *   y[r] = fma(mw[r] * dx, (float)sum of x8[k], y[r])   with a minimum
 * Types of 256 values in groups g:
 *   i[r] = sum over g of scale[r][g] * sum of byte[r][k] * x8[k]
 *   j[r] = sum over g of min[r][g] * sum of x8[k]
 *   with minimums:  y[r] = fma(d[r] * dx, i[r], y[r]), then fma(-(dmin[r] * dx), j[r], y[r])
 *   with an offset: y[r] = fma(d[r] * dx, i[r] - offset * j[r], y[r]), min being the scale
 *
 * A word of four successive values of sixteen rows meets the same word of x in all lanes. So that
 * every address of the inner loop is one pointer and a constant, several activation rows are
 * interleaved first, word by word (packed_products.h).
 *
 * A file that includes this has included the words of its level, and calls packed_fill_table.
 */
#include "kernels/x86/packed_products.h"

enum {
    HALVES = PACKED_ROWS / LANES, /* vectors for the rows of a panel */
    BYTES = 4 * LANES,            /* of a vector */
};

/* v, computed before what follows is begun. Without it GCC multiplies a whole block first and adds
 * afterwards, which takes far more registers than there are. */
X86_INLINE vec_int int_now(vec_int v) {
    __asm__("" : "+v"(v));
    return v;
}

/* The 4 bytes of unit `unit` of a field that has `at` bytes of a row before it in a panel's
 * block. */
X86_INLINE vec_int unit_load(const uint8_t *block, size_t at, size_t unit, size_t half) {
    return int_load(block + PACKED_ROWS * at + 64 * unit + BYTES * half);
}

X86_INLINE vec_float half_load(const uint8_t *block, size_t at, size_t half) {
    return float_of_f16(block + PACKED_ROWS * at + 2 * LANES * half);
}

/* The bits of `mask` in each byte of v >> right, or of v << -right. */
X86_INLINE vec_int bits_of(vec_int v, int right, int mask) {
    const vec_int shifted = right >= 0 ? int_right_16(v, right) : int_left_16(v, -right);
    return int_and(shifted, int_all_bytes(mask));
}

/* ---- types of 32 values -------------------------------------------------------------------------
 */

typedef struct packed32 {
    size_t bytes;
    bool has_min;
    bool is_signed;
    bool is_e8m0;     /* the scale is a byte of E8M0, no f16 */
    size_t fit;       /* products of words whose sum fits into 16 bits (int_dot_more); divides 8 */
    bool is_expanded; /* see expand32 */
    /* Values 4 k to 4 k + 3, k a constant. */
    vec_int (*values)(const uint8_t *block, size_t half, int k);
} packed32;

X86_INLINE vec_int nibbles_at(const uint8_t *block, size_t at, size_t half, int k) {
    return bits_of(unit_load(block, at, (size_t)(k % 4), half), k / 4 * 4, 15);
}

X86_INLINE vec_int fifths_at(const uint8_t *block, size_t at, size_t half, int k) {
    return bits_of(unit_load(block, at, 0, half), k - 4, 16);
}

X86_INLINE vec_int values_q4_0(const uint8_t *block, size_t half, int k) {
    return nibbles_at(block, 2, half, k);
}

X86_INLINE vec_int values_q4_1(const uint8_t *block, size_t half, int k) {
    return nibbles_at(block, 4, half, k);
}

X86_INLINE vec_int values_q5_0(const uint8_t *block, size_t half, int k) {
    return int_or(nibbles_at(block, 6, half, k), fifths_at(block, 2, half, k));
}

X86_INLINE vec_int values_q5_1(const uint8_t *block, size_t half, int k) {
    return int_or(nibbles_at(block, 8, half, k), fifths_at(block, 4, half, k));
}

X86_INLINE vec_int values_q8_0(const uint8_t *block, size_t half, int k) {
    return unit_load(block, 2, (size_t)k, half);
}

/* Levels of seven bits and a sign are as the level's products want signed bytes: with an offset
 * they are unsigned, without one they stay signed. */
enum { LEVELS_SIGNED = SIGNED_OFFSET == 0 };

X86_INLINE vec_int values_iq4_nl(const uint8_t *block, size_t half, int k) {
    return int_look_up(block_iq4_levels, SIGNED_OFFSET, nibbles_at(block, 2, half, k));
}

/* Each level plus 12, the greatest, which leaves five bits. */
X86_INLINE vec_int values_mxfp4(const uint8_t *block, size_t half, int k) {
    return int_look_up(block_mxfp4_levels, 12, nibbles_at(block, 1, half, k));
}

#define PACKED_Q4_0 ((packed32){BLOCKS32_Q4_0_BYTES, false, false, false, 8, false, values_q4_0})
#define PACKED_Q4_1 ((packed32){BLOCKS32_Q4_1_BYTES, true, false, false, 8, false, values_q4_1})
#define PACKED_Q5_0 ((packed32){BLOCKS32_Q5_0_BYTES, false, false, false, 4, false, values_q5_0})
#define PACKED_Q5_1 ((packed32){BLOCKS32_Q5_1_BYTES, true, false, false, 4, false, values_q5_1})
#define PACKED_Q8_0 ((packed32){BLOCKS32_Q8_0_BYTES, false, true, false, 1, false, values_q8_0})
#define PACKED_IQ4_NL                                                                              \
    ((packed32){BLOCKS32_IQ4_NL_BYTES, false, LEVELS_SIGNED, false, 1, false, values_iq4_nl})
#define PACKED_MXFP4 ((packed32){BLOCKS32_MXFP4_BYTES, false, false, true, 4, false, values_mxfp4})

/* For many activation rows a stretch of a panel is expanded first, so that the bits of a value are
 * put together once: per block and row 4 bytes of scale, 4 of minimum, 32 values. */
enum { EXPANDED32_BYTES = 40 };

/* The scales (which 0) or minimums (1) of a block of the file's kind. */
X86_INLINE vec_float read_scales32(const packed32 type, const uint8_t *block, size_t which,
                                   size_t half) {
    return type.is_e8m0 ? float_of_e8m0(block + LANES * half) : half_load(block, 2 * which, half);
}

X86_INLINE vec_int values_expanded32(const uint8_t *block, size_t half, int k) {
    return unit_load(block, 8, (size_t)k, half);
}

X86_INLINE packed32 expanded32(packed32 type) {
    type.bytes = EXPANDED32_BYTES;
    type.is_expanded = true;
    type.values = values_expanded32;
    return type;
}

X86_INLINE void expand32(const packed32 type, const packed_blocks *w, uint8_t *to) {
    const uint8_t *panel = w->first;
    for (size_t b = 0; b < w->count; b++) {
        packed_fetch(panel, w->ahead, PACKED_ROWS * type.bytes, 0, 1);
#pragma GCC unroll 2
        for (size_t h = 0; h < HALVES; h++) {
            float_store((float *)(void *)(to + BYTES * h), read_scales32(type, panel, 0, h));
            if (type.has_min) {
                float_store((float *)(void *)(to + 64 + BYTES * h),
                            read_scales32(type, panel, 1, h));
            }
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++) {
                int_store(to + 128 + 64 * k + BYTES * h, type.values(panel, h, k));
            }
        }
        panel += PACKED_ROWS * type.bytes;
        to += PACKED_ROWS * EXPANDED32_BYTES;
    }
}

/* The scales (which 0) or minimums (1) of a block as floats. */
X86_INLINE vec_float scales32(const packed32 type, const uint8_t *block, size_t which,
                              size_t half) {
    return type.is_expanded
               ? float_load((const float *)(const void *)(block + 64 * which + BYTES * half))
               : read_scales32(type, block, which, half);
}

/* i of one block, in all halves, for n_row (a constant, at most ROWS) activation rows. */
X86_INLINE void block32_dots(const packed32 type, const uint8_t *block, size_t ahead,
                             const uint8_t *x, const int32_t *start, const size_t n_row,
                             vec_int i[HALVES][ROWS]) {
    const size_t fit = int_dot_fit(type.fit);
    const bool in_order = type.is_signed && type.bytes >= 32; /* else words hold nibbles */
    vec_int sum[HALVES][ROWS];
#pragma GCC unroll 8
    for (size_t n = 0; n < n_row; n++) {
#pragma GCC unroll 2
        for (size_t h = 0; h < HALVES; h++) {
            i[h][n] = int_all(&start[n]);
        }
    }
#pragma GCC unroll 8
    for (size_t at = 0; at < 8; at++) {
        const int k = (int)(in_order ? at : at / 2 + at % 2 * 4);
        if (!type.is_expanded && n_row > 1) {
            packed_fetch(block, ahead, PACKED_ROWS * type.bytes, at, 8);
        }
        vec_int w[HALVES];
#pragma GCC unroll 2
        for (size_t h = 0; h < HALVES; h++) {
            w[h] = type.values(block, h, k);
        }
#pragma GCC unroll 8
        for (size_t n = 0; n < n_row; n++) {
            const vec_int xk = int_all(x + 4 * ((size_t)k * n_row + n));
#pragma GCC unroll 2
            for (size_t h = 0; h < HALVES; h++) {
                if (type.is_signed) {
                    const vec_int begun = int_dot_begin_signed(i[h][n], w[h], xk);
                    i[h][n] = int_now(int_dot_end(i[h][n], begun));
                } else if (at % fit == 0) {
                    sum[h][n] = int_now(int_dot_begin(i[h][n], w[h], xk));
                } else {
                    sum[h][n] = int_now(int_dot_more(sum[h][n], w[h], xk));
                }
                if (!type.is_signed && at % fit == fit - 1) {
                    i[h][n] = int_now(int_dot_end(i[h][n], sum[h][n]));
                }
            }
        }
    }
}

/* Adds the products of a block to acc. */
X86_INLINE void block32_times(const packed32 type, const uint8_t *block, size_t ahead,
                              const packed_group *x, size_t b, const size_t n_row,
                              vec_float acc[HALVES][ROWS]) {
    vec_int i[HALVES][ROWS];
    block32_dots(type, block, ahead, x->values + 32 * n_row * b, x->start + n_row * b, n_row, i);
#pragma GCC unroll 2
    for (size_t h = 0; h < HALVES; h++) {
        const vec_float scale = scales32(type, block, 0, h);
        const vec_float min = type.has_min ? scales32(type, block, 1, h) : scale;
#pragma GCC unroll 8
        for (size_t n = 0; n < n_row; n++) {
            const vec_float d = float_all(x->scales + n_row * b + n);
            acc[h][n] = float_fma(float_mul(scale, d), float_of_int(i[h][n]), acc[h][n]);
            if (type.has_min) {
                acc[h][n] = float_fma(float_mul(min, d), float_all(x->float_sums + n_row * b + n),
                                      acc[h][n]);
            }
        }
    }
}

X86_INLINE void acc_load(const float *y, size_t y_stride, bool is_zero, const size_t n_row,
                         vec_float acc[HALVES][ROWS]) {
#pragma GCC unroll 8
    for (size_t n = 0; n < n_row; n++) {
#pragma GCC unroll 2
        for (size_t h = 0; h < HALVES; h++) {
            acc[h][n] = is_zero ? float_zero() : float_load(y + n * y_stride + h * LANES);
        }
    }
}

X86_INLINE void acc_store(float *y, size_t y_stride, const size_t n_row,
                          vec_float acc[HALVES][ROWS]) {
#pragma GCC unroll 8
    for (size_t n = 0; n < n_row; n++) {
#pragma GCC unroll 2
        for (size_t h = 0; h < HALVES; h++) {
            float_store(y + n * y_stride + h * LANES, acc[h][n]);
        }
    }
}

/* packed_times for n_row, a constant, at most ROWS. */
X86_INLINE void panel32_times(const packed32 type, const packed_blocks *w, const packed_group *x,
                              const size_t n_row, float *y, size_t y_stride) {
    vec_float acc[HALVES][ROWS];
    acc_load(y, y_stride, x->is_first, n_row, acc);
    for (size_t b = 0; b < w->count; b++) {
        block32_times(type, w->first + b * PACKED_ROWS * type.bytes, w->ahead, x, b, n_row, acc);
    }
    acc_store(y, y_stride, n_row, acc);
}

/* packed_times for one activation row: the panels take turns. */
X86_INLINE void panels32_times(const packed32 type, const packed_blocks *w, const packed_group *x,
                               float *y, size_t y_stride) {
    for (size_t b = 0; b < w->count; b++) {
        const uint8_t *block = w->first + b * PACKED_ROWS * type.bytes;
        for (size_t p = 0; p < w->panels; p++) {
            vec_float acc[HALVES][ROWS];
            acc_load(y + p * y_stride, 0, x->is_first && b == 0, 1, acc);
            block32_times(type, block + p * w->stride, w->ahead, x, b, 1, acc);
            acc_store(y + p * y_stride, 0, 1, acc);
        }
    }
}

/* ---- types of 256 values ------------------------------------------------------------------------
 * 128 values at a time ("side" 0 and 1), in four parts of 32, eight words each. */

typedef struct heads256 {
    vec_int scale[4]; /* word: the bytes of four successive groups */
    vec_int min[4];
} heads256;

typedef struct packed256 {
    size_t bytes;
    size_t d_at;      /* as in unit_load */
    size_t dmin_at;   /* 0: has none */
    int offset_shift; /* without minimums: q = byte - (1 << offset_shift) */
    size_t group;     /* values that share a small scale: 16 or 32 */
    bool is_signed;   /* as in packed32, then without minimum and offset (shift 0) */
    size_t fit;       /* likewise */
    bool is_expanded; /* likewise */
    size_t ahead;     /* bytes to ask for ahead with one activation row; 0: see packed_blocks */
    /* Values 4 k to 4 k + 3 of a part, part and k constants. */
    vec_int (*values)(const uint8_t *block, size_t half, size_t side, int part, int k);
    heads256 (*heads)(const uint8_t *block, size_t half);
} packed256;

X86_INLINE vec_int values_q2_k(const uint8_t *block, size_t half, size_t side, int part, int k) {
    return bits_of(unit_load(block, 16, 8 * side + (size_t)k, half), 2 * part, 3);
}

/* Words of low bits and of high bits take turns (packed.h), as far as there are high ones. */
X86_INLINE vec_int values_q3_k(const uint8_t *block, size_t half, size_t side, int part, int k) {
    const size_t unit = side ? 16 + (size_t)k : 2 * (size_t)k;
    const vec_int low = bits_of(unit_load(block, 12, unit, half), 2 * part, 3);
    const vec_int word = unit_load(block, 12, 2 * (size_t)k + 1, half);
    return int_or(low, bits_of(int_right_16(word, 4 * (int)side), part - 2, 4));
}

X86_INLINE vec_int values_q4_k(const uint8_t *block, size_t half, size_t side, int part, int k) {
    const size_t unit = 16 * side + (size_t)(part / 2) * 8 + (size_t)k;
    return bits_of(unit_load(block, 12, unit, half), part % 2 * 4, 15);
}

X86_INLINE vec_int values_q5_k(const uint8_t *block, size_t half, size_t side, int part, int k) {
    const size_t number = 16 * side + (size_t)(part / 2) * 8 + (size_t)k; /* of the low bits */
    const size_t unit = number < 8 ? 2 * number : 8 + number;
    const vec_int low = bits_of(unit_load(block, 12, unit, half), part % 2 * 4, 15);
    const vec_int word = unit_load(block, 12, 2 * (size_t)k + 1, half);
    return int_or(low, bits_of(int_right_16(word, 4 * (int)side), part - 4, 16));
}

X86_INLINE vec_int values_q6_k(const uint8_t *block, size_t half, size_t side, int part, int k) {
    const size_t first = 16 + 96 * side;
    const size_t unit = part % 2 ? 16 + (size_t)k : 2 * (size_t)k;
    const vec_int low = bits_of(unit_load(block, first, unit, half), part / 2 * 4, 15);
    const vec_int high = unit_load(block, first, 2 * (size_t)k + 1, half);
    return int_or(low, bits_of(high, 2 * part - 4, 0x30));
}

/* Low four bits scale, high four minimum. */
X86_INLINE heads256 heads_q2_k(const uint8_t *block, size_t half) {
    heads256 heads;
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) {
        const vec_int word = unit_load(block, 0, q, half);
        heads.scale[q] = bits_of(word, 0, 15);
        heads.min[q] = bits_of(word, 4, 15);
    }
    return heads;
}

/* Low nibbles of scales g and g + 8 in byte g, two high bits of scale g in byte 8 + g % 4. */
X86_INLINE heads256 heads_q3_k(const uint8_t *block, size_t half) {
    heads256 heads;
    const vec_int high = unit_load(block, 0, 2, half);
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) {
        const vec_int low = bits_of(unit_load(block, 0, q % 2, half), (int)(q / 2) * 4, 15);
        const vec_int both = int_or(low, bits_of(high, 2 * (int)q - 4, 0x30));
        heads.scale[q] = int_sub_bytes(both, int_all_bytes(32));
        heads.min[q] = heads.scale[q];
    }
    return heads;
}

/* Three words a, b, c: scales 0..3 and minimums 0..3 are the low six bits of a and b; scales 4..7
 * are the low nibbles of c, minimums 4..7 the high ones, with the two high bits of a and b on
 * top. */
X86_INLINE heads256 heads_q4_k(const uint8_t *block, size_t half) {
    const vec_int a = unit_load(block, 0, 0, half), b = unit_load(block, 0, 1, half),
                  c = unit_load(block, 0, 2, half);
    heads256 heads;
    heads.scale[0] = bits_of(a, 0, 63);
    heads.scale[1] = int_or(bits_of(c, 0, 15), bits_of(a, 2, 0x30));
    heads.min[0] = bits_of(b, 0, 63);
    heads.min[1] = int_or(bits_of(c, 4, 15), bits_of(b, 2, 0x30));
    heads.scale[2] = heads.scale[3] = heads.min[2] = heads.min[3] = int_zero(); /* unused */
    return heads;
}

X86_INLINE heads256 heads_q6_k(const uint8_t *block, size_t half) {
    heads256 heads;
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) {
        heads.scale[q] = unit_load(block, 0, q, half);
        heads.min[q] = heads.scale[q];
    }
    return heads;
}

/* A group of 32 is a block of IQ4_NL. */
X86_INLINE vec_int values_iq4_xs(const uint8_t *block, size_t half, size_t side, int part, int k) {
    const size_t unit = 16 * side + 4 * (size_t)part + (size_t)(k % 4);
    const vec_int nibbles = bits_of(unit_load(block, 8, unit, half), k / 4 * 4, 15);
    return int_look_up(block_iq4_levels, SIGNED_OFFSET, nibbles);
}

/* Of four scales, bytes 0 to 3, the low four bits are nibbles of the two bytes at `byte` of `low`;
 * the high two are those of byte `byte` / 2 of `high`. */
X86_INLINE vec_int scales_iq4_xs(vec_int low, vec_int high, uint32_t byte) {
    const uint32_t even = 0x000f000f, odd = 0x0f000f00;
    const uint32_t first = 0x00000030, second = 0x00003000, third = 0x00300000, fourth = 0x30000000;
    const vec_int l = int_pick_bytes(low, 0x01010000 + 0x01010101 * byte);
    const vec_int h = int_pick_bytes(high, 0x01010101 * (byte / 2));
    const vec_int fours =
        int_or(int_and(l, int_all(&even)), int_and(int_right_16(l, 4), int_all(&odd)));
    const vec_int near = int_or(int_and(int_left_16(h, 4), int_all(&first)),
                                int_and(int_left_16(h, 2), int_all(&second)));
    const vec_int far =
        int_or(int_and(h, int_all(&third)), int_and(int_right_16(h, 2), int_all(&fourth)));
    return int_sub_bytes(int_or(fours, int_or(near, far)), int_all_bytes(32));
}

X86_INLINE heads256 heads_iq4_xs(const uint8_t *block, size_t half) {
    const vec_int high = int_of_u16(block + PACKED_ROWS * 2 + 2 * LANES * half);
    const vec_int low = unit_load(block, 4, 0, half);
    heads256 heads;
#pragma GCC unroll 2
    for (uint32_t q = 0; q < 2; q++) {
        heads.scale[q] = scales_iq4_xs(low, high, 2 * q);
        heads.min[q] = heads.scale[q];
    }
    heads.scale[2] = heads.scale[3] = heads.min[2] = heads.min[3] = int_zero(); /* unused */
    return heads;
}

/* Q2_K's sums take nearly as long as its bytes, so that late lines cost time: it asks for them. */
#define PACKED_Q2_K                                                                                \
    ((packed256){BLOCKS256_Q2_K_BYTES, 80, 82, 0, 16, false, 8, false, 8192, values_q2_k,          \
                 heads_q2_k})
#define PACKED_Q3_K                                                                                \
    ((packed256){BLOCKS256_Q3_K_BYTES, 108, 0, 2, 16, false, 8, false, 0, values_q3_k, heads_q3_k})
#define PACKED_Q4_K                                                                                \
    ((packed256){BLOCKS256_Q4_K_BYTES, 140, 142, 0, 32, false, 8, false, 0, values_q4_k,           \
                 heads_q4_k})
#define PACKED_Q5_K                                                                                \
    ((packed256){BLOCKS256_Q5_K_BYTES, 172, 174, 0, 32, false, 4, false, 0, values_q5_k,           \
                 heads_q4_k})
#define PACKED_Q6_K                                                                                \
    ((packed256){BLOCKS256_Q6_K_BYTES, 208, 0, 5, 16, false, 2, false, 0, values_q6_k, heads_q6_k})
#define PACKED_IQ4_XS                                                                              \
    ((packed256){BLOCKS256_IQ4_XS_BYTES, 0, 0, LEVELS_SIGNED ? 0 : 7, 32, LEVELS_SIGNED, 1, false, \
                 0, values_iq4_xs, heads_iq4_xs})

/* The small scales as factors, and the minimums as pairs of 16 bits for the pairs of sums. */
typedef struct factors256 {
    vec_int scale[16];
    vec_int min[8];
} factors256;

X86_INLINE void read_factors(const packed256 type, const uint8_t *block, size_t half,
                             factors256 *to) {
    const heads256 heads = type.heads(block, half);
    const int groups = type.group == 32 ? 8 : 16;
#pragma GCC unroll 16
    for (int g = 0; g < groups; g++) {
        to->scale[g] = int_dot_scale(heads.scale[g / 4], g % 4);
    }
#pragma GCC unroll 8
    for (int p = 0; p < groups / 2; p++) {
        const uint32_t pair = (uint32_t)(p % 2) * 0x02000200u + 0x01800080u;
        to->min[p] = int_sign_16(int_pick_bytes(heads.min[p / 2], pair));
    }
}

/* Expanded, per block: words of values as above, the factors of each half, d, dmin as floats. */
enum {
    EXPANDED256_FACTORS_AT = 64 * 64,
    EXPANDED256_D_AT = EXPANDED256_FACTORS_AT + (int)sizeof(factors256) * HALVES,
    EXPANDED256_BYTES = (EXPANDED256_D_AT + 128) / PACKED_ROWS,
};

X86_INLINE vec_int values_expanded256(const uint8_t *block, size_t half, size_t side, int part,
                                      int k) {
    return unit_load(block, 0, 32 * side + 8 * (size_t)part + (size_t)k, half);
}

X86_INLINE packed256 expanded256(packed256 type) {
    type.bytes = EXPANDED256_BYTES;
    type.is_expanded = true;
    type.values = values_expanded256;
    return type;
}

X86_INLINE void expand_side(const packed256 type, const uint8_t *block, size_t half, size_t side,
                            uint8_t *to) {
#pragma GCC unroll 4
    for (int part = 0; part < 4; part++) {
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++) {
            int_store(to + 64 * (8 * part + k), type.values(block, half, side, part, k));
        }
    }
}

X86_INLINE void expand256(const packed256 type, const packed_blocks *w, uint8_t *to) {
    const uint8_t *panel = w->first;
    for (size_t b = 0; b < w->count; b++) {
        for (size_t h = 0; h < HALVES; h++) {
            packed_fetch(panel, w->ahead, PACKED_ROWS * type.bytes, h, HALVES);
            expand_side(type, panel, h, 0, to + BYTES * h);
            expand_side(type, panel, h, 1, to + 32 * 64 + BYTES * h);
            read_factors(type, panel, h, (factors256 *)(void *)(to + EXPANDED256_FACTORS_AT) + h);
            float *d = (float *)(void *)(to + EXPANDED256_D_AT) + LANES * h;
            float_store(d, half_load(panel, type.d_at, h));
            if (type.dmin_at) {
                float_store(d + PACKED_ROWS, half_load(panel, type.dmin_at, h));
            }
        }
        panel += PACKED_ROWS * type.bytes;
        to += PACKED_ROWS * EXPANDED256_BYTES;
    }
}

/* d (which 0) or dmin (1). */
X86_INLINE vec_float scales256(const packed256 type, const uint8_t *block, size_t which,
                               size_t half) {
    if (type.is_expanded) {
        return float_load((const float *)(const void *)(block + EXPANDED256_D_AT) +
                          PACKED_ROWS * which + LANES * half);
    }
    return half_load(block, which ? type.dmin_at : type.d_at, half);
}

/* Adds to i the products of one part of 32 values; scale[h] is its first one's. */
X86_INLINE void part256_dots(const packed256 type, const uint8_t *block, size_t ahead, size_t side,
                             const int part, const vec_int *const *scale, const uint8_t *x,
                             const size_t n_row, vec_int i[HALVES][ROWS]) {
    const size_t longest = type.group / 4, fits = int_dot_fit(type.fit);
    const size_t fit = fits < longest ? fits : longest;
    vec_int sum[HALVES][ROWS];
    if (!type.is_expanded && (n_row > 1 || type.ahead > 0)) {
        packed_fetch(block, n_row > 1 ? ahead : type.ahead, PACKED_ROWS * type.bytes,
                     4 * side + (size_t)part, 8);
    }
#pragma GCC unroll 8
    for (size_t k = 0; k < 8; k++) {
        vec_int w[HALVES];
#pragma GCC unroll 2
        for (size_t h = 0; h < HALVES; h++) {
            w[h] = type.values(block, h, side, part, (int)k);
        }
#pragma GCC unroll 8
        for (size_t n = 0; n < n_row; n++) {
            const vec_int xk = int_all(x + 4 * ((32 * (size_t)part / 4 + k) * n_row + n));
#pragma GCC unroll 2
            for (size_t h = 0; h < HALVES; h++) {
                sum[h][n] = int_now(type.is_signed ? int_dot_begin_signed(int_zero(), w[h], xk)
                                    : k % fit == 0 ? int_dot_begin(int_zero(), w[h], xk)
                                                   : int_dot_more(sum[h][n], w[h], xk));
                if (k % fit == fit - 1) {
                    i[h][n] = int_now(int_dot_scaled(
                        i[h][n], sum[h][n], scale[h][32 / type.group * part + k / longest]));
                }
            }
        }
    }
}

/* Adds to i the products of one side. */
X86_INLINE void side256_dots(const packed256 type, const uint8_t *block, size_t ahead, size_t side,
                             const factors256 *factors, const packed_group *x, size_t b,
                             const size_t n_row, vec_int i[HALVES][ROWS]) {
    const uint8_t *values = x->values + n_row * (256 * b + 128 * side);
    const vec_int *scale[HALVES];
    for (size_t h = 0; h < HALVES; h++) {
        scale[h] = factors[h].scale + 128 / type.group * side;
    }
    part256_dots(type, block, ahead, side, 0, scale, values, n_row, i);
    part256_dots(type, block, ahead, side, 1, scale, values, n_row, i);
    part256_dots(type, block, ahead, side, 2, scale, values, n_row, i);
    part256_dots(type, block, ahead, side, 3, scale, values, n_row, i);
}

/* Adds the products of a block to acc. */
X86_INLINE void block256_times(const packed256 type, const uint8_t *block, size_t ahead,
                               const packed_group *x, size_t b, const size_t n_row,
                               vec_float acc[HALVES][ROWS]) {
    const size_t groups = 256 / type.group;
    factors256 read[HALVES];
    const factors256 *factors = (const factors256 *)(const void *)(block + EXPANDED256_FACTORS_AT);
    if (!type.is_expanded) {
        for (size_t h = 0; h < HALVES; h++) {
            read_factors(type, block, h, &read[h]);
        }
        factors = read;
    }
    vec_int i[HALVES][ROWS], j[HALVES][ROWS];
#pragma GCC unroll 8
    for (size_t n = 0; n < n_row; n++) {
#pragma GCC unroll 2
        for (size_t h = 0; h < HALVES; h++) {
            i[h][n] = int_zero();
            j[h][n] = int_zero();
        }
    }
    if (n_row > 1) {
        for (size_t side = 0; side < 2; side++) {
            side256_dots(type, block, ahead, side, factors, x, b, n_row, i);
        }
    } else { /* a constant side, so that every address is the block's and a constant */
        side256_dots(type, block, ahead, 0, factors, x, b, n_row, i);
        side256_dots(type, block, ahead, 1, factors, x, b, n_row, i);
    }
    const size_t pairs = type.dmin_at || type.offset_shift ? groups / 2 : 0; /* for j */
#pragma GCC unroll 8
    for (size_t p = 0; p < pairs; p++) {
#pragma GCC unroll 8
        for (size_t n = 0; n < n_row; n++) {
            const vec_int sums = int_all(x->pair_sums + 2 * n_row * (groups / 2 * b + p) + 2 * n);
#pragma GCC unroll 2
            for (size_t h = 0; h < HALVES; h++) {
                j[h][n] = int_now(int_madd_16(j[h][n], factors[h].min[p], sums));
            }
        }
    }
#pragma GCC unroll 2
    for (size_t h = 0; h < HALVES; h++) {
        const vec_float scale = scales256(type, block, 0, h);
        const vec_float min = type.dmin_at ? scales256(type, block, 1, h) : scale;
#pragma GCC unroll 8
        for (size_t n = 0; n < n_row; n++) {
            const vec_float d = float_all(x->scales + n_row * b + n);
            if (!type.dmin_at) {
                i[h][n] = int_sub(i[h][n], int_shift_left(j[h][n], type.offset_shift));
            }
            acc[h][n] = float_fma(float_mul(scale, d), float_of_int(i[h][n]), acc[h][n]);
            if (type.dmin_at) {
                acc[h][n] = float_fnma(float_mul(min, d), float_of_int(j[h][n]), acc[h][n]);
            }
        }
    }
}

/* packed_times for n_row, a constant, at most ROWS. */
X86_INLINE void panel256_times(const packed256 type, const packed_blocks *w, const packed_group *x,
                               const size_t n_row, float *y, size_t y_stride) {
    for (size_t b = 0; b < w->count; b++) {
        const uint8_t *block = w->first + b * PACKED_ROWS * type.bytes;
        vec_float acc[HALVES][ROWS];
        acc_load(y, y_stride, x->is_first && b == 0, n_row, acc);
        block256_times(type, block, w->ahead, x, b, n_row, acc);
        acc_store(y, y_stride, n_row, acc);
    }
}

#include "kernels/x86/packed_types.h"
