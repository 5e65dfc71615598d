/* text.h - texts from the command line and from files, and texts made safe to show. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "cli/options.h"

#include <stdbool.h>
#include <stddef.h>

/* Any bytes; `bytes` is from malloc and NUL-terminated behind `length`. */
typedef struct text {
    char *bytes;
    size_t length;
} text;

/* The bytes of the first character if it is valid UTF-8 that a terminal shows and nothing more:
 * no control character, no line or paragraph separator, nothing that changes the direction of
 * writing. 0 otherwise. length >= 1. */
size_t text_printable(const char *bytes, size_t length);

/* Appends one character of any bytes to `shown` (at least 16 bytes of room): as it is if printable
 * and neither backslash nor `quote`, else escaped (\n \t \r \\ \x1b). Returns the bytes taken from
 * `bytes`, and adds to *shown_length those written. */
size_t text_escape_next(const char *bytes, size_t length, char quote, char *shown,
                        size_t *shown_length);

/* Replaces \n \t \r \\ \" \' \0 and \xHH in place; other backslashes stay. */
void text_unescape(text *t);

/* Copies. Returns false, after a message, if memory is out. */
bool text_copy(text *t, const char *bytes);

/* Reads a whole file, or standard input if `path` is "-". Returns CLI_DONE, or the exit status
 * after a message. */
int text_read(const char *path, text *t);

/* The text that -p, -f or standard input gives. `what` names it in messages ("prompt"). If none of
 * them is there (standard input is a terminal) *t is empty, which is CLI_DONE if `optional`, else
 * an error. Returns as text_read. The caller frees t->bytes. */
int text_from_options(const cli_options *options, const char *what, bool optional, text *t);

#endif
