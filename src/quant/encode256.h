/* encode256.h - blocks of 256 values whose groups have integer scales, encoded by searching.
 *
 * Included after a file that says what a `vec` is (encode_fit.h). A block is first multiplied by a
 * power of two that brings its largest magnitude to between 1 and 2, so that no square overflows
 * and levels do not depend on the unit of the values. Then
 *
 *   1. each group gets the scale (and minimum) that suits it best, as floats;
 *   2. the block's step d (and dmin) is chosen so that integer multiples come near to these;
 *   3. each group takes the multiples, of those around, that leave the least error;
 *   4. with all integers known, d (and dmin) follows in closed form, and 3 is done again.
 */
#ifndef QUANT_ENCODE256_H
#define QUANT_ENCODE256_H

#include "quant/blocks.h"
#include "quant/encode_fit.h"
#include "quant/encode_units.h"

#include <stdbool.h>

enum { ENCODE_LANES = BLOCK256_GROUPS, ENCODE_STEPS = 16 };

/* A block in lanes: value i of group g lies at i * n_group + g. */
typedef struct encode_block {
    _Alignas(64) float x[BLOCK256_LENGTH];
    float w[BLOCK256_LENGTH];
    size_t length, n_group; /* of a group, and groups */
    float unit, per_unit;   /* the power of two that x was divided by, and its inverse */
    bool is_weighted;
} encode_block;

/* What each group and the block come to. */
typedef struct encode_result {
    float scale[ENCODE_LANES], min[ENCODE_LANES], curve[ENCODE_LANES];
    float multiple[ENCODE_LANES], min_multiple[ENCODE_LANES];
    /* Sums over the levels of each group (fit_ranged, fit_moments). */
    float q[ENCODE_LANES], qq[ENCODE_LANES], xq[ENCODE_LANES];
    float sum_w[ENCODE_LANES], sum_x[ENCODE_LANES];
    float d, dmin; /* as stored, in units */
} encode_result;

/* Brings values and importance into lanes and units. False if a value is not finite. Weights that
 * are all zero, or not finite, tell nothing: they count as all alike. None is negative or quite
 * zero, so that every group has a best scale. */
FIT_INLINE bool encode_load(const float *values, const float *importance, const size_t length,
                            encode_block *b) {
    const float largest = encode_largest(values, BLOCK256_LENGTH);
    if (!(largest <= __FLT_MAX__)) {
        return false;
    }
    const float heaviest = importance ? encode_largest(importance, BLOCK256_LENGTH) : 0;
    b->is_weighted = heaviest > 0 && heaviest <= __FLT_MAX__;
    b->length = length;
    b->n_group = BLOCK256_LENGTH / length;
    b->unit = encode_power_below(largest);
    /* The inverse of 2^127 is subnormal, but exact. */
    b->per_unit = 1 / b->unit;
    const float per_weight = b->is_weighted ? 1 / encode_power_below(heaviest) : 0;
    fit_turn(values, length, b->n_group, b->x);
    for (size_t k = 0; k < BLOCK256_LENGTH; k++) {
        b->x[k] *= b->per_unit;
    }
    if (b->is_weighted) {
        fit_turn(importance, length, b->n_group, b->w);
        for (size_t k = 0; k < BLOCK256_LENGTH; k++) {
            const float w = b->w[k] * per_weight;
            b->w[k] = (w > 0 ? w : 0) + 0x1p-20f;
        }
    }
    return true;
}

FIT_INLINE fit_group encode_group(const encode_block *b, const bool is_weighted, size_t lane) {
    const fit_group g = {b->x + lane, is_weighted ? b->w + lane : NULL, b->length, b->n_group};
    return g;
}

/* Steps as f16 keeps them, in units; see fit_to_f16. */
FIT_INLINE vec encode_stored_steps(const encode_block *b, vec steps, float reach) {
    return fit_from_f16(fit_to_f16(steps * vec_all(b->unit), reach)) * vec_all(b->per_unit);
}

FIT_INLINE float encode_stored(const encode_block *b, float step) {
    float lanes[VEC_WIDTH];
    vec_store(lanes, encode_stored_steps(b, vec_all(step), 0));
    return lanes[0];
}

/* The step whose multiples, from low to high, come nearest to all groups' values: the least sum of
 * curve (value - d multiple)^2 among steps that put the greatest value at `end` or a little to
 * either side. Lanes are candidates here. */
