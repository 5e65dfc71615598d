/* math.c - exp, log, tanh, erf, sin, cos and pow, the same bits on every machine.
 *
 * Largest errors measured, and in brackets what tests/unit/test_math.c allows:
 *
 *   kernel_exp    0.89 units in the last place, over all floats (1); so too where subnormal
 *   kernel_tanh   1.36 units, over all floats (2)
 *   kernel_erf    1.11 units, over all floats (2)
 *   kernel_sin, kernel_cos   1.5e-16, absolute, |x| up to 2^40 (4e-16)
 *   kernel_log    1.2e-16, relative, at all positive numbers (2e-16)
 *   kernel_pow    1.6e-16, relative, where the result is a normal number (4e-16)
 *
 * Only additions, products, divisions and fma, in the order written; a vector form takes the same
 * steps per element.
 */
#include "kernels/ref/ref.h"

/* ---- float -------------------------------------------------------------------------------------
 *
 * exp(x) = 2^n exp(r), n the integer nearest to x / ln 2, |r| <= 0.347. exp(r) is a polynomial of
 * degree 6 whose first two coefficients are 1; the others minimise the greatest relative error
 * (3.2e-9, by reweighted least squares, each rounded to float in turn and the rest fitted again).
 * 2^n is applied as two factors, because n may be -150 or 128: the first product is exact, the
 * second rounds once, into subnormals or infinity where need be.
 *
 * At -104 and below the result is under half the least subnormal; at 89 and above it is infinite.
 * The clamps are written so that NaN passes them (in x86 terms: max(-104, x) then min(89, that)
 * with x as second operand). For NaN the integer n is meaningless but harmless: the product stays
 * NaN. */

/* 2^n as a float for -127 < n < 128; for other n, some float. */
static float two_to(int32_t n) {
    return ref_float((uint32_t)(n + 127) << 23);
}

float kernel_exp(float x) {
    const float log2_e = 0x1.715476p+0f;
    const float ln2_high = 0x1.62e430p-1f, ln2_low = -0x1.05c610p-29f;
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;

    /* As in ref_nearest: the sum's low bits are the integer nearest to x * log2_e. */
    const float shifted = fmaf(x, log2_e, 0x1.8p23f);
    const int32_t n = (int32_t)(ref_bits(shifted) - ref_bits(0x1.8p23f));
    const float n_float = shifted - 0x1.8p23f;
    float r = fmaf(n_float, -ln2_high, x);
    r = fmaf(n_float, -ln2_low, r);

    float p = 0x1.6a4e66p-10f;
    p = fmaf(p, r, 0x1.12397cp-7f);
    p = fmaf(p, r, 0x1.5558aep-5f);
    p = fmaf(p, r, 0x1.555492p-3f);
    p = fmaf(p, r, 0x1.fffffcp-2f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);

    const int32_t n_first = n >> 1; /* rounds down, also for negative n */
    return p * two_to(n_first) * two_to(n - n_first);
}

/* Never subnormal, so that a faster form can add n to the exponent in place of two products. */
float kernel_weight(float x) {
    return kernel_exp(x < -87.0f ? -87.0f : x);
}

/* Of a = |x|, with the sign of x put back: below 0.625 an odd polynomial, a + a^3 p(a^2), p of
 * degree 4 fitted as above (relative error 4.7e-9); from there 1 - 2 / (exp(2a) + 1). */
float kernel_tanh(float x) {
    const float a = fabsf(x);
    const float z = a * a;
    float p = -0x1.768eb8p-8f;
    p = fmaf(p, z, 0x1.525018p-6f);
    p = fmaf(p, z, -0x1.b84336p-5f);
    p = fmaf(p, z, 0x1.110760p-3f);
    p = fmaf(p, z, -0x1.555534p-2f);
    const float near = fmaf(z * p, a, a);
    const float far = 1.0f - 2.0f / (kernel_exp(a + a) + 1.0f);
    return copysignf(a < 0.625f ? near : far, x);
}

