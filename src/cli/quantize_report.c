/* quantize_report.c - quantize_report.h. */
#include "cli/quantize_report.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/units.h"
#include "os/console/console.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WIDEST_NAME = 44, NAME_ROOM = 2100, SHAPE_ROOM = 96 };

void quantize_report_begin(quantize_report *r, const cli_options *options) {
    *r = (quantize_report){
        .options = options,
        .tensors = options->json ? json_array() : NULL,
        .started = console_seconds(),
    };
}

/* "4096 x 32000" */
static const char *shape_of(char out[SHAPE_ROOM], const sl_converted_tensor *t) {
    size_t used = 0;
    for (size_t d = 0; d < t->n_dims && used < SHAPE_ROOM; d++) {
        used += (size_t)snprintf(out + used, SHAPE_ROOM - used, "%s%" PRIu64, d ? " x " : "",
                                 t->shape[d]);
    }
    return out;
}

static const char *name_of(char out[NAME_ROOM], const sl_converted_tensor *t) {
    size_t used = 0;
    for (size_t at = 0; at < t->name_length && used + 17 < NAME_ROOM;) {
        at += text_escape_next(t->name + at, t->name_length - at, '\0', out, &used);
    }
    out[used] = '\0';
    return out;
}

void quantize_report_measure(quantize_report *r, const sl_conversion *conversion) {
    for (size_t i = 0; i < sl_conversion_tensors(conversion); i++) {
        sl_converted_tensor t;
        char name[NAME_ROOM], shape[SHAPE_ROOM];
        sl_conversion_tensor(conversion, i, &t);
        const size_t width = strlen(name_of(name, &t)), columns = strlen(shape_of(shape, &t));
        r->name_width = width > r->name_width ? width : r->name_width;
        r->shape_width = columns > r->shape_width ? columns : r->shape_width;
    }
    r->name_width = r->name_width < WIDEST_NAME ? r->name_width : WIDEST_NAME;
}

static void print_line(const quantize_report *r, const sl_converted_tensor *t) {
    char name[NAME_ROOM], shape[SHAPE_ROOM], a[32], b[32], error[32] = "";
    if (t->error >= 0) {
        snprintf(error, sizeof error, "  error %.4g", t->error);
    } else if (t->error != -1) { /* NaN: values that are no numbers */
        snprintf(error, sizeof error, "  error not a number");
    }
    progress_clear();
    fprintf(stderr, "%-*s  %*s  %5s -> %-5s %9s -> %9s%s%s%s%s\n", (int)r->name_width,
            name_of(name, t), (int)r->shape_width, shape_of(shape, t), t->from, t->to,
            units_bytes(a, t->bytes_before), units_bytes(b, t->bytes_after), error,
            t->wanted ? "  instead of " : "", t->wanted ? t->wanted : "",
            t->lacks_importance ? "  no importance" : "");
}

static json_t *describe(const sl_converted_tensor *t) {
    json_t *const object = json_object();
    json_t *const shape = json_array();
    for (size_t d = 0; d < t->n_dims; d++) {
        json_append(shape, json_unsigned(t->shape[d]));
    }
    json_put(object, "name", json_bytes(t->name, t->name_length));
    json_put(object, "shape", shape);
    json_put(object, "from", json_string(t->from));
    json_put(object, "to", json_string(t->to));
    if (t->wanted) {
        json_put(object, "instead_of", json_string(t->wanted));
    }
    json_put(object, "bytes_before", json_unsigned(t->bytes_before));
    json_put(object, "bytes_after", json_unsigned(t->bytes_after));
    json_put(object, "importance", json_boolean(t->has_importance));
    if (t->error != -1) {
        json_put(object, "error", json_number(t->error));
    }
    return object;
}

void quantize_report_tensor(void *user, size_t index, const sl_converted_tensor *tensor) {
    quantize_report *r = user;
    uint64_t values = 1;
    (void)index;
    for (size_t d = 0; d < tensor->n_dims; d++) {
        values *= tensor->shape[d]; /* no more than the file has bits */
    }
    r->before += tensor->bytes_before;
    r->after += tensor->bytes_after;
    r->values += values;
    if (r->options->json) {
        json_append(r->tensors, describe(tensor));
    } else if (!r->options->quiet) {
        print_line(r, tensor);
    }
}

static double bits_per_weight(const quantize_report *r) {
    return r->values ? 8 * (double)r->after / (double)r->values : 0;
}

static int print_json(quantize_report *r, const sl_conversion *conversion, double seconds) {
    const cli_options *o = r->options;
    uint64_t file_bytes = 0;
    for (size_t i = 0; i < sl_conversion_files(conversion); i++) {
        file_bytes += sl_conversion_bytes(conversion, i);
    }
    json_t *const object = json_object();
    json_put(object, "source", json_bytes(o->model, strlen(o->model)));
    json_put(object, "type", json_bytes(o->type, strlen(o->type)));
    json_put(object, "tensors", r->tensors);
    r->tensors = NULL;
    json_put(object, "bytes_before", json_unsigned(r->before));
    json_put(object, "bytes_after", json_unsigned(r->after));
    json_put(object, "file_bytes", json_unsigned(file_bytes));
    json_put(object, "files", json_unsigned(sl_conversion_files(conversion)));
    json_put(object, "bits_per_weight", json_number(bits_per_weight(r)));
    json_put(object, "seconds", json_number(seconds));
    json_put(object, "dry_run", json_boolean(o->dry_run));
    json_write(object, true);
    output_text("\n");
    return json_finish();
}

int quantize_report_end(quantize_report *r, const sl_conversion *conversion) {
    const double seconds = console_seconds() - r->started;
    if (r->options->json) {
        return print_json(r, conversion, seconds);
    }
    if (!r->options->quiet) {
        char a[32], b[32], rate[32];
        fprintf(stderr, "%s -> %s, %.2f bits per weight", units_bytes(a, r->before),
                units_bytes(b, r->after), bits_per_weight(r));
        if (!r->options->dry_run && seconds > 0) {
            fprintf(stderr, ", %.1f s, %s/s read", seconds,
                    units_bytes(rate, (uint64_t)((double)r->before / seconds)));
        }
        fputc('\n', stderr);
    }
    return CLI_DONE;
}

void quantize_report_drop(quantize_report *r) {
    json_decref(r->tensors);
    r->tensors = NULL;
}