FIT_INLINE float encode_step(const encode_block *b, const float *value, const float *curve,
                             float end, float low, float high) {
    float greatest = 0;
    for (size_t g = 0; g < b->n_group; g++) {
        greatest = __builtin_fabsf(value[g]) > __builtin_fabsf(greatest) ? value[g] : greatest;
    }
    if (greatest == 0) {
        return 0;
    }
    float step[ENCODE_STEPS], error[ENCODE_STEPS];
    step[0] = greatest / end;
    for (int k = 1; k < ENCODE_STEPS; k++) {
        /* From nearly end + 1/2 down to two thirds of it. */
        const float at = end * (1 - (float)k / (3 * ENCODE_STEPS)) + (end < 0 ? -0.5f : 0.5f);
        step[k] = greatest / at;
    }
    for (size_t k = 0; k < ENCODE_STEPS; k += VEC_WIDTH) {
        const vec d = encode_stored_steps(b, vec_load(step + k), __builtin_fabsf(end));
        const vec inverse = fit_ratio(vec_all(1), d);
        vec sum = vec_all(0);
        for (size_t g = 0; g < b->n_group; g++) {
            const vec v = vec_all(value[g]);
            const vec off = v - d * vec_nearest(fit_clamp(v * inverse, low, high));
            sum = sum + vec_all(curve[g]) * (off * off);
        }
        vec_store(step + k, d);
        vec_store(error + k, sum);
    }
    int best = 0;
    for (int k = 1; k < ENCODE_STEPS; k++) {
        best = error[k] < error[best] ? k : best;
    }
    return step[best];
}

/* ---- signed: Q3_K, Q6_K ---------------------------------------------------------------------- */

typedef struct encode_signed {
    float half;       /* levels go from -half to half - 1 */
    float scale_half; /* multiples likewise */
    const float *ends;
    size_t n_end;
    size_t fit_rounds;   /* how often the best candidate is improved */
    size_t block_rounds; /* how often steps 3 and 4 are taken */
} encode_signed;

/* Step 3: of the multiples around each group's scale, the best. */
FIT_INLINE void encode_signed_multiples(const encode_block *b, const bool is_weighted,
                                        const encode_signed *how, encode_result *r) {
    const vec d = vec_all(r->d);
    for (size_t lane = 0; lane < b->n_group; lane += VEC_WIDTH) {
        const fit_group g = encode_group(b, is_weighted, lane);
        const vec nearest = vec_nearest(fit_ratio(vec_load(r->scale + lane), d));
        vec multiple = vec_all(0), xq = vec_all(0), qq = vec_all(0);
        vec least = vec_all(__FLT_MAX__);
        for (int k = -1; k <= 1; k++) {
            const vec m =
                fit_clamp(nearest + vec_all((float)k), -how->scale_half, how->scale_half - 1);
            const fit_signed f = fit_signed_error(g, d * m, -how->half, how->half - 1);
            multiple = vec_if_less(f.error, least, m, multiple);
            xq = vec_if_less(f.error, least, f.xq, xq);
            qq = vec_if_less(f.error, least, f.qq, qq);
            least = vec_min(f.error, least);
        }
        vec_store(r->multiple + lane, multiple);
        vec_store(r->xq + lane, xq);
        vec_store(r->qq + lane, qq);
        vec_store(r->scale + lane, d * multiple);
    }
}

/* Step 4. The error is a parabola in d, so the nearest f16 is the best one. */
FIT_INLINE void encode_signed_step(const encode_block *b, encode_result *r) {
    double along = 0, square = 0;
    for (size_t g = 0; g < b->n_group; g++) {
        along += (double)r->multiple[g] * (double)r->xq[g];
        square += (double)r->multiple[g] * (double)r->multiple[g] * (double)r->qq[g];
    }
    const float d = square > 0 ? encode_stored(b, (float)(along / square)) : 0;
    r->d = d != 0 ? d : r->d;
}

FIT_INLINE void encode_signed_search(const encode_block *b, const bool is_weighted,
                                     const encode_signed *how, encode_result *r) {
    for (size_t lane = 0; lane < b->n_group; lane += VEC_WIDTH) {
        vec curve;
        const vec scale =
            fit_signed_scale(encode_group(b, is_weighted, lane), -how->half, how->half - 1,
                             how->ends, how->n_end, how->fit_rounds, &curve);
        vec_store(r->scale + lane, scale);
        vec_store(r->curve + lane, curve);
    }
    r->d =
        encode_step(b, r->scale, r->curve, -how->scale_half, -how->scale_half, how->scale_half - 1);
    for (size_t k = 0; k < how->block_rounds; k++) {
        encode_signed_multiples(b, is_weighted, how, r);
        encode_signed_step(b, r);
    }
}

