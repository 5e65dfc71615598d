/* sl_session_eval_last: the logits of the last tokens are those of token by token, whatever was
 * held before and however the rest is cut into batches; a draft that is not right is cut off by
 * what follows; refusals. */
#include "sluice.h"

#include "base/size.h"
#include "support/temp_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { VOCAB = 257, CONTEXT = 64, BATCH = 8, KEPT = 6 };

static temp_file file;
static sl_model *model;
static int32_t text[CONTEXT], other_text[CONTEXT]; /* alike up to 30 */
static float expected[2][CONTEXT][VOCAB];          /* what follows each token of both */

static sl_session *open_session(size_t n_batch, size_t n_logits) {
    const sl_session_options options = {.n_batch = n_batch, .n_logits = n_logits, .threads = 2};
    sl_session *session;
    sl_error error;
    if (sl_session_create(model, &options, &session, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return session;
}

static void must(sl_status status, const sl_error *error) {
    if (status != SL_OK) {
        fail_msg("%s", error->message);
    }
}

/* Token by token. */
static void expect_of(const int32_t *tokens, float logits[CONTEXT][VOCAB]) {
    sl_error error;
    sl_session *s = open_session(BATCH, 1);
    for (size_t i = 0; i < CONTEXT; i++) {
        must(sl_session_eval(s, tokens, i + 1, NULL, NULL, &error), &error);
        memcpy(logits[i], sl_session_logits(s), sizeof logits[i]);
    }
    sl_session_free(s);
}

static int load_model(void **state) {
    (void)state;
    sl_error error;
    const gguf_tiny_options options = gguf_tiny_defaults();
    file = temp_file_llama(&options);
    for (int i = 0; i < CONTEXT; i++) {
        text[i] = (i * 37 + 11) % VOCAB;
        other_text[i] = i < 30 ? text[i] : (i * 41 + 5) % VOCAB;
    }
    if (sl_model_load(file.path, NULL, &model, &error) != SL_OK) {
        return -1;
    }
    expect_of(text, expected[0]);
    expect_of(other_text, expected[1]);
    return 0;
}

static int free_model(void **state) {
    (void)state;
    sl_model_free(model);
    temp_file_remove(&file);
    return 0;
}

static size_t position_of(const sl_session *session) {
    sl_session_info info;
    sl_session_get_info(session, &info);
    return info.position;
}

static const int32_t *tokens_of(size_t which) {
    return which ? other_text : text;
}

/* The session has `count` tokens of a text and the logits of the last n_last, and of no others. */
static void assert_holds(sl_session *s, size_t which, size_t count, size_t n_last) {
    assert_int_equal(position_of(s), count);
    for (size_t i = 0; i < CONTEXT + 3; i++) {
        const float *logits = sl_session_logits_at(s, i);
        if (i + n_last < count || i >= count) {
            assert_null(logits);
        } else {
            assert_non_null(logits);
            assert_memory_equal(logits, expected[which][i], sizeof expected[which][i]);
        }
    }
    assert_null(sl_session_logits_at(s, SIZE_MAX));
    assert_ptr_equal(sl_session_logits(s), sl_session_logits_at(s, count - 1));
}

static void eval_last(sl_session *s, size_t which, size_t count, size_t n_last) {
    sl_error error;
    must(sl_session_eval_last(s, tokens_of(which), count, n_last, NULL, NULL, &error), &error);
}

/* ---- bits ----------------------------------------------------------------------------------- */

/* From every state, with every number of logits, in batches that end anywhere. */
static void bits_of_token_by_token(void **state) {
    (void)state;
    static const size_t batches[] = {KEPT, KEPT + 1, BATCH, CONTEXT};
    static const size_t held[] = {1, 5, 29, 30, 31, 33, 40, CONTEXT};
    static const size_t counts[] = {1, 2, KEPT, 14, 29, 31, 32, 35, 40, CONTEXT};
    for (size_t b = 0; b < COUNT_OF(batches); b++) {
        sl_session *s = open_session(batches[b], KEPT);
        assert_null(sl_session_logits_at(s, 0));
        for (size_t h = 0; h < COUNT_OF(held); h++) {
            for (size_t c = 0; c < COUNT_OF(counts); c++) {
                for (size_t n = 1; n <= size_min(KEPT, counts[c]); n++) {
                    eval_last(s, 0, held[h], 1);
                    eval_last(s, 1, counts[c], n);
                    assert_holds(s, 1, counts[c], n);
                }
            }
        }
        sl_session_free(s);
    }
}

/* As when drafts are checked: some are right, some wrong at some place. */
static void drafts_are_cut_off(void **state) {
    (void)state;
    static const size_t right[] = {0, 5, 1, 4, 0, 3, 2, 5, 5, 0, 2, 4};
    sl_session *s = open_session(BATCH, KEPT);
    size_t count = 10; /* of the text that is meant */
    eval_last(s, 0, count, 1);
    for (size_t i = 0; i < COUNT_OF(right); i++) {
        int32_t tokens[CONTEXT];
        memcpy(tokens, text, sizeof tokens);
        for (size_t k = right[i]; k < 5; k++) {
            tokens[count + 1 + k] = (text[count + 1 + k] + 1 + (int32_t)i) % VOCAB;
        }
        sl_error error;
        const size_t n = count + KEPT;
        must(sl_session_eval_last(s, tokens, n, KEPT, NULL, NULL, &error), &error);
        assert_int_equal(position_of(s), n);
        for (size_t at = count; at <= count + right[i]; at++) {
            assert_memory_equal(sl_session_logits_at(s, at), expected[0][at],
                                sizeof expected[0][at]);
        }
        if (right[i] < 5) {
            assert_memory_not_equal(sl_session_logits_at(s, n - 1), expected[0][n - 1],
                                    sizeof expected[0][0]);
        }
        count += right[i] + 1;
        if (count + KEPT + 1 > CONTEXT) {
            break;
        }
    }
    eval_last(s, 0, CONTEXT, 1);
    assert_holds(s, 0, CONTEXT, 1);
    sl_session_free(s);
}

static size_t runs;

static bool count_run(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)user;
    (void)what;
    (void)done;
    runs = (size_t)total;
    return true;
}

/* Returns the number of tokens computed. */
static size_t computed(sl_session *s, size_t which, size_t count, size_t n_last) {
    sl_error error;
    runs = 0;
    must(sl_session_eval_last(s, tokens_of(which), count, n_last, count_run, NULL, &error), &error);
    return runs;
}

static void nothing_is_computed_twice(void **state) {
    (void)state;
    sl_session *s = open_session(BATCH, KEPT);
    assert_int_equal(computed(s, 0, 20, 3), 20);
    assert_int_equal(computed(s, 0, 20, 3), 0); /* all there */
    assert_int_equal(computed(s, 0, 20, 2), 0);
    assert_int_equal(computed(s, 0, 20, 4), 4); /* one more than was kept */
    assert_int_equal(computed(s, 0, 21, 1), 1);
    assert_int_equal(computed(s, 0, 21, 2), 2);
    assert_int_equal(computed(s, 0, 25, 3), 4);
    assert_int_equal(computed(s, 1, 35, 3), 10);
    assert_int_equal(computed(s, 1, 31, 6), 6);
    sl_session_logits_at(s, 27)[0] = NAN; /* the caller may write, and eval makes them anew */
    assert_int_equal(computed(s, 1, 31, 6), 6);
    assert_holds(s, 1, 31, 6);
    sl_session_free(s);
}

/* Other evaluations leave the last token's logits, or none. */
static void other_evaluations(void **state) {
    (void)state;
    sl_error error;
    sl_session *s = open_session(BATCH, KEPT);
    eval_last(s, 0, 20, 4);
    must(sl_session_eval(s, text, 22, NULL, NULL, &error), &error);
    assert_holds(s, 0, 22, 1);
    eval_last(s, 0, 20, 4);
    must(sl_session_eval(s, other_text, 33, NULL, NULL, &error), &error);
    assert_holds(s, 1, 33, 1);
    sl_session_free(s);
    sl_session *members[2];
    const sl_session_options options = {.n_batch = BATCH, .n_logits = KEPT, .threads = 2};
    must(sl_session_create_group(model, &options, 2, members, &error), &error);
    eval_last(members[0], 0, 20, 4);
    assert_holds(members[0], 0, 20, 4);
    eval_last(members[1], 1, 40, 6);
    assert_holds(members[1], 1, 40, 6);
    assert_null(sl_session_logits_at(members[0], 19)); /* only the last run's are there */
    eval_last(members[0], 0, 20, 4);
    assert_holds(members[0], 0, 20, 4);
    sl_session_free(members[0]);
    sl_session_free(members[1]);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void refusals(void **state) {
    (void)state;
    static const struct {
        size_t count, n_last;
        const char *says;
    } tries[] = {
        {20, 0, "the last 0 tokens, expected 1 to 6"},
        {20, KEPT + 1, "the last 7 tokens, expected 1 to 6"},
        {20, SIZE_MAX, "expected 1 to 6"},
        {3, 4, "the last 4 tokens, expected 1 to 3"},
        {0, 1, "0 tokens"},
        {CONTEXT + 1, 1, "65 tokens"},
    };
    sl_session *s = open_session(BATCH, KEPT);
    eval_last(s, 0, 12, 2);
    int32_t tokens[CONTEXT + 1] = {0};
    memcpy(tokens, text, sizeof text);
    sl_error error;
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        assert_int_equal(
            sl_session_eval_last(s, tokens, tries[i].count, tries[i].n_last, NULL, NULL, &error),
            SL_ERR_ARGUMENT);
        if (!strstr(error.message, tries[i].says)) {
            fail_msg("%s", error.message);
        }
        assert_holds(s, 0, 12, 2); /* as before */
    }
    tokens[14] = VOCAB;
    assert_int_equal(sl_session_eval_last(s, tokens, 15, 2, NULL, NULL, &error), SL_ERR_ARGUMENT);
    assert_holds(s, 0, 12, 2);
    sl_session_free(s);
}

/* No more logits than a batch has rows, nor fewer than one. */
static void how_many_are_kept(void **state) {
    (void)state;
    static const size_t wanted[][3] = {{8, 0, 1}, {8, 5, 5}, {8, 9, 8}, {1, 17, 1}, {500, 100, 64}};
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        sl_session *s = open_session(wanted[i][0], wanted[i][1]);
        sl_session_info info;
        sl_session_get_info(s, &info);
        assert_int_equal(info.n_logits, wanted[i][2]);
        eval_last(s, 0, CONTEXT, info.n_logits);
        assert_holds(s, 0, CONTEXT, info.n_logits);
        sl_session_free(s);
    }
}

