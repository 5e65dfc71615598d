/* vector_ref.c - the loops over float vectors, and the table's plain entries.
 *
 * Each comment lists the operations that round, in order; a faster version does the same ones per
 * element. Sums over a vector are always sum16.
 */
#include "kernels/ref/ref.h"

#include "kernels/levels.h"

float ref_dot(const float *a, const float *b, size_t n) {
    float s[SUM16] = {0};
    size_t k = 0;
    for (; k + SUM16 <= n; k += SUM16) {
        ref_fma16(a + k, b + k, s);
    }
    for (size_t i = 0; k + i < n; i++) {
        s[i] = fmaf(a[k + i], b[k + i], s[i]);
    }
    return ref_tree16(s);
}

float ref_sum(const float *a, size_t n) {
    float s[SUM16] = {0};
    for (size_t k = 0; k < n; k++) {
        s[k % SUM16] += a[k];
    }
    return ref_tree16(s);
}

float ref_max(const float *a, size_t n) {
    float best = a[0];
    for (size_t k = 1; k < n; k++) {
        /* Once best is NaN no comparison replaces it. */
        best = a[k] > best || isnan(a[k]) ? a[k] : best;
    }
    return best + 0.0f; /* a zero of either sign becomes +0 */
}

void ref_scale(float a, float *y, size_t n) {
    for (size_t k = 0; k < n; k++) {
        y[k] *= a;
    }
}

void ref_add(const float *x, float *y, size_t n) {
    for (size_t k = 0; k < n; k++) {
        y[k] += x[k];
    }
}

void ref_exp_shifted(float *x, float shift, size_t n) {
    for (size_t k = 0; k < n; k++) {
        x[k] = kernel_exp(x[k] - shift);
    }
}

/* Rounds: exp(-v); 1 + that; v / that; that * up. */
void ref_silu_mul(const float *gate, const float *up, float *y, size_t n) {
    for (size_t k = 0; k < n; k++) {
        const float v = gate[k];
        y[k] = v / (1.0f + kernel_exp(-v)) * up[k];
    }
}

/* With c = sqrt(2 / pi): rounds v * v; b = fma(0.044715, that, 1); c * v; t = that * b; tanh(t);
 * 0.5 * v; 1 + tanh; their product. */
static float gelu_tanh(float v) {
    const float b = fmaf(0.044715f, v * v, 1.0f);
    const float t = 0.79788456080286536f * v * b;
    return 0.5f * v * (1.0f + kernel_tanh(t));
}

void ref_gelu_tanh(float *x, size_t n) {
    for (size_t k = 0; k < n; k++) {
        x[k] = gelu_tanh(x[k]);
    }
}

/* Rounds: as gelu_tanh; that * up. */
void ref_gelu_tanh_mul(const float *gate, const float *up, float *y, size_t n) {
    for (size_t k = 0; k < n; k++) {
        y[k] = gelu_tanh(gate[k]) * up[k];
    }
}

/* Rounds: x / cap; tanh; that * cap. */
void ref_soft_cap(float cap, float *x, size_t n) {
    for (size_t k = 0; k < n; k++) {
        x[k] = kernel_tanh(x[k] / cap) * cap;
    }
}

/* Rounds: v / sqrt(2), as a product; erf of that; 0.5 * v; 1 + erf; their product. */
void ref_gelu_erf(float *x, size_t n) {
    for (size_t k = 0; k < n; k++) {
        const float v = x[k];
        const float e = kernel_erf(0.70710678118654752f * v);
        x[k] = 0.5f * v * (1.0f + e);
    }
}

void ref_relu(float *x, size_t n) {
    for (size_t k = 0; k < n; k++) {
        x[k] = x[k] < 0.0f ? 0.0f : x[k];
    }
}

/* Rounds: first + k; fma(slope, that, x). */
void ref_add_ramp(float *x, float slope, float first, size_t n) {
    for (size_t k = 0; k < n; k++) {
        x[k] = fmaf(slope, first + (float)k, x[k]);
    }
}

/* Rounds: dot(x, x); / n; + epsilon; sqrt; r = 1 / that; then for each x * r; that * weight. */
void ref_rms_norm(const float *x, const float *weight, float epsilon, float *y, size_t n) {
    const float mean = ref_dot(x, x, n) / (float)n;
    const float r = 1.0f / sqrtf(mean + epsilon);
    for (size_t k = 0; k < n; k++) {
        y[k] = x[k] * r * weight[k];
    }
}

