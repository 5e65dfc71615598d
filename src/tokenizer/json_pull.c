#include "tokenizer/json_pull.h"

#include "base/error.h"
#include "base/size.h"
#include "tokenizer/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- failures ------------------------------------------------------------------------------- */

void json_fail(json_pull *j, sl_status status, const char *format, ...) {
    if (j->status != SL_OK) {
        return;
    }
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    j->status = error_set(j->error, status, "%s: byte %zu: %s", j->what, j->at, line);
}

/* The byte at hand; 0 at the end. Says nothing else: a NUL in the text is no JSON anyway. */
static char peek_byte(const json_pull *j) {
    return j->at < j->text.len ? j->text.ptr[j->at] : 0;
}

static void expected(json_pull *j, const char *what) {
    if (j->at == j->text.len) {
        json_fail(j, SL_ERR_FORMAT, "expected %s, found the end", what);
    } else {
        json_fail(j, SL_ERR_FORMAT, "expected %s, found '%c'", what, peek_byte(j));
    }
}

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Files are indented: a third of one may be spaces. */
static void skip_space(json_pull *j) {
    const char *const text = j->text.ptr;
    size_t at = j->at;
    while (at < j->text.len && is_space(text[at])) {
        at++;
    }
    j->at = at;
}

static bool take(json_pull *j, char c) {
    skip_space(j);
    if (j->status == SL_OK && j->at < j->text.len && j->text.ptr[j->at] == c) {
        j->at++;
        return true;
    }
    return false;
}

json_pull json_open(str text, const char *what, sl_error *error) {
    json_pull j = {.text = text,
                   .what = what,
                   .keys = array_new(sizeof(str), (size_t)JSON_DEPTH * JSON_KEYS),
                   .error = error};
    const size_t valid = utf8_valid_prefix(text.len ? text.ptr : "", text.len);
    if (valid < text.len) {
        j.at = valid;
        json_fail(&j, SL_ERR_FORMAT, "expected UTF-8, found the byte 0x%02x",
                  (uint8_t)text.ptr[valid]);
    }
    return j;
}

void json_close(json_pull *j) {
    array_free(&j->keys);
    free(j->room);
    j->room = NULL;
}

void json_end(json_pull *j) {
    skip_space(j);
    if (j->at < j->text.len) {
        expected(j, "the end");
    }
}

json_kind json_peek(json_pull *j) {
    skip_space(j);
    if (j->status != SL_OK) {
        return JSON_NOTHING;
    }
    const char c = peek_byte(j);
    return c == '{'                             ? JSON_OBJECT
           : c == '['                           ? JSON_ARRAY
           : c == '"'                           ? JSON_STRING
           : c == 't' || c == 'f'               ? JSON_BOOL
           : c == 'n'                           ? JSON_NULL
           : c == '-' || (c >= '0' && c <= '9') ? JSON_NUMBER
                                                : JSON_NOTHING;
}

/* ---- strings -------------------------------------------------------------------------------- */

static bool read_hex(json_pull *j, uint32_t *code) {
    *code = 0;
    for (size_t i = 0; i < 4; i++, j->at++) {
        const char c = peek_byte(j);
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) {
            expected(j, "four hexadecimal digits");
            return false;
        }
        *code = *code * 16 + (uint32_t)digit;
    }
    return true;
}

/* Behind "\u". The low half of a surrogate pair must follow the high one. */
static size_t read_code(json_pull *j, char out[4]) {
    uint32_t code, low;
    if (!read_hex(j, &code)) {
        return 0;
    }
    if (code >= 0xd800 && code < 0xdc00 && peek_byte(j) == '\\' && j->at + 1 < j->text.len &&
        j->text.ptr[j->at + 1] == 'u') {
        j->at += 2;
        if (!read_hex(j, &low)) {
            return 0;
        }
        if (low >= 0xdc00 && low < 0xe000) {
            return utf8_encode(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00), out);
        }
    }
    if (code >= 0xd800 && code < 0xe000) {
        json_fail(j, SL_ERR_FORMAT, "half of a surrogate pair stands alone");
        return 0;
    }
    return utf8_encode(code, out);
}

/* Behind '\\'. */
static size_t read_escape(json_pull *j, char out[4]) {
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char c = peek_byte(j);
    const char *found = c ? strchr(letters, c) : NULL;
    if (c == 'u') {
        j->at++;
        return read_code(j, out);
    }
    if (!found) {
        expected(j, "an escape");
        return 0;
    }
    j->at++;
    out[0] = values[found - letters];
    return 1;
}

