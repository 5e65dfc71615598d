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

typedef struct q8_rows {
    const uint8_t *base;
    size_t stride;
    size_t scales_at;
    size_t sums_at;
} q8_rows;

static inline q8_rows q8_rows_view(const void *x, size_t stride, size_t n, size_t block) {
    return (q8_rows){x, stride, kernel_q8_scales_at(n), kernel_q8_sums_at(n, block)};
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

/* Sixteen rows at one distance from each other, held in six registers: row r is reached from its
 * group of four by an addressing mode. */
typedef struct sixteen_rows {
    const uint8_t *four[4]; /* rows 0, 4, 8, 12 */
    size_t stride;
    size_t stride3;
} sixteen_rows;

static inline sixteen_rows sixteen_rows_at(const uint8_t *p, size_t stride) {
    sixteen_rows rows = {{p, p + 4 * stride, p + 8 * stride, p + 12 * stride}, stride, 3 * stride};
    /* Unknown from here on, lest the compiler computes an address for each row. */
    __asm__("" : "+r"(rows.four[1]), "+r"(rows.four[2]), "+r"(rows.four[3]), "+r"(rows.stride3));
    return rows;
}

X86_INLINE const uint8_t *sixteen_rows_get(const sixteen_rows *rows, size_t r) {
    return rows->four[r / 4] + (r % 4 == 3 ? rows->stride3 : r % 4 * rows->stride);
}

X86_INLINE void sixteen_rows_advance(sixteen_rows *rows, size_t bytes) {
    for (size_t g = 0; g < 4; g++) {
        rows->four[g] += bytes;
        __asm__("" : "+r"(rows->four[g]));
    }
}

/* out[r] = the f16 at row r + at. The stores are volatile, lest the compiler builds the vector by
 * shuffles instead, which are what the loops around this are short of. */
X86_INLINE void sixteen_rows_f16(const sixteen_rows *rows, size_t at, uint16_t out[16]) {
    for (size_t r = 0; r < 16; r++) {
        ((volatile uint16_t *)out)[r] = load_u16(sixteen_rows_get(rows, r) + at);
    }
}

#endif
