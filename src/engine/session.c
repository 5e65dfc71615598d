/* session.c - session.h: groups of sessions, what they need of memory, opening and closing. */
#include "engine/session.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "engine/session_need.h"
#include "ops/attention.h"
#include "sampling/sampling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sl_session_options_init(sl_session_options *options) {
    *options = (sl_session_options){0};
}

quant_type session_cache_type(sl_kv_type type) {
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
        .n_context = n_ctx,
        .type_k = session_cache_type(wanted->type_k),
        .type_v = session_cache_type(wanted->type_v),
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

void sl_session_free(sl_session *session) {
    if (session) {
        session_group *const g = session->group;
        session_forget_spilled(session);
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
