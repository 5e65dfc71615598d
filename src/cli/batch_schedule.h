/* batch_schedule.h - computes the requests of a batch, as many of them together as there is room
 * for. */
#ifndef CLI_BATCH_SCHEDULE_H
#define CLI_BATCH_SCHEDULE_H

#include "cli/batch_requests.h"
#include "cli/batch_results.h"
#include "cli/options.h"
#include "sluice.h"

#include <stddef.h>
#include <stdint.h>

/* What was done, for the statistics. */
typedef struct batch_counts {
    size_t refused;            /* requests answered with what is wrong with them */
    uint64_t computed;         /* tokens of prompts */
    uint64_t shared;           /* tokens of prompts that others had computed */
    uint64_t generated;        /* tokens chosen that are part of a text */
    uint64_t passes, together; /* over the weights; sequences in them, added up */
    uint64_t suspended;        /* how often a sequence went to the spill file */
    uint64_t given_up;         /* how often one was emptied instead, and computed anew */
    size_t parallel;           /* most sequences at once */
    size_t pool;               /* positions of keys and values */
    uint64_t planned_memory;
    double seconds;
} batch_counts;

typedef struct batch_job {
    const cli_options *options;
    sl_model *model;
    sl_model_info info;
    const batch_input *input;
    batch_results *results;
    size_t *needs; /* by request: positions that it takes at most; 0: it is refused, or done */
    size_t n_ctx;  /* the most that any request takes, also of those that are done */
    /* Of all requests that are not done: how many, and their tokens, of texts at most. */
    uint64_t to_do, prompt_tokens, text_tokens;
    batch_counts counts;
} batch_job;

/* Computes all requests that are not done yet and writes their results as they come. Returns
 * CLI_DONE, or the exit status after a message; results are kept either way. */
int batch_compute(batch_job *job);

#endif
