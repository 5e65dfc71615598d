/* command_run.c - `sluice run`: completes a prompt.
 *
 *     text -> tokens -> [ evaluate -> sample -> decode -> look for reverse prompts -> show ] ...
 *
 * With --lookup a pass also evaluates tokens that were drafted behind the text. Each position is
 * sampled as without, in order, and the draft serves as long as it is what was sampled:
 *
 *     tokens   text ... | draft: a b c        evaluated in one pass
 *     sampled             a x                 a was right, x in b's place ends it: c is void
 *
 * All memory is there before the first token is generated.
 */
#include "cli/cli.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/reverse.h"
#include "cli/statistics.h"
#include "os/console/console.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where no context was asked for and the model's own does not fit, it is halved down to this. */
static const size_t least_context = 4096;

typedef struct run {
    const cli_options *options;
    sl_model *model;
    sl_model_info info;
    text prompt;
    text *reverse_texts;
    reverse_prompts reverse;
    int32_t *tokens; /* room for n_ctx: the prompt, then what is generated */
    size_t count;
    size_t evaluated; /* tokens, with those drafted behind the text, up to where they are right */
    size_t prompt_count;
    size_t n_ctx;
    bool placement_told; /* the plan's line has said that weights are read from the file */
    sl_session *session;
    sl_logit_bias *biases;
    sl_sampler *sampler;
    sl_decoder *decoder;
    sl_lookup *lookup; /* NULL without --lookup */
    statistics statistics;
    char stop[128];
} run;

/* ---- preparing ------------------------------------------------------------------------------ */

static int read_prompt(run *r) {
    const int status = text_from_options(r->options, "prompt", true, &r->prompt);
    /* Editors and echo end a text with a newline that nobody means as part of a prompt. */
    if (status == CLI_DONE && !r->options->prompt && r->prompt.length > 0 &&
        r->prompt.bytes[r->prompt.length - 1] == '\n') {
        r->prompt.length--;
    }
    return status;
}

static int read_reverse_prompts(run *r) {
    const size_t count = r->options->reverse.count;
    r->reverse_texts = calloc(count + 1, sizeof *r->reverse_texts);
    if (!r->reverse_texts) {
        return usage_error("out of memory: %zu reverse prompts", count);
    }
    for (size_t i = 0; i < count; i++) {
        if (!text_copy(&r->reverse_texts[i], r->options->reverse.items[i])) {
            return CLI_USAGE;
        }
        if (r->options->escape) {
            text_unescape(&r->reverse_texts[i]);
        }
    }
    return reverse_init(&r->reverse, r->reverse_texts, count) ? CLI_DONE : CLI_USAGE;
}

/* An empty prompt begins with BOS, for there must be a token to go on from. */
static int tokenize_prompt(run *r, int32_t **tokens) {
    const int status = open_tokens(r->options, r->model, &r->prompt, tokens, &r->prompt_count);
    if (status != CLI_DONE || r->prompt_count > 0) {
        return status;
    }
    const int32_t bos = sl_token_bos(r->model);
    if (r->options->no_bos || bos < 0) {
        return usage_error("the prompt is empty, and %s: give some text to go on from",
                           bos < 0 ? "the model has no token that begins a text"
                                   : "--no-bos leaves out the token that begins a text");
    }
    sl_free(*tokens);
    *tokens = NULL;
    r->prompt_count = 1;
    return CLI_DONE;
}

/* Positions to reserve, from -c, -n and the model. */
static size_t choose_context(const run *r) {
    const cli_options *const o = r->options;
    const size_t own = r->info.n_ctx_train;
    if (o->ctx > 0) {
        return (size_t)o->ctx;
    }
    if (o->ctx == 0 || o->predict < 0 || r->prompt_count > own) {
        return own;
    }
    const size_t wanted = r->prompt_count + (size_t)o->predict;
    return wanted < own ? wanted : own;
}

/* Says so before the start where the context is known to end what -n asks for. With -c it is the
 * user who has chosen. */
static void tell_of_short_context(const run *r) {
    const int64_t predict = r->options->predict;
    const size_t room = r->n_ctx - r->prompt_count;
    if (r->options->ctx == OPTION_UNSET && predict > 0 && (size_t)predict > room) {
        message("-n asks for %" PRId64 " tokens, but the model's context of %zu positions has room "
                "for %zu after the prompt",
                predict, r->n_ctx, room);
    }
}

/* Opens a session of r->n_ctx positions. If the context is our own choice and leaves too little
 * memory for the weights, tries smaller ones and says so; only where the least does not either are
 * weights read from the file for each token. */