/* Of a = |x|, with the sign of x put back: below 0.9 a + a p(a^2), p of degree 6 fitted as above
 * (relative error 9.1e-10); from there 1 - exp(-a q(a)), q of degree 6 fitted to -ln(erfc(a)) / a
 * so that the result's error is smallest (8.0e-10), and a at most 4, where erf is 1 to the last
 * bit of a float. The clamp lets NaN pass. */
float kernel_erf(float x) {
    const float a = fabsf(x);
    const float z = a * a;
    float p = 0x1.4fa924p-14f;
    p = fmaf(p, z, -0x1.a61810p-11f);
    p = fmaf(p, z, 0x1.544b08p-8f);
    p = fmaf(p, z, -0x1.b80124p-6f);
    p = fmaf(p, z, 0x1.ce2d64p-4f);
    p = fmaf(p, z, -0x1.812740p-2f);
    p = fmaf(p, z, 0x1.06eba8p-3f);
    const float near = fmaf(p, a, a);

    const float b = a > 4.0f ? 4.0f : a;
    float q = 0x1.6941bcp-17f;
    q = fmaf(q, b, -0x1.4d8b14p-12f);
    q = fmaf(q, b, 0x1.dae168p-9f);
    q = fmaf(q, b, -0x1.84a2d8p-6f);
    q = fmaf(q, b, 0x1.b2f21ep-4f);
    q = fmaf(q, b, 0x1.45367cp-1f);
    q = fmaf(q, b, 0x1.20ee9ep+0f);
    const float far = 1.0f - kernel_exp(-(b * q));
    return copysignf(a < 0.9f ? near : far, x);
}

/* ---- double ------------------------------------------------------------------------------------
 *
 * The coefficients of every polynomial here are those of the Taylor series, carried so far that
 * the next term is below 2^-54 of the result; constants of several parts are the digits of
 * pi / 2 and ln 2 cut into doubles. */

/* 1 / k! */
static const double inverse_factorial[] = {
    1.0,
    1.0,
    1.0 / 2,
    1.0 / 6,
    1.0 / 24,
    1.0 / 120,
    1.0 / 720,
    1.0 / 5040,
    1.0 / 40320,
    1.0 / 362880,
    1.0 / 3628800,
    1.0 / 39916800,
    1.0 / 479001600,
    1.0 / 6227020800,
    1.0 / 87178291200,
    1.0 / 1307674368000,
    1.0 / 20922789888000,
};

/* r in [-0.79, 0.79] */
static double sin_near_zero(double r) {
    const double z = r * r;
    double p = 0;
    for (int k = 15; k >= 3; k -= 2) {
        p = fma(p, z, k % 4 == 3 ? -inverse_factorial[k] : inverse_factorial[k]);
    }
    return fma(p * z, r, r);
}

static double cos_near_zero(double r) {
    const double z = r * r;
    double p = 0;
    for (int k = 16; k >= 2; k -= 2) {
        p = fma(p, z, k % 4 == 2 ? -inverse_factorial[k] : inverse_factorial[k]);
    }
    return fma(p, z, 1.0);
}

/* sin(x + quarter_turns * pi / 2). x - n * (first part of pi / 2) is exact: both are multiples of
 * 2^-52 and the difference is small. NaN for |x| > 2^40, infinities and NaN. */
static double sin_turned(double x, unsigned quarter_turns) {
    if (!(fabs(x) <= 0x1p40)) {
        return NAN;
    }
    const double half_pi_1 = 0x1.921fb54442d18p+0, half_pi_2 = 0x1.1a62633145c07p-54,
                 half_pi_3 = -0x1.f1976b7ed8fbcp-110;
    const double n = fma(x, 0x1.45f306dc9c883p-1, 0x1.8p52) - 0x1.8p52;
    double r = fma(n, -half_pi_1, x);
    r = fma(n, -half_pi_2, r);
    r = fma(n, -half_pi_3, r);
    const unsigned turn = (unsigned)((int64_t)n & 3) + quarter_turns;
    const double value = turn & 1 ? cos_near_zero(r) : sin_near_zero(r);
    return turn & 2 ? -value : value;
}

