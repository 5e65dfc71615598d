/* candidates.h - tokens that may still be picked, given out from the likeliest down.
 *
 * The order of candidates is total: larger logits first, lower ids first among equal ones. A heap
 * gives them one by one, so that what is not asked for is never sorted:
 *
 *   items:  [ heap, `left` of them | given out, the likeliest at the very end ]
 */
#ifndef SAMPLING_CANDIDATES_H
#define SAMPLING_CANDIDATES_H

#include <stddef.h>
#include <stdint.h>

typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

typedef struct candidates {
    candidate *items;
    size_t count;
    size_t left; /* in the heap */
} candidates;

/* Fills `items` (room for n) with the `most` first of those of n logits that are over -infinity.
 * None may be NaN. O(n log most), mostly O(n). */
candidates candidates_select(candidate *items, const float *logits, size_t n, size_t most);

/* The next one in order; left > 0. O(log left). */
candidate candidates_next(candidates *c);

/* Number i of those given out. */
static inline candidate candidates_given(const candidates *c, size_t i) {
    return c->items[c->count - 1 - i];
}

#endif
