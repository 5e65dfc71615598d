/* json_pull.h - reads JSON (RFC 8259) from memory, value after value, without building a tree: a
 * tokenizer.json has a million strings in it, most of which are used where they lie.
 *
 *   json_enter_object(&j);
 *   for (str key; json_key(&j, &key);) {
 *       if (str_is(key, "id")) {
 *           id = json_take_integer(&j, 0, 100);
 *       } else {
 *           json_skip(&j);
 *       }
 *   }
 *
 * Each value must be read or skipped before the next key or element is asked for. After the first
 * failure `status` is that failure, with a line in *error that begins with `what` and has the byte;
 * from then on objects and arrays have no more members and values are empty.
 *
 * Refused: bytes that are no UTF-8, control characters in strings, lone surrogates, depth over
 * JSON_DEPTH, an object that has a key twice or over JSON_KEYS keys, text behind the value. */
#ifndef TOKENIZER_JSON_PULL_H
#define TOKENIZER_JSON_PULL_H

#include "base/array.h"
#include "base/str.h"

#define JSON_DEPTH 64u
#define JSON_KEYS 1024u

typedef enum json_kind {
    JSON_NOTHING, /* a failure, or what begins no value */
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_kind;

typedef struct json_pull {
    str text;
    size_t at;
    const char *what; /* the file, for messages */
    size_t depth;
    struct {
        bool is_object, any_keys, begun;
        size_t first_key; /* in `keys` */
    } levels[JSON_DEPTH];
    array keys; /* of str: of the objects that are open */
    char *room; /* as large as the text: strings that had escapes */
    size_t room_used;
    sl_status status;
    sl_error *error;
} json_pull;

/* Begins to read. The text outlives the reader; strings that were read live as long as both. */
json_pull json_open(str text, const char *what, sl_error *error);
void json_close(json_pull *j);

/* Fails unless there is nothing but white space behind the value. */
void json_end(json_pull *j);

/* Sets the failure, at the place reached, if there is none yet. */
void json_fail(json_pull *j, sl_status status, const char *format, ...) SL_PRINTF(3, 4);

/* What the next value is. */
json_kind json_peek(json_pull *j);

/* Enters an object; then json_key gives each key, and false at its end, which leaves it. */
void json_enter_object(json_pull *j);
bool json_key(json_pull *j, str *key);

/* The same for objects of any number of keys, of which two may be alike: the caller sees to it. */
void json_any_object(json_pull *j);

/* Enters an array; then json_element says whether there is one more, and at the end leaves it. */
void json_enter_array(json_pull *j);
bool json_element(json_pull *j);

/* The next value, which must be of that kind; "", 0 or false after a failure. Texts may hold
 * NULs. */
str json_take_string(json_pull *j);
bool json_bool(json_pull *j);
int64_t json_take_integer(json_pull *j, int64_t low, int64_t high);

/* Reads past a value of any kind. */
void json_skip(json_pull *j);

#endif
