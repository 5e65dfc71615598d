/* plan_make.h - a plan by the figures of this machine, measured where they are missing. */
#ifndef CLI_PLAN_MAKE_H
#define CLI_PLAN_MAKE_H

#include "cli/figures_cache.h"
#include "cli/options.h"
#include "sluice.h"

/* Makes the plan that is wanted. With --bandwidth *figures is that other machine's; else it is
 * filled from the cache, which gets what had to be measured. Returns CLI_DONE, or the exit status
 * after a message. */
int plan_make(const cli_options *options, sl_plan_options *wanted, sl_plan *plan,
              figures_cache *figures);

#endif
