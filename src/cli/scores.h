/* scores.h - how well tokens were predicted: what is added up over the scored tokens of a text, by
 * itself and beside a reference.
 *
 * For a scored token t, with l the logits and q = softmax(l):
 *
 *     nll        = -log q[t]
 * and with a reference, whose log probabilities are log p:
 *     difference = nll - -log p[t]
 *     divergence = sum over i of p[i] (log p[i] - log q[i]), where log p[i] > -16
 *     delta p    = q[t] - p[t]
 *     same top   : the largest of l is where that of log p is; of equal ones the first counts
 *
 * The standard error of a mean over N tokens is sqrt(sample variance / N), as if tokens were
 * independent. That of the difference takes the two models' errors as what they are, of the same
 * tokens, so it is far below either's own. Logarithms are natural.
 */
#ifndef CLI_SCORES_H
#define CLI_SCORES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Mean and spread of values as they come. All zero: none yet. */
typedef struct moments {
    size_t n;
    double mean, squares; /* sum of squared distances from the mean */
} moments;

void moments_add(moments *m, double value);

/* Of the mean; 0 for fewer than two values. */
double moments_error(const moments *m);

/* The logarithm of the sum of exponentials, and where the largest logit is. */
double scores_log_sum(const float *logits, size_t n_vocab, size_t *top);

/* What one token's logits come to: a matter of that token alone, on any thread. */
typedef struct token_score {
    double log_sum, nll;
    bool compared; /* with a reference: the others are set */
    double log_p, divergence;
    bool same_top;
} token_score;

/* Of the token that was predicted from these logits, beside the reference's log probabilities, or
 * NULL. What is not finite scores_add refuses. */
token_score token_score_of(const float *logits, const float *log_probabilities, size_t n_vocab,
                           int32_t token);

enum { SCORES_TOGETHER = 16 }; /* tokens whose scores are computed side by side */

typedef struct scores {
    moments nll;
    /* Beside a reference. */
    moments reference, difference, divergence, delta_p, delta_p_squared;
    size_t same_top;
    float *divergences; /* of each token, for percentiles; NULL: no reference */
    size_t room;        /* for so many */
} scores;

/* Room for `room` tokens beside a reference; 0: without. False if memory is out. */
bool scores_begin(scores *s, size_t room);
void scores_end(scores *s);

/* Adds a token's score; the order of the tokens is that of the sums. False if something is not
 * finite, or there is no room. */
bool scores_add(scores *s, const token_score *t);

/* Sorts the divergences: once, after all were added. Then the one below which a share of them lies,
 * 0 to 1, by linear interpolation between neighbours. */
void scores_sort(scores *s);
double scores_percentile(const scores *s, double share);

/* Share of tokens with the same top, and its standard error. */
double scores_same_top(const scores *s, double *error);

/* Root of the mean of delta p squared, and its standard error. */
double scores_rms_delta_p(const scores *s, double *error);

#endif
