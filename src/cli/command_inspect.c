/* command_inspect.c - `sluice inspect`: what a model file holds, for people and as JSON; of two
 * files, what differs; with --plan also what it will need and how fast it will be. */
#include "cli/cli.h"
#include "cli/inspect_diff.h"
#include "cli/inspect_values.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/plan_report.h"
#include "cli/units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TYPES = 64 };

/* Tensors of one type, added up. */
typedef struct type_sum {
    const char *type;
    uint64_t count, bytes, values;
} type_sum;

typedef struct summary {
    type_sum types[MOST_TYPES]; /* in order of appearance; what exceeds them is added to the last */
    size_t type_count;
    uint64_t parameters;
} summary;

static uint64_t tensor_values(const sl_tensor_info *t) {
    uint64_t values = 1;
    for (size_t d = 0; d < t->n_dims && d < 4; d++) {
        values *= t->dims[d];
    }
    return values;
}

static void summarize(const sl_file *file, size_t tensor_count, summary *s) {
    *s = (summary){.type_count = 0};
    for (size_t i = 0; i < tensor_count; i++) {
        sl_tensor_info t;
        sl_file_tensor(file, i, &t);
        size_t k = 0;
        while (k < s->type_count && strcmp(s->types[k].type, t.type) != 0) {
            k++;
        }
        if (k == s->type_count && k < MOST_TYPES) {
            s->types[s->type_count++] = (type_sum){.type = t.type};
        }
        type_sum *const sum = &s->types[k < MOST_TYPES ? k : MOST_TYPES - 1];
        const uint64_t values = tensor_values(&t);
        sum->count++;
        sum->bytes += t.bytes;
        sum->values += values;
        s->parameters += values;
    }
}

/* The value of the string entry `key`; its type is not SL_VALUE_STRING if there is none. */
static sl_value find_string(sl_file *file, size_t metadata_count, const char *key) {
    for (size_t i = 0; i < metadata_count; i++) {
        sl_metadata m;
        sl_file_metadata(file, i, &m);
        if (m.key_length == strlen(key) && memcmp(m.key, key, m.key_length) == 0 &&
            m.type == SL_VALUE_STRING) {
            sl_value value;
            sl_file_value(file, i, 0, &value);
            return value;
        }
    }
    return (sl_value){.type = SL_VALUE_UINT};
}

/* ---- for people ----------------------------------------------------------------------------- */

static void print_metadata(sl_file *file, size_t index) {
    sl_metadata m;
    sl_file_metadata(file, index, &m);
    output_text("  ");
    output_escaped(m.key, m.key_length, 0);
    output_text(" = ");
    print_metadata_value(file, index);
    output_text("\n");
}

static void print_tensor(const sl_tensor_info *t) {
    output_text("  ");
    output_escaped(t->name, t->name_length, 0);
    output_format("%*s  %-8s [", t->name_length < 32 ? (int)(32 - t->name_length) : 0, "", t->type);
    for (size_t d = 0; d < t->n_dims && d < 4; d++) {
        output_format("%s%" PRIu64, d ? ", " : "", t->dims[d]);
    }
    output_format("]  at %" PRIu64 ", %" PRIu64 " bytes\n", t->offset, t->bytes);
}

static void print_for_people(const cli_options *options, sl_file *file, const summary *s) {
    sl_file_info info;
    sl_file_get_info(file, &info);
    char a[32];
    output_format("format        %s\n", info.format);
    output_format("size          %" PRIu64 " bytes (%s)\n", info.file_bytes,
                  units_bytes(a, info.file_bytes));
    const sl_value architecture = find_string(file, info.metadata_count, "general.architecture");
    if (architecture.type == SL_VALUE_STRING) {
        output_text("architecture  ");
        output_escaped(architecture.string, architecture.string_length, 0);
        output_text("\n");
    }
    output_format("parameters    %" PRIu64 " (%s)\n", s->parameters, units_count(a, s->parameters));
    output_format("tensor data   from byte %" PRIu64 "\n", info.data_offset);
    output_format("\nmetadata: %zu\n", info.metadata_count);
    for (size_t i = 0; i < info.metadata_count; i++) {
        print_metadata(file, i);
    }
    output_format("\ntensors: %zu\n", info.tensor_count);
    for (size_t k = 0; k < s->type_count; k++) {
        const type_sum *const sum = &s->types[k];
        output_format("  %-8s %8" PRIu64 " tensors %16" PRIu64 " bytes (%s)\n", sum->type,
                      sum->count, sum->bytes, units_bytes(a, sum->bytes));
    }
    if (options->tensors) {
        output_text("\n");
        for (size_t i = 0; i < info.tensor_count; i++) {
            sl_tensor_info t;
            sl_file_tensor(file, i, &t);
            print_tensor(&t);
        }
    }
}

/* ---- as JSON -------------------------------------------------------------------------------- */

