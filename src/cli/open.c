/* open.c - open.h. */
#include "cli/open.h"

#include "cli/cli.h"
#include "cli/figures_cache.h"
#include "cli/plan_report.h"
#include "cli/progress.h"
#include "cli/scores.h"
#include "cli/units.h"

#include <stdio.h>
#include <string.h>

int open_model(const cli_options *options, open_extent extent, uint64_t reserved,
               sl_model **model) {
    sl_model_options how;
    sl_model_options_init(&how);
    how.memory_budget = options->memory;
    how.reserved = reserved;
    how.vocabulary_only = extent == OPEN_VOCABULARY;
    how.no_populate = extent == OPEN_PROGRAM;
    how.no_rearrange = options->no_repack;
    how.tokenizer = options->tokenizer;
    how.progress = progress_update;
    how.notice = print_notice;
    sl_error error = {0};
    progress_begin(PROGRESS_BYTES);
    const sl_status status =
        options->shape ? sl_model_synthesize(options->shape, options->type, 1, &how, model, &error)
                       : sl_model_load(options->model, &how, model, &error);
    progress_end();
    if (status == SL_ERR_MEMORY && options->shape) {
        const size_t length = strlen(error.message);
        snprintf(error.message + length, sizeof error.message - length,
                 "; sluice plan --shape %s --type %s says what it needs", options->shape,
                 options->type);
    }
    return status == SL_OK ? CLI_DONE : library_error(&error);
}

/* Where -c is not given, contexts of most uses rather than those of the longest. */
static const size_t planned_context = 4096;

void open_plan_options(const cli_options *options, sl_plan_options *plan) {
    sl_plan_options_init(plan);
    plan->path = options->model;
    plan->shape = options->shape;
    plan->type = options->type;
    plan->memory_budget = options->memory;
    plan->n_session = (size_t)options->sequences;
    plan->session.n_ctx = options->ctx > 0 ? (size_t)options->ctx : 0;
    plan->n_ctx_most = options->ctx == OPTION_UNSET ? planned_context : 0;
    plan->session.n_batch = (size_t)options->batch;
    plan->session.threads = (size_t)options->threads;
    plan->session.type_k = (sl_kv_type)options->type_k;
    plan->session.type_v = (sl_kv_type)options->type_v;
    plan->no_rearrange = options->no_repack;
    plan->tokenizer = options->tokenizer;
    plan->progress = progress_update;
    plan->notice = print_notice;
}

bool open_tell_plan(const cli_options *options, size_t n_ctx_most) {
    figures_cache cache;
    sl_plan_options wanted;
    sl_plan plan;
    open_plan_options(options, &wanted);
    if (options->ctx == OPTION_UNSET && n_ctx_most > 0) {
        wanted.n_ctx_most = n_ctx_most;
    }
    wanted.quick = true;
    wanted.notice = NULL;
    const bool known = figures_cache_load(&cache, (size_t)options->threads, false) &&
                       sl_figures_suffice(&wanted, &cache.figures);
    if (!known) {
        sl_figures_init(&cache.figures, (size_t)options->threads);
    }
    /* What is wrong with the model, loading will say. */
    if (sl_plan_make(&wanted, &cache.figures, &plan, NULL) != SL_OK ||
        (!known && plan.place != SL_PLACE_STREAMED)) {
        return false;
    }
    plan_report_line(&plan);
    return plan.place == SL_PLACE_STREAMED;
}

uint64_t open_text_bytes(const text *t) {
    return t->length + (uint64_t)t->length * sizeof(int32_t);
}

/* Rows of logits computed at once: enough to share the reading of the output weights, few enough
 * to need only megabytes with a large vocabulary. */
static size_t logits_rows(const sl_model *model) {
    enum { BYTES = 16 << 20, LEAST = 32 };
    sl_model_info info;
    sl_model_get_info(model, &info);
    const size_t rows = BYTES / sizeof(float) / (info.n_vocab + 1);
    return rows > LEAST ? rows : LEAST;
}

sl_lookup_options open_lookup_options(const cli_options *options, size_t n_ctx) {
    sl_lookup_options how;
    sl_lookup_options_init(&how);
    how.n_ctx = n_ctx;
    how.n_draft = options->draft == OPTION_UNSET ? how.n_draft : (size_t)options->draft;
    return how;
}

