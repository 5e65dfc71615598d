/* ref.h - the plain C of every kernel, by files. Private to kernels/.
 *
 * This folder is the definition: it is written for reading, and every other level must give the
 * same bits. "Rounds" in its comments means one IEEE 754 operation in float, to nearest even.
 */
#ifndef KERNELS_REF_REF_H
#define KERNELS_REF_REF_H

#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

/* ---- matmul_ref.c */
kernel_matmul ref_matmul_f32, ref_matmul_f16, ref_matmul_bf16, ref_matmul_q4_0, ref_matmul_q4_1,
    ref_matmul_q5_0, ref_matmul_q5_1, ref_matmul_q8_0, ref_matmul_q2_k, ref_matmul_q3_k,
    ref_matmul_q4_k, ref_matmul_q5_k, ref_matmul_q6_k, ref_matmul_iq4_nl, ref_matmul_iq4_xs,
    ref_matmul_mxfp4;

/* fma(a, b, c) as VDPBF16PS does it: subnormal operands count as zero of their sign, and so does a
 * result that is subnormal after rounding. a and b are bfloat16 values. */
float ref_fma_flushed(float a, float b, float c);

/* ---- fma16_ref.c */

enum { SUM16 = 16 };

/* s[i] = fma(a[i], b[i], s[i]) for i < 16. */
void ref_fma16(const float *a, const float *b, float *s);

/* s[i] = ref_fma_flushed(a[i], b[i], s[i]) for i < 16, where all three are flushed already. */
void ref_fma16_flushed(const float *a, const float *b, float *s);

/* ---- rows_ref.c */
void ref_make_row_f32(const float *x, size_t n, void *row);
void ref_make_row_bf16(const float *x, size_t n, void *row);
void ref_make_row_q8_32(const float *x, size_t n, void *row);
void ref_make_row_q8_256(const float *x, size_t n, void *row);

/* ---- vector_ref.c */
float ref_dot(const float *a, const float *b, size_t n);
float ref_sum(const float *a, size_t n);
float ref_max(const float *a, size_t n);
void ref_scale(float a, float *y, size_t n);
void ref_add(const float *x, float *y, size_t n);
void ref_exp_shifted(float *x, float shift, size_t n);
void ref_silu_mul(const float *gate, const float *up, float *y, size_t n);
void ref_gelu_tanh(float *x, size_t n);
void ref_gelu_tanh_mul(const float *gate, const float *up, float *y, size_t n);
void ref_soft_cap(float cap, float *x, size_t n);
void ref_gelu_erf(float *x, size_t n);
void ref_relu(float *x, size_t n);
void ref_add_ramp(float *x, float slope, float first, size_t n);
void ref_rms_norm(const float *x, const float *weight, float epsilon, float *y, size_t n);
void ref_layer_norm(const float *x, const float *weight, const float *bias, float epsilon, float *y,
                    size_t n);
void ref_rope_pairs(float *x, const float *cs, size_t n_pair);
void ref_rope_halves(float *x, const float *cs, size_t n_pair);

/* ---- attention_ref.c */
kernel_mix ref_mix_f32, ref_mix_f16, ref_mix_bf16;
void ref_soften(float *x, size_t n, float *max, float *sum);
void ref_merge(size_t n_query, size_t n, const kernel_mixture *part, const kernel_mixture *total);

/* ---- helpers */

/* The final tree of sum16: 8, 4, 2, 1. Changes s. */
static inline float ref_tree16(float *s) {
    for (int width = SUM16 / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            s[i] += s[i + width];
        }
    }
    return s[0];
}

static inline uint32_t ref_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float ref_float(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* v to nearest even as an integer, for |v| < 2^22; for others, NaN too, some integer. Adding
 * 1.5 * 2^23 leaves a float no bits for a fraction; the integer then stands in its low bits. */
static inline int32_t ref_nearest(float v) {
    return (int32_t)(ref_bits(v + 0x1.8p23f) - ref_bits(0x1.8p23f));
}

#endif
