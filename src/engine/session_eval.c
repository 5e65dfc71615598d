/* session_eval.c - session.h: what is missing of a session's tokens, put into batches, and where
 * their logits are. */
#include "base/error.h"
#include "base/size.h"
#include "engine/session.h"
#include "ops/attention.h"

#include <string.h>

static bool has_logits(const sl_session *s) {
    return s->logits_run > 0 && s->logits_run == s->group->n_run;
}

/* One batch at a time is told as a share of the whole. */
typedef struct batch_progress {
    sl_progress_fn progress;
    void *user;
    size_t before, batch, total;
} batch_progress;

static bool poll_batch(void *user, double done) {
    const batch_progress *b = user;
    const size_t in_batch = (size_t)(done * (double)b->batch);
    return b->progress(b->user, "prompt", b->before + in_batch, b->total);
}

/* Puts the next n of the session's tokens at the end of a batch of `at` rows. */
static void add_rows(sl_session *s, const int32_t *tokens, size_t n, row_output output, size_t at) {
    for (size_t i = 0; i < n; i++) {
        const size_t position = s->position + s->taken++;
        s->group->rows[at + i] = (batch_row){
            .token = tokens[position],
            .sequence = s->sequence,
            .position = position,
            .output = output,
        };
    }
}

/* Runs the group's first n rows, which have the pages of all that has left by now. */
static sl_status run_rows(session_group *g, size_t n, batch_progress *progress, sl_error *error) {
    session_collect_moves(g);
    g->n_run++;
    const bool told = progress && progress->progress;
    const sl_status status =
        executor_run(g->runner, g->rows, n, told ? poll_batch : NULL, progress, error);
    if (status == SL_OK && os_guard_faulted(g->model->mapping.bytes)) {
        return error_set(error, SL_ERR_RUNTIME,
                         "the model file was cut short or became unreadable while in use");
    }
    return status;
}

/* After run_rows: the session holds what it had in the batch; if that was wrong, nothing. */
static void settle_rows(sl_session *s, const int32_t *tokens, sl_status status) {
    if (status == SL_OK) {
        memcpy(s->tokens + s->position, tokens + s->position, s->taken * sizeof *tokens);
        s->position += s->taken;
        s->logits_run = 0;
    } else if (status == SL_ERR_RUNTIME) {
        session_cut_back(s, 0);
    }
    s->taken = 0;
}

/* The session's logits are output `row` of the last run; the `count` outputs up to there are those
 * of its last tokens. */
static void point_at_logits(sl_session *s, size_t row, size_t count) {
    s->logits_run = s->group->n_run;
    s->logits_row = row;
    s->logits_count = count;
    s->logits_lent = false;
}

static sl_status check_tokens(const sl_session *s, const int32_t *tokens, size_t count,
                              sl_error *error) {
    const size_t n_vocab = s->group->model->computation.n_vocab;
    if (!session_is_here(s)) {
        return session_check_here(s, error);
    }
    if (count < 1 || count > s->group->n_ctx) {
        return error_set(error, SL_ERR_ARGUMENT, "%zu tokens do not fit a context of %zu positions",
                         count, s->group->n_ctx);
    }
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] < 0 || (size_t)tokens[i] >= n_vocab) {
            return error_set(error, SL_ERR_ARGUMENT,
                             "token %d is outside the vocabulary of %zu tokens", tokens[i],
                             n_vocab);
        }
    }
    return SL_OK;
}

static sl_status check_contents(const sl_session_content *contents, size_t n, sl_error *error) {
    if (n < 1) {
        return error_set(error, SL_ERR_ARGUMENT, "no sessions to compute");
    }
    const session_group *const g = contents[0].session->group;
    bool one_group = true, distinct = true;
    for (size_t i = 0; i < n; i++) {
        one_group &= contents[i].session->group == g;
        distinct &= !contents[i].session->marked;
        contents[i].session->marked = true;
    }
    for (size_t i = 0; i < n; i++) {
        contents[i].session->marked = false;
    }
    if (!one_group || !distinct) {
        return error_set(error, SL_ERR_ARGUMENT,
                         one_group ? "a session occurs twice among those to compute together"
                                   : "sessions of different groups cannot compute together");
    }
    sl_status status = SL_OK;
    for (size_t i = 0; i < n && status == SL_OK; i++) {
        status = check_tokens(contents[i].session, contents[i].tokens, contents[i].count, error);
    }
    return status;
}

/* Tokens from the first on that the session holds already. */
static size_t common_prefix(const sl_session_content *c) {
    const sl_session *const s = c->session;
    const size_t most = size_min(s->position, c->count);
    size_t common = 0;
    while (common < most && s->tokens[common] == c->tokens[common]) {
        common++;
    }
    return common;
}

