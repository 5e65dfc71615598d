/* vector_neon.c - the loops over float vectors, four lanes at a time. ref/vector_ref.c and
 * ref/math.c say which operations round in which order; tails go to the scalar forms of them. */
#include "kernels/arm/neon.h"

#include "kernels/ref/ref.h"

#include <math.h>
#include <string.h>

/* ---- reductions ----------------------------------------------------------------------------- */

float neon_dot(const float *a, const float *b, size_t n) {
    sum16 s = {0};
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        for (size_t v = 0; v < 4; v++) {
            s.v[v] = vfmaq_f32(s.v[v], vld1q_f32(a + k + 4 * v), vld1q_f32(b + k + 4 * v));
        }
    }
    float lanes[16];
    memcpy(lanes, &s, sizeof lanes);
    for (size_t i = 0; k + i < n; i++) {
        lanes[i] = fmaf(a[k + i], b[k + i], lanes[i]);
    }
    memcpy(&s, lanes, sizeof lanes);
    return sum16_tree(s);
}

float neon_sum(const float *a, size_t n) {
    sum16 s = {0};
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        for (size_t v = 0; v < 4; v++) {
            s.v[v] = vaddq_f32(s.v[v], vld1q_f32(a + k + 4 * v));
        }
    }
    float lanes[16];
    memcpy(lanes, &s, sizeof lanes);
    for (size_t i = 0; k + i < n; i++) {
        lanes[i] += a[k + i];
    }
    memcpy(&s, lanes, sizeof lanes);
    return sum16_tree(s);
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

void neon_scale(float a, float *y, size_t n) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        vst1q_f32(y + k, vmulq_n_f32(vld1q_f32(y + k), a));
    }
    ref_scale(a, y + k, n - k);
}

void neon_add(const float *x, float *y, size_t n) {
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

void neon_silu_mul(const float *gate, const float *up, float *y, size_t n) {
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        const float32x4_t v = vld1q_f32(gate + k);
        const float32x4_t divisor = vaddq_f32(vdupq_n_f32(1.0f), exp_4(vnegq_f32(v)));
        vst1q_f32(y + k, vmulq_f32(vdivq_f32(v, divisor), vld1q_f32(up + k)));
    }
    ref_silu_mul(gate + k, up + k, y + k, n - k);
}

void neon_rms_norm(const float *x, const float *weight, float epsilon, float *y, size_t n) {
    const float r = 1.0f / sqrtf(neon_dot(x, x, n) / (float)n + epsilon);
    size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        const float32x4_t scaled = vmulq_n_f32(vld1q_f32(x + k), r);
        vst1q_f32(y + k, vmulq_f32(scaled, vld1q_f32(weight + k)));
    }
    for (; k < n; k++) {
        y[k] = x[k] * r * weight[k];
    }
}

void neon_rope_pairs(float *x, const float *cs, size_t n_pair) {
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

void neon_decode_f16(const void *blocks, float *values, size_t n) {
    const uint8_t *bytes = blocks;
    size_t k = 0;
    for (; k + 8 <= n; k += 8) {
        const float16x8_t h = vreinterpretq_f16_u8(vld1q_u8(bytes + 2 * k));
        vst1q_f32(values + k, vcvt_f32_f16(vget_low_f16(h)));
        vst1q_f32(values + k + 4, vcvt_high_f32_f16(h));
    }
    quant_format_of(QUANT_F16)->decode(bytes + 2 * k, values + k, n - k);
}
