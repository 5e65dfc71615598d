/* kernel_exact.h - the plain kernels against float64, with bounds.
 *
 * EPS is half a unit in the last place relative to the value: what one rounding in float costs.
 */
#ifndef TESTS_KERNEL_EXACT_H
#define TESTS_KERNEL_EXACT_H

#include "kernel_tools.h"

#include "kernels/ref/ref.h"
#include "quant/blocks.h"

static const double EPS = 0x1p-24;

/* ---- products ------------------------------------------------------------------------------- */

/* What an activation row holds, as float64. */
static void row_values(kernel_row form, const uint8_t *row, size_t n, double *values) {
    const size_t block = form == KERNEL_ROW_Q8_32 ? 32 : 256;
    const float *scales = (const float *)(const void *)(row + kernel_q8_scales_at(n));
    for (size_t k = 0; k < n; k++) {
        if (form == KERNEL_ROW_F32) {
            float value;
            memcpy(&value, row + 4 * k, sizeof value);
            values[k] = value;
        } else if (form == KERNEL_ROW_BF16) {
            uint16_t value;
            memcpy(&value, row + 2 * k, sizeof value);
            values[k] = quant_bf16_to_f32(value);
        } else {
            values[k] = (double)(int8_t)row[k] * scales[k / block];
        }
    }
}

/* Roundings that one term of a product goes through at most.
 * Floats: n / 16 additions in its partial sum (bf16 the same), four in the tree.
 * Blocks: the product of two scales, the conversion of the integer, one or two fma per block. */
static double roundings(quant_type type, size_t n) {
    const size_t block = quant_format_of(type)->block_length;
    return block == 1 ? (double)n / 16 + 6 : 2.0 * (double)(n / block) + 3;
}

/* Sum of the magnitudes of the terms that the decoded weights are made of: q and minimum apart,
 * because they may cancel in the weight. A minimum counts once for each of its values. */
static double magnitude_of_minimums(quant_type type, const uint8_t *w, const double *x, size_t n) {
    double total = 0;
    block32 b32;
    block256 b256;
    for (size_t k = 0; k < n; k++) {
        if (type == QUANT_Q4_1 || type == QUANT_Q5_1) {
            const block32_format *format = type == QUANT_Q4_1 ? &block32_q4_1 : &block32_q5_1;
            format->unpack(w + k / 32 * format->bytes, &b32);
            total += 2 * fabs(b32.m * x[k]);
        }
        const block256_format *format = type == QUANT_Q2_K   ? &block256_q2_k
                                        : type == QUANT_Q4_K ? &block256_q4_k
                                        : type == QUANT_Q5_K ? &block256_q5_k
                                                             : NULL;
        if (format) {
            format->unpack(w + k / 256 * format->bytes, &b256);
            total += 2 * fabs((double)b256.dmin * b256.min[k % 256 / 16] * x[k]);
        }
    }
    return total;
}

enum { EXACT_N_IN = 1024, EXACT_N_OUT = 256 };

typedef struct exact_result {
    double worst; /* largest error as a share of its bound */
    double nmse;  /* of the product against float64 on the original activations */
} exact_result;

static exact_result exact_product(const kernel_table *plain, quant_type type) {
    static float w32[EXACT_N_IN], x32[EXACT_N_IN];
    static double x_row[EXACT_N_IN];
    static uint8_t w[EXACT_N_IN * 4];
    _Alignas(64) static uint8_t row[EXACT_N_IN * 4];
    double error = 0, power = 0, worst = 0;
    for (int r = 0; r < EXACT_N_OUT; r++) {
        random_weights(type, ORDINARY, w, EXACT_N_IN);
        random_floats(ORDINARY, x32, EXACT_N_IN);
        plain->decode[type](w, w32, EXACT_N_IN);
        plain->make_row[kernel_row_of(type)](x32, EXACT_N_IN, row);
        row_values(kernel_row_of(type), row, EXACT_N_IN, x_row);
        double exact = 0, original = 0, magnitude = 0;
        for (int k = 0; k < EXACT_N_IN; k++) {
            exact += (double)w32[k] * x_row[k];
            original += (double)w32[k] * x32[k];
            magnitude += fabs(w32[k] * x_row[k]);
        }
        magnitude += magnitude_of_minimums(type, w, x_row, EXACT_N_IN);
        float y;
        plain->matmul[type](1, 1, EXACT_N_IN, w, sizeof w, row, sizeof row, &y, 1, NULL);
        worst = fmax(worst, fabs(y - exact) / (roundings(type, EXACT_N_IN) * EPS * magnitude));
        error += (y - original) * (y - original);
        power += original * original;
    }
    return (exact_result){worst, error / power};
}

