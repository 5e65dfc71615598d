/* json.c - json.h. */
#include "cli/json.h"

#include "cli/cli.h"
#include "cli/output.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool failed;

/* Each byte as the character of its number, in UTF-8, from malloc; *length becomes its length. */
static char *widen(const char *bytes, size_t *length) {
    char *const wide = malloc(2 * *length + 1);
    size_t out = 0;
    for (size_t i = 0; wide && i < *length; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x80) {
            wide[out++] = (char)(0xc0 | c >> 6);
            wide[out++] = (char)(0x80 | (c & 0x3f));
        } else {
            wide[out++] = (char)c;
        }
    }
    *length = out;
    return wide;
}

json_t *json_bytes(const char *bytes, size_t length) {
    json_t *const direct = json_stringn(length ? bytes : "", length);
    if (direct) {
        return direct;
    }
    char *const wide = widen(bytes, &length);
    json_t *const value = wide ? json_stringn(wide, length) : NULL;
    free(wide);
    return value;
}

json_t *json_unsigned(uint64_t number) {
    if (number <= INT64_MAX) {
        return json_integer((json_int_t)number);
    }
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    return json_string(digits);
}

json_t *json_number(double number) {
    if (isfinite(number)) {
        return json_real(number);
    }
    return json_string(isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
}

void json_put(json_t *object, const char *name, json_t *value) {
    failed |= json_object_set_new(object, name, value) != 0;
}

void json_put_bytes(json_t *object, const char *name, size_t length, json_t *value) {
    /* A string value knows whether the name is UTF-8, and holds it in the form to use. */
    json_t *const key = json_bytes(name, length);
    if (!key) {
        json_decref(value);
        failed = true;
        return;
    }
    failed |=
        json_object_setn_new(object, json_string_value(key), json_string_length(key), value) != 0;
    json_decref(key);
}

void json_append(json_t *array, json_t *value) {
    failed |= json_array_append_new(array, value) != 0;
}

/* A json_dump_callback_t. */
static int write_part(const char *part, size_t size, void *user) {
    (void)user;
    output_write(part, size);
    return 0;
}

void json_write(json_t *value, bool indented) {
    const size_t flags = JSON_ENCODE_ANY | JSON_ENSURE_ASCII | (indented ? JSON_INDENT(1) : 0);
    failed |= !value || json_dump_callback(value, write_part, NULL, flags) != 0;
    json_decref(value);
}

int json_finish(void) {
    const int status = output_finish(CLI_DONE);
    if (status == CLI_DONE && failed) {
        message("out of memory: the JSON output is not complete");
        return CLI_FAILED;
    }
    return status;
}
