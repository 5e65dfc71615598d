/* encode_codebook.h - blocks whose nibbles stand for levels of a table, encoded by searching:
 * IQ4_NL, IQ4_XS, MXFP4.
 *
 * Eight blocks (of IQ4_XS: the eight groups of one) lie side by side, a lane each, in arrays that
 * any compiler makes vectors of. Lanes never meet, no product is fused with a sum, and of the
 * mathematical library nothing is used, so the bytes are the same whatever the vectors. This is a
 * header for the sake of files that are compiled for other instruction sets.
 *
 * Lanes are first multiplied by powers of two that bring magnitudes to between 1 and 2, and weights
 * likewise, so that no square overflows. A level is the nearest, found by comparing with the
 * middles between neighbours. For levels q, the best scale s and the error follow in closed form:
 *
 *   s = Sxq / Sqq      error = Sxx - s Sxq       Sxq = sum of w x q, and so on
 *
 * Candidates put the value of greatest magnitude near an end of the table, of either sign; the best
 * is improved by taking the levels nearest for its s, and s for these. IQ4_XS then chooses the
 * block's d such that integer multiples come near to the groups' scales, takes of the multiples
 * around each the one with the least error, and from these d in closed form. MXFP4 has no choice
 * but of the exponent, and tries three.
 */
#ifndef QUANT_ENCODE_CODEBOOK_H
#define QUANT_ENCODE_CODEBOOK_H

#include "quant/blocks.h"
#include "quant/encode_units.h"
#include "quant/half.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CODEBOOK_INLINE static inline __attribute__((always_inline))

enum {
    CODEBOOK_LANES = 8,
    CODEBOOK_LENGTH = 32, /* values of a lane */
    CODEBOOK_ALL = CODEBOOK_LANES * CODEBOOK_LENGTH,
};

typedef struct codebook_lanes {
    _Alignas(64) float x[CODEBOOK_LENGTH][CODEBOOK_LANES];
    float w[CODEBOOK_LENGTH][CODEBOOK_LANES];
    float extreme[CODEBOOK_LANES];                   /* the value of greatest magnitude, in units */
    float unit[CODEBOOK_LANES];                      /* x is in units of this power of two; */
    float per_unit[CODEBOOK_LANES];                  /* its inverse; 0: a value is not finite */
    float scale[CODEBOOK_LANES];                     /* in units */
    float xq[CODEBOOK_LANES], qq[CODEBOOK_LANES];    /* the sums of its levels */
    uint8_t number[CODEBOOK_LENGTH][CODEBOOK_LANES]; /* of the level: the nibble */
} codebook_lanes;

/* ---- values into lanes -------------------------------------------------------------------------
 */

/* Lane `lane` from 32 values, in units of `largest`. */
CODEBOOK_INLINE void codebook_take_values(const float *values, float largest, size_t lane,
                                          codebook_lanes *to) {
    const bool is_finite = largest <= __FLT_MAX__;
    to->unit[lane] = encode_power_below(largest);
    /* The inverse of 2^127 is subnormal, but exact. */
    to->per_unit[lane] = is_finite ? 1 / to->unit[lane] : 0;
    for (size_t i = 0; i < CODEBOOK_LENGTH; i++) {
        to->x[i][lane] = is_finite ? values[i] * to->per_unit[lane] : 0;
    }
}

/* to[i * stride] from 32 weights, in units of `largest`. Weights that are all zero, or not finite,
 * tell nothing: they count as all alike. None is quite zero, so that every lane has a best scale.
 */
CODEBOOK_INLINE void codebook_take_weights(const float *weights, float largest, float *to,
                                           size_t stride) {
    const bool is_known = largest > 0 && largest <= __FLT_MAX__;
    const float per_weight = 1 / encode_power_below(largest);
    for (size_t i = 0; i < CODEBOOK_LENGTH; i++) {
        const float w = is_known ? weights[i] * per_weight : 1;
        to[i * stride] = (w > 0 ? w : 0) + 0x1p-20f;
    }
}

