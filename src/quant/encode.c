/* encode.c - encode.h by type; the plain C of every encoder that searches. */
#include "quant/encode.h"

#include "quant/vec_plain.h"

#include "quant/encode256.h"
#include "quant/encode32.h"
#include "quant/encode_codebook.h"

static void encode_f32(const float *values, const float *importance, void *blocks, size_t n) {
    (void)importance;
    quant_format_of(QUANT_F32)->encode(values, blocks, n);
}

static void encode_f16(const float *values, const float *importance, void *blocks, size_t n) {
    (void)importance;
    quant_format_of(QUANT_F16)->encode(values, blocks, n);
}

static void encode_bf16(const float *values, const float *importance, void *blocks, size_t n) {
    (void)importance;
    quant_format_of(QUANT_BF16)->encode(values, blocks, n);
}

static quant_encoder *const encoders[QUANT_TYPE_LIMIT] = {
    [QUANT_F32] = encode_f32,     [QUANT_F16] = encode_f16,       [QUANT_BF16] = encode_bf16,
    [QUANT_Q4_0] = encode_q4_0,   [QUANT_Q4_1] = encode_q4_1,     [QUANT_Q5_0] = encode_q5_0,
    [QUANT_Q5_1] = encode_q5_1,   [QUANT_Q8_0] = encode_q8_0,     [QUANT_Q2_K] = encode_q2_k,
    [QUANT_Q3_K] = encode_q3_k,   [QUANT_Q4_K] = encode_q4_k,     [QUANT_Q5_K] = encode_q5_k,
    [QUANT_Q6_K] = encode_q6_k,   [QUANT_IQ4_NL] = encode_iq4_nl, [QUANT_IQ4_XS] = encode_iq4_xs,
    [QUANT_MXFP4] = encode_mxfp4,
};

quant_encoder *quant_encoder_of(quant_type type) {
    return quant_format_of(type) ? encoders[type] : NULL;
}

bool quant_encodes(quant_type type) {
    return quant_encoder_of(type) != NULL;
}

void quant_encode(quant_type type, const float *values, const float *importance, void *blocks,
                  size_t n) {
    encoders[type](values, importance, blocks, n);
}