/* Of rows of references beside the logits that they are about. */
static uint64_t score_room(const sl_model *model, unsigned flags) {
    sl_model_info info;
    sl_model_get_info(model, &info);
    return SCORES_TOGETHER *
           ((flags & OPEN_READS_SCORES ? info.n_vocab * sizeof(float) : 0) +
            (flags & OPEN_SAVES_SCORES ? sl_reference_row_bytes(info.n_vocab) : 0));
}

sl_status open_session(const cli_options *options, sl_model *model, size_t n_ctx, unsigned flags,
                       sl_session **session, sl_error *error) {
    sl_session_options how;
    sl_session_options_init(&how);
    how.n_ctx = n_ctx;
    how.n_batch = (size_t)options->batch;
    how.n_logits = flags & OPEN_ALL_LOGITS ? logits_rows(model) : 1;
    how.keep_weights = flags & OPEN_KEEP_WEIGHTS;
    how.placement_told = flags & OPEN_PLACEMENT_TOLD;
    if (options->lookup) {
        const sl_lookup_options lookup = open_lookup_options(options, n_ctx);
        how.n_logits = lookup.n_draft + 1;
        how.reserved += sl_lookup_bytes(&lookup);
    }
    if (flags & OPEN_IMPORTANCE) {
        how.reserved += sl_importance_bytes(model, how.n_batch);
    }
    if (flags & (OPEN_READS_SCORES | OPEN_SAVES_SCORES)) {
        how.reserved += score_room(model, flags);
    }
    how.threads = (size_t)options->threads;
    how.type_k = (sl_kv_type)options->type_k;
    how.type_v = (sl_kv_type)options->type_v;
    how.progress = progress_update;
    how.notice = print_notice;
    progress_begin(PROGRESS_BYTES);
    const sl_status status = sl_session_create(model, &how, session, error);
    progress_end();
    if (status == SL_ERR_MEMORY) {
        const size_t length = strlen(error->message);
        snprintf(error->message + length, sizeof error->message - length, " (-c, -ctk, -ctv)");
    }
    return status;
}

void open_describe(const cli_options *options, const sl_model *model, const sl_session *session) {
    if (!options->verbose) {
        return;
    }
    sl_model_info m;
    sl_machine_info machine;
    sl_session_info s;
    sl_model_get_info(model, &m);
    sl_machine_get_info(&machine);
    sl_session_get_info(session, &s);
    char a[32], b[32];
    message("model: %s, %s, %s parameters, %s of weights, mostly %s", m.architecture,
            m.name[0] ? m.name : "no name", units_count(a, m.parameter_count),
            units_bytes(b, m.weight_bytes), m.type);
    message("model: %zu layers of width %zu, %zu tokens in the vocabulary, trained for %zu "
            "positions",
            m.n_layer, m.n_embd, m.n_vocab, m.n_ctx_train);
    message("machine: %zu cores, %s available of %s, %s", machine.cores,
            units_bytes(a, machine.memory_available), units_bytes(b, machine.memory_total),
            machine.cpu_features);
    message("session: %zu positions in batches of %zu, %zu threads, %s of keys and values, %s of "
            "buffers",
            s.n_ctx, s.n_batch, s.threads, units_bytes(a, s.kv_bytes),
            units_bytes(b, s.buffer_bytes));
}

void open_tell_memory(const cli_options *options, const sl_session *session) {
    if (options->verbose) {
        sl_session_info s;
        sl_session_get_info(session, &s);
        char a[32], b[32];
        message("memory: %s at its peak, of %s planned", units_bytes(a, sl_peak_memory()),
                units_bytes(b, s.planned_bytes));
    }
}

int open_tokens(const cli_options *options, const sl_model *model, const text *t, int32_t **tokens,
                size_t *count) {
    const unsigned flags = (options->no_bos ? 0u : (unsigned)SL_TOKENIZE_BOS) |
                           (options->parse_special ? (unsigned)SL_TOKENIZE_SPECIAL : 0u);
    sl_error error = {0};
    if (sl_tokenize(model, t->bytes ? t->bytes : "", t->length, flags, tokens, count, &error)) {
        return library_error(&error);
    }
    return CLI_DONE;
}
