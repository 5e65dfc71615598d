/* encode_fit.h - the levels of groups of values, searched for: one group in each lane of a vector.
 *
 * Included after a file that says what a `vec` is: vec_plain.h here, vec_avx2.h in kernels/x86. The
 * operations are the same and lanes never meet, so the results are too.
 *
 *                 lane 0   lane 1 ...      x[i * stride + lane]: value i of each group
 *      value 0    x        x
 *      value 1    x        x               w likewise; NULL: every weight is 1
 *       ...
 *
 * A signed group is x = s * q, q from low to high; a ranged one is x = s * q - m, q from 0 to top,
 * m not negative unless it is free to be. A candidate is a way to round: an inverse of s (and an
 * offset). The levels that it gives have a best s (and m) in closed form, and what error remains
 * follows from the same sums:
 *
 *   signed   s = Sxq / Sqq         error = Sxx - s Sxq          Sxq = sum of w x q
 *   ranged   s = (Sxq - mean Sq) / (Sqq - Sq^2 / S)      m = (s Sq - Sx) / S
 *
 * The best candidate is then improved: levels for its s and m, again s and m for these levels.
 */
#ifndef QUANT_ENCODE_FIT_H
#define QUANT_ENCODE_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIT_INLINE static inline __attribute__((always_inline))

typedef int32_t fit_word __attribute__((vector_size(sizeof(vec))));

/* Groups of values whose largest magnitude (or range) is below this share of their block's count
 * as zero (or constant): no scale of any type could tell them from it. */
static const float fit_nothing = 0x1p-60f;

/* A candidate has to be better by more than sums are rounded by: of those that are as good, the
 * first is taken, the same in groups that are alike. */
static const float fit_better = 1 + 0x1p-21f, fit_worse = 0x1p-20f;

/* Values of some groups in lanes. */
typedef struct fit_group {
    const float *x, *w;
    size_t length, stride;
} fit_group;

FIT_INLINE vec fit_clamp(vec v, float low, float high) {
    return vec_min(vec_max(v, vec_all(low)), vec_all(high));
}

/* a / b where b is above any rounding error, else 0. */
FIT_INLINE vec fit_ratio(vec a, vec b) {
    const vec nothing = vec_all(0x1p-120f);
    return vec_if_less(nothing, vec_magnitude(b), a / b, vec_all(0));
}

/* ---- f16 in lanes ---------------------------------------------------------------------------- */

FIT_INLINE fit_word fit_choose(fit_word mask, fit_word yes, fit_word no) {
    return (mask & yes) | (~mask & no);
}

/* The magnitude of an f16 (not an infinity) as a float. */
FIT_INLINE vec fit_f16_magnitude(fit_word h) {
    return (vec)(h << 13) * vec_all(0x1p112f);
}

/* The f16 nearest to a scale, in all lanes; as half_to_f16, but not above the largest number, and
 * not so small that `reach` of it would fall short of where they are to reach: to a subnormal, a
 * whole unit may be a large part. */
FIT_INLINE fit_word fit_to_f16(vec wanted, float reach) {
    const fit_word magnitude = (fit_word)wanted & 0x7fffffff;
    const fit_word rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    const fit_word normal = (rounded - 0x38000000) >> 13;
    const fit_word small = (fit_word)(vec_magnitude(wanted) + vec_all(0.5f)) - 0x3f000000;
    const vec short_of = fit_f16_magnitude(small) * vec_all(reach + 0.5f);
    const fit_word is_short = short_of < vec_magnitude(wanted) * vec_all(reach);
    fit_word h = fit_choose(magnitude < 0x38800000, small - is_short, normal);
    h = fit_choose(magnitude >= 0x477ff000, (fit_word)vec_all(0) + 0x7bff, h);
    h = fit_choose(magnitude > 0x7f800000, (fit_word)vec_all(0) + 0x7e00, h);
    return h | (((fit_word)wanted >> 16) & 0x8000);
}

/* The float that an f16 of fit_to_f16 stands for. */
FIT_INLINE vec fit_from_f16(fit_word h) {
    return (vec)((fit_word)fit_f16_magnitude(h & 0x7fff) | ((h & 0x8000) << 16));
}