static json_t *metadata_as_json(sl_file *file, size_t count) {
    json_t *const object = json_object();
    for (size_t i = 0; i < count; i++) {
        sl_metadata m;
        sl_file_metadata(file, i, &m);
        json_put_bytes(object, m.key, m.key_length, metadata_value_as_json(file, i));
    }
    return object;
}

static json_t *tensors_as_json(const sl_file *file, size_t count) {
    json_t *const array = json_array();
    for (size_t i = 0; i < count; i++) {
        sl_tensor_info t;
        sl_file_tensor(file, i, &t);
        json_t *const shape = json_array();
        for (size_t d = 0; d < t.n_dims && d < 4; d++) {
            json_append(shape, json_unsigned(t.dims[d]));
        }
        json_t *const object = json_object();
        json_put(object, "name", json_bytes(t.name, t.name_length));
        json_put(object, "type", json_string(t.type));
        json_put(object, "shape", shape);
        json_put(object, "offset", json_unsigned(t.offset));
        json_put(object, "bytes", json_unsigned(t.bytes));
        json_append(array, object);
    }
    return array;
}

static json_t *types_as_json(const summary *s) {
    json_t *const object = json_object();
    for (size_t k = 0; k < s->type_count; k++) {
        json_t *const sum = json_object();
        json_put(sum, "tensors", json_unsigned(s->types[k].count));
        json_put(sum, "values", json_unsigned(s->types[k].values));
        json_put(sum, "bytes", json_unsigned(s->types[k].bytes));
        json_put(object, s->types[k].type, sum);
    }
    return object;
}

static json_t *everything_as_json(const cli_options *options, sl_file *file, const summary *s) {
    sl_file_info info;
    sl_file_get_info(file, &info);
    const sl_value architecture = find_string(file, info.metadata_count, "general.architecture");
    json_t *const object = json_object();
    json_put(object, "file", json_bytes(options->model, strlen(options->model)));
    json_put(object, "format", json_string(info.format));
    json_put(object, "file_bytes", json_unsigned(info.file_bytes));
    json_put(object, "data_offset", json_unsigned(info.data_offset));
    json_put(object, "architecture",
             architecture.type == SL_VALUE_STRING ? value_as_json(&architecture) : json_null());
    json_put(object, "parameters", json_unsigned(s->parameters));
    json_put(object, "metadata", metadata_as_json(file, info.metadata_count));
    json_put(object, "types", types_as_json(s));
    json_put(object, "tensors", tensors_as_json(file, info.tensor_count));
    return object;
}

/* ---- both ----------------------------------------------------------------------------------- */

/* Receives lines of the program. */
static void print_line(void *user, const char *line) {
    (void)user;
    output_text("  ");
    output_escaped(line, strlen(line), 0);
    output_text("\n");
}

static void add_line(void *user, const char *line) {
    json_append(user, json_bytes(line, strlen(line)));
}

/* What the options asked for beside the file's tables; NULL: nothing. */
typedef struct more {
    const sl_model *model;   /* --program */
    const plan_report *plan; /* --plan */
} more;

static int print_all(const cli_options *options, sl_file *file, const more *m) {
    sl_file_info info;
    sl_file_get_info(file, &info);
    summary s;
    summarize(file, info.tensor_count, &s);
    if (!options->json) {
        print_for_people(options, file, &s);
        if (m->model) {
            output_text("\nprogram:\n");
            sl_model_print_program(m->model, print_line, NULL);
        }
        if (m->plan) {
            output_text("\n");
            plan_report_text(m->plan);
        }
        return output_finish(CLI_DONE);
    }
    json_t *const object = everything_as_json(options, file, &s);
    if (m->model) {
        json_t *const lines = json_array();
        sl_model_print_program(m->model, add_line, lines);
        json_put(object, "program", lines);
    }
    if (m->plan) {
        json_put(object, "plan", plan_report_as_json(m->plan));
    }
    json_write(object, true);
    output_text("\n");
    return json_finish();
}

static int inspect_one(const cli_options *options, sl_file *file) {
    sl_model *model = NULL;
    sl_plan plan;
    figures_cache figures;
    const plan_report report = {options, &plan, &figures};
    int status = options->program ? open_model(options, OPEN_PROGRAM, 0, &model) : CLI_DONE;
    if (status == CLI_DONE && options->plan) {
        status = plan_make(options, &plan, &figures);
    }
    if (status == CLI_DONE) {
        status = print_all(options, file, &(more){model, options->plan ? &report : NULL});
    }
    sl_model_free(model);
    return status;
}

int command_inspect(const cli_options *options) {
    const bool two = options->output != NULL;
    if (two && (options->tensors || options->program || options->plan)) {
        return usage_error("inspect: --tensors, --program and --plan are for one model, found two");
    }
    sl_file *file = NULL;
    sl_error error = {0};
    if (sl_file_open(options->model, &file, &error) != SL_OK) {
        return library_error(&error);
    }
    const int status = two ? inspect_diff(options, file) : inspect_one(options, file);
    sl_file_close(file);
    return status;
}
