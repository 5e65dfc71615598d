/* matmul_ref.c - products of weight rows and activation rows, one dot product at a time.
 *
 *   y[i][r] = dot(w[r], x[i])   w [n_out][n_in] of any type, x [n_row][n_in] in the type's form
 *
 * kernels.h states the order in which each dot product rounds.
 */
#include "kernels/ref/ref.h"

#include "quant/blocks.h"
#include "quant/half.h"

#include <assert.h>

/* Product of one weight row, at any byte address, and one activation row, of n values. */
typedef float row_dot(const uint8_t *w, const void *x, size_t n);

static void matmul_by(row_dot *dot, size_t n_out, size_t n_row, size_t n_in, const void *w,
                      size_t w_stride, const void *x, size_t x_stride, float *y, size_t y_stride) {
    assert(n_out > 0 && n_row > 0 && n_in > 0);
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0);
    for (size_t i = 0; i < n_row; i++) {
        const uint8_t *x_row = (const uint8_t *)x + i * x_stride;
        for (size_t r = 0; r < n_out; r++) {
            y[i * y_stride + r] = dot((const uint8_t *)w + r * w_stride, x_row, n_in);
        }
    }
}

/* ---- floats ------------------------------------------------------------------------------------
 */

static float dot_f32(const uint8_t *w, const void *x, size_t n) {
    const float *x32 = x;
    float s[SUM16] = {0}, part[SUM16];
    size_t k = 0;
    for (; k + SUM16 <= n; k += SUM16) {
        memcpy(part, w + 4 * k, sizeof part);
        ref_fma16(part, x32 + k, s);
    }
    memcpy(part, w + 4 * k, (n - k) * sizeof(float));
    for (size_t i = 0; k + i < n; i++) {
        s[i] = fmaf(part[i], x32[k + i], s[i]);
    }
    return ref_tree16(s);
}

static float dot_f16(const uint8_t *w, const void *x, size_t n) {
    const float *x32 = x;
    float s[SUM16] = {0}, part[SUM16];
    uint16_t halves[SUM16];
    size_t k = 0;
    for (; k + SUM16 <= n; k += SUM16) {
        memcpy(halves, w + 2 * k, sizeof halves);
        for (int i = 0; i < SUM16; i++) {
            part[i] = half_from_f16(halves[i]);
        }
        ref_fma16(part, x32 + k, s);
    }
    memcpy(halves, w + 2 * k, (n - k) * sizeof(uint16_t));
    for (size_t i = 0; k + i < n; i++) {
        s[i] = fmaf(half_from_f16(halves[i]), x32[k + i], s[i]);
    }
    return ref_tree16(s);
}

static float flush(float f) {
    return fabsf(f) < 0x1p-126f ? copysignf(0, f) : f;
}

float ref_fma_flushed(float a, float b, float c) {
    a = flush(a);
    b = flush(b);
    c = flush(c);
    const float result = fmaf(a, b, c);
    if (fabsf(result) == 0x1p-126f) {
        /* The least normal number may come from an exact result below it. The instruction flushes
         * if that, rounded to 24 bits as though exponents had no end, is still below: if it is
         * nearer to zero than the middle of 2^-126 and its neighbour below, 2^-126 - 2^-150. The
         * product of bfloat16 values is exact in double; sum and error are the exact result. */
        const double product = (double)a * b;
        const double sum = product + c;
        const double tail = sum - product;
        const double error = (product - (sum - tail)) + (c - tail);
        const double middle = copysign(0x1p-126 - 0x1p-151, sum);
        const double above = (sum - middle) + error;
        return (sum > 0 ? above < 0 : above > 0) ? copysignf(0, result) : result;
    }
    return flush(result);
}

/* Of two bfloat16 in one word, the even element is the low half. Subnormals become zero. */
static float flushed_bf16(uint32_t bits) {
    return half_bits_float(bits & 0x7f800000 ? bits : bits & 0x80000000);
}

static void split_pairs(const uint16_t *halves, float *even, float *odd) {
    uint32_t pairs[SUM16];
    memcpy(pairs, halves, sizeof pairs);
    for (int i = 0; i < SUM16; i++) {
        even[i] = flushed_bf16(pairs[i] << 16);
        odd[i] = flushed_bf16(pairs[i] & 0xffff0000);
    }
}

static float dot_bf16(const uint8_t *w, const void *x, size_t n) {
    enum { STEP = 2 * SUM16 };
    const uint8_t *x_bytes = x;
    float s[SUM16] = {0};
    uint16_t w16[STEP], x16[STEP];
    float w_even[SUM16], w_odd[SUM16], x_even[SUM16], x_odd[SUM16];
    size_t k = 0;
    for (; k + STEP <= n; k += STEP) {
        memcpy(w16, w + 2 * k, sizeof w16);
        memcpy(x16, x_bytes + 2 * k, sizeof x16);
        split_pairs(w16, w_even, w_odd);
        split_pairs(x16, x_even, x_odd);
        ref_fma16_flushed(w_odd, x_odd, s);
        ref_fma16_flushed(w_even, x_even, s);
    }
    memset(w16, 0, sizeof w16); /* so that the element missing at an odd end is zero */
    memset(x16, 0, sizeof x16);
    memcpy(w16, w + 2 * k, (n - k) * sizeof(uint16_t));
    memcpy(x16, x_bytes + 2 * k, (n - k) * sizeof(uint16_t));
    split_pairs(w16, w_even, w_odd);
    split_pairs(x16, x_even, x_odd);
    for (size_t i = 0; k + 2 * i < n; i++) {
        s[i] = ref_fma_flushed(w_odd[i], x_odd[i], s[i]);
        s[i] = ref_fma_flushed(w_even[i], x_even[i], s[i]);
    }
    return ref_tree16(s);
}

