/* session.c - sl_session: one sequence of an executor, which the sessions of a group share.
 *
 *     group: executor, its team, pool of pages, room for a batch
 *       session 0 -> sequence 0    tokens held, where its logits are
 *       session 1 -> sequence 1
 */
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "engine/executor.h"
#include "engine/model.h"
#include "engine/session_need.h"
#include "engine/spill.h"
#include "ops/attention.h"
#include "sampling/sampling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the sessions of a group share. Only its sessions point at it; the last one frees it. */
typedef struct session_group {
    sl_model *model;
    uint64_t reserved; /* of the model's budget */
    executor *runner;
    executor_options options;
    executor_plan plan;
    bool spills; /* sessions can be suspended */
    spill *spill;
    size_t n_ctx;    /* positions of each session */
    size_t n_open;   /* sessions not freed yet */
    uint64_t n_run;  /* runs begun; the executor holds the logits of the last one only */
    batch_row *rows; /* n_batch */
} session_group;

struct sl_session {
    session_group *group;
    size_t sequence; /* of the executor's cache */
    int32_t *tokens; /* n_ctx: what the cache holds */
    size_t position;
    uint64_t logits_run; /* the run that gave the last token's logits; 0: none did */
    size_t logits_row;   /* which of that run's outputs they are */
    size_t logits_count; /* tokens, up to the last one, whose logits end there */
    bool logits_lent;    /* to the caller, who may have written to them */
    bool marked;         /* met before in the list being checked */
    size_t taken;        /* rows of it in the batch being made */
    size_t next_row;     /* which of that batch's outputs are its logits, if it comes to that */
    bool copies;         /* a page for them, as far as pages are being counted */
};

void sl_session_options_init(sl_session_options *options) {
    *options = (sl_session_options){0};
}

static quant_type cache_type(sl_kv_type type) {
    static const quant_type types[] = {
        [SL_KV_F16] = QUANT_F16,   [SL_KV_F32] = QUANT_F32,   [SL_KV_BF16] = QUANT_BF16,
        [SL_KV_Q8_0] = QUANT_Q8_0, [SL_KV_Q4_0] = QUANT_Q4_0,
    };
    return types[type];
}

/* Options of the executor, and positions of each of `count` sessions. */
static sl_status choose_options(const program *p, const sl_session_options *wanted, size_t count,
                                executor_options *o, size_t *positions, sl_error *error) {
    if ((unsigned)wanted->type_k > SL_KV_Q4_0 || (unsigned)wanted->type_v > SL_KV_Q4_0) {
        return error_set(error, SL_ERR_ARGUMENT, "no such type of keys and values");
    }
    if (count < 1 || count > LIMIT_BATCH) {
        return error_set(error, SL_ERR_ARGUMENT, "a group of %zu sessions, expected 1 to %u", count,
                         LIMIT_BATCH);
    }
    const size_t n_ctx = wanted->n_ctx ? wanted->n_ctx : p->n_ctx_train;
    if (n_ctx > LIMIT_CONTEXT) {
        return error_set(error, SL_ERR_ARGUMENT, "a context of %zu positions, expected at most %u",
                         n_ctx, LIMIT_CONTEXT);
    }
    if (p->n_ctx_limit && n_ctx > p->n_ctx_limit) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "a context of %zu positions, but the model can only do %zu", n_ctx,
                         p->n_ctx_limit);
    }
    if (n_ctx > p->n_ctx_train && wanted->notice) {
        char line[160];
        snprintf(line, sizeof line,
                 "a context of %zu positions is more than the %zu the model was trained for", n_ctx,
                 p->n_ctx_train);
        wanted->notice(wanted->user, line);
    }
    /* Without a ceiling no page needs to be shared. */
    const size_t all = count * size_round_up(n_ctx, ATTENTION_PAGE);
    const size_t pool =
        wanted->pool_positions ? size_min(wanted->pool_positions, LIMIT_CONTEXT) : all;
    /* A batch has room for the last token of every session, and for its logits. */
    const size_t most = size_min(wanted->n_batch ? wanted->n_batch : 512, count * n_ctx);
    const size_t n_batch = size_max(most, count);
    *positions = n_ctx;
    *o = (executor_options){
        .threads = wanted->threads ? wanted->threads : os_core_count(),
        .n_batch = n_batch,
        .n_output = size_max(size_min(wanted->n_logits, n_batch), count),
        .n_seq = count,
        .n_positions = size_min(size_round_up(pool, ATTENTION_PAGE), all),
        .type_k = cache_type(wanted->type_k),
        .type_v = cache_type(wanted->type_v),
    };
    return SL_OK;
}