static void exact_products(const kernel_table *plain) {
    printf("plain against float64, n_in %d: largest error / bound, NMSE with the activations' own "
           "rounding\n",
           EXACT_N_IN);
    for (uint32_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        if (plain->matmul[type]) {
            const exact_result result = exact_product(plain, (quant_type)type);
            const char *name = quant_format_of(type)->name;
            printf("  %-5s %.3f  %.3g\n", name, result.worst, result.nmse);
            check(result.worst <= 1, "%s beyond its error bound", name);
            check(result.nmse <= 1e-4, "%s NMSE %g", name, result.nmse);
        }
    }
}

/* ---- sixteen at once ------------------------------------------------------------------------ */

/* Operands of which double arithmetic alone would round a * b + c twice to harm: c has an odd last
 * bit, and the product is a little less than half of that bit's weight. */
static void nearly_middle(float *a, float *b, float *c, bool is_subnormal) {
    const uint32_t fraction = (uint32_t)random_u64(&rng) & 0x7ffffe;
    const int shift = is_subnormal ? 0 : (int)pick(60) - 30;
    *c = is_subnormal ? bits_float(fraction | 0x1001)
                      : ldexpf(bits_float(0x3f800001 | fraction), shift);
    *a = is_subnormal ? 0x1.000002p-75f : 0x1.000002p-12f;
    *b = is_subnormal ? 0x1.fffffcp-76f : ldexpf(0x1.fffffcp-13f, shift);
}

/* The loops that avoid fmaf() against fmaf(), on data of every kind. */
static void exact_fma16(void) {
    float a[16], b[16], c[16], s[16];
    bool is_right = true, is_right_flushed = true;
    for (size_t round = 0; round < 40000 / step; round++) {
        random_floats((kind)(round % KINDS), a, 16);
        random_floats((kind)(pick(2) ? round % KINDS : pick(KINDS)), b, 16);
        random_floats((kind)pick(KINDS), c, 16);
        if (pick(2)) {
            const size_t at = pick(16);
            nearly_middle(&a[at], &b[at], &c[at], pick(2));
        }
        memcpy(s, c, sizeof s);
        ref_fma16(a, b, s);
        for (int i = 0; i < 16; i++) {
            is_right &= same_float(s[i], fmaf(a[i], b[i], c[i]));
            a[i] = quant_bf16_to_f32(quant_f32_to_bf16(a[i]));
            b[i] = quant_bf16_to_f32(quant_f32_to_bf16(b[i]));
            a[i] = fabsf(a[i]) < 0x1p-126f ? 0 : a[i]; /* as the caller does */
            b[i] = fabsf(b[i]) < 0x1p-126f ? 0 : b[i];
            c[i] = fabsf(c[i]) < 0x1p-126f ? 0 : c[i];
        }
        memcpy(s, c, sizeof s);
        ref_fma16_flushed(a, b, s);
        for (int i = 0; i < 16; i++) {
            is_right_flushed &= same_float(s[i], ref_fma_flushed(a[i], b[i], c[i]));
        }
    }
    float x = 0, y = 0, z = 0;
    for (int i = 0; i < 2; i++) {
        nearly_middle(&x, &y, &z, i);
        check((float)((double)x * y + z) != fmaf(x, y, z), "the hard case is not hard");
    }
    check(is_right, "ref_fma16 is not fmaf");
    check(is_right_flushed, "ref_fma16_flushed is not ref_fma_flushed");
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* The definition of a Q8 row once more, in other words: C's own rounding, float64 for the check. */
static void exact_q8_rows(const kernel_table *plain) {
    static float x[1024];
    _Alignas(64) static uint8_t row[8192];
    for (int round = 0; round < 200; round++) {
        const kernel_row form = round % 2 ? KERNEL_ROW_Q8_32 : KERNEL_ROW_Q8_256;
        const size_t block = round % 2 ? 32 : 256;
        random_floats(round % 10 == 0 ? TINY : ORDINARY, x, 1024);
        plain->make_row[form](x, 1024, row);
        const float *scales = (const float *)(const void *)(row + kernel_q8_scales_at(1024));
        const int16_t *sums = (const int16_t *)(const void *)(row + kernel_q8_sums_at(1024, block));
        bool is_right = true;
        for (size_t b = 0; b < 1024 / block; b++) {
            float amax = 0;
            for (size_t k = 0; k < block; k++) {
                amax = fmaxf(amax, fabsf(x[b * block + k]));
            }
            const bool is_zero = isinf(127 / amax);
            is_right = is_right && scales[b] == (is_zero ? 0 : amax / 127);
            for (size_t k = b * block; k < (b + 1) * block; k++) {
                const long value = is_zero ? 0 : lrintf(x[k] * (127 / amax));
                is_right = is_right && (int8_t)row[k] == value && labs(value) <= 127;
            }
        }
        for (size_t g = 0; g < 1024 / 16; g++) {
            int sum = 0;
            for (size_t k = 0; k < 16; k++) {
                sum += (int8_t)row[16 * g + k];
            }
            is_right = is_right && sums[g] == sum;
        }
        check(is_right, "plain Q8 row, block %zu", block);
    }
    x[700] = INFINITY;
    x[20] = NAN;
    plain->make_row[KERNEL_ROW_Q8_256](x, 1024, row);
    const float *scales = (const float *)(const void *)(row + kernel_q8_scales_at(1024));
    check(isnan(scales[0]) && !isnan(scales[1]) && isnan(scales[2]) && row[20] == 0 && row[0] == 0,
          "plain Q8 row with infinity and NaN");
}

/* ---- vectors -------------------------------------------------------------------------------- */

static double exact_silu(double v) {
    return v / (1 + exp(-v));
}

static double exact_gelu(double v) {
    return 0.5 * v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v)));
}

