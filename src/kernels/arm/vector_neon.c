/* vector_neon.c - the loops over float vectors, four lanes at a time. ref/vector_ref.c and
 * ref/math.c say which operations round in which order; tails go to the scalar forms of them. */
#include "kernels/arm/neon.h"

#include "kernels/ref/ref.h"

#include <math.h>
#include <string.h>

/* ---- reductions ----------------------------------------------------------------------------- */

static float vector_dot(const float *a, const float *b, size_t n) {
    float32x4_t s[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        for (size_t v = 0; v < 4; v++) {
            s[v] = vfmaq_f32(s[v], vld1q_f32(a + k + 4 * v), vld1q_f32(b + k + 4 * v));
        }
    }
    float lanes[16];
    memcpy(lanes, s, sizeof lanes);
    for (size_t i = 0; k + i < n; i++) {
        lanes[i] = fmaf(a[k + i], b[k + i], lanes[i]);
    }
    memcpy(s, lanes, sizeof lanes);
    return tree16(s);
}

float neon_sum(const float *a, size_t n) {
    float32x4_t s[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        for (size_t v = 0; v < 4; v++) {
            s[v] = vaddq_f32(s[v], vld1q_f32(a + k + 4 * v));
        }
    }
    float lanes[16];
    memcpy(lanes, s, sizeof lanes);
    for (size_t i = 0; k + i < n; i++) {
        lanes[i] += a[k + i];
    }
    memcpy(s, lanes, sizeof lanes);
    return tree16(s);
}

float neon_max(const float *a, size_t n) {
    if (n < 4) {
        return ref_max(a, n);
    }
    float32x4_t most = vld1q_f32(a); /* vmaxq keeps NaN */
    for (size_t k = 4; k + 4 <= n; k += 4) {
        most = vmaxq_f32(most, vld1q_f32(a + k));
    }
    most = vmaxq_f32(most, vld1q_f32(a + n - 4)); /* some twice */
    return vmaxvq_f32(most) + 0.0f;
}

/* ---- elementwise ---------------------------------------------------------------------------- */

static void vector_scale(float a, float *y, size_t n) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        vst1q_f32(y + k, vmulq_n_f32(vld1q_f32(y + k), a));
    }
    ref_scale(a, y + k, n - k);
}

static void vector_add(const float *x, float *y, size_t n) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        vst1q_f32(y + k, vaddq_f32(vld1q_f32(y + k), vld1q_f32(x + k)));
    }
    ref_add(x + k, y + k, n - k);
}

/* 2^n as floats for -127 < n < 128. */
ARM_INLINE float32x4_t two_to(int32x4_t n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

/* kernel_exp of four; vmaxq and vminq keep NaN. */
ARM_INLINE float32x4_t exp_4(float32x4_t x) {
    x = vmaxq_f32(x, vdupq_n_f32(-104.0f));
    x = vminq_f32(x, vdupq_n_f32(89.0f));
    const float32x4_t magic = vdupq_n_f32(0x1.8p23f);
    const float32x4_t shifted = vfmaq_n_f32(magic, x, 0x1.715476p+0f);
    const int32x4_t n = vsubq_s32(vreinterpretq_s32_f32(shifted), vreinterpretq_s32_f32(magic));
    const float32x4_t n_float = vsubq_f32(shifted, magic);
    float32x4_t r = vfmaq_n_f32(x, n_float, -0x1.62e430p-1f);
    r = vfmaq_n_f32(r, n_float, 0x1.05c610p-29f);

    float32x4_t p = vdupq_n_f32(0x1.6a4e66p-10f);
    p = vfmaq_f32(vdupq_n_f32(0x1.12397cp-7f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0x1.5558aep-5f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0x1.555492p-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0x1.fffffcp-2f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);

    const int32x4_t n_first = vshrq_n_s32(n, 1);
    return vmulq_f32(vmulq_f32(p, two_to(n_first)), two_to(vsubq_s32(n, n_first)));
}

void neon_exp_shifted(float *x, float shift, size_t n) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        vst1q_f32(x + k, exp_4(vsubq_f32(vld1q_f32(x + k), vdupq_n_f32(shift))));
    }
    ref_exp_shifted(x + k, shift, n - k);
}

static void vector_silu_mul(const float *gate, const float *up, float *y, size_t n) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        const float32x4_t v = vld1q_f32(gate + k);
        const float32x4_t divisor = vaddq_f32(vdupq_n_f32(1.0f), exp_4(vnegq_f32(v)));
        vst1q_f32(y + k, vmulq_f32(vdivq_f32(v, divisor), vld1q_f32(up + k)));
    }
    ref_silu_mul(gate + k, up + k, y + k, n - k);
}