/* ---- values in lanes ------------------------------------------------------------------------- */

/* to[i * stride + lane] = from[lane * length + i]: `stride` groups side by side, both numbers
 * multiples of eight. */
FIT_INLINE void fit_turn(const float *from, size_t length, size_t stride, float *to) {
    vec rows[VEC_WIDTH];
    for (size_t lane = 0; lane < stride; lane += VEC_WIDTH) {
        for (size_t i = 0; i < length; i += VEC_WIDTH) {
            for (size_t k = 0; k < VEC_WIDTH; k++) {
                rows[k] = vec_load(from + (lane + k) * length + i);
            }
            vec_transpose(rows);
            for (size_t k = 0; k < VEC_WIDTH; k++) {
                vec_store(to + (i + k) * stride + lane, rows[k]);
            }
        }
    }
}

/* w times v. */
FIT_INLINE vec fit_weighted(fit_group g, size_t i, vec v) {
    if (g.w) {
        v = v * vec_load(g.w + i * g.stride);
    }
    return v;
}

/* ---- signed ---------------------------------------------------------------------------------- */

/* What is known of the levels of a candidate. */
typedef struct fit_signed {
    vec xq, qq; /* sums of w x q and w q q */
    vec error;
} fit_signed;

FIT_INLINE vec fit_signed_level(vec x, vec inverse, float low, float high) {
    return vec_nearest(fit_clamp(x * inverse, low, high));
}

/* Adds value i to the sums; returns its level. */
FIT_INLINE vec fit_signed_add(fit_signed *f, fit_group g, size_t i, vec inverse, float low,
                              float high) {
    const vec x = vec_load(g.x + i * g.stride);
    const vec q = fit_signed_level(x, inverse, low, high);
    const vec wq = fit_weighted(g, i, q);
    f->xq = f->xq + x * wq;
    f->qq = f->qq + wq * q;
    return q;
}

/* The sums for levels rounded from x * inverse. Here and below, values at even and at odd places
 * have sums of their own until the end: one addition would have to wait for the other. */
FIT_INLINE fit_signed fit_signed_sums(fit_group g, vec inverse, float low, float high) {
    fit_signed f = {vec_all(0), vec_all(0), vec_all(0)}, odd = f;
    for (size_t i = 0; i < g.length; i += 2) {
        fit_signed_add(&f, g, i, inverse, low, high);
        fit_signed_add(&odd, g, i + 1, inverse, low, high);
    }
    f.xq = f.xq + odd.xq;
    f.qq = f.qq + odd.qq;
    return f;
}

/* The same, with what value i adds to the error if s = scale. */
FIT_INLINE void fit_signed_add_error(fit_signed *f, fit_group g, size_t i, vec scale, vec inverse,
                                     float low, float high) {
    const vec q = fit_signed_add(f, g, i, inverse, low, high);
    const vec off = vec_load(g.x + i * g.stride) - scale * q;
    f->error = f->error + fit_weighted(g, i, off * off);
}

FIT_INLINE fit_signed fit_signed_error(fit_group g, vec scale, float low, float high) {
    const vec inverse = fit_ratio(vec_all(1), scale);
    fit_signed f = {vec_all(0), vec_all(0), vec_all(0)}, odd = f;
    for (size_t i = 0; i < g.length; i += 2) {
        fit_signed_add_error(&f, g, i, scale, inverse, low, high);
        fit_signed_add_error(&odd, g, i + 1, scale, inverse, low, high);
    }
    f.xq = f.xq + odd.xq;
    f.qq = f.qq + odd.qq;
    f.error = f.error + odd.error;
    return f;
}

/* The value of greatest magnitude in each group, with its sign. */
FIT_INLINE vec fit_extreme(fit_group g) {
    vec extreme = vec_all(0);
    for (size_t i = 0; i < g.length; i++) {
        const vec x = vec_load(g.x + i * g.stride);
        extreme = vec_if_less(vec_magnitude(extreme), vec_magnitude(x), x, extreme);
    }
    return extreme;
}

