/* pickle.h - reads Python pickles of protocols 2 to 5 as data. Nothing is executed.
 * Source of the opcodes: CPython's Lib/pickletools.py.
 *
 * What a pickle asks to call or to build becomes a value that says so: a global is a number in the
 * caller's list of known ones (any other is refused by its name), a call is its global and its
 * arguments, a persistent id is whatever stands for it. There is no recursion; values, stack and
 * memo have ceilings; text stays where it is in the bytes, which must outlive the pickle.
 */
#ifndef FORMATS_PICKLE_H
#define FORMATS_PICKLE_H

#include "base/array.h"
#include "base/str.h"

#include <stdint.h>

typedef enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,  /* integer: 0 or 1 */
    PICKLE_INT,   /* integer */
    PICKLE_LONG,  /* text: the little-endian bytes of one of more than 64 bits */
    PICKLE_FLOAT, /* not kept */
    PICKLE_STRING,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,       /* items: key, value, key, value ... */
    PICKLE_GLOBAL,     /* integer: number in the caller's list */
    PICKLE_CALL,       /* head: the global's number, tail: the arguments' tuple. Items as a
                          dictionary's, for objects that are some. What it is given as its state is
                          not kept */
    PICKLE_PERSISTENT, /* head: the value that is the id */
} pickle_kind;

typedef uint32_t pickle_ref; /* number of a value */

typedef struct pickle_value {
    pickle_kind kind;
    uint32_t head, tail;
    uint32_t first, last, count; /* links of items; see pickle_next */
    int64_t integer;
    str text;
} pickle_value;

/* What a pickle may name, such as {"collections", "OrderedDict"}. */
typedef struct pickle_global {
    const char *module, *name;
} pickle_global;

typedef struct pickle {
    array values; /* pickle_value */
    array links;
    pickle_ref root;
} pickle;

/* Reads one pickle; *used becomes the bytes that it takes, up to its STOP. On failure *p is zeroed;
 * otherwise the caller frees it. */
SL_CHECK sl_status pickle_parse(const uint8_t *bytes, size_t size, const pickle_global *known,
                                size_t n_known, pickle *p, size_t *used, sl_error *error);
void pickle_free(pickle *p);

static inline const pickle_value *pickle_at(const pickle *p, pickle_ref ref) {
    return &((const pickle_value *)p->values.items)[ref];
}

/* Walks the items of a tuple, list, dictionary or call: *cursor is 0 at first. False at the end. */
bool pickle_next(const pickle *p, const pickle_value *of, uint32_t *cursor, pickle_ref *item);

/* The first n items of a tuple, or fewer; returns how many it has. */
size_t pickle_items(const pickle *p, const pickle_value *tuple, const pickle_value **items,
                    size_t n);

/* Whether it is a string of these bytes. */
bool pickle_is_text(const pickle_value *value, const char *text);

#endif