static bool all_there(const sl_session_content *contents, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const sl_session *const s = contents[i].session;
        if (s->position != contents[i].count || !has_logits(s) || s->logits_lent ||
            common_prefix(&contents[i]) != contents[i].count) {
            return false;
        }
    }
    return true;
}

/* Cuts the sessions back to what they have in common with their contents, without the last token,
 * which is computed anew for its own logits. Returns how many tokens are to compute. */
static size_t keep_common(const sl_session_content *contents, size_t n) {
    size_t rest = 0;
    for (size_t i = 0; i < n; i++) {
        sl_session *const s = contents[i].session;
        const size_t common = size_min(common_prefix(&contents[i]), contents[i].count - 1);
        if (common < s->position) {
            session_cut_back(s, common);
        }
        rest += contents[i].count - common;
    }
    return rest;
}

/* Fills a batch with `size` of the tokens to compute: first those of which no logits are wanted,
 * session by session; the last tokens of all come together at the very end, because only the last
 * run's logits are kept. */
static void make_batch(const sl_session_content *contents, size_t n, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < n && at < size; i++) {
        const sl_session_content *const c = &contents[i];
        const size_t before_last = c->count - 1 - c->session->position;
        const size_t count = size_min(before_last, size - at);
        add_rows(c->session, c->tokens, count, ROW_NONE, at);
        at += count;
    }
    for (size_t i = 0; i < n && at < size; i++) {
        add_rows(contents[i].session, contents[i].tokens, 1, ROW_LOGITS, at++);
    }
}

sl_status sl_session_eval_group(const sl_session_content *contents, size_t n,
                                sl_progress_fn progress, void *user, sl_error *error) {
    sl_status status = check_contents(contents, n, error);
    if (status != SL_OK || all_there(contents, n)) {
        return status;
    }
    session_group *const g = contents[0].session->group;
    const size_t total = keep_common(contents, n);
    for (size_t rest = total; rest > 0;) {
        size_t size = size_min(g->options.n_batch, rest);
        if (rest > size && rest - size < n) {
            size = rest - n; /* the last tokens stay together; n fit a batch */
        }
        make_batch(contents, n, size);
        batch_progress told = {progress, user, total - rest, size, total};
        status = run_rows(g, size, &told, error);
        for (size_t i = 0; i < n; i++) {
            settle_rows(contents[i].session, contents[i].tokens, status);
        }
        if (status != SL_OK) {
            return status;
        }
        rest -= size;
    }
    for (size_t i = 0; i < n; i++) {
        point_at_logits(contents[i].session, i, 1);
    }
    return SL_OK;
}

sl_status sl_session_eval(sl_session *session, const int32_t *tokens, size_t count,
                          sl_progress_fn progress, void *user, sl_error *error) {
    const sl_session_content content = {session, tokens, count};
    return sl_session_eval_group(&content, 1, progress, user, error);
}

/* Runs the rest of the tokens, the last n_last of them in one batch. */
static sl_status run_rest(sl_session *s, const int32_t *tokens, size_t count, size_t n_last,
                          sl_progress_fn progress, void *user, sl_error *error) {
    session_group *const g = s->group;
    const size_t total = count - s->position;
    while (s->position < count) {
        const size_t rest = count - s->position;
        size_t size = size_min(g->options.n_batch, rest);
        if (rest > size && rest - size < n_last) {
            size = rest - n_last;
        }
        const size_t plain = size_min(size, rest - n_last);
        add_rows(s, tokens, plain, ROW_NONE, 0);
        add_rows(s, tokens, size - plain, ROW_LOGITS, plain);
        batch_progress told = {progress, user, total - rest, size, total};
        const sl_status status = run_rows(g, size, &told, error);
        settle_rows(s, tokens, status);
        if (status != SL_OK) {
            return status;
        }
    }
    return SL_OK;
}

sl_status sl_session_eval_last(sl_session *session, const int32_t *tokens, size_t count,
                               size_t n_last, sl_progress_fn progress, void *user,
                               sl_error *error) {
    sl_session *s = session;
    const sl_session_content content = {session, tokens, count};
    sl_status status = check_tokens(s, tokens, count, error);
    if (status != SL_OK) {
        return status;
    }
    const size_t most = size_min(s->group->options.n_output, count);
    if (n_last < 1 || n_last > most) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "logits of the last %zu tokens, expected 1 to %zu (of %zu tokens, with "
                         "n_logits %zu)",
                         n_last, most, count, s->group->options.n_output);
    }
    if (all_there(&content, 1) && s->logits_count >= n_last) {
        return SL_OK;
    }
    const size_t kept = size_min(common_prefix(&content), count - n_last);
    if (kept < s->position) {
        session_cut_back(s, kept);
    }
    status = run_rest(s, tokens, count, n_last, progress, user, error);
    if (status == SL_OK) {
        point_at_logits(s, n_last - 1, n_last);
    }
    return status;
}