CODEBOOK_INLINE void codebook_find_extremes(codebook_lanes *b) {
    float extreme[CODEBOOK_LANES] = {0};
    for (size_t i = 0; i < CODEBOOK_LENGTH; i++) {
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            const float x = b->x[i][l];
            extreme[l] = __builtin_fabsf(x) > __builtin_fabsf(extreme[l]) ? x : extreme[l];
        }
    }
    memcpy(b->extreme, extreme, sizeof extreme);
}

/* The values of n_lane blocks of 32, each in a unit of its own. */
CODEBOOK_INLINE void codebook_take_blocks(const float *values, const float *importance,
                                          size_t n_lane, codebook_lanes *b) {
    static const float none[CODEBOOK_LENGTH];
    for (size_t lane = 0; lane < CODEBOOK_LANES; lane++) {
        const bool is_there = lane < n_lane;
        const float *from = is_there ? values + CODEBOOK_LENGTH * lane : none;
        codebook_take_values(from, encode_largest(from, CODEBOOK_LENGTH), lane, b);
        if (importance) {
            const float *weights = is_there ? importance + CODEBOOK_LENGTH * lane : none;
            codebook_take_weights(weights, encode_largest(weights, CODEBOOK_LENGTH), &b->w[0][lane],
                                  CODEBOOK_LANES);
        }
    }
    codebook_find_extremes(b);
}

/* Byte j of 16: the nibbles of values j and j + 16. */
CODEBOOK_INLINE void codebook_put_nibbles(const codebook_lanes *b, size_t lane, uint8_t *qs) {
    for (size_t j = 0; j < CODEBOOK_LENGTH / 2; j++) {
        const uint8_t low = b->number[j][lane], high = b->number[j + CODEBOOK_LENGTH / 2][lane];
        qs[j] = (uint8_t)(low | high << 4);
    }
}

CODEBOOK_INLINE void codebook_put_half(uint16_t h, uint8_t *to) {
    to[0] = (uint8_t)h;
    to[1] = (uint8_t)(h >> 8);
}

/* The f16 nearest to a step that is a number; not above the largest. */
CODEBOOK_INLINE uint16_t codebook_stored(float step) {
    const uint16_t h = half_to_f16(step);
    return (h & 0x7fff) == 0x7c00 ? (uint16_t)(h - 1) : h;
}

/* a / b where b is above any rounding error, else 0. */
CODEBOOK_INLINE float codebook_ratio(float a, float b) {
    return __builtin_fabsf(b) > 0x1p-120f ? a / b : 0;
}

/* ---- the levels of IQ4_NL and IQ4_XS -----------------------------------------------------------
 * Middles between neighbours, and how far a level is from the one below. */

CODEBOOK_INLINE float iq4_level(float v) {
    float q = -127;
    q += v > -115.5f ? 23.0f : 0;
    q += v > -93.5f ? 21.0f : 0;
    q += v > -74.0f ? 18.0f : 0;
    q += v > -57.0f ? 16.0f : 0;
    q += v > -42.0f ? 14.0f : 0;
    q += v > -28.5f ? 13.0f : 0;
    q += v > -16.0f ? 12.0f : 0;
    q += v > -4.5f ? 11.0f : 0;
    q += v > 7.0f ? 12.0f : 0;
    q += v > 19.0f ? 12.0f : 0;
    q += v > 31.5f ? 13.0f : 0;
    q += v > 45.5f ? 15.0f : 0;
    q += v > 61.0f ? 16.0f : 0;
    q += v > 79.0f ? 20.0f : 0;
    q += v > 101.0f ? 24.0f : 0;
    return q;
}

CODEBOOK_INLINE uint8_t iq4_number(float v) {
    return (uint8_t)((v > -115.5f) + (v > -93.5f) + (v > -74.0f) + (v > -57.0f) + (v > -42.0f) +
                     (v > -28.5f) + (v > -16.0f) + (v > -4.5f) + (v > 7.0f) + (v > 19.0f) +
                     (v > 31.5f) + (v > 45.5f) + (v > 61.0f) + (v > 79.0f) + (v > 101.0f));
}