/* What a group needs besides the executor's plan: for each session also the sampler that will come
 * to it and the tokens that its caller keeps, and the touched part of each thread's stack. */
static uint64_t own_bytes(const program *p, const executor_options *o, size_t n_ctx, bool spills) {
    enum { STACK_BYTES = 64 << 10 };
    sl_sampler_options sampler;
    sl_sampler_options_init(&sampler);
    sampler.frequency_penalty = 1; /* penalties need the most */
    const uint64_t each = sizeof(sl_session) +
                          2 * size_round_up(n_ctx, ATTENTION_PAGE) * sizeof(int32_t) +
                          sampling_bytes(p->n_vocab, &sampler);
    return o->n_batch * sizeof(batch_row) + o->n_seq * each + o->threads * STACK_BYTES +
           (spills ? spill_bytes(o->n_seq, n_ctx) + STACK_BYTES : 0);
}

sl_status session_need_make(const program *p, const sl_session_options *options, size_t count,
                            session_need *out, sl_error *error) {
    executor_options chosen;
    executor_plan plan;
    size_t n_ctx = 0;
    sl_status status = choose_options(p, options, count, &chosen, &n_ctx, error);
    if (status == SL_OK) {
        status = executor_make_plan(p, &chosen, &plan, error);
    }
    if (status == SL_OK) {
        *out = (session_need){
            .n_ctx = n_ctx,
            .n_batch = chosen.n_batch,
            .threads = chosen.threads,
            .kv_bytes = plan.kv_bytes,
            .buffer_bytes =
                plan.buffer_bytes + own_bytes(p, &chosen, n_ctx, options->spill_directory),
        };
    }
    return status;
}

static uint64_t group_bytes(const session_group *g) {
    return own_bytes(&g->model->computation, &g->options, g->n_ctx, g->spills);
}

static unsigned long long mebibytes(uint64_t bytes) {
    return (bytes + (1 << 20) - 1) >> 20;
}

/* So that sums do not wrap. */
static uint64_t at_most(uint64_t bytes) {
    return bytes < UINT64_MAX / 8 ? bytes : UINT64_MAX / 8;
}

/* Takes `own` bytes of what the model and its other sessions leave of the budget. */
static bool take(session_group *g, uint64_t own) {
    sl_model *model = g->model;
    const uint64_t weights = model_memory(model) + model->reserved;
    uint64_t others = atomic_load(&model->session_bytes);
    while (weights + others + own <= model->memory_budget) {
        if (atomic_compare_exchange_weak(&model->session_bytes, &others, others + own)) {
            g->reserved = own;
            return true;
        }
    }
    return false;
}

static sl_status refuse(const session_group *g, uint64_t weights, uint64_t own, sl_error *error) {
    const sl_model *model = g->model;
    const uint64_t others = atomic_load(&model->session_bytes), beside = model->reserved;
    char taken[48] = "", held[48] = "";
    if (others > 0) {
        snprintf(taken, sizeof taken, ", other sessions %llu", mebibytes(others));
    }
    if (beside >> 20) {
        snprintf(held, sizeof held, ", reserved by the caller %llu", mebibytes(beside));
    }
    return error_set(
        error, SL_ERR_MEMORY,
        "needs %llu MiB of memory (model %llu, keys and values of %zu positions %llu, "
        "buffers %llu%s%s), but the budget is %llu MiB; a shorter context or a smaller "
        "type of keys and values needs less",
        mebibytes(weights + beside + others + own), mebibytes(weights),
        size_min(g->options.n_seq * g->n_ctx, g->options.n_positions), mebibytes(g->plan.kv_bytes),
        mebibytes(own - at_most(g->plan.kv_bytes)), taken, held,
        (unsigned long long)model->memory_budget >> 20);
}

