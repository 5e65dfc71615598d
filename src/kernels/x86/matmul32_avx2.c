/* matmul32_avx2.c - products of the types of 32 values with 8-bit activations, eight weight rows at
 * a time, a lane for each.
 *
 *   byte[r][k] = q[r][k] + offset
 *   i[r]       = sum of byte[r][k] * x8[k]  -  offset * sum of x8[k]
 *   y[r]       = fma(dw[r] * dx, (float)i[r], y[r])    block after block, from 0
 *   y[r]       = fma(mw[r] * dx, (float)sum of x8[k], y[r])   with a minimum
 *
 * MXFP4 has bytes of E8M0 where the others have the scale.
 */
#include "kernels/x86/blocks_avx2.h"
#include "kernels/x86/parts.h"

enum { LANES = 8 };

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
        const __m256i twos = multiply_bytes(type.is_signed, type.row(eight_rows_get(rows, r)), x);
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

#include "kernels/x86/matmul32_types.h"

void matmul32_fill_avx2(kernel_table *table) {
    matmul32_fill_table(table);
}