static int make_session(run *r) {
    const bool free_choice = r->options->ctx == OPTION_UNSET && r->options->predict < 0;
    const size_t wanted = r->n_ctx;
    const unsigned told = r->placement_told ? OPEN_PLACEMENT_TOLD : 0;
    unsigned keep = free_choice ? OPEN_KEEP_WEIGHTS : 0;
    sl_error error = {0};
    for (;;) {
        const sl_status status =
            open_session(r->options, r->model, r->n_ctx, told | keep, &r->session, &error);
        if (status == SL_OK) {
            break;
        }
        const size_t half = r->n_ctx / 2;
        if (status == SL_ERR_MEMORY && free_choice && half >= least_context &&
            half > r->prompt_count) {
            r->n_ctx = half;
        } else if (status == SL_ERR_MEMORY && keep != 0) {
            keep = 0;
        } else {
            return library_error(&error);
        }
    }
    if (r->n_ctx < wanted) {
        message("the model's context of %zu positions does not fit into memory; using %zu "
                "(-c N chooses)",
                wanted, r->n_ctx);
    }
    return CLI_DONE;
}

/* Reserves the context and puts the prompt into it. */
static int prepare_context(run *r) {
    int32_t *tokens = NULL;
    int status = tokenize_prompt(r, &tokens);
    r->n_ctx = choose_context(r);
    if (status == CLI_DONE && r->prompt_count > r->n_ctx) {
        status = usage_error("the prompt has %zu tokens and does not fit into the context of %zu",
                             r->prompt_count, r->n_ctx);
    }
    if (status == CLI_DONE) {
        tell_of_short_context(r);
        status = make_session(r);
    }
    if (status == CLI_DONE) {
        r->tokens = calloc(r->n_ctx, sizeof *r->tokens);
        if (!r->tokens) {
            status = usage_error("out of memory: a context of %zu tokens", r->n_ctx);
        } else if (tokens) {
            memcpy(r->tokens, tokens, r->prompt_count * sizeof *tokens);
        } else {
            r->tokens[0] = sl_token_bos(r->model);
        }
    }
    r->count = r->prompt_count;
    sl_free(tokens);
    return status;
}

/* The biases of the options, and of --ignore-eos. */
static int collect_biases(run *r, size_t *count) {
    const bias_list *const given = &r->options->logit_bias;
    size_t ends = 0;
    for (size_t i = 0; r->options->ignore_eos && i < r->info.n_vocab; i++) {
        ends += sl_token_is_end(r->model, (int32_t)i);
    }
    r->biases = calloc(given->count + ends + 1, sizeof *r->biases);
    if (!r->biases) {
        return usage_error("out of memory: %zu biases", given->count + ends);
    }
    *count = 0;
    for (size_t i = 0; i < given->count; i++) {
        if ((size_t)given->items[i].token >= r->info.n_vocab) {
            return usage_error("--logit-bias: expected a token from 0 to %zu, found %d",
                               r->info.n_vocab - 1, given->items[i].token);
        }
        r->biases[(*count)++] = given->items[i];
    }
    for (size_t i = 0; ends > 0 && i < r->info.n_vocab; i++) {
        if (sl_token_is_end(r->model, (int32_t)i)) {
            r->biases[(*count)++] = (sl_logit_bias){(int32_t)i, -INFINITY};
        }
    }
    return CLI_DONE;
}

static int make_sampler(run *r) {
    const cli_options *const o = r->options;
    sl_sampler_options how;
    sl_sampler_options_init(&how);
    const int status = collect_biases(r, &how.logit_bias_count);
    if (status != CLI_DONE) {
        return status;
    }
    how.seed = o->seed < 0 ? console_random() : (uint64_t)o->seed;
    how.temperature = (float)o->temperature;
    how.top_k = (int32_t)o->top_k;
    how.top_p = (float)o->top_p;
    how.min_p = (float)o->min_p;
    how.repeat_penalty = (float)o->repeat_penalty;
    how.presence_penalty = (float)o->presence_penalty;
    how.frequency_penalty = (float)o->frequency_penalty;
    how.repeat_last_n = (int32_t)o->repeat_last_n;
    how.n_ctx = r->n_ctx;
    how.logit_bias = r->biases;
    r->statistics.seed = how.seed;
    sl_error error = {0};
    if (sl_sampler_create(r->info.n_vocab, &how, &r->sampler, &error) != SL_OK ||
        sl_decoder_create(r->model, o->special, &r->decoder, &error) != SL_OK) {
        return library_error(&error);
    }
    return CLI_DONE;
}

