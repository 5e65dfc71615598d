#include "sampling/candidates.h"

#include <math.h>
#include <stdbool.h>

static bool comes_before(candidate a, candidate b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Restores the heap of `count` items below `at`. On top is the first in order, or the last. */
static void sift_down(candidate *items, size_t count, size_t at, bool last_on_top) {
    const candidate moved = items[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && comes_before(items[child + 1], items[child]) != last_on_top) {
            child++;
        }
        if (comes_before(moved, items[child]) != last_on_top) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = moved;
}

static void make_heap(candidate *items, size_t count, bool last_on_top) {
    for (size_t i = count / 2; i-- > 0;) {
        sift_down(items, count, i, last_on_top);
    }
}

/* Keeps the best in a heap whose top is the worst of them: a further logit is looked at twice only
 * if it beats that. Ids ascend, so one that is equal does not. */
static size_t keep_first(candidate *items, const float *logits, size_t n, size_t most) {
    size_t i = 0, count = 0;
    for (; i < n && count < most; i++) {
        if (logits[i] > -INFINITY) {
            items[count++] = (candidate){logits[i], (int32_t)i};
        }
    }
    if (i == n) {
        return count;
    }
    make_heap(items, count, true);
    for (; i < n; i++) {
        if (logits[i] > items[0].logit) {
            items[0] = (candidate){logits[i], (int32_t)i};
            sift_down(items, count, 0, true);
        }
    }
    return count;
}

candidates candidates_select(candidate *items, const float *logits, size_t n, size_t most) {
    const size_t count = keep_first(items, logits, n, most);
    make_heap(items, count, false);
    return (candidates){items, count, count};
}

candidate candidates_next(candidates *c) {
    const candidate first = c->items[0];
    c->items[0] = c->items[--c->left];
    if (c->left > 0) {
        sift_down(c->items, c->left, 0, false);
    }
    c->items[c->left] = first;
    return first;
}
