/* Scores of tokens against sums done by hand: three tokens of a vocabulary of two. */
#include "cli/scores.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void near_to(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-7 * (1 + fabs(expected)))) {
        fail_msg("expected %.12g, found %.12g", expected, found);
    }
}

/* The mean of three values, and its standard error, by the definition. */
static void expect_moments(const moments *m, double a, double b, double c) {
    const double mean = (a + b + c) / 3;
    const double squares =
        (a - mean) * (a - mean) + (b - mean) * (b - mean) + (c - mean) * (c - mean);
    assert_int_equal(m->n, 3);
    near_to(m->mean, mean);
    near_to(moments_error(m), sqrt(squares / 2 / 3));
}

static bool add(scores *s, float l0, float l1, float p0, float p1, int32_t token) {
    const float logits[2] = {l0, l1}, log_p[2] = {p0, p1};
    const token_score t = token_score_of(logits, s->room ? log_p : NULL, 2, token);
    return scores_add(s, &t);
}

/* q = 3/4, 1/4 and p = 1/2, 1/2;  q = 1/2, 1/2 and p = 9/10, 1/10;  q = 1/5, 4/5 and p = 4/5, 1/5:
 * where two are equal the first is the top. */
static void add_three(scores *s) {
    assert_true(add(s, logf(3), 0, logf(0.5F), logf(0.5F), 0));
    assert_true(add(s, 2, 2, logf(0.9F), logf(0.1F), 1));
    assert_true(add(s, 0, logf(4), logf(0.8F), logf(0.2F), 1));
}

static void log_sums(void **state) {
    (void)state;
    size_t top;
    near_to(scores_log_sum((float[]){1, 3, 3, 2}, 4, &top), log(exp(1) + 2 * exp(3) + exp(2)));
    assert_int_equal(top, 1);
    near_to(scores_log_sum((float[]){1000, 1000}, 2, &top), 1000 + log(2));
    near_to(scores_log_sum((float[]){-INFINITY, 5}, 2, &top), 5);
    assert_true(isnan(scores_log_sum((float[]){NAN, 5}, 2, &top)));
    assert_true(isnan(scores_log_sum((float[]){5, NAN}, 2, &top)));
}

static void spreads_do_not_cancel(void **state) {
    (void)state;
    moments m = {0};
    assert_true(moments_error(&m) == 0);
    moments_add(&m, 1e9);
    assert_true(moments_error(&m) == 0);
    moments_add(&m, 1e9 + 1);
    moments_add(&m, 1e9 + 2);
    near_to(m.mean, 1e9 + 1);
    near_to(moments_error(&m), sqrt(1.0 / 3));
}

static void by_itself(void **state) {
    (void)state;
    scores s;
    assert_true(scores_begin(&s, 0));
    add_three(&s);
    expect_moments(&s.nll, log(4.0 / 3), log(2), log(1.25));
    assert_int_equal(s.divergence.n, 0);
    assert_false(add(&s, NAN, 0, 0, 0, 0));
    assert_false(add(&s, NAN, 0, 0, 0, 1));
    assert_false(add(&s, INFINITY, 0, 0, 0, 0));
    assert_false(add(&s, 0, -INFINITY, 0, 0, 1));
    assert_int_equal(s.nll.n, 3);
    scores_end(&s);
}

static void beside_a_reference(void **state) {
    (void)state;
    scores s;
    assert_true(scores_begin(&s, 3));
    add_three(&s);
    scores_sort(&s);
    expect_moments(&s.nll, log(4.0 / 3), log(2), log(1.25));
    expect_moments(&s.reference, log(2), log(10), log(5));
    expect_moments(&s.difference, log(2.0 / 3), log(0.2), log(0.25));
    const double kl[3] = {0.5 * log(4.0 / 3), 0.9 * log(1.8) + 0.1 * log(0.2), 0.6 * log(4)};
    expect_moments(&s.divergence, kl[0], kl[1], kl[2]);
    expect_moments(&s.delta_p, 0.25, 0.4, 0.6);
    expect_moments(&s.delta_p_squared, 0.0625, 0.16, 0.36);
    near_to(scores_percentile(&s, 0), kl[0]);
    near_to(scores_percentile(&s, 0.5), kl[1]);
    near_to(scores_percentile(&s, 0.9), 0.2 * kl[1] + 0.8 * kl[2]);
    near_to(scores_percentile(&s, 1), kl[2]);
    double error;
    near_to(scores_same_top(&s, &error), 2.0 / 3);
    near_to(error, sqrt(2.0 / 9 / 2));
    near_to(scores_rms_delta_p(&s, &error), sqrt((0.0625 + 0.16 + 0.36) / 3));
    near_to(error, moments_error(&s.delta_p_squared) / 2 / sqrt((0.0625 + 0.16 + 0.36) / 3));
    /* There is no room for a fourth. */
    assert_false(add(&s, 0, 0, logf(0.5F), logf(0.5F), 0));
    scores_end(&s);
}

/* What the reference has at -16 or below counts as impossible, even where the model says never. */
static void the_impossible_does_not_count(void **state) {
    (void)state;
    scores s;
    assert_true(scores_begin(&s, 3));
    assert_true(add(&s, 0, -INFINITY, 0, -16, 0));
    near_to(s.divergence.mean, 0);
    assert_true(add(&s, 0, 0, 0, -17, 0));
    near_to(s.divergences[1], log(2));
    assert_false(add(&s, 0, -INFINITY, 0, -15.9F, 0));
    scores_end(&s);
}

/* Exactly 0, which the rounding of a saved reference makes 1e-7 or so. */
static void of_a_model_with_itself(void **state) {
    (void)state;
    scores s;
    assert_true(scores_begin(&s, 1));
    const float logits[3] = {0.5F, -1, 2};
    float log_p[3];
    size_t top;
    const double log_sum = scores_log_sum(logits, 3, &top);
    for (size_t i = 0; i < 3; i++) {
        log_p[i] = (float)((double)logits[i] - log_sum);
    }
    const token_score t = token_score_of(logits, log_p, 3, 1);
    assert_true(t.log_sum == log_sum);
    assert_true(scores_add(&s, &t));
    scores_sort(&s);
    assert_true(fabs(s.divergence.mean) < 1e-7);
    assert_true(fabs(s.difference.mean) < 1e-7);
    double error;
    near_to(scores_percentile(&s, 0.5), 0);
    near_to(scores_same_top(&s, &error), 1);
    assert_true(error == 0);
    scores_end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_sums),
        cmocka_unit_test(spreads_do_not_cancel),
        cmocka_unit_test(by_itself),
        cmocka_unit_test(beside_a_reference),
        cmocka_unit_test(the_impossible_does_not_count),
        cmocka_unit_test(of_a_model_with_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