/* kernel_tanh of four. */
ARM_INLINE float32x4_t tanh_4(float32x4_t x) {
    const float32x4_t a = vabsq_f32(x), one = vdupq_n_f32(1.0f);
    const float32x4_t z = vmulq_f32(a, a);
    float32x4_t p = vdupq_n_f32(-0x1.768eb8p-8f);
    p = vfmaq_f32(vdupq_n_f32(0x1.525018p-6f), p, z);
    p = vfmaq_f32(vdupq_n_f32(-0x1.b84336p-5f), p, z);
    p = vfmaq_f32(vdupq_n_f32(0x1.110760p-3f), p, z);
    p = vfmaq_f32(vdupq_n_f32(-0x1.555534p-2f), p, z);
    const float32x4_t near = vfmaq_f32(a, vmulq_f32(z, p), a);
    const float32x4_t e = exp_4(vaddq_f32(a, a));
    const float32x4_t far = vsubq_f32(one, vdivq_f32(vdupq_n_f32(2.0f), vaddq_f32(e, one)));
    const float32x4_t magnitude = vbslq_f32(vcltq_f32(a, vdupq_n_f32(0.625f)), near, far);
    return vbslq_f32(vdupq_n_u32(0x80000000), x, magnitude);
}

ARM_INLINE float32x4_t gelu_tanh_4(float32x4_t v) {
    const float32x4_t one = vdupq_n_f32(1.0f);
    const float32x4_t cubic = vfmaq_n_f32(one, vmulq_f32(v, v), 0.044715f);
    const float32x4_t t = vmulq_f32(vmulq_n_f32(v, 0.79788456080286536f), cubic);
    return vmulq_f32(vmulq_n_f32(v, 0.5f), vaddq_f32(one, tanh_4(t)));
}

static void vector_gelu_tanh(float *x, size_t n) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        vst1q_f32(x + k, gelu_tanh_4(vld1q_f32(x + k)));
    }
    ref_gelu_tanh(x + k, n - k);
}

static void vector_gelu_tanh_mul(const float *gate, const float *up, float *y, size_t n) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        vst1q_f32(y + k, vmulq_f32(gelu_tanh_4(vld1q_f32(gate + k)), vld1q_f32(up + k)));
    }
    ref_gelu_tanh_mul(gate + k, up + k, y + k, n - k);
}

static void vector_soft_cap(float cap, float *x, size_t n) {
    const float32x4_t all = vdupq_n_f32(cap);
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        vst1q_f32(x + k, vmulq_f32(tanh_4(vdivq_f32(vld1q_f32(x + k), all)), all));
    }
    ref_soft_cap(cap, x + k, n - k);
}

/* kernel_erf of four. */
ARM_INLINE float32x4_t erf_4(float32x4_t x) {
    const float32x4_t a = vabsq_f32(x), z = vmulq_f32(a, a);
    float32x4_t p = vdupq_n_f32(0x1.4fa924p-14f);
    p = vfmaq_f32(vdupq_n_f32(-0x1.a61810p-11f), p, z);
    p = vfmaq_f32(vdupq_n_f32(0x1.544b08p-8f), p, z);
    p = vfmaq_f32(vdupq_n_f32(-0x1.b80124p-6f), p, z);
    p = vfmaq_f32(vdupq_n_f32(0x1.ce2d64p-4f), p, z);
    p = vfmaq_f32(vdupq_n_f32(-0x1.812740p-2f), p, z);
    p = vfmaq_f32(vdupq_n_f32(0x1.06eba8p-3f), p, z);
    const float32x4_t near = vfmaq_f32(a, p, a);
    const float32x4_t b = vminq_f32(a, vdupq_n_f32(4.0f)); /* keeps NaN */
    float32x4_t q = vdupq_n_f32(0x1.6941bcp-17f);
    q = vfmaq_f32(vdupq_n_f32(-0x1.4d8b14p-12f), q, b);
    q = vfmaq_f32(vdupq_n_f32(0x1.dae168p-9f), q, b);
    q = vfmaq_f32(vdupq_n_f32(-0x1.84a2d8p-6f), q, b);
    q = vfmaq_f32(vdupq_n_f32(0x1.b2f21ep-4f), q, b);
    q = vfmaq_f32(vdupq_n_f32(0x1.45367cp-1f), q, b);
    q = vfmaq_f32(vdupq_n_f32(0x1.20ee9ep+0f), q, b);
    const float32x4_t far = vsubq_f32(vdupq_n_f32(1.0f), exp_4(vnegq_f32(vmulq_f32(b, q))));
    const float32x4_t magnitude = vbslq_f32(vcltq_f32(a, vdupq_n_f32(0.9f)), near, far);
    return vbslq_f32(vdupq_n_u32(0x80000000), x, magnitude);
}

static void vector_gelu_erf(float *x, size_t n) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        const float32x4_t v = vld1q_f32(x + k);
        const float32x4_t e = erf_4(vmulq_n_f32(v, 0.70710678118654752f));
        const float32x4_t half = vmulq_n_f32(v, 0.5f);
        vst1q_f32(x + k, vmulq_f32(half, vaddq_f32(vdupq_n_f32(1.0f), e)));
    }
    ref_gelu_erf(x + k, n - k);
}

