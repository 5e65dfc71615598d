/* block256.c - the types of 256 values in groups with integer scales: Q2_K, Q3_K, Q4_K, Q5_K, Q6_K,
 * IQ4_XS.
 *
 *   bytes   Q2_K  scales[16]  qs[64]  d:f16  dmin:f16            d*s * q - dmin*m
 *           Q3_K  hmask[32]  qs[64]  scales[12]  d:f16           d*s * (q - 4)
 *           Q4_K  d:f16  dmin:f16  scales[12]  qs[128]           d*s * q - dmin*m
 *           Q5_K  d:f16  dmin:f16  scales[12]  qh[32]  qs[128]   d*s * q - dmin*m
 *           Q6_K  ql[128]  qh[64]  scales:int8[16]  d:f16        d*s * (q - 32)
 *           IQ4_XS  d:f16  scales_h[2]  scales_l[4]  qs[128]     d*s * levels[q]
 *
 * Groups are of 16 values, in Q4_K, Q5_K and IQ4_XS of 32. How bits are spread stands at each
 * function.
 */
#include "quant/blocks.h"

#include "quant/half.h"

#include <string.h>

static float scale_at(const uint8_t *bytes) {
    return half_from_f16((uint16_t)(bytes[0] | bytes[1] << 8));
}

/* qs: 2 bits each. Values 128h + 32s + l lie in byte 32h + l, bits 2s and 2s + 1. A byte of scales
 * is a group's scale (low four bits) and minimum (high four). */
static void unpack_q2_k(const uint8_t *block, block256 *out) {
    const uint8_t *scales = block, *qs = block + 16;
    out->d = scale_at(block + 80);
    out->dmin = scale_at(block + 82);
    for (int g = 0; g < BLOCK256_GROUPS; g++) {
        out->scale[g] = (int8_t)(scales[g] & 15);
        out->min[g] = scales[g] >> 4;
    }
    for (int part = 0; part < 8; part++) { /* 32 values each */
        const uint8_t *from = qs + part / 4 * 32;
        for (int l = 0; l < 32; l++) {
            out->q[part * 32 + l] = (int8_t)(from[l] >> part % 4 * 2 & 3);
        }
    }
}

/* Sixteen scales of six bits, 32 too large: the low four bits of scales g and g + 8 share byte g,
 * the high two bits of scale g are bits 2 (g / 4) of byte 8 + g % 4. */
static void unpack_q3_k_scales(const uint8_t *bytes, int8_t *scale) {
    for (int g = 0; g < BLOCK256_GROUPS; g++) {
        const int low = bytes[g % 8] >> g / 8 * 4 & 15;
        const int high = bytes[8 + g % 4] >> g / 4 * 2 & 3;
        scale[g] = (int8_t)((low | high << 4) - 32);
    }
}

/* qs as in Q2_K; the third bit of value 32p + l is bit p of hmask[l]. */
static void unpack_q3_k(const uint8_t *block, block256 *out) {
    const uint8_t *hmask = block, *qs = block + 32;
    out->d = scale_at(block + 108);
    out->dmin = 0;
    unpack_q3_k_scales(block + 96, out->scale);
    memset(out->min, 0, sizeof out->min);
    for (int part = 0; part < 8; part++) {
        const uint8_t *from = qs + part / 4 * 32;
        for (int l = 0; l < 32; l++) {
            const int q = (from[l] >> part % 4 * 2 & 3) | (hmask[l] >> part & 1) << 2;
            out->q[part * 32 + l] = (int8_t)(q - 4);
        }
    }
}

/* Eight scales and eight minimums of six bits in twelve bytes. Those of groups 0 to 3 are the low
 * six bits of bytes g and g + 4. Of groups 4 to 7 the low four bits share byte g + 4 (scale low,
 * minimum high), the high two are the high bits of bytes g - 4 and g. */
static void unpack_q4_k_scales(const uint8_t *bytes, block256 *out) {
    for (int g = 0; g < 8; g++) {
        int scale = bytes[g] & 63;
        int min = bytes[g + 4] & 63;
        if (g >= 4) {
            scale = (bytes[g + 4] & 15) | bytes[g - 4] >> 6 << 4;
            min = bytes[g + 4] >> 4 | bytes[g] >> 6 << 4;
        }
        out->scale[2 * g] = out->scale[2 * g + 1] = (int8_t)scale;
        out->min[2 * g] = out->min[2 * g + 1] = (uint8_t)min;
    }
}

/* qs: values 64p + l lie in the low four bits of byte 32p + l, values 64p + 32 + l in the high. */
static void unpack_q4_k(const uint8_t *block, block256 *out) {
    const uint8_t *qs = block + 16;
    out->d = scale_at(block);
    out->dmin = scale_at(block + 2);
    unpack_q4_k_scales(block + 4, out);
    for (int part = 0; part < 4; part++) {
        for (int l = 0; l < 32; l++) {
            out->q[part * 64 + l] = (int8_t)(qs[part * 32 + l] & 15);
            out->q[part * 64 + 32 + l] = (int8_t)(qs[part * 32 + l] >> 4);
        }
    }
}

