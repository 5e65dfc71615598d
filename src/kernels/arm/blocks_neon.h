/* blocks_neon.h - blocks of every quantized type, unpacked to signed bytes in NEON.
 *
 * quant/block32.c and block256.c say how bits are spread; the values here are theirs, before the
 * scale. A type is a constant struct, so that what includes this compiles to code for that type.
 */
#ifndef KERNELS_ARM_BLOCKS_NEON_H
#define KERNELS_ARM_BLOCKS_NEON_H

#include "kernels/arm/neon.h"
#include "quant/blocks.h"
#include "quant/half.h"

#include <string.h>

/* Bytes of a block of each type. */
enum {
    Q4_0_BYTES = 18,
    Q4_1_BYTES = 20,
    Q5_0_BYTES = 22,
    Q5_1_BYTES = 24,
    Q8_0_BYTES = 34,
    IQ4_NL_BYTES = 18,
    MXFP4_BYTES = 17,
    Q2_K_BYTES = 84,
    Q3_K_BYTES = 110,
    Q4_K_BYTES = 144,
    Q5_K_BYTES = 176,
    Q6_K_BYTES = 210,
    IQ4_XS_BYTES = 136,
};

/* 32 successive values. */
typedef struct bytes_32 {
    int8x16_t half[2];
} bytes_32;

ARM_INLINE bytes_32 signed_32(uint8x16_t first, uint8x16_t second) {
    return (bytes_32){{vreinterpretq_s8_u8(first), vreinterpretq_s8_u8(second)}};
}

/* To the right; n need not be written as a number. */
ARM_INLINE uint8x16_t shifted(uint8x16_t v, size_t n) {
    return vshlq_u8(v, vdupq_n_s8((int8_t) - (int)n));
}

ARM_INLINE uint8x16_t low_nibbles(uint8x16_t v) {
    return vandq_u8(v, vdupq_n_u8(15));
}

/* What the nibbles of 16 bytes stand for: the low ones first. */
ARM_INLINE bytes_32 levels_32(const uint8_t *qs, const int8_t *levels) {
    const uint8x16_t v = vld1q_u8(qs);
    const int8x16_t table = vld1q_s8(levels);
    return (bytes_32){{vqtbl1q_s8(table, low_nibbles(v)), vqtbl1q_s8(table, vshrq_n_u8(v, 4))}};
}

/* ---- 32 values with one scale -------------------------------------------------------------------
 */

typedef struct blocks32 {
    size_t bytes; /* of a block, which begins with its scale */
    bool has_min; /* a minimum follows the scale */
    bool is_e8m0; /* the scale is a byte of E8M0, no f16 */
    bytes_32 (*unpack)(const uint8_t *block);
} blocks32;

ARM_INLINE bytes_32 unpack_q8_0(const uint8_t *block) {
    return signed_32(vld1q_u8(block + 2), vld1q_u8(block + 18));
}

ARM_INLINE bytes_32 unpack_q4_0(const uint8_t *block) {
    const uint8x16_t v = vld1q_u8(block + 2), eight = vdupq_n_u8(8);
    return signed_32(vsubq_u8(low_nibbles(v), eight), vsubq_u8(vshrq_n_u8(v, 4), eight));
}

ARM_INLINE bytes_32 unpack_q4_1(const uint8_t *block) {
    const uint8x16_t v = vld1q_u8(block + 4);
    return signed_32(low_nibbles(v), vshrq_n_u8(v, 4));
}

