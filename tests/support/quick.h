/* quick.h - whether tests are to shorten themselves, as they are under an emulator and with the
 * sanitizers, where everything takes many times as long: TEST_QUICK is set. What is left out then
 * is repetition; each type, level and kind of check runs at least once. */
#ifndef SUPPORT_QUICK_H
#define SUPPORT_QUICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static inline bool quick_run(void) {
    return getenv("TEST_QUICK") != NULL;
}

/* A number of rounds, tokens and so on: `few` in a quick run, `all` otherwise. */
static inline size_t quick_or(size_t few, size_t all) {
    return quick_run() ? few : all;
}

#endif
