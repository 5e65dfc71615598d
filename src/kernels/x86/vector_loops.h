/* vector_loops.h - the loops over float vectors, for a vector of any width.
 *
 * Included after vec_avx2.h or vec_avx512.h, which say what a `vec` is; vector_ref.c says what
 * rounds, and in what order. Everything here is static: each level's file has its own copy.
 */
#ifndef KERNELS_X86_VECTOR_LOOPS_H
#define KERNELS_X86_VECTOR_LOOPS_H

#include "kernels/kernels.h"

#include <math.h>

/* ---- element by element ---------------------------------------------------------------------- */

/* One result from a parameter that is the same for all and up to three operands. */
typedef vec element(vec p, vec a, vec b, vec c);

X86_INLINE vec load_if(const float *p, size_t k) {
    return p ? vec_load(p + k) : vec_all(0);
}

X86_INLINE vec load_part_if(const float *p, size_t k, size_t n) {
    return p ? vec_load_part(p + k, n) : vec_all(0);
}

/* y[k] = f(p, a[k], b[k], c[k]); operands that f does not use are NULL. */
X86_INLINE void each(element *f, float p, const float *a, const float *b, const float *c, float *y,
                     size_t n) {
    const vec all = vec_all(p);
    size_t k = 0;
    for (; k + VEC_WIDTH <= n; k += VEC_WIDTH) {
        vec_store(y + k, f(all, load_if(a, k), load_if(b, k), load_if(c, k)));
    }
    if (k < n) {
        const vec last =
            f(all, load_part_if(a, k, n - k), load_part_if(b, k, n - k), load_part_if(c, k, n - k));
        vec_store_part(y + k, last, n - k);
    }
}

/* exp(x) = p * 2^n: returns p; n stands in the low bits of *shifted, counted from EXP_SHIFT's. */
#define EXP_SHIFT 0x1.8p23f

X86_INLINE vec exp_parts(vec x, vec *shifted) {
    const vec shift = vec_all(EXP_SHIFT);
    *shifted = vec_fma(x, vec_all(0x1.715476p+0f), shift);
    const vec n = vec_sub(*shifted, shift);
    vec r = vec_fma(n, vec_all(-0x1.62e430p-1f), x);
    r = vec_fma(n, vec_all(0x1.05c610p-29f), r);
    vec p = vec_all(0x1.6a4e66p-10f);
    p = vec_fma(p, r, vec_all(0x1.12397cp-7f));
    p = vec_fma(p, r, vec_all(0x1.5558aep-5f));
    p = vec_fma(p, r, vec_all(0x1.555492p-3f));
    p = vec_fma(p, r, vec_all(0x1.fffffcp-2f));
    p = vec_fma(p, r, vec_all(1.0f));
    return vec_fma(p, r, vec_all(1.0f));
}

/* kernel_exp; math.c has the reasons. */
X86_INLINE vec exp_of(vec x) {
    vec shifted, first, second;
    x = vec_min(vec_all(89.0f), vec_max(vec_all(-104.0f), x));
    const vec p = exp_parts(x, &shifted);
    vec_two_to(shifted, vec_all(EXP_SHIFT), &first, &second);
    return vec_mul(vec_mul(p, first), second);
}

/* kernel_weight */
X86_INLINE vec weight_of(vec x) {
    vec shifted;
    const vec p = exp_parts(vec_max(vec_all(-87.0f), x), &shifted);
    return vec_raised(p, shifted);
}

/* kernel_tanh */
X86_INLINE vec tanh_of(vec x) {
    const vec a = vec_magnitude(x), one = vec_all(1.0f);
    const vec z = vec_mul(a, a);
    vec p = vec_all(-0x1.768eb8p-8f);
    p = vec_fma(p, z, vec_all(0x1.525018p-6f));
    p = vec_fma(p, z, vec_all(-0x1.b84336p-5f));
    p = vec_fma(p, z, vec_all(0x1.110760p-3f));
    p = vec_fma(p, z, vec_all(-0x1.555534p-2f));
    const vec near = vec_fma(vec_mul(z, p), a, a);
    const vec e = exp_of(vec_add(a, a));
    const vec far = vec_sub(one, vec_div(vec_all(2.0f), vec_add(e, one)));
    return vec_with_sign(vec_if_less(a, vec_all(0.625f), near, far), x);
}

