/* encode_units.h - the power of two that encoders measure values in.
 *
 * Values are divided by the power of two below their largest magnitude, so that what is squared is
 * between 1 and 2. This is a header for the sake of files that are compiled for other instruction
 * sets.
 */
#ifndef QUANT_ENCODE_UNITS_H
#define QUANT_ENCODE_UNITS_H

#include "quant/half.h"

#include <stddef.h>
#include <stdint.h>

#define UNITS_INLINE static inline __attribute__((always_inline))

/* 2^floor(log2(f)) of a normal f, else the least normal number, 2^-126. */
UNITS_INLINE float encode_power_below(float f) {
    const uint32_t bits = half_float_bits(f) & 0x7f800000;
    return half_bits_float(bits ? bits : 0x00800000);
}

/* The largest of n magnitudes; NaN or infinity if a value is not finite. */
UNITS_INLINE float encode_largest(const float *values, size_t n) {
    uint32_t largest = 0;
    for (size_t k = 0; k < n; k++) {
        const uint32_t bits = half_float_bits(values[k]) & 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    return half_bits_float(largest);
}

#endif
