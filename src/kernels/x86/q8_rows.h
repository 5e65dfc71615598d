/* q8_rows.h - several rows of 8-bit activations, as the integer products of every level see them.
 *
 * A row's parts (kernels.h has the layout) lie at the same distances in each row, so that a view of
 * many rows is one address, one stride and two offsets. Row i, value k:
 *   values  base + i * stride + k
 *   scales  base + i * stride + scales_at + 4 * block
 *   sums    base + i * stride + sums_at + 2 * (k / 16)
 */
#ifndef KERNELS_X86_Q8_ROWS_H
#define KERNELS_X86_Q8_ROWS_H

#include "kernels/kernels.h"

#include <string.h>

/* Building blocks take constants (a type's layout, a number of rows) and are worth nothing unless
 * the compiler sees them. */
#define X86_INLINE static inline __attribute__((always_inline))

/* Bytes of a block of each type. */
enum {
    BLOCKS32_Q4_0_BYTES = 18,
    BLOCKS32_Q4_1_BYTES = 20,
    BLOCKS32_Q5_0_BYTES = 22,
    BLOCKS32_Q5_1_BYTES = 24,
    BLOCKS32_Q8_0_BYTES = 34,
    BLOCKS32_IQ4_NL_BYTES = 18,
    BLOCKS32_MXFP4_BYTES = 17,
    BLOCKS256_Q2_K_BYTES = 84,
    BLOCKS256_Q3_K_BYTES = 110,
    BLOCKS256_Q4_K_BYTES = 144,
    BLOCKS256_Q5_K_BYTES = 176,
    BLOCKS256_Q6_K_BYTES = 210,
    BLOCKS256_IQ4_XS_BYTES = 136,
};

typedef struct q8_rows {
    const uint8_t *base;
    size_t stride;
    size_t scales_at;
    size_t sums_at;
} q8_rows;

static inline q8_rows q8_rows_view(const void *x, size_t stride, size_t n, size_t block) {
    return (q8_rows){x, stride, kernel_q8_scales_at(n), kernel_q8_sums_at(n, block)};
}

/* The rows from row i on. */
X86_INLINE q8_rows q8_rows_from(const q8_rows *x, size_t i) {
    return (q8_rows){x->base + i * x->stride, x->stride, x->scales_at, x->sums_at};
}

X86_INLINE const uint8_t *q8_values(const q8_rows *x, size_t i) {
    return x->base + i * x->stride;
}

X86_INLINE const float *q8_scales(const q8_rows *x, size_t i) {
    return (const float *)(x->base + i * x->stride + x->scales_at);
}

X86_INLINE const int16_t *q8_sums(const q8_rows *x, size_t i) {
    return (const int16_t *)(x->base + i * x->stride + x->sums_at);
}

X86_INLINE uint16_t load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

X86_INLINE uint32_t load_u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

X86_INLINE int32_t load_i32(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#endif
