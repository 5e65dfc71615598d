/* executor.h - runs a program for a batch of rows from any number of sequences.
 *
 * One call of executor_run walks the program once, all members of the team side by side, with a
 * barrier between operations. One user, many users, chunks of a prompt, hidden states and the
 * check of a draft are all the same call with other rows.
 */
#ifndef ENGINE_EXECUTOR_H
#define ENGINE_EXECUTOR_H

#include "engine/kv.h"
#include "engine/residency.h"

typedef enum row_output {
    ROW_NONE = 0,
    ROW_LOGITS,
    ROW_HIDDEN, /* the state before the output matrix, after the last norm */
} row_output;

typedef struct batch_row {
    int32_t token;       /* used where vector is NULL */
    const float *vector; /* n_embd floats in place of the token's embedding */
    size_t sequence;
    size_t position; /* the sequence's length before, one more for each of its rows */
    row_output output;
} batch_row;

typedef struct executor_options {
    size_t threads;
    size_t n_batch;  /* most rows of a call */
    size_t n_output; /* most rows with an output of a call */
    size_t n_seq;
    size_t n_positions; /* of the cache, all sequences together */
    size_t n_context;   /* most of one sequence, for rotations that go by it; 0: n_positions */
    quant_type type_k, type_v;
    uint32_t hidden_features; /* CPU_* bits of the processor to do without */
} executor_options;

/* What an executor with these options will allocate, before it does. */
typedef struct executor_plan {
    uint64_t kv_bytes;
    uint64_t buffer_bytes;
} executor_plan;

/* SL_ERR_ARGUMENT where an option is out of range. */
SL_CHECK sl_status executor_make_plan(const program *p, const executor_options *options,
                                      executor_plan *plan, sl_error *error);

/* Private to one thread at a time. */
typedef struct executor executor;

/* Allocates all that running will need and starts the threads. The others must outlive it. */
SL_CHECK sl_status executor_create(const program *p, residency *weights,
                                   const executor_options *options, executor **out,
                                   sl_error *error);
void executor_free(executor *e);

/* Calls work(user, index) once for every index below `count`, on the team, between runs; returns
 * when all are back. */
void executor_spread(executor *e, size_t count, sl_work_fn work, void *user);

/* The cache; lengths change by executor_run, kv_truncate and kv_share only. */
kv_cache *executor_kv(executor *e);

/* What the matrices' inputs come to: before they are rounded to any number format, and for all rows
 * in the order in which they are run. */
typedef struct executor_squares {
    double **sums; /* for each operation of the program: one for each column, to which squares are
                         added; NULL: not wanted */
    uint64_t *counts; /* for each operation: rows added */
    float *rows;      /* room for n_batch of the widest inputs wanted */
} executor_squares;

/* From the next run on; NULL: no longer. It must outlive that. After a run that was broken off its
 * numbers are of no use. */
void executor_observe(executor *e, const executor_squares *squares);

/* Asked between operations, on the calling thread, with the share of the work that is done.
 * Returns false to stop. */
typedef bool (*executor_poll_fn)(void *user, double done);

/* Computes n rows (1 to n_batch); they become part of their sequences, in order. Refuses, with
 * nothing changed, tokens outside the vocabulary, positions that do not follow, and more outputs
 * than there is room for. SL_ERR_CANCELLED if poll (may be NULL) says so, SL_ERR_RUNTIME if
 * weights could not be read or their file was changed: nothing is changed then either. Allocates
 * nothing. */
SL_CHECK sl_status executor_run(executor *e, const batch_row *rows, size_t n, executor_poll_fn poll,
                                void *user, sl_error *error);

/* Of the last run: results of its `index`-th row with an output, in the rows' order. Logits are
 * n_vocab floats, hidden states n_embd; the caller may change them. Valid until the next run. */
float *executor_logits(executor *e, size_t index);
float *executor_hidden(executor *e, size_t index);

#endif