/* ---- blocks of 32 ------------------------------------------------------------------------------
 */

static float dot_block32(const block32_format *format, const uint8_t *w, const void *x, size_t n) {
    const uint8_t *row = x;
    const int8_t *x8 = (const int8_t *)row;
    const float *dx = (const float *)(const void *)(row + kernel_q8_scales_at(n));
    const int16_t *sums =
        (const int16_t *)(const void *)(row + kernel_q8_sums_at(n, BLOCK32_LENGTH));
    float acc = 0;
    block32 b;
    for (size_t k = 0; k < n / BLOCK32_LENGTH; k++, w += format->bytes, x8 += BLOCK32_LENGTH) {
        format->unpack(w, &b);
        int32_t sum = 0;
        for (int j = 0; j < BLOCK32_LENGTH; j++) {
            sum += b.q[j] * x8[j];
        }
        acc = fmaf(b.d * dx[k], (float)sum, acc);
        if (format->has_min) {
            acc = fmaf(b.m * dx[k], (float)(sums[2 * k] + sums[2 * k + 1]), acc);
        }
    }
    return acc;
}

static float dot_q4_0(const uint8_t *w, const void *x, size_t n) {
    return dot_block32(&block32_q4_0, w, x, n);
}

static float dot_q4_1(const uint8_t *w, const void *x, size_t n) {
    return dot_block32(&block32_q4_1, w, x, n);
}

static float dot_q5_0(const uint8_t *w, const void *x, size_t n) {
    return dot_block32(&block32_q5_0, w, x, n);
}

static float dot_q5_1(const uint8_t *w, const void *x, size_t n) {
    return dot_block32(&block32_q5_1, w, x, n);
}

static float dot_q8_0(const uint8_t *w, const void *x, size_t n) {
    return dot_block32(&block32_q8_0, w, x, n);
}

static float dot_iq4_nl(const uint8_t *w, const void *x, size_t n) {
    return dot_block32(&block32_iq4_nl, w, x, n);
}

static float dot_mxfp4(const uint8_t *w, const void *x, size_t n) {
    return dot_block32(&block32_mxfp4, w, x, n);
}

/* ---- blocks of 256 -----------------------------------------------------------------------------
 */

/* The sums stay within int32: at most 256 * 127 * 32 * 128 < 2^27.  */
static float dot_block256(const block256_format *format, const uint8_t *w, const void *x,
                          size_t n) {
    const uint8_t *row = x;
    const int8_t *x8 = (const int8_t *)row;
    const float *dx = (const float *)(const void *)(row + kernel_q8_scales_at(n));
    const int16_t *sums =
        (const int16_t *)(const void *)(row + kernel_q8_sums_at(n, BLOCK256_LENGTH));
    float acc = 0;
    block256 b;
    for (size_t k = 0; k < n / BLOCK256_LENGTH; k++, w += format->bytes) {
        format->unpack(w, &b);
        int32_t sum = 0;
        int32_t min_sum = 0;
        for (int g = 0; g < BLOCK256_GROUPS; g++, x8 += BLOCK256_GROUP, sums++) {
            const int8_t *q = b.q + g * BLOCK256_GROUP;
            int32_t group = 0;
            for (int j = 0; j < BLOCK256_GROUP; j++) {
                group += q[j] * x8[j];
            }
            sum += b.scale[g] * group;
            min_sum += b.min[g] * *sums;
        }
        acc = fmaf(b.d * dx[k], (float)sum, acc);
        if (format->has_min) {
            acc = fmaf(-(b.dmin * dx[k]), (float)min_sum, acc);
        }
    }
    return acc;
}

static float dot_q2_k(const uint8_t *w, const void *x, size_t n) {
    return dot_block256(&block256_q2_k, w, x, n);
}

static float dot_q3_k(const uint8_t *w, const void *x, size_t n) {
    return dot_block256(&block256_q3_k, w, x, n);
}

static float dot_q4_k(const uint8_t *w, const void *x, size_t n) {
    return dot_block256(&block256_q4_k, w, x, n);
}

static float dot_q5_k(const uint8_t *w, const void *x, size_t n) {
    return dot_block256(&block256_q5_k, w, x, n);
}

static float dot_q6_k(const uint8_t *w, const void *x, size_t n) {
    return dot_block256(&block256_q6_k, w, x, n);
}

static float dot_iq4_xs(const uint8_t *w, const void *x, size_t n) {
    return dot_block256(&block256_iq4_xs, w, x, n);
}

/* ---- the entries: matmul_by with each dot product -----------------------------------------------
 */

void ref_matmul_f32(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                    const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_f32, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_f16(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                    const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_f16, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_bf16(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_bf16, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q4_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q4_0, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q4_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q4_1, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q5_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q5_0, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q5_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q5_1, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q8_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q8_0, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q2_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q2_k, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q3_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q3_k, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q4_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q4_k, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q5_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q5_k, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_q6_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_q6_k, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_iq4_nl(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                       const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_iq4_nl, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_iq4_xs(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                       const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_iq4_xs, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

void ref_matmul_mxfp4(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                      const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    matmul_by(dot_mxfp4, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}
