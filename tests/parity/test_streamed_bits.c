/* Logits of a model that is larger than its memory budget: the bits are those of the same file with
 * all the memory there is, however much of it is read for each pass, by whatever means, with any
 * number of threads, in any batches, alone, in a group, or beside another group. */
#include "sluice.h"

#include "base/size.h"
#include "os/os.h"
#include "support/quick.h"
#include "support/temp_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MIB = 1 << 20, N_TOKEN = 40, GROUP = 3, MOST_VOCAB = 4001 };

static int32_t tokens[N_TOKEN];
static size_t n_token; /* fewer in a quick run, of more than one pass still */

static temp_file make_llama(quant_type type, bool tied) {
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_layer = 3;
    options.n_embd = 512;
    options.n_head = 8;
    options.n_head_kv = 4;
    options.n_ff = 1024;
    options.n_vocab = MOST_VOCAB;
    options.n_ctx = 64;
    options.tied = tied;
    options.type = type;
    return temp_file_llama(&options);
}

/* ---- one try -------------------------------------------------------------------------------- */

typedef struct setting {
    uint64_t budget; /* 0: all there is */
    size_t threads, n_batch;
    bool file_order;
} setting;

typedef struct opened {
    sl_model *model;
    sl_session *sessions[GROUP];
    sl_model_info info;
} opened;

static sl_status open_all(const temp_file *file, const setting *s, size_t n, opened *o,
                          sl_error *error) {
    const sl_model_options how = {.memory_budget = s->budget, .no_rearrange = s->file_order};
    const sl_session_options wanted = {.n_ctx = 64, .n_batch = s->n_batch, .threads = s->threads};
    *o = (opened){0};
    sl_status status = sl_model_load(file->path, &how, &o->model, error);
    if (status == SL_OK) {
        status = sl_session_create_group(o->model, &wanted, n, o->sessions, error);
    }
    if (status != SL_OK) {
        sl_model_free(o->model);
        return status;
    }
    sl_model_get_info(o->model, &o->info);
    return SL_OK;
}

static void close_all(opened *o) {
    for (size_t i = 0; i < GROUP; i++) {
        sl_session_free(o->sessions[i]);
    }
    sl_model_free(o->model);
}

typedef struct collected {
    float *logits;
    size_t n_vocab;
} collected;

static bool collect(void *user, size_t index, const float *logits) {
    const collected *c = user;
    memcpy(c->logits + index * c->n_vocab, logits, c->n_vocab * sizeof *logits);
    return true;
}