static bool stop_now(void *user, const char *what, uint64_t done, uint64_t total) {
    size_t *left = user;
    (void)what;
    (void)done;
    (void)total;
    return (*left)-- > 0;
}

static void cancelling_leaves_a_valid_prefix(void **state) {
    (void)state;
    sl_session *s = open_session(BATCH, KEPT);
    for (size_t calls = 0;; calls += 5) {
        sl_error error;
        size_t left = calls;
        eval_last(s, 0, 3, 2);
        const sl_status status = sl_session_eval_last(s, text, 33, 4, stop_now, &left, &error);
        if (status == SL_OK) {
            assert_true(calls > 20);
            break;
        }
        assert_int_equal(status, SL_ERR_CANCELLED);
        assert_true(position_of(s) < 33 && (position_of(s) - 3) % BATCH == 0);
        assert_null(sl_session_logits(s));
        eval_last(s, 0, 33, 4);
        assert_holds(s, 0, 33, 4);
    }
    sl_session_free(s);
}

/* ---- work on logits ------------------------------------------------------------------------- */

enum { MOST_WORK = 1000 };

typedef struct shared_work {
    _Atomic int times[MOST_WORK];
    double sums[MOST_WORK];
    _Atomic size_t in, most_in; /* calls at a time */
    bool waits;
} shared_work;