static int make_lookup(run *r) {
    if (!r->options->lookup) {
        return CLI_DONE;
    }
    sl_lookup_options how = open_lookup_options(r->options, r->n_ctx);
    sl_model_info placed; /* since there is a session */
    sl_model_get_info(r->model, &placed);
    how.row_cost = sl_lookup_row_cost(&placed);
    sl_error error = {0};
    return sl_lookup_create(&how, &r->lookup, &error) == SL_OK ? CLI_DONE : library_error(&error);
}

/* ---- generating ----------------------------------------------------------------------------- */

/* Evaluates the text and `drafted` tokens behind it; adds the time to *seconds. */
static sl_status evaluate(run *r, size_t drafted, double *seconds, sl_error *error) {
    const double started = console_seconds();
    const sl_status status = sl_session_eval_last(r->session, r->tokens, r->count + drafted,
                                                  drafted + 1, progress_update, NULL, error);
    *seconds += console_seconds() - started;
    r->evaluated = r->count + drafted;
    return status;
}

/* Tells sampler and lookup of a token of the text. */
static void accept_token(run *r, int32_t token) {
    sl_sampler_accept(r->sampler, token);
    if (r->lookup) {
        sl_lookup_accept(r->lookup, token);
    }
}

/* Evaluates the prompt, and tells sampler and decoder of it. What the decoder gives for it is
 * dropped, but decides whether the space in front of the first generated word is shown. */
static sl_status evaluate_prompt(run *r, sl_error *error) {
    progress_begin(PROGRESS_TOKENS);
    const sl_status status = evaluate(r, 0, &r->statistics.prompt_seconds, error);
    progress_end();
    sl_session_info session;
    sl_session_get_info(r->session, &session);
    r->statistics.prompt_tokens = session.position;
    r->statistics.planned_memory = session.planned_bytes;
    for (size_t i = 0; i < r->prompt_count; i++) {
        const char *shown;
        accept_token(r, r->tokens[i]);
        sl_decoder_add(r->decoder, r->tokens[i], &shown);
    }
    return status;
}

/* Room for tokens that are drafted now: one more is sampled in any case, and none is needed behind
 * the last that -n and the context allow. */
static size_t room_for_draft(const run *r) {
    size_t room = r->n_ctx - r->count;
    if (r->options->predict >= 0) {
        const size_t wanted = (size_t)r->options->predict - r->statistics.generated;
        room = wanted < room ? wanted : room;
    }
    sl_session_info session;
    sl_session_get_info(r->session, &session);
    return (room < session.n_logits ? room : session.n_logits) - 1;
}

/* Evaluates the last token, and with --lookup a draft behind it. */
static sl_status evaluate_next(run *r, sl_error *error) {
    size_t drafted = 0;
    if (r->lookup) {
        drafted = sl_lookup_draft(r->lookup, r->tokens + r->count, room_for_draft(r));
    }
    double seconds = 0;
    const sl_status status = evaluate(r, drafted, &seconds, error);
    r->statistics.eval_seconds += seconds;
    if (status == SL_OK) {
        r->statistics.passes++;
        r->statistics.drafted += drafted;
        if (r->lookup) {
            sl_lookup_timed(r->lookup, drafted + 1, seconds);
        }
    }
    return status;
}

/* Puts the token behind the text. What was drafted behind it is void unless this was, too. */
static void append_token(run *r, int32_t token) {
    if (r->count < r->evaluated) {
        if (r->tokens[r->count] == token) {
            r->statistics.accepted++;
        } else {
            r->evaluated = r->count;
        }
    }
    r->tokens[r->count++] = token;
    r->statistics.generated++;
}

static sl_status choose_token(run *r, int32_t *token, sl_error *error) {
    const double started = console_seconds();
    const float *const logits = sl_session_logits_at(r->session, r->count - 1);
    const sl_status status = sl_sampler_sample(r->sampler, logits, token, error);
    if (status == SL_OK) {
        accept_token(r, *token);
        r->statistics.sampled++;
    }
    r->statistics.sample_seconds += console_seconds() - started;
    return status;
}

/* Shows what `token` adds to the text. Returns whether to go on. */
static bool show_token(run *r, int32_t token) {
    const char *piece;
    const size_t length = sl_decoder_add(r->decoder, token, &piece);
    const bool found = reverse_add(&r->reverse, piece, length);
    if (found) {
        snprintf(r->stop, sizeof r->stop, "at a reverse prompt");
    }
    if (!output_flush()) {
        snprintf(r->stop, sizeof r->stop, "standard output was closed by its reader");
        return false;
    }
    return !found;
}

