/* inspect_values.c - metadata as people and JSON see it. */
#include "cli/inspect_values.h"

#include "cli/output.h"

#include <inttypes.h>
#include <string.h>

enum { SHOWN_ELEMENTS = 6, SHOWN_BYTES = 72 };

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

void print_metadata_value(sl_file *file, size_t index) {
    sl_metadata m;
    sl_file_metadata(file, index, &m);
    if (m.type == SL_VALUE_ARRAY) {
        output_format("%" PRIu64 " %s: ", m.count, type_name(m.element_type));
    }
    for (uint64_t i = 0; i < m.count && i < SHOWN_ELEMENTS; i++) {
        sl_value value;
        sl_file_value(file, index, i, &value);
        output_text(i ? ", " : "");
        print_value(&value);
    }
    output_text(m.count > SHOWN_ELEMENTS ? ", ..." : "");
}

json_t *value_as_json(const sl_value *v) {
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

json_t *metadata_value_as_json(sl_file *file, size_t index) {
    sl_metadata m;
    sl_value value;
    sl_file_metadata(file, index, &m);
    if (m.type != SL_VALUE_ARRAY) {
        sl_file_value(file, index, 0, &value);
        return value_as_json(&value);
    }
    json_t *const array = json_array();
    for (uint64_t k = 0; k < m.count; k++) {
        sl_file_value(file, index, k, &value);
        json_append(array, value_as_json(&value));
    }
    return array;
}
