#include "sampling/sampling.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "kernels/kernels.h"
#include "sampling/candidates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sl_sampler {
    sl_sampler_options options; /* its logit_bias is ours */
    size_t n_vocab;
    random_state random;
    float (*max)(const float *, size_t); /* of the kernel table */
    void (*exp_shifted)(float *, float, size_t);
    float *logits;    /* n_vocab: with bias and penalties; once candidates are selected, weights */
    candidate *items; /* n_vocab */

    /* The last tokens accepted, as a ring, and how often each token is in it. */
    int32_t *ring;
    size_t ring_size; /* 0: no penalties, no counts */
    size_t ring_count;
    size_t ring_at;   /* where the next one goes */
    uint32_t *counts; /* n_vocab */
};

/* ---- options -------------------------------------------------------------------------------- */

void sl_sampler_options_init(sl_sampler_options *options) {
    *options = (sl_sampler_options){.temperature = 0.8f,
                                    .top_k = 40,
                                    .top_p = 0.95f,
                                    .min_p = 0.05f,
                                    .repeat_penalty = 1.0f,
                                    .repeat_last_n = 64};
}

/* Tokens that the penalties look at. */
static size_t window_of(const sl_sampler_options *o) {
    const bool idle =
        o->repeat_penalty == 1 && o->presence_penalty == 0 && o->frequency_penalty == 0;
    return idle ? 0 : o->repeat_last_n < 0 ? o->n_ctx : (size_t)o->repeat_last_n;
}

static sl_status refuse(sl_error *error, const char *name, const char *expected, double found) {
    return error_set(error, SL_ERR_ARGUMENT, "%s: expected %s, found %g", name, expected, found);
}

static sl_status check_numbers(const sl_sampler_options *o, sl_error *error) {
    if (!isfinite(o->temperature)) {
        return refuse(error, "temperature", "a finite number", o->temperature);
    }
    if (!(o->top_p >= 0)) {
        return refuse(error, "top_p", "a number of at least 0", o->top_p);
    }
    if (!(o->min_p <= 1)) {
        return refuse(error, "min_p", "a number of at most 1", o->min_p);
    }
    if (!(o->repeat_penalty > 0) || !isfinite(o->repeat_penalty)) {
        return refuse(error, "repeat_penalty", "a finite number over 0", o->repeat_penalty);
    }
    if (!isfinite(o->presence_penalty)) {
        return refuse(error, "presence_penalty", "a finite number", o->presence_penalty);
    }
    if (!isfinite(o->frequency_penalty)) {
        return refuse(error, "frequency_penalty", "a finite number", o->frequency_penalty);
    }
    if (o->repeat_last_n < -1 || o->repeat_last_n > (int64_t)LIMIT_CONTEXT) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "repeat_last_n: expected -1 (the context) to %u, found %d", LIMIT_CONTEXT,
                         (int)o->repeat_last_n);
    }
    if (o->repeat_last_n == -1 && (o->n_ctx == 0 || o->n_ctx > LIMIT_CONTEXT)) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "repeat_last_n is -1, the context: expected an n_ctx of 1 to %u, found "
                         "%zu",
                         LIMIT_CONTEXT, o->n_ctx);
    }
    return SL_OK;
}

static sl_status check_bias(size_t n_vocab, const sl_sampler_options *o, sl_error *error) {
    if (o->logit_bias_count > LIMIT_VOCABULARY || (o->logit_bias_count > 0 && !o->logit_bias)) {
        return error_set(error, SL_ERR_ARGUMENT, "logit_bias: expected at most %u, found %zu%s",
                         LIMIT_VOCABULARY, o->logit_bias_count, o->logit_bias ? "" : " at NULL");
    }
    for (size_t i = 0; i < o->logit_bias_count; i++) {
        const sl_logit_bias *bias = &o->logit_bias[i];
        if (bias->token < 0 || (size_t)bias->token >= n_vocab) {
            return error_set(error, SL_ERR_ARGUMENT,
                             "logit_bias: expected a token of 0 to %zu, found %d", n_vocab - 1,
                             (int)bias->token);
        }
        if (!(bias->bias < INFINITY)) {
            return refuse(error, "logit_bias", "a finite number or -infinity", bias->bias);
        }
    }
    return SL_OK;
}

/* ---- making --------------------------------------------------------------------------------- */

