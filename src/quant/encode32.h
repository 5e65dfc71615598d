/* encode32.h - blocks of 32 values with a scale of their own, encoded by searching.
 *
 * Included after a file that says what a `vec` is (encode_fit.h). Eight blocks are encoded at a
 * time, one in each lane, their bits put together there too:
 *
 *   1. values are brought to lanes and to the unit of their block: divided by the value of greatest
 *      magnitude (so that it is 1), or put between 0 and 1;
 *   2. the scale (and minimum) that suits best is searched for, as floats;
 *   3. it is rounded to f16, and levels are those nearest for what is stored;
 *   4. four levels at a time become a word of the block.
 */
#ifndef QUANT_ENCODE32_H
#define QUANT_ENCODE32_H

#include "quant/blocks.h"
#include "quant/encode_fit.h"
#include "quant/half.h"

#include <stdbool.h>

enum { ENCODE32_LANES = 8, ENCODE32_WORDS = BLOCK32_LENGTH / 4 };

/* Larger magnitudes count as this one, which no f16 scale reaches, so that nothing overflows; and
 * blocks of magnitudes (or ranges) below the other as zero (or constant). */
static const float encode32_most = 0x1p40f, encode32_least = 0x1p-60f;

/* How a type is encoded. Levels are stored with `offset` added. */
typedef struct encode32_how {
    float low, high; /* levels; of types with a minimum from 0 */
    bool has_min;
    int bits;            /* of a level: 4, 5 or 8 */
    size_t bytes;        /* of a block */
    const float *places; /* candidates: levels of the greatest value, or steps over the range */
    size_t n_place, n_weighted;     /* how many are tried: without importance, and with */
    size_t rounds, weighted_rounds; /* how often the best is improved then */
} encode32_how;

/* Eight blocks in lanes, in the unit of each; what is stored of each. */
typedef struct encode32_lanes {
    _Alignas(64) float x[BLOCK32_LENGTH * ENCODE32_LANES];
    float w[BLOCK32_LENGTH * ENCODE32_LANES];
    float base[ENCODE32_LANES], unit[ENCODE32_LANES]; /* value = base + unit * x */
    float scale[ENCODE32_LANES], min[ENCODE32_LANES]; /* of values in units; then as stored */
    uint32_t d[ENCODE32_LANES], m[ENCODE32_LANES];    /* f16 */
    uint32_t word[ENCODE32_WORDS * ENCODE32_LANES], fifth[ENCODE32_LANES];
} encode32_lanes;

FIT_INLINE fit_group encode32_group(const encode32_lanes *b, const bool is_weighted, size_t lane) {
    const fit_group g = {b->x + lane, is_weighted ? b->w + lane : NULL, BLOCK32_LENGTH,
                         ENCODE32_LANES};
    return g;
}

/* Step 1. A value that is not finite makes `unit` NaN. */
FIT_INLINE void encode32_set_units(encode32_lanes *b, const bool has_min, size_t lane) {
    vec low = vec_all(encode32_most), high = vec_all(-encode32_most);
    fit_word odd = (fit_word)vec_all(0); /* NaN as soon as a value is not finite */
    for (size_t i = 0; i < BLOCK32_LENGTH; i++) {
        const vec raw = vec_load(b->x + i * ENCODE32_LANES + lane);
        odd |= (fit_word)(raw * vec_all(0));
        low = vec_min(raw, low);
        high = vec_max(raw, high);
    }
    low = vec_max(low, vec_all(-encode32_most));
    high = vec_min(high, vec_all(encode32_most));
    vec base = vec_all(0), unit = vec_if_less(high, base - low, low, high);
    if (has_min) {
        base = low;
        unit = high - low;
    }
    const vec inverse =
        vec_if_less(vec_all(encode32_least), vec_magnitude(unit), vec_all(1) / unit, vec_all(0));
    for (size_t i = 0; i < BLOCK32_LENGTH; i++) {
        float *at = b->x + i * ENCODE32_LANES + lane;
        const vec x = fit_clamp(vec_load(at), -encode32_most, encode32_most);
        vec_store(at, (x - base) * inverse);
    }
    vec_store(b->base + lane, base);
    vec_store(b->unit + lane, unit + (vec)odd);
}

/* Weights of each block are brought to at most 2, none quite zero; weights that are all zero, or
 * not finite, tell nothing and become all alike. */
