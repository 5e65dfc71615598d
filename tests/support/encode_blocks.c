/* encode_blocks.c - the encoders; layouts are those that quant/block256.c describes. */
#include "support/encode_blocks.h"

#include "quant/blocks.h"
#include "quant/encode.h"

#include <math.h>
#include <string.h>

/* A block before its bits are packed. Levels and scales are unsigned, as they are stored. */
typedef struct parts {
    uint16_t d, dmin; /* f16 */
    uint8_t q[BLOCK256_LENGTH];
    uint8_t scale[BLOCK256_GROUPS], min[BLOCK256_GROUPS];
} parts;

static int clamp(long value, int low, int high) {
    return value < low ? low : value > high ? high : (int)value;
}

/* Nearest integer to value / step, which may be 0. */
static int level(float value, float step, int low, int high) {
    return step == 0 ? clamp(0, low, high) : clamp(lrintf(value / step), low, high);
}

/* value = d * scale * (q - half), scale from -scale_half: the value of greatest magnitude of each
 * group, and the greatest of the groups' steps, go to the end of the range without counterpart. */
static void fit_signed(const float *values, int half, int scale_half, parts *out) {
    float step[BLOCK256_GROUPS], greatest = 0;
    for (int g = 0; g < BLOCK256_GROUPS; g++) {
        float extreme = 0;
        for (int j = 0; j < BLOCK256_GROUP; j++) {
            const float v = values[g * BLOCK256_GROUP + j];
            extreme = fabsf(v) > fabsf(extreme) ? v : extreme;
        }
        step[g] = extreme / (float)-half;
        greatest = fabsf(step[g]) > fabsf(greatest) ? step[g] : greatest;
    }
    out->d = quant_f32_to_f16(greatest / (float)-scale_half);
    const float d = quant_f16_to_f32(out->d);
    for (int g = 0; g < BLOCK256_GROUPS; g++) {
        const int scale = level(step[g], d, -scale_half, scale_half - 1);
        out->scale[g] = (uint8_t)(scale + scale_half);
        for (int k = g * BLOCK256_GROUP; k < (g + 1) * BLOCK256_GROUP; k++) {
            out->q[k] = (uint8_t)(level(values[k], d * (float)scale, -half, half - 1) + half);
        }
    }
}

/* value = d * scale * q - dmin * min, groups of `length`, q up to top, scale and min to scale_top.
 */
static void fit_ranged(const float *values, int length, int top, int scale_top, parts *out) {
    const int n_group = BLOCK256_LENGTH / length;
    float step[BLOCK256_GROUPS], below[BLOCK256_GROUPS], largest_step = 0, largest_below = 0;
    for (int g = 0; g < n_group; g++) {
        float low = 0, high = values[g * length]; /* min cannot be negative: low is not above 0 */
        for (int k = g * length; k < (g + 1) * length; k++) {
            low = fminf(low, values[k]);
            high = fmaxf(high, values[k]);
        }
        step[g] = (high - low) / (float)top;
        below[g] = -low;
        largest_step = fmaxf(largest_step, step[g]);
        largest_below = fmaxf(largest_below, below[g]);
    }
    out->d = quant_f32_to_f16(largest_step / (float)scale_top);
    out->dmin = quant_f32_to_f16(largest_below / (float)scale_top);
    const float d = quant_f16_to_f32(out->d), dmin = quant_f16_to_f32(out->dmin);
    for (int g = 0; g < n_group; g++) {
        out->scale[g] = (uint8_t)level(step[g], d, 0, scale_top);
        out->min[g] = (uint8_t)level(below[g], dmin, 0, scale_top);
        const float scale = d * (float)out->scale[g], min = dmin * (float)out->min[g];
        for (int k = g * length; k < (g + 1) * length; k++) {
            out->q[k] = (uint8_t)level(values[k] + min, scale, 0, top);
        }
    }
}

/* ---- packing: sets bits in a block of zeros ------------------------------------------------- */

static void put_half(uint8_t *bytes, uint16_t h) {
    bytes[0] = (uint8_t)h;
    bytes[1] = (uint8_t)(h >> 8);
}

/* Two bits of each value at 2 (k / 32 % 4) of byte 32 (k / 128) + k % 32. */
static void pack_pairs(const parts *b, int shift, uint8_t *qs) {
    for (int k = 0; k < BLOCK256_LENGTH; k++) {
        const int bits = b->q[k] >> shift & 3;
        qs[k / 128 * 32 + k % 32] |= (uint8_t)(bits << k / 32 % 4 * 2);
    }
}