/* Levels in lanes to levels in order. */
FIT_INLINE void encode_put_levels(const encode_block *b, const float *level, block256 *out) {
    float in_order[BLOCK256_LENGTH];
    fit_turn(level, b->n_group, b->length, in_order);
    for (size_t k = 0; k < BLOCK256_LENGTH; k++) {
        out->q[k] = (int8_t)in_order[k];
    }
}

FIT_INLINE void encode_signed_levels(const encode_block *b, const encode_signed *how,
                                     const encode_result *r, block256 *out) {
    float level[BLOCK256_LENGTH];
    for (size_t lane = 0; lane < b->n_group; lane += VEC_WIDTH) {
        const vec scale = vec_all(r->d) * vec_load(r->multiple + lane);
        const vec inverse = fit_ratio(vec_all(1), scale);
        for (size_t i = 0; i < b->length; i++) {
            const vec x = vec_load(b->x + i * b->n_group + lane);
            vec_store(level + i * b->n_group + lane,
                      fit_signed_level(x, inverse, -how->half, how->half - 1));
        }
    }
    encode_put_levels(b, level, out);
    for (size_t g = 0; g < b->n_group; g++) {
        out->scale[g] = (int8_t)r->multiple[g];
        out->min[g] = 0;
    }
    out->d = r->d * b->unit;
    out->dmin = 0;
}

/* A block with a value that is not finite decodes to NaN throughout. */
FIT_INLINE void encode_not_finite(block256 *out) {
    memset(out, 0, sizeof *out);
    out->d = __builtin_nanf("");
}

/* Compiled once for all its types: there is much in it. */
static __attribute__((noinline)) void encode_signed_block(const float *values,
                                                          const float *importance,
                                                          const encode_signed *how, block256 *out) {
    encode_block b;
    encode_result r;
    if (!encode_load(values, importance, BLOCK256_GROUP, &b)) {
        encode_not_finite(out);
        return;
    }
    if (b.is_weighted) {
        encode_signed_search(&b, true, how, &r);
    } else {
        encode_signed_search(&b, false, how, &r);
    }
    encode_signed_levels(&b, how, &r, out);
}

/* ---- ranged: Q2_K, Q4_K, Q5_K ---------------------------------------------------------------- */

typedef struct encode_ranged {
    float top;       /* levels go from 0 to top */
    float scale_top; /* multiples likewise, of minimums too */
    size_t length;
    const float *spans;
    size_t n_span;
    size_t fit_rounds, block_rounds; /* as above */
} encode_ranged;

/* Step 3. For each multiple around the scale's, the minimum follows from the levels. */
FIT_INLINE void encode_ranged_multiples(const encode_block *b, const bool is_weighted,
                                        const encode_ranged *how, encode_result *r) {
    const vec d = vec_all(r->d), dmin = vec_all(r->dmin);
    for (size_t lane = 0; lane < b->n_group; lane += VEC_WIDTH) {
        const fit_group g = encode_group(b, is_weighted, lane);
        const vec nearest = vec_nearest(fit_ratio(vec_load(r->scale + lane), d));
        const vec min = vec_load(r->min + lane);
        const vec sum_w = vec_load(r->sum_w + lane), sum_x = vec_load(r->sum_x + lane);
        vec multiple = vec_all(0), min_multiple = vec_all(0), least = vec_all(__FLT_MAX__);
        vec sum_q = vec_all(0), qq = vec_all(0), xq = vec_all(0);
        for (int k = -1; k <= 1; k++) {
            const vec m = fit_clamp(nearest + vec_all((float)k), 0, how->scale_top);
            const vec scale = d * m, inverse = fit_ratio(vec_all(1), scale);
            const fit_ranged rough = fit_ranged_sums(g, inverse, min * inverse, how->top);
            const vec best_min = (scale * rough.q - sum_x) / sum_w;
            const vec between = fit_clamp(fit_ratio(best_min, dmin), 0, how->scale_top);
            const vec below = vec_nearest(fit_clamp(between - vec_all(0.5f), 0, how->scale_top));
            for (int up = 0; up < 2; up++) {
                const vec mm = fit_clamp(below + vec_all((float)up), 0, how->scale_top);
                const fit_ranged f = fit_ranged_error(g, scale, dmin * mm, how->top);
                multiple = vec_if_less(f.error, least, m, multiple);
                min_multiple = vec_if_less(f.error, least, mm, min_multiple);
                sum_q = vec_if_less(f.error, least, f.q, sum_q);
                qq = vec_if_less(f.error, least, f.qq, qq);
                xq = vec_if_less(f.error, least, f.xq, xq);
                least = vec_min(f.error, least);
            }
        }
        vec_store(r->multiple + lane, multiple);
        vec_store(r->min_multiple + lane, min_multiple);
        vec_store(r->q + lane, sum_q);
        vec_store(r->qq + lane, qq);
        vec_store(r->xq + lane, xq);
        vec_store(r->scale + lane, d * multiple);
        vec_store(r->min + lane, dmin * min_multiple);
    }
}