/* Takes what the group needs. If the weights leave too little, they give way. */
static sl_status reserve_alone(session_group *g, const sl_session_options *options,
                               sl_error *error) {
    sl_model *model = g->model;
    const uint64_t buffers = g->plan.buffer_bytes + group_bytes(g);
    const uint64_t own = at_most(g->plan.kv_bytes) + at_most(buffers) + at_most(options->reserved);
    if (take(g, own)) {
        return SL_OK;
    }
    const uint64_t least = model_least_memory(model), all = model_memory(model);
    const bool stay = options->keep_weights && model_is_whole(model);
    if (atomic_load(&model->session_bytes) > 0 || least > all || stay) {
        return refuse(g, all, own, error);
    }
    if (own > model->memory_budget || least + model->reserved + own > model->memory_budget) {
        return refuse(g, least, own, error);
    }
    const sl_status status = model_place(model, own, options, error);
    if (status != SL_OK) {
        return status;
    }
    return take(g, own) ? SL_OK : refuse(g, model_memory(model), own, error);
}

static sl_status reserve(session_group *g, const sl_session_options *options, sl_error *error) {
    _Atomic uint32_t *const lock = &g->model->placing;
    while (atomic_exchange(lock, 1) == 1) {
        os_wait(lock, 1);
    }
    const sl_status status = reserve_alone(g, options, error);
    atomic_store(lock, 0);
    os_wake_all(lock);
    return status;
}

static void free_group(session_group *g) {
    spill_free(g->spill);
    executor_free(g->runner);
    atomic_fetch_sub(&g->model->session_bytes, g->reserved);
    free(g->rows);
    free(g);
}

/* Everything but the sessions themselves. */
static sl_status create_group(sl_model *model, const sl_session_options *options, size_t count,
                              session_group **out, sl_error *error) {
    session_group made = {.model = model, .spills = options->spill_directory};
    sl_status status =
        choose_options(&model->computation, options, count, &made.options, &made.n_ctx, error);
    if (status != SL_OK || (status = executor_make_plan(&model->computation, &made.options,
                                                        &made.plan, error)) != SL_OK) {
        return status;
    }
    session_group *g = malloc(sizeof *g);
    if (!g) {
        return error_memory(error, "a session", sizeof *g);
    }
    *g = made;
    status = reserve(g, options, error);
    if (status == SL_OK) {
        g->rows = calloc(g->options.n_batch, sizeof *g->rows);
        status = g->rows ? executor_create(&model->computation, model->weights, &g->options,
                                           &g->runner, error)
                         : error_memory(error, "a session", g->options.n_batch * sizeof *g->rows);
    }
    if (status == SL_OK && g->spills) {
        status = spill_create(executor_kv(g->runner), options->spill_directory, g->n_ctx, &g->spill,
                              error);
    }
    if (status != SL_OK) {
        free_group(g);
        return status;
    }
    *out = g;
    return SL_OK;
}

/* NULL if memory is out. */
static sl_session *open_session(session_group *g) {
    sl_session *s = calloc(1, sizeof *s);
    int32_t *tokens = calloc(g->n_ctx, sizeof *tokens);
    if (!s || !tokens) {
        free(s);
        free(tokens);
        return NULL;
    }
    *s = (sl_session){.group = g, .sequence = g->n_open++, .tokens = tokens};
    return s;
}

