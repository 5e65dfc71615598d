/* perplexity_report.h - what `sluice perplexity` prints: lines for a person, or one JSON object. */
#ifndef CLI_PERPLEXITY_REPORT_H
#define CLI_PERPLEXITY_REPORT_H

#include "cli/scores.h"

/* Of all windows. */
typedef struct perplexity_result {
    const scores *sums; /* sorted, at least one token */
    bool compared;      /* beside a reference */
    size_t context, windows;
    size_t bytes; /* that the scored tokens stand for */
} perplexity_result;

/* On standard output; returns the exit status. */
int perplexity_report(const perplexity_result *r, bool json);

#endif
