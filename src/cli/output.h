/* output.h - standard output, with every write checked.
 *
 * Text gathers in a buffer that is written when full and when told. The first failure is kept: all
 * that follows is dropped, and output_finish says what went wrong. Allocates nothing.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "sluice.h"

#include <stdbool.h>
#include <stddef.h>

void output_write(const void *bytes, size_t length);
void output_text(const char *string);

/* At most 1023 bytes; longer ones are an assertion. */
void output_format(const char *format, ...) SL_PRINTF(1, 2);

/* Any bytes, escaped as text_escape_next does. */
void output_escaped(const char *bytes, size_t length, char quote);

/* Writes what is gathered. Returns false if this or an earlier write failed. */
bool output_flush(void);

/* The reader of a pipe has gone. */
bool output_reader_gone(void);

/* On a terminal, ends the last line if it is not ended. */
void output_end_line(void);

/* Flushes; returns `status`, or if any write failed the exit status for that, after a message
 * unless it was only that the reader of a pipe has gone. */
int output_finish(int status);

#endif