/* Whether a byte of the word is `byte`: the lowest such byte's top bit remains, and perhaps some
 * above it. */
static bool any_byte(uint64_t word, uint8_t byte) {
    const uint64_t ones = 0x0101010101010101u, other = word ^ ones * byte;
    return ((other - ones) & ~other & ones << 7) != 0;
}

/* Whether eight bytes of a string end it or need a closer look: a quote, a backslash, or a control
 * character. */
static bool any_special(const uint8_t *bytes) {
    const uint64_t ones = 0x0101010101010101u;
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return any_byte(word, '"') || any_byte(word, '\\') ||
           ((word - ones * 0x20) & ~word & ones << 7) != 0;
}

/* To the next quote or backslash. */
static void scan_plain(json_pull *j) {
    const uint8_t *const text = (const uint8_t *)j->text.ptr;
    size_t at = j->at;
    while (j->text.len - at >= 8 && !any_special(text + at)) {
        at += 8;
    }
    while (at < j->text.len && text[at] != '"' && text[at] != '\\' && text[at] >= 0x20) {
        at++;
    }
    j->at = at;
    if (at == j->text.len) {
        expected(j, "the string's end");
    } else if (text[at] < 0x20) {
        json_fail(j, SL_ERR_FORMAT, "a control character, 0x%02x, in a string", text[at]);
    }
}

/* A string from its first escape on; what was before begins at `begin`. The text's own length is
 * room enough for all strings together, as none becomes longer. */
static str read_escaped(json_pull *j, size_t begin) {
    if (!j->room) {
        j->room = malloc(j->text.len);
    }
    if (!j->room) {
        j->status = error_memory(j->error, j->what, j->text.len);
        return (str){"", 0};
    }
    const size_t start = j->room_used;
    while (j->status == SL_OK) {
        memcpy(j->room + j->room_used, j->text.ptr + begin, j->at - begin);
        j->room_used += j->at - begin;
        if (peek_byte(j) == '"') {
            j->at++;
            return (str){j->room + start, j->room_used - start};
        }
        char bytes[4];
        j->at++;
        const size_t length = read_escape(j, bytes);
        memcpy(j->room + j->room_used, bytes, length);
        j->room_used += length;
        begin = j->at;
        if (j->status == SL_OK) {
            scan_plain(j);
        }
    }
    return (str){"", 0};
}

str json_take_string(json_pull *j) {
    if (!take(j, '"')) {
        expected(j, "a string");
        return (str){"", 0};
    }
    const size_t begin = j->at;
    scan_plain(j);
    if (j->status != SL_OK) {
        return (str){"", 0};
    }
    if (peek_byte(j) == '\\') {
        return read_escaped(j, begin);
    }
    return (str){j->text.ptr + begin, j->at++ - begin};
}

/* ---- objects and arrays --------------------------------------------------------------------- */

static void enter(json_pull *j, char bracket, bool is_object, bool any_keys) {
    if (!take(j, bracket)) {
        expected(j, is_object ? "an object" : "an array");
        return;
    }
    if (j->depth == JSON_DEPTH) {
        json_fail(j, SL_ERR_FORMAT, "more than %u values inside of each other", JSON_DEPTH);
        return;
    }
    j->levels[j->depth].is_object = is_object;
    j->levels[j->depth].any_keys = any_keys;
    j->levels[j->depth].begun = false;
    j->levels[j->depth].first_key = j->keys.count;
    j->depth++;
}

void json_enter_object(json_pull *j) {
    enter(j, '{', true, false);
}

void json_any_object(json_pull *j) {
    enter(j, '{', true, true);
}

void json_enter_array(json_pull *j) {
    enter(j, '[', false, false);
}

/* Whether there is one more member; otherwise leaves the object or array. */
static bool next_member(json_pull *j, char bracket) {
    if (j->status != SL_OK) {
        return false;
    }
    assert(j->depth > 0);
    const bool begun = j->levels[j->depth - 1].begun;
    if (take(j, bracket)) {
        j->depth--;
        j->keys.count = j->levels[j->depth].first_key;
        return false;
    }
    if (begun && !take(j, ',')) {
        expected(j, bracket == '}' ? "',' or '}'" : "',' or ']'");
        return false;
    }
    j->levels[j->depth - 1].begun = true;
    return true;
}

