/* session.c - sl_session: one sequence on an executor of its own. */
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "engine/executor.h"
#include "engine/model.h"
#include "sampling/sampling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sl_session {
    sl_model *model;
    uint64_t reserved; /* of the model's budget */
    executor *runner;
    executor_options options;
    executor_plan plan;
    batch_row *rows; /* n_batch */
    int32_t *tokens; /* n_ctx: what the cache holds */
    size_t position;
    bool has_logits;   /* of the last token */
    size_t logits_row; /* which of the last run's outputs they are */
    bool logits_lent;  /* to the caller, who may have written to them */
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

static sl_status choose_options(const sl_model *model, const sl_session_options *wanted,
                                executor_options *o, sl_error *error) {
    const program *p = &model->computation;
    if ((unsigned)wanted->type_k > SL_KV_Q4_0 || (unsigned)wanted->type_v > SL_KV_Q4_0) {
        return error_set(error, SL_ERR_ARGUMENT, "no such type of keys and values");
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
    const size_t n_batch = size_min(wanted->n_batch ? wanted->n_batch : 512, n_ctx);
    *o = (executor_options){
        .threads = wanted->threads ? wanted->threads : os_core_count(),
        .n_batch = n_batch,
        .n_output = size_min(wanted->n_logits ? wanted->n_logits : 1, n_batch),
        .n_seq = 1,
        .n_positions = n_ctx,
        .type_k = cache_type(wanted->type_k),
        .type_v = cache_type(wanted->type_v),
    };
    return SL_OK;
}

/* What a session needs besides the executor's plan; with the sampler that will come to it, the
 * tokens that its caller keeps as well, and the touched part of each thread's stack. */
static uint64_t own_bytes(const sl_model *model, const executor_options *o) {
    enum { STACK_BYTES = 64 << 10 };
    sl_sampler_options sampler;
    sl_sampler_options_init(&sampler);
    sampler.frequency_penalty = 1; /* penalties need the most */
    return o->n_batch * sizeof(batch_row) + 2 * o->n_positions * sizeof(int32_t) +
           sampling_bytes(model->computation.n_vocab, &sampler) + o->threads * STACK_BYTES;
}

static unsigned long long mebibytes(uint64_t bytes) {
    return (bytes + (1 << 20) - 1) >> 20;
}

/* Takes what the session needs, *reserved, from what the model and its other sessions leave of the
 * budget. */
static sl_status reserve(sl_model *model, const executor_options *o, const executor_plan *plan,
                         uint64_t *reserved, sl_error *error) {
    const uint64_t weights = model_memory(model);
    const uint64_t beside = model->reserved;
    const uint64_t buffers = plan->buffer_bytes + own_bytes(model, o);
    const uint64_t own = plan->kv_bytes + buffers;
    uint64_t others = atomic_load(&model->session_bytes);
    if (plan->kv_bytes <= UINT64_MAX / 4 && buffers <= UINT64_MAX / 4) {
        while (weights + beside + others + own <= model->memory_budget) {
            if (atomic_compare_exchange_weak(&model->session_bytes, &others, others + own)) {
                *reserved = own;
                return SL_OK;
            }
        }
    }
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
        mebibytes(weights + beside + others + own), mebibytes(weights), o->n_positions,
        mebibytes(plan->kv_bytes), mebibytes(buffers), taken, held,
        (unsigned long long)model->memory_budget >> 20);
}

sl_status sl_session_create(sl_model *model, const sl_session_options *options,
                            sl_session **session, sl_error *error) {
    sl_session_options defaults;
    sl_session_options_init(&defaults);
    options = options ? options : &defaults;
    if (!model->weights) {
        return error_set(error, SL_ERR_ARGUMENT, "the model was loaded for its vocabulary only");
    }
    executor_options chosen;
    executor_plan plan;
    sl_status status = choose_options(model, options, &chosen, error);
    if (status != SL_OK ||
        (status = executor_make_plan(&model->computation, &chosen, &plan, error)) != SL_OK) {
        return status;
    }
    sl_session *s = calloc(1, sizeof *s);
    if (!s) {
        return error_memory(error, "a session", sizeof *s);
    }
    *s = (sl_session){.model = model, .options = chosen, .plan = plan};
    status = reserve(model, &chosen, &plan, &s->reserved, error);
    if (status != SL_OK) {
        free(s);
        return status;
    }
    s->rows = calloc(chosen.n_batch, sizeof *s->rows);
    s->tokens = calloc(chosen.n_positions, sizeof *s->tokens);
    status = s->rows && s->tokens
                 ? executor_create(&model->computation, model->weights, &chosen, &s->runner, error)
                 : error_memory(error, "a session", (size_t)own_bytes(model, &chosen));
    if (status != SL_OK) {
        sl_session_free(s);
        return status;
    }
    *session = s;
    return SL_OK;
}

void sl_session_free(sl_session *session) {
    if (session) {
        executor_free(session->runner);
        atomic_fetch_sub(&session->model->session_bytes, session->reserved);
        free(session->rows);
        free(session->tokens);
        free(session);
    }
}

