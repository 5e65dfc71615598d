/* command_perplexity.c - `sluice perplexity`: how well a model predicts a text.
 *
 * The text is tokenized once, without the tokens that begin and end a text, and cut into windows of
 * n tokens that do not overlap. With BOS (the tokenizer begins a text with it) a window is BOS and
 * n - 1 tokens of the text, which are all scored; without, it is n tokens of the text, and the
 * first has nothing to be predicted from. The last window holds what is left.
 *
 *     nll[i]     = -log softmax(logits that follow token i-1)[token i], natural logarithm
 *     m          = mean of nll over the N scored tokens; s its sample standard deviation
 *     perplexity = exp(m), with standard error exp(m) s / sqrt(N)
 *     bits/byte  = N m / log 2 / bytes, where bytes is the length of the text without what the
 *                  tokens that are not scored stand for
 */
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct scores {
    size_t n_vocab;
    const int32_t *window; /* being computed */
    size_t window_count;
    size_t before; /* tokens of the windows before it */
    size_t total;  /* tokens of all windows */
    size_t scored;
    double sum, sum_of_squares; /* of nll, less `shift` for each */
    double shift;               /* the first nll: keeps the squares from cancelling */
    bool invalid;               /* a logit was not a number */
} scores;

typedef struct outcome {
    size_t context, windows, tokens, bytes;
    double nats, perplexity, standard_error, bits_per_byte;
} outcome;

static double negative_log_likelihood(const float *logits, size_t n_vocab, int32_t token) {
    float largest = logits[0];
    for (size_t i = 1; i < n_vocab; i++) {
        largest = logits[i] > largest ? logits[i] : largest;
    }
    double sum = 0;
    for (size_t i = 0; i < n_vocab; i++) {
        sum += exp((double)logits[i] - (double)largest);
    }
    return log(sum) + (double)largest - (double)logits[token];
}

static double mean(const scores *s) {
    return s->shift + s->sum / (double)s->scored;
}

/* An sl_logits_fn. */
static bool score(void *user, size_t index, const float *logits) {
    scores *const s = user;
    if (index + 1 < s->window_count) {
        const double nll = negative_log_likelihood(logits, s->n_vocab, s->window[index + 1]);
        if (!isfinite(nll)) {
            s->invalid = true;
            return false;
        }
        if (s->scored == 0) {
            s->shift = nll;
        }
        const double shifted = nll - s->shift;
        s->sum += shifted;
        s->sum_of_squares += shifted * shifted;
        s->scored++;
        char remark[64];
        snprintf(remark, sizeof remark, "perplexity %.4f", exp(mean(s)));
        progress_remark(remark);
    }
    return progress_update(NULL, "perplexity", s->before + index + 1, s->total);
}

/* BOS if the tokenizer begins a text with it, else -1. */
static int find_bos(const sl_model *model, int32_t *bos) {
    int32_t *tokens = NULL;
    size_t count = 0;
    sl_error error = {0};
    if (sl_tokenize(model, "", 0, SL_TOKENIZE_BOS, &tokens, &count, &error) != SL_OK) {
        return library_error(&error);
    }
    *bos = count > 0 && tokens[0] == sl_token_bos(model) ? tokens[0] : -1;
    sl_free(tokens);
    return CLI_DONE;
}

/* Computes every window; `window` has room for `context` tokens. Counts in o->windows and, of the
 * text's bytes, leaves in o->bytes those that are scored. */
static int score_windows(sl_session *session, const sl_model *model, const int32_t *tokens,
                         size_t count, int32_t bos, int32_t *window, scores *s, outcome *o) {
    const size_t lead = bos >= 0 ? 1 : 0;
    const size_t step = o->context - lead;
    s->total = count + lead * ((count + step - 1) / step);
    for (size_t start = 0; start < count; start += step) {
        const size_t length = count - start < step ? count - start : step;
        window[0] = bos;
        memcpy(window + lead, tokens + start, length * sizeof *window);
        if (!lead) {
            const char *piece;
            const size_t bytes = sl_token_piece(model, tokens[start], false, &piece);
            o->bytes -= bytes < o->bytes ? bytes : o->bytes;
        }
        s->window = window;
        s->window_count = length + lead;
        if (s->window_count >= 2) {
            sl_error error = {0};
            const sl_status status =
                sl_session_eval_all(session, window, s->window_count, score, s, &error);
            if (s->invalid) {
                message("the model gave a logit that is not a number");
                return CLI_FAILED;
            }
            if (status != SL_OK) {
                return library_error(&error);
            }
            o->windows++;
        }
        s->before += s->window_count;
    }
    return CLI_DONE;
}

