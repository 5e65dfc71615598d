/* reverse.h - finding reverse prompts in a text that comes piece by piece.
 *
 * What might be the beginning of one is held back until it is clear:
 *
 *     reverse prompt "User:"     pieces "Hello U", "se", "ful\n"
 *     given out                  "Hello ", "", "Useful\n"
 */
#ifndef CLI_REVERSE_H
#define CLI_REVERSE_H

#include "cli/text.h"

#include <stdbool.h>
#include <stddef.h>

/* Private to one thread. */
typedef struct reverse_prompts {
    const text *prompts; /* the caller's; each not empty */
    size_t count;
    size_t longest;
    char *held; /* fewer than `longest` bytes between calls */
    size_t held_length;
    bool found;
} reverse_prompts;

/* Allocates all that it will need. Returns false, after a message, if memory is out. */
bool reverse_init(reverse_prompts *r, const text *prompts, size_t count);
void reverse_free(reverse_prompts *r);

/* Adds a piece and gives what can be shown to standard output. Returns true once a reverse prompt
 * is complete, the first to end; neither it nor anything behind it is given out. */
bool reverse_add(reverse_prompts *r, const char *piece, size_t length);

/* Gives out what is held back. */
void reverse_finish(reverse_prompts *r);

#endif
