/* command_quantize.c - `sluice quantize`: a model of any kind that is read, as GGUF with smaller
 * weights. */
#include "cli/cli.h"
#include "cli/conversion_files.h"
#include "cli/progress.h"
#include "cli/quantize_report.h"

/* What the options ask of the library; `r` hears of each tensor. */
static sl_convert_options wishes_of(const cli_options *options, quantize_report *r) {
    sl_convert_options how;
    sl_convert_options_init(&how);
    how.type = options->type;
    how.output_type = options->output_type;
    how.embedding_type = options->embedding_type;
    how.tensor_types = options->tensor_types.items;
    how.n_tensor_type = options->tensor_types.count;
    how.leave_output = options->leave_output;
    how.pure = options->pure;
    how.refuse_requantize = !options->allow_requantize;
    how.importance = options->imatrix;
    how.split_bytes = options->split_size;
    how.threads = (size_t)options->threads;
    how.progress = progress_update;
    how.notice = print_notice;
    how.tensor = quantize_report_tensor;
    how.user = r;
    return how;
}

static void report_plan(const sl_conversion *conversion, quantize_report *r) {
    for (size_t i = 0; i < sl_conversion_tensors(conversion); i++) {
        sl_converted_tensor tensor;
        sl_conversion_tensor(conversion, i, &tensor);
        quantize_report_tensor(r, i, &tensor);
    }
}

static int quantize(const cli_options *options) {
    quantize_report report;
    quantize_report_begin(&report, options);
    const sl_convert_options how = wishes_of(options, &report);
    sl_error error = {0};
    sl_conversion *conversion = NULL;
    int status = CLI_DONE;
    if (sl_conversion_open(options->model, &how, &conversion, &error) != SL_OK) {
        status = library_error(&error);
    } else {
        quantize_report_measure(&report, conversion);
        if (options->dry_run) {
            report_plan(conversion, &report);
        } else {
            status = conversion_files_write(options, conversion);
        }
        if (status == CLI_DONE) {
            status = quantize_report_end(&report, conversion);
        }
    }
    quantize_report_drop(&report);
    sl_conversion_close(conversion);
    return status;
}

int command_quantize(const cli_options *options) {
    cli_options o = *options;
    if (o.dry_run && !o.type) {
        o.type = o.output; /* SOURCE TYPE */
        o.output = NULL;
    }
    if (!o.type) {
        return usage_error("quantize: no %s: sluice quantize SOURCE DEST.gguf TYPE",
                           o.output ? "type" : "file to write");
    }
    return quantize(&o);
}
