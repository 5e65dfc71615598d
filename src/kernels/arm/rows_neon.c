/* rows_neon.c - activation rows in their forms, and decoding of what keys, values and embeddings
 * are kept in. */
#include "kernels/arm/blocks_neon.h"
#include "kernels/arm/neon.h"

#include <math.h>

/* ---- rows of 8-bit values -------------------------------------------------------------------- */

/* Eight values times inverse, to nearest even, as int16. */
ARM_INLINE int16x8_t quantize_8(const float *x, float inverse) {
    const int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse));
    const int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), inverse));
    return vcombine_s16(vmovn_s32(low), vmovn_s32(high));
}

/* The largest magnitude of n values, a multiple of 16; NaN if there is one (vmaxq keeps it). */
ARM_INLINE float largest(const float *x, const size_t n) {
    float32x4_t most[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    for (size_t k = 0; k < n; k += 16) {
        for (size_t v = 0; v < 4; v++) {
            most[v] = vmaxq_f32(most[v], vabsq_f32(vld1q_f32(x + k + 4 * v)));
        }
    }
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(most[0], most[1]), vmaxq_f32(most[2], most[3])));
}

/* `block` is a constant, a multiple of 16. */
ARM_INLINE void make_block(const float *x, const size_t block, int8_t *value, float *scale,
                           int16_t *sum) {
    const float amax = largest(x, block);
    const float inverse = 127 / amax;
    if (!(amax <= __FLT_MAX__) || isinf(inverse)) {
        *scale = amax <= __FLT_MAX__ ? 0 : NAN;
        memset(value, 0, block);
        memset(sum, 0, block / 16 * sizeof *sum);
        return;
    }
    *scale = amax / 127;
    for (size_t k = 0; k < block; k += 16) {
        const int16x8_t low = quantize_8(x + k, inverse), high = quantize_8(x + k + 8, inverse);
        vst1q_s8(value + k, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
        sum[k / 16] = vaddvq_s16(vaddq_s16(low, high));
    }
}

ARM_INLINE void make_q8(const float *x, size_t n, const size_t block, void *row) {
    uint8_t *bytes = row;
    int8_t *value = row;
    float *scale = (float *)(void *)(bytes + kernel_q8_scales_at(n));
    int16_t *sum = (int16_t *)(void *)(bytes + kernel_q8_sums_at(n, block));
    for (size_t k = 0; k < n; k += block, sum += block / 16) {
        make_block(x + k, block, value + k, scale++, sum);
    }
}

static void make_row_q8_32(const float *x, size_t n, void *row) {
    make_q8(x, n, 32, row);
}

static void make_row_q8_256(const float *x, size_t n, void *row) {
    make_q8(x, n, 256, row);
}

/* ---- bfloat16 rows --------------------------------------------------------------------------- */

/* The upper halves, rounded to nearest even; a NaN stays one and becomes quiet. Subnormals are
 * kept. */
ARM_INLINE uint16x4_t rounded_bf16(float32x4_t v) {
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t number = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), number, quiet), 16);
}

static void make_row_bf16(const float *x, size_t n, void *row) {
    uint16_t *to = row;
    size_t k = 0;
    for (; k + 8 <= n; k += 8) {
        const uint16x4_t low = rounded_bf16(vld1q_f32(x + k));
        vst1q_u16(to + k, vcombine_u16(low, rounded_bf16(vld1q_f32(x + k + 4))));
    }
    for (; k < n; k++) {
        to[k] = quant_f32_to_bf16(x[k]);
    }
}

/* ---- decoding -------------------------------------------------------------------------------- */

static void decode_f16(const void *blocks, float *values, size_t n) {
    const uint8_t *bytes = blocks;
    size_t k = 0;
    for (; k + 8 <= n; k += 8) {
        const float16x8_t h = vreinterpretq_f16_u8(vld1q_u8(bytes + 2 * k));
        vst1q_f32(values + k, vcvt_f32_f16(vget_low_f16(h)));
        vst1q_f32(values + k + 4, vcvt_high_f32_f16(h));
    }
    quant_format_of(QUANT_F16)->decode(bytes + 2 * k, values + k, n - k);
}

static void decode_bf16(const void *blocks, float *values, size_t n) {
    const uint8_t *bytes = blocks;
    size_t k = 0;
    for (; k + 8 <= n; k += 8) {
        const uint16x8_t h = vreinterpretq_u16_u8(vld1q_u8(bytes + 2 * k));
        const uint32x4_t low = vshll_n_u16(vget_low_u16(h), 16), high = vshll_high_n_u16(h, 16);
        vst1q_f32(values + k, vreinterpretq_f32_u32(low));
        vst1q_f32(values + k + 4, vreinterpretq_f32_u32(high));
    }
    quant_format_of(QUANT_BF16)->decode(bytes + 2 * k, values + k, n - k);
}

/* d * q for eight integers. */
ARM_INLINE void decode_8(int16x8_t q, float32x4_t d, float *values) {
    vst1q_f32(values, vmulq_f32(d, vcvtq_f32_s32(vmovl_s16(vget_low_s16(q)))));
    vst1q_f32(values + 4, vmulq_f32(d, vcvtq_f32_s32(vmovl_high_s16(q))));
}

/* Types that have no minimum. */
ARM_INLINE void decode_32(const blocks32 type, const void *blocks, float *values, size_t n) {
    const uint8_t *block = blocks;
    for (size_t k = 0; k < n; k += 32, block += type.bytes) {
        uint16_t scale;
        memcpy(&scale, block, sizeof scale);
        const float32x4_t d = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(scale)));
        const bytes_32 q = type.unpack(block);
        for (size_t h = 0; h < 2; h++) {
            decode_8(vmovl_s8(vget_low_s8(q.half[h])), d, values + k + 16 * h);
            decode_8(vmovl_high_s8(q.half[h]), d, values + k + 16 * h + 8);
        }
    }
}

static void decode_q8_0(const void *blocks, float *values, size_t n) {
    decode_32(BLOCKS32_Q8_0, blocks, values, n);
}

static void decode_q4_0(const void *blocks, float *values, size_t n) {
    decode_32(BLOCKS32_Q4_0, blocks, values, n);
}

void rows_fill_neon(kernel_table *table) {
    table->make_row[KERNEL_ROW_BF16] = make_row_bf16;
    table->make_row[KERNEL_ROW_Q8_32] = make_row_q8_32;
    table->make_row[KERNEL_ROW_Q8_256] = make_row_q8_256;
    table->decode[QUANT_F16] = decode_f16;
    table->decode[QUANT_BF16] = decode_bf16;
    table->decode[QUANT_Q8_0] = decode_q8_0;
    table->decode[QUANT_Q4_0] = decode_q4_0;
}