static void add_logits(void *user, size_t index) {
    shared_work *w = user;
    atomic_fetch_add(&w->times[index], 1);
    const size_t in = atomic_fetch_add(&w->in, 1) + 1;
    if (in > atomic_load(&w->most_in)) {
        atomic_store(&w->most_in, in);
    }
    /* The first one lasts until another thread has come, but for a broken team not for ever. */
    for (size_t i = 0; w->waits && index == 0 && atomic_load(&w->most_in) < 2 && i < 2000; i++) {
        usleep(1000);
    }
    for (size_t i = 0; i < VOCAB; i++) {
        w->sums[index] += exp((double)expected[0][index % CONTEXT][i]);
    }
    atomic_fetch_sub(&w->in, 1);
}

static void work_is_spread(void **state) {
    (void)state;
    static const size_t counts[] = {0, 1, 2, 17, MOST_WORK};
    static shared_work first;
    for (size_t threads = 1; threads <= 3; threads++) {
        sl_session_options options;
        sl_session_options_init(&options);
        options.n_ctx = CONTEXT;
        options.threads = threads;
        sl_session *s = NULL;
        sl_error error;
        must(sl_session_create(model, &options, &s, &error), &error);
        for (size_t c = 0; c < COUNT_OF(counts); c++) {
            static shared_work w;
            memset(&w, 0, sizeof w);
            w.waits = threads > 1 && counts[c] > threads;
            sl_session_spread(s, counts[c], add_logits, &w);
            for (size_t i = 0; i < MOST_WORK; i++) {
                assert_int_equal(w.times[i], i < counts[c]);
            }
            assert_true(w.most_in <= threads && (!w.waits || w.most_in >= 2));
            if (threads == 1) {
                memcpy(first.sums, w.sums, sizeof w.sums);
            } else if (counts[c] == MOST_WORK) {
                assert_memory_equal(w.sums, first.sums, sizeof w.sums);
            }
        }
        eval_last(s, 0, 5, 1); /* the team still computes */
        assert_memory_equal(sl_session_logits(s), expected[0][4], sizeof expected[0][4]);
        sl_session_free(s);
    }
}