void sl_session_get_info(const sl_session *session, sl_session_info *info) {
    *info = (sl_session_info){
        .n_ctx = session->options.n_positions,
        .n_batch = session->options.n_batch,
        .threads = session->options.threads,
        .position = session->position,
        .kv_bytes = session->plan.kv_bytes,
        .buffer_bytes = session->plan.buffer_bytes + own_bytes(session->model, &session->options),
        .planned_bytes =
            model_memory(session->model) + session->model->reserved + session->reserved,
    };
}

/* ---- evaluation ----------------------------------------------------------------------------- */

static void cut_back(sl_session *s, size_t length) {
    kv_truncate(executor_kv(s->runner), 0, length);
    s->position = length;
    s->has_logits = false;
}

/* One chunk at a time is told as a share of the whole. */
typedef struct chunk_progress {
    sl_progress_fn progress;
    void *user;
    size_t before, chunk, total;
} chunk_progress;

static bool poll_chunk(void *user, double done) {
    const chunk_progress *c = user;
    const size_t in_chunk = (size_t)(done * (double)c->chunk);
    return c->progress(c->user, "prompt", c->before + in_chunk, c->total);
}

/* Computes tokens [position, position + n); `outputs` of them, the last ones, want logits. */
static sl_status run_chunk(sl_session *s, const int32_t *tokens, size_t n, size_t outputs,
                           chunk_progress *progress, sl_error *error) {
    for (size_t i = 0; i < n; i++) {
        s->rows[i] = (batch_row){
            .token = tokens[i],
            .position = s->position + i,
            .output = i + outputs >= n ? ROW_LOGITS : ROW_NONE,
        };
    }
    s->has_logits = false;
    const bool told = progress && progress->progress;
    const sl_status status =
        executor_run(s->runner, s->rows, n, told ? poll_chunk : NULL, progress, error);
    if (status != SL_OK) {
        return status;
    }
    if (os_guard_faulted(s->model->mapping.bytes)) {
        cut_back(s, 0);
        return error_set(error, SL_ERR_RUNTIME,
                         "the model file was cut short or became unreadable while in use");
    }
    memcpy(s->tokens + s->position, tokens, n * sizeof *tokens);
    s->position += n;
    s->has_logits = outputs > 0;
    s->logits_row = outputs - s->has_logits;
    s->logits_lent = false;
    return SL_OK;
}

static sl_status check_tokens(const sl_session *s, const int32_t *tokens, size_t count,
                              sl_error *error) {
    if (count < 1 || count > s->options.n_positions) {
        return error_set(error, SL_ERR_ARGUMENT, "%zu tokens do not fit a context of %zu positions",
                         count, s->options.n_positions);
    }
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] < 0 || (size_t)tokens[i] >= s->model->computation.n_vocab) {
            return error_set(error, SL_ERR_ARGUMENT,
                             "token %d is outside the vocabulary of %zu tokens", tokens[i],
                             s->model->computation.n_vocab);
        }
    }
    return SL_OK;
}

sl_status sl_session_eval(sl_session *session, const int32_t *tokens, size_t count,
                          sl_progress_fn progress, void *user, sl_error *error) {
    sl_session *s = session;
    sl_status status = check_tokens(s, tokens, count, error);
    if (status != SL_OK) {
        return status;
    }
    size_t common = 0;
    while (common < s->position && common < count && s->tokens[common] == tokens[common]) {
        common++;
    }
    if (common == count && common == s->position && s->has_logits && !s->logits_lent) {
        return SL_OK;
    }
    common = size_min(common, count - 1); /* the last one is computed anew, for its own logits */
    if (common < s->position) {
        cut_back(s, common);
    }
    while (s->position < count) {
        const size_t n = size_min(s->options.n_batch, count - s->position);
        chunk_progress told = {progress, user, s->position - common, n, count - common};
        const bool last = s->position + n == count;
        status = run_chunk(s, tokens + s->position, n, last ? 1 : 0, &told, error);
        if (status != SL_OK) {
            return status;
        }
    }
    return SL_OK;
}

sl_status sl_session_eval_all(sl_session *session, const int32_t *tokens, size_t count,
                              sl_logits_fn each, void *user, sl_error *error) {
    sl_session *s = session;
    sl_status status = check_tokens(s, tokens, count, error);
    if (status != SL_OK) {
        return status;
    }
    cut_back(s, 0);
    while (s->position < count) {
        const size_t before = s->position;
        const size_t n = size_min(s->options.n_output, count - before);
        status = run_chunk(s, tokens + before, n, n, NULL, error);
        if (status != SL_OK) {
            return status;
        }
        for (size_t i = 0; i < n; i++) {
            if (!each(user, before + i, executor_logits(s->runner, i))) {
                return error_set(error, SL_ERR_CANCELLED, "interrupted");
            }
        }
    }
    return SL_OK;
}

float *sl_session_logits(sl_session *session) {
    sl_session *s = session;
    s->logits_lent = s->has_logits;
    return s->has_logits ? executor_logits(s->runner, s->logits_row) : NULL;
}