sl_status sl_session_eval_all(sl_session *session, const int32_t *tokens, size_t count,
                              sl_logits_fn each, void *user, sl_error *error) {
    sl_session *s = session;
    session_group *const g = s->group;
    sl_status status = check_tokens(s, tokens, count, error);
    if (status != SL_OK) {
        return status;
    }
    session_cut_back(s, 0);
    while (s->position < count) {
        const size_t before = s->position;
        const size_t n = size_min(g->options.n_output, count - before);
        add_rows(s, tokens, n, ROW_LOGITS, 0);
        status = run_rows(g, n, NULL, error);
        settle_rows(s, tokens, status);
        if (status != SL_OK) {
            return status;
        }
        point_at_logits(s, n - 1, 1);
        for (size_t i = 0; i < n; i++) {
            if (!each(user, before + i, executor_logits(g->runner, i))) {
                return error_set(error, SL_ERR_CANCELLED, "interrupted");
            }
        }
    }
    return SL_OK;
}

float *sl_session_logits_at(sl_session *session, size_t index) {
    sl_session *s = session;
    if (!has_logits(s) || index >= s->position || s->position - index > s->logits_count) {
        return NULL;
    }
    s->logits_lent = true;
    return executor_logits(s->group->runner, s->logits_row - (s->position - 1 - index));
}

void sl_session_spread(sl_session *session, size_t count, sl_work_fn work, void *user) {
    executor_spread(session->group->runner, count, work, user);
}

float *sl_session_logits(sl_session *session) {
    return sl_session_logits_at(session, session->position - 1);
}

/* ---- one pass at a time --------------------------------------------------------------------- */

/* A batch being filled. */
typedef struct step {
    size_t n_row, n_output;
} step;

/* Puts what is missing of `c` into the batch, or as much as fits; the last token's logits are
 * wanted. */
static void add_to_step(const sl_session_content *c, step *batch) {
    sl_session *const s = c->session;
    const size_t missing = c->count - s->position;
    const size_t room = s->group->options.n_batch - batch->n_row;
    const bool whole = missing <= room;
    const size_t before_last = whole ? missing - 1 : room;
    add_rows(s, c->tokens, before_last, ROW_NONE, batch->n_row);
    batch->n_row += before_last;
    if (whole) {
        s->next_row = batch->n_output++;
        add_rows(s, c->tokens, 1, ROW_LOGITS, batch->n_row++);
    }
}

/* Sessions of which one token is missing come first, for each waits for that one to go on; then
 * the others, in order. Every content misses a token at least. */
static step make_step(const sl_session_content *contents, size_t n) {
    step batch = {0, 0};
    for (int prompts = 0; prompts < 2; prompts++) {
        for (size_t i = 0; i < n; i++) {
            const bool is_prompt = contents[i].count - contents[i].session->position > 1;
            if (is_prompt == (prompts == 1)) {
                add_to_step(&contents[i], &batch);
            }
        }
    }
    return batch;
}

/* Whether the pool has pages for what the sessions have in the batch. */
static sl_status check_pool(const session_group *g, const sl_session_content *contents, size_t n,
                            sl_error *error) {
    const kv_cache *const kv = executor_kv(g->runner);
    const size_t wanted = session_pages_wanted(contents, n, false);
    if (wanted <= kv_free_pages(kv)) {
        return SL_OK;
    }
    return error_set(error, SL_ERR_MEMORY,
                     "the cache of keys and values is full: this step needs %zu pages of %d "
                     "positions, but %zu of %zu are free",
                     wanted, ATTENTION_PAGE, kv_free_pages(kv), kv_all_pages(kv));
}

sl_status sl_session_step_group(const sl_session_content *contents, size_t n,
                                sl_progress_fn progress, void *user, sl_error *error) {
    sl_status status = check_contents(contents, n, error);
    if (status != SL_OK) {
        return status;
    }
    session_group *const g = contents[0].session->group;
    session_collect_moves(g);
    keep_common(contents, n);
    const step batch = make_step(contents, n);
    status = check_pool(g, contents, n, error);
    if (status == SL_OK) {
        batch_progress told = {progress, user, 0, batch.n_row, batch.n_row};
        status = run_rows(g, batch.n_row, &told, error);
    }
    for (size_t i = 0; i < n; i++) {
        sl_session *const s = contents[i].session;
        const bool moved = s->taken > 0;
        if (status == SL_ERR_MEMORY) {
            s->taken = 0;
            continue;
        }
        settle_rows(s, contents[i].tokens, status);
        if (status == SL_OK && moved && s->position == contents[i].count) {
            point_at_logits(s, s->next_row, 1);
        }
    }
    return status;
}