/* Low four bits: values 64p + l low, 64p + 32 + l high in byte 32p + l. */
static void pack_nibbles(const parts *b, uint8_t *qs) {
    for (int k = 0; k < BLOCK256_LENGTH; k++) {
        qs[k / 64 * 32 + k % 32] |= (uint8_t)((b->q[k] & 15) << k / 32 % 2 * 4);
    }
}

/* Bit `from` of value 32p + l becomes bit p of byte l. */
static void pack_bits(const parts *b, int from, uint8_t *bytes) {
    for (int k = 0; k < BLOCK256_LENGTH; k++) {
        bytes[k % 32] |= (uint8_t)((b->q[k] >> from & 1) << k / 32);
    }
}

/* Twelve bytes of eight scales and eight minimums. */
static void pack_six_bit_pairs(const parts *b, uint8_t *bytes) {
    for (int g = 0; g < 4; g++) {
        bytes[g] = (uint8_t)(b->scale[g] | b->scale[g + 4] >> 4 << 6);
        bytes[g + 4] = (uint8_t)(b->min[g] | b->min[g + 4] >> 4 << 6);
        bytes[g + 8] = (uint8_t)((b->scale[g + 4] & 15) | (b->min[g + 4] & 15) << 4);
    }
}

static void encode_q2_k(const float *values, uint8_t *block) {
    parts b;
    fit_ranged(values, 16, 3, 15, &b);
    for (int g = 0; g < BLOCK256_GROUPS; g++) {
        block[g] = (uint8_t)(b.scale[g] | b.min[g] << 4);
    }
    pack_pairs(&b, 0, block + 16);
    put_half(block + 80, b.d);
    put_half(block + 82, b.dmin);
}

static void encode_q3_k(const float *values, uint8_t *block) {
    parts b;
    fit_signed(values, 4, 32, &b);
    pack_bits(&b, 2, block);
    pack_pairs(&b, 0, block + 32);
    for (int g = 0; g < BLOCK256_GROUPS; g++) {
        block[96 + g % 8] |= (uint8_t)((b.scale[g] & 15) << g / 8 * 4);
        block[104 + g % 4] |= (uint8_t)(b.scale[g] >> 4 << g / 4 * 2);
    }
    put_half(block + 108, b.d);
}

static void encode_q4_k(const float *values, uint8_t *block) {
    parts b;
    fit_ranged(values, 32, 15, 63, &b);
    put_half(block, b.d);
    put_half(block + 2, b.dmin);
    pack_six_bit_pairs(&b, block + 4);
    pack_nibbles(&b, block + 16);
}

static void encode_q5_k(const float *values, uint8_t *block) {
    parts b;
    fit_ranged(values, 32, 31, 63, &b);
    put_half(block, b.d);
    put_half(block + 2, b.dmin);
    pack_six_bit_pairs(&b, block + 4);
    pack_bits(&b, 4, block + 16);
    pack_nibbles(&b, block + 48);
}

static void encode_q6_k(const float *values, uint8_t *block) {
    parts b;
    fit_signed(values, 32, 128, &b);
    for (int k = 0; k < BLOCK256_LENGTH; k++) {
        const int half = k / 128, part = k / 32 % 4;
        block[half * 64 + part % 2 * 32 + k % 32] |= (uint8_t)((b.q[k] & 15) << part / 2 * 4);
    }
    pack_pairs(&b, 4, block + 128);
    for (int g = 0; g < BLOCK256_GROUPS; g++) {
        block[192 + g] = (uint8_t)(b.scale[g] - 128); /* signed, two's complement */
    }
    put_half(block + 208, b.d);
}

void encode_blocks(quant_type type, const float *values, void *blocks, size_t n) {
    static void (*const encoders[QUANT_TYPE_LIMIT])(const float *, uint8_t *) = {
        [QUANT_Q2_K] = encode_q2_k, [QUANT_Q3_K] = encode_q3_k, [QUANT_Q4_K] = encode_q4_k,
        [QUANT_Q5_K] = encode_q5_k, [QUANT_Q6_K] = encode_q6_k,
    };
    const quant_format *format = quant_format_of(type);
    if (format->encode) {
        format->encode(values, blocks, n);
        return;
    }
    if (!encoders[type]) {
        quant_encode(type, values, NULL, blocks, n);
        return;
    }
    uint8_t *block = blocks;
    memset(block, 0, quant_row_bytes(type, n));
    for (size_t k = 0; k < n; k += BLOCK256_LENGTH, block += format->block_bytes) {
        encoders[type](values + k, block);
    }
}
