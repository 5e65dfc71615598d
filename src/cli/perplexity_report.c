#include "cli/perplexity_report.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/output.h"

#include <math.h>

/* The shares of tokens of which the largest divergence is told. */
static const struct {
    double share;
    const char *name, *member;
} percentiles[] = {
    {0.5, "median", "median"},
    {0.9, "90 %", "percentile_90"},
    {0.95, "95 %", "percentile_95"},
    {0.99, "99 %", "percentile_99"},
    {0.999, "99.9 %", "percentile_99_9"},
    {1, "most", "most"},
};
enum { N_PERCENTILE = sizeof percentiles / sizeof percentiles[0] };

/* exp of a mean, and what the mean's error makes of it. */
static double exp_mean(const moments *m, double *error) {
    const double value = exp(m->mean);
    *error = value * moments_error(m);
    return value;
}

static double bits_per_byte(const perplexity_result *r) {
    const moments *const nll = &r->sums->nll;
    return r->bytes ? (double)nll->n * nll->mean / log(2.0) / (double)r->bytes : 0.0;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static void print_comparison(const scores *s) {
    double error;
    const double reference = exp_mean(&s->reference, &error);
    output_format("reference       %.4f +/- %.4f\n", reference, error);
    const double ratio = exp_mean(&s->difference, &error);
    output_format("ratio           %.6f +/- %.6f\n", ratio, error);
    output_format("ln of ratio     %.6f +/- %.6f\n", s->difference.mean,
                  moments_error(&s->difference));
    output_format("KL divergence   %.6f +/- %.6f nats\n", s->divergence.mean,
                  moments_error(&s->divergence));
    for (size_t i = 0; i < N_PERCENTILE; i++) {
        output_format("  %-13s %.6f\n", percentiles[i].name,
                      scores_percentile(s, percentiles[i].share));
    }
    const double same = scores_same_top(s, &error);
    output_format("same top token  %.3f %% +/- %.3f %%\n", 100 * same, 100 * error);
    output_format("mean delta p    %.3f %% +/- %.3f %%\n", 100 * s->delta_p.mean,
                  100 * moments_error(&s->delta_p));
    const double rms = scores_rms_delta_p(s, &error);
    output_format("RMS delta p     %.3f %% +/- %.3f %%\n", 100 * rms, 100 * error);
}

static int print_lines(const perplexity_result *r) {
    double error;
    const double perplexity = exp_mean(&r->sums->nll, &error);
    output_format("perplexity      %.4f +/- %.4f\n", perplexity, error);
    if (r->compared) {
        print_comparison(r->sums);
    }
    output_format("nats per token  %.5f\n", r->sums->nll.mean);
    output_format("bits per byte   %.4f\n", bits_per_byte(r));
    output_format("scored          %zu tokens, %zu bytes\n", r->sums->nll.n, r->bytes);
    output_format("windows         %zu of at most %zu tokens\n", r->windows, r->context);
    return output_finish(CLI_DONE);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *value_and_error(double value, double error) {
    json_t *const object = json_object();
    json_put(object, "value", json_number(value));
    json_put(object, "standard_error", json_number(error));
    return object;
}

static json_t *comparison(const scores *s) {
    json_t *const object = json_object();
    double error;
    const double perplexity = exp_mean(&s->reference, &error);
    json_put(object, "perplexity", value_and_error(perplexity, error));
    const double ratio = exp_mean(&s->difference, &error);
    json_put(object, "ratio", value_and_error(ratio, error));
    json_put(object, "ln_ratio",
             value_and_error(s->difference.mean, moments_error(&s->difference)));
    json_t *const divergence = value_and_error(s->divergence.mean, moments_error(&s->divergence));
    for (size_t i = 0; i < N_PERCENTILE; i++) {
        json_put(divergence, percentiles[i].member,
                 json_number(scores_percentile(s, percentiles[i].share)));
    }
    json_put(object, "kl_divergence", divergence);
    const double same = scores_same_top(s, &error);
    json_put(object, "same_top", value_and_error(same, error));
    json_put(object, "mean_delta_p", value_and_error(s->delta_p.mean, moments_error(&s->delta_p)));
    const double rms = scores_rms_delta_p(s, &error);
    json_put(object, "rms_delta_p", value_and_error(rms, error));
    return object;
}

static int print_json(const perplexity_result *r) {
    double error;
    json_t *const object = json_object();
    json_put(object, "perplexity", json_number(exp_mean(&r->sums->nll, &error)));
    json_put(object, "standard_error", json_number(error));
    json_put(object, "nats_per_token", json_number(r->sums->nll.mean));
    json_put(object, "bits_per_byte", json_number(bits_per_byte(r)));
    json_put(object, "scored_tokens", json_unsigned(r->sums->nll.n));
    json_put(object, "scored_bytes", json_unsigned(r->bytes));
    json_put(object, "windows", json_unsigned(r->windows));
    json_put(object, "context", json_unsigned(r->context));
    if (r->compared) {
        json_put(object, "reference", comparison(r->sums));
    }
    json_write(object, true);
    output_text("\n");
    return json_finish();
}

int perplexity_report(const perplexity_result *r, bool json) {
    return json ? print_json(r) : print_lines(r);
}
