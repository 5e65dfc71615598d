/* encode.c - encode.h by type. */
#include "quant/encode.h"

#include "quant/encode_codebook.h"

bool quant_encodes(quant_type type) {
    const quant_format *format = quant_format_of(type);
    return format && (format->encode || quant_encoder_of(type));
}

quant_encoder *quant_encoder_of(quant_type type) {
    switch (type) {
    case QUANT_IQ4_NL:
        return encode_iq4_nl;
    case QUANT_IQ4_XS:
        return encode_iq4_xs;
    case QUANT_MXFP4:
        return encode_mxfp4;
    default:
        return NULL;
    }
}

void quant_encode(quant_type type, const float *values, const float *importance, void *blocks,
                  size_t n) {
    quant_encoder *encoder = quant_encoder_of(type);
    if (encoder) {
        encoder(values, importance, blocks, n);
    } else {
        quant_format_of(type)->encode(values, blocks, n);
    }
}
