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
#include "kernels/x86/parts.h"

enum { LANES = 8 };

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
            multiply_bytes(type.is_signed, type.row(eight_rows_get(rows, r), part), x);
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

#include "kernels/x86/matmul256_types.h"

void matmul256_fill_avx2(kernel_table *table) {
    matmul256_fill_table(table);
}