FIT_INLINE void encode32_set_weights(encode32_lanes *b, size_t lane) {
    vec heaviest = vec_all(0);
    fit_word odd = (fit_word)heaviest;
    for (size_t i = 0; i < BLOCK32_LENGTH; i++) {
        const vec w = vec_load(b->w + i * ENCODE32_LANES + lane);
        odd |= (fit_word)(w * vec_all(0));
        heaviest = vec_max(w, heaviest);
    }
    const fit_word exponent = (fit_word)(heaviest + (vec)odd) & 0x7f800000;
    /* Exponents of all zeros and of all ones leave nothing. */
    const vec power = (vec)exponent;
    const vec inverse = vec_all(1) / vec_max(power, vec_all(0x1p-126f));
    const vec is_known = vec_if_less(power, vec_all(__builtin_inff()), vec_all(1), vec_all(0));
    for (size_t i = 0; i < BLOCK32_LENGTH; i++) {
        float *at = b->w + i * ENCODE32_LANES + lane;
        const vec w = vec_if_less(vec_all(0), is_known, vec_load(at) * inverse, vec_all(0));
        vec_store(at, vec_max(w, vec_all(0)) + vec_all(0x1p-20f));
    }
}

/* Step 2, in units. */
FIT_INLINE void encode32_search(encode32_lanes *b, const bool is_weighted, const encode32_how *how,
                                size_t lane) {
    const fit_group g = encode32_group(b, is_weighted, lane);
    const size_t n = is_weighted ? how->n_weighted : how->n_place;
    const size_t rounds = is_weighted ? how->weighted_rounds : how->rounds;
    if (!how->has_min) {
        vec scale = vec_all(0), gain = vec_all(0);
        for (size_t k = 0; k < n; k++) {
            fit_signed_try(g, vec_all(how->places[k]), how->low, how->high, &scale, &gain);
        }
        for (size_t k = 0; k < rounds; k++) {
            fit_signed_try(g, fit_ratio(vec_all(1), scale), how->low, how->high, &scale, &gain);
        }
        vec_store(b->scale + lane, scale);
        vec_store(b->min + lane, vec_all(0));
        return;
    }
    const fit_moments of = fit_moments_of(g);
    fit_line best = {vec_all(0), vec_all(0) - of.mean, of.variance, vec_all(0)};
    for (size_t k = 0; k < n; k++) {
        const float span = how->places[k];
        const float offset = (how->high - span) / 2;
        fit_ranged_try(g, &of, vec_all(span), vec_all(offset), how->high, true, &best);
        if (is_weighted) { /* what counts may lie to one side */
            fit_ranged_try(g, &of, vec_all(span), vec_all(0), how->high, true, &best);
            fit_ranged_try(g, &of, vec_all(span), vec_all(2 * offset), how->high, true, &best);
        }
    }
    for (size_t k = 0; k < rounds; k++) {
        const vec inverse = fit_ratio(vec_all(1), best.scale);
        fit_ranged_try(g, &of, inverse, best.min * inverse, how->high, true, &best);
    }
    vec_store(b->scale + lane, best.scale);
    vec_store(b->min + lane, best.min);
}

/* Step 3, but for the levels: d and m as stored, and in the units of the block. */
FIT_INLINE void encode32_store_scales(encode32_lanes *b, const encode32_how *how, size_t lane) {
    const vec unit = vec_load(b->unit + lane), base = vec_load(b->base + lane);
    /* A block of one value, or nearly, has no scale: its levels are all 0. */
    const vec per_unit =
        vec_if_less(vec_all(encode32_least), vec_magnitude(unit), vec_all(1) / unit, vec_all(0));
    const fit_word d =
        fit_to_f16(vec_load(b->scale + lane) * unit, how->has_min ? how->high : -how->low);
    memcpy(b->d + lane, &d, sizeof d);
    vec_store(b->scale + lane, fit_from_f16(d) * per_unit);
    if (how->has_min) {
        const fit_word m = fit_to_f16(base - vec_load(b->min + lane) * unit, 0);
        memcpy(b->m + lane, &m, sizeof m);
        vec_store(b->min + lane, (base - fit_from_f16(m)) * per_unit);
    }
}

/* The level of each lane, from 0, in the low bits of a word; above them is what encode32_above is
 * to take away. */
FIT_INLINE fit_word encode32_level(const float *x, vec inverse, vec offset,
                                   const encode32_how *how) {
    vec q = vec_load(x) * inverse;
    if (how->has_min) {
        q = q + offset;
    }
    /* See nearest() in block32.c; what is added beside leaves even numbers even. */
    return (fit_word)(fit_clamp(q, how->low, how->high) +
                      vec_all(0x1.8p23f + (how->bits < 8 ? -how->low : 0)));
}

