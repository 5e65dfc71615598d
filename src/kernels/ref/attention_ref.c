/* attention_ref.c - the loops that only attention has.
 *
 * Mixing is a product of matrices in which each result is one sum, so a faster version may take
 * queries and columns in any order, but k ascending.
 */
#include "kernels/ref/ref.h"

enum { COLUMNS = 64 }; /* taken together, a multiple of SUM16 */

/* y[k] = fma(a, x[k], y[k]) */
static void add_scaled(float a, const float *x, float *y, size_t n) {
    float factors[SUM16];
    for (int i = 0; i < SUM16; i++) {
        factors[i] = a;
    }
    size_t k = 0;
    for (; k + SUM16 <= n; k += SUM16) {
        ref_fma16(factors, x + k, y + k);
    }
    for (; k < n; k++) {
        y[k] = fmaf(a, x[k], y[k]);
    }
}

static void mix(quant_type type, size_t n_query, size_t n_value, size_t n, const float *weights,
                size_t w_stride, const uint8_t *values, size_t v_stride, float *out,
                size_t out_stride, bool add) {
    const quant_format *format = quant_format_of(type);
    for (size_t i = 0; i < n_query && !add; i++) {
        memset(out + i * out_stride, 0, n * sizeof *out);
    }
    for (size_t at = 0; at < n; at += COLUMNS) {
        const size_t count = n - at < COLUMNS ? n - at : COLUMNS;
        for (size_t k = 0; k < n_value; k++) {
            float decoded[COLUMNS];
            format->decode(values + k * v_stride + at * format->block_bytes, decoded, count);
            for (size_t i = 0; i < n_query; i++) {
                add_scaled(weights[i * w_stride + k], decoded, out + i * out_stride + at, count);
            }
        }
    }
}

void ref_mix_f32(size_t n_query, size_t n_value, size_t n, const float *weights, size_t w_stride,
                 const void *values, size_t v_stride, size_t ahead, float *out, size_t out_stride,
                 bool add) {
    (void)ahead;
    mix(QUANT_F32, n_query, n_value, n, weights, w_stride, values, v_stride, out, out_stride, add);
}

void ref_mix_f16(size_t n_query, size_t n_value, size_t n, const float *weights, size_t w_stride,
                 const void *values, size_t v_stride, size_t ahead, float *out, size_t out_stride,
                 bool add) {
    (void)ahead;
    mix(QUANT_F16, n_query, n_value, n, weights, w_stride, values, v_stride, out, out_stride, add);
}

void ref_mix_bf16(size_t n_query, size_t n_value, size_t n, const float *weights, size_t w_stride,
                  const void *values, size_t v_stride, size_t ahead, float *out, size_t out_stride,
                  bool add) {
    (void)ahead;
    mix(QUANT_BF16, n_query, n_value, n, weights, w_stride, values, v_stride, out, out_stride, add);
}

void ref_soften(float *x, size_t n, float *max, float *sum) {
    *max = ref_max(x, n);
    for (size_t k = 0; k < n; k++) {
        x[k] = isnan(*max) ? NAN : kernel_weight(x[k] - *max);
    }
    *sum = ref_sum(x, n);
}

void ref_merge(size_t n_query, size_t n, const kernel_mixture *part, const kernel_mixture *total) {
    for (size_t i = 0; i < n_query; i++) {
        const float before = total->max[i], here = part->max[i];
        const float max = before > here ? before : here;
        const float keep = kernel_exp(before - max), take = kernel_exp(here - max);
        const float *from = part->values + i * part->stride;
        float *to = total->values + i * total->stride;
        for (size_t j = 0; j < n; j++) {
            to[j] = fmaf(take, from[j], keep * to[j]);
        }
        total->sum[i] = fmaf(take, part->sum[i], keep * total->sum[i]);
        total->max[i] = max;
    }
}