/* Rounds: sum(x); mean = that / n; for each d = x - mean, kept in y; dot(d, d); / n; + epsilon;
 * sqrt; r = 1 / that; for each d * r; fma(that, weight, bias), where a weight that is not there is
 * 1 and a bias that is not there +0. */
void ref_layer_norm(const float *x, const float *weight, const float *bias, float epsilon, float *y,
                    size_t n) {
    const float mean = ref_sum(x, n) / (float)n;
    for (size_t k = 0; k < n; k++) {
        y[k] = x[k] - mean;
    }
    const float variance = ref_dot(y, y, n) / (float)n;
    const float r = 1.0f / sqrtf(variance + epsilon);
    for (size_t k = 0; k < n; k++) {
        y[k] = fmaf(y[k] * r, weight ? weight[k] : 1.0f, bias ? bias[k] : 0.0f);
    }
}

/* Rounds: b * s; fma(a, c, -that); b * c; fma(a, s, that). */
void ref_rope_pairs(float *x, const float *cs, size_t n_pair) {
    for (size_t i = 0; i < n_pair; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        const float c = cs[2 * i], s = cs[2 * i + 1];
        x[2 * i] = fmaf(a, c, -(b * s));
        x[2 * i + 1] = fmaf(a, s, b * c);
    }
}

/* Rounds as ref_rope_pairs. */
void ref_rope_halves(float *x, const float *cs, size_t n_pair) {
    for (size_t i = 0; i < n_pair; i++) {
        const float a = x[i], b = x[n_pair + i];
        const float c = cs[2 * i], s = cs[2 * i + 1];
        x[i] = fmaf(a, c, -(b * s));
        x[n_pair + i] = fmaf(a, s, b * c);
    }
}

void kernel_fill_ref(kernel_table *table) {
    *table = (kernel_table){
        .name = "plain",
        .matmul =
            {
                [QUANT_F32] = ref_matmul_f32,
                [QUANT_F16] = ref_matmul_f16,
                [QUANT_BF16] = ref_matmul_bf16,
                [QUANT_Q4_0] = ref_matmul_q4_0,
                [QUANT_Q4_1] = ref_matmul_q4_1,
                [QUANT_Q5_0] = ref_matmul_q5_0,
                [QUANT_Q5_1] = ref_matmul_q5_1,
                [QUANT_Q8_0] = ref_matmul_q8_0,
                [QUANT_Q2_K] = ref_matmul_q2_k,
                [QUANT_Q3_K] = ref_matmul_q3_k,
                [QUANT_Q4_K] = ref_matmul_q4_k,
                [QUANT_Q5_K] = ref_matmul_q5_k,
                [QUANT_Q6_K] = ref_matmul_q6_k,
                [QUANT_IQ4_NL] = ref_matmul_iq4_nl,
                [QUANT_IQ4_XS] = ref_matmul_iq4_xs,
                [QUANT_MXFP4] = ref_matmul_mxfp4,
            },
        .make_row =
            {
                [KERNEL_ROW_F32] = ref_make_row_f32,
                [KERNEL_ROW_BF16] = ref_make_row_bf16,
                [KERNEL_ROW_Q8_32] = ref_make_row_q8_32,
                [KERNEL_ROW_Q8_256] = ref_make_row_q8_256,
            },
        .dot = ref_dot,
        .sum = ref_sum,
        .max = ref_max,
        .mix =
            {
                [QUANT_F32] = ref_mix_f32,
                [QUANT_F16] = ref_mix_f16,
                [QUANT_BF16] = ref_mix_bf16,
            },
        .soften = ref_soften,
        .merge = ref_merge,
        .scale = ref_scale,
        .add = ref_add,
        .exp_shifted = ref_exp_shifted,
        .silu_mul = ref_silu_mul,
        .gelu_tanh = ref_gelu_tanh,
        .gelu_tanh_mul = ref_gelu_tanh_mul,
        .soft_cap = ref_soft_cap,
        .gelu_erf = ref_gelu_erf,
        .relu = ref_relu,
        .add_ramp = ref_add_ramp,
        .rms_norm = ref_rms_norm,
        .layer_norm = ref_layer_norm,
        .rope_pairs = ref_rope_pairs,
        .rope_halves = ref_rope_halves,
    };
    for (uint32_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        const quant_format *format = quant_format_of(type);
        table->decode[type] = format ? format->decode : NULL;
        table->encode[type] = quant_encoder_of((quant_type)type);
    }
}