/* kernel_erf */
X86_INLINE vec erf_of(vec x) {
    const vec a = vec_magnitude(x), z = vec_mul(a, a);
    vec p = vec_all(0x1.4fa924p-14f);
    p = vec_fma(p, z, vec_all(-0x1.a61810p-11f));
    p = vec_fma(p, z, vec_all(0x1.544b08p-8f));
    p = vec_fma(p, z, vec_all(-0x1.b80124p-6f));
    p = vec_fma(p, z, vec_all(0x1.ce2d64p-4f));
    p = vec_fma(p, z, vec_all(-0x1.812740p-2f));
    p = vec_fma(p, z, vec_all(0x1.06eba8p-3f));
    const vec near = vec_fma(p, a, a);
    const vec b = vec_min(vec_all(4.0f), a);
    vec q = vec_all(0x1.6941bcp-17f);
    q = vec_fma(q, b, vec_all(-0x1.4d8b14p-12f));
    q = vec_fma(q, b, vec_all(0x1.dae168p-9f));
    q = vec_fma(q, b, vec_all(-0x1.84a2d8p-6f));
    q = vec_fma(q, b, vec_all(0x1.b2f21ep-4f));
    q = vec_fma(q, b, vec_all(0x1.45367cp-1f));
    q = vec_fma(q, b, vec_all(0x1.20ee9ep+0f));
    const vec far = vec_sub(vec_all(1.0f), exp_of(vec_negative(vec_mul(b, q))));
    return vec_with_sign(vec_if_less(a, vec_all(0.9f), near, far), x);
}

X86_INLINE vec element_scale(vec p, vec a, vec b, vec c) {
    (void)b, (void)c;
    return vec_mul(a, p);
}

X86_INLINE vec element_add(vec p, vec a, vec b, vec c) {
    (void)p, (void)c;
    return vec_add(b, a);
}

X86_INLINE vec element_sub(vec p, vec a, vec b, vec c) {
    (void)b, (void)c;
    return vec_sub(a, p);
}

X86_INLINE vec element_exp_shifted(vec p, vec a, vec b, vec c) {
    (void)b, (void)c;
    return exp_of(vec_sub(a, p));
}

X86_INLINE vec element_weight(vec p, vec a, vec b, vec c) {
    (void)b, (void)c;
    return weight_of(vec_sub(a, p));
}

X86_INLINE vec element_fill(vec p, vec a, vec b, vec c) {
    (void)a, (void)b, (void)c;
    return p;
}

X86_INLINE vec element_silu_mul(vec p, vec a, vec b, vec c) {
    (void)p, (void)c;
    const vec e = exp_of(vec_negative(a));
    return vec_mul(vec_div(a, vec_add(vec_all(1.0f), e)), b);
}

X86_INLINE vec gelu_tanh_of(vec a) {
    const vec one = vec_all(1.0f);
    const vec cubic = vec_fma(vec_all(0.044715f), vec_mul(a, a), one);
    const vec t = vec_mul(vec_mul(vec_all(0.79788456080286536f), a), cubic);
    return vec_mul(vec_mul(vec_all(0.5f), a), vec_add(one, tanh_of(t)));
}

X86_INLINE vec element_gelu_tanh(vec p, vec a, vec b, vec c) {
    (void)p, (void)b, (void)c;
    return gelu_tanh_of(a);
}

X86_INLINE vec element_gelu_tanh_mul(vec p, vec a, vec b, vec c) {
    (void)p, (void)c;
    return vec_mul(gelu_tanh_of(a), b);
}

X86_INLINE vec element_soft_cap(vec p, vec a, vec b, vec c) {
    (void)b, (void)c;
    return vec_mul(tanh_of(vec_div(a, p)), p);
}

X86_INLINE vec element_gelu_erf(vec p, vec a, vec b, vec c) {
    (void)p, (void)b, (void)c;
    const vec e = erf_of(vec_mul(vec_all(0.70710678118654752f), a));
    return vec_mul(vec_mul(vec_all(0.5f), a), vec_add(vec_all(1.0f), e));
}

