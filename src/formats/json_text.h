/* json_text.h - JSON from files that are not trusted, by jansson.
 *
 * Before jansson sees the text it is walked once: depth and the number of values have ceilings, so
 * that neither the stack nor the heap grows with what a file claims. Keys that are there twice in
 * an object, text behind the value and invalid UTF-8 are refused.
 */
#ifndef FORMATS_JSON_TEXT_H
#define FORMATS_JSON_TEXT_H

#include "base/str.h"
#include "sluice.h"

#include <jansson.h>

/* The value, of whatever type, in *out, which the caller frees with json_decref; NULL on failure,
 * whose line begins with `what` and has the place. Any thread may call it. */
SL_CHECK sl_status json_text_parse(const uint8_t *bytes, size_t size, const char *what,
                                   json_t **out, sl_error *error);

/* A string value as a view; NULL and 0 bytes where `value` is no string. */
str json_text_string(const json_t *value);

#endif