/* Sxq and Sqq for the levels nearest to x * inverse. */
CODEBOOK_INLINE void iq4_sums(const codebook_lanes *b, const bool is_weighted, const float *inverse,
                              float *xq_out, float *qq_out) {
    float xq[CODEBOOK_LANES] = {0}, qq[CODEBOOK_LANES] = {0};
    for (size_t i = 0; i < CODEBOOK_LENGTH; i++) {
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            const float q = iq4_level(b->x[i][l] * inverse[l]);
            const float wq = is_weighted ? b->w[i][l] * q : q;
            xq[l] += b->x[i][l] * wq;
            qq[l] += wq * q;
        }
    }
    memcpy(xq_out, xq, sizeof xq);
    memcpy(qq_out, qq, sizeof qq);
}

/* Takes the levels of a candidate if they take more off the error; its gain is s Sxq. */
CODEBOOK_INLINE void iq4_try(codebook_lanes *b, const bool is_weighted, const float *inverse,
                             float *gain) {
    float xq[CODEBOOK_LANES], qq[CODEBOOK_LANES];
    iq4_sums(b, is_weighted, inverse, xq, qq);
    for (size_t l = 0; l < CODEBOOK_LANES; l++) {
        const float s = codebook_ratio(xq[l], qq[l]), taken = s * xq[l];
        const bool is_better = taken > gain[l];
        gain[l] = is_better ? taken : gain[l];
        b->scale[l] = is_better ? s : b->scale[l];
        b->xq[l] = is_better ? xq[l] : b->xq[l];
        b->qq[l] = is_better ? qq[l] : b->qq[l];
    }
}

/* Levels, not all in the table, at which candidates put the extreme value; with weights also those
 * that give it up for the others. */
static const float iq4_places[] = {-127, -121, -133, 113, 107,  119,  -139, -115,
                                   125,  101,  -145, 131, -152, -160, -170, -180,
                                   -195, -215, 138,  145, 155,  165,  180,  200};
enum {
    IQ4_PLACES = 12,
    IQ4_PLACES_WEIGHTED = sizeof iq4_places / sizeof *iq4_places,
    IQ4_ROUNDS = 2,
};

/* The scale that suits each lane best. */
CODEBOOK_INLINE void iq4_search(codebook_lanes *b, const bool is_weighted) {
    float inverse[CODEBOOK_LANES], gain[CODEBOOK_LANES] = {0};
    memset(b->scale, 0, sizeof b->scale);
    memset(b->xq, 0, sizeof b->xq);
    memset(b->qq, 0, sizeof b->qq);
    const size_t n = is_weighted ? IQ4_PLACES_WEIGHTED : IQ4_PLACES;
    for (size_t k = 0; k < n + IQ4_ROUNDS; k++) {
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            inverse[l] = k < n ? codebook_ratio(iq4_places[k], b->extreme[l])
                               : codebook_ratio(1, b->scale[l]);
        }
        iq4_try(b, is_weighted, inverse, gain);
    }
}

/* The levels nearest for b->scale. */
CODEBOOK_INLINE void iq4_choose(codebook_lanes *b) {
    for (size_t i = 0; i < CODEBOOK_LENGTH; i++) {
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            b->number[i][l] = iq4_number(b->x[i][l] * codebook_ratio(1, b->scale[l]));
        }
    }
}

static void encode_iq4_nl(const float *values, const float *importance, void *blocks, size_t n) {
    uint8_t *block = blocks;
    codebook_lanes b;
    for (size_t k = 0; k < n; k += CODEBOOK_ALL) {
        const size_t left = (n - k) / CODEBOOK_LENGTH;
        const size_t n_lane = left < CODEBOOK_LANES ? left : CODEBOOK_LANES;
        uint16_t d[CODEBOOK_LANES];
        codebook_take_blocks(values + k, importance ? importance + k : NULL, n_lane, &b);
        if (importance) {
            iq4_search(&b, true);
        } else {
            iq4_search(&b, false);
        }
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            d[l] = b.per_unit[l] > 0 ? codebook_stored(b.scale[l] * b.unit[l]) : 0x7e00;
            b.scale[l] = half_from_f16(d[l]) * b.per_unit[l];
        }
        iq4_choose(&b);
        for (size_t l = 0; l < n_lane; l++, block += 18) {
            codebook_put_half(d[l], block);
            codebook_put_nibbles(&b, l, block + 2);
        }
    }
}