/* Sums of which sum w (x - d M q + dmin N)^2 is made, M and N the multiples. */
typedef struct encode_plane {
    double mm, mn, nn, mx, nx;
} encode_plane;

FIT_INLINE double encode_plane_error(const encode_plane *p, float step, float min_step) {
    const double d = (double)step, dmin = (double)min_step;
    return d * (d * p->mm - 2 * (dmin * p->mn + p->mx)) + dmin * (dmin * p->nn + 2 * p->nx);
}

/* Step 4. d and dmin depend on each other: dmin is chosen for the d that is stored. */
FIT_INLINE void encode_ranged_step(const encode_block *b, encode_result *r) {
    encode_plane p = {0, 0, 0, 0, 0};
    for (size_t g = 0; g < b->n_group; g++) {
        const double m = (double)r->multiple[g], n = (double)r->min_multiple[g];
        p.mm += m * m * (double)r->qq[g];
        p.mn += m * n * (double)r->q[g];
        p.nn += n * n * (double)r->sum_w[g];
        p.mx += m * (double)r->xq[g];
        p.nx += n * (double)r->sum_x[g];
    }
    const double area = p.mm * p.nn - p.mn * p.mn;
    if (!(p.mm > 0)) {
        return;
    }
    const bool has_min = area > 1e-9 * p.mm * p.nn;
    const double best = has_min ? (p.mx * p.nn - p.mn * p.nx) / area : p.mx / p.mm;
    const float d = encode_stored(b, (float)best);
    const double best_min = ((double)d * p.mn - p.nx) / p.nn;
    const float dmin = has_min ? encode_stored(b, (float)best_min) : r->dmin;
    if (encode_plane_error(&p, d, dmin) < encode_plane_error(&p, r->d, r->dmin)) {
        r->d = d;
        r->dmin = dmin;
    }
}

FIT_INLINE void encode_ranged_search(const encode_block *b, const bool is_weighted,
                                     const encode_ranged *how, encode_result *r) {
    for (size_t lane = 0; lane < b->n_group; lane += VEC_WIDTH) {
        const fit_group g = encode_group(b, is_weighted, lane);
        const fit_moments of = fit_moments_of(g);
        const fit_line line =
            fit_ranged_line(g, &of, how->top, how->spans, how->n_span, how->fit_rounds);
        vec_store(r->scale + lane, line.scale);
        vec_store(r->min + lane, line.min);
        vec_store(r->curve + lane, line.curve);
        vec_store(r->sum_w + lane, of.w);
        vec_store(r->sum_x + lane, of.x);
    }
    r->d = encode_step(b, r->scale, r->curve, how->scale_top, 0, how->scale_top);
    r->dmin = encode_step(b, r->min, r->sum_w, how->scale_top, 0, how->scale_top);
    for (size_t k = 0; k < how->block_rounds; k++) {
        encode_ranged_multiples(b, is_weighted, how, r);
        encode_ranged_step(b, r);
    }
}

FIT_INLINE void encode_ranged_levels(const encode_block *b, const encode_ranged *how,
                                     const encode_result *r, block256 *out) {
    float level[BLOCK256_LENGTH];
    for (size_t lane = 0; lane < b->n_group; lane += VEC_WIDTH) {
        const vec scale = vec_all(r->d) * vec_load(r->multiple + lane);
        const vec min = vec_all(r->dmin) * vec_load(r->min_multiple + lane);
        const vec inverse = fit_ratio(vec_all(1), scale), offset = min * inverse;
        for (size_t i = 0; i < b->length; i++) {
            const vec x = vec_load(b->x + i * b->n_group + lane);
            vec_store(level + i * b->n_group + lane,
                      fit_ranged_level(x, inverse, offset, how->top));
        }
    }
    encode_put_levels(b, level, out);
    const size_t per_group = b->length / BLOCK256_GROUP;
    for (size_t g = 0; g < b->n_group; g++) {
        for (size_t k = g * per_group; k < (g + 1) * per_group; k++) {
            out->scale[k] = (int8_t)r->multiple[g];
            out->min[k] = (uint8_t)r->min_multiple[g];
        }
    }
    out->d = r->d * b->unit;
    out->dmin = r->dmin * b->unit;
}