double kernel_sin(double x) {
    return x == 0 ? x : sin_turned(x, 0);
}

double kernel_cos(double x) {
    return sin_turned(x, 1);
}

/* A number as the sum of a double and a much smaller one. */
typedef struct pair {
    double high;
    double low;
} pair;

static const double ln2_high = 0x1.62e42fefa3800p-1; /* 42 bits: times an exponent it is exact */
static const double ln2_low = 0x1.ef35793c76730p-45;

/* a + b for |a| >= |b|, with what rounding loses. */
static pair add_pair(double a, double b) {
    const double sum = a + b;
    return (pair){sum, b - (sum - a)};
}

/* Logarithm of a finite x > 0. x = 2^e m, m in [sqrt(1/2), sqrt(2)); with s = (m - 1) / (m + 1),
 * at most 0.172, ln m = 2 (s + s^3 / 3 + s^5 / 5 ...). s is kept as a pair, because an error of s
 * reaches the result whole; the rest of the series is at most a hundredth of it. */
static pair log_pair(double x) {
    int64_t bits;
    int64_t e = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        e = -54;
    }
    memcpy(&bits, &x, sizeof bits);
    e += (bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffff) | 0x3ff0000000000000;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m >= 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        e++;
    }

    const double above = m - 1.0; /* exact */
    const pair below = add_pair(m > 1 ? m : 1.0, m > 1 ? 1.0 : m);
    const double s = above / below.high;
    const double s_low = (fma(-s, below.high, above) - s * below.low) / below.high;
    const double z = s * s;
    double p = 0;
    for (int k = 23; k >= 3; k -= 2) {
        p = fma(p, z, 1.0 / k);
    }
    const double rest = 2 * (s_low + s * z * p) + (double)e * ln2_low;
    if (e == 0) {
        return add_pair(2 * s, rest);
    }
    const pair sum = add_pair((double)e * ln2_high, 2 * s);
    return add_pair(sum.high, sum.low + rest);
}

/* 2^n as a double for -1023 < n < 1024. */
static double double_two_to(int64_t n) {
    const int64_t bits = (n + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* exp(x.high + x.low), as kernel_exp does it. */
static double exp_pair(pair x) {
    if (!(x.high > -746)) {
        return isnan(x.high) ? x.high : 0;
    }
    if (x.high > 710) {
        return INFINITY;
    }
    const double n = fma(x.high, 0x1.71547652b82fep+0, 0x1.8p52) - 0x1.8p52;
    const double r_high = fma(n, -ln2_high, x.high); /* exact: n has 11 bits */
    const double r = r_high + fma(n, -ln2_low, x.low);
    double p = 0;
    for (int k = 14; k >= 2; k--) {
        p = fma(p, r, inverse_factorial[k]);
    }
    const double value = 1.0 + fma(p * r, r, r);
    const int64_t n_first = (int64_t)n / 2;
    return value * double_two_to(n_first) * double_two_to((int64_t)n - n_first);
}

double kernel_pow(double base, double exponent) {
    if (!(base > 0) || isnan(exponent)) {
        return NAN;
    }
    if (exponent == 0 || base == 1) {
        return 1;
    }
    if (isinf(base) || isinf(exponent)) {
        return (base > 1) == (exponent > 0) ? INFINITY : 0;
    }
    const pair log = log_pair(base);
    const double product = exponent * log.high;
    if (!(fabs(product) < 1e4)) { /* far out of range, or beyond double */
        return product > 0 ? INFINITY : 0;
    }
    const double lost = fma(exponent, log.high, -product);
    return exp_pair(add_pair(product, fma(exponent, log.low, lost)));
}

double kernel_log(double x) {
    if (!(x > 0) || isinf(x)) {
        return NAN;
    }
    const pair log = log_pair(x);
    return log.high + log.low;
}
