/* json.h - jansson values of things that need care, and printing them.
 *
 * jansson answers NULL when memory is out. What goes through json_put, json_append and json_write
 * is checked: a NULL anywhere is remembered, and json_finish tells of it.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Any bytes: as they are if they are UTF-8; else each byte becomes the character of its number, so
 * that 0xff is \u00ff. */
json_t *json_bytes(const char *bytes, size_t length);

/* Numbers that JSON or jansson cannot hold become strings: their digits, "NaN", "Infinity" or
 * "-Infinity". */
json_t *json_unsigned(uint64_t number);
json_t *json_number(double number);

/* Both take `value` over. A name is any bytes, as json_bytes has it. */
void json_put(json_t *object, const char *name, json_t *value);
void json_put_bytes(json_t *object, const char *name, size_t length, json_t *value);
void json_append(json_t *array, json_t *value);

/* Prints `value` on standard output, in ASCII, so that no string upsets a terminal, and frees it.
 * On one line if not `indented`; no newline at the end. */
void json_write(json_t *value, bool indented);

/* Flushes; as output_finish(CLI_DONE), and CLI_FAILED after a message if memory was out. */
int json_finish(void);

#endif
