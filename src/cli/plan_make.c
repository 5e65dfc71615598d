/* plan_make.c - plan_make.h. */
#include "cli/plan_make.h"

#include "cli/cli.h"
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>

/* Those that are kept, with what is missing measured now. */
static int measured_figures(const cli_options *o, const sl_plan_options *wanted,
                            figures_cache *cache) {
    const bool found = figures_cache_load(cache, (size_t)o->threads, !o->remeasure);
    if (o->remeasure && found) {
        sl_figures_init(&cache->figures, (size_t)o->threads);
    }
    if (sl_figures_suffice(wanted, &cache->figures)) {
        return CLI_DONE;
    }
    sl_error error = {0};
    progress_begin(PROGRESS_STEPS);
    const sl_status status =
        sl_figures_measure(wanted, figures_cache_folder(), &cache->figures, &error);
    progress_end();
    if (status != SL_OK) {
        return library_error(&error);
    }
    figures_cache_save(cache);
    return CLI_DONE;
}

int plan_make(const cli_options *options, sl_plan_options *wanted, sl_plan *plan,
              figures_cache *figures) {
    sl_error error = {0};
    int status = CLI_DONE;
    /* What cannot work is refused before seconds are spent on measuring. */
    if (sl_plan_make(wanted, &figures->figures, plan, &error) != SL_OK) {
        if (error.status == SL_ERR_MEMORY) {
            const size_t length = strlen(error.message);
            snprintf(error.message + length, sizeof error.message - length,
                     " (--memory, -c, -np, -ctk, -ctv)");
        }
        return library_error(&error);
    }
    if (!(options->bandwidth > 0)) {
        wanted->notice = print_notice;
        status = measured_figures(options, wanted, figures);
        wanted->notice = NULL;
        if (status == CLI_DONE && sl_plan_make(wanted, &figures->figures, plan, &error) != SL_OK) {
            status = library_error(&error);
        }
    }
    return status;
}