/* As Q4_K; the fifth bit of value 32p + l is bit p of qh[l]. */
static void unpack_q5_k(const uint8_t *block, block256 *out) {
    const uint8_t *qh = block + 16, *qs = block + 48;
    out->d = scale_at(block);
    out->dmin = scale_at(block + 2);
    unpack_q4_k_scales(block + 4, out);
    for (int part = 0; part < 8; part++) {
        const uint8_t *from = qs + part / 2 * 32;
        for (int l = 0; l < 32; l++) {
            const int q = (from[l] >> part % 2 * 4 & 15) | (qh[l] >> part & 1) << 4;
            out->q[part * 32 + l] = (int8_t)q;
        }
    }
}

/* For each half h of 128 values, part p of 32: low four bits in byte 64h + 32 (p % 2) + l of ql,
 * the low nibble for p < 2; high two bits in byte 32h + l of qh, at 2p. */
static void unpack_q6_k(const uint8_t *block, block256 *out) {
    out->d = scale_at(block + 208);
    out->dmin = 0;
    memcpy(out->scale, block + 192, sizeof out->scale);
    memset(out->min, 0, sizeof out->min);
    for (int part = 0; part < 8; part++) {
        const int p = part % 4;
        const uint8_t *ql = block + part / 4 * 64 + p % 2 * 32;
        const uint8_t *qh = block + 128 + part / 4 * 32;
        for (int l = 0; l < 32; l++) {
            const int q = (ql[l] >> p / 2 * 4 & 15) | (qh[l] >> p * 2 & 3) << 4;
            out->q[part * 32 + l] = (int8_t)(q - 32);
        }
    }
}

/* Each group as a block of IQ4_NL has its values: 32g + l and 32g + 16 + l in byte 16g + l. */
static void unpack_iq4_xs(const uint8_t *block, block256 *out) {
    const uint64_t scales = block_iq4_xs_scales(block);
    const uint8_t *qs = block + 8;
    out->d = scale_at(block);
    out->dmin = 0;
    memset(out->min, 0, sizeof out->min);
    for (int g = 0; g < 8; g++) {
        out->scale[2 * g] = out->scale[2 * g + 1] = (int8_t)((int)(scales >> 8 * g & 63) - 32);
        for (int l = 0; l < 16; l++) {
            out->q[32 * g + l] = block_iq4_levels[qs[16 * g + l] & 15];
            out->q[32 * g + 16 + l] = block_iq4_levels[qs[16 * g + l] >> 4];
        }
    }
}

/* ---- packing: the same layouts the other way round --------------------------------------------
 */

static void put_scale(uint8_t *bytes, float scale) {
    const uint16_t h = half_to_f16(scale);
    bytes[0] = (uint8_t)h;
    bytes[1] = (uint8_t)(h >> 8);
}

static void pack_q2_k(const block256 *b, uint8_t *block) {
    for (int g = 0; g < BLOCK256_GROUPS; g++) {
        block[g] = (uint8_t)(b->scale[g] | b->min[g] << 4);
    }
    for (int half = 0; half < 2; half++) {
        const int8_t *q = b->q + half * 128;
        uint8_t *to = block + 16 + half * 32;
        for (int l = 0; l < 32; l++) {
            to[l] = (uint8_t)(q[l] | q[l + 32] << 2 | q[l + 64] << 4 | q[l + 96] << 6);
        }
    }
    put_scale(block + 80, b->d);
    put_scale(block + 82, b->dmin);
}

static void pack_q3_k_scales(const int8_t *scale, uint8_t *bytes) {
    for (int j = 0; j < 8; j++) {
        bytes[j] = (uint8_t)(((scale[j] + 32) & 15) | ((scale[j + 8] + 32) & 15) << 4);
    }
    for (int j = 0; j < 4; j++) {
        bytes[8 + j] = (uint8_t)((scale[j] + 32) >> 4 | (scale[j + 4] + 32) >> 4 << 2 |
                                 (scale[j + 8] + 32) >> 4 << 4 | (scale[j + 12] + 32) >> 4 << 6);
    }
}

static void pack_q3_k(const block256 *b, uint8_t *block) {
    memset(block, 0, 96);
    for (int part = 0; part < 8; part++) {
        uint8_t *to = block + 32 + part / 4 * 32;
        for (int l = 0; l < 32; l++) {
            const int q = b->q[part * 32 + l] + 4;
            block[l] |= (uint8_t)(q >> 2 << part);
            to[l] |= (uint8_t)((q & 3) << part % 4 * 2);
        }
    }
    pack_q3_k_scales(b->scale, block + 96);
    put_scale(block + 108, b->d);
}