enum { encode32_above = 0x4b400000 };

/* Step 4 for types of 4 and 5 bits: a word has the low bits of levels 4j to 4j + 3 and, above each,
 * of those 16 further. */
FIT_INLINE void encode32_put(encode32_lanes *b, const encode32_how *how, size_t lane) {
    const vec inverse = fit_ratio(vec_all(1), vec_load(b->scale + lane));
    const vec offset = vec_load(b->min + lane) * inverse;
    fit_word fifth = (fit_word)vec_all(0);
    for (size_t j = 0; j < ENCODE32_WORDS / 2; j++) {
        fit_word word = (fit_word)vec_all(0);
        for (size_t k = 0; k < 4; k++) {
            const float *x = b->x + (4 * j + k) * ENCODE32_LANES + lane;
            const float *y = x + BLOCK32_LENGTH / 2 * ENCODE32_LANES;
            fit_word q = encode32_level(x, inverse, offset, how) - encode32_above;
            fit_word r = encode32_level(y, inverse, offset, how) - encode32_above;
            if (how->bits == 5) {
                fifth |= (q >> 4) << (int)(4 * j + k) | (r >> 4) << (int)(4 * j + k + 16);
                q &= 15;
                r &= 15;
            }
            word |= (q | r << 4) << (int)(8 * k);
        }
        memcpy(b->word + j * ENCODE32_LANES + lane, &word, sizeof word);
    }
    memcpy(b->fifth + lane, &fifth, sizeof fifth);
}

/* Step 4 for Q8_0. */
FIT_INLINE void encode32_put_bytes(encode32_lanes *b, const encode32_how *how, size_t lane) {
    const vec inverse = fit_ratio(vec_all(1), vec_load(b->scale + lane));
    for (size_t j = 0; j < ENCODE32_WORDS; j++) {
        fit_word word = (fit_word)vec_all(0);
        for (size_t k = 0; k < 4; k++) {
            const float *x = b->x + (4 * j + k) * ENCODE32_LANES + lane;
            const fit_word q = encode32_level(x, inverse, inverse, how);
            word |= (q & 255) << (int)(8 * k);
        }
        memcpy(b->word + j * ENCODE32_LANES + lane, &word, sizeof word);
    }
}

/* The bytes of one lane's block: d, m, fifth bits, levels. */
FIT_INLINE void encode32_write(const encode32_lanes *b, const encode32_how *how, size_t lane,
                               uint8_t *block) {
    const uint32_t d = b->d[lane], m = b->m[lane];
    *block++ = (uint8_t)d;
    *block++ = (uint8_t)(d >> 8);
    if (how->has_min) {
        *block++ = (uint8_t)m;
        *block++ = (uint8_t)(m >> 8);
    }
    if (how->bits == 5) {
        memcpy(block, &b->fifth[lane], 4);
        block += 4;
    }
    for (size_t j = 0; j < (how->bits == 8 ? ENCODE32_WORDS : ENCODE32_WORDS / 2); j++) {
        memcpy(block + 4 * j, &b->word[j * ENCODE32_LANES + lane], 4);
    }
}

FIT_INLINE void encode32_eight(encode32_lanes *b, const bool is_weighted, const encode32_how *how) {
    for (size_t lane = 0; lane < ENCODE32_LANES; lane += VEC_WIDTH) {
        encode32_set_units(b, how->has_min, lane);
        if (is_weighted) {
            encode32_set_weights(b, lane);
        }
        encode32_search(b, is_weighted, how, lane);
        encode32_store_scales(b, how, lane);
        if (how->bits == 8) {
            encode32_put_bytes(b, how, lane);
        } else {
            encode32_put(b, how, lane);
        }
    }
}

