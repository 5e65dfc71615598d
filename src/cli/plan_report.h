/* plan_report.h - what `sluice plan` prints, and the one line of it that `sluice run` does. */
#ifndef CLI_PLAN_REPORT_H
#define CLI_PLAN_REPORT_H

#include "cli/figures_cache.h"
#include "cli/json.h"
#include "cli/options.h"
#include "sluice.h"

typedef struct plan_report {
    const cli_options *options;
    const sl_plan *plan;
    const figures_cache *figures; /* `measured` is "" where they were given */
} plan_report;

/* Makes the plan that the options ask for, with this machine's figures (measured if they are not
 * kept yet) or the given ones. Returns the exit status. */
int plan_make(const cli_options *options, sl_plan *plan, figures_cache *figures);

json_t *plan_report_as_json(const plan_report *report);

/* Both return the exit status. */
int plan_report_text(const plan_report *report);
int plan_report_json(const plan_report *report);

/* On standard error: "plan: 2.1 of 3.8 GiB of weights in memory, 1.7 GiB read for each pass: about
 * 0.5 tokens/s (disk), peak 2.5 GiB". */
void plan_report_line(const sl_plan *plan);

#endif