/* ---- IQ4_XS ------------------------------------------------------------------------------------
 */

CODEBOOK_INLINE float codebook_sum(const float *lanes) {
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
           ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* v to nearest even, for |v| < 2^22: see nearest() in block32.c. */
CODEBOOK_INLINE float codebook_nearest(float v) {
    return (v + 0x1.8p23f) - 0x1.8p23f;
}

CODEBOOK_INLINE float codebook_clamp(float v, float low, float high) {
    const float above = v > low ? v : low;
    return above < high ? above : high;
}

/* The step whose multiples, from -32 to 31, come nearest to the groups' scales: the least sum of
 * Sqq (scale - d multiple)^2 of some that put the greatest scale near an end. */
CODEBOOK_INLINE float iq4_xs_step(const codebook_lanes *b) {
    float greatest = 0, least = __FLT_MAX__, best = 0;
    for (size_t l = 0; l < CODEBOOK_LANES; l++) {
        const float s = b->scale[l];
        greatest = __builtin_fabsf(s) > __builtin_fabsf(greatest) ? s : greatest;
    }
    for (int k = 0; k < 48; k++) {
        const float end = k < 24 ? -32.4f + 0.4f * (float)k : 31.4f - 0.4f * (float)(k - 24);
        const float d = greatest / end, inverse = codebook_ratio(end, greatest);
        float error = 0;
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            const float nearest = codebook_nearest(b->scale[l] * inverse);
            const float off = b->scale[l] - d * codebook_clamp(nearest, -32, 31);
            error += b->qq[l] * (off * off);
        }
        best = error < least ? d : best;
        least = error < least ? error : least;
    }
    return best;
}

/* The error of the levels nearest for each lane's scale, and their Sxq and Sqq. */
CODEBOOK_INLINE void iq4_errors(const codebook_lanes *b, const bool is_weighted, const float *scale,
                                float *error_out, float *xq_out, float *qq_out) {
    float inverse[CODEBOOK_LANES];
    float error[CODEBOOK_LANES] = {0}, xq[CODEBOOK_LANES] = {0}, qq[CODEBOOK_LANES] = {0};
    for (size_t l = 0; l < CODEBOOK_LANES; l++) {
        inverse[l] = codebook_ratio(1, scale[l]);
    }
    for (size_t i = 0; i < CODEBOOK_LENGTH; i++) {
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            const float x = b->x[i][l], q = iq4_level(x * inverse[l]), off = x - scale[l] * q;
            const float wq = is_weighted ? b->w[i][l] * q : q;
            error[l] += is_weighted ? b->w[i][l] * (off * off) : off * off;
            xq[l] += x * wq;
            qq[l] += wq * q;
        }
    }
    memcpy(error_out, error, sizeof error);
    memcpy(xq_out, xq, sizeof xq);
    memcpy(qq_out, qq, sizeof qq);
}

/* Of the multiples of d around each scale, the one with the least error. Returns the sum of those.
 */
CODEBOOK_INLINE float iq4_xs_multiples(codebook_lanes *b, const bool is_weighted, float d,
                                       float *multiple) {
    float middle[CODEBOOK_LANES], least[CODEBOOK_LANES];
    for (size_t l = 0; l < CODEBOOK_LANES; l++) {
        middle[l] = codebook_nearest(codebook_clamp(codebook_ratio(b->scale[l], d), -33, 32));
        least[l] = __FLT_MAX__;
        multiple[l] = 0;
    }
    for (int k = -1; k <= 1; k++) {
        float m[CODEBOOK_LANES], scale[CODEBOOK_LANES];
        float error[CODEBOOK_LANES], xq[CODEBOOK_LANES], qq[CODEBOOK_LANES];
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            m[l] = codebook_clamp(middle[l] + (float)k, -32, 31);
            scale[l] = d * m[l];
        }
        iq4_errors(b, is_weighted, scale, error, xq, qq);
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            const bool is_better = error[l] < least[l];
            least[l] = is_better ? error[l] : least[l];
            multiple[l] = is_better ? m[l] : multiple[l];
            b->xq[l] = is_better ? xq[l] : b->xq[l];
            b->qq[l] = is_better ? qq[l] : b->qq[l];
        }
    }
    return codebook_sum(least);
}

