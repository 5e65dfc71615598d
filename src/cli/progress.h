/* progress.h - how far a long piece of work is, on standard error.
 *
 * Nothing is shown in the first second. Then: on a terminal, one line that is kept up to date and
 * wiped at the end; elsewhere, a line every few seconds. There is one piece of work at a time.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum progress_unit {
    PROGRESS_BYTES,
    PROGRESS_TOKENS,
    PROGRESS_REQUESTS,
    PROGRESS_STEPS,
} progress_unit;

/* Shows none from now on. */
void progress_silence(void);

void progress_begin(progress_unit unit);

/* An sl_progress_fn: returns false if a signal asks to stop. `user` is not looked at. */
bool progress_update(void *user, const char *what, uint64_t done, uint64_t total);

/* A remark to stand behind the numbers ("perplexity 5.12"); copied, cut to 63 bytes. */
void progress_remark(const char *remark);

/* Wipes the line, if one is shown, so that other text can take its place. */
void progress_clear(void);

void progress_end(void);

#endif
