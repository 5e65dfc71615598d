/* What the executor refuses, and that a refusal changes nothing: the run after it gives the bits
 * it would have given without. That the bits of good runs are right is in tests/parity. */
#include "engine/executor.h"

#include "base/limits.h"
#include "base/size.h"
#include "ops/attention.h"
#include "support/temp_file.h"
#include "support/test_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 257, PAGE = ATTENTION_PAGE, N_POSITION = 3 * PAGE, BATCH = 48, OUTPUTS = 2 };

static gguf_builder builder;
static test_model model;

static int build_model(void **state) {
    (void)state;
    sl_error error;
    gguf_builder_init(&builder, 3);
    gguf_builder_tiny_gpt2(&builder, QUANT_F32); /* 64 positions at most */
    gguf_builder_finish(&builder);
    return test_model_build(builder.image, builder.image_bytes, &model, &error) == SL_OK ? 0 : -1;
}

static int free_model(void **state) {
    (void)state;
    test_model_free(&model);
    gguf_builder_free(&builder);
    return 0;
}

static executor_options small_options(void) {
    return (executor_options){
        .threads = 2,
        .n_batch = BATCH,
        .n_output = OUTPUTS,
        .n_seq = 2,
        .n_positions = N_POSITION,
        .type_k = QUANT_F16,
        .type_v = QUANT_F16,
    };
}

