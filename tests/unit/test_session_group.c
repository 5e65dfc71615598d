/* Sessions of a group that compute pass by pass, share prefixes, go to the spill file and come
 * back: whatever happens to them, their logits are those of a session by itself. */
#include "sluice.h"

#include "base/random.h"
#include "base/size.h"
#include "support/temp_file.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { VOCAB = 257, CONTEXT = 160, BATCH = 8, PAGE = 32, MEMBERS = 4, LINE = 160 };

static temp_file file;
static sl_model *model;
static int32_t texts[MEMBERS][CONTEXT]; /* of 1 alike to 0 up to 70, the others nothing */

static int load_model(void **state) {
    (void)state;
    sl_error error;
    const gguf_tiny_options options = gguf_tiny_defaults();
    file = temp_file_llama(&options);
    for (int m = 0; m < MEMBERS; m++) {
        for (int i = 0; i < CONTEXT; i++) {
            const int kind = m == 1 && i < 70 ? 0 : m;
            texts[m][i] = (i * (37 + 4 * kind) + 11 + 100 * kind) % VOCAB;
        }
    }
    return sl_model_load(file.path, NULL, &model, &error) == SL_OK ? 0 : -1;
}

static int free_model(void **state) {
    (void)state;
    sl_model_free(model);
    temp_file_remove(&file);
    return 0;
}

