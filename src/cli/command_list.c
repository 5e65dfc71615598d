/* command_list.c - `sluice list`: the models of the cache. */
#include "cli/cli.h"
#include "cli/hub_settings.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/units.h"
#include "hub/cache.h"
#include "os/console/console.h"

#include <string.h>

enum { DATE_BYTES = 32, COMMIT_SHOWN = 7 };

/* An older commit of the model before it. */
static bool is_older(const hub_cached_list *list, size_t index) {
    return index > 0 &&
           strcmp(hub_cached_at(list, index)->name, hub_cached_at(list, index - 1)->name) == 0;
}

static void print_model(const hub_cached_list *list, size_t index, size_t width) {
    const hub_cached *const c = hub_cached_at(list, index);
    char size[32], date[DATE_BYTES];
    console_date_text_of(c->pulled, date);
    output_escaped(c->name, strlen(c->name), 0);
    output_format("%*s  %10s  %-20s", (int)(width - strlen(c->name)), "",
                  units_bytes(size, c->bytes), date);
    if (!c->complete) {
        output_format("  partial, %.0f %% is there",
                      c->bytes ? 100.0 * (double)c->present / (double)c->bytes : 0.0);
    } else if (is_older(list, index)) {
        output_format("  older, commit %.*s", COMMIT_SHOWN, c->commit);
    }
    output_text("\n");
}

static int print_text(const hub_cached_list *list) {
    size_t width = strlen("NAME");
    for (size_t i = 0; i < list->items.count; i++) {
        const size_t length = strlen(hub_cached_at(list, i)->name);
        width = length > width ? length : width;
    }
    output_format("%-*s  %10s  %s\n", (int)(width < 512 ? width : 512), "NAME", "SIZE", "MODIFIED");
    for (size_t i = 0; i < list->items.count; i++) {
        print_model(list, i, width);
    }
    return output_finish(CLI_DONE);
}

static int print_json(const hub_cached_list *list) {
    json_t *const models = json_array();
    for (size_t i = 0; i < list->items.count; i++) {
        const hub_cached *const c = hub_cached_at(list, i);
        char date[DATE_BYTES];
        json_t *const object = json_object();
        console_date_text_of(c->pulled, date);
        json_put(object, "name", json_bytes(c->name, strlen(c->name)));
        json_put(object, "path", json_bytes(c->path, strlen(c->path)));
        json_put(object, "size", json_unsigned(c->bytes));
        json_put(object, "present", json_unsigned(c->present));
        json_put(object, "complete", json_boolean(c->complete));
        json_put(object, "modified", json_string(date));
        json_put(object, "revision", json_bytes(c->revision, strlen(c->revision)));
        json_put(object, "commit", json_string(c->commit));
        json_append(models, object);
    }
    json_write(models, true);
    output_text("\n");
    return json_finish();
}

int command_list(const cli_options *options) {
    const char *const folder = hub_settings_cache();
    hub_cached_list list;
    sl_error error = {0};
    if (!folder) {
        return CLI_USAGE;
    }
    if (hub_cache_list(folder, print_notice, NULL, &list, &error) != SL_OK) {
        return library_error(&error);
    }
    const int status = options->json ? print_json(&list) : print_text(&list);
    hub_cached_list_free(&list);
    return status;
}
