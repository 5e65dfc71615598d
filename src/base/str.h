/* str.h - string views: a pointer and a length into memory owned by somebody else. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Not NUL-terminated; any bytes. ptr may be NULL when len is 0. */
typedef struct str {
    const char *ptr;
    size_t len;
} str;

/* For printf: printf("%.*s", STR_ARG(s)). At most 200 bytes are printed. */
#define STR_ARG(s) (int)((s).len < 200 ? (s).len : 200), ((s).len ? (s).ptr : "")

static inline str str_from(const char *text) {
    return (str){text, strlen(text)};
}

static inline bool str_equal(str a, str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_is(str a, const char *b) {
    return str_equal(a, str_from(b));
}

static inline bool str_begins_with(str a, const char *start) {
    const size_t length = strlen(start);
    return a.len >= length && (length == 0 || memcmp(a.ptr, start, length) == 0);
}

static inline bool str_ends_with(str a, const char *end) {
    const size_t length = strlen(end);
    return a.len >= length && (length == 0 || memcmp(a.ptr + (a.len - length), end, length) == 0);
}

/* What is behind the last '/' of a path: all of it where there is none. */
static inline str str_base_name(str path) {
    size_t from = path.len;
    while (from > 0 && path.ptr[from - 1] != '/') {
        from--;
    }
    return from > 0 ? (str){path.ptr + from, path.len - from} : path;
}

#endif