X86_INLINE vec element_relu(vec p, vec a, vec b, vec c) {
    (void)b, (void)c;
    return vec_if_less(a, p, p, a);
}

X86_INLINE vec element_rms(vec p, vec a, vec b, vec c) {
    (void)c;
    return vec_mul(vec_mul(a, p), b);
}

X86_INLINE vec element_layer(vec p, vec a, vec b, vec c) {
    return vec_fma(vec_mul(a, p), b, c);
}

/* The same where the weights are ones. */
X86_INLINE vec element_layer_alone(vec p, vec a, vec b, vec c) {
    (void)b;
    return vec_add(vec_mul(a, p), c);
}

X86_INLINE vec element_rotate(vec p, vec a, vec b, vec c) {
    (void)p, (void)c;
    return vec_rotate(a, b);
}

static void vector_scale(float a, float *y, size_t n) {
    each(element_scale, a, y, NULL, NULL, y, n);
}

static void vector_add(const float *x, float *y, size_t n) {
    each(element_add, 0, x, y, NULL, y, n);
}

static void vector_exp_shifted(float *x, float shift, size_t n) {
    each(element_exp_shifted, shift, x, NULL, NULL, x, n);
}

static void vector_silu_mul(const float *gate, const float *up, float *y, size_t n) {
    each(element_silu_mul, 0, gate, up, NULL, y, n);
}

static void vector_gelu_tanh(float *x, size_t n) {
    each(element_gelu_tanh, 0, x, NULL, NULL, x, n);
}

static void vector_gelu_tanh_mul(const float *gate, const float *up, float *y, size_t n) {
    each(element_gelu_tanh_mul, 0, gate, up, NULL, y, n);
}

static void vector_soft_cap(float cap, float *x, size_t n) {
    each(element_soft_cap, cap, x, NULL, NULL, x, n);
}

static void vector_gelu_erf(float *x, size_t n) {
    each(element_gelu_erf, 0, x, NULL, NULL, x, n);
}

static void vector_relu(float *x, size_t n) {
    each(element_relu, 0, x, NULL, NULL, x, n);
}

/* Counts are exact, so that only their sum with `first` rounds. */
static void vector_add_ramp(float *x, float slope, float first, size_t n) {
    float lanes[VEC_WIDTH];
    for (size_t j = 0; j < VEC_WIDTH; j++) {
        lanes[j] = (float)j;
    }
    const vec from = vec_all(first), by = vec_all(slope), step = vec_all((float)VEC_WIDTH);
    vec count = vec_load(lanes);
    size_t k = 0;
    for (; k + VEC_WIDTH <= n; k += VEC_WIDTH, count = vec_add(count, step)) {
        vec_store(x + k, vec_fma(by, vec_add(from, count), vec_load(x + k)));
    }
    if (k < n) {
        const vec old = vec_load_part(x + k, n - k);
        vec_store_part(x + k, vec_fma(by, vec_add(from, count), old), n - k);
    }
}

static void vector_rope_pairs(float *x, const float *cs, size_t n_pair) {
    each(element_rotate, 0, x, cs, NULL, x, 2 * n_pair);
}

/* Turns n <= VEC_WIDTH pairs (a[i], b[i]); a constant n lets the whole vectors be unmasked. */
X86_INLINE void rotate_halves(float *a, float *b, const float *cs, size_t n) {
    const size_t low = 2 * n < VEC_WIDTH ? 2 * n : VEC_WIDTH;
    const bool whole = n == VEC_WIDTH;
    vec c, s;
    vec_unzip(whole ? vec_load(cs) : vec_load_part(cs, low),
              whole ? vec_load(cs + VEC_WIDTH) : vec_load_part(cs + low, 2 * n - low), &c, &s);
    const vec from_a = whole ? vec_load(a) : vec_load_part(a, n);
    const vec from_b = whole ? vec_load(b) : vec_load_part(b, n);
    const vec to_a = vec_fma(from_a, c, vec_negative(vec_mul(from_b, s)));
    const vec to_b = vec_fma(from_a, s, vec_mul(from_b, c));
    vec_store_part(a, to_a, n);
    vec_store_part(b, to_b, n);
}

