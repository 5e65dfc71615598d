/* main.c - picks the sub-command. */
#include "cli/cli.h"
#include "cli/hub_settings.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "os/console/console.h"

#include <stdlib.h>
#include <string.h>

static int unknown_command(const char *name) {
    return usage_error("unknown command '%s' (sluice --help lists them)", name);
}

static int print_version(void) {
    output_format("sluice %s\n", sl_version());
    return output_finish(CLI_DONE);
}

static int print_help(int count, char **names) {
    if (count > 1) {
        return usage_error("help: unexpected argument '%s'", names[1]);
    }
    if (count == 0) {
        help_print();
        return output_finish(CLI_DONE);
    }
    const command *const c = command_find(names[0]);
    if (!c) {
        return unknown_command(names[0]);
    }
    help_print_command(c);
    return output_finish(CLI_DONE);
}

/* Looks up models that are named as a hub has them; found[0] and found[1] are for free. */
static int resolve_models(const command *c, cli_options *options, char *found[2]) {
    if (c->bit & (COMMAND_PULL | COMMAND_RM)) {
        return CLI_DONE; /* they mean the hub's names themselves */
    }
    int status = hub_settings_resolve(&options->model, &found[0]);
    if (status == CLI_DONE && c->bit == COMMAND_INSPECT) {
        status = hub_settings_resolve(&options->output, &found[1]); /* the other model */
    }
    return status;
}

static int run_command(const command *c, int count, char **arguments) {
    cli_options options;
    int status = options_parse(c, count, arguments, &options);
    if (status == CLI_DONE && options.help) {
        help_print_command(c);
        status = output_finish(CLI_DONE);
    } else if (status == CLI_DONE) {
        status = options_require(c, &options);
        if (status == CLI_DONE) {
            if (options.quiet) {
                progress_silence();
            }
            char *found[2] = {NULL, NULL};
            status = resolve_models(c, &options, found);
            if (status == CLI_DONE) {
                status = c->run(&options);
            }
            free(found[0]);
            free(found[1]);
        }
    }
    options_free(&options);
    return status;
}

int main(int argc, char **argv) {
    console_prepare();
    console_catch_interrupts();
    sl_guard_mappings();
    const char *const name = argc > 1 ? argv[1] : "";
    if (argc < 2) {
        return usage_error("no command given (sluice --help lists them)");
    }
    const bool help = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    if (help || strcmp(name, "--version") == 0) {
        if (argc > 2) {
            return usage_error("%s: unexpected argument '%s'", name, argv[2]);
        }
        return help ? print_help(0, NULL) : print_version();
    }
    if (strcmp(name, "help") == 0) {
        return print_help(argc - 2, argv + 2);
    }
    const command *const c = command_find(name);
    if (!c && name[0] == '-') {
        return usage_error("unknown option '%s' (sluice --help)", name);
    }
    return c ? run_command(c, argc - 2, argv + 2) : unknown_command(name);
}
