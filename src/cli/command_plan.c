/* command_plan.c - `sluice plan`: what a model will need and how fast it will be.
 *
 *     figures of this machine, from the cache  (or of another one, from the options)
 *       -> what is missing is measured, and kept
 *         -> sl_plan_make -> report
 */
#include "cli/cli.h"
#include "cli/figures_cache.h"
#include "cli/open.h"
#include "cli/plan_make.h"
#include "cli/plan_report.h"

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
    f->disk = f->disk_first = exactly(o->disk * 1e9);
    f->int8 = f->bf16 = f->f32 = exactly(o->flops * 1e9);
}

int command_plan(const cli_options *options) {
    int status = check_options(options);
    if (status != CLI_DONE) {
        return status;
    }
    sl_plan_options wanted;
    open_plan_options(options, &wanted);
    sl_plan plan;
    figures_cache figures;
    given_figures(options, &figures);
    status = plan_make(options, &wanted, &plan, &figures);
    if (status != CLI_DONE) {
        return status;
    }
    const plan_report report = {options, &plan, &figures};
    return options->json ? plan_report_json(&report) : plan_report_text(&report);
}
