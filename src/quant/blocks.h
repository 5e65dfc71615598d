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

extern const block32_format block32_q4_0, block32_q4_1, block32_q5_0, block32_q5_1, block32_q8_0;
extern const block256_format block256_q2_k, block256_q3_k, block256_q4_k, block256_q5_k,
    block256_q6_k;

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
void block_encode_q4_0(const float *values, void *blocks, size_t n);
void block_encode_q4_1(const float *values, void *blocks, size_t n);
void block_encode_q5_0(const float *values, void *blocks, size_t n);
void block_encode_q5_1(const float *values, void *blocks, size_t n);
void block_encode_q8_0(const float *values, void *blocks, size_t n);

#endif
