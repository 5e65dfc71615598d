/* error.h - writing the one line that a failure leaves behind.
 *
 * base/ is the room of small tools that know nothing of models: errors, checked sizes, string
 * views, growing arrays with a ceiling, random numbers, ceilings. No system calls.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "sluice.h"

/* Writes status and message to *error, if error is not NULL, and returns status. A message that
 * is too long is cut; control characters become '?', so that names from hostile files cannot upset
 * a terminal. */
sl_status error_set(sl_error *error, sl_status status, const char *format, ...) SL_PRINTF(3, 4);

/* Shorthand for allocation failures: "out of memory: N bytes for WHAT". */
sl_status error_memory(sl_error *error, const char *what, size_t bytes);

#endif