/* d with all integers known. */
CODEBOOK_INLINE float iq4_xs_refit(const codebook_lanes *b, const float *multiple) {
    float xq = 0, qq = 0;
    for (size_t l = 0; l < CODEBOOK_LANES; l++) {
        xq += multiple[l] * b->xq[l];
        qq += multiple[l] * multiple[l] * b->qq[l];
    }
    return codebook_ratio(xq, qq);
}

/* Everything but the nibbles; returns d. Scales become those that are stored. */
CODEBOOK_INLINE uint16_t iq4_xs_search(codebook_lanes *b, const bool is_weighted, float *multiple) {
    const float unit = b->unit[0], per_unit = b->per_unit[0];
    iq4_search(b, is_weighted);
    const float step = iq4_xs_step(b);
    uint16_t h = codebook_stored(step * unit);
    if (step != 0 && (h & 0x7fff) == 0) {
        h++; /* the least there is: some multiple of it may do */
    }
    const float d = half_from_f16(h) * per_unit;
    const float known = iq4_xs_multiples(b, is_weighted, d, multiple);
    const uint16_t refit = codebook_stored(iq4_xs_refit(b, multiple) * unit);
    const float d_refit = half_from_f16(refit) * per_unit;
    float error[CODEBOOK_LANES], xq[CODEBOOK_LANES], qq[CODEBOOK_LANES];
    for (size_t l = 0; l < CODEBOOK_LANES; l++) {
        b->scale[l] = d_refit * multiple[l];
    }
    iq4_errors(b, is_weighted, b->scale, error, xq, qq);
    if (codebook_sum(error) <= known) {
        return refit;
    }
    for (size_t l = 0; l < CODEBOOK_LANES; l++) { /* f16 rounded the better one too far */
        b->scale[l] = d * multiple[l];
    }
    return h;
}

static void encode_iq4_xs(const float *values, const float *importance, void *blocks, size_t n) {
    uint8_t *block = blocks;
    codebook_lanes b;
    for (size_t k = 0; k < n; k += CODEBOOK_ALL, block += 136) {
        const float *weights = importance ? importance + k : NULL;
        const float largest = encode_largest(values + k, CODEBOOK_ALL);
        const float heaviest = weights ? encode_largest(weights, CODEBOOK_ALL) : 0;
        float multiple[CODEBOOK_LANES];
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            codebook_take_values(values + k + CODEBOOK_LENGTH * l, largest, l, &b);
            if (weights) {
                codebook_take_weights(weights + CODEBOOK_LENGTH * l, heaviest, &b.w[0][l],
                                      CODEBOOK_LANES);
            }
        }
        codebook_find_extremes(&b);
        const uint16_t d =
            weights ? iq4_xs_search(&b, true, multiple) : iq4_xs_search(&b, false, multiple);
        iq4_choose(&b);
        codebook_put_half(b.per_unit[0] > 0 ? d : 0x7e00, block);
        memset(block + 2, 0, 6);
        for (size_t l = 0; l < CODEBOOK_LANES; l++) {
            const unsigned scale = (unsigned)((int)multiple[l] + 32);
            block[2 + l / 4] |= (uint8_t)(scale >> 4 << l % 4 * 2);
            block[4 + l / 2] |= (uint8_t)((scale & 15) << l % 2 * 4);
            codebook_put_nibbles(&b, l, block + 8 + 16 * l);
        }
    }
}

/* ---- MXFP4 -------------------------------------------------------------------------------------
 */

/* A block in units, as lanes are, but values along vectors: there is little to search for. */
typedef struct mxfp4_values {
    _Alignas(64) float x[CODEBOOK_LENGTH];
    float w[CODEBOOK_LENGTH];
} mxfp4_values;

/* The doubled level nearest to a magnitude: two bits of it, but whole below 4. What is added, 1.5
 * times 2^22 times the magnitude's power of two (at least 2), leaves a float these bits alone (see
 * nearest() in block32.c). Comparisons are of integers, which compilers know not to trap. */
