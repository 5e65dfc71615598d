/* block32.c - the types of 32 values with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4.
 *
 *   bytes   Q4_0  d:f16  qs[16]                    value = d * (q - 8)
 *           Q4_1  d:f16  m:f16  qs[16]             value = d * q + m
 *           Q5_0  d:f16  qh[4]  qs[16]             value = d * (q - 16)
 *           Q5_1  d:f16  m:f16  qh[4]  qs[16]      value = d * q + m
 *           Q8_0  d:f16  q:int8[32]                value = d * q
 *           IQ4_NL  d:f16  qs[16]                  value = d * levels[q]
 *           MXFP4   e:E8M0  qs[16]                 value = 2^(e - 127) * E2M1 of q
 *
 * Byte j of qs holds value j in its low four bits and value j + 16 in its high ones. Bit k of qh
 * (little-endian) is the fifth bit of value k. All is little-endian.
 *
 * MXFP4 is a format of the Open Compute Project's specification of microscaling formats (version
 * 1.0), which says that a scale of 255 is NaN. Programs that know no NaN there take it for 2^128,
 * but none writes it.
 */
#include "quant/blocks.h"

#include "quant/half.h"

#include <string.h>

enum { HALF = BLOCK32_LENGTH / 2 };

static float scale_at(const uint8_t *bytes) {
    return half_from_f16((uint16_t)(bytes[0] | bytes[1] << 8));
}

static void unpack_nibbles(const uint8_t *qs, int8_t offset, int8_t *q) {
    for (int j = 0; j < HALF; j++) {
        q[j] = (int8_t)((qs[j] & 15) - offset);
        q[j + HALF] = (int8_t)((qs[j] >> 4) - offset);
    }
}

static void unpack_fives(const uint8_t *qh, const uint8_t *qs, int8_t offset, int8_t *q) {
    uint32_t high;
    memcpy(&high, qh, sizeof high);
    for (int j = 0; j < HALF; j++) {
        q[j] = (int8_t)(((qs[j] & 15) | (high >> j & 1) << 4) - offset);
        q[j + HALF] = (int8_t)((qs[j] >> 4 | (high >> (j + HALF) & 1) << 4) - offset);
    }
}

static void unpack_q4_0(const uint8_t *block, block32 *out) {
    out->d = scale_at(block);
    out->m = 0;
    unpack_nibbles(block + 2, 8, out->q);
}

static void unpack_q4_1(const uint8_t *block, block32 *out) {
    out->d = scale_at(block);
    out->m = scale_at(block + 2);
    unpack_nibbles(block + 4, 0, out->q);
}

static void unpack_q5_0(const uint8_t *block, block32 *out) {
    out->d = scale_at(block);
    out->m = 0;
    unpack_fives(block + 2, block + 6, 16, out->q);
}

static void unpack_q5_1(const uint8_t *block, block32 *out) {
    out->d = scale_at(block);
    out->m = scale_at(block + 2);
    unpack_fives(block + 4, block + 8, 0, out->q);
}

static void unpack_q8_0(const uint8_t *block, block32 *out) {
    out->d = scale_at(block);
    out->m = 0;
    memcpy(out->q, block + 2, BLOCK32_LENGTH);
}

const int8_t block_iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};
const int8_t block_mxfp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void unpack_levels(const uint8_t *qs, const int8_t *levels, int8_t *q) {
    for (int j = 0; j < HALF; j++) {
        q[j] = levels[qs[j] & 15];
        q[j + HALF] = levels[qs[j] >> 4];
    }
}

static void unpack_iq4_nl(const uint8_t *block, block32 *out) {
    out->d = scale_at(block);
    out->m = 0;
    unpack_levels(block + 2, block_iq4_levels, out->q);
}

/* Levels doubled and the scale halved. Nothing is lost: the least scale, 2^-128, is a float, and
 * where the largest times 12 is beyond floats, so is the value. */
static void unpack_mxfp4(const uint8_t *block, block32 *out) {
    out->d = half_of_e8m0(block[0]);
    out->m = 0;
    unpack_levels(block + 1, block_mxfp4_levels, out->q);
}

