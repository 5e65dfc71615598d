/* sampling.h - the chain that picks the next token from logits: sl_sampler of sluice.h.
 *
 * The steps, in this order, x the logits, m the largest of them after the second step:
 *
 *   bias         x[t] += bias; -infinity forbids
 *   penalties    for each token t that is c > 0 times among the last n accepted:
 *                x[t] = x[t] > 0 ? x[t] / repeat : x[t] * repeat;  x[t] -= c frequency + presence
 *   top-k        the k largest
 *   top-p        w = exp(x - m): the fewest, largest first, whose w are at least top_p of all left,
 *                but never none
 *   min-p        those with w >= min_p
 *   temperature  v = exp((x - m) / temperature)
 *   draw         the first, largest first, up to which the v sum to over u of the sum of all v
 *                left; u uniform in [0, 1) by base/random.h, one per token drawn
 *
 * Among equal logits lower ids come first everywhere. exp is kernel_exp, sums are in double and in
 * a fixed order: a seed gives the same tokens on every machine. Nothing is drawn when the
 * temperature is 0 or below, or when a logit is +infinity: the first of the largest is taken.
 */
#ifndef SAMPLING_SAMPLING_H
#define SAMPLING_SAMPLING_H

#include "sluice.h"

/* Bytes that sl_sampler_create allocates, for the memory plan. Options as create accepts them. */
size_t sampling_bytes(size_t n_vocab, const sl_sampler_options *options);

#endif