/* What the caller says that it takes beside a session counts. */
static void reserved_memory_is_planned(void **state) {
    (void)state;
    sl_error error;
    sl_session_options options = {.threads = 1};
    sl_session *s = NULL;
    sl_session_info plain, more;
    must(sl_session_create(model, &options, &s, &error), &error);
    sl_session_get_info(s, &plain);
    sl_session_free(s);
    options.reserved = 100 << 20;
    must(sl_session_create(model, &options, &s, &error), &error);
    sl_session_get_info(s, &more);
    assert_int_equal(more.planned_bytes - plain.planned_bytes, options.reserved);
    sl_session_free(s);
    must(sl_session_create(model, &options, &s, &error), &error); /* it was given back */
    sl_session_get_info(s, &plain);
    assert_int_equal(more.planned_bytes, plain.planned_bytes);
    sl_session_free(s);
    static const uint64_t too_much[] = {UINT64_C(1) << 55, UINT64_MAX / 8, UINT64_MAX};
    for (size_t i = 0; i < COUNT_OF(too_much); i++) {
        s = NULL;
        options.reserved = too_much[i];
        assert_int_equal(sl_session_create(model, &options, &s, &error), SL_ERR_MEMORY);
        assert_null(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_of_token_by_token),
        cmocka_unit_test(drafts_are_cut_off),
        cmocka_unit_test(nothing_is_computed_twice),
        cmocka_unit_test(other_evaluations),
        cmocka_unit_test(refusals),
        cmocka_unit_test(how_many_are_kept),
        cmocka_unit_test(cancelling_leaves_a_valid_prefix),
        cmocka_unit_test(work_is_spread),
        cmocka_unit_test(reserved_memory_is_planned),
    };
    return cmocka_run_group_tests(tests, load_model, free_model);
}
