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
#include "kernels/x86/parts.h"

enum { LANES = 16 };

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

#include "kernels/x86/matmul256_types.h"

void matmul256_fill_avx512vnni(kernel_table *table) {
    matmul256_fill_table(table);
}