static void remember_key(json_pull *j, str key) {
    const str *keys = j->keys.items;
    const size_t first = j->levels[j->depth - 1].first_key;
    for (size_t i = first; i < j->keys.count; i++) {
        if (str_equal(keys[i], key)) {
            json_fail(j, SL_ERR_FORMAT, "the key \"%.*s\" is there twice", STR_ARG(key));
        }
    }
    if (j->keys.count - first == JSON_KEYS) {
        json_fail(j, SL_ERR_FORMAT, "an object of more than %u keys", JSON_KEYS);
    }
    if (j->status == SL_OK) {
        j->status = array_push(&j->keys, &key, j->error);
    }
}

bool json_key(json_pull *j, str *key) {
    if (!next_member(j, '}')) {
        return false;
    }
    *key = json_take_string(j);
    if (!j->levels[j->depth - 1].any_keys && j->status == SL_OK) {
        remember_key(j, *key);
    }
    if (!take(j, ':')) {
        expected(j, "':'");
    }
    return j->status == SL_OK;
}

bool json_element(json_pull *j) {
    return next_member(j, ']');
}

/* ---- other values --------------------------------------------------------------------------- */

static bool take_word(json_pull *j, const char *word) {
    const size_t length = strlen(word);
    if (j->text.len - j->at < length || memcmp(j->text.ptr + j->at, word, length) != 0) {
        return false;
    }
    j->at += length;
    return true;
}

bool json_bool(json_pull *j) {
    const bool is = json_peek(j) == JSON_BOOL;
    if (is && take_word(j, "true")) {
        return true;
    }
    if (!is || !take_word(j, "false")) {
        expected(j, "true or false");
    }
    return false;
}

static size_t skip_digits(json_pull *j) {
    const size_t begin = j->at;
    while (peek_byte(j) >= '0' && peek_byte(j) <= '9') {
        j->at++;
    }
    return j->at - begin;
}

/* Reads past a number; whether it is written as an integer. */
static bool skip_number(json_pull *j) {
    bool integer = true;
    j->at += peek_byte(j) == '-';
    const bool zero = peek_byte(j) == '0';
    const size_t digits = skip_digits(j);
    bool good = digits > 0 && (!zero || digits == 1);
    if (good && peek_byte(j) == '.') {
        j->at++;
        integer = false;
        good = skip_digits(j) > 0;
    }
    if (good && (peek_byte(j) == 'e' || peek_byte(j) == 'E')) {
        j->at++;
        integer = false;
        j->at += peek_byte(j) == '+' || peek_byte(j) == '-';
        good = skip_digits(j) > 0;
    }
    if (!good) {
        expected(j, "a number");
    }
    return integer;
}

int64_t json_take_integer(json_pull *j, int64_t low, int64_t high) {
    if (json_peek(j) != JSON_NUMBER) {
        expected(j, "an integer");
        return 0;
    }
    const size_t begin = j->at;
    bool good = skip_number(j) && j->at - begin < 19;
    int64_t value = 0;
    for (size_t i = begin; good && i < j->at; i++) {
        value = j->text.ptr[i] == '-' ? 0 : value * 10 + (j->text.ptr[i] - '0');
    }
    value = j->text.ptr[begin] == '-' ? -value : value;
    if (j->status == SL_OK && (!good || value < low || value > high)) {
        json_fail(j, SL_ERR_FORMAT,
                  "expected an integer from %" PRId64 " to %" PRId64 ", found %.*s", low, high,
                  (int)size_min(j->at - begin, 40), j->text.ptr + begin);
    }
    return j->status == SL_OK ? value : 0;
}

/* One level of recursion for each of JSON_DEPTH. */
void json_skip(json_pull *j) {
    str key;
    switch (json_peek(j)) {
    case JSON_OBJECT:
        for (json_any_object(j); json_key(j, &key);) {
            json_skip(j);
        }
        break;
    case JSON_ARRAY:
        for (json_enter_array(j); json_element(j);) {
            json_skip(j);
        }
        break;
    case JSON_STRING:
        (void)json_take_string(j);
        break;
    case JSON_BOOL:
        (void)json_bool(j);
        break;
    case JSON_NUMBER:
        (void)skip_number(j);
        break;
    case JSON_NULL:
        if (!take_word(j, "null")) {
            expected(j, "null");
        }
        break;
    default:
        expected(j, "a value");
    }
}