/* Logits of every token, for the caller to free. */
static float *all_logits(const opened *o) {
    sl_error error;
    collected c = {malloc(n_token * o->info.n_vocab * sizeof(float)), o->info.n_vocab};
    assert_non_null(c.logits);
    if (sl_session_eval_all(o->sessions[0], tokens, n_token, collect, &c, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return c.logits;
}

static void expect_last(const float *expected, sl_session *session, size_t n_vocab) {
    assert_memory_equal(sl_session_logits(session), expected + (n_token - 1) * n_vocab,
                        n_vocab * sizeof *expected);
}

/* The least budget that such a group does with, by what refusals ask for. */
static uint64_t least_budget(const temp_file *file, size_t threads, size_t n_batch, size_t n) {
    opened o;
    sl_error error = {0};
    setting s = {.budget = MIB, .threads = threads, .n_batch = n_batch};
    for (int i = 0; i < 4 && open_all(file, &s, n, &o, &error) != SL_OK; i++) {
        const char *needs = strstr(error.message, "needs ");
        assert_non_null(needs);
        s.budget = strtoull(needs + 6, NULL, 10) * MIB;
    }
    assert_non_null(o.model);
    assert_true(o.info.streamed_bytes > 0);
    close_all(&o);
    return s.budget;
}

/* ---- what is compared ----------------------------------------------------------------------- */

static void expect_same(const temp_file *file, const setting *s, const float *expected) {
    opened o;
    sl_error error = {0};
    if (open_all(file, s, 1, &o, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    float *found = all_logits(&o);
    assert_memory_equal(found, expected, n_token * o.info.n_vocab * sizeof *found);
    free(found);
    close_all(&o);
}

static bool stop_soon(void *user, const char *what, uint64_t done, uint64_t total) {
    size_t *calls = user;
    (void)what;
    (void)done;
    (void)total;
    return (*calls)-- > 0;
}

/* A prompt that is broken off in the middle of passes, and then computed after all. */
static void expect_same_after_breaks(const temp_file *file, const setting *s,
                                     const float *expected) {
    opened o;
    assert_int_equal(open_all(file, s, 1, &o, NULL), SL_OK);
    for (size_t after = 0; after < 60; after += quick_or(14, 7)) {
        size_t calls = after;
        const sl_status status =
            sl_session_eval(o.sessions[0], tokens, n_token, stop_soon, &calls, NULL);
        assert_true(status == SL_ERR_CANCELLED || status == SL_OK);
    }
    assert_int_equal(sl_session_eval(o.sessions[0], tokens, n_token, NULL, NULL, NULL), SL_OK);
    expect_last(expected, o.sessions[0], o.info.n_vocab);
    close_all(&o);
}

/* Prompts of different lengths at once; the longest is compared. */
static void expect_same_in_group(const temp_file *file, const setting *s, const float *expected) {
    opened o;
    sl_session_content contents[GROUP];
    assert_int_equal(open_all(file, s, GROUP, &o, NULL), SL_OK);
    for (size_t i = 0; i < GROUP; i++) {
        contents[i] = (sl_session_content){o.sessions[i], tokens, n_token - 3 * i};
    }
    assert_int_equal(sl_session_eval_group(contents, GROUP, NULL, NULL, NULL), SL_OK);
    expect_last(expected, o.sessions[0], o.info.n_vocab);
    close_all(&o);
}

typedef struct worker {
    sl_session *session;
    bool good;
} worker;

static void work(void *context) {
    worker *w = context;
    w->good = true;
    for (size_t i = 1; i <= n_token; i += 13) {
        w->good &= sl_session_eval(w->session, tokens, i, NULL, NULL, NULL) == SL_OK;
    }
}

/* Two sessions of one model, each on a thread of its own, in the room that larger ones had. */
static void expect_same_beside_another(const temp_file *file, const float *expected) {
    const sl_model_options how = {.memory_budget = least_budget(file, 4, 16, GROUP)};
    const sl_session_options large = {.n_ctx = 64, .n_batch = 16, .threads = 4};
    const sl_session_options wanted = {.n_ctx = 64, .n_batch = 1, .threads = 1};
    sl_model *model;
    sl_session *first[GROUP];
    sl_model_info info;
    worker workers[2];
    os_thread *thread;
    assert_int_equal(sl_model_load(file->path, &how, &model, NULL), SL_OK);
    sl_error error;
    if (sl_session_create_group(model, &large, GROUP, first, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    for (size_t i = 0; i < GROUP; i++) {
        sl_session_free(first[i]); /* the weights stay as they are placed */
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sl_session_create(model, &wanted, &workers[i].session, NULL), SL_OK);
    }
    sl_model_get_info(model, &info);
    assert_true(info.streamed_bytes > 0);
    assert_int_equal(os_thread_start(work, &workers[0], &thread, NULL), SL_OK);
    work(&workers[1]);
    os_thread_join(thread);
    for (size_t i = 0; i < 2; i++) {
        assert_true(workers[i].good);
        expect_last(expected, workers[i].session, info.n_vocab);
        sl_session_free(workers[i].session);
    }
    sl_model_free(model);
}

/* A quick run goes through groups and neighbours once for each type, not for each means. */
static void compare(const temp_file *file, uint64_t step, bool with_others) {
    opened o;
    const setting plenty = {.threads = 2, .n_batch = 64};
    assert_int_equal(open_all(file, &plenty, 1, &o, NULL), SL_OK);
    assert_int_equal(o.info.streamed_bytes, 0);
    float *expected = all_logits(&o);
    close_all(&o);
    const uint64_t least = least_budget(file, 3, 64, 1);
    for (size_t i = 0; i < 4; i++) {
        const setting s = {.budget = least + i * step,
                           .threads = 1 + i % 3,
                           .n_batch = i % 2 ? 7 : 64,
                           .file_order = i == 3};
        expect_same(file, &s, expected);
    }
    const setting small = {.budget = least, .threads = 2, .n_batch = 8};
    expect_same_after_breaks(file, &small, expected);
    if (with_others) {
        const setting room_for_three = {
            .budget = least_budget(file, 2, 16, GROUP), .threads = 2, .n_batch = 16};
        expect_same_in_group(file, &room_for_three, expected);
        expect_same_beside_another(file, expected);
    }
    free(expected);
    temp_file_remove(file);
}

static void test_llama(void **state) {
    (void)state;
    const quant_type types[] = {QUANT_BF16, QUANT_Q4_0, QUANT_Q6_K, QUANT_MXFP4};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        const temp_file file = make_llama(types[i], i % 2 == 0);
        compare(&file, MIB, true);
    }
}

/* Every means of reading gives the same. */
static void test_means(void **state) {
    (void)state;
    static const char *const hidden[] = {"threads", "buffered", "threads buffered"};
    for (size_t i = 0; i < COUNT_OF(hidden); i++) {
        setenv("SLUICE_IO", hidden[i], 1);
        const temp_file file = make_llama(QUANT_Q4_0, true);
        compare(&file, MIB, !quick_run());
    }
    unsetenv("SLUICE_IO");
}

int main(void) {
    /* Of the last length that work() comes to. */
    n_token = quick_or(1 + 13, N_TOKEN);
    for (int i = 0; i < N_TOKEN; i++) {
        tokens[i] = (i * 7919 + 13) % 257;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama),
        cmocka_unit_test(test_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