sl_status sl_session_create_group(sl_model *model, const sl_session_options *options, size_t count,
                                  sl_session **sessions, sl_error *error) {
    sl_session_options defaults;
    sl_session_options_init(&defaults);
    if (!model->weights) {
        return error_set(error, SL_ERR_ARGUMENT, "the model was loaded for its vocabulary only");
    }
    session_group *g = NULL;
    const sl_status status = create_group(model, options ? options : &defaults, count, &g, error);
    if (status != SL_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        sessions[i] = open_session(g);
        if (sessions[i]) {
            continue;
        }
        const size_t bytes = sizeof **sessions + g->n_ctx * sizeof(int32_t);
        if (i == 0) {
            free_group(g);
        }
        while (i > 0) {
            sl_session_free(sessions[--i]);
            sessions[i] = NULL;
        }
        return error_memory(error, "a session", bytes);
    }
    return SL_OK;
}

sl_status sl_session_create(sl_model *model, const sl_session_options *options,
                            sl_session **session, sl_error *error) {
    return sl_session_create_group(model, options, 1, session, error);
}

static void forget_spilled(sl_session *s) {
    if (s->group->spill) {
        spill_forget(s->group->spill, s->sequence);
    }
}

void sl_session_free(sl_session *session) {
    if (session) {
        session_group *const g = session->group;
        forget_spilled(session);
        kv_truncate(executor_kv(g->runner), session->sequence, 0);
        free(session->tokens);
        free(session);
        if (--g->n_open == 0) {
            free_group(g);
        }
    }
}

void sl_session_get_info(const sl_session *session, sl_session_info *info) {
    const session_group *const g = session->group;
    *info = (sl_session_info){
        .n_ctx = g->n_ctx,
        .n_batch = g->options.n_batch,
        .n_logits = g->options.n_output,
        .n_session = g->options.n_seq,
        .threads = g->options.threads,
        .position = session->position,
        .kv_bytes = g->plan.kv_bytes,
        .buffer_bytes = g->plan.buffer_bytes + group_bytes(g),
        .planned_bytes = model_memory(g->model) + g->model->reserved + g->reserved,
    };
}

/* ---- evaluation ----------------------------------------------------------------------------- */

static bool has_logits(const sl_session *s) {
    return s->logits_run > 0 && s->logits_run == s->group->n_run;
}