static void vector_rope_halves(float *x, const float *cs, size_t n_pair) {
    size_t i = 0;
    for (; i + VEC_WIDTH <= n_pair; i += VEC_WIDTH) {
        rotate_halves(x + i, x + n_pair + i, cs + 2 * i, VEC_WIDTH);
    }
    if (i < n_pair) {
        rotate_halves(x + i, x + n_pair + i, cs + 2 * i, n_pair - i);
    }
}

/* ---- sums ------------------------------------------------------------------------------------ */

enum {
    SUMS = 16 / VEC_WIDTH, /* vectors that hold the sixteen partial sums */
};

/* One partial sum's next value from an element of each operand. */
typedef vec summand(vec sum, vec a, vec b);

X86_INLINE vec summand_product(vec sum, vec a, vec b) {
    return vec_fma(a, b, sum);
}

X86_INLINE vec summand_plain(vec sum, vec a, vec b) {
    (void)b;
    return vec_add(sum, a);
}

/* The rest, fewer than sixteen; a partial sum without a value stays as it is. */
X86_INLINE void sum_rest(summand *f, const float *a, const float *b, size_t n, vec sum[SUMS]) {
    for (size_t j = 0; j < SUMS && j * VEC_WIDTH < n; j++) {
        const size_t k = j * VEC_WIDTH, left = n - k;
        if (left < VEC_WIDTH) {
            const vec next = f(sum[j], vec_load_part(a + k, left), load_part_if(b, k, left));
            sum[j] = vec_choose_first(left, next, sum[j]);
        } else {
            sum[j] = f(sum[j], vec_load(a + k), load_if(b, k));
        }
    }
}

X86_INLINE float sum16(summand *f, const float *a, const float *b, size_t n) {
    vec sum[SUMS];
    for (size_t j = 0; j < SUMS; j++) {
        sum[j] = vec_all(0);
    }
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        for (size_t j = 0; j < SUMS; j++) {
            sum[j] = f(sum[j], vec_load(a + k + j * VEC_WIDTH), load_if(b, k + j * VEC_WIDTH));
        }
    }
    if (k < n) {
        sum_rest(f, a + k, b ? b + k : NULL, n - k, sum);
    }
    return vec_tree(sum);
}

static float vector_dot(const float *a, const float *b, size_t n) {
    return sum16(summand_product, a, b, n);
}

static float vector_sum(const float *a, size_t n) {
    return sum16(summand_plain, a, NULL, n);
}

/* Lanes beyond the end count as the first value. */
static float vector_max(const float *a, size_t n) {
    vec best = vec_all(a[0]), nan = vec_all(0);
    size_t k = 0;
    for (; k + VEC_WIDTH <= n; k += VEC_WIDTH) {
        const vec v = vec_load(a + k);
        best = vec_max(best, v);
        nan = vec_keep_nan(nan, v);
    }
    if (k < n) {
        const vec v = vec_choose_first(n - k, vec_load_part(a + k, n - k), vec_all(a[0]));
        best = vec_max(best, v);
        nan = vec_keep_nan(nan, v);
    }
    float lanes[VEC_WIDTH], nans[VEC_WIDTH];
    vec_store(lanes, best);
    vec_store(nans, nan);
    float largest = lanes[0];
    for (size_t j = 0; j < VEC_WIDTH; j++) {
        largest = lanes[j] > largest ? lanes[j] : largest;
        if (isnan(nans[j])) {
            return NAN;
        }
    }
    return largest + 0.0f; /* a zero of either sign becomes +0 */
}

/* ---- made of these --------------------------------------------------------------------------- */

static void vector_rms_norm(const float *x, const float *weight, float epsilon, float *y,
                            size_t n) {
    const float mean = vector_dot(x, x, n) / (float)n;
    each(element_rms, 1.0f / sqrtf(mean + epsilon), x, weight, NULL, y, n);
}