/* Whether gelu_erf, relu and add_ramp do what they say; gelu_erf to so many roundings of |v| (erf
 * within two units, its argument's rounding, sum, product). */
static bool exact_parts(const kernel_table *plain, const float *x, size_t n) {
    static float gelu[1024], relu[1024], ramp[1024];
    memcpy(gelu, x, n * sizeof *x);
    memcpy(relu, x, n * sizeof *x);
    memcpy(ramp, x, n * sizeof *x);
    plain->gelu_erf(gelu, n);
    plain->relu(relu, n);
    plain->add_ramp(ramp, 0.25f, -700, n);
    bool right = true;
    for (size_t k = 0; k < n; k++) {
        const double v = x[k], sum = v + 0.25 * ((double)k - 700);
        right &=
            fabs(gelu[k] - 0.5 * v * (1 + erf(v * 0.70710678118654752440))) <= 8 * EPS * fabs(v);
        right &= relu[k] == (x[k] > 0 ? x[k] : 0);
        right &= fabs(ramp[k] - sum) <= EPS * fabs(sum) * (1 + 1e-6);
    }
    return right;
}

/* Whether rope_halves does to pairs (i, n_pair + i) what rope_pairs does to neighbours. */
static bool exact_halves(const kernel_table *plain, const float *x, const float *cs,
                         size_t n_pair) {
    static float pairs[1024], halves[1024];
    for (size_t i = 0; i < n_pair; i++) {
        pairs[2 * i] = halves[i] = x[2 * i];
        pairs[2 * i + 1] = halves[n_pair + i] = x[2 * i + 1];
    }
    plain->rope_pairs(pairs, cs, n_pair);
    plain->rope_halves(halves, cs, n_pair);
    bool same = true;
    for (size_t i = 0; i < n_pair; i++) {
        same &= pairs[2 * i] == halves[i] && pairs[2 * i + 1] == halves[n_pair + i];
    }
    return same;
}

/* Elementwise entries. Bounds are in roundings of the result: silu_mul exp within one unit (two
 * roundings), sum, quotient, product; gelu_tanh as an absolute error of so many roundings of |v|,
 * since 1 + tanh cancels (tanh within two units, its argument's four roundings, sum, product);
 * gelu_tanh_mul one more; soft_cap the quotient (handed on by the slope of tanh, at most 1), tanh
 * within two units, the product. */
