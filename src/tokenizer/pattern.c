#include "tokenizer/pattern.h"

#include "base/error.h"
#include "base/size.h"

/* Oniguruma's \s is Unicode's White_Space; PCRE2's own is not quite. Its \w is letters, marks,
 * decimal digits and connectors. */
#define SPACES                                                                                     \
    "\\x{09}-\\x{0d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"                             \
    "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define WORDS "\\p{L}\\p{M}\\p{Nd}\\p{Pc}"

/* Escapes that stand for a set, outside and inside of brackets; NULL: cannot be said. */
static const struct {
    char letter;
    const char *outside, *inside;
} sets[] = {
    {'s', "[" SPACES "]", SPACES}, {'S', "[^" SPACES "]", NULL}, {'d', "\\p{Nd}", "\\p{Nd}"},
    {'D', "\\P{Nd}", "\\P{Nd}"},   {'w', "[" WORDS "]", WORDS},  {'W', "[^" WORDS "]", NULL},
    {'v', "\\x{0b}", "\\x{0b}"},
};

typedef struct reader {
    str pattern;
    size_t at;
    size_t depth; /* of brackets */
    array *out;
    sl_error *error;
} reader;

static sl_status refuse(const reader *r, const char *what) {
    return error_set(r->error, SL_ERR_UNSUPPORTED, "pattern \"%.*s\": at byte %zu: %s",
                     STR_ARG(r->pattern), r->at, what);
}

static sl_status put(reader *r, const char *text, size_t length) {
    const sl_status status = array_reserve(r->out, length, r->error);
    if (status == SL_OK) {
        memcpy((char *)r->out->items + r->out->count, text, length);
        r->out->count += length;
    }
    return status;
}

/* Copies the next bytes as they are. */
static sl_status copy(reader *r, size_t length) {
    const sl_status status = put(r, r->pattern.ptr + r->at, length);
    r->at += length;
    return status;
}

/* The byte so far ahead; 0 past the end. A NUL byte in a pattern is refused before. */
static char peek(const reader *r, size_t ahead) {
    return r->at + ahead < r->pattern.len ? r->pattern.ptr[r->at + ahead] : 0;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* \p{Name}, \P{Name}, \p{^Name} */
static sl_status read_property(reader *r) {
    size_t length = 3;
    length += peek(r, length) == '^';
    while (is_letter(peek(r, length)) || peek(r, length) == '_') {
        length++;
    }
    return peek(r, 2) == '{' && peek(r, length) == '}' ? copy(r, length + 1)
                                                       : refuse(r, "a property of this form");
}

/* \uHHHH is \x{HHHH} */
static sl_status read_code(reader *r) {
    for (size_t i = 2; i < 6; i++) {
        if (!is_hex(peek(r, i))) {
            return refuse(r, "expected four hexadecimal digits");
        }
    }
    sl_status status = put(r, "\\x{", 3);
    r->at += 2;
    status = status == SL_OK ? copy(r, 4) : status;
    return status == SL_OK ? put(r, "}", 1) : status;
}

/* Between brackets: whether what has been written last is a '-', so that a range may be open. */
static bool after_dash(const reader *r) {
    return r->depth > 0 && r->out->count > 0 &&
           ((const char *)r->out->items)[r->out->count - 1] == '-';
}

static sl_status read_set(reader *r, const char *text) {
    if (!text || after_dash(r) || (r->depth > 0 && peek(r, 2) == '-')) {
        return refuse(r, "this set between brackets");
    }
    r->at += 2;
    return put(r, text, strlen(text));
}

static sl_status read_escape(reader *r) {
    const char c = peek(r, 1);
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        if (c == sets[i].letter) {
            return read_set(r, r->depth ? sets[i].inside : sets[i].outside);
        }
    }
    if (c == 'p' || c == 'P') {
        return read_property(r);
    }
    if (c == 'u') {
        return read_code(r);
    }
    const bool same = strchr("rntfaex", c) || (r->depth == 0 && strchr("Az", c));
    if (c == 0 || ((is_letter(c) || is_digit(c)) && !same)) {
        return refuse(r, "an escape that PCRE2 would read differently");
    }
    return copy(r, 2);
}