static void vector_layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                              float *y, size_t n) {
    const float mean = vector_sum(x, n) / (float)n;
    each(element_sub, mean, x, NULL, NULL, y, n);
    const float variance = vector_dot(y, y, n) / (float)n;
    const float r = 1.0f / sqrtf(variance + epsilon);
    if (weight) {
        each(element_layer, r, y, weight, bias, y, n);
    } else {
        each(element_layer_alone, r, y, NULL, bias, y, n);
    }
}

/* ---- for attention: attention_ref.c ---------------------------------------------------------- */

/* With a largest that is no NaN, only a difference of infinities is one, which weight_of keeps. */
static void vector_soften(float *x, size_t n, float *max, float *sum) {
    *max = vector_max(x, n);
    if (isnan(*max)) {
        each(element_fill, NAN, NULL, NULL, NULL, x, n);
        *sum = NAN;
        return;
    }
    const vec shift = vec_all(*max);
    vec sums[SUMS];
    for (size_t j = 0; j < SUMS; j++) {
        sums[j] = vec_all(0);
    }
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        for (size_t j = 0; j < SUMS; j++) {
            float *at = x + k + j * VEC_WIDTH;
            const vec e = weight_of(vec_sub(vec_load(at), shift));
            vec_store(at, e);
            sums[j] = vec_add(sums[j], e);
        }
    }
    if (k < n) {
        each(element_weight, *max, x + k, NULL, NULL, x + k, n - k);
        sum_rest(summand_plain, x + k, NULL, n - k, sums);
    }
    *sum = vec_tree(sums);
}

/* y[k] = fma(take, x[k], keep * y[k]) */
X86_INLINE void merge_values(float keep, float take, const float *x, float *y, size_t n) {
    const vec old = vec_all(keep), fresh = vec_all(take);
    size_t k = 0;
    for (; k + VEC_WIDTH <= n; k += VEC_WIDTH) {
        vec_store(y + k, vec_fma(fresh, vec_load(x + k), vec_mul(old, vec_load(y + k))));
    }
    if (k < n) {
        const vec kept = vec_mul(old, vec_load_part(y + k, n - k));
        vec_store_part(y + k, vec_fma(fresh, vec_load_part(x + k, n - k), kept), n - k);
    }
}

/* The factors of VEC_WIDTH queries at once, then their values query by query. */
static void vector_merge(size_t n_query, size_t n, const kernel_mixture *part,
                         const kernel_mixture *total) {
    for (size_t i = 0; i < n_query; i += VEC_WIDTH) {
        const size_t count = n_query - i < VEC_WIDTH ? n_query - i : VEC_WIDTH;
        const vec before = vec_load_part(total->max + i, count);
        const vec here = vec_load_part(part->max + i, count);
        const vec max = vec_max(before, here);
        const vec keep = exp_of(vec_sub(before, max)), take = exp_of(vec_sub(here, max));
        const vec kept = vec_mul(keep, vec_load_part(total->sum + i, count));
        vec_store_part(total->sum + i, vec_fma(take, vec_load_part(part->sum + i, count), kept),
                       count);
        vec_store_part(total->max + i, max, count);
        float keeps[VEC_WIDTH], takes[VEC_WIDTH];
        vec_store(keeps, keep);
        vec_store(takes, take);
        for (size_t q = 0; q < count; q++) {
            merge_values(keeps[q], takes[q], part->values + (i + q) * part->stride,
                         total->values + (i + q) * total->stride, n);
        }
    }
}

static void vector_loops_fill(kernel_table *table) {
    table->dot = vector_dot;
    table->sum = vector_sum;
    table->max = vector_max;
    table->soften = vector_soften;
    table->merge = vector_merge;
    table->scale = vector_scale;
    table->add = vector_add;
    table->exp_shifted = vector_exp_shifted;
    table->silu_mul = vector_silu_mul;
    table->gelu_tanh = vector_gelu_tanh;
    table->gelu_tanh_mul = vector_gelu_tanh_mul;
    table->soft_cap = vector_soft_cap;
    table->gelu_erf = vector_gelu_erf;
    table->relu = vector_relu;
    table->add_ramp = vector_add_ramp;
    table->rms_norm = vector_rms_norm;
    table->layer_norm = vector_layer_norm;
    table->rope_pairs = vector_rope_pairs;
    table->rope_halves = vector_rope_halves;
}

#endif