/* Whether there is room and leave for one more token. */
static bool may_go_on(run *r) {
    const size_t n = r->statistics.generated;
    if (console_interrupted()) {
        snprintf(r->stop, sizeof r->stop, "interrupted");
        return false;
    }
    if (r->options->predict >= 0 && n >= (size_t)r->options->predict) {
        snprintf(r->stop, sizeof r->stop, "after the %zu tokens that -n asks for", n);
        return false;
    }
    if (r->count >= r->n_ctx) {
        snprintf(r->stop, sizeof r->stop, "the context of %zu positions is full", r->n_ctx);
        return false;
    }
    return true;
}

/* The prompt has been evaluated. */
static sl_status generate(run *r, sl_error *error) {
    while (may_go_on(r)) {
        if (r->count > r->evaluated) {
            const sl_status status = evaluate_next(r, error);
            if (status != SL_OK) {
                return status;
            }
        }
        int32_t token;
        const sl_status status = choose_token(r, &token, error);
        if (status != SL_OK) {
            return status;
        }
        r->statistics.evaluated += r->count > r->prompt_count;
        const bool ended = sl_token_is_end(r->model, token);
        if (ended) {
            snprintf(r->stop, sizeof r->stop, "at the end of the text (token %d)", token);
        } else {
            append_token(r, token);
        }
        if (!show_token(r, token) || ended) {
            break;
        }
    }
    return SL_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void show_rest(run *r) {
    const char *piece;
    const size_t length = sl_decoder_finish(r->decoder, &piece);
    if (!r->reverse.found) {
        reverse_add(&r->reverse, piece, length);
    }
    reverse_finish(&r->reverse);
    output_end_line();
}

static int complete(run *r) {
    if (r->options->echo) {
        output_write(r->prompt.bytes, r->prompt.length);
        output_flush();
    }
    sl_error error = {0};
    sl_status result = evaluate_prompt(r, &error);
    if (result == SL_OK) {
        result = generate(r, &error);
    }
    show_rest(r);
    int status = output_finish(CLI_DONE);
    if (status == CLI_FAILED && !output_reader_gone()) {
        return status;
    }
    if (console_interrupted()) {
        snprintf(r->stop, sizeof r->stop, "interrupted");
        status = CLI_SIGNALLED + console_interrupted();
    } else if (result != SL_OK) {
        status = library_error(&error);
        snprintf(r->stop, sizeof r->stop, "by an error");
    }
    if (!r->options->quiet) {
        sl_model_get_info(r->model, &r->info);
        r->statistics.load_seconds = r->info.load_seconds;
        r->statistics.streamed_bytes = r->info.streamed_bytes;
        r->statistics.peak_memory = sl_peak_memory();
        r->statistics.stop = r->stop;
        statistics_print(&r->statistics);
    }
    return status;
}

static int run_model(run *r) {
    sl_model_get_info(r->model, &r->info);
    r->statistics.bytes_per_token = r->info.bytes_per_token;
    int status = prepare_context(r);
    if (status == CLI_DONE) {
        status = make_sampler(r);
    }
    if (status == CLI_DONE) {
        status = make_lookup(r);
    }
    if (status == CLI_DONE) {
        open_describe(r->options, r->model, r->session);
        status = complete(r);
    }
    return status;
}

/* A guess at the context before there are tokens, where neither -c nor the model bounds it: texts
 * have about four bytes for each. 0: it is open. */
static size_t likely_context(const cli_options *o, const text *prompt) {
    return o->predict < 0 ? 0 : prompt->length / 4 + (size_t)o->predict + 1;
}

int command_run(const cli_options *options) {
    if (options->draft != OPTION_UNSET && !options->lookup) {
        return usage_error("run: --draft needs --lookup, which drafts (sluice run --help)");
    }
    run r = {.options = options, .statistics.lookup = options->lookup};
    /* Texts first: loading a large model only to find that there is no prompt wastes time. */
    int status = read_reverse_prompts(&r);
    if (status == CLI_DONE) {
        status = read_prompt(&r);
    }
    if (status == CLI_DONE && !options->quiet) {
        r.placement_told = open_tell_plan(options, likely_context(options, &r.prompt));
    }
    if (status == CLI_DONE) {
        status = open_model(options, OPEN_WEIGHTS, open_text_bytes(&r.prompt), &r.model);
    }
    if (status == CLI_DONE) {
        status = run_model(&r);
    }
    sl_lookup_free(r.lookup);
    sl_decoder_free(r.decoder);
    sl_sampler_free(r.sampler);
    sl_session_free(r.session);
    sl_model_free(r.model);
    reverse_free(&r.reverse);
    for (size_t i = 0; r.reverse_texts && i < options->reverse.count; i++) {
        free(r.reverse_texts[i].bytes);
    }
    free(r.reverse_texts);
    free(r.biases);
    free(r.tokens);
    free(r.prompt.bytes);
    return status;
}