/* At '[': brackets between brackets add their characters, as long as no '-' beside them could make
 * a range of it. */
static sl_status open_bracket(reader *r) {
    const bool inner = r->depth > 0;
    const char next = peek(r, 1);
    if (next == ':' || (inner && (next == '^' || next == '-' || after_dash(r)))) {
        return refuse(r, "a set between brackets");
    }
    if (next == ']' || (next == '^' && peek(r, 2) == ']')) {
        return refuse(r, "brackets with nothing between them");
    }
    if (r->depth++ > 0) {
        r->at++;
        return SL_OK;
    }
    return copy(r, peek(r, 1) == '^' ? 2 : 1);
}

static sl_status read_inside(reader *r) {
    const char c = peek(r, 0);
    if (c == '[') {
        return open_bracket(r);
    }
    if (c == '&' && peek(r, 1) == '&') {
        return refuse(r, "an intersection of sets");
    }
    if (c == ']') {
        if (r->depth > 1 && (after_dash(r) || peek(r, 1) == '-')) {
            return refuse(r, "a set between brackets");
        }
        if (--r->depth > 0) {
            r->at++;
            return SL_OK;
        }
    }
    return copy(r, 1);
}

static sl_status read_group(reader *r) {
    static const char *const kinds[] = {
        "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
    if (peek(r, 1) == '*') {
        return refuse(r, "a group of this kind");
    }
    if (peek(r, 1) != '?') {
        return copy(r, 1);
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const size_t length = strlen(kinds[i]);
        if (length <= r->pattern.len - r->at &&
            memcmp(r->pattern.ptr + r->at, kinds[i], length) == 0) {
            return copy(r, length);
        }
    }
    return refuse(r, "a group of this kind");
}

/* {n}, {n,}, {n,m}; Oniguruma's {,m} is {0,m}; what is of no such form stands for itself to both.
 * With a '+' or '?' behind them the two differ. */
static sl_status read_count(reader *r) {
    size_t length = 1;
    while (is_digit(peek(r, length))) {
        length++;
    }
    const bool has_low = length > 1;
    size_t high = 0;
    if (peek(r, length) == ',') {
        for (length++; is_digit(peek(r, length)); length++) {
            high++;
        }
    }
    if (peek(r, length) != '}' || (!has_low && high == 0)) {
        return copy(r, 1);
    }
    const char behind = peek(r, length + 1);
    if (behind == '+' || behind == '?') {
        return refuse(r, "a count with '+' or '?' behind it");
    }
    if (has_low) {
        return copy(r, length + 1);
    }
    const sl_status status = put(r, "{0", 2);
    r->at++;
    return status == SL_OK ? copy(r, length) : status;
}

static sl_status read_outside(reader *r) {
    switch (peek(r, 0)) {
    case '[':
        return open_bracket(r);
    case '(':
        return read_group(r);
    case '{':
        return read_count(r);
    default:
        return copy(r, 1);
    }
}

sl_status pattern_translate(str pattern, array *out, sl_error *error) {
    reader r = {.pattern = pattern, .out = out, .error = error};
    if (pattern.len > PATTERN_BYTES) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "a pattern of %zu bytes: at most %u are expected", pattern.len,
                         PATTERN_BYTES);
    }
    if (pattern.len == 0 || memchr(pattern.ptr, 0, pattern.len)) {
        return refuse(&r, "a pattern that is empty or holds a NUL");
    }
    sl_status status = SL_OK;
    while (status == SL_OK && r.at < pattern.len) {
        status = peek(&r, 0) == '\\' ? read_escape(&r)
                 : r.depth > 0       ? read_inside(&r)
                                     : read_outside(&r);
    }
    return status;
}
