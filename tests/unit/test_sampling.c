/* The chain of samplers: each step against sets computed by hand, draws against another program's
 * and against the distribution they come from. */
#include "sampling/sampling.h"

#include "base/random.h"
#include "base/size.h"
#include "sampling/candidates.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- counting allocations ------------------------------------------------------------------- */

/* Sanitizers bring their own malloc, which must not be replaced. */
#if defined(__SANITIZE_ADDRESS__)
#define COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(COUNTS_ALLOCATIONS) && defined(__GLIBC__)
#define COUNTS_ALLOCATIONS 1
#endif

static size_t allocations;

#if COUNTS_ALLOCATIONS
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *pointer, size_t bytes);

void *malloc(size_t bytes) {
    allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    allocations++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *pointer, size_t bytes) {
    allocations++;
    return __libc_realloc(pointer, bytes);
}
#endif

/* ---- helpers -------------------------------------------------------------------------------- */

/* Nothing filters, nothing penalises. */
static sl_sampler_options plain(float temperature) {
    return (sl_sampler_options){.seed = 1,
                                .temperature = temperature,
                                .top_p = 1,
                                .repeat_penalty = 1,
                                .repeat_last_n = 64};
}

static sl_sampler *create(size_t n_vocab, const sl_sampler_options *options) {
    sl_sampler *sampler = NULL;
    sl_error error = {0};
    if (sl_sampler_create(n_vocab, options, &sampler, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return sampler;
}

static int32_t sample(sl_sampler *sampler, const float *logits) {
    int32_t token = -1;
    sl_error error = {0};
    if (sl_sampler_sample(sampler, logits, &token, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return token;
}

/* One token, by a sampler that has accepted `count` tokens. */
static int32_t sample_after(const sl_sampler_options *options, const float *logits, size_t n_vocab,
                            const int32_t *accepted, size_t count) {
    sl_sampler *sampler = create(n_vocab, options);
    for (size_t i = 0; i < count; i++) {
        sl_sampler_accept(sampler, accepted[i]);
    }
    const int32_t token = sample(sampler, logits);
    sl_sampler_free(sampler);
    return token;
}

/* Draws often, and expects exactly the tokens of a set to come: each of them has a probability of
 * at least 1/100 in these tests, and 0.99^5000 is 1e-22. */
static void expect_set(sl_sampler_options options, const float *logits, size_t n_vocab,
                       const char *tokens) {
    enum { MOST = 16 };
    bool seen[MOST] = {false};
    assert_true(n_vocab <= MOST);
    sl_sampler *sampler = create(n_vocab, &options);
    for (int i = 0; i < 5000; i++) {
        seen[sample(sampler, logits)] = true;
    }
    for (size_t i = 0; i < n_vocab; i++) {
        const bool expected = strchr(tokens, (char)('0' + i)) != NULL;
        if (seen[i] != expected) {
            fail_msg("token %zu is %s", i, expected ? "never drawn" : "drawn");
        }
    }
    sl_sampler_free(sampler);
}

/* ---- greedy --------------------------------------------------------------------------------- */

static void greedy_takes_the_first_of_the_largest(void **state) {
    (void)state;
    const float logits[] = {-1, 3, 2, 3, -INFINITY, 0};
    const float temperatures[] = {0, -0.0f, -1};
    for (size_t i = 0; i < COUNT_OF(temperatures); i++) {
        const sl_sampler_options options = plain(temperatures[i]);
        assert_int_equal(sample_after(&options, logits, 6, NULL, 0), 1);
    }
    const float zeros[] = {-0.0f, 0.0f, -5};
    const sl_sampler_options greedy = plain(0);
    assert_int_equal(sample_after(&greedy, zeros, 3, NULL, 0), 0);
    const float low[] = {-INFINITY, -INFINITY, -3e38f};
    assert_int_equal(sample_after(&greedy, low, 3, NULL, 0), 2);
}

static void logits_stay_as_they_are(void **state) {
    (void)state;
    sl_sampler_options options;
    sl_sampler_options_init(&options);
    options.repeat_penalty = 2;
    const sl_logit_bias bias = {2, 1};
    options.logit_bias = &bias;
    options.logit_bias_count = 1;
    const float before[] = {1, 2, 3, 4};
    float logits[4];
    memcpy(logits, before, sizeof logits);
    sample_after(&options, logits, 4, (const int32_t[]){3, 3}, 2);
    assert_memory_equal(logits, before, sizeof logits);
}

/* ---- the filters ---------------------------------------------------------------------------- */

/* ln of 0.4, 0.3, 0.15, 0.1, 0.05, in another order than that of ids. */
#define LN_40 -0.916290732f
#define LN_30 -1.203972804f
#define LN_15 -1.897119985f
#define LN_10 -2.302585093f
#define LN_05 -2.995732274f
static const float five[] = {LN_10, LN_40, LN_05, LN_30, LN_15};

static void no_filter_leaves_all(void **state) {
    (void)state;
    expect_set(plain(1), five, 5, "01234");
    const float forbidden[] = {0, -INFINITY, 0};
    expect_set(plain(1), forbidden, 3, "02");
}

static void top_k_keeps_the_k_largest(void **state) {
    (void)state;
    const char *sets[] = {"01234", "1", "13", "134", "0134", "01234", "01234"};
    for (int k = -1; k < 6; k++) {
        sl_sampler_options options = plain(1);
        options.top_k = k;
        expect_set(options, five, 5, k < 0 ? "01234" : sets[k]);
    }
    sl_sampler_options options = plain(1);
    options.top_k = INT32_MAX;
    expect_set(options, five, 5, "01234");
    /* Of equal ones the lower ids. */
    const float equal[] = {1, 2, 2, 2, 2, 1};
    options.top_k = 2;
    expect_set(options, equal, 6, "12");
    options.top_k = 5;
    expect_set(options, equal, 6, "01234");
}

static void top_p_keeps_the_fewest_that_reach_it(void **state) {
    (void)state;
    const struct {
        float top_p;
        const char *set;
    } cases[] = {{0, "1"},        {1e-9f, "1"},     {0.39f, "1"},   {0.41f, "13"},
                 {0.69f, "13"},   {0.71f, "134"},   {0.84f, "134"}, {0.86f, "0134"},
                 {0.94f, "0134"}, {0.96f, "01234"}, {2, "01234"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        sl_sampler_options options = plain(1);
        options.top_p = cases[i].top_p;
        expect_set(options, five, 5, cases[i].set);
    }
    /* After top-k: of 0.4, 0.3 and 0.15, which sum to 0.85, two reach 0.8 of it (0.68). */
    sl_sampler_options options = plain(1);
    options.top_k = 3;
    options.top_p = 0.8f;
    expect_set(options, five, 5, "13");
    /* Before the temperature: that makes all alike, but the set is that of temperature 1. */
    options = plain(1000);
    options.top_p = 0.71f;
    expect_set(options, five, 5, "134");
}

static void min_p_keeps_a_share_of_the_largest(void **state) {
    (void)state;
    const struct {
        float min_p;
        const char *set;
    } cases[] = {{-1, "01234"}, {0, "01234"},  {0.124f, "01234"}, {0.126f, "0134"}, {0.26f, "134"},
                 {0.38f, "13"}, {0.74f, "13"}, {0.76f, "1"},      {1, "1"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        sl_sampler_options options = plain(1);
        options.min_p = cases[i].min_p;
        expect_set(options, five, 5, cases[i].set);
    }
    sl_sampler_options options = plain(1000);
    options.min_p = 0.26f;
    expect_set(options, five, 5, "134");
    /* Together with top-p the smaller set remains. */
    options = plain(1);
    options.top_p = 0.86f;
    options.min_p = 0.26f;
    expect_set(options, five, 5, "134");
    options.top_p = 0.41f;
    expect_set(options, five, 5, "13");
}

static void extreme_temperatures_hold(void **state) {
    (void)state;
    expect_set(plain(1e-30f), five, 5, "1");
    expect_set(plain(1e-45f), five, 5, "1");
    const float far[] = {3e38f, -3e38f, 3e38f};
    expect_set(plain(1), far, 3, "02");
    expect_set(plain(3e38f), five, 5, "01234");
}

/* ---- bias and penalties --------------------------------------------------------------------- */

static void bias_is_added_and_forbids(void **state) {
    (void)state;
    const float logits[] = {1, 2, 3, INFINITY};
    const sl_logit_bias biases[] = {{3, -INFINITY}, {0, 1.5f}, {0, 0.75f}};
    sl_sampler_options options = plain(0);
    options.logit_bias = biases;
    for (size_t count = 0; count <= 3; count++) {
        options.logit_bias_count = count;
        const int32_t expected[] = {3, 2, 2, 0};
        assert_int_equal(sample_after(&options, logits, 4, NULL, 0), expected[count]);
    }
    const sl_logit_bias only[] = {{0, -INFINITY}, {1, -INFINITY}, {3, -INFINITY}};
    options = plain(5);
    options.logit_bias = only;
    options.logit_bias_count = 3;
    expect_set(options, logits, 4, "2");
}

static void repetition_divides_and_multiplies(void **state) {
    (void)state;
    sl_sampler_options options = plain(0);
    options.repeat_penalty = 2;
    /* 4 / 2 = 2 < 3 */
    const float positive[] = {4, 3, 1};
    assert_int_equal(sample_after(&options, positive, 3, (const int32_t[]){0}, 1), 1);
    /* Once, however often: 8 / 2 = 4 > 3 */
    const float high[] = {8, 3, 1};
    assert_int_equal(sample_after(&options, high, 3, (const int32_t[]){0, 0, 0}, 3), 0);
    /* -1 * 2 = -2 < -1.5 */
    const float negative[] = {-1, -1.5f, -3};
    assert_int_equal(sample_after(&options, negative, 3, (const int32_t[]){0}, 1), 1);
    /* Below 1 it rewards: 2.5 / 0.5 = 5 > 4 */
    options.repeat_penalty = 0.5f;
    const float reward[] = {4, 3, 2.5f};
    assert_int_equal(sample_after(&options, reward, 3, (const int32_t[]){2}, 1), 2);
}

static void presence_counts_once_and_frequency_each(void **state) {
    (void)state;
    const float logits[] = {5, 4.25f, 3.25f};
    const int32_t thrice[] = {0, 0, 0};
    sl_sampler_options options = plain(0);
    options.presence_penalty = 0.5f; /* 4.5 */
    assert_int_equal(sample_after(&options, logits, 3, thrice, 3), 0);
    options.presence_penalty = 1.0f; /* 4 */
    assert_int_equal(sample_after(&options, logits, 3, thrice, 3), 1);
    options = plain(0);
    options.frequency_penalty = 0.5f; /* 4.5, 4, 3.5 */
    assert_int_equal(sample_after(&options, logits, 3, thrice, 1), 0);
    assert_int_equal(sample_after(&options, logits, 3, thrice, 2), 1);
    assert_int_equal(sample_after(&options, logits, 3, (const int32_t[]){0, 1, 0, 1, 0}, 5), 0);
    /* Repeat first: 5 / 2 - 0.25 = 2.25 < 2.3; presence first would give 2.375. */
    options = plain(0);
    options.repeat_penalty = 2;
    options.presence_penalty = 0.25f;
    const float order[] = {5, 2.3f, 0};
    assert_int_equal(sample_after(&options, order, 3, thrice, 1), 1);
    /* A negative penalty rewards. */
    options = plain(0);
    options.presence_penalty = -2;
    assert_int_equal(sample_after(&options, logits, 3, (const int32_t[]){2}, 1), 2);
}

static void penalties_forget_after_n_tokens(void **state) {
    (void)state;
    const float logits[] = {5, 4, 3, 2};
    sl_sampler_options options = plain(0);
    options.repeat_penalty = 100;
    options.repeat_last_n = 3;
    sl_sampler *sampler = create(4, &options);
    /* Every token is penalised while among the last three, so they follow one another for ever;
     * tokens outside the vocabulary count for nothing. */
    const int32_t expected[] = {0, 1, 2, 3, 0, 1, 2, 3, 0};
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        const int32_t token = sample(sampler, logits);
        assert_int_equal(token, expected[i]);
        sl_sampler_accept(sampler, token);
        sl_sampler_accept(sampler, -1);
        sl_sampler_accept(sampler, 4);
    }
    sl_sampler_free(sampler);

    options.repeat_last_n = 0;
    assert_int_equal(sample_after(&options, logits, 4, (const int32_t[]){0}, 1), 0);
    options.repeat_last_n = -1;
    options.n_ctx = 2;
    assert_int_equal(sample_after(&options, logits, 4, (const int32_t[]){0, 3}, 2), 1);
    assert_int_equal(sample_after(&options, logits, 4, (const int32_t[]){0, 3, 3}, 3), 0);
}

/* Against counting by hand, over many more tokens than the ring holds. */
static void the_ring_counts_as_a_window_does(void **state) {
    (void)state;
    enum { N = 7, LAST = 10, TOTAL = 500 };
    sl_sampler_options options = plain(0);
    options.frequency_penalty = 1;
    options.repeat_last_n = LAST;
    sl_sampler *sampler = create(N, &options);
    random_state r;
    random_seed(&r, 5);
    int32_t history[TOTAL];
    for (int i = 0; i < TOTAL; i++) {
        /* Base logits 0, 0.1, ... 0.6 less the count: distinct, so the largest is one. */
        float logits[N], best = -INFINITY;
        int32_t expected = -1;
        for (int32_t t = 0; t < N; t++) {
            logits[t] = 0.1f * (float)t;
            int count = 0;
            for (int j = i > LAST ? i - LAST : 0; j < i; j++) {
                count += history[j] == t;
            }
            const float penalised = logits[t] - (float)count;
            expected = penalised > best ? t : expected;
            best = fmaxf(best, penalised);
        }
        assert_int_equal(sample(sampler, logits), expected);
        history[i] = (int32_t)(random_u64(&r) % N);
        sl_sampler_accept(sampler, history[i]);
    }
    sl_sampler_free(sampler);
}

/* ---- values that are no numbers ------------------------------------------------------------- */

static void bad_logits_are_errors(void **state) {
    (void)state;
    const float temperatures[] = {0, 1};
    for (size_t i = 0; i < 2; i++) {
        sl_sampler_options options = plain(temperatures[i]);
        sl_sampler *sampler = create(4, &options);
        int32_t token = 77;
        sl_error error = {0};
        const float nan[] = {1, 2, NAN, 3};
        assert_int_equal(sl_sampler_sample(sampler, nan, &token, &error), SL_ERR_RUNTIME);
        assert_string_equal(error.message,
                            "the model produced a value that is not a number, for token 2");
        const float none[] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
        assert_int_equal(sl_sampler_sample(sampler, none, &token, &error), SL_ERR_RUNTIME);
        assert_non_null(strstr(error.message, "every logit is -infinity"));
        assert_int_equal(token, 77);
        const float infinite[] = {1, 2, INFINITY, INFINITY};
        assert_int_equal(sample(sampler, infinite), 2);
        sl_sampler_free(sampler);
    }
}

/* Penalties that overflow give infinities, never NaN. */
static void penalties_of_extreme_values_hold(void **state) {
    (void)state;
    sl_sampler_options options = plain(1);
    options.repeat_penalty = 1e-30f;
    options.frequency_penalty = 3e38f;
    options.presence_penalty = -3e38f;
    const float logits[] = {3e38f, -3e38f, -INFINITY, INFINITY};
    const int32_t all[] = {0, 1, 2, 3, 0, 0};
    sl_sampler *sampler = create(4, &options);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        sl_sampler_accept(sampler, all[i]);
        const int32_t token = sample(sampler, logits);
        assert_true(token == 0 || token == 3);
    }
    sl_sampler_free(sampler);
}

/* ---- draws ---------------------------------------------------------------------------------- */

/* 100,000 draws against the distribution; chi-square over `bound` has a probability of 1e-4, and
 * the seed is fixed. */
static void expect_distribution(const sl_sampler_options *options, const float *logits, size_t n,
                                const double *probability, double bound) {
    enum { DRAWS = 100000, MOST = 16 };
    size_t seen[MOST] = {0};
    sl_sampler *sampler = create(n, options);
    for (int i = 0; i < DRAWS; i++) {
        seen[sample(sampler, logits)]++;
    }
    sl_sampler_free(sampler);
    double chi_square = 0;
    for (size_t i = 0; i < n; i++) {
        const double expected = DRAWS * probability[i];
        if (probability[i] == 0) {
            assert_int_equal(seen[i], 0);
        } else {
            chi_square += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
        }
    }
    print_message("chi-square %.2f, bound %.2f\n", chi_square, bound);
    assert_true(chi_square < bound);
}

static void draws_follow_the_distribution(void **state) {
    (void)state;
    /* Bounds: chi-square quantiles at 1 - 1e-4 of 4 and 2 degrees of freedom. */
    const double at_1[] = {0.1, 0.4, 0.05, 0.3, 0.15};
    sl_sampler_options options = plain(1);
    expect_distribution(&options, five, 5, at_1, 23.51);
    options.top_p = 0.9999f; /* by the other way of drawing */
    expect_distribution(&options, five, 5, at_1, 23.51);

    double at_half[5], sum = 0;
    for (int i = 0; i < 5; i++) {
        sum += at_1[i] * at_1[i];
    }
    for (int i = 0; i < 5; i++) {
        at_half[i] = at_1[i] * at_1[i] / sum;
    }
    options = plain(0.5f);
    options.seed = 9;
    expect_distribution(&options, five, 5, at_half, 23.51);

    const double of_three[] = {0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85};
    options = plain(1);
    options.top_k = 3;
    expect_distribution(&options, five, 5, of_three, 18.42);
}

/* tools/make_sampling_golden.py computes the expected ids; these are its cases. */
static float golden_logit(int step, int token) {
    return (float)((token + step) * 37 % 101) * 0.125f - 6.0f;
}

static void draws_are_those_of_another_program(void **state) {
    (void)state;
    enum { VOCABULARY = 300, DRAWS = 16 };
    static const sl_logit_bias bias[] = {{3, 4.0f}, {200, -INFINITY}};
    static const struct {
        const char *name;
        sl_sampler_options options;
        int32_t expected[DRAWS];
    } cases[] = {
        {"defaults_near",
         {.seed = 1,
          .temperature = 0.75f,
          .top_k = 40,
          .top_p = 0.9375f,
          .min_p = 0.0625f,
          .repeat_penalty = 1},
         {180, 119, 47, 188, 176, 227, 125, 184, 60, 212, 290, 117, 187, 66, 136, 154}},
        {"all_of_them",
         {.seed = 2, .temperature = 1, .top_p = 1, .repeat_penalty = 1},
         {232, 127, 159, 226, 94, 85, 62, 255, 131, 48, 47, 109, 86, 262, 72, 217}},
        {"hot",
         {.seed = 3, .temperature = 4, .top_p = 1, .repeat_penalty = 1},
         {141, 20, 137, 283, 102, 71, 32, 295, 20, 201, 242, 201, 110, 207, 26, 105}},
        {"top_k_only",
         {.seed = 4, .temperature = 2, .top_k = 7, .top_p = 1, .repeat_penalty = 1},
         {131, 89, 230, 87, 127, 156, 54, 154, 22, 223, 20, 79, 48, 148, 248, 217}},
        {"top_p_only",
         {.seed = 5, .temperature = 1.5f, .top_p = 0.5f, .repeat_penalty = 1},
         {161, 18, 118, 147, 187, 44, 185, 143, 254, 253, 170, 49, 250, 208, 278, 236}},
        {"min_p_only",
         {.seed = 6, .temperature = 1.5f, .top_p = 1, .min_p = 0.25f, .repeat_penalty = 1},
         {240, 228, 298, 57, 157, 126, 125, 162, 49, 220, 80, 79, 56, 25, 144, 146}},
        {"largest_seed",
         {.seed = UINT64_MAX, .temperature = 1, .top_k = 100, .top_p = 0.75f, .repeat_penalty = 1},
         {49, 209, 219, 106, 146, 104, 185, 203, 243, 242, 252, 19, 108, 107, 46, 296}},
        {"penalties",
         {.seed = 7,
          .temperature = 1,
          .top_p = 1,
          .repeat_penalty = 1.5f,
          .frequency_penalty = 0.5f,
          .presence_penalty = 0.25f,
          .repeat_last_n = 5,
          .logit_bias = bias,
          .logit_bias_count = 2},
         {199, 190, 186, 250, 25, 52, 125, 225, 142, 51, 241, 117, 72, 33, 65, 195}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        sl_sampler *sampler = create(VOCABULARY, &cases[i].options);
        for (int step = 0; step < DRAWS; step++) {
            float logits[VOCABULARY];
            for (int t = 0; t < VOCABULARY; t++) {
                logits[t] = golden_logit(step, t);
            }
            const int32_t token = sample(sampler, logits);
            if (token != cases[i].expected[step]) {
                fail_msg("%s: draw %d: expected %d, found %d", cases[i].name, step,
                         cases[i].expected[step], token);
            }
            sl_sampler_accept(sampler, token);
        }
        sl_sampler_free(sampler);
    }
}

/* Selecting and then taking one by one must give the order that counting gives, also with ties. */
static void candidates_come_in_order(void **state) {
    (void)state;
    enum { MOST = 300 };
    random_state r;
    random_seed(&r, 11);
    for (int round = 0; round < 200; round++) {
        const size_t n = 1 + (size_t)(random_u64(&r) % MOST);
        const size_t most = 1 + (size_t)(random_u64(&r) % n);
        float logits[MOST];
        int32_t ranked[MOST];
        size_t possible = 0;
        for (size_t i = 0; i < n; i++) {
            const uint64_t value = random_u64(&r) % 50;
            logits[i] = value == 0 ? -INFINITY : (float)value;
            possible += value != 0;
        }
        for (size_t i = 0; i < n; i++) {
            size_t before = 0;
            for (size_t j = 0; j < n; j++) {
                before += logits[j] > logits[i] || (logits[j] == logits[i] && j < i);
            }
            ranked[before] = (int32_t)i;
        }
        candidate items[MOST];
        candidates c = candidates_select(items, logits, n, most);
        assert_int_equal(c.count, size_min(most, possible));
        for (size_t i = 0; i < c.count; i++) {
            assert_int_equal(candidates_next(&c).id, ranked[i]);
            assert_int_equal(candidates_given(&c, i).id, ranked[i]);
        }
        assert_int_equal(c.left, 0);
    }
}

/* ---- making one ----------------------------------------------------------------------------- */

static void nothing_is_allocated_while_sampling(void **state) {
    (void)state;
    if (!COUNTS_ALLOCATIONS) {
        print_message("not under this sanitizer or C library\n");
        skip();
    }
    enum { N = 1000 };
    float logits[N];
    for (int i = 0; i < N; i++) {
        logits[i] = golden_logit(0, i);
    }
    sl_sampler_options options;
    sl_sampler_options_init(&options);
    options.repeat_penalty = 1.1f;
    for (int all = 0; all < 2; all++) {
        options.top_k = all ? 0 : 40;
        sl_sampler *sampler = create(N, &options);
        const size_t before = allocations;
        assert_true(before > 0);
        for (int i = 0; i < 200; i++) {
            sl_sampler_accept(sampler, sample(sampler, logits));
        }
        assert_int_equal(allocations, before);
        sl_sampler_free(sampler);
    }
}

static void expect_refused(size_t n_vocab, const sl_sampler_options *options, const char *part) {
    sl_sampler *sampler = NULL;
    sl_error error = {0};
    assert_int_equal(sl_sampler_create(n_vocab, options, &sampler, &error), SL_ERR_ARGUMENT);
    assert_null(sampler);
    if (!strstr(error.message, part)) {
        fail_msg("expected \"%s\" in \"%s\"", part, error.message);
    }
}

static void bad_numbers_are_refused(void **state) {
    (void)state;
    const sl_sampler_options good = plain(1);
    const struct {
        size_t field;
        float value;
        const char *message;
    } cases[] = {
        {offsetof(sl_sampler_options, temperature), NAN, "temperature: expected a finite number"},
        {offsetof(sl_sampler_options, temperature), INFINITY, "found inf"},
        {offsetof(sl_sampler_options, temperature), -INFINITY, "found -inf"},
        {offsetof(sl_sampler_options, top_p), -0.5f,
         "top_p: expected a number of at least 0, found -0.5"},
        {offsetof(sl_sampler_options, top_p), NAN, "top_p: expected a number of at least 0, found"},
        {offsetof(sl_sampler_options, min_p), 1.5f, "min_p: expected a number of at most 1"},
        {offsetof(sl_sampler_options, min_p), NAN, "min_p: expected"},
        {offsetof(sl_sampler_options, repeat_penalty), 0, "repeat_penalty: expected a finite"},
        {offsetof(sl_sampler_options, repeat_penalty), -1, "number over 0, found -1"},
        {offsetof(sl_sampler_options, repeat_penalty), NAN, "repeat_penalty: expected"},
        {offsetof(sl_sampler_options, repeat_penalty), INFINITY, "repeat_penalty: expected"},
        {offsetof(sl_sampler_options, presence_penalty), NAN, "presence_penalty: expected"},
        {offsetof(sl_sampler_options, presence_penalty), INFINITY, "presence_penalty: expected"},
        {offsetof(sl_sampler_options, frequency_penalty), NAN, "frequency_penalty: expected"},
        {offsetof(sl_sampler_options, frequency_penalty), -INFINITY, "found -inf"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        sl_sampler_options options = good;
        memcpy((char *)&options + cases[i].field, &cases[i].value, sizeof cases[i].value);
        expect_refused(10, &options, cases[i].message);
    }
}

static void bad_sizes_and_biases_are_refused(void **state) {
    (void)state;
    sl_sampler_options options = plain(1);
    expect_refused(0, &options, "n_vocab: expected 1 to 4194304, found 0");
    expect_refused(SIZE_MAX, &options, "n_vocab: expected");
    options.repeat_last_n = -2;
    expect_refused(10, &options, "repeat_last_n: expected -1 (the context) to 268435456, found -2");
    options.repeat_last_n = INT32_MAX;
    expect_refused(10, &options, "repeat_last_n: expected");
    options.repeat_last_n = -1;
    expect_refused(10, &options, "expected an n_ctx of 1 to 268435456, found 0");
    options.n_ctx = SIZE_MAX;
    expect_refused(10, &options, "expected an n_ctx");

    options = plain(1);
    options.logit_bias_count = 1;
    expect_refused(10, &options, "logit_bias: expected at most 4194304, found 1 at NULL");
    sl_logit_bias bias = {10, 0};
    options.logit_bias = &bias;
    expect_refused(10, &options, "logit_bias: expected a token of 0 to 9, found 10");
    bias.token = -1;
    expect_refused(10, &options, "found -1");
    bias = (sl_logit_bias){0, NAN};
    expect_refused(10, &options, "logit_bias: expected a finite number or -infinity");
    bias.bias = INFINITY;
    expect_refused(10, &options, "found inf");
    options.logit_bias_count = SIZE_MAX;
    expect_refused(10, &options, "logit_bias: expected at most");
}

static void the_defaults_are_those_of_the_header(void **state) {
    (void)state;
    sl_sampler_options o;
    sl_sampler_options_init(&o);
    assert_true(o.seed == 0 && o.temperature == 0.8f && o.top_k == 40 && o.top_p == 0.95f &&
                o.min_p == 0.05f && o.repeat_penalty == 1 && o.presence_penalty == 0 &&
                o.frequency_penalty == 0 && o.repeat_last_n == 64 && !o.logit_bias);
    const size_t idle = sampling_bytes(1000, &o);
    assert_true(idle >= 12000 && idle < 13000);
    o.repeat_penalty = 1.1f;
    assert_int_equal(sampling_bytes(1000, &o), idle + 4000 + 64 * 4);
    sl_sampler_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_of_the_largest),
        cmocka_unit_test(logits_stay_as_they_are),
        cmocka_unit_test(no_filter_leaves_all),
        cmocka_unit_test(top_k_keeps_the_k_largest),
        cmocka_unit_test(top_p_keeps_the_fewest_that_reach_it),
        cmocka_unit_test(min_p_keeps_a_share_of_the_largest),
        cmocka_unit_test(extreme_temperatures_hold),
        cmocka_unit_test(bias_is_added_and_forbids),
        cmocka_unit_test(repetition_divides_and_multiplies),
        cmocka_unit_test(presence_counts_once_and_frequency_each),
        cmocka_unit_test(penalties_forget_after_n_tokens),
        cmocka_unit_test(the_ring_counts_as_a_window_does),
        cmocka_unit_test(bad_logits_are_errors),
        cmocka_unit_test(penalties_of_extreme_values_hold),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(draws_are_those_of_another_program),
        cmocka_unit_test(candidates_come_in_order),
        cmocka_unit_test(nothing_is_allocated_while_sampling),
        cmocka_unit_test(bad_numbers_are_refused),
        cmocka_unit_test(bad_sizes_and_biases_are_refused),
        cmocka_unit_test(the_defaults_are_those_of_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
