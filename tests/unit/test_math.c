/* Our exp, log, tanh, erf, sin, cos and pow against the system's in greater precision.
 *
 * The bounds are those that ref/math.c states. The system's functions are right to less than one
 * unit of their own, larger, type.
 */
#include "base/random.h"
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Error in units of the last place of a float of the size of `exact`. */
static double units(float value, double exact) {
    int exponent = -125; /* of the least normal number, in frexp's way of counting */
    if (fabs(exact) >= FLT_MIN) {
        frexp(exact, &exponent);
    }
    return fabs(value - exact) / ldexp(1, exponent - 24);
}

/* Every 1021st float. */
static void exp_tanh_and_erf_are_within_bounds(void **state) {
    (void)state;
    double worst_exp = 0, worst_tanh = 0, worst_erf = 0;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += 1021) {
        const float x = float_of((uint32_t)bits);
        const double e = exp((double)x), t = tanh((double)x);
        if (isnan(x)) {
            assert_true(isnan(kernel_exp(x)) && isnan(kernel_tanh(x)) && isnan(kernel_erf(x)));
            continue;
        }
        worst_tanh = fmax(worst_tanh, units(kernel_tanh(x), t));
        worst_erf = fmax(worst_erf, units(kernel_erf(x), erf((double)x)));
        if (e <= (double)FLT_MAX) {
            worst_exp = fmax(worst_exp, units(kernel_exp(x), e));
        } else if (e > (double)FLT_MAX * (1 + 0x1p-23)) {
            assert_true(isinf(kernel_exp(x)));
        }
    }
    print_message("largest error: exp %.3f units, tanh %.3f units, erf %.3f units\n", worst_exp,
                  worst_tanh, worst_erf);
    assert_true(worst_exp < 1);
    assert_true(worst_tanh < 2);
    assert_true(worst_erf < 2);
}

static void exp_tanh_and_erf_at_special_values(void **state) {
    (void)state;
    assert_true(kernel_exp(0) == 1 && kernel_exp(-0.0f) == 1);
    assert_true(kernel_exp(-INFINITY) == 0 && kernel_exp(-103.98f) == 0);
    assert_true(kernel_exp(-103.97f) == 0x1p-149f);
    assert_true(isinf(kernel_exp(INFINITY)) && isinf(kernel_exp(88.73f)));
    assert_true(kernel_exp(88.72f) < INFINITY);
    assert_true(kernel_tanh(INFINITY) == 1 && kernel_tanh(-INFINITY) == -1);
    assert_true(kernel_tanh(0) == 0 && signbit(kernel_tanh(-0.0f)));
    assert_true(kernel_tanh(0x1p-149f) == 0x1p-149f);
    assert_true(kernel_erf(INFINITY) == 1 && kernel_erf(-INFINITY) == -1 && kernel_erf(4) == 1);
    assert_true(kernel_erf(0) == 0 && signbit(kernel_erf(-0.0f)));
}

static void sin_and_cos_are_within_bounds(void **state) {
    (void)state;
    random_state rng;
    random_seed(&rng, 3);
    double worst_sin = 0, worst_cos = 0;
    for (int i = 0; i < 300000; i++) {
        const double scale = ldexp(1, (int)(random_u64(&rng) % 49) - 8); /* up to 2^40 */
        const double x = (2 * random_unit(&rng) - 1) * scale;
        worst_sin = fmax(worst_sin, (double)fabsl(kernel_sin(x) - sinl(x)));
        worst_cos = fmax(worst_cos, (double)fabsl(kernel_cos(x) - cosl(x)));
    }
    print_message("largest error: sin %.3g, cos %.3g\n", worst_sin, worst_cos);
    assert_true(worst_sin < 4e-16);
    assert_true(worst_cos < 4e-16);
    assert_true(kernel_cos(0) == 1 && kernel_sin(0) == 0 && signbit(kernel_sin(-0.0)));
    assert_true(isnan(kernel_sin(0x1.1p40)) && isnan(kernel_cos(INFINITY)));
    assert_true(isnan(kernel_sin(NAN)));
}

static void pow_is_within_bounds(void **state) {
    (void)state;
    random_state rng;
    random_seed(&rng, 4);
    double worst = 0;
    for (int i = 0; i < 300000; i++) {
        const double base = exp((2 * random_unit(&rng) - 1) * (i % 2 ? 700 : 15));
        const double exponent = (2 * random_unit(&rng) - 1) * (i % 3 ? 1 : 20);
        const long double exact = powl(base, exponent);
        if (exact >= DBL_MIN && exact <= DBL_MAX) {
            worst = fmax(worst, (double)(fabsl(kernel_pow(base, exponent) - exact) / exact));
        }
    }
    print_message("largest relative error: pow %.3g\n", worst);
    assert_true(worst < 4e-16);
}

static void log_is_within_bounds(void **state) {
    (void)state;
    random_state rng;
    random_seed(&rng, 5);
    double worst = 0;
    for (int i = 0; i < 300000; i++) {
        const double x = exp((2 * random_unit(&rng) - 1) * (i % 2 ? 700 : 1));
        const long double exact = logl(x);
        if (exact != 0) {
            worst = fmax(worst, (double)fabsl((kernel_log(x) - exact) / exact));
        }
    }
    print_message("largest relative error: log %.3g\n", worst);
    assert_true(worst < 2e-16);
    assert_true(kernel_log(1) == 0 && fabs(kernel_log(0x1p-1074) + 744.44007192138122) < 1e-12);
    assert_true(isnan(kernel_log(0)) && isnan(kernel_log(-1)) && isnan(kernel_log(INFINITY)));
    assert_true(isnan(kernel_log(NAN)));
}

static void pow_at_special_values(void **state) {
    (void)state;
    assert_true(kernel_pow(10, 2) == 100 && kernel_pow(2, -1074) == 0x1p-1074);
    assert_true(kernel_pow(0x1p-1074, 1) == 0x1p-1074 && kernel_pow(2, 1023) == 0x1p1023);
    assert_true(isinf(kernel_pow(2, 1024)) && kernel_pow(2, -1080) == 0);
    assert_true(kernel_pow(7, 0) == 1 && kernel_pow(1, INFINITY) == 1);
    assert_true(kernel_pow(INFINITY, -1) == 0 && isinf(kernel_pow(0.5, -INFINITY)));
    assert_true(kernel_pow(1e300, 1e300) == INFINITY && kernel_pow(1e300, -1e300) == 0);
    assert_true(isnan(kernel_pow(0, 1)) && isnan(kernel_pow(-1, 1)) && isnan(kernel_pow(NAN, 1)));
    assert_true(isnan(kernel_pow(2, NAN)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_tanh_and_erf_are_within_bounds),
        cmocka_unit_test(exp_tanh_and_erf_at_special_values),
        cmocka_unit_test(sin_and_cos_are_within_bounds),
        cmocka_unit_test(log_is_within_bounds),
        cmocka_unit_test(pow_is_within_bounds),
        cmocka_unit_test(pow_at_special_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