static void cut_back(sl_session *s, size_t length) {
    kv_truncate(executor_kv(s->group->runner), s->sequence, length);
    s->position = length;
    s->logits_run = 0;
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

/* Runs the group's first n rows. */
static sl_status run_rows(session_group *g, size_t n, batch_progress *progress, sl_error *error) {
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
        cut_back(s, 0);
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

static bool is_here(const sl_session *s) {
    return !s->group->spill || spill_where(s->group->spill, s->sequence) == SPILL_HERE;
}

static sl_status check_here(const sl_session *s, sl_error *error) {
    return is_here(s) ? SL_OK
                      : error_set(error, SL_ERR_ARGUMENT,
                                  "the session is suspended, expected one that is not");
}

/* Lets the moves that have ended count, so that as many pages are free as can be. */
static void collect_moves(const session_group *g) {
    if (g->spill) {
        spill_collect(g->spill);
    }
}

static sl_status check_tokens(const sl_session *s, const int32_t *tokens, size_t count,
                              sl_error *error) {
    const size_t n_vocab = s->group->model->computation.n_vocab;
    if (!is_here(s)) {
        return check_here(s, error);
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
            cut_back(s, common);
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
        cut_back(s, kept);
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
    cut_back(s, 0);
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

/* Pages that the sessions take from the pool for what they have in the batch, or if `all` for all
 * that they miss. */
static size_t pages_wanted(const sl_session_content *contents, size_t n, bool all) {
    kv_cache *const kv = executor_kv(contents[0].session->group->runner);
    size_t wanted = 0;
    for (size_t i = 0; i < n; i++) {
        sl_session *const s = contents[i].session;
        s->copies = false;
        if (!is_here(s)) {
            continue; /* it has no pages to look at */
        }
        const size_t missing =
            contents[i].count > s->position ? contents[i].count - s->position : 0;
        wanted += kv_pages_wanted(kv, s->sequence, all ? missing : s->taken, &s->copies);
    }
    for (size_t i = 0; i < n; i++) {
        if (contents[i].session->copies) {
            kv_forget_copy(kv, contents[i].session->sequence);
        }
    }
    return wanted;
}

/* Whether the pool has pages for what the sessions have in the batch. */
static sl_status check_pool(const session_group *g, const sl_session_content *contents, size_t n,
                            sl_error *error) {
    const kv_cache *const kv = executor_kv(g->runner);
    const size_t wanted = pages_wanted(contents, n, false);
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
    collect_moves(g);
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

/* ---- the pool ------------------------------------------------------------------------------- */

void sl_session_get_pool(sl_session *session, sl_session_pool *pool) {
    const session_group *const g = session->group;
    collect_moves(g);
    const kv_cache *const kv = executor_kv(g->runner);
    *pool = (sl_session_pool){
        .page = ATTENTION_PAGE,
        .total = kv_all_pages(kv) * ATTENTION_PAGE,
        .free = kv_free_pages(kv) * ATTENTION_PAGE,
    };
}

size_t sl_session_wanted(const sl_session_content *contents, size_t n) {
    return n > 0 ? pages_wanted(contents, n, true) * ATTENTION_PAGE : 0;
}

void sl_session_cut(sl_session *session, size_t count) {
    sl_session *const s = session;
    if (!is_here(s)) {
        forget_spilled(s);
        cut_back(s, 0);
    } else if (count < s->position) {
        cut_back(s, count);
    }
}

sl_status sl_session_share(const sl_session *from, sl_session *to, size_t count, sl_error *error) {
    session_group *const g = to->group;
    if (from == to || from->group != g) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "tokens can be shared between two sessions of one group only");
    }
    if (!is_here(from) || !is_here(to)) {
        return check_here(is_here(from) ? to : from, error);
    }
    if (count > from->position) {
        return error_set(error, SL_ERR_ARGUMENT, "%zu tokens to share, but %zu are there", count,
                         from->position);
    }
    kv_share(executor_kv(g->runner), from->sequence, to->sequence, count);
    memcpy(to->tokens, from->tokens, count * sizeof *to->tokens);
    to->position = count;
    to->logits_run = 0;
    return SL_OK;
}

sl_status sl_session_suspend(sl_session *session, sl_error *error) {
    sl_session *const s = session;
    if (!s->group->spill) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "the group has no spill file, which its options would name a folder for");
    }
    collect_moves(s->group);
    if (!is_here(s)) {
        return check_here(s, error);
    }
    spill_out(s->group->spill, s->sequence);
    return SL_OK;
}

sl_status sl_session_resume(sl_session *session, sl_error *error) {
    const session_group *const g = session->group;
    collect_moves(g);
    if (!g->spill || spill_where(g->spill, session->sequence) != SPILL_AWAY) {
        return error_set(error, SL_ERR_ARGUMENT, "the session is not away, so it cannot come back");
    }
    return spill_in(g->spill, session->sequence, error);
}

sl_status sl_session_settle(sl_session *session, bool wait, sl_session_place *place,
                            sl_error *error) {
    static const sl_session_place places[] = {
        [SPILL_HERE] = SL_SESSION_HERE,
        [SPILL_LEAVING] = SL_SESSION_LEAVING,
        [SPILL_AWAY] = SL_SESSION_AWAY,
        [SPILL_RETURNING] = SL_SESSION_RETURNING,
    };
    *place = SL_SESSION_HERE;
    spill *const away = session->group->spill;
    if (!away) {
        return SL_OK;
    }
    const spill_place before = spill_where(away, session->sequence);
    const sl_status status = spill_settle(away, session->sequence, wait, error);
    if (status != SL_OK && before == SPILL_RETURNING) {
        cut_back(session, 0); /* what was read of its pages is not what they held */
    }
    *place = places[spill_where(away, session->sequence)];
    return status;
}

size_t sl_session_away(const sl_session *session) {
    const spill *const away = session->group->spill;
    return away ? spill_pages_away(away, session->sequence) * ATTENTION_PAGE : 0;
}
