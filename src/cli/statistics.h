/* statistics.h - what `sluice run` tells at its end, on standard error. */
#ifndef CLI_STATISTICS_H
#define CLI_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Times in seconds. */
typedef struct statistics {
    double load_seconds;
    size_t prompt_tokens; /* computed */
    double prompt_seconds;
    size_t generated;    /* tokens chosen and shown; the first follows from the prompt */
    size_t evaluated;    /* of them, computed to choose the next */
    double eval_seconds; /* for those */
    size_t passes;       /* evaluations in which weights were read for them */
    bool lookup;         /* whether tokens were to be drafted */
    size_t drafted;      /* tokens evaluated before they were chosen */
    size_t accepted;     /* of them, those that were chosen */
    size_t sampled;      /* choices made, that of an end token included */
    double sample_seconds;
    uint64_t bytes_per_token;
    uint64_t streamed_bytes; /* of them, read from the file */
    uint64_t peak_memory, planned_memory;
    uint64_t seed;
    const char *stop; /* why it ended */
} statistics;

void statistics_print(const statistics *s);

#endif