/* The better of what is known and a candidate, by what it takes off the error. */
FIT_INLINE void fit_signed_try(fit_group g, vec inverse, float low, float high, vec *scale,
                               vec *gain) {
    const fit_signed f = fit_signed_sums(g, inverse, low, high);
    const vec s = fit_ratio(f.xq, f.qq);
    const vec taken = s * f.xq, enough = *gain * vec_all(fit_better);
    *scale = vec_if_less(enough, taken, s, *scale);
    *gain = vec_if_less(enough, taken, taken, *gain);
}

/* The scale of each group. Candidates put the extreme value at ends[0] to ends[n - 1]. */
FIT_INLINE vec fit_signed_scale(fit_group g, float low, float high, const float *ends, size_t n,
                                size_t rounds, vec *weight) {
    const vec extreme = fit_extreme(g);
    const vec unit =
        vec_if_less(vec_all(fit_nothing), vec_magnitude(extreme), vec_all(1) / extreme, vec_all(0));
    vec scale = vec_all(0), gain = vec_all(0);
    for (size_t k = 0; k < n; k++) {
        fit_signed_try(g, unit * vec_all(ends[k]), low, high, &scale, &gain);
    }
    for (size_t k = 0; k < rounds; k++) {
        fit_signed_try(g, fit_ratio(vec_all(1), scale), low, high, &scale, &gain);
    }
    *weight = fit_ratio(gain, scale * scale); /* Sqq */
    return scale;
}

/* ---- ranged ---------------------------------------------------------------------------------- */

/* Sums that do not depend on levels. */
typedef struct fit_moments {
    vec w, x, xx; /* sums of w, w x, w x x */
    vec mean, variance;
} fit_moments;

typedef struct fit_ranged {
    vec q, qq, xq; /* sums of w q, w q q, w x q */
    vec error;
} fit_ranged;

/* A scale and a minimum for each group, and the error that remains with them. */
typedef struct fit_line {
    vec scale, min, error;
    vec curve; /* by which the error grows with the square of what scale is off */
} fit_line;

FIT_INLINE void fit_moments_add(fit_moments *m, fit_group g, size_t i) {
    const vec x = vec_load(g.x + i * g.stride);
    const vec weighted = fit_weighted(g, i, x);
    m->x = m->x + weighted;
    m->xx = m->xx + weighted * x;
    if (g.w) {
        m->w = m->w + vec_load(g.w + i * g.stride);
    }
}

FIT_INLINE fit_moments fit_moments_of(fit_group g) {
    fit_moments m = {vec_all(0), vec_all(0), vec_all(0), vec_all(0), vec_all(0)}, odd = m;
    for (size_t i = 0; i < g.length; i += 2) {
        fit_moments_add(&m, g, i);
        fit_moments_add(&odd, g, i + 1);
    }
    m.w = m.w + odd.w;
    m.x = m.x + odd.x;
    m.xx = m.xx + odd.xx;
    if (!g.w) {
        m.w = vec_all((float)g.length);
    }
    m.mean = m.x / m.w;
    m.variance = m.xx - m.mean * m.x;
    return m;
}

FIT_INLINE vec fit_ranged_level(vec x, vec inverse, vec offset, float top) {
    return vec_nearest(fit_clamp(x * inverse + offset, 0, top));
}

/* Adds value i to the sums; returns its level. */
FIT_INLINE vec fit_ranged_add(fit_ranged *f, fit_group g, size_t i, vec inverse, vec offset,
                              float top) {
    const vec x = vec_load(g.x + i * g.stride);
    const vec q = fit_ranged_level(x, inverse, offset, top);
    const vec wq = fit_weighted(g, i, q);
    f->q = f->q + wq;
    f->qq = f->qq + wq * q;
    f->xq = f->xq + x * wq;
    return q;
}

FIT_INLINE fit_ranged fit_ranged_sums(fit_group g, vec inverse, vec offset, float top) {
    fit_ranged f = {vec_all(0), vec_all(0), vec_all(0), vec_all(0)}, odd = f;
    for (size_t i = 0; i < g.length; i += 2) {
        fit_ranged_add(&f, g, i, inverse, offset, top);
        fit_ranged_add(&odd, g, i + 1, inverse, offset, top);
    }
    f.q = f.q + odd.q;
    f.qq = f.qq + odd.qq;
    f.xq = f.xq + odd.xq;
    return f;
}

