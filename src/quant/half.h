/* half.h - IEEE 754 half and bfloat16, one value at a time, for loops that want them inlined.
 *
 * Integer arithmetic and one exact product: the compiler can vectorize these, and the bits are
 * those of the conversion instructions. Subnormals are kept in both directions.
 */
#ifndef QUANT_HALF_H
#define QUANT_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t half_float_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float half_bits_float(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The ten bits of fraction and five of exponent, put where a float has its own, give the value
 * times 2^-112 (bias 127 against 15); the product puts that right, also for subnormals. */
static inline float half_from_f16(uint16_t h) {
    const uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
    const uint32_t bits = half_float_bits(half_bits_float(magnitude) * 0x1p112f);
    /* Exponent of all ones: infinity, or NaN made quiet. */
    const uint32_t infinity = magnitude >= 0x0f800000 ? 0x7f800000 : 0;
    const uint32_t quiet = magnitude > 0x0f800000 ? 0x00400000 : 0;
    return half_bits_float(bits | infinity | quiet | (uint32_t)(h & 0x8000) << 16);
}

static inline uint16_t half_to_f16(float f) {
    const uint32_t bits = half_float_bits(f);
    const uint32_t sign = bits >> 16 & 0x8000;
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    }
    if (magnitude >= 0x47800000) { /* 2^16 and above */
        return (uint16_t)(sign | 0x7c00);
    }
    if (magnitude < 0x38800000) {
        /* Below 2^-14 halves are multiples of 2^-24, which is the distance of floats at 0.5: the
         * addition does the rounding. */
        const float shifted = half_bits_float(magnitude) + 0.5f;
        return (uint16_t)(sign | (half_float_bits(shifted) - 0x3f000000));
    }
    /* Nearest even on the 13 bits that go; a carry may run up to infinity, which is right. */
    const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000) >> 13);
}

/* Half of what a byte of the format E8M0 stands for: 2^(e - 128), which is subnormal for 0 and 1;
 * NaN for 255. Half, because whoever has such a scale has values that are doubled to be whole. */
static inline float half_of_e8m0(uint8_t e) {
    const uint32_t normal = ((uint32_t)e - 1) << 23;
    const uint32_t bits = e < 2 ? (uint32_t)0x00200000 << e : normal;
    return half_bits_float(e == 255 ? 0x7fc00000 : bits);
}

static inline float half_from_bf16(uint16_t h) {
    return half_bits_float((uint32_t)h << 16);
}

static inline uint16_t half_to_bf16(float f) {
    const uint32_t bits = half_float_bits(f);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        return (uint16_t)(bits >> 16 | 0x40);
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