CODEBOOK_INLINE float mxfp4_level(float v) {
    const int32_t power = (int32_t)(half_float_bits(v) & 0x7f800000);
    const int32_t at_least_two = power > 0x40000000 ? power : 0x40000000;
    const float add = half_bits_float((uint32_t)(at_least_two + 0x0b400000));
    const int32_t q = (int32_t)half_float_bits((v + add) - add);
    return half_bits_float((uint32_t)(q < 0x41400000 ? q : 0x41400000));
}

/* The error of the levels nearest for a scale: eight sums, then one. */
CODEBOOK_INLINE float mxfp4_error(const mxfp4_values *b, const bool is_weighted, float scale) {
    const float inverse = codebook_ratio(1, scale);
    float squares[CODEBOOK_LENGTH];
    for (size_t i = 0; i < CODEBOOK_LENGTH; i++) {
        const float a = __builtin_fabsf(b->x[i]);
        const float off = a - scale * mxfp4_level(a * inverse);
        squares[i] = is_weighted ? b->w[i] * (off * off) : off * off;
    }
    float error[8] = {0};
    for (size_t i = 0; i < CODEBOOK_LENGTH; i += 8) {
        for (size_t l = 0; l < 8; l++) {
            error[l] += squares[i + l];
        }
    }
    return codebook_sum(error);
}

/* The nibbles for a scale. There is no use for a zero with a sign. */
CODEBOOK_INLINE void mxfp4_choose(const mxfp4_values *b, float scale, uint8_t *qs) {
    const float inverse = codebook_ratio(1, scale);
    int32_t number[CODEBOOK_LENGTH];
    for (size_t i = 0; i < CODEBOOK_LENGTH; i++) {
        const float x = b->x[i], q = mxfp4_level(__builtin_fabsf(x) * inverse);
        /* From 2 on a float's exponent and first bit, less that of 2, are the number less 2. */
        const int32_t large = (int32_t)(half_float_bits(q) >> 22) - 254;
        const int32_t magnitude = large > 1 ? large : (int32_t)q;
        number[i] = magnitude | (magnitude > 0 ? (int32_t)(half_float_bits(x) >> 28 & 8) : 0);
    }
    for (size_t j = 0; j < CODEBOOK_LENGTH / 2; j++) {
        qs[j] = (uint8_t)(number[j] | number[j + CODEBOOK_LENGTH / 2] << 4);
    }
}

/* Tries the exponent that puts the greatest magnitude between 4 and 8, where the greatest level is
 * 6, and its neighbours; none above 252, where 6 times the scale is still a float. */
CODEBOOK_INLINE void mxfp4_encode_block(const float *values, const float *weights, uint8_t *block) {
    const float largest = encode_largest(values, CODEBOOK_LENGTH);
    const float per_unit = 1 / encode_power_below(largest);
    const bool is_weighted = weights != NULL;
    mxfp4_values b;
    if (!(largest <= __FLT_MAX__)) {
        memset(block, 0, 17);
        block[0] = 255;
        return;
    }
    for (size_t i = 0; i < CODEBOOK_LENGTH; i++) {
        b.x[i] = values[i] * per_unit;
    }
    if (is_weighted) {
        codebook_take_weights(weights, encode_largest(weights, CODEBOOK_LENGTH), b.w, 1);
    }
    const int middle = (int)(half_float_bits(largest) >> 23) - 2;
    float least = __FLT_MAX__, best = 0;
    for (int k = -1; k <= 1; k++) {
        const int wanted = middle + k;
        const uint8_t e = (uint8_t)(wanted < 0 ? 0 : wanted > 252 ? 252 : wanted);
        const float scale = half_of_e8m0(e) * per_unit;
        const float error = mxfp4_error(&b, is_weighted, scale);
        if (error < least) {
            least = error;
            best = scale;
            block[0] = e;
        }
    }
    mxfp4_choose(&b, best, block + 1);
}

static void encode_mxfp4(const float *values, const float *importance, void *blocks, size_t n) {
    uint8_t *block = blocks;
    for (size_t k = 0; k < n; k += CODEBOOK_LENGTH, block += 17) {
        if (importance) {
            mxfp4_encode_block(values + k, importance + k, block);
        } else {
            mxfp4_encode_block(values + k, NULL, block);
        }
    }
}

#endif