const block32_format block32_q4_0 = {18, false, unpack_q4_0};
const block32_format block32_q4_1 = {20, true, unpack_q4_1};
const block32_format block32_q5_0 = {22, false, unpack_q5_0};
const block32_format block32_q5_1 = {24, true, unpack_q5_1};
const block32_format block32_q8_0 = {34, false, unpack_q8_0};
const block32_format block32_iq4_nl = {18, false, unpack_iq4_nl};
const block32_format block32_mxfp4 = {17, false, unpack_mxfp4};

/* ---- decoding ----------------------------------------------------------------------------------
 * The product of a scale and q is exact in a float, so only the addition of m rounds. */

static void decode(const block32_format *format, const void *blocks, float *values, size_t n) {
    const uint8_t *bytes = blocks;
    block32 b;
    for (size_t k = 0; k < n; k += BLOCK32_LENGTH, bytes += format->bytes) {
        format->unpack(bytes, &b);
        for (int j = 0; j < BLOCK32_LENGTH; j++) {
            values[k + j] = b.d * (float)b.q[j];
        }
        if (format->has_min) {
            for (int j = 0; j < BLOCK32_LENGTH; j++) {
                values[k + j] += b.m;
            }
        }
    }
}

void block_decode_q4_0(const void *blocks, float *values, size_t n) {
    decode(&block32_q4_0, blocks, values, n);
}

void block_decode_q4_1(const void *blocks, float *values, size_t n) {
    decode(&block32_q4_1, blocks, values, n);
}

void block_decode_q5_0(const void *blocks, float *values, size_t n) {
    decode(&block32_q5_0, blocks, values, n);
}

void block_decode_q5_1(const void *blocks, float *values, size_t n) {
    decode(&block32_q5_1, blocks, values, n);
}

void block_decode_q8_0(const void *blocks, float *values, size_t n) {
    decode(&block32_q8_0, blocks, values, n);
}

void block_decode_iq4_nl(const void *blocks, float *values, size_t n) {
    decode(&block32_iq4_nl, blocks, values, n);
}

void block_decode_mxfp4(const void *blocks, float *values, size_t n) {
    decode(&block32_mxfp4, blocks, values, n);
}

/* ---- encoding ----------------------------------------------------------------------------------
 * The integers are those nearest to value / step (ties to even), where step is the scale before it
 * is rounded to f16, as ggml has it. A block whose values, or whose range, are not finite gets a
 * NaN for its scale; one whose step is so small that its inverse is not finite (below 2^-121 or
 * so) counts as zero. A scale too large for f16 becomes infinite, and the block decodes to
 * infinities and NaNs: no f16 scale could hold such values. */

static const float not_a_number = __builtin_nanf("");

static void put_scale(uint8_t *bytes, float scale) {
    const uint16_t h = half_to_f16(scale);
    bytes[0] = (uint8_t)h;
    bytes[1] = (uint8_t)(h >> 8);
}

/* v to nearest even, for |v| < 2^22. Adding 1.5 * 2^23 leaves a float no bits for a fraction; the
 * integer then stands in its low bits. */
static int32_t nearest(float v) {
    return (int32_t)(half_float_bits(v + 0x1.8p23f) - half_float_bits(0x1.8p23f));
}

/* The first value of greatest magnitude, with its sign; NaN if a value is not finite. */
static float extreme(const float *values) {
    float best = 0;
    for (int j = 0; j < BLOCK32_LENGTH; j++) {
        const float magnitude = __builtin_fabsf(values[j]);
        if (!(magnitude <= __FLT_MAX__)) {
            return not_a_number;
        }
        best = magnitude > __builtin_fabsf(best) ? values[j] : best;
    }
    return best;
}

/* q[j] = nearest(inverse * (values[j] - base)) + offset, not above limit. If inverse is not finite
 * all are offset. */
static void to_levels(const float *values, float base, float inverse, int32_t offset, int32_t limit,
                      uint8_t *q) {
    if (!(__builtin_fabsf(inverse) <= __FLT_MAX__)) {
        memset(q, offset, BLOCK32_LENGTH);
        return;
    }
    for (int j = 0; j < BLOCK32_LENGTH; j++) {
        const int32_t level = nearest(inverse * (values[j] - base)) + offset;
        q[j] = (uint8_t)(level > limit ? limit : level);
    }
}

