/* reverse.c - reverse.h. Bytes are looked at one by one; reverse prompts are few and short. */
#include "cli/reverse.h"

#include "cli/cli.h"
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>

bool reverse_init(reverse_prompts *r, const text *prompts, size_t count) {
    *r = (reverse_prompts){.prompts = prompts, .count = count};
    for (size_t i = 0; i < count; i++) {
        r->longest = prompts[i].length > r->longest ? prompts[i].length : r->longest;
    }
    r->held = malloc(r->longest + 1);
    if (!r->held) {
        message("out of memory: %zu bytes for reverse prompts", r->longest + 1);
    }
    return r->held;
}

void reverse_free(reverse_prompts *r) {
    free(r->held);
    *r = (reverse_prompts){0};
}

/* Bytes at the end of what is held that begin reverse prompt `p`: the most there are. */
static size_t overlap(const reverse_prompts *r, const text *p) {
    size_t length = p->length < r->held_length ? p->length : r->held_length;
    while (memcmp(r->held + r->held_length - length, p->bytes, length) != 0) {
        length--;
    }
    return length;
}

/* Gives out all but the last `keep` bytes of what is held. */
static void give_out(reverse_prompts *r, size_t keep) {
    const size_t length = r->held_length - keep;
    output_write(r->held, length);
    memmove(r->held, r->held + length, keep);
    r->held_length = keep;
}

bool reverse_add(reverse_prompts *r, const char *piece, size_t length) {
    if (r->count == 0) {
        output_write(piece, length);
        return false;
    }
    for (size_t i = 0; i < length && !r->found; i++) {
        r->held[r->held_length++] = piece[i];
        size_t keep = 0;
        size_t match = 0;
        for (size_t k = 0; k < r->count; k++) {
            const size_t common = overlap(r, &r->prompts[k]);
            keep = common > keep ? common : keep;
            if (common == r->prompts[k].length && common > match) {
                match = common;
            }
        }
        if (match > 0) {
            give_out(r, match);
            r->found = true;
        } else {
            give_out(r, keep);
        }
    }
    return r->found;
}

void reverse_finish(reverse_prompts *r) {
    if (!r->found) {
        give_out(r, 0);
    }
}
