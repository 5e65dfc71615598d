/* rows_ref.c - turns a row of floats into the form that meets a type of weights. */
#include "kernels/ref/ref.h"

void ref_make_row_f32(const float *x, size_t n, void *row) {
    memcpy(row, x, n * sizeof(float));
}

void ref_make_row_bf16(const float *x, size_t n, void *row) {
    uint16_t *to = row;
    for (size_t k = 0; k < n; k++) {
        to[k] = quant_f32_to_bf16(x[k]);
    }
}

/* The block's largest magnitude; NaN if a value is not finite. */
static float largest(const float *x, size_t n) {
    float amax = 0;
    float zero = 0; /* becomes NaN at the first infinity or NaN */
    for (size_t k = 0; k < n; k++) {
        const float magnitude = fabsf(x[k]);
        amax = magnitude > amax ? magnitude : amax;
        zero += x[k] * 0;
    }
    return zero == 0 ? amax : NAN;
}

/* One block of `block` values, a multiple of 16. */
static void make_q8_block(const float *x, size_t block, int8_t *value, float *scale, int16_t *sum) {
    const float amax = largest(x, block);
    const float inverse = 127 / amax;
    if (!(inverse <= __FLT_MAX__)) { /* zero, or nearly (below 2^-121), or not finite */
        *scale = isnan(amax) ? NAN : 0;
        memset(value, 0, block);
        memset(sum, 0, block / 16 * sizeof *sum);
        return;
    }
    *scale = amax / 127;
    for (size_t k = 0; k < block; k++) {
        value[k] = (int8_t)ref_nearest(x[k] * inverse);
    }
    for (size_t g = 0; g < block / 16; g++) {
        int total = 0;
        for (size_t j = 0; j < 16; j++) {
            total += value[16 * g + j];
        }
        sum[g] = (int16_t)total;
    }
}

static void make_q8(const float *x, size_t n, size_t block, void *row) {
    uint8_t *bytes = row;
    int8_t *value = row;
    float *scale = (float *)(void *)(bytes + kernel_q8_scales_at(n));
    int16_t *sum = (int16_t *)(void *)(bytes + kernel_q8_sums_at(n, block));
    for (size_t k = 0; k < n; k += block) {
        make_q8_block(x + k, block, value + k, scale++, sum);
        sum += block / 16;
    }
}

void ref_make_row_q8_32(const float *x, size_t n, void *row) {
    make_q8(x, n, 32, row);
}

void ref_make_row_q8_256(const float *x, size_t n, void *row) {
    make_q8(x, n, 256, row);
}
