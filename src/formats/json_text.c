#include "formats/json_text.h"

#include "base/error.h"
#include "base/limits.h"

/* Commas and opening brackets outside of strings are counted: there are never more values than
 * twice these and one. */
static sl_status check_size(const uint8_t *bytes, size_t size, const char *what, sl_error *error) {
    size_t depth = 0, values = 1;
    bool inside = false;
    for (size_t i = 0; i < size; i++) {
        const uint8_t c = bytes[i];
        if (inside) {
            i += c == '\\';
            inside = c != '"';
        } else if (c == '"') {
            inside = true;
        } else if (c == '[' || c == '{') {
            depth++;
            values++;
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == ',') {
            values++;
        }
        if (depth > LIMIT_JSON_DEPTH) {
            return error_set(error, SL_ERR_FORMAT,
                             "%s, byte %zu: values lie more than %u deep in each other", what, i,
                             LIMIT_JSON_DEPTH);
        }
        if (values > LIMIT_JSON_VALUES) {
            return error_set(error, SL_ERR_FORMAT, "%s, byte %zu: there are more than %u values",
                             what, i, LIMIT_JSON_VALUES);
        }
    }
    return SL_OK;
}

sl_status json_text_parse(const uint8_t *bytes, size_t size, const char *what, json_t **out,
                          sl_error *error) {
    *out = NULL;
    if (size > LIMIT_JSON_BYTES) {
        return error_set(error, SL_ERR_FORMAT, "%s has %zu bytes, expected at most %u", what, size,
                         LIMIT_JSON_BYTES);
    }
    const sl_status status = check_size(bytes, size, what, error);
    if (status != SL_OK) {
        return status;
    }
    json_error_t wrong;
    *out = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &wrong);
    if (!*out) {
        const bool memory = json_error_code(&wrong) == json_error_out_of_memory;
        return error_set(error, memory ? SL_ERR_MEMORY : SL_ERR_FORMAT,
                         "%s, line %d, column %d: is no JSON: %s", what, wrong.line, wrong.column,
                         wrong.text);
    }
    return SL_OK;
}

str json_text_string(const json_t *value) {
    return json_is_string(value) ? (str){json_string_value(value), json_string_length(value)}
                                 : (str){NULL, 0};
}