static void pack_q4_k_scales(const block256 *b, uint8_t *bytes) {
    for (int g = 0; g < 4; g++) { /* and group g + 4 */
        const int scale = b->scale[2 * g], min = b->min[2 * g];
        const int high_scale = b->scale[2 * g + 8], high_min = b->min[2 * g + 8];
        bytes[g] = (uint8_t)(scale | high_scale >> 4 << 6);
        bytes[g + 4] = (uint8_t)(min | high_min >> 4 << 6);
        bytes[g + 8] = (uint8_t)((high_scale & 15) | (high_min & 15) << 4);
    }
}

static void pack_q4_k(const block256 *b, uint8_t *block) {
    put_scale(block, b->d);
    put_scale(block + 2, b->dmin);
    pack_q4_k_scales(b, block + 4);
    for (int part = 0; part < 4; part++) {
        const int8_t *q = b->q + part * 64;
        for (int l = 0; l < 32; l++) {
            block[16 + part * 32 + l] = (uint8_t)(q[l] | q[l + 32] << 4);
        }
    }
}

static void pack_q5_k(const block256 *b, uint8_t *block) {
    put_scale(block, b->d);
    put_scale(block + 2, b->dmin);
    pack_q4_k_scales(b, block + 4);
    memset(block + 16, 0, 32);
    for (int part = 0; part < 4; part++) {
        const int8_t *q = b->q + part * 64;
        for (int l = 0; l < 32; l++) {
            block[48 + part * 32 + l] = (uint8_t)((q[l] & 15) | (q[l + 32] & 15) << 4);
            block[16 + l] |= (uint8_t)((q[l] >> 4 | q[l + 32] >> 4 << 1) << 2 * part);
        }
    }
}

static void pack_q6_k(const block256 *b, uint8_t *block) {
    for (int half = 0; half < 2; half++) {
        const int8_t *q = b->q + half * 128;
        uint8_t *ql = block + half * 64, *qh = block + 128 + half * 32;
        for (int l = 0; l < 32; l++) {
            const int q0 = q[l] + 32, q1 = q[l + 32] + 32;
            const int q2 = q[l + 64] + 32, q3 = q[l + 96] + 32;
            ql[l] = (uint8_t)((q0 & 15) | (q2 & 15) << 4);
            ql[l + 32] = (uint8_t)((q1 & 15) | (q3 & 15) << 4);
            qh[l] = (uint8_t)(q0 >> 4 | q1 >> 4 << 2 | q2 >> 4 << 4 | q3 >> 4 << 6);
        }
    }
    memcpy(block + 192, b->scale, sizeof b->scale);
    put_scale(block + 208, b->d);
}

const block256_format block256_q2_k = {84, true, unpack_q2_k, pack_q2_k};
const block256_format block256_q3_k = {110, false, unpack_q3_k, pack_q3_k};
const block256_format block256_q4_k = {144, true, unpack_q4_k, pack_q4_k};
const block256_format block256_q5_k = {176, true, unpack_q5_k, pack_q5_k};
const block256_format block256_q6_k = {210, false, unpack_q6_k, pack_q6_k};
const block256_format block256_iq4_xs = {136, false, unpack_iq4_xs, NULL};

/* ---- decoding ----------------------------------------------------------------------------------
 * d * scale has at most 11 + 7 bits, times q at most 24: exact in a float, as is dmin * min. Only
 * the subtraction rounds, so the order of the products does not matter. */

static void decode(const block256_format *format, const void *blocks, float *values, size_t n) {
    const uint8_t *bytes = blocks;
    block256 b;
    for (size_t k = 0; k < n; k += BLOCK256_LENGTH, bytes += format->bytes) {
        format->unpack(bytes, &b);
        for (int g = 0; g < BLOCK256_GROUPS; g++) {
            const int8_t *q = b.q + g * BLOCK256_GROUP;
            float *to = values + k + g * BLOCK256_GROUP;
            const float scale = b.d * (float)b.scale[g];
            const float min = b.dmin * (float)b.min[g];
            for (int j = 0; j < BLOCK256_GROUP; j++) {
                to[j] = scale * (float)q[j];
            }
            if (format->has_min) {
                for (int j = 0; j < BLOCK256_GROUP; j++) {
                    to[j] -= min;
                }
            }
        }
    }
}

void block_decode_q2_k(const void *blocks, float *values, size_t n) {
    decode(&block256_q2_k, blocks, values, n);
}

void block_decode_q3_k(const void *blocks, float *values, size_t n) {
    decode(&block256_q3_k, blocks, values, n);
}

void block_decode_q4_k(const void *blocks, float *values, size_t n) {
    decode(&block256_q4_k, blocks, values, n);
}

void block_decode_q5_k(const void *blocks, float *values, size_t n) {
    decode(&block256_q5_k, blocks, values, n);
}

void block_decode_q6_k(const void *blocks, float *values, size_t n) {
    decode(&block256_q6_k, blocks, values, n);
}

void block_decode_iq4_xs(const void *blocks, float *values, size_t n) {
    decode(&block256_iq4_xs, blocks, values, n);
}