/* Compiled once for all its types: there is much in it. */
static __attribute__((noinline)) void encode_ranged_block(const float *values,
                                                          const float *importance,
                                                          const encode_ranged *how, block256 *out) {
    encode_block b;
    encode_result r;
    if (!encode_load(values, importance, how->length, &b)) {
        encode_not_finite(out);
        return;
    }
    if (b.is_weighted) {
        encode_ranged_search(&b, true, how, &r);
    } else {
        encode_ranged_search(&b, false, how, &r);
    }
    encode_ranged_levels(&b, how, &r, out);
}

/* ---- the types ------------------------------------------------------------------------------- */

/* Candidates from which the best levels were found, on normal and on heavy-tailed values. */
static const float encode_ends_q3[] = {-4, -3.7f, -4.4f, -4.8f, -5.2f, -5.8f, 3, 3.5f, 4};
static const float encode_ends_q6[] = {-32, -32.5f, -31.5f, -31, -30.5f, -30, -29,
                                       -28, -27,    31,     30,  29,     28,  27};
static const float encode_spans_q2[] = {3, 2.2f, 2.6f, 3.4f, 3.8f, 4.2f, 4.6f};
static const float encode_spans_q4[] = {15, 13, 14, 14.5f, 15.5f, 16, 17, 18, 19};
static const float encode_spans_q5[] = {31, 28, 29, 29.5f, 30, 30.5f, 31.4f, 32, 33};

static const encode_signed encode_how_q3_k = {
    .half = 4,
    .scale_half = 32,
    .ends = encode_ends_q3,
    .n_end = 9,
    .fit_rounds = 1,
    .block_rounds = 2,
};

static const encode_signed encode_how_q6_k = {
    .half = 32,
    .scale_half = 128,
    .ends = encode_ends_q6,
    .n_end = 14,
    .fit_rounds = 1,
    .block_rounds = 2,
};

static const encode_ranged encode_how_q2_k = {
    .top = 3,
    .scale_top = 15,
    .length = 16,
    .spans = encode_spans_q2,
    .n_span = 7,
    .fit_rounds = 2,
    .block_rounds = 2,
};

static const encode_ranged encode_how_q4_k = {
    .top = 15,
    .scale_top = 63,
    .length = 32,
    .spans = encode_spans_q4,
    .n_span = 9,
    .fit_rounds = 2,
    .block_rounds = 2,
};

static const encode_ranged encode_how_q5_k = {
    .top = 31,
    .scale_top = 63,
    .length = 32,
    .spans = encode_spans_q5,
    .n_span = 9,
    .fit_rounds = 2,
    .block_rounds = 2,
};

FIT_INLINE void encode_signed_row(const block256_format *format, const encode_signed *how,
                                  const float *values, const float *importance, uint8_t *blocks,
                                  size_t n) {
    block256 b;
    for (size_t k = 0; k < n; k += BLOCK256_LENGTH, blocks += format->bytes) {
        encode_signed_block(values + k, importance ? importance + k : NULL, how, &b);
        format->pack(&b, blocks);
    }
}

FIT_INLINE void encode_ranged_row(const block256_format *format, const encode_ranged *how,
                                  const float *values, const float *importance, uint8_t *blocks,
                                  size_t n) {
    block256 b;
    for (size_t k = 0; k < n; k += BLOCK256_LENGTH, blocks += format->bytes) {
        encode_ranged_block(values + k, importance ? importance + k : NULL, how, &b);
        format->pack(&b, blocks);
    }
}

static void encode_q2_k(const float *values, const float *importance, void *blocks, size_t n) {
    encode_ranged_row(&block256_q2_k, &encode_how_q2_k, values, importance, blocks, n);
}

static void encode_q3_k(const float *values, const float *importance, void *blocks, size_t n) {
    encode_signed_row(&block256_q3_k, &encode_how_q3_k, values, importance, blocks, n);
}

static void encode_q4_k(const float *values, const float *importance, void *blocks, size_t n) {
    encode_ranged_row(&block256_q4_k, &encode_how_q4_k, values, importance, blocks, n);
}

static void encode_q5_k(const float *values, const float *importance, void *blocks, size_t n) {
    encode_ranged_row(&block256_q5_k, &encode_how_q5_k, values, importance, blocks, n);
}

static void encode_q6_k(const float *values, const float *importance, void *blocks, size_t n) {
    encode_signed_row(&block256_q6_k, &encode_how_q6_k, values, importance, blocks, n);
}

#endif