/* The same, with what value i adds to the error if s = scale and m = min. */
FIT_INLINE void fit_ranged_add_error(fit_ranged *f, fit_group g, size_t i, vec scale, vec min,
                                     vec inverse, vec offset, float top) {
    const vec q = fit_ranged_add(f, g, i, inverse, offset, top);
    const vec off = vec_load(g.x + i * g.stride) - (scale * q - min);
    f->error = f->error + fit_weighted(g, i, off * off);
}

FIT_INLINE fit_ranged fit_ranged_error(fit_group g, vec scale, vec min, float top) {
    const vec inverse = fit_ratio(vec_all(1), scale), offset = min * inverse;
    fit_ranged f = {vec_all(0), vec_all(0), vec_all(0), vec_all(0)}, odd = f;
    for (size_t i = 0; i < g.length; i += 2) {
        fit_ranged_add_error(&f, g, i, scale, min, inverse, offset, top);
        fit_ranged_add_error(&odd, g, i + 1, scale, min, inverse, offset, top);
    }
    f.q = f.q + odd.q;
    f.qq = f.qq + odd.qq;
    f.xq = f.xq + odd.xq;
    f.error = f.error + odd.error;
    return f;
}

/* The better of what is known and a candidate. A minimum may be free to have either sign. */
FIT_INLINE void fit_ranged_try(fit_group g, const fit_moments *of, vec inverse, vec offset,
                               float top, const bool is_free, fit_line *best) {
    const fit_ranged f = fit_ranged_sums(g, inverse, offset, top);
    const vec centre = f.q / of->w;
    const vec together = f.xq - of->mean * f.q, spread = f.qq - centre * f.q;
    const vec none = vec_all(0);
    vec scale = fit_ratio(together, spread);
    vec min = scale * centre - of->mean;
    vec error = of->variance - scale * together;
    if (!is_free) { /* a line without a minimum goes through zero */
        const vec steep = fit_ratio(f.xq, f.qq);
        scale = vec_if_less(min, none, steep, scale);
        error = vec_if_less(min, none, of->xx - steep * f.xq, error);
        min = vec_max(min, none);
    }
    const vec to_beat = best->error - of->xx * vec_all(fit_worse);
    best->scale = vec_if_less(error, to_beat, scale, best->scale);
    best->min = vec_if_less(error, to_beat, min, best->min);
    best->curve = vec_if_less(error, to_beat, f.qq, best->curve);
    best->error = vec_if_less(error, to_beat, error, best->error);
}

/* Candidates spread the range over spans[0] to spans[n - 1] steps, and each of these with its
 * middle at the middle of the levels. */
FIT_INLINE fit_line fit_ranged_line(fit_group g, const fit_moments *of, float top,
                                    const float *spans, size_t n, size_t rounds) {
    vec low = vec_all(0), high = vec_load(g.x);
    for (size_t i = 0; i < g.length; i++) {
        low = vec_min(vec_load(g.x + i * g.stride), low);
        high = vec_max(vec_load(g.x + i * g.stride), high);
    }
    const vec range = high - low;
    const vec unit = vec_if_less(vec_all(fit_nothing), range, vec_all(1) / range, vec_all(0));
    /* Without any scale: all values are the mean, or zero. */
    fit_line best = {vec_all(0), vec_max(vec_all(0) - of->mean, vec_all(0)), vec_all(0),
                     vec_all(0)};
    best.error = vec_if_less(vec_all(0), of->mean, of->xx, of->variance);
    for (size_t k = 0; k < n; k++) {
        const vec inverse = unit * vec_all(spans[k]);
        fit_ranged_try(g, of, inverse, vec_all(0) - low * inverse, top, false, &best);
        if (spans[k] != top) {
            const vec offset = vec_all((top - spans[k]) / 2) - low * inverse;
            fit_ranged_try(g, of, inverse, offset, top, false, &best);
        }
    }
    for (size_t k = 0; k < rounds; k++) {
        const vec inverse = fit_ratio(vec_all(1), best.scale);
        fit_ranged_try(g, of, inverse, best.min * inverse, top, false, &best);
    }
    return best;
}

#endif