static executor *make(void) {
    sl_error error;
    executor *e;
    const executor_options options = small_options();
    if (executor_create(&model.p, model.weights, &options, &e, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return e;
}

/* ---- options -------------------------------------------------------------------------------- */

static void options_out_of_range(void **state) {
    (void)state;
    static const struct {
        size_t offset, value;
        const char *says;
    } tries[] = {
        {offsetof(executor_options, threads), 0, "threads is 0"},
        {offsetof(executor_options, threads), LIMIT_THREADS + 1, "threads"},
        {offsetof(executor_options, n_batch), 0, "batch size is 0"},
        {offsetof(executor_options, n_batch), LIMIT_BATCH + 1, "batch size"},
        {offsetof(executor_options, n_output), 0, "outputs is 0"},
        {offsetof(executor_options, n_output), BATCH + 1, "expected 1 to 48"},
        {offsetof(executor_options, n_seq), 0, "sequences is 0"},
        {offsetof(executor_options, n_seq), SIZE_MAX, "sequences"},
        {offsetof(executor_options, n_positions), 0, "context is 0"},
        {offsetof(executor_options, n_positions), (size_t)LIMIT_CONTEXT + 1, "context"},
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        executor_options o = small_options();
        memcpy((char *)&o + tries[i].offset, &tries[i].value, sizeof tries[i].value);
        executor_plan plan = {77, 88};
        executor *e = NULL;
        sl_error error;
        assert_int_equal(executor_make_plan(&model.p, &o, &plan, &error), SL_ERR_ARGUMENT);
        assert_non_null(strstr(error.message, tries[i].says));
        assert_true(plan.kv_bytes == 77 && plan.buffer_bytes == 88);
        assert_int_equal(executor_create(&model.p, model.weights, &o, &e, &error), SL_ERR_ARGUMENT);
        assert_null(e);
    }
}

static void types_that_do_not_fit_the_heads(void **state) {
    (void)state; /* heads of 8 values; blocks of 32 */
    executor_options o = small_options();
    executor *e = NULL;
    sl_error error;
    o.type_v = QUANT_Q8_0;
    assert_int_equal(executor_create(&model.p, model.weights, &o, &e, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "values cannot be kept as Q8_0"));
    o.type_v = QUANT_F32;
    o.type_k = QUANT_Q4_0;
    assert_int_equal(executor_create(&model.p, model.weights, &o, &e, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "keys cannot be kept as Q4_0"));
    assert_null(e);
}

static void the_plan_is_kept_to(void **state) {
    (void)state;
    executor_options o = small_options();
    executor_plan plan;
    sl_error error;
    assert_int_equal(executor_make_plan(&model.p, &o, &plan, &error), SL_OK);
    /* Two layers, keys and values, four heads of 8 values in f16. */
    assert_int_equal(plan.kv_bytes, 2 * 2 * 4 * 8 * 2 * N_POSITION);
    const uint64_t before = plan.buffer_bytes;
    o.n_batch *= 2;
    assert_int_equal(executor_make_plan(&model.p, &o, &plan, &error), SL_OK);
    assert_true(plan.buffer_bytes > before);
    o.n_positions = N_POSITION + 1; /* one page more */
    assert_int_equal(executor_make_plan(&model.p, &o, &plan, &error), SL_OK);
    assert_int_equal(plan.kv_bytes, 2 * 2 * 4 * 8 * 2 * (N_POSITION + PAGE));
}

/* ---- refusals ------------------------------------------------------------------------------- */

static batch_row good_row(size_t sequence, size_t position) {
    return (batch_row){.token = (int32_t)((position * 7 + sequence * 3) % VOCAB),
                       .sequence = sequence,
                       .position = position};
}

/* n rows of a sequence from `from` on; the last one wants logits. */
static void good_rows(batch_row *rows, size_t n, size_t sequence, size_t from) {
    for (size_t i = 0; i < n; i++) {
        rows[i] = good_row(sequence, from + i);
    }
    rows[n - 1].output = ROW_LOGITS;
}

static void run_good(executor *e, size_t n, size_t sequence, float logits[VOCAB]) {
    batch_row rows[BATCH];
    sl_error error;
    good_rows(rows, n, sequence, kv_length(executor_kv(e), sequence));
    if (executor_run(e, rows, n, NULL, NULL, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    memcpy(logits, executor_logits(e, 0), VOCAB * sizeof *logits);
}

enum { FIRST = 20, SECOND = 9, LATER = 15 };

typedef struct wrong_batch {
    const char *name;
    void (*spoil)(batch_row *rows, size_t *n);
    const char *says;
} wrong_batch;

/* Each gets 20 rows: sequence 0 from FIRST, then sequence 1 from SECOND, 10 of each. */
static void negative_token(batch_row *rows, size_t *n) {
    rows[*n - 1].token = -1;
}
static void token_too_large(batch_row *rows, size_t *n) {
    rows[*n - 1].token = VOCAB;
}
static void first_token_wrong(batch_row *rows, size_t *n) {
    (void)n;
    rows[0].token = INT32_MIN;
}
static void unknown_sequence(batch_row *rows, size_t *n) {
    rows[*n / 2].sequence = 2;
}
static void position_behind(batch_row *rows, size_t *n) {
    rows[*n - 1].position--;
}
static void position_ahead(batch_row *rows, size_t *n) {
    rows[*n - 1].position++;
}
static void position_beyond(batch_row *rows, size_t *n) {
    rows[*n - 1].position = 64;
}
static void position_enormous(batch_row *rows, size_t *n) {
    rows[*n - 1].position = SIZE_MAX;
}
static void swapped(batch_row *rows, size_t *n) {
    const batch_row first = rows[0];
    rows[0] = rows[1];
    rows[1] = first;
    (void)n;
}
static void too_many_outputs(batch_row *rows, size_t *n) {
    rows[0].output = rows[1].output = ROW_HIDDEN;
    rows[*n - 1].output = ROW_LOGITS;
}
static void no_rows(batch_row *rows, size_t *n) {
    (void)rows;
    *n = 0;
}
static void too_many_rows(batch_row *rows, size_t *n) {
    (void)rows;
    *n = BATCH + 1;
}

static const wrong_batch wrong_batches[] = {
    {"negative token", negative_token, "token -1 is outside the vocabulary of 257 tokens"},
    {"token too large", token_too_large, "token 257"},
    {"first token wrong", first_token_wrong, "token -2147483648"},
    {"unknown sequence", unknown_sequence, "sequence 2, expected less than 2"},
    {"position behind", position_behind, "at position 17 of sequence 1, expected 18"},
    {"position ahead", position_ahead, "at position 19 of sequence 1, expected 18"},
    {"position beyond", position_beyond, "position 64 is beyond the model's 64 positions"},
    {"position enormous", position_enormous, "beyond the model's 64 positions"},
    {"swapped", swapped, "row 0 is at position 21 of sequence 0, expected 20"},
    {"too many outputs", too_many_outputs, "more than 2 rows"},
    {"no rows", no_rows, "a batch of 0 rows, expected 1 to 48"},
    {"too many rows", too_many_rows, "a batch of 49 rows, expected 1 to 48"},
};

typedef struct results {
    float first[VOCAB], second[VOCAB], later[VOCAB], other[VOCAB];
} results;

static void finish_runs(executor *e, results *r) {
    run_good(e, LATER, 0, r->later);
    run_good(e, LATER, 1, r->other);
}

static executor *start_runs(results *r) {
    executor *e = make();
    run_good(e, FIRST, 0, r->first);
    run_good(e, SECOND, 1, r->second);
    return e;
}

/* The pages that are left, by taking them all. */
static size_t free_positions(executor *e) {
    kv_cache *kv = executor_kv(e);
    const size_t length = kv_length(kv, 0);
    size_t n = 0;
    while (kv_append(kv, 0, 1, NULL) == SL_OK) {
        n++;
    }
    kv_truncate(kv, 0, length);
    return n;
}

static void check_untouched(executor *e, size_t left) {
    assert_int_equal(kv_length(executor_kv(e), 0), FIRST);
    assert_int_equal(kv_length(executor_kv(e), 1), SECOND);
    assert_int_equal(free_positions(e), left);
}

static void refusals_change_nothing(void **state) {
    (void)state;
    static results expected, found;
    executor *e = start_runs(&expected);
    const size_t left = free_positions(e);
    finish_runs(e, &expected);
    executor_free(e);
    for (size_t i = 0; i < COUNT_OF(wrong_batches); i++) {
        e = start_runs(&found);
        batch_row rows[BATCH + 1];
        sl_error error;
        size_t n = 20;
        good_rows(rows, 10, 0, FIRST);
        good_rows(rows + 10, 10, 1, SECOND);
        wrong_batches[i].spoil(rows, &n);
        if (executor_run(e, rows, n, NULL, NULL, &error) != SL_ERR_ARGUMENT ||
            error.status != SL_ERR_ARGUMENT || !strstr(error.message, wrong_batches[i].says)) {
            fail_msg("%s: %s", wrong_batches[i].name, error.message);
        }
        check_untouched(e, left);
        finish_runs(e, &found);
        assert_memory_equal(&expected, &found, sizeof found);
        executor_free(e);
    }
}

static void a_full_cache_changes_nothing(void **state) {
    (void)state;
    static results expected, found;
    executor *e = start_runs(&expected);
    finish_runs(e, &expected);
    executor_free(e);
    e = start_runs(&found);
    /* Sequence 0 takes two of the three pages, sequence 1 one: no page is left, and 12 + 23
     * positions in those. Rows of both, the last of which does not fit. */
    float ignored[VOCAB];
    run_good(e, 2 * PAGE - FIRST - 2, 0, ignored);
    batch_row rows[BATCH];
    sl_error error;
    good_rows(rows, 2, 0, 2 * PAGE - 2);
    good_rows(rows + 2, PAGE - SECOND + 1, 1, SECOND);
    const size_t n = 2 + PAGE - SECOND + 1;
    assert_int_equal(executor_run(e, rows, n, NULL, NULL, &error), SL_ERR_MEMORY);
    assert_non_null(strstr(error.message, "full"));
    assert_int_equal(kv_length(executor_kv(e), 0), 2 * PAGE - 2);
    assert_int_equal(kv_length(executor_kv(e), 1), SECOND);
    kv_truncate(executor_kv(e), 0, FIRST);
    finish_runs(e, &found);
    assert_memory_equal(expected.later, found.later, sizeof found.later);
    assert_memory_equal(expected.other, found.other, sizeof found.other);
    executor_free(e);
}

/* ---- stopping ------------------------------------------------------------------------------- */

typedef struct poll_count {
    size_t calls, stop_at;
    double last;
    bool backwards;
} poll_count;

static bool poll(void *user, double done) {
    poll_count *p = user;
    p->backwards |= done < p->last || done > 1;
    p->last = done;
    return p->calls++ != p->stop_at;
}

static void stopping_at_any_operation_changes_nothing(void **state) {
    (void)state;
    static results expected, found;
    executor *e = start_runs(&expected);
    const size_t left = free_positions(e);
    finish_runs(e, &expected);
    executor_free(e);
    e = start_runs(&found);
    batch_row rows[30];
    good_rows(rows, 30, 0, FIRST);
    for (size_t stop_at = 0;; stop_at++) {
        poll_count p = {.stop_at = stop_at};
        sl_error error;
        const sl_status status = executor_run(e, rows, 30, poll, &p, &error);
        assert_false(p.backwards);
        if (status == SL_OK) {
            assert_int_equal(p.calls, model.p.ops.count);
            assert_int_equal(stop_at, model.p.ops.count);
            break;
        }
        assert_int_equal(status, SL_ERR_CANCELLED);
        assert_int_equal(p.calls, stop_at + 1);
        check_untouched(e, left);
    }
    kv_truncate(executor_kv(e), 0, FIRST);
    finish_runs(e, &found);
    assert_memory_equal(&expected, &found, sizeof found);
    executor_free(e);
}

static void rows_without_outputs_only_fill_the_cache(void **state) {
    (void)state;
    static results expected, found;
    executor *e = start_runs(&expected);
    finish_runs(e, &expected);
    executor_free(e);
    e = start_runs(&found);
    batch_row rows[LATER];
    sl_error error;
    good_rows(rows, LATER, 0, FIRST);
    poll_count p = {.stop_at = SIZE_MAX};
    assert_int_equal(executor_run(e, rows, LATER - 1, poll, &p, &error), SL_OK);
    assert_true(p.calls < model.p.ops.count); /* no logits were computed */
    assert_int_equal(executor_run(e, rows + LATER - 1, 1, NULL, NULL, &error), SL_OK);
    assert_memory_equal(expected.later, executor_logits(e, 0), sizeof expected.later);
    executor_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_out_of_range),
        cmocka_unit_test(types_that_do_not_fit_the_heads),
        cmocka_unit_test(the_plan_is_kept_to),
        cmocka_unit_test(refusals_change_nothing),
        cmocka_unit_test(a_full_cache_changes_nothing),
        cmocka_unit_test(stopping_at_any_operation_changes_nothing),
        cmocka_unit_test(rows_without_outputs_only_fill_the_cache),
    };
    return cmocka_run_group_tests(tests, build_model, free_model);
}
