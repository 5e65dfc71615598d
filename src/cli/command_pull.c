/* command_pull.c - `sluice pull`: fetches a model from a hub into the cache.
 *
 *     what there is -> heads of the files -> plan -> the files
 */
#include "cli/cli.h"
#include "cli/hub_settings.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/plan_make.h"
#include "cli/plan_report.h"
#include "cli/progress.h"
#include "cli/units.h"
#include "hub/pull.h"
#include "os/console/console.h"

#include <inttypes.h>
#include <stdio.h>

/* The hub answers in a moment, or this is said. */
typedef struct waiting {
    const char *endpoint;
    double since;
    bool told, quiet;
} waiting;

static const double told_after = 2; /* seconds */

/* An sl_progress_fn. */
static bool show_progress(void *user, const char *what, uint64_t done, uint64_t total) {
    waiting *const w = user;
    if (total > 0) {
        return progress_update(NULL, what, done, total);
    }
    if (!w->told && !w->quiet && console_seconds() - w->since > told_after) {
        message("waiting for %s", w->endpoint);
        w->told = true;
    }
    return !console_interrupted();
}

/* "user/repo:Q4_K_M: 2 files, 4.1 GB, of which 1.2 GB are there (commit 0123456)" */
static void tell_model(const hub_pull_info *info) {
    char a[32], b[32], there[64] = "";
    if (info->missing < info->bytes && info->missing > 0) {
        snprintf(there, sizeof there, ", of which %s are there",
                 units_bytes(b, info->bytes - info->missing));
    }
    message("%s: %zu file%s, %s%s (commit %.7s)", info->name, info->files,
            info->files == 1 ? "" : "s", units_bytes(a, info->bytes), there, info->commit);
}

/* Where there is no plan: whether it fits at all. */
static void tell_size(const hub_pull_info *info) {
    sl_machine_info machine;
    char a[32], b[32];
    sl_machine_get_info(&machine);
    message("no plan can be made of torch files before they are here: %s of files, %s of memory "
            "available",
            units_bytes(a, info->bytes), units_bytes(b, machine.memory_available));
}

/* The plan, by the heads of the files; what keeps it from being made is no reason not to fetch. */
static int show_plan(const cli_options *options, hub_pull *pull) {
    hub_pull_info info;
    const char *path = NULL;
    sl_error error = {0};
    hub_pull_get_info(pull, &info);
    progress_begin(PROGRESS_BYTES);
    const sl_status result =
        info.missing > 0 ? hub_pull_heads(pull, &path, &error) : (path = info.path, SL_OK);
    progress_end();
    if (result != SL_OK) {
        return library_error(&error);
    }
    if (!path) {
        tell_size(&info);
        return CLI_DONE;
    }
    sl_plan_options wanted;
    sl_plan plan;
    figures_cache figures = {.measured = ""};
    cli_options of_file = *options;
    of_file.model = path;
    open_plan_options(&of_file, &wanted);
    wanted.heads_only = info.missing > 0;
    sl_figures_init(&figures.figures, 0);
    if (plan_make(&of_file, &wanted, &plan, &figures) != CLI_DONE) {
        if (console_interrupted()) {
            return CLI_SIGNALLED + console_interrupted();
        }
        message("so there is no plan");
        return CLI_DONE;
    }
    of_file.model = info.name;
    const plan_report report = {&of_file, &plan, &figures};
    return plan_report_text(&report);
}

/* The disk, before --dry-run ends. */
static void tell_room(const hub_pull_info *info) {
    char a[32], b[32];
    if (info->room >= 0 && (uint64_t)info->room < info->missing) {
        message("the disk has %s left, %s are to be fetched: %" PRIu64 " bytes are missing",
                units_bytes(a, (uint64_t)info->room), units_bytes(b, info->missing),
                info->missing - (uint64_t)info->room);
    }
}

static int fetch_files(const cli_options *options, hub_pull *pull) {
    sl_error error = {0};
    hub_pull_info info;
    progress_begin(PROGRESS_BYTES);
    const sl_status result = hub_pull_fetch(pull, &error);
    progress_end();
    if (result != SL_OK) {
        const int status = library_error(&error);
        if (error.status == SL_ERR_CANCELLED) {
            message("what is there stays; the same command goes on from it");
        }
        return status;
    }
    hub_pull_get_info(pull, &info);
    if (!options->quiet) {
        message("%s is there: sluice run -m %s", info.name, info.name);
    }
    return CLI_DONE;
}

static int pull_model(const cli_options *options, hub_pull *pull) {
    hub_pull_info info;
    hub_pull_get_info(pull, &info);
    if (!options->quiet) {
        tell_model(&info);
    }
    int status = CLI_DONE;
    if (!options->no_plan && !options->quiet) {
        status = show_plan(options, pull);
    }
    if (status == CLI_DONE && options->dry_run) {
        tell_room(&info);
    } else if (status == CLI_DONE) {
        status = fetch_files(options, pull);
    }
    return status;
}

int command_pull(const cli_options *options) {
    const char *const folder = hub_settings_cache();
    if (!folder) {
        return CLI_USAGE;
    }
    waiting w = {hub_settings_endpoint(), console_seconds(), false, options->quiet};
    const hub_pull_options how = {
        .name = options->model,
        .revision = options->revision,
        .cache = folder,
        .endpoint = w.endpoint,
        .token = hub_settings_token(),
        .authorities = hub_settings_authorities(),
        .parallel = (size_t)options->most_files,
        .timeout = options->timeout,
        .progress = show_progress,
        .notice = print_notice,
        .user = &w,
    };
    sl_error error = {0};
    hub_pull *pull = NULL;
    if (hub_pull_open(&how, &pull, &error) != SL_OK) {
        return library_error(&error);
    }
    const int status = pull_model(options, pull);
    hub_pull_close(pull);
    return status;
}