static int measure(const cli_options *options, sl_model *model, const int32_t *tokens, size_t count,
                   outcome *o) {
    int32_t bos = -1;
    int status = find_bos(model, &bos);
    if (status != CLI_DONE) {
        return status;
    }
    if (o->context < 2) {
        return usage_error("expected a window of at least 2 tokens, found %zu", o->context);
    }
    if (count + (bos >= 0 ? 1 : 0) < 2) {
        return usage_error("the text is too short: no token can be predicted from one before it");
    }
    sl_model_info info;
    sl_model_get_info(model, &info);
    sl_error error = {0};
    sl_session *session = NULL;
    if (open_session(options, model, o->context, OPEN_ALL_LOGITS, &session, &error) != SL_OK) {
        return library_error(&error);
    }
    open_describe(options, model, session);
    scores s = {.n_vocab = info.n_vocab};
    int32_t *const window = calloc(o->context, sizeof *window);
    if (window) {
        progress_begin(PROGRESS_TOKENS);
        status = score_windows(session, model, tokens, count, bos, window, &s, o);
        progress_end();
    } else {
        status = usage_error("out of memory: a window of %zu tokens", o->context);
    }
    free(window);
    open_tell_memory(options, session);
    sl_session_free(session);
    if (status == CLI_DONE) {
        const double n = (double)s.scored;
        const double variance =
            s.scored > 1 ? (s.sum_of_squares - s.sum * s.sum / n) / (n - 1) : 0.0;
        o->tokens = s.scored;
        o->nats = mean(&s);
        o->perplexity = exp(o->nats);
        o->standard_error = o->perplexity * sqrt(variance > 0 ? variance / n : 0.0);
        o->bits_per_byte = o->bytes ? n * o->nats / log(2.0) / (double)o->bytes : 0.0;
    }
    return status;
}

static int print_outcome(const cli_options *options, const outcome *o) {
    if (!options->json) {
        output_format("perplexity      %.4f +/- %.4f\n", o->perplexity, o->standard_error);
        output_format("nats per token  %.5f\n", o->nats);
        output_format("bits per byte   %.4f\n", o->bits_per_byte);
        output_format("scored          %zu tokens, %zu bytes\n", o->tokens, o->bytes);
        output_format("windows         %zu of at most %zu tokens\n", o->windows, o->context);
        return output_finish(CLI_DONE);
    }
    json_t *const object = json_object();
    json_put(object, "perplexity", json_number(o->perplexity));
    json_put(object, "standard_error", json_number(o->standard_error));
    json_put(object, "nats_per_token", json_number(o->nats));
    json_put(object, "bits_per_byte", json_number(o->bits_per_byte));
    json_put(object, "scored_tokens", json_unsigned(o->tokens));
    json_put(object, "scored_bytes", json_unsigned(o->bytes));
    json_put(object, "windows", json_unsigned(o->windows));
    json_put(object, "context", json_unsigned(o->context));
    json_write(object, true);
    output_text("\n");
    return json_finish();
}

/* Tokens of a window, from -c and the model. */
static size_t choose_window(const cli_options *options, const sl_model *model) {
    sl_model_info info;
    sl_model_get_info(model, &info);
    if (options->ctx == OPTION_UNSET) {
        return info.n_ctx_train < 512 ? info.n_ctx_train : 512;
    }
    return options->ctx > 0 ? (size_t)options->ctx : info.n_ctx_train;
}

static int measure_text(const cli_options *options, sl_model *model, const text *t) {
    int32_t *tokens = NULL;
    size_t count = 0;
    sl_error error = {0};
    if (sl_tokenize(model, t->bytes, t->length, 0, &tokens, &count, &error) != SL_OK) {
        return library_error(&error);
    }
    outcome o = {.context = choose_window(options, model), .bytes = t->length};
    int status = measure(options, model, tokens, count, &o);
    if (status == CLI_DONE) {
        status = print_outcome(options, &o);
    }
    sl_free(tokens);
    return status;
}

int command_perplexity(const cli_options *options) {
    if (options->ctx == 1) {
        return usage_error("-c: expected 0 or a window of at least 2 tokens, found '1'");
    }
    text t;
    sl_model *model = NULL;
    int status = text_from_options(options, "text", false, &t);
    if (status == CLI_DONE) {
        status = open_model(options, OPEN_WEIGHTS, open_text_bytes(&t), &model);
    }
    if (status == CLI_DONE) {
        status = measure_text(options, model, &t);
    }
    free(t.bytes);
    sl_model_free(model);
    return status;
}
