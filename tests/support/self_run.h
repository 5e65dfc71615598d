/* self_run.h - this test program anew, as a process of its own that begins with little memory: a
 * forked one would begin with its parent's. Failures are asserted: for tests only. */
#ifndef SUPPORT_SELF_RUN_H
#define SUPPORT_SELF_RUN_H

#include <stddef.h>

/* Skips the test under a sanitizer that takes memory itself. */
void self_run_skip_if_sanitized(void);

/* Runs the program with these arguments, of which the first is its name and the last NULL. Its
 * first line of output is put into `line`, of `size` bytes; it must print one and end with 0. */
void self_run(const char *const *arguments, char *line, size_t size);

#endif