static void vector_relu(float *x, size_t n) {
    const float32x4_t zero = vdupq_n_f32(0);
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        const float32x4_t v = vld1q_f32(x + k);
        vst1q_f32(x + k, vbslq_f32(vcltq_f32(v, zero), zero, v));
    }
    ref_relu(x + k, n - k);
}

static void vector_add_ramp(float *x, float slope, float first, size_t n) {
    const float32x4_t from = vdupq_n_f32(first), by = vdupq_n_f32(slope);
    float32x4_t count = {0, 1, 2, 3};
    size_t k = 0;
    for (; k + 4 <= n; k += 4, count = vaddq_f32(count, vdupq_n_f32(4))) {
        vst1q_f32(x + k, vfmaq_f32(vld1q_f32(x + k), by, vaddq_f32(from, count)));
    }
    for (; k < n; k++) {
        x[k] = fmaf(slope, first + (float)k, x[k]);
    }
}

static void vector_rms_norm(const float *x, const float *weight, float epsilon, float *y,
                            size_t n) {
    const float r = 1.0f / sqrtf(vector_dot(x, x, n) / (float)n + epsilon);
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        const float32x4_t scaled = vmulq_n_f32(vld1q_f32(x + k), r);
        vst1q_f32(y + k, vmulq_f32(scaled, vld1q_f32(weight + k)));
    }
    for (; k < n; k++) {
        y[k] = x[k] * r * weight[k];
    }
}

static void vector_rope_pairs(float *x, const float *cs, size_t n_pair) {
    size_t i = 0;
    for (; i + 4 <= n_pair; i += 4) {
        const float32x4x2_t from = vld2q_f32(x + 2 * i), turn = vld2q_f32(cs + 2 * i);
        const float32x4_t a = from.val[0], b = from.val[1];
        const float32x4_t c = turn.val[0], s = turn.val[1];
        float32x4x2_t to;
        to.val[0] = vfmaq_f32(vnegq_f32(vmulq_f32(b, s)), a, c);
        to.val[1] = vfmaq_f32(vmulq_f32(b, c), a, s);
        vst2q_f32(x + 2 * i, to);
    }
    ref_rope_pairs(x + 2 * i, cs + 2 * i, n_pair - i);
}

static void vector_rope_halves(float *x, const float *cs, size_t n_pair) {
    float *y = x + n_pair;
    size_t i = 0;
    for (; i + 4 <= n_pair; i += 4) {
        const float32x4x2_t turn = vld2q_f32(cs + 2 * i);
        const float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(y + i);
        const float32x4_t c = turn.val[0], s = turn.val[1];
        vst1q_f32(x + i, vfmaq_f32(vnegq_f32(vmulq_f32(b, s)), a, c));
        vst1q_f32(y + i, vfmaq_f32(vmulq_f32(b, c), a, s));
    }
    for (; i < n_pair; i++) {
        const float a = x[i], b = y[i], c = cs[2 * i], s = cs[2 * i + 1];
        x[i] = fmaf(a, c, -(b * s));
        y[i] = fmaf(a, s, b * c);
    }
}

static void vector_layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                              float *y, size_t n) {
    const float mean = neon_sum(x, n) / (float)n;
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        vst1q_f32(y + k, vsubq_f32(vld1q_f32(x + k), vdupq_n_f32(mean)));
    }
    for (; k < n; k++) {
        y[k] = x[k] - mean;
    }
    const float r = 1.0f / sqrtf(vector_dot(y, y, n) / (float)n + epsilon);
    for (k = 0; k + 4 <= n; k += 4) {
        const float32x4_t scaled = vmulq_n_f32(vld1q_f32(y + k), r);
        const float32x4_t by = weight ? vld1q_f32(weight + k) : vdupq_n_f32(1.0f);
        const float32x4_t plus = bias ? vld1q_f32(bias + k) : vdupq_n_f32(0);
        vst1q_f32(y + k, vfmaq_f32(plus, scaled, by));
    }
    for (; k < n; k++) {
        y[k] = fmaf(y[k] * r, weight ? weight[k] : 1.0f, bias ? bias[k] : 0.0f);
    }
}

void vector_fill_neon(kernel_table *table) {
    table->dot = vector_dot;
    table->sum = neon_sum;
    table->max = neon_max;
    table->scale = vector_scale;
    table->add = vector_add;
    table->exp_shifted = neon_exp_shifted;
    table->silu_mul = vector_silu_mul;
    table->gelu_tanh = vector_gelu_tanh;
    table->gelu_tanh_mul = vector_gelu_tanh_mul;
    table->soft_cap = vector_soft_cap;
    table->gelu_erf = vector_gelu_erf;
    table->relu = vector_relu;
    table->add_ramp = vector_add_ramp;
    table->rms_norm = vector_rms_norm;
    table->layer_norm = vector_layer_norm;
    table->rope_pairs = vector_rope_pairs;
    table->rope_halves = vector_rope_halves;
}