static void pack_nibbles(const uint8_t *q, uint8_t *qs) {
    for (int j = 0; j < HALF; j++) {
        qs[j] = (uint8_t)((q[j] & 15) | (q[j + HALF] & 15) << 4);
    }
}

static void pack_fives(const uint8_t *q, uint8_t *qh, uint8_t *qs) {
    pack_nibbles(q, qs);
    uint32_t high = 0;
    for (int k = 0; k < BLOCK32_LENGTH; k++) {
        high |= (uint32_t)(q[k] >> 4) << k;
    }
    memcpy(qh, &high, sizeof high);
}

/* Scale such that the value of greatest magnitude becomes -levels, the one end of the range that
 * has no counterpart: signed maximum / -levels. Returns the inverse of the scale. */
static float signed_step(const float *values, float levels, float *step) {
    const float best = extreme(values);
    const float inverse = -levels / best;
    const bool is_zero = best == 0 || __builtin_isinf(inverse);
    *step = is_zero ? 0 : best / -levels;
    return inverse;
}

/* Least value and step = range / levels. Returns the inverse of the step. */
static float ranged_step(const float *values, float levels, float *least, float *step) {
    float low = values[0];
    float high = values[0];
    for (int j = 1; j < BLOCK32_LENGTH; j++) {
        low = values[j] < low ? values[j] : low;
        high = values[j] > high ? values[j] : high;
    }
    const float range = high - low;
    if (extreme(values) != extreme(values) || !(range <= __FLT_MAX__)) {
        *least = *step = not_a_number;
        return not_a_number;
    }
    const float inverse = levels / range;
    *least = low;
    *step = __builtin_isinf(inverse) ? 0 : range / levels;
    return inverse;
}

void block_encode_q4_0(const float *values, void *blocks, size_t n) {
    uint8_t *block = blocks;
    uint8_t q[BLOCK32_LENGTH];
    for (size_t k = 0; k < n; k += BLOCK32_LENGTH, block += block32_q4_0.bytes) {
        float step;
        const float inverse = signed_step(values + k, 8, &step);
        to_levels(values + k, 0, inverse, 8, 15, q);
        put_scale(block, step);
        pack_nibbles(q, block + 2);
    }
}

void block_encode_q5_0(const float *values, void *blocks, size_t n) {
    uint8_t *block = blocks;
    uint8_t q[BLOCK32_LENGTH];
    for (size_t k = 0; k < n; k += BLOCK32_LENGTH, block += block32_q5_0.bytes) {
        float step;
        const float inverse = signed_step(values + k, 16, &step);
        to_levels(values + k, 0, inverse, 16, 31, q);
        put_scale(block, step);
        pack_fives(q, block + 2, block + 6);
    }
}

void block_encode_q4_1(const float *values, void *blocks, size_t n) {
    uint8_t *block = blocks;
    uint8_t q[BLOCK32_LENGTH];
    for (size_t k = 0; k < n; k += BLOCK32_LENGTH, block += block32_q4_1.bytes) {
        float least, step;
        const float inverse = ranged_step(values + k, 15, &least, &step);
        to_levels(values + k, least, inverse, 0, 15, q);
        put_scale(block, step);
        put_scale(block + 2, least);
        pack_nibbles(q, block + 4);
    }
}

void block_encode_q5_1(const float *values, void *blocks, size_t n) {
    uint8_t *block = blocks;
    uint8_t q[BLOCK32_LENGTH];
    for (size_t k = 0; k < n; k += BLOCK32_LENGTH, block += block32_q5_1.bytes) {
        float least, step;
        const float inverse = ranged_step(values + k, 31, &least, &step);
        to_levels(values + k, least, inverse, 0, 31, q);
        put_scale(block, step);
        put_scale(block + 2, least);
        pack_fives(q, block + 4, block + 8);
    }
}

void block_encode_q8_0(const float *values, void *blocks, size_t n) {
    uint8_t *block = blocks;
    for (size_t k = 0; k < n; k += BLOCK32_LENGTH, block += block32_q8_0.bytes) {
        const float amax = __builtin_fabsf(extreme(values + k));
        const float inverse = 127 / amax;
        put_scale(block, __builtin_isinf(inverse) ? 0 : amax / 127);
        to_levels(values + k, 0, inverse, 0, 127, block + 2);
    }
}
