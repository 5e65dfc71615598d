/* command_rm.c - `sluice rm`: removes models from the cache. */
#include "cli/cli.h"
#include "cli/hub_settings.h"
#include "cli/units.h"
#include "hub/cache.h"

typedef struct telling {
    bool dry, quiet;
} telling;

static void tell_model(void *user, const hub_cached *model) {
    const telling *const t = user;
    char size[32];
    if (!t->quiet) {
        message("%s %s, commit %.7s: %s", t->dry ? "would remove" : "removed", model->name,
                model->commit, units_bytes(size, model->present));
    }
}

int command_rm(const cli_options *options) {
    const char *const folder = hub_settings_cache();
    telling t = {options->dry_run, options->quiet};
    sl_error error = {0};
    uint64_t freed;
    char size[32];
    if (!folder) {
        return CLI_USAGE;
    }
    if (hub_cache_remove(folder, options->model, options->dry_run, tell_model, &t, &freed,
                         &error) != SL_OK) {
        return library_error(&error);
    }
    if (!options->quiet) {
        message("%s %s", units_bytes(size, freed), options->dry_run ? "would be freed" : "freed");
    }
    return CLI_DONE;
}