/* pool: positions, 0 for all; spills: with a spill file. */
static void open_group(sl_session *members[MEMBERS], size_t pool, bool spills) {
    sl_session_options options;
    sl_session_options_init(&options);
    options.n_ctx = CONTEXT;
    options.n_batch = BATCH;
    options.threads = 2;
    options.pool_positions = pool;
    options.spill_directory = spills ? "/tmp" : NULL;
    sl_error error;
    if (sl_session_create_group(model, &options, MEMBERS, members, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
}

static void free_group(sl_session *members[MEMBERS]) {
    for (size_t i = 0; i < MEMBERS; i++) {
        sl_session_free(members[i]);
    }
}

static size_t position_of(const sl_session *session) {
    sl_session_info info;
    sl_session_get_info(session, &info);
    return info.position;
}

static size_t free_positions(sl_session *session) {
    sl_session_pool pool;
    sl_session_get_pool(session, &pool);
    assert_int_equal(pool.page, PAGE);
    assert_true(pool.free <= pool.total);
    return pool.free;
}

/* The logits that a session by itself, with a pool and a batch of its own, has. */
static void lone_logits(const int32_t *tokens, size_t count, float logits[VOCAB]) {
    sl_session_options options;
    sl_session_options_init(&options);
    options.n_ctx = CONTEXT;
    options.threads = 1;
    sl_session *session;
    sl_error error;
    assert_int_equal(sl_session_create(model, &options, &session, &error), SL_OK);
    assert_int_equal(sl_session_eval(session, tokens, count, NULL, NULL, &error), SL_OK);
    memcpy(logits, sl_session_logits(session), VOCAB * sizeof *logits);
    sl_session_free(session);
}

static void assert_logits_of(sl_session *session, const int32_t *tokens, size_t count) {
    float expected[VOCAB];
    lone_logits(tokens, count, expected);
    assert_int_equal(position_of(session), count);
    assert_non_null(sl_session_logits(session));
    assert_memory_equal(expected, sl_session_logits(session), sizeof expected);
}

static void step(const sl_session_content *contents, size_t n) {
    sl_error error;
    if (sl_session_step_group(contents, n, NULL, NULL, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
}

static void eval(sl_session *session, const int32_t *tokens, size_t count) {
    sl_error error;
    if (sl_session_eval(session, tokens, count, NULL, NULL, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
}

static sl_session_place place_of(sl_session *session, bool wait) {
    sl_session_place place;
    sl_error error;
    if (sl_session_settle(session, wait, &place, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return place;
}

static void suspend(sl_session *session) {
    sl_error error;
    if (sl_session_suspend(session, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void a_step_is_one_batch(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    open_group(s, 0, false);
    eval(s[2], texts[2], 20);
    eval(s[3], texts[3], 40);
    /* Two that miss one token go first, then six tokens of the first prompt. */
    const sl_session_content contents[] = {
        {s[0], texts[0], 10}, {s[1], texts[1], 5}, {s[2], texts[2], 21}, {s[3], texts[3], 41}};
    step(contents, MEMBERS);
    assert_int_equal(position_of(s[0]), 6);
    assert_int_equal(position_of(s[1]), 0);
    assert_null(sl_session_logits(s[0]));
    assert_null(sl_session_logits(s[1]));
    assert_logits_of(s[2], texts[2], 21);
    assert_logits_of(s[3], texts[3], 41);
    /* Four of the first, whose last gives logits, and four of the second. */
    step(contents, 2);
    assert_logits_of(s[0], texts[0], 10);
    assert_int_equal(position_of(s[1]), 4);
    assert_null(sl_session_logits(s[1]));
    assert_null(sl_session_logits(s[2])); /* a later step of others */
    step(&contents[1], 1);
    assert_logits_of(s[1], texts[1], 5);
    /* What is complete has its last token computed anew; what is shorter is cut back. */
    step(&contents[2], 1);
    assert_logits_of(s[2], texts[2], 21);
    step(&(sl_session_content){s[3], texts[3], 7}, 1);
    assert_logits_of(s[3], texts[3], 7);
    free_group(s);
}

static void steps_refuse_what_eval_refuses(void **state) {
    (void)state;
    sl_session *s[MEMBERS], *others[MEMBERS];
    sl_error error;
    open_group(s, 0, false);
    open_group(others, 0, false);
    const sl_session_content twice[] = {{s[0], texts[0], 3}, {s[0], texts[0], 4}};
    assert_int_equal(sl_session_step_group(twice, 2, NULL, NULL, &error), SL_ERR_ARGUMENT);
    const sl_session_content mixed[] = {{s[0], texts[0], 3}, {others[0], texts[0], 4}};
    assert_int_equal(sl_session_step_group(mixed, 2, NULL, NULL, &error), SL_ERR_ARGUMENT);
    const int32_t bad[] = {1, VOCAB};
    const sl_session_content wrong = {s[0], bad, 2};
    assert_int_equal(sl_session_step_group(&wrong, 1, NULL, NULL, &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_step_group(NULL, 0, NULL, NULL, &error), SL_ERR_ARGUMENT);
    assert_int_equal(position_of(s[0]), 0);
    free_group(s);
    free_group(others);
}

static bool refuse_to_go_on(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    *(uint64_t *)user = total;
    return done + 1 < total / 2;
}

static void a_cancelled_step_computes_nothing(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    uint64_t total;
    open_group(s, 0, false);
    eval(s[0], texts[0], 3);
    const sl_session_content contents[] = {{s[0], texts[0], 4}, {s[1], texts[1], 30}};
    assert_int_equal(sl_session_step_group(contents, 2, refuse_to_go_on, &total, &error),
                     SL_ERR_CANCELLED);
    assert_int_equal(total, BATCH);
    assert_int_equal(position_of(s[0]), 3);
    assert_int_equal(position_of(s[1]), 0);
    step(contents, 2);
    assert_logits_of(s[0], texts[0], 4);
    free_group(s);
}

/* ---- the pool ------------------------------------------------------------------------------- */

static void a_full_pool_is_an_error(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    open_group(s, 2 * PAGE + 1, false); /* rounded up to three pages */
    assert_int_equal(free_positions(s[0]), 3 * PAGE);
    eval(s[0], texts[0], PAGE + 1);
    assert_int_equal(free_positions(s[0]), PAGE);
    const sl_session_content contents[] = {{s[1], texts[1], 4}, {s[2], texts[2], 4}};
    assert_int_equal(sl_session_step_group(contents, 2, NULL, NULL, &error), SL_ERR_MEMORY);
    assert_non_null(strstr(error.message, "2 pages of 32 positions"));
    assert_non_null(strstr(error.message, "1 of 3 are free"));
    assert_int_equal(position_of(s[1]), 0);
    assert_int_equal(position_of(s[2]), 0);
    step(contents, 1);
    assert_logits_of(s[1], texts[1], 4);
    assert_int_equal(sl_session_eval(s[2], texts[2], 1, NULL, NULL, &error), SL_ERR_MEMORY);
    /* One page of two is given back, then all. */
    sl_session_cut(s[0], PAGE);
    assert_int_equal(free_positions(s[0]), PAGE);
    sl_session_cut(s[0], 1000);
    assert_int_equal(position_of(s[0]), PAGE);
    eval(s[2], texts[2], 9);
    assert_logits_of(s[2], texts[2], 9);
    sl_session_cut(s[0], 0);
    sl_session_cut(s[1], 0);
    sl_session_cut(s[2], 0);
    assert_int_equal(free_positions(s[0]), 3 * PAGE);
    eval(s[3], texts[3], 3 * PAGE);
    assert_logits_of(s[3], texts[3], 3 * PAGE);
    free_group(s);
}

/* What the sessions had before stays theirs, also where they come in another order. */
static void a_refused_step_leaves_the_logits(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    open_group(s, 2 * PAGE, false);
    eval(s[0], texts[0], PAGE - 1);
    eval(s[1], texts[2], PAGE - 1);
    const sl_session_content full[] = {{s[0], texts[0], PAGE}, {s[1], texts[2], PAGE}};
    step(full, 2);
    const sl_session_content more[] = {{s[1], texts[2], PAGE + 1}, {s[0], texts[0], PAGE + 1}};
    assert_int_equal(sl_session_step_group(more, 2, NULL, NULL, &error), SL_ERR_MEMORY);
    assert_logits_of(s[0], texts[0], PAGE);
    assert_logits_of(s[1], texts[2], PAGE);
    free_group(s);
}

static void a_pool_is_no_larger_than_its_sessions(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_session_info small, large;
    open_group(s, 0, false);
    sl_session_get_info(s[0], &large);
    assert_int_equal(free_positions(s[0]), MEMBERS * CONTEXT);
    free_group(s);
    open_group(s, SIZE_MAX, false);
    assert_int_equal(free_positions(s[0]), MEMBERS * CONTEXT);
    free_group(s);
    open_group(s, PAGE, false);
    sl_session_get_info(s[0], &small);
    assert_int_equal(large.kv_bytes, small.kv_bytes * MEMBERS * CONTEXT / PAGE);
    free_group(s);
}

/* ---- shared prefixes ------------------------------------------------------------------------ */

static void a_shared_prefix_is_not_computed_again(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    open_group(s, 0, false);
    for (size_t count = 0; count <= 70; count += 35) { /* 35 and 70: within a page */
        const size_t all = free_positions(s[0]);
        eval(s[0], texts[0], 90);
        const size_t left = free_positions(s[0]);
        assert_int_equal(all - left, 3 * PAGE);
        assert_int_equal(sl_session_share(s[0], s[1], count, &error), SL_OK);
        assert_int_equal(position_of(s[1]), count);
        assert_null(sl_session_logits(s[1]));
        assert_int_equal(free_positions(s[0]), left);
        while (position_of(s[1]) < 90) {
            step(&(sl_session_content){s[1], texts[1], 90}, 1);
        }
        assert_int_equal(left - free_positions(s[0]), (3 - count / PAGE) * PAGE);
        assert_logits_of(s[1], texts[1], 90);
        eval(s[0], texts[0], 91); /* it has not changed under the other */
        assert_logits_of(s[0], texts[0], 91);
        sl_session_cut(s[0], 0);
        step(&(sl_session_content){s[1], texts[1], 91}, 1);
        assert_logits_of(s[1], texts[1], 91);
        sl_session_cut(s[1], 0);
        assert_int_equal(free_positions(s[0]), all);
    }
    free_group(s);
}

/* What sl_session_wanted says is what is taken: exactly as much, copies of shared pages included.
 * Of two that go on from one page, only one needs a copy. */
static void what_is_wanted_is_taken(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    open_group(s, 0, true);
    for (size_t count = 1; count <= 89; count += 8) {
        eval(s[0], texts[0], count);
        assert_int_equal(sl_session_share(s[0], s[1], count, &error), SL_OK);
        assert_int_equal(sl_session_share(s[0], s[2], count / 2, &error), SL_OK);
        sl_session_content contents[] = {{s[0], texts[0], count + 40},
                                         {s[1], texts[1], count + 1},
                                         {s[2], texts[2], count + 70}};
        for (size_t i = 0; i < 3; i++) {
            contents[i].tokens = texts[0]; /* all go on with the same */
        }
        const size_t wanted = sl_session_wanted(contents, 3), before = free_positions(s[0]);
        for (size_t i = 0; i < 3; i++) {
            while (position_of(s[i]) < contents[i].count) {
                step(&contents[i], 1);
            }
        }
        assert_int_equal(before - free_positions(s[0]), wanted);
        sl_session_cut(s[0], 0);
        sl_session_cut(s[1], 0);
        sl_session_cut(s[2], 0);
    }
    eval(s[0], texts[0], 9);
    suspend(s[0]);
    assert_int_equal(sl_session_wanted(&(sl_session_content){s[0], texts[0], 100}, 1), 0);
    assert_int_equal(sl_session_wanted(NULL, 0), 0);
    free_group(s);
}

/* A pool that is just enough is enough, also where a page is shared by all. */
static void a_pool_that_is_just_enough(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    open_group(s, MEMBERS * PAGE, false);
    eval(s[0], texts[0], 20);
    sl_session_content contents[MEMBERS] = {{s[0], texts[0], PAGE}};
    for (size_t i = 1; i < MEMBERS; i++) {
        assert_int_equal(sl_session_share(s[0], s[i], 20, &error), SL_OK);
        contents[i] = (sl_session_content){s[i], texts[0], PAGE};
    }
    assert_int_equal(sl_session_wanted(contents, MEMBERS), (MEMBERS - 1) * PAGE);
    for (size_t i = 0; i < 12; i++) { /* what is complete takes a row each time */
        step(contents, MEMBERS);
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        assert_int_equal(position_of(s[i]), PAGE);
    }
    assert_int_equal(free_positions(s[0]), 0);
    free_group(s);
}

static void what_cannot_be_shared(void **state) {
    (void)state;
    sl_session *s[MEMBERS], *others[MEMBERS];
    sl_error error;
    open_group(s, 0, false);
    open_group(others, 0, false);
    eval(s[0], texts[0], 9);
    eval(s[1], texts[1], 3);
    assert_int_equal(sl_session_share(s[0], s[1], 10, &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_share(s[0], s[0], 1, &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_share(s[0], others[1], 1, &error), SL_ERR_ARGUMENT);
    assert_int_equal(position_of(s[1]), 3);
    eval(s[1], texts[1], 4);
    assert_logits_of(s[1], texts[1], 4);
    free_group(s);
    free_group(others);
}

/* ---- the spill file ------------------------------------------------------------------------- */

static void away_and_back(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    open_group(s, 4 * PAGE, true);
    eval(s[0], texts[0], 100);
    assert_int_equal(free_positions(s[0]), 0);
    suspend(s[0]);
    assert_int_equal(sl_session_away(s[0]), 4 * PAGE);
    assert_int_equal(place_of(s[0], true), SL_SESSION_AWAY);
    assert_int_equal(free_positions(s[0]), 4 * PAGE);
    assert_int_equal(sl_session_eval(s[0], texts[0], 101, NULL, NULL, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "suspended"));
    assert_int_equal(sl_session_eval_all(s[0], texts[0], 3, NULL, NULL, &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_share(s[0], s[1], 3, &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_suspend(s[0], &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_resume(s[1], &error), SL_ERR_ARGUMENT);
    eval(s[1], texts[1], 10); /* into pages that the other had */
    assert_int_equal(sl_session_resume(s[0], &error), SL_ERR_MEMORY);
    assert_non_null(strstr(error.message, "4 pages of 32 positions, but 3 are free"));
    assert_int_equal(place_of(s[0], false), SL_SESSION_AWAY);
    eval(s[1], texts[1], 4 * PAGE);
    assert_logits_of(s[1], texts[1], 4 * PAGE);
    sl_session_cut(s[1], 0);
    assert_int_equal(sl_session_resume(s[0], &error), SL_OK);
    assert_int_equal(place_of(s[0], true), SL_SESSION_HERE);
    assert_int_equal(sl_session_away(s[0]), 0);
    eval(s[0], texts[0], 101);
    assert_logits_of(s[0], texts[0], 101);
    free_group(s);
}

/* Nobody needs to ask for them: a move that ends leaves its pages to the next who computes. */
static void pages_of_who_leaves_are_taken(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    open_group(s, 4 * PAGE, true);
    eval(s[0], texts[0], 100);
    suspend(s[0]);
    sl_status status = SL_ERR_MEMORY;
    for (int i = 0; i < 1000 && status == SL_ERR_MEMORY; i++) {
        usleep(10000);
        status = sl_session_eval(s[1], texts[1], 40, NULL, NULL, &error);
    }
    assert_int_equal(status, SL_OK);
    assert_logits_of(s[1], texts[1], 40);
    free_group(s);
}

/* Pages that another has too stay, and go nowhere. */
static void shared_pages_stay(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    open_group(s, 8 * PAGE, true);
    eval(s[0], texts[0], 90);
    assert_int_equal(sl_session_share(s[0], s[1], 70, &error), SL_OK);
    eval(s[1], texts[1], 90);
    assert_int_equal(free_positions(s[0]), 4 * PAGE);
    suspend(s[1]);
    assert_int_equal(sl_session_away(s[1]), PAGE);
    assert_int_equal(place_of(s[1], true), SL_SESSION_AWAY);
    assert_int_equal(free_positions(s[0]), 5 * PAGE);
    sl_session_cut(s[0], 0); /* two pages are the other's alone now */
    assert_int_equal(free_positions(s[0]), 6 * PAGE);
    eval(s[2], texts[2], 100);
    assert_int_equal(sl_session_resume(s[1], &error), SL_OK);
    eval(s[2], texts[2], 101); /* while it comes back */
    assert_logits_of(s[2], texts[2], 101);
    assert_int_equal(place_of(s[1], true), SL_SESSION_HERE);
    eval(s[1], texts[1], 91);
    assert_logits_of(s[1], texts[1], 91);
    free_group(s);
}

static void cut_and_freed_while_moving(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    for (int round = 0; round < 20; round++) {
        open_group(s, 0, true);
        const size_t all = free_positions(s[0]);
        for (size_t i = 0; i < MEMBERS; i++) {
            eval(s[i], texts[i], 100);
            suspend(s[i]);
        }
        sl_session_cut(s[1], 50); /* emptied whatever the count */
        assert_int_equal(place_of(s[1], false), SL_SESSION_HERE);
        assert_int_equal(position_of(s[1]), 0);
        assert_int_equal(place_of(s[2], true), SL_SESSION_AWAY);
        sl_session_cut(s[2], 0);
        assert_int_equal(place_of(s[3], true), SL_SESSION_AWAY);
        assert_int_equal(place_of(s[0], true), SL_SESSION_AWAY);
        assert_int_equal(free_positions(s[0]), all);
        assert_int_equal(sl_session_resume(s[3], &error), SL_OK);
        assert_int_equal(sl_session_resume(s[0], &error), SL_OK);
        eval(s[1], texts[1], 33);
        assert_logits_of(s[1], texts[1], 33);
        sl_session_cut(s[3], 0);
        eval(s[3], texts[3], 34);
        assert_logits_of(s[3], texts[3], 34);
        free_group(s); /* the first is maybe on its way */
    }
}

static void without_a_spill_file(void **state) {
    (void)state;
    sl_session *s[MEMBERS] = {NULL};
    sl_error error;
    open_group(s, 0, false);
    assert_int_equal(sl_session_suspend(s[0], &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_resume(s[0], &error), SL_ERR_ARGUMENT);
    assert_int_equal(place_of(s[0], true), SL_SESSION_HERE);
    free_group(s);
    sl_session_options options;
    sl_session_options_init(&options);
    options.spill_directory = "/tmp/no such folder";
    sl_session *none = NULL;
    assert_int_equal(sl_session_create(model, &options, &none, &error), SL_ERR_FILE);
    assert_non_null(strstr(error.message, "temporary file in /tmp/no such folder: No such file"));
    assert_null(none);
}

/* ---- a file that fails ---------------------------------------------------------------------- */

/* A file that may not grow: written it cannot be, and what was to be written is still there. */
static void a_file_that_cannot_be_written(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    sl_session_place place;
    struct rlimit before;
    open_group(s, 0, true);
    eval(s[0], texts[0], 100);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit tight = before;
    tight.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    suspend(s[0]);
    const sl_status status = sl_session_settle(s[0], true, &place, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, SL_ERR_FILE);
    assert_int_equal(place, SL_SESSION_HERE);
    assert_string_equal(error.message,
                        "cannot write the spill file of keys and values: File too large");
    assert_int_equal(place_of(s[0], true), SL_SESSION_HERE); /* told once */
    assert_int_equal(position_of(s[0]), 100);
    eval(s[0], texts[0], 101);
    assert_logits_of(s[0], texts[0], 101);
    free_group(s);
}

/* Cuts the file without a name that this process has open. */
static void cut_spill_file(void) {
    DIR *const descriptors = opendir("/proc/self/fd");
    assert_non_null(descriptors);
    int found = 0;
    for (const struct dirent *d; (d = readdir(descriptors));) {
        char path[LINE], target[LINE] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%.40s", d->d_name);
        if (readlink(path, target, sizeof target - 1) > 0 && strncmp(target, "/tmp/", 5) == 0 &&
            strstr(target, "(deleted)")) {
            found++;
            assert_int_equal(truncate(path, 5000), 0);
        }
    }
    closedir(descriptors);
    assert_int_equal(found, 1);
}

/* What is lost is empty, and never wrong. */
static void a_file_that_is_cut_short(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    sl_error error;
    sl_session_place place;
    open_group(s, 0, true);
    const size_t all = free_positions(s[0]);
    eval(s[0], texts[0], 100);
    suspend(s[0]);
    assert_int_equal(place_of(s[0], true), SL_SESSION_AWAY);
    cut_spill_file();
    assert_int_equal(sl_session_resume(s[0], &error), SL_OK);
    assert_int_equal(sl_session_settle(s[0], true, &place, &error), SL_ERR_FILE);
    assert_non_null(strstr(error.message, "cannot read the spill file"));
    assert_int_equal(place, SL_SESSION_HERE);
    assert_int_equal(position_of(s[0]), 0);
    assert_int_equal(free_positions(s[0]), all);
    eval(s[0], texts[0], 101);
    assert_logits_of(s[0], texts[0], 101);
    free_group(s);
}

/* ---- anything, in any order ----------------------------------------------------------------- */

/* One random act on session i; `held` is what it should hold. Returns the new length. */
static size_t act(sl_session *s[MEMBERS], size_t i, const int32_t *held[MEMBERS],
                  size_t lengths[MEMBERS], uint64_t choice) {
    sl_error error;
    const sl_session_place place = place_of(s[i], choice % 3 == 0);
    const size_t other = (i + 1 + choice % (MEMBERS - 1)) % MEMBERS;
    if (place == SL_SESSION_AWAY && choice % 2) {
        const sl_status status = sl_session_resume(s[i], &error);
        assert_true(status == SL_OK || status == SL_ERR_MEMORY);
    } else if (place == SL_SESSION_HERE && choice % 8 == 1) {
        suspend(s[i]);
    } else if (choice % 16 == 2) {
        sl_session_cut(s[i], choice % 100);
        return position_of(s[i]);
    } else if (place == SL_SESSION_HERE && choice % 16 == 4 &&
               place_of(s[other], false) == SL_SESSION_HERE) {
        const size_t count = choice % (lengths[other] + 1);
        assert_int_equal(sl_session_share(s[other], s[i], count, &error), SL_OK);
        held[i] = held[other];
        return count;
    }
    return lengths[i];
}

static void anything_in_any_order(void **state) {
    (void)state;
    sl_session *s[MEMBERS];
    static float expected[MEMBERS][CONTEXT + 1][VOCAB]; /* by text and length; made when needed */
    static bool known[MEMBERS][CONTEXT + 1];
    const int32_t *held[MEMBERS];
    size_t lengths[MEMBERS] = {0}, compared = 0, full = 0;
    const uint64_t seed = 20261121;
    print_message("seed %llu\n", (unsigned long long)seed);
    random_state random;
    random_seed(&random, seed);
    open_group(s, 10 * PAGE, true);
    for (size_t i = 0; i < MEMBERS; i++) {
        held[i] = texts[i];
    }
    /* Fewer for the emulator and the sanitizers. */
    const size_t rounds = getenv("TEST_QUICK") ? 1000 : 6000;
    for (size_t round = 0; round < rounds; round++) {
        const size_t one = random_u64(&random) % MEMBERS;
        lengths[one] = act(s, one, held, lengths, random_u64(&random) >> 8);
        sl_session_content contents[MEMBERS];
        size_t n = 0;
        for (size_t i = 0; i < MEMBERS; i++) {
            const size_t more = 1 + random_u64(&random) % 12;
            if (place_of(s[i], false) != SL_SESSION_HERE || random_u64(&random) % 4 == 0) {
                continue;
            }
            if (lengths[i] == CONTEXT) {
                sl_session_cut(s[i], 0);
                held[i] = texts[random_u64(&random) % MEMBERS];
            }
            contents[n++] =
                (sl_session_content){s[i], held[i], size_min(position_of(s[i]) + more, CONTEXT)};
        }
        sl_error error;
        sl_status status = SL_OK;
        if (n > 0) {
            status = sl_session_step_group(contents, n, NULL, NULL, &error);
            assert_true(status == SL_OK || status == SL_ERR_MEMORY);
            full += status != SL_OK;
        }
        for (size_t i = 0; i < MEMBERS; i++) {
            lengths[i] = position_of(s[i]);
        }
        for (size_t k = 0; k < n && status == SL_OK; k++) {
            const float *const logits = sl_session_logits(contents[k].session);
            const size_t count = contents[k].count;
            if (!logits) {
                continue;
            }
            size_t t = 0;
            while (contents[k].tokens != texts[t]) {
                t++;
            }
            if (!known[t][count]) {
                lone_logits(texts[t], count, expected[t][count]);
                known[t][count] = true;
            }
            assert_memory_equal(expected[t][count], logits, VOCAB * sizeof *logits);
            compared++;
        }
    }
    print_message("%zu logits compared, the pool was full %zu times\n", compared, full);
    assert_true(compared > rounds / 2 && full > 10);
    for (size_t i = 0; i < MEMBERS; i++) {
        sl_session_cut(s[i], 0);
    }
    assert_int_equal(free_positions(s[0]), 10 * PAGE); /* no page was lost */
    free_group(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_one_batch),
        cmocka_unit_test(steps_refuse_what_eval_refuses),
        cmocka_unit_test(a_cancelled_step_computes_nothing),
        cmocka_unit_test(a_full_pool_is_an_error),
        cmocka_unit_test(a_refused_step_leaves_the_logits),
        cmocka_unit_test(a_pool_is_no_larger_than_its_sessions),
        cmocka_unit_test(a_shared_prefix_is_not_computed_again),
        cmocka_unit_test(what_is_wanted_is_taken),
        cmocka_unit_test(a_pool_that_is_just_enough),
        cmocka_unit_test(what_cannot_be_shared),
        cmocka_unit_test(away_and_back),
        cmocka_unit_test(shared_pages_stay),
        cmocka_unit_test(cut_and_freed_while_moving),
        cmocka_unit_test(pages_of_who_leaves_are_taken),
        cmocka_unit_test(without_a_spill_file),
        cmocka_unit_test(a_file_that_cannot_be_written),
        cmocka_unit_test(a_file_that_is_cut_short),
        cmocka_unit_test(anything_in_any_order),
    };
    return cmocka_run_group_tests(tests, load_model, free_model);
}
