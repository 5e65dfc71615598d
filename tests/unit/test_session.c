/* Sessions through the public interface: what is kept of a prefix, what is refused and how it is
 * said, progress and its cancelling, logits of every token. */
#include "sluice.h"

#include "base/size.h"
#include "support/temp_file.h"

#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 257, CONTEXT = 64, BATCH = 8 };

static temp_file file;
static sl_model *model;
static int32_t text[CONTEXT], other_text[CONTEXT]; /* alike up to 30 */

static int load_model(void **state) {
    (void)state;
    sl_error error;
    const gguf_tiny_options options = gguf_tiny_defaults();
    file = temp_file_llama(&options);
    for (int i = 0; i < CONTEXT; i++) {
        text[i] = (i * 37 + 11) % VOCAB;
        other_text[i] = i < 30 ? text[i] : (i * 41 + 5) % VOCAB;
    }
    return sl_model_load(file.path, NULL, &model, &error) == SL_OK ? 0 : -1;
}

static int free_model(void **state) {
    (void)state;
    sl_model_free(model);
    temp_file_remove(&file);
    return 0;
}

static sl_session *open_session(size_t n_logits) {
    sl_session_options options;
    sl_session_options_init(&options);
    options.n_batch = BATCH;
    options.n_logits = n_logits;
    options.threads = 2;
    sl_session *session;
    sl_error error;
    if (sl_session_create(model, &options, &session, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return session;
}

static size_t position_of(const sl_session *session) {
    sl_session_info info;
    sl_session_get_info(session, &info);
    return info.position;
}

/* ---- progress ------------------------------------------------------------------------------- */

/* What progress was told: the largest `total` is the number of tokens that were to be computed. */
typedef struct told {
    size_t calls, stop_after;
    uint64_t done, total;
    bool wrong;
} told;

static bool listen(void *user, const char *what, uint64_t done, uint64_t total) {
    told *t = user;
    t->wrong |= strcmp(what, "prompt") != 0 || done > total || done < t->done ||
                (t->total && total != t->total);
    t->done = done;
    t->total = total;
    return ++t->calls != t->stop_after;
}

/* Returns the number of tokens computed. */
static size_t eval(sl_session *session, const int32_t *tokens, size_t count) {
    sl_error error;
    told t = {0};
    if (sl_session_eval(session, tokens, count, listen, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    assert_false(t.wrong);
    assert_int_equal(position_of(session), count);
    return t.total;
}

static void fresh_logits(const int32_t *tokens, size_t count, float logits[VOCAB]) {
    sl_session *session = open_session(1);
    assert_int_equal(eval(session, tokens, count), count);
    memcpy(logits, sl_session_logits(session), VOCAB * sizeof *logits);
    sl_session_free(session);
}

static void assert_logits_of(sl_session *session, const int32_t *tokens, size_t count) {
    float expected[VOCAB];
    fresh_logits(tokens, count, expected);
    assert_non_null(sl_session_logits(session));
    assert_memory_equal(expected, sl_session_logits(session), sizeof expected);
}

/* ---- prefixes ------------------------------------------------------------------------------- */

static void what_is_held_is_not_computed_again(void **state) {
    (void)state;
    sl_session *s = open_session(1);
    assert_null(sl_session_logits(s));
    assert_int_equal(position_of(s), 0);
    assert_int_equal(eval(s, text, 40), 40);
    assert_int_equal(eval(s, text, 40), 0); /* all there, the logits too */
    assert_logits_of(s, text, 40);
    assert_int_equal(eval(s, text, 41), 1);
    assert_logits_of(s, text, 41);
    assert_int_equal(eval(s, other_text, 41), 11);
    assert_logits_of(s, other_text, 41);
    assert_int_equal(eval(s, other_text, 33), 1); /* shorter: the last one for its logits */
    assert_logits_of(s, other_text, 33);
    assert_int_equal(eval(s, text, CONTEXT), CONTEXT - 30);
    assert_logits_of(s, text, CONTEXT);
    assert_int_equal(eval(s, text + 1, 5), 5); /* nothing in common */
    assert_logits_of(s, text + 1, 5);
    assert_int_equal(eval(s, text, 1), 1);
    assert_logits_of(s, text, 1);
    sl_session_free(s);
}

/* The caller may write to the logits, and eval promises those of the model. */
static void logits_written_to_are_made_anew(void **state) {
    (void)state;
    sl_session *s = open_session(1);
    eval(s, text, 20);
    for (size_t i = 0; i < VOCAB; i++) {
        sl_session_logits(s)[i] = NAN;
    }
    eval(s, text, 20);
    assert_logits_of(s, text, 20);
    sl_session_free(s);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void tokens_that_cannot_be(void **state) {
    (void)state;
    sl_error error;
    sl_session *s = open_session(1);
    eval(s, text, 12);
    int32_t bad[20];
    memcpy(bad, text, sizeof bad);
    const int32_t wrong[] = {-1, VOCAB, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        char expected[64];
        bad[17] = wrong[i];
        snprintf(expected, sizeof expected, "token %d is outside the vocabulary of 257 tokens",
                 wrong[i]);
        assert_int_equal(sl_session_eval(s, bad, 20, NULL, NULL, &error), SL_ERR_ARGUMENT);
        assert_string_equal(error.message, expected);
        assert_int_equal(position_of(s), 12);
        assert_logits_of(s, text, 12); /* as before */
    }
    assert_int_equal(sl_session_eval(s, text, 0, NULL, NULL, &error), SL_ERR_ARGUMENT);
    assert_int_equal(eval(s, text, 20), 8);
    assert_logits_of(s, text, 20);
    sl_session_free(s);
}

static void a_context_ends(void **state) {
    (void)state;
    sl_error error;
    sl_session *s = open_session(1);
    int32_t long_text[CONTEXT + 1];
    memcpy(long_text, text, sizeof text);
    long_text[CONTEXT] = 1;
    assert_int_equal(sl_session_eval(s, long_text, CONTEXT + 1, NULL, NULL, &error),
                     SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "65 tokens"));
    assert_non_null(strstr(error.message, "64 positions"));
    assert_int_equal(position_of(s), 0);
    assert_int_equal(eval(s, long_text, CONTEXT), CONTEXT);
    assert_int_equal(sl_session_eval(s, long_text, CONTEXT + 1, NULL, NULL, &error),
                     SL_ERR_ARGUMENT);
    assert_int_equal(position_of(s), CONTEXT);
    assert_logits_of(s, text, CONTEXT);
    sl_session_free(s);
}

static size_t notices;

static void count_notice(void *user, const char *line) {
    (void)user;
    notices += strstr(line, "100") && strstr(line, "64");
}

static void options_out_of_range(void **state) {
    (void)state;
    const struct {
        sl_session_options options;
        const char *says;
    } tries[] = {
        {{.type_k = (sl_kv_type)5}, "type of keys"},
        {{.type_v = (sl_kv_type)-1}, "type of keys"},
        {{.n_ctx = (size_t)1 << 40}, "1099511627776"},
        {{.threads = 100000}, "100000"},
        {{.n_batch = SIZE_MAX, .n_ctx = 1 << 20}, "batch"},
        {{.type_k = SL_KV_Q8_0}, "keys cannot be kept as Q8_0"}, /* heads of 8 */
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        sl_session *session = NULL;
        sl_error error = {0};
        if (sl_session_create(model, &tries[i].options, &session, &error) != SL_ERR_ARGUMENT ||
            !strstr(error.message, tries[i].says)) {
            fail_msg("%zu: %s", i, error.message);
        }
        assert_null(session);
    }
    const sl_session_options longer = {.n_ctx = 100, .notice = count_notice};
    sl_session *session;
    sl_error error;
    assert_int_equal(sl_session_create(model, &longer, &session, &error), SL_OK);
    assert_int_equal(notices, 1);
    sl_session_info info;
    sl_session_get_info(session, &info);
    assert_int_equal(info.n_ctx, 100);
    assert_int_equal(info.n_batch, 100); /* no more than the context */
    sl_session_free(session);
    sl_session_free(NULL);
}

static void no_session_on_a_vocabulary(void **state) {
    (void)state;
    sl_model *words;
    sl_session *session = NULL;
    sl_error error;
    sl_model_options options;
    sl_model_options_init(&options);
    options.vocabulary_only = true;
    assert_int_equal(sl_model_load(file.path, &options, &words, &error), SL_OK);
    assert_int_equal(sl_session_create(words, NULL, &session, &error), SL_ERR_ARGUMENT);
    assert_null(session);
    sl_model_free(words);
}

/* A budget that the model fits and the session does not. The message's number of MiB is enough,
 * one less is not. */
static void budgets_are_kept(void **state) {
    (void)state;
    sl_error error;
    sl_session *session = NULL;
    const sl_session_options wanted = {.n_ctx = 1 << 20, .type_k = SL_KV_F32, .type_v = SL_KV_F32};
    unsigned long long need = 0;
    sl_model_options options;
    sl_model_options_init(&options);
    options.memory_budget = 64 << 20;
    for (int i = 0; i < 3; i++) {
        sl_model *m;
        assert_int_equal(sl_model_load(file.path, &options, &m, &error), SL_OK);
        const sl_status status = sl_session_create(m, &wanted, &session, &error);
        assert_int_equal(status, i == 1 ? SL_OK : SL_ERR_MEMORY);
        if (status == SL_OK) {
            sl_session_info info;
            sl_session_get_info(session, &info);
            /* Two layers, keys and values, two heads of 8 floats. */
            assert_int_equal(info.kv_bytes, 2ull * 2 * 2 * 8 * 4 << 20);
            sl_session_free(session);
            session = NULL;
        } else {
            char budget[40];
            snprintf(budget, sizeof budget, "the budget is %llu MiB",
                     (unsigned long long)options.memory_budget >> 20);
            assert_non_null(strstr(error.message, budget));
            assert_non_null(strstr(error.message, "keys and values of 1048576 positions 256,"));
            unsigned long long again;
            assert_int_equal(sscanf(error.message, "needs %llu MiB", &again), 1);
            assert_true(need == 0 || again == need);
            need = again;
        }
        assert_null(session);
        options.memory_budget = (uint64_t)(i == 0 ? need : need - 1) << 20;
        sl_model_free(m);
    }
    assert_true(need > 256);
    options.memory_budget = 1 << 20; /* not even the model */
    sl_model *m = NULL;
    assert_int_equal(sl_model_load(file.path, &options, &m, &error), SL_ERR_MEMORY);
    assert_non_null(strstr(error.message, "the budget is 1 MiB"));
    assert_null(m);
}

/* ---- stopping ------------------------------------------------------------------------------- */

static void cancelling_leaves_a_valid_prefix(void **state) {
    (void)state;
    sl_session *s = open_session(1);
    size_t last = 0;
    for (size_t stop_after = 1; last < 50; stop_after += 7) {
        sl_error error;
        told t = {.stop_after = stop_after};
        eval(s, text, 3);
        const sl_status status = sl_session_eval(s, text, 50, listen, &t, &error);
        last = position_of(s);
        assert_false(t.wrong);
        if (status == SL_OK) {
            assert_int_equal(last, 50);
            break;
        }
        assert_int_equal(status, SL_ERR_CANCELLED);
        assert_int_equal(t.calls, stop_after);
        assert_true(last >= 3 && last < 50);
        assert_int_equal((last - 3) % BATCH, 0); /* whole chunks */
        assert_null(sl_session_logits(s));
        assert_int_equal(eval(s, text, 50), 50 - last);
        assert_logits_of(s, text, 50);
        last = 0;
    }
    sl_session_free(s);
}

/* ---- all logits ----------------------------------------------------------------------------- */

typedef struct collected {
    size_t count, stop_at;
    bool wrong;
    float logits[CONTEXT][VOCAB];
} collected;

static bool collect(void *user, size_t index, const float *logits) {
    collected *c = user;
    c->wrong |= index != c->count;
    memcpy(c->logits[c->count++], logits, sizeof c->logits[0]);
    return index != c->stop_at;
}

static void logits_of_every_token(void **state) {
    (void)state;
    static float expected[CONTEXT][VOCAB];
    static collected found;
    for (size_t i = 0; i < 50; i++) {
        fresh_logits(text, i + 1, expected[i]);
    }
    static const size_t at_once[] = {1, 3, BATCH, 1000};
    for (size_t i = 0; i < COUNT_OF(at_once); i++) {
        sl_error error;
        sl_session *s = open_session(at_once[i]);
        eval(s, other_text, 10);
        found = (collected){.stop_at = SIZE_MAX};
        assert_int_equal(sl_session_eval_all(s, text, 50, collect, &found, &error), SL_OK);
        assert_false(found.wrong);
        assert_int_equal(found.count, 50);
        assert_memory_equal(expected, found.logits, 50 * sizeof expected[0]);
        assert_int_equal(position_of(s), 50);
        /* The session's logits are those of the last token, however many were computed at once. */
        assert_logits_of(s, text, 50);
        eval(s, text, 50);
        assert_logits_of(s, text, 50);
        assert_int_equal(eval(s, text, 52), 2);
        assert_logits_of(s, text, 52);
        sl_session_free(s);
    }
}

static void stopping_among_all_logits(void **state) {
    (void)state;
    static collected found;
    for (size_t stop_at = 0; stop_at < 12; stop_at++) {
        sl_error error;
        sl_session *s = open_session(4);
        found = (collected){.stop_at = stop_at};
        assert_int_equal(sl_session_eval_all(s, text, 50, collect, &found, &error),
                         SL_ERR_CANCELLED);
        assert_int_equal(found.count, stop_at + 1);
        const size_t held = position_of(s);
        assert_true(held > stop_at && held <= stop_at + 4);
        if (sl_session_logits(s)) {
            assert_logits_of(s, text, held);
        }
        eval(s, text, held);
        assert_logits_of(s, text, held);
        sl_session_free(s);
    }
}

static void refusals_of_eval_all(void **state) {
    (void)state;
    static collected found;
    sl_error error;
    sl_session *s = open_session(4);
    eval(s, text, 9);
    int32_t bad[12];
    memcpy(bad, text, sizeof bad);
    bad[11] = VOCAB;
    found = (collected){.stop_at = SIZE_MAX};
    assert_int_equal(sl_session_eval_all(s, bad, 12, collect, &found, &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_eval_all(s, bad, 0, collect, &found, &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_eval_all(s, bad, CONTEXT + 1, collect, &found, &error),
                     SL_ERR_ARGUMENT);
    assert_int_equal(found.count, 0);
    assert_int_equal(position_of(s), 9);
    sl_session_free(s);
}

/* ---- groups --------------------------------------------------------------------------------- */

enum { MEMBERS = 3 };

static void open_group(sl_session *members[MEMBERS]) {
    sl_session_options options;
    sl_session_options_init(&options);
    options.n_batch = BATCH;
    options.threads = 2;
    sl_error error;
    if (sl_session_create_group(model, &options, MEMBERS, members, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
}

static void free_members(sl_session *members[MEMBERS]) {
    for (size_t i = 0; i < MEMBERS; i++) {
        sl_session_free(members[i]);
    }
}

/* Returns the number of tokens computed. */
static size_t eval_group(const sl_session_content *contents, size_t n) {
    sl_error error;
    told t = {0};
    if (sl_session_eval_group(contents, n, listen, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    assert_false(t.wrong);
    return t.total;
}

static void assert_contents(const sl_session_content *contents, size_t n) {
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(position_of(contents[i].session), contents[i].count);
        assert_logits_of(contents[i].session, contents[i].tokens, contents[i].count);
    }
}

/* Texts of every length side by side, in batches that end anywhere: each has the bits that it has
 * by itself. */
static void together_as_alone(void **state) {
    (void)state;
    static const size_t counts[][MEMBERS] = {
        {1, 1, 1}, {1, 2, 3},  {7, 8, 9},    {20, 1, 2},  {8, 8, 8},
        {3, 3, 4}, {2, 40, 1}, {64, 64, 64}, {5, 64, 33}, {6, 2, 2},
    };
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        sl_session *m[MEMBERS];
        open_group(m);
        const size_t *n = counts[i];
        const sl_session_content all[] = {
            {m[0], text, n[0]}, {m[1], other_text, n[1]}, {m[2], text, n[2]}};
        assert_int_equal(eval_group(all, 3), n[0] + n[1] + n[2]);
        assert_contents(all, 3);
        free_members(m);
    }
}

/* Prompts of different lengths, then a token of each at a time, then one of them leaves. */
static void decoding_together(void **state) {
    (void)state;
    sl_session *m[MEMBERS];
    open_group(m);
    sl_session_content all[] = {{m[2], text, 30}, {m[0], other_text, 12}, {m[1], text + 3, 1}};
    assert_int_equal(eval_group(all, 3), 43);
    for (size_t step = 0; step < 20; step++) {
        for (size_t i = 0; i < 3; i++) {
            all[i].count++;
        }
        assert_int_equal(eval_group(all, 3), 3);
        assert_contents(all, 3);
    }
    sl_session_free(m[2]);
    all[1].count++;
    assert_int_equal(eval_group(all + 1, 1), 1);
    assert_contents(all + 1, 1);
    assert_null(sl_session_logits(m[1])); /* the others' are gone */
    all[2].count++;
    assert_int_equal(eval_group(all + 1, 2), 2); /* the last token of one, for its logits */
    assert_contents(all + 1, 2);
    assert_int_equal(sl_session_eval(m[1], text, 9, NULL, NULL, NULL), SL_OK);
    assert_logits_of(m[1], text, 9);
    sl_session_free(m[0]);
    sl_session_free(m[1]);
}

static void what_a_group_holds_is_kept(void **state) {
    (void)state;
    sl_session *m[MEMBERS];
    open_group(m);
    sl_session_content all[] = {{m[0], text, 40}, {m[1], other_text, 40}, {m[2], text, 10}};
    assert_int_equal(eval_group(all, 3), 90);
    assert_int_equal(eval_group(all, 3), 0); /* all there, the logits too */
    assert_non_null(sl_session_logits(m[1]));
    assert_int_equal(eval_group(all, 1), 0);
    assert_int_equal(eval_group(all, 3), 3); /* one was lent */
    assert_contents(all, 3);
    all[0].tokens = other_text;
    assert_int_equal(eval_group(all, 3), 12); /* ten from the thirtieth on, and two last ones */
    assert_contents(all, 3);
    free_members(m);
}

static void refusals_of_groups(void **state) {
    (void)state;
    sl_error error;
    sl_session *m[MEMBERS] = {0}, *stranger = open_session(1);
    assert_int_equal(sl_session_create_group(model, NULL, 0, m, &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_session_create_group(model, NULL, 70000, m, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "70000"));
    assert_null(m[0]);
    open_group(m);
    const sl_session_content held[] = {{m[0], text, 9}, {m[1], text, 5}};
    eval_group(held, 2);
    const int32_t bad[] = {1, VOCAB};
    const struct {
        sl_session_content contents[2];
        size_t n;
        const char *says;
    } tries[] = {
        {{{m[0], text, 20}, {m[0], text, 20}}, 2, "twice"},
        {{{m[0], text, 20}, {stranger, text, 20}}, 2, "different groups"},
        {{{m[0], text, 20}, {m[1], bad, 2}}, 2, "token 257"},
        {{{m[0], text, 20}, {m[1], text, 0}}, 2, "0 tokens"},
        {{{m[0], text, 20}, {m[1], text, CONTEXT + 1}}, 2, "65 tokens"},
        {{{m[0], text, 20}}, 0, "no sessions"},
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        assert_int_equal(sl_session_eval_group(tries[i].contents, tries[i].n, NULL, NULL, &error),
                         SL_ERR_ARGUMENT);
        assert_non_null(strstr(error.message, tries[i].says));
        assert_contents(held, 2); /* as before */
    }
    sl_session_free(stranger);
    free_members(m);
}

static void cancelling_a_group(void **state) {
    (void)state;
    sl_session *m[MEMBERS];
    open_group(m);
    for (size_t stop_after = 1;; stop_after += 13) {
        sl_error error;
        told t = {.stop_after = stop_after};
        for (size_t i = 0; i < MEMBERS; i++) {
            assert_int_equal(sl_session_eval(m[i], other_text + 40, 2, NULL, NULL, &error), SL_OK);
        }
        const sl_session_content all[] = {{m[0], text, 20}, {m[1], text, 3}, {m[2], text, 30}};
        const sl_status status = sl_session_eval_group(all, 3, listen, &t, &error);
        assert_false(t.wrong);
        if (status == SL_OK) {
            break;
        }
        assert_int_equal(status, SL_ERR_CANCELLED);
        size_t held = 0;
        for (size_t i = 0; i < MEMBERS; i++) {
            assert_null(sl_session_logits(m[i]));
            held += position_of(m[i]);
        }
        assert_int_equal(held % BATCH, 0);
        assert_int_equal(eval_group(all, 3), 53 - held);
        assert_contents(all, 3);
    }
    free_members(m);
}

/* Keys and values of all, in whole pages each; a session can always be filled to its end. */
static void memory_of_a_group(void **state) {
    (void)state;
    sl_error error;
    sl_session_options options;
    sl_session_options_init(&options);
    options.n_ctx = 33; /* a page and a position */
    sl_session *one, *m[MEMBERS];
    assert_int_equal(sl_session_create(model, &options, &one, &error), SL_OK);
    assert_int_equal(sl_session_create_group(model, &options, MEMBERS, m, &error), SL_OK);
    sl_session_info alone, together;
    sl_session_get_info(one, &alone);
    sl_session_get_info(m[1], &together);
    assert_int_equal(alone.n_session, 1);
    assert_int_equal(together.n_session, MEMBERS);
    assert_int_equal(together.n_ctx, 33);
    assert_int_equal(together.kv_bytes, MEMBERS * alone.kv_bytes);
    assert_true(together.buffer_bytes > alone.buffer_bytes);
    assert_true(together.planned_bytes - alone.planned_bytes >= 2 * alone.kv_bytes);
    const sl_session_content all[] = {{m[0], text, 33}, {m[1], other_text, 33}, {m[2], text, 33}};
    eval_group(all, 3);
    assert_contents(all, 3);
    free_members(m);
    sl_session_free(one);
}

/* ---- the caller's world --------------------------------------------------------------------- */

static bool rounds_upward(void) {
    const volatile float one = 1, little = 1e-10f;
    const volatile float sum = one + little; /* now, and not when it suits the compiler */
    return sum > one;
}

/* A caller that rounds upwards gets the same bits, from a model loaded so, and keeps its mode. */
/* ---- weights in another order --------------------------------------------------------------- */

enum { WIDE_PROMPT = 40 };

/* Logits of a prompt and of one more token. */
static void wide_logits(sl_model *wide, const int32_t *tokens, float logits[2][VOCAB]) {
    const sl_session_options options = {.n_ctx = CONTEXT, .threads = 2};
    sl_session *s;
    sl_error error;
    assert_int_equal(sl_session_create(wide, &options, &s, &error), SL_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sl_session_eval(s, tokens, WIDE_PROMPT + i, NULL, NULL, &error), SL_OK);
        memcpy(logits[i], sl_session_logits(s), sizeof logits[i]);
    }
    sl_session_free(s);
}

/* While weights are rearranged, and when they are. */
static void rearranged_weights_give_the_same_bits(void **state) {
    (void)state;
    static const quant_type types[] = {QUANT_Q4_0, QUANT_Q8_0, QUANT_Q2_K, QUANT_Q6_K};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        gguf_tiny_options shape = gguf_tiny_defaults();
        shape.n_embd = 512;
        shape.n_ff = 1024;
        shape.type = types[i];
        const temp_file wide = temp_file_llama(&shape);
        float expected[2][VOCAB], found[2][VOCAB];
        for (int rearrange = 0; rearrange < 2; rearrange++) {
            const sl_model_options options = {.no_rearrange = !rearrange};
            sl_model *m;
            sl_model_info info;
            sl_error error;
            assert_int_equal(sl_model_load(wide.path, &options, &m, &error), SL_OK);
            wide_logits(m, text, rearrange ? found : expected);
            sl_model_wait(m);
            sl_model_get_info(m, &info);
            assert_true(rearrange || info.rearranged_bytes == 0);
            assert_true(info.rearranged_bytes <= info.weight_bytes);
            if (rearrange) {
                assert_memory_equal(expected, found, sizeof found);
                wide_logits(m, text, found);
                assert_memory_equal(expected, found, sizeof found);
            }
            sl_model_free(m);
        }
        temp_file_remove(&wide);
    }
}

static void the_callers_rounding_does_not_matter(void **state) {
    (void)state;
    float expected[VOCAB];
    fresh_logits(text, 40, expected);
    sl_error error;
    sl_model *m = NULL;
    sl_session *s = NULL;
    assert_int_equal(fesetround(FE_UPWARD), 0);
    const sl_status loaded = sl_model_load(file.path, NULL, &m, &error);
    const sl_status created =
        loaded == SL_OK ? sl_session_create(m, NULL, &s, &error) : SL_ERR_RUNTIME;
    const sl_status done =
        created == SL_OK ? sl_session_eval(s, text, 40, NULL, NULL, &error) : SL_ERR_RUNTIME;
    const bool after = rounds_upward();
    fesetround(FE_TONEAREST);
    assert_int_equal(done, SL_OK);
    assert_true(after);
    assert_memory_equal(expected, sl_session_logits(s), sizeof expected);
    sl_session_free(s);
    sl_model_free(m);
}

static size_t about_tensors;

static void count_tensor_notice(void *user, const char *line) {
    (void)user;
    about_tensors += strstr(line, "tensors") != NULL;
}

/* Tensors that nobody uses are said; rotary factors are used. */
static void a_notice_about_unused_tensors(void **state) {
    (void)state;
    const float ones[4] = {1, 1, 1, 1};
    for (int unused = 0; unused < 2; unused++) {
        gguf_builder b;
        const gguf_tiny_options tiny = gguf_tiny_defaults();
        gguf_builder_init(&b, 3);
        gguf_builder_tiny_llama(&b, &tiny);
        gguf_builder_tensor_add(&b, "rope_freqs.weight", QUANT_F32, 1, (const uint64_t[]){4}, ones);
        if (unused) {
            gguf_builder_tensor_add(&b, "something.else", QUANT_F32, 1, (const uint64_t[]){4},
                                    ones);
        }
        gguf_builder_finish(&b);
        const temp_file f = temp_file_write(b.image, b.image_bytes);
        gguf_builder_free(&b);
        sl_model *m;
        sl_error error;
        const sl_model_options options = {.notice = count_tensor_notice};
        about_tensors = 0;
        assert_int_equal(sl_model_load(f.path, &options, &m, &error), SL_OK);
        sl_model_free(m);
        temp_file_remove(&f);
        assert_int_equal(about_tensors, unused);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_is_not_computed_again),
        cmocka_unit_test(logits_written_to_are_made_anew),
        cmocka_unit_test(tokens_that_cannot_be),
        cmocka_unit_test(a_context_ends),
        cmocka_unit_test(options_out_of_range),
        cmocka_unit_test(no_session_on_a_vocabulary),
        cmocka_unit_test(budgets_are_kept),
        cmocka_unit_test(cancelling_leaves_a_valid_prefix),
        cmocka_unit_test(logits_of_every_token),
        cmocka_unit_test(stopping_among_all_logits),
        cmocka_unit_test(refusals_of_eval_all),
        cmocka_unit_test(together_as_alone),
        cmocka_unit_test(decoding_together),
        cmocka_unit_test(what_a_group_holds_is_kept),
        cmocka_unit_test(refusals_of_groups),
        cmocka_unit_test(cancelling_a_group),
        cmocka_unit_test(memory_of_a_group),
        cmocka_unit_test(rearranged_weights_give_the_same_bits),
        cmocka_unit_test(the_callers_rounding_does_not_matter),
        cmocka_unit_test(a_notice_about_unused_tensors),
    };
    return cmocka_run_group_tests(tests, load_model, free_model);
}