size_t sampling_bytes(size_t n_vocab, const sl_sampler_options *options) {
    const size_t window = window_of(options);
    return sizeof(sl_sampler) + n_vocab * (sizeof(float) + sizeof(candidate)) +
           (window ? window * sizeof(int32_t) + n_vocab * sizeof(uint32_t) : 0) +
           options->logit_bias_count * sizeof(sl_logit_bias);
}

static bool allocate_parts(sl_sampler *s, const sl_sampler_options *options) {
    s->logits = malloc(s->n_vocab * sizeof *s->logits);
    s->items = malloc(s->n_vocab * sizeof *s->items);
    bool done = s->logits && s->items;
    s->ring_size = window_of(options);
    if (s->ring_size > 0) {
        s->ring = malloc(s->ring_size * sizeof *s->ring);
        s->counts = calloc(s->n_vocab, sizeof *s->counts);
        done = done && s->ring && s->counts;
    }
    s->options.logit_bias = NULL;
    if (options->logit_bias_count > 0) {
        const size_t bytes = options->logit_bias_count * sizeof *options->logit_bias;
        sl_logit_bias *copy = malloc(bytes);
        done = done && copy;
        if (copy) {
            memcpy(copy, options->logit_bias, bytes);
        }
        s->options.logit_bias = copy;
    }
    return done;
}

sl_status sl_sampler_create(size_t n_vocab, const sl_sampler_options *options, sl_sampler **sampler,
                            sl_error *error) {
    sl_sampler_options defaults;
    if (!options) {
        sl_sampler_options_init(&defaults);
        options = &defaults;
    }
    if (n_vocab < 1 || n_vocab > LIMIT_VOCABULARY) {
        return error_set(error, SL_ERR_ARGUMENT, "n_vocab: expected 1 to %u, found %zu",
                         LIMIT_VOCABULARY, n_vocab);
    }
    sl_status status = check_numbers(options, error);
    if (status == SL_OK) {
        status = check_bias(n_vocab, options, error);
    }
    if (status != SL_OK) {
        return status;
    }
    sl_sampler *s = calloc(1, sizeof *s);
    if (s) {
        s->options = *options;
        s->n_vocab = n_vocab;
        random_seed(&s->random, options->seed);
        kernel_table kernels;
        kernel_table_fill(&kernels, cpu_features());
        s->max = kernels.max;
        s->exp_shifted = kernels.exp_shifted;
    }
    if (!s || !allocate_parts(s, options)) {
        sl_sampler_free(s);
        return error_memory(error, "a sampler", sampling_bytes(n_vocab, options));
    }
    *sampler = s;
    return SL_OK;
}

void sl_sampler_free(sl_sampler *sampler) {
    if (sampler) {
        free(sampler->logits);
        free(sampler->items);
        free(sampler->ring);
        free(sampler->counts);
        free((void *)sampler->options.logit_bias);
        free(sampler);
    }
}

void sl_sampler_accept(sl_sampler *s, int32_t token) {
    if (s->ring_size == 0 || token < 0 || (size_t)token >= s->n_vocab) {
        return;
    }
    if (s->ring_count == s->ring_size) {
        s->counts[s->ring[s->ring_at]]--;
    } else {
        s->ring_count++;
    }
    s->ring[s->ring_at] = token;
    s->counts[token]++;
    s->ring_at = s->ring_at + 1 == s->ring_size ? 0 : s->ring_at + 1;
}

/* ---- the chain ------------------------------------------------------------------------------ */

static void apply_bias(sl_sampler *s) {
    const sl_sampler_options *o = &s->options;
    for (size_t i = 0; i < o->logit_bias_count; i++) {
        float *logit = &s->logits[o->logit_bias[i].token];
        /* Not by addition alone: +infinity less infinity is not a number. */
        *logit = o->logit_bias[i].bias == -INFINITY ? -INFINITY : *logit + o->logit_bias[i].bias;
    }
}

static float penalise(float logit, uint32_t count, const sl_sampler_options *o) {
    if (isinf(logit)) {
        return logit;
    }
    const float repeated = logit > 0 ? logit / o->repeat_penalty : logit * o->repeat_penalty;
    if (isinf(repeated)) {
        return repeated;
    }
    return (float)(repeated - ((double)count * o->frequency_penalty + o->presence_penalty));
}

static void apply_penalties(sl_sampler *s) {
    if (s->ring_count == 0) {
        return;
    }
    for (size_t i = 0; i < s->n_vocab; i++) {
        if (s->counts[i] > 0) {
            s->logits[i] = penalise(s->logits[i], s->counts[i], &s->options);
        }
    }
}