FIT_INLINE void encode32_row(const encode32_how *how, const float *values, const float *importance,
                             uint8_t *blocks, size_t n) {
    enum { EIGHT = BLOCK32_LENGTH * ENCODE32_LANES };
    encode32_lanes b;
    float rest[EIGHT], rest_importance[EIGHT];
    for (size_t k = 0; k < n; k += EIGHT) {
        const size_t n_lane = n - k < EIGHT ? (n - k) / BLOCK32_LENGTH : ENCODE32_LANES;
        const float *from = values + k, *weights = importance ? importance + k : NULL;
        if (n_lane < ENCODE32_LANES) { /* the last ones have empty lanes beside them */
            memset(rest, 0, sizeof rest);
            memcpy(rest, from, (n - k) * sizeof *rest);
            from = rest;
            if (weights) {
                memset(rest_importance, 0, sizeof rest_importance);
                memcpy(rest_importance, weights, (n - k) * sizeof *rest);
                weights = rest_importance;
            }
        }
        fit_turn(from, BLOCK32_LENGTH, ENCODE32_LANES, b.x);
        if (weights) {
            fit_turn(weights, BLOCK32_LENGTH, ENCODE32_LANES, b.w);
            encode32_eight(&b, true, how);
        } else {
            encode32_eight(&b, false, how);
        }
        for (size_t lane = 0; lane < n_lane; lane++, blocks += how->bytes) {
            encode32_write(&b, how, lane, blocks);
        }
    }
}

/* ---- the types ------------------------------------------------------------------------------- */

/* Places from which the best levels were found, on normal and on heavy-tailed values, best first:
 * without importance few are tried, so that encoding is not slower than reading. */
static const float encode32_places_q4_0[] = {-8,    -8.4f, 7.2f, -7.6f, 7.6f,  -9.2f, -7.2f, 6.6f,
                                             -9.8f, 6,     8,    -6.4f, -8.2f, -7.8f, -8.7f};
static const float encode32_places_q5_0[] = {-16,   15,    -15.4f, -16.6f, 14.4f,  -17.4f, -14.6f,
                                             15.6f, 13.6f, -18.2f, -15.7f, -16.3f, -15.2f, -16.9f};
static const float encode32_places_q8_0[] = {127, 126, 125, 124, 123, 122, 121, 120};
static const float encode32_places_q4_1[] = {15.4f, 15,    14.6f, 16,    14,
                                             16.6f, 13.4f, 17.4f, 18.4f, 12.6f};
static const float encode32_places_q5_1[] = {31.4f, 30.6f, 31, 30, 32, 29.4f, 32.6f, 33.4f, 28.6f};

static const encode32_how encode32_q4_0 = {
    .low = -8,
    .high = 7,
    .has_min = false,
    .bits = 4,
    .bytes = 18,
    .places = encode32_places_q4_0,
    .n_place = 2,
    .n_weighted = 15,
    .rounds = 0,
    .weighted_rounds = 2,
};

static const encode32_how encode32_q4_1 = {
    .low = 0,
    .high = 15,
    .has_min = true,
    .bits = 4,
    .bytes = 20,
    .places = encode32_places_q4_1,
    .n_place = 1,
    .n_weighted = 10,
    .rounds = 0,
    .weighted_rounds = 2,
};

static const encode32_how encode32_q5_0 = {
    .low = -16,
    .high = 15,
    .has_min = false,
    .bits = 5,
    .bytes = 22,
    .places = encode32_places_q5_0,
    .n_place = 2,
    .n_weighted = 14,
    .rounds = 1,
    .weighted_rounds = 2,
};

static const encode32_how encode32_q5_1 = {
    .low = 0,
    .high = 31,
    .has_min = true,
    .bits = 5,
    .bytes = 24,
    .places = encode32_places_q5_1,
    .n_place = 2,
    .n_weighted = 9,
    .rounds = 0,
    .weighted_rounds = 2,
};

static const encode32_how encode32_q8_0 = {
    .low = -127,
    .high = 127,
    .has_min = false,
    .bits = 8,
    .bytes = 34,
    .places = encode32_places_q8_0,
    .n_place = 5,
    .n_weighted = 8,
    .rounds = 0,
    .weighted_rounds = 1,
};

static void encode_q4_0(const float *values, const float *importance, void *blocks, size_t n) {
    encode32_row(&encode32_q4_0, values, importance, blocks, n);
}

static void encode_q4_1(const float *values, const float *importance, void *blocks, size_t n) {
    encode32_row(&encode32_q4_1, values, importance, blocks, n);
}

static void encode_q5_0(const float *values, const float *importance, void *blocks, size_t n) {
    encode32_row(&encode32_q5_0, values, importance, blocks, n);
}

static void encode_q5_1(const float *values, const float *importance, void *blocks, size_t n) {
    encode32_row(&encode32_q5_1, values, importance, blocks, n);
}

static void encode_q8_0(const float *values, const float *importance, void *blocks, size_t n) {
    encode32_row(&encode32_q8_0, values, importance, blocks, n);
}

#endif
