/* command_inspect.c - `sluice inspect`: what a model file holds, for people and as JSON. */
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_ELEMENTS = 6, SHOWN_BYTES = 72, MOST_TYPES = 64 };

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

/* In quotes, cut after about SHOWN_BYTES. */
static void print_string(const char *string, size_t length) {
    size_t shown = length < SHOWN_BYTES ? length : SHOWN_BYTES;
    /* Not within a UTF-8 character. */
    while (shown < length && shown > 0 && ((unsigned char)string[shown] & 0xc0) == 0x80) {
        shown--;
    }
    output_text("\"");
    output_escaped(string, shown, '"');
    output_text("\"");
    if (shown < length) {
        output_format("... (%zu bytes)", length);
    }
}

static void print_value(const sl_value *v) {
    switch (v->type) {
    case SL_VALUE_UINT:
        output_format("%" PRIu64, v->u);
        break;
    case SL_VALUE_INT:
        output_format("%" PRId64, v->i);
        break;
    case SL_VALUE_FLOAT:
        output_format("%.9g", v->f);
        break;
    case SL_VALUE_BOOL:
        output_text(v->u ? "true" : "false");
        break;
    case SL_VALUE_STRING:
        print_string(v->string, v->string_length);
        break;
    case SL_VALUE_ARRAY:
        output_text("[...]");
        break;
    }
}

static const char *type_name(sl_value_type type) {
    static const char *const names[] = {"unsigned integers", "integers", "floats",
                                        "booleans",          "strings",  "arrays"};
    return (size_t)type < sizeof names / sizeof names[0] ? names[type] : "values";
}

static void print_metadata(sl_file *file, size_t index) {
    sl_metadata m;
    sl_file_metadata(file, index, &m);
    output_text("  ");
    output_escaped(m.key, m.key_length, 0);
    output_text(" = ");
    if (m.type == SL_VALUE_ARRAY) {
        output_format("%" PRIu64 " %s: ", m.count, type_name(m.element_type));
    }
    for (uint64_t i = 0; i < m.count && i < SHOWN_ELEMENTS; i++) {
        sl_value value;
        sl_file_value(file, index, i, &value);
        output_text(i ? ", " : "");
        print_value(&value);
    }
    output_text(m.count > SHOWN_ELEMENTS ? ", ...\n" : "\n");
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

static json_t *value_as_json(const sl_value *v) {
    switch (v->type) {
    case SL_VALUE_UINT:
        return json_unsigned(v->u);
    case SL_VALUE_INT:
        return json_integer((json_int_t)v->i);
    case SL_VALUE_FLOAT:
        return json_number(v->f);
    case SL_VALUE_BOOL:
        return json_boolean(v->u);
    case SL_VALUE_STRING:
        return json_bytes(v->string, v->string_length);
    case SL_VALUE_ARRAY:
        break;
    }
    return json_null();
}

static json_t *metadata_as_json(sl_file *file, size_t count) {
    json_t *const object = json_object();
    for (size_t i = 0; i < count; i++) {
        sl_metadata m;
        sl_value value;
        sl_file_metadata(file, i, &m);
        if (m.type != SL_VALUE_ARRAY) {
            sl_file_value(file, i, 0, &value);
            json_put_bytes(object, m.key, m.key_length, value_as_json(&value));
            continue;
        }
        json_t *const array = json_array();
        for (uint64_t k = 0; k < m.count; k++) {
            sl_file_value(file, i, k, &value);
            json_append(array, value_as_json(&value));
        }
        json_put_bytes(object, m.key, m.key_length, array);
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

/* `model` is NULL unless --program. */
static int print_all(const cli_options *options, sl_file *file, const sl_model *model) {
    sl_file_info info;
    sl_file_get_info(file, &info);
    summary s;
    summarize(file, info.tensor_count, &s);
    if (!options->json) {
        print_for_people(options, file, &s);
        if (model) {
            output_text("\nprogram:\n");
            sl_model_print_program(model, print_line, NULL);
        }
        return output_finish(CLI_DONE);
    }
    json_t *const object = everything_as_json(options, file, &s);
    if (model) {
        json_t *const lines = json_array();
        sl_model_print_program(model, add_line, lines);
        json_put(object, "program", lines);
    }
    json_write(object, true);
    output_text("\n");
    return json_finish();
}

int command_inspect(const cli_options *options) {
    sl_file *file = NULL;
    sl_error error = {0};
    if (sl_file_open(options->model, &file, &error) != SL_OK) {
        return library_error(&error);
    }
    sl_model *model = NULL;
    int status = options->program ? open_model(options, OPEN_PROGRAM, 0, &model) : CLI_DONE;
    if (status == CLI_DONE) {
        status = print_all(options, file, model);
    }
    sl_model_free(model);
    sl_file_close(file);
    return status;
}
