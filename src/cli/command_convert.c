/* command_convert.c - `sluice convert`: a model of any kind that is read, as GGUF. */
#include "cli/cli.h"
#include "cli/conversion_files.h"
#include "cli/progress.h"

#include <strings.h>

/* The others take thought about what is lost, which `sluice quantize` reports. */
static bool is_known(const char *type) {
    static const char *const types[] = {"f32", "f16", "bf16", "q8_0"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcasecmp(type, types[i]) == 0) {
            return true;
        }
    }
    return false;
}

int command_convert(const cli_options *options) {
    if (!options->output) {
        return usage_error("convert: no file to write: sluice convert SOURCE DEST.gguf");
    }
    if (options->type && !is_known(options->type)) {
        return usage_error("--type: expected f32, f16, bf16 or q8_0 (sluice quantize makes others),"
                           " found '%s'",
                           options->type);
    }
    sl_convert_options how;
    sl_convert_options_init(&how);
    how.type = options->type;
    how.split_bytes = options->split_size;
    how.threads = (size_t)options->threads;
    how.progress = progress_update;
    how.notice = print_notice;
    sl_error error = {0};
    sl_conversion *conversion = NULL;
    if (sl_conversion_open(options->model, &how, &conversion, &error) != SL_OK) {
        return library_error(&error);
    }
    const int status = conversion_files_write(options, conversion);
    sl_conversion_close(conversion);
    return status;
}
