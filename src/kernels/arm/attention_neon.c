/* attention_neon.c - the loops that only attention has, four lanes at a time. */
#include "kernels/arm/neon.h"

#include <math.h>
#include <string.h>

#define MIX_INLINE ARM_INLINE
enum { VEC_WIDTH = 4, MIX_VECS = 4 };

typedef float32x4_t vec;

ARM_INLINE vec vec_all(float f) {
    return vdupq_n_f32(f);
}

ARM_INLINE vec vec_load(const float *p) {
    return vld1q_f32(p);
}

ARM_INLINE void vec_store(float *p, vec v) {
    vst1q_f32(p, v);
}

ARM_INLINE vec vec_load_part(const float *p, size_t n) {
    float part[VEC_WIDTH] = {0};
    memcpy(part, p, n * sizeof *p);
    return vec_load(part);
}

ARM_INLINE void vec_store_part(float *p, vec v, size_t n) {
    float part[VEC_WIDTH];
    vec_store(part, v);
    memcpy(p, part, n * sizeof *p);
}

ARM_INLINE vec vec_fma(vec a, vec b, vec c) {
    return vfmaq_f32(c, a, b);
}

ARM_INLINE vec mix_load_f16(const uint8_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

ARM_INLINE vec mix_load_bf16(const uint8_t *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}

#include "kernels/mix_loops.h"

static void soften(float *x, size_t n, float *max, float *sum) {
    *max = neon_max(x, n);
    const vec shift = vec_all(*max), least = vec_all(-87.0f);
    for (size_t k = 0; k + VEC_WIDTH <= n; k += VEC_WIDTH) {
        vec_store(x + k, vmaxq_f32(vsubq_f32(vec_load(x + k), shift), least)); /* keeps NaN */
    }
    for (size_t k = n - n % VEC_WIDTH; k < n; k++) {
        x[k] -= *max;
        x[k] = x[k] < -87.0f ? -87.0f : x[k];
    }
    neon_exp_shifted(x, 0, n);
    *sum = neon_sum(x, n);
}

static void merge(size_t n_query, size_t n, const kernel_mixture *part,
                  const kernel_mixture *total) {
    for (size_t i = 0; i < n_query; i++) {
        const float before = total->max[i], here = part->max[i];
        const float max = before > here ? before : here;
        float factors[VEC_WIDTH] = {before, here, max, max};
        neon_exp_shifted(factors, max, VEC_WIDTH);
        const float keep = factors[0], take = factors[1];
        const float *from = part->values + i * part->stride;
        float *to = total->values + i * total->stride;
        size_t j = 0;
        for (; j + VEC_WIDTH <= n; j += VEC_WIDTH) {
            const vec kept = vmulq_n_f32(vld1q_f32(to + j), keep);
            vst1q_f32(to + j, vfmaq_n_f32(kept, vld1q_f32(from + j), take));
        }
        for (; j < n; j++) {
            to[j] = fmaf(take, from[j], keep * to[j]);
        }
        total->sum[i] = fmaf(take, part->sum[i], keep * total->sum[i]);
        total->max[i] = max;
    }
}

void attention_fill_neon(kernel_table *table) {
    mix_fill(table);
    table->soften = soften;
    table->merge = merge;
}
