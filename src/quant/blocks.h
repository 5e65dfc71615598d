/* blocks.h - one block of any quantized type, unpacked to integers.
 *
 * Every quantized type is one of two kinds: 32 values with a scale (and perhaps a minimum), or 256
 * values in sixteen groups, each with a small integer scale (and perhaps a minimum), under one or
 * two scales of the block. Decoding and the plain products are written once per kind, over the
 * functions below, which know the layouts. Blocks may lie at any byte address.
 */
#ifndef QUANT_BLOCKS_H
#define QUANT_BLOCKS_H

#include "quant/quant.h"

enum {
    BLOCK32_LENGTH = 32,
    BLOCK256_LENGTH = 256,
    BLOCK256_GROUP = 16, /* values that share an integer scale */
    BLOCK256_GROUPS = 16,
};

/* value[k] = d * q[k] + m */
typedef struct block32 {
    float d;
    float m; /* 0 in types that have none */
    int8_t q[BLOCK32_LENGTH];
} block32;

/* value[k] = (d * scale[g]) * q[k] - dmin * min[g], g = k / 16. Types whose groups are of 32 values
 * give each scale twice. */
typedef struct block256 {
    float d;
    float dmin; /* 0 in types that have no minimums, and min[] too */
    int8_t q[BLOCK256_LENGTH];
    int8_t scale[BLOCK256_GROUPS];
    uint8_t min[BLOCK256_GROUPS];
} block256;

typedef struct block32_format {
    size_t bytes;
    bool has_min;
    void (*unpack)(const uint8_t *block, block32 *out);
} block32_format;

typedef struct block256_format {
    size_t bytes;
    bool has_min;
    void (*unpack)(const uint8_t *block, block256 *out);
    /* The inverse of unpack. d and dmin become the nearest f16; the integers have to be such as
     * unpack gives, those of a group of 32 alike. */
    void (*pack)(const block256 *b, uint8_t *block);
} block256_format;

extern const block32_format block32_q4_0, block32_q4_1, block32_q5_0, block32_q5_1, block32_q8_0,
    block32_iq4_nl, block32_mxfp4;
extern const block256_format block256_q2_k, block256_q3_k, block256_q4_k, block256_q5_k,
    block256_q6_k, block256_iq4_xs;

/* What the sixteen nibbles stand for, before the scale: in IQ4_NL and IQ4_XS levels that lie closer
 * together around zero; in MXFP4 those of E2M1 (sign, two bits of exponent, one of fraction)
 * doubled, so that they are whole. Both ascend from number 0 or, MXFP4, from 0 and down from 8. */
extern const int8_t block_iq4_levels[16], block_mxfp4_levels[16];

/* The eight scales of an IQ4_XS block, 32 too large: a byte each, the first one lowest. The low
 * four bits are nibbles in order (bytes 4 to 7), the high two are pairs of bits (bytes 2 and 3). */
static inline uint64_t block_iq4_xs_scales(const uint8_t *block) {
    uint64_t low =
        block[4] | (uint32_t)block[5] << 8 | (uint32_t)block[6] << 16 | (uint64_t)block[7] << 24;
    uint64_t high = (uint64_t)(block[2] | block[3] << 8);
    low = (low | low << 16) & 0x0000ffff0000ffff;
    low = (low | low << 8) & 0x00ff00ff00ff00ff;
    low = (low | low << 4) & 0x0f0f0f0f0f0f0f0f;
    high = (high | high << 24) & 0x000000ff000000ff;
    high = (high | high << 12) & 0x000f000f000f000f;
    high = (high | high << 6) & 0x0303030303030303;
    return low | high << 4;
}

/* Decoders and encoders of quant_format. */
void block_decode_q4_0(const void *blocks, float *values, size_t n);
void block_decode_q4_1(const void *blocks, float *values, size_t n);
void block_decode_q5_0(const void *blocks, float *values, size_t n);
void block_decode_q5_1(const void *blocks, float *values, size_t n);
void block_decode_q8_0(const void *blocks, float *values, size_t n);
void block_decode_q2_k(const void *blocks, float *values, size_t n);
void block_decode_q3_k(const void *blocks, float *values, size_t n);
void block_decode_q4_k(const void *blocks, float *values, size_t n);
void block_decode_q5_k(const void *blocks, float *values, size_t n);
void block_decode_q6_k(const void *blocks, float *values, size_t n);
void block_decode_iq4_nl(const void *blocks, float *values, size_t n);
void block_decode_iq4_xs(const void *blocks, float *values, size_t n);
void block_decode_mxfp4(const void *blocks, float *values, size_t n);
void block_encode_q4_0(const float *values, void *blocks, size_t n);
void block_encode_q4_1(const float *values, void *blocks, size_t n);
void block_encode_q5_0(const float *values, void *blocks, size_t n);
void block_encode_q5_1(const float *values, void *blocks, size_t n);
void block_encode_q8_0(const float *values, void *blocks, size_t n);

#endif
