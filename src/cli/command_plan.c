/* command_plan.c - `sluice plan`: what a model will need and how fast it will be.
 *
 *     figures of this machine, from the cache  (or of another one, from the options)
 *       -> what is missing is measured, and kept
 *         -> sl_plan_make -> report
 */
#include "cli/cli.h"
#include "cli/figures_cache.h"
#include "cli/open.h"
#include "cli/plan_report.h"
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>

/* Whether exactly one thing to plan for was named, and figures as they belong together. */
static int check_options(const cli_options *o) {
    if (!o->model == !o->shape) {
        return usage_error(o->model ? "plan: expected one of -m and --shape, found both"
                                    : "plan: no model: give -m FILE, or --shape NAME and --type "
                                      "TYPE (sluice plan --help)");
    }
    if (!o->shape != !o->type) {
        return usage_error(o->shape ? "plan: --shape needs --type, such as q4_0"
                                    : "plan: --type is for --shape; a file has its own");
    }
    const bool given = o->bandwidth > 0 || o->flops > 0 || o->disk > 0;
    if (given && (!(o->bandwidth > 0) || !(o->flops > 0))) {
        return usage_error(
            "plan: for another machine give both --bandwidth and --flops, and --disk "
            "if files are to be read");
    }
    if (given && o->remeasure) {
        return usage_error("plan: --remeasure is for this machine, --bandwidth for another one");
    }
    return CLI_DONE;
}

static sl_spread exactly(double rate) {
    return (sl_spread){rate, rate, rate};
}

/* The machine that the options describe. */
static void given_figures(const cli_options *o, figures_cache *cache) {
    *cache = (figures_cache){.measured = ""};
    sl_figures *const f = &cache->figures;
    sl_figures_init(f, (size_t)o->threads);
    f->read = exactly(o->bandwidth * 1e9);
    f->disk = exactly(o->disk * 1e9);
    f->int8 = f->bf16 = f->f32 = exactly(o->flops * 1e9);
}

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

int plan_make(const cli_options *options, sl_plan *plan, figures_cache *figures) {
    sl_plan_options wanted;
    open_plan_options(options, &wanted);
    sl_error error = {0};
    /* What cannot work is refused before seconds are spent on measuring. */
    given_figures(options, figures);
    if (sl_plan_make(&wanted, &figures->figures, plan, &error) != SL_OK) {
        if (error.status == SL_ERR_MEMORY) {
            const size_t length = strlen(error.message);
            snprintf(error.message + length, sizeof error.message - length,
                     " (--memory, -c, -np, -ctk, -ctv)");
        }
        return library_error(&error);
    }
    if (options->bandwidth > 0) {
        return CLI_DONE;
    }
    wanted.notice = print_notice;
    const int status = measured_figures(options, &wanted, figures);
    wanted.notice = NULL;
    if (status == CLI_DONE && sl_plan_make(&wanted, &figures->figures, plan, &error) != SL_OK) {
        return library_error(&error);
    }
    return status;
}

int command_plan(const cli_options *options) {
    sl_plan plan;
    figures_cache figures;
    int status = check_options(options);
    if (status == CLI_DONE) {
        status = plan_make(options, &plan, &figures);
    }
    if (status != CLI_DONE) {
        return status;
    }
    const plan_report report = {options, &plan, &figures};
    return options->json ? plan_report_json(&report) : plan_report_text(&report);
}
