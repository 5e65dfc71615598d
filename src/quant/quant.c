/* quant.c - the table of formats, names of types, conversions of single values. */
#include "quant/quant.h"

#include "quant/blocks.h"
#include "quant/half.h"

#include <string.h>

float quant_f16_to_f32(uint16_t h) {
    return half_from_f16(h);
}

uint16_t quant_f32_to_f16(float f) {
    return half_to_f16(f);
}

float quant_bf16_to_f32(uint16_t h) {
    return half_from_bf16(h);
}

uint16_t quant_f32_to_bf16(float f) {
    return half_to_bf16(f);
}

/* ---- types that are not quantized: values one after the other, at any byte address -------------
 */

static void decode_f32(const void *blocks, float *values, size_t n) {
    memcpy(values, blocks, n * sizeof(float));
}

static void encode_f32(const float *values, void *blocks, size_t n) {
    memcpy(blocks, values, n * sizeof(float));
}

static void decode_f16(const void *blocks, float *values, size_t n) {
    const uint8_t *bytes = blocks;
    for (size_t k = 0; k < n; k++) {
        uint16_t h;
        memcpy(&h, bytes + 2 * k, sizeof h);
        values[k] = half_from_f16(h);
    }
}

static void encode_f16(const float *values, void *blocks, size_t n) {
    uint8_t *bytes = blocks;
    for (size_t k = 0; k < n; k++) {
        const uint16_t h = half_to_f16(values[k]);
        memcpy(bytes + 2 * k, &h, sizeof h);
    }
}

static void decode_bf16(const void *blocks, float *values, size_t n) {
    const uint8_t *bytes = blocks;
    for (size_t k = 0; k < n; k++) {
        uint16_t h;
        memcpy(&h, bytes + 2 * k, sizeof h);
        values[k] = half_from_bf16(h);
    }
}

static void encode_bf16(const float *values, void *blocks, size_t n) {
    uint8_t *bytes = blocks;
    for (size_t k = 0; k < n; k++) {
        const uint16_t h = half_to_bf16(values[k]);
        memcpy(bytes + 2 * k, &h, sizeof h);
    }
}

/* ---- the tables --------------------------------------------------------------------------------
 */

static const quant_format formats[QUANT_TYPE_LIMIT] = {
    [QUANT_F32] = {"F32", 1, 4, decode_f32, encode_f32},
    [QUANT_F16] = {"F16", 1, 2, decode_f16, encode_f16},
    [QUANT_Q4_0] = {"Q4_0", 32, 18, block_decode_q4_0, block_encode_q4_0},
    [QUANT_Q4_1] = {"Q4_1", 32, 20, block_decode_q4_1, block_encode_q4_1},
    [QUANT_Q5_0] = {"Q5_0", 32, 22, block_decode_q5_0, block_encode_q5_0},
    [QUANT_Q5_1] = {"Q5_1", 32, 24, block_decode_q5_1, block_encode_q5_1},
    [QUANT_Q8_0] = {"Q8_0", 32, 34, block_decode_q8_0, block_encode_q8_0},
    [QUANT_Q2_K] = {"Q2_K", 256, 84, block_decode_q2_k, NULL},
    [QUANT_Q3_K] = {"Q3_K", 256, 110, block_decode_q3_k, NULL},
    [QUANT_Q4_K] = {"Q4_K", 256, 144, block_decode_q4_k, NULL},
    [QUANT_Q5_K] = {"Q5_K", 256, 176, block_decode_q5_k, NULL},
    [QUANT_Q6_K] = {"Q6_K", 256, 210, block_decode_q6_k, NULL},
    [QUANT_IQ4_NL] = {"IQ4_NL", 32, 18, block_decode_iq4_nl, NULL},
    [QUANT_IQ4_XS] = {"IQ4_XS", 256, 136, block_decode_iq4_xs, NULL},
    [QUANT_BF16] = {"BF16", 1, 2, decode_bf16, encode_bf16},
    [QUANT_MXFP4] = {"MXFP4", 32, 17, block_decode_mxfp4, NULL},
};

/* GGUF's numbers up to the newest known; holes are numbers withdrawn. */
static const char *const names[] = {
    [0] = "F32",         [1] = "F16",         [2] = "Q4_0",   [3] = "Q4_1",    [6] = "Q5_0",
    [7] = "Q5_1",        [8] = "Q8_0",        [9] = "Q8_1",   [10] = "Q2_K",   [11] = "Q3_K",
    [12] = "Q4_K",       [13] = "Q5_K",       [14] = "Q6_K",  [15] = "Q8_K",   [16] = "IQ2_XXS",
    [17] = "IQ2_XS",     [18] = "IQ3_XXS",    [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",
    [22] = "IQ2_S",      [23] = "IQ4_XS",     [24] = "I8",    [25] = "I16",    [26] = "I32",
    [27] = "I64",        [28] = "F64",        [29] = "IQ1_M", [30] = "BF16",   [31] = "Q4_0_4_4",
    [32] = "Q4_0_4_8",   [33] = "Q4_0_8_8",   [34] = "TQ1_0", [35] = "TQ2_0",  [36] = "IQ4_NL_4_4",
    [37] = "IQ4_NL_4_8", [38] = "IQ4_NL_8_8", [39] = "MXFP4", [40] = "NVFP4",  [41] = "Q1_0",
};

const quant_format *quant_format_of(uint32_t type) {
    return type < QUANT_TYPE_LIMIT && formats[type].name ? &formats[type] : NULL;
}

const char *quant_name_of(uint32_t type) {
    return type < sizeof names / sizeof names[0] ? names[type] : NULL;
}

size_t quant_row_bytes(quant_type type, size_t n) {
    const quant_format *format = &formats[type];
    return n / format->block_length * format->block_bytes;
}
