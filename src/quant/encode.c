/* encode.c - encode.h by type. */
#include "quant/encode.h"

bool quant_encodes(quant_type type) {
    const quant_format *format = quant_format_of(type);
    return format && format->encode;
}

void quant_encode(quant_type type, const float *values, const float *importance, void *blocks,
                  size_t n) {
    (void)importance;
    quant_format_of(type)->encode(values, blocks, n);
}