/* All ones where the bit is set: of 32 bits, the 16 that begin at byte `at`. */
ARM_INLINE uint8x16_t bit_mask(const uint8_t *bits) {
    static const uint8_t one_bit[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bytes = vcombine_u8(vdup_n_u8(bits[0]), vdup_n_u8(bits[1]));
    const uint8x8_t bit = vld1_u8(one_bit);
    return vtstq_u8(bytes, vcombine_u8(bit, bit));
}

/* q - 16: without the fifth bit, the high four bits are those of a negative number. */
ARM_INLINE bytes_32 unpack_q5_0(const uint8_t *block) {
    const uint8x16_t v = vld1q_u8(block + 6), negative = vdupq_n_u8(0xf0);
    return signed_32(vorrq_u8(low_nibbles(v), vbicq_u8(negative, bit_mask(block + 2))),
                     vorrq_u8(vshrq_n_u8(v, 4), vbicq_u8(negative, bit_mask(block + 4))));
}

ARM_INLINE bytes_32 unpack_q5_1(const uint8_t *block) {
    const uint8x16_t v = vld1q_u8(block + 8), fifth = vdupq_n_u8(16);
    return signed_32(vorrq_u8(low_nibbles(v), vandq_u8(fifth, bit_mask(block + 4))),
                     vorrq_u8(vshrq_n_u8(v, 4), vandq_u8(fifth, bit_mask(block + 6))));
}

ARM_INLINE bytes_32 unpack_iq4_nl(const uint8_t *block) {
    return levels_32(block + 2, block_iq4_levels);
}

ARM_INLINE bytes_32 unpack_mxfp4(const uint8_t *block) {
    return levels_32(block + 1, block_mxfp4_levels);
}

#define BLOCKS32_Q4_0 ((blocks32){Q4_0_BYTES, false, false, unpack_q4_0})
#define BLOCKS32_Q4_1 ((blocks32){Q4_1_BYTES, true, false, unpack_q4_1})
#define BLOCKS32_Q5_0 ((blocks32){Q5_0_BYTES, false, false, unpack_q5_0})
#define BLOCKS32_Q5_1 ((blocks32){Q5_1_BYTES, true, false, unpack_q5_1})
#define BLOCKS32_Q8_0 ((blocks32){Q8_0_BYTES, false, false, unpack_q8_0})
#define BLOCKS32_IQ4_NL ((blocks32){IQ4_NL_BYTES, false, false, unpack_iq4_nl})
#define BLOCKS32_MXFP4 ((blocks32){MXFP4_BYTES, false, true, unpack_mxfp4})

/* ---- 256 values in groups ----------------------------------------------------------------------
 */

/* The small integers of the groups: sixteen, or eight in the low half. */
typedef struct heads {
    int8x16_t scale;
    int8x16_t min; /* not used in types that have none */
} heads;

typedef struct blocks256 {
    size_t bytes;
    size_t d_at, dmin_at;
    size_t group; /* values that share a scale: 16 or 32 */
    bool has_min;
    bool is_small; /* minus a value times its scale fits into a byte */
    bytes_32 (*unpack)(const uint8_t *block, size_t part); /* values 32 * part on */
    heads (*heads)(const uint8_t *block);
} blocks256;

/* Two bits of each of 32 bytes: part p has those at 2 (p % 4) of its half of the values. */
ARM_INLINE void two_bits(const uint8_t *qs, size_t part, uint8x16_t *first, uint8x16_t *second) {
    const uint8_t *from = qs + part / 4 * 32;
    const uint8x16_t three = vdupq_n_u8(3);
    *first = vandq_u8(shifted(vld1q_u8(from), part % 4 * 2), three);
    *second = vandq_u8(shifted(vld1q_u8(from + 16), part % 4 * 2), three);
}

ARM_INLINE bytes_32 unpack_q2_k(const uint8_t *block, size_t part) {
    uint8x16_t first, second;
    two_bits(block + 16, part, &first, &second);
    return signed_32(first, second);
}

ARM_INLINE heads heads_q2_k(const uint8_t *block) {
    const uint8x16_t v = vld1q_u8(block);
    return (heads){vreinterpretq_s8_u8(low_nibbles(v)), vreinterpretq_s8_u8(vshrq_n_u8(v, 4))};
}

/* q - 4: without the third bit, the high six bits are those of a negative number. */
ARM_INLINE bytes_32 unpack_q3_k(const uint8_t *block, size_t part) {
    const uint8x16_t bit = vdupq_n_u8((uint8_t)(1u << part)), negative = vdupq_n_u8(0xfc);
    uint8x16_t first, second;
    two_bits(block + 32, part, &first, &second);
    return signed_32(vorrq_u8(first, vbicq_u8(negative, vtstq_u8(vld1q_u8(block), bit))),
                     vorrq_u8(second, vbicq_u8(negative, vtstq_u8(vld1q_u8(block + 16), bit))));
}

ARM_INLINE heads heads_q3_k(const uint8_t *block) {
    static const int8_t shifts[16] = {0, 0, 0, 0, -2, -2, -2, -2, -4, -4, -4, -4, -6, -6, -6, -6};
    const uint8x8_t nibbles = vld1_u8(block + 96);
    const uint8x16_t low = vcombine_u8(vand_u8(nibbles, vdup_n_u8(15)), vshr_n_u8(nibbles, 4));
    uint32_t high_bits;
    memcpy(&high_bits, block + 104, sizeof high_bits);
    const uint8x16_t all = vreinterpretq_u8_u32(vdupq_n_u32(high_bits));
    const uint8x16_t high = vandq_u8(vshlq_u8(all, vld1q_s8(shifts)), vdupq_n_u8(3));
    const uint8x16_t scale = vorrq_u8(low, vshlq_n_u8(high, 4));
    return (heads){vreinterpretq_s8_u8(vsubq_u8(scale, vdupq_n_u8(32))), vdupq_n_s8(0)};
}

ARM_INLINE uint8x16_t nibbles_of_part(const uint8_t *bytes, bool is_high) {
    const uint8x16_t v = vld1q_u8(bytes);
    return is_high ? vshrq_n_u8(v, 4) : low_nibbles(v);
}

ARM_INLINE bytes_32 unpack_q4_k(const uint8_t *block, size_t part) {
    const uint8_t *from = block + 16 + part / 2 * 32;
    return signed_32(nibbles_of_part(from, part % 2), nibbles_of_part(from + 16, part % 2));
}

/* Eight scales and eight minimums of six bits in twelve bytes, four at a time in a word. */
ARM_INLINE heads heads_q4_k(const uint8_t *block) {
    const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x03030303;
    uint32_t a, b, c;
    memcpy(&a, block + 4, sizeof a);
    memcpy(&b, block + 8, sizeof b);
    memcpy(&c, block + 12, sizeof c);
    const uint64_t scales = (a & six) | (uint64_t)((c & four) | (a >> 6 & two) << 4) << 32;
    const uint64_t mins = (b & six) | (uint64_t)((c >> 4 & four) | (b >> 6 & two) << 4) << 32;
    return (heads){vreinterpretq_s8_u64(vcombine_u64(vcreate_u64(scales), vcreate_u64(0))),
                   vreinterpretq_s8_u64(vcombine_u64(vcreate_u64(mins), vcreate_u64(0)))};
}

ARM_INLINE bytes_32 unpack_q5_k(const uint8_t *block, size_t part) {
    const uint8_t *from = block + 48 + part / 2 * 32;
    const uint8x16_t bit = vdupq_n_u8((uint8_t)(1u << part)), fifth = vdupq_n_u8(16);
    const uint8x16_t high[2] = {vandq_u8(fifth, vtstq_u8(vld1q_u8(block + 16), bit)),
                                vandq_u8(fifth, vtstq_u8(vld1q_u8(block + 32), bit))};
    return signed_32(vorrq_u8(nibbles_of_part(from, part % 2), high[0]),
                     vorrq_u8(nibbles_of_part(from + 16, part % 2), high[1]));
}

ARM_INLINE bytes_32 unpack_q6_k(const uint8_t *block, size_t part) {
    const uint8_t *low = block + part / 4 * 64 + part % 2 * 32;
    const bool is_high = part % 4 / 2;
    const uint8x16_t offset = vdupq_n_u8(32);
    uint8x16_t first, second;
    two_bits(block + 128, part, &first, &second);
    first = vorrq_u8(nibbles_of_part(low, is_high), vshlq_n_u8(first, 4));
    second = vorrq_u8(nibbles_of_part(low + 16, is_high), vshlq_n_u8(second, 4));
    return signed_32(vsubq_u8(first, offset), vsubq_u8(second, offset));
}

ARM_INLINE heads heads_q6_k(const uint8_t *block) {
    return (heads){vld1q_s8((const int8_t *)block + 192), vdupq_n_s8(0)};
}

ARM_INLINE bytes_32 unpack_iq4_xs(const uint8_t *block, size_t part) {
    return levels_32(block + 8 + 16 * part, block_iq4_levels);
}

ARM_INLINE heads heads_iq4_xs(const uint8_t *block) {
    const int8x8_t scales = vcreate_s8(block_iq4_xs_scales(block));
    return (heads){vcombine_s8(vsub_s8(scales, vdup_n_s8(32)), vdup_n_s8(0)), vdupq_n_s8(0)};
}

#define BLOCKS256_Q2_K ((blocks256){Q2_K_BYTES, 80, 82, 16, true, true, unpack_q2_k, heads_q2_k})
#define BLOCKS256_Q3_K ((blocks256){Q3_K_BYTES, 108, 0, 16, false, true, unpack_q3_k, heads_q3_k})
#define BLOCKS256_Q4_K ((blocks256){Q4_K_BYTES, 0, 2, 32, true, false, unpack_q4_k, heads_q4_k})
#define BLOCKS256_Q5_K ((blocks256){Q5_K_BYTES, 0, 2, 32, true, false, unpack_q5_k, heads_q4_k})
#define BLOCKS256_Q6_K ((blocks256){Q6_K_BYTES, 208, 0, 16, false, false, unpack_q6_k, heads_q6_k})
#define BLOCKS256_IQ4_XS                                                                           \
    ((blocks256){IQ4_XS_BYTES, 0, 0, 32, false, false, unpack_iq4_xs, heads_iq4_xs})

#endif