static void exact_elements(const kernel_table *plain, size_t n) {
    static float x[1024], z[1024], y[1024], g[1024];
    random_floats(ORDINARY, x, n);
    random_floats(ORDINARY, z, n);
    bool is_right[5] = {true, true, true, true, true};
    plain->silu_mul(x, z, y, n);
    memcpy(g, x, sizeof g);
    plain->gelu_tanh(g, n);
    for (size_t k = 0; k < n; k++) {
        const double silu = exact_silu(x[k]) * z[k];
        is_right[0] &= fabs(y[k] - silu) <= 5 * EPS * fabs(silu);
        is_right[1] &= fabs(g[k] - exact_gelu(x[k])) <= 10 * EPS * fabs(x[k]);
    }
    bool gated = true, capped = true;
    plain->gelu_tanh_mul(x, z, y, n);
    memcpy(g, x, sizeof g);
    plain->soft_cap(0.75f, g, n);
    for (size_t k = 0; k < n; k++) {
        const double gelu = exact_gelu(x[k]) * z[k], cap = 0.75 * tanh(x[k] / 0.75);
        gated &= fabs(y[k] - gelu) <= 11 * EPS * fabs((double)x[k] * z[k]);
        capped &= fabs(g[k] - cap) <= 6 * EPS * fabs(cap);
    }
    check(gated && capped, "plain gelu_tanh_mul %d, soft_cap %d, n %zu", gated, capped, n);
    memcpy(y, z, sizeof y);
    const float factor = 1.7f;
    plain->mix[QUANT_F32](1, 1, n, &factor, 1, x, n * sizeof *x, 0, y, n, true);
    memcpy(g, z, sizeof g);
    plain->exp_shifted(g, 2.5f, n);
    for (size_t k = 0; k < n; k++) {
        const double sum = (double)1.7f * x[k] + z[k], e = exp((double)(z[k] - 2.5f));
        is_right[2] &= fabs(y[k] - sum) <= EPS * fabs(sum) * (1 + 1e-6);
        is_right[3] &= fabs(g[k] - e) <= 2 * EPS * e;
    }
    memcpy(y, x, sizeof y);
    plain->rope_pairs(y, z, n / 2);
    for (size_t i = 0; i + 1 < n; i += 2) {
        const double a = x[i], b = x[i + 1], c = z[i], s = z[i + 1];
        is_right[4] &= fabs(y[i] - (a * c - b * s)) <= 2 * EPS * (fabs(a * c) + fabs(b * s));
        is_right[4] &= fabs(y[i + 1] - (a * s + b * c)) <= 2 * EPS * (fabs(a * s) + fabs(b * c));
    }
    check(exact_parts(plain, x, n), "plain gelu_erf, relu or add_ramp n %zu", n);
    check(exact_halves(plain, x, z, n / 2), "plain rope_halves n %zu", n);
    check(is_right[0] && is_right[1] && is_right[2] && is_right[3] && is_right[4],
          "plain elementwise entries n %zu: silu %d gelu %d mix %d exp %d rope %d", n, is_right[0],
          is_right[1], is_right[2], is_right[3], is_right[4]);
}

/* Sums and norms. A norm's factor has the roundings of its sum halved by the root, and five more;
 * layer_norm subtracts a mean first, whose error counts against the largest value. */
static void exact_sums(const kernel_table *plain, size_t n) {
    static float x[1024], z[1024], bias[1024], y[1024];
    random_floats(ORDINARY, x, n);
    random_floats(ORDINARY, z, n);
    random_floats(ORDINARY, bias, n);
    const double steps = (double)n / 16 + 6;
    double dot = 0, dot_size = 0, sum = 0, sum_size = 0, squares = 0, largest = -INFINITY;
    for (size_t k = 0; k < n; k++) {
        dot += (double)x[k] * z[k];
        dot_size += fabs((double)x[k] * z[k]);
        sum += x[k];
        sum_size += fabs(x[k]);
        squares += (double)x[k] * x[k];
        largest = fmax(largest, x[k]);
    }
    check(fabs(plain->dot(x, z, n) - dot) <= steps * EPS * dot_size, "plain dot n %zu", n);
    check(fabs(plain->sum(x, n) - sum) <= steps * EPS * sum_size, "plain sum n %zu", n);
    check(plain->max(x, n) == largest, "plain max n %zu", n);

    plain->rms_norm(x, z, 1e-5f, y, n);
    const double rms = sqrt(squares / (double)n + (double)1e-5f);
    bool is_right = true;
    for (size_t k = 0; k < n; k++) {
        const double exact = x[k] / rms * z[k];
        is_right &= fabs(y[k] - exact) <= (steps / 2 + 5) * EPS * fabs(exact);
    }
    check(is_right, "plain rms_norm n %zu", n);

    plain->layer_norm(x, z, bias, 1e-5f, y, n);
    const double mean = sum / (double)n;
    double variance = 0, spread = 0;
    for (size_t k = 0; k < n; k++) {
        variance += (x[k] - mean) * (x[k] - mean) / (double)n;
        spread = fmax(spread, fabs(x[k]) + fabs(mean));
    }
    const double deviation = sqrt(variance + (double)1e-5f);
    is_right = true;
    for (size_t k = 0; k < n; k++) {
        const double factor = z[k] / deviation, exact = (x[k] - mean) * factor + bias[k];
        is_right &=
            fabs(y[k] - exact) <= (2 * steps + 8) * EPS * (spread * fabs(factor) + fabs(bias[k]));
    }
    check(n == 1 || is_right, "plain layer_norm n %zu", n);
}

static void exact_vectors(const kernel_table *plain) {
    for (size_t n = 1; n <= 70; n++) {
        exact_elements(plain, n);
        exact_sums(plain, n);
    }
    exact_elements(plain, 1024);
    exact_sums(plain, 1024);
    float numbers[] = {-0.0f, -3, NAN, 7};
    check(float_bits(plain->max(numbers, 1)) == 0 && isnan(plain->max(numbers, 4)) &&
              float_bits(plain->max(numbers, 2)) == 0,
          "plain max of zeros and NaN");
}

#endif
