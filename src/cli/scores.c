#include "cli/scores.h"

#include <math.h>
#include <stdlib.h>

/* Welford's way, in which squares do not cancel. */
void moments_add(moments *m, double value) {
    const double before = value - m->mean;
    m->n++;
    m->mean += before / (double)m->n;
    m->squares += before * (value - m->mean);
}

double moments_error(const moments *m) {
    return m->n > 1 ? sqrt(m->squares / (double)(m->n - 1) / (double)m->n) : 0.0;
}

double scores_log_sum(const float *logits, size_t n_vocab, size_t *top) {
    *top = 0;
    for (size_t i = 1; i < n_vocab; i++) {
        *top = logits[i] > logits[*top] ? i : *top;
    }
    const double most = logits[*top];
    double sum = 0;
    for (size_t i = 0; i < n_vocab; i++) {
        sum += exp((double)logits[i] - most);
    }
    return log(sum) + most;
}

bool scores_begin(scores *s, size_t room) {
    *s = (scores){.room = room};
    s->divergences = room ? calloc(room, sizeof *s->divergences) : NULL;
    return s->divergences || room == 0;
}

void scores_end(scores *s) {
    free(s->divergences);
    *s = (scores){.room = 0};
}

/* What the reference counts as impossible: scores.h. */
static const double least_log_probability = -16;

static double diverge(const float *logits, double log_sum, const float *log_p, size_t n_vocab,
                      size_t *top) {
    double sum = 0;
    *top = 0;
    for (size_t i = 0; i < n_vocab; i++) {
        const double p = log_p[i];
        *top = log_p[i] > log_p[*top] ? i : *top;
        if (p > least_log_probability) {
            sum += exp(p) * (p - ((double)logits[i] - log_sum));
        }
    }
    return sum;
}

token_score token_score_of(const float *logits, const float *log_probabilities, size_t n_vocab,
                           int32_t token) {
    token_score t = {.compared = log_probabilities};
    size_t top, other_top;
    t.log_sum = scores_log_sum(logits, n_vocab, &top);
    t.nll = t.log_sum - (double)logits[token];
    if (log_probabilities && isfinite(t.nll)) {
        t.log_p = log_probabilities[token];
        t.divergence = diverge(logits, t.log_sum, log_probabilities, n_vocab, &other_top);
        t.same_top = top == other_top;
    }
    return t;
}

bool scores_add(scores *s, const token_score *t) {
    if (!isfinite(t->nll)) {
        return false;
    }
    moments_add(&s->nll, t->nll);
    if (!t->compared) {
        return true;
    }
    if (!isfinite(t->divergence) || s->divergence.n == s->room) {
        return false;
    }
    s->divergences[s->divergence.n] = (float)t->divergence;
    moments_add(&s->divergence, t->divergence);
    moments_add(&s->reference, -t->log_p);
    moments_add(&s->difference, t->nll + t->log_p);
    const double delta = exp(-t->nll) - exp(t->log_p);
    moments_add(&s->delta_p, delta);
    moments_add(&s->delta_p_squared, delta * delta);
    s->same_top += t->same_top;
    return true;
}

static int compare(const void *left, const void *right) {
    const float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

void scores_sort(scores *s) {
    if (s->divergence.n > 0) {
        qsort(s->divergences, s->divergence.n, sizeof *s->divergences, compare);
    }
}

double scores_percentile(const scores *s, double share) {
    const size_t n = s->divergence.n;
    const double place = share * (double)(n - 1);
    const size_t below = (size_t)place, above = below + 1 < n ? below + 1 : below;
    const double part = place - (double)below;
    return (1 - part) * (double)s->divergences[below] + part * (double)s->divergences[above];
}

double scores_same_top(const scores *s, double *error) {
    const double n = (double)s->divergence.n, share = (double)s->same_top / n;
    *error = n > 1 ? sqrt(share * (1 - share) / (n - 1)) : 0.0;
    return share;
}

double scores_rms_delta_p(const scores *s, double *error) {
    const double rms = sqrt(s->delta_p_squared.mean);
    *error = rms > 0 ? moments_error(&s->delta_p_squared) / (2 * rms) : 0.0;
    return rms;
}