static sl_status refuse_nan(const float *logits, sl_error *error) {
    size_t at = 0;
    while (logits[at] == logits[at]) {
        at++;
    }
    return error_set(error, SL_ERR_RUNTIME,
                     "the model produced a value that is not a number, for token %zu", at);
}

static int32_t find_first(const float *logits, float value) {
    int32_t at = 0;
    while (logits[at] != value) {
        at++;
    }
    return at;
}

/* Of all candidates, as they lie. */
static double sum_of_weights(sl_sampler *s, const candidates *c, float largest, float temperature) {
    float *weights = s->logits;
    for (size_t i = 0; i < c->count; i++) {
        weights[i] = (c->items[i].logit - largest) / temperature;
    }
    s->exp_shifted(weights, 0, c->count);
    double sum = 0;
    for (size_t i = 0; i < c->count; i++) {
        sum += weights[i];
    }
    return sum;
}

/* Gives out what top-p and min-p leave, at least one. Returns how many. */
static size_t cut_tail(sl_sampler *s, candidates *c, float largest) {
    const sl_sampler_options *o = &s->options;
    const double enough =
        o->top_p < 1 ? o->top_p * sum_of_weights(s, c, largest, 1) : (double)INFINITY;
    double sum = 0;
    size_t kept = 0;
    while (c->left > 0 && (kept == 0 || sum < enough)) {
        const candidate next = candidates_next(c);
        const float weight = kernel_exp(next.logit - largest);
        if (kept > 0 && weight < o->min_p) {
            break;
        }
        sum += weight;
        kept++;
    }
    return kept;
}

/* Among those given out. */
static int32_t draw_given(sl_sampler *s, const candidates *c, size_t kept, float largest) {
    const float temperature = s->options.temperature;
    double sum = 0;
    for (size_t i = 0; i < kept; i++) {
        sum += kernel_exp((candidates_given(c, i).logit - largest) / temperature);
    }
    const double target = random_unit(&s->random) * sum;
    double reached = 0;
    for (size_t i = 0; i + 1 < kept; i++) {
        reached += kernel_exp((candidates_given(c, i).logit - largest) / temperature);
        if (reached > target) {
            return candidates_given(c, i).id;
        }
    }
    return candidates_given(c, kept - 1).id;
}

/* Among all: they are put in order only as far as the draw reaches. */
static int32_t draw_any(sl_sampler *s, candidates *c, float largest) {
    const float temperature = s->options.temperature;
    const double sum = sum_of_weights(s, c, largest, temperature);
    const double target = random_unit(&s->random) * sum;
    double reached = 0;
    int32_t picked = -1;
    while (c->left > 0 && reached <= target) {
        const candidate next = candidates_next(c);
        const float weight = kernel_exp((next.logit - largest) / temperature);
        if (weight == 0) {
            /* The sum in this order fell short of the other by rounding. */
            break;
        }
        picked = next.id;
        reached += weight;
    }
    return picked;
}

static int32_t draw(sl_sampler *s, float largest) {
    const sl_sampler_options *o = &s->options;
    const size_t most = o->top_k > 0 ? size_min((size_t)o->top_k, s->n_vocab) : s->n_vocab;
    candidates c = candidates_select(s->items, s->logits, s->n_vocab, most);
    if (o->top_p >= 1 && !(o->min_p > 0)) {
        return draw_any(s, &c, largest);
    }
    const size_t kept = cut_tail(s, &c, largest);
    return draw_given(s, &c, kept, largest);
}

static sl_status pick(sl_sampler *s, const float *logits, int32_t *token, sl_error *error) {
    float largest = s->max(logits, s->n_vocab);
    if (isnan(largest)) {
        return refuse_nan(logits, error);
    }
    memcpy(s->logits, logits, s->n_vocab * sizeof *logits);
    apply_bias(s);
    apply_penalties(s);
    largest = s->max(s->logits, s->n_vocab);
    if (largest == -INFINITY) {
        return error_set(error, SL_ERR_RUNTIME,
                         "no token is left to pick from: every logit is -infinity");
    }
    const bool certain = s->options.temperature <= 0 || largest == INFINITY;
    *token = certain ? find_first(s->logits, largest) : draw(s, largest);
    return SL_OK;
}

sl_status sl_sampler_sample(sl_sampler *s, const float *logits, int32_t *token, sl_error *error) {
    const uint64_t mode = kernel_set_float_mode(); /* a seed's tokens depend on nobody's rounding */
    const sl_status status = pick(s, logits, token, error);
    kernel_restore_float_mode(mode);
    return status;
}
