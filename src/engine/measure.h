/* measure.h - what kernels reach on this machine, run as a real pass runs them.
 *
 * A peak predicts badly: products of a type reach some share of it that differs with the type, the
 * order of the weights and the number of rows. So products and attention are timed as a pass runs
 * them: by a team, operation after operation with barriers between, over more memory than caches
 * hold. Samples of the different numbers of rows take turns, so that a disturbance hits all.
 */
#ifndef ENGINE_MEASURE_H
#define ENGINE_MEASURE_H

#include "ops/team.h"
#include "program/program.h"

enum { MEASURE_ROUNDS = 7 };

/* Bytes of weights to read in turn: more than caches hold, where there is memory for it. */
size_t measure_bytes(void);

/* Median, least and most of n values, which are sorted. n > 0. */
sl_spread measure_spread(double *values, size_t n);

/* Called between samples: returns false to stop. */
typedef bool (*measure_poll_fn)(void *user);

/* Fills in `rate` of a figure for a type and an order, both of which the processor has. `poll` may
 * be NULL; SL_ERR_CANCELLED if it says so. SL_ERR_MEMORY where too little is free. */
SL_CHECK sl_status measure_kernel(team *t, quant_type type, bool packed, measure_poll_fn poll,
                                  void *user, sl_spread rate[SL_FIGURE_ROWS], sl_error *error);

/* Seconds of an operation that has next to nothing to do. */
SL_CHECK sl_status measure_operation(team *t, sl_spread *seconds, sl_error *error);

/* Keys that rows look at per second, with heads like these kept in these types. */
SL_CHECK sl_status measure_attention(team *t, const op_attention *heads, quant_type type_k,
                                     quant_type type_v, measure_poll_fn poll, void *user,
                                     sl_spread *one, sl_spread *many, sl_error *error);

#endif
