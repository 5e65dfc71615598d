/* merge_queue.c - merging long words, such as ten million letters without a space, in nearly linear
 * time and without an allocation per pair.
 *
 * A symbol is known by the position where it begins. Its other end is found through `link`, which
 * joins the first and the last position of each symbol:
 *
 *     position     0 1 2 3 4 5          merge the symbols at 2 and 4
 *     symbol       a b-b c-c-c          link  0 1 2 3 4 5  ->  0 1 2 3 4 5
 *     link         0 2 1 5 . 3                0 2 1 5 . 3      0 5 . . . 1   (a bbccc)
 *
 * (dots are not read any more), so next(p) = link[p] + 1 and previous(p) = link[p - 1].
 *
 * Each pair that can merge waits, under the position of its left symbol, in the doubly linked list
 * of its rank. A tree of bits, 64 to a word, finds the lowest rank in use. A list is kept in order
 * of position as long as that is free; one that got out of order is sorted when its turn comes, and
 * from then on in order: what merges at the head of a list can only bring new pairs at the head or
 * before it, so the place for them is found at once.
 */
#include "base/error.h"
#include "base/size.h"
#include "tokenizer/merges.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_SORTED, LIST_UNSORTED, LIST_STARTED };

typedef struct run {
    const merge_table *table;
    merge_queue *queue;
    merge_node *nodes;
    size_t count;
} run;

/* ---- the ranks in use ----------------------------------------------------------------------- */

static void rank_set(merge_queue *queue, size_t rank) {
    for (size_t level = 0; level < 4; level++, rank /= 64) {
        uint64_t *word = &queue->bits[queue->level_at[level] + rank / 64];
        const uint64_t before = *word;
        *word |= (uint64_t)1 << rank % 64;
        if (before) {
            return;
        }
    }
}

static void rank_clear(merge_queue *queue, size_t rank) {
    for (size_t level = 0; level < 4; level++, rank /= 64) {
        uint64_t *word = &queue->bits[queue->level_at[level] + rank / 64];
        *word &= ~((uint64_t)1 << rank % 64);
        if (*word) {
            return;
        }
    }
}

/* The lowest, or MERGE_NONE. */
static uint32_t rank_lowest(const merge_queue *queue) {
    size_t at = 0;
    for (size_t level = 4; level-- > 0;) {
        const uint64_t word = queue->bits[queue->level_at[level] + at];
        if (!word) {
            return MERGE_NONE;
        }
        at = at * 64 + (size_t)__builtin_ctzll(word);
    }
    return (uint32_t)at;
}

/* ---- the lists ------------------------------------------------------------------------------ */

/* first[] and last[] hold positions + 1, so that zeroed memory is empty lists. */

static void list_join(run *r, uint32_t rank, uint32_t before, uint32_t after) {
    if (before == MERGE_NONE) {
        r->queue->first[rank] = after + 1;
    } else {
        r->nodes[before].later = after;
    }
    if (after == MERGE_NONE) {
        r->queue->last[rank] = before + 1;
    } else {
        r->nodes[after].earlier = before;
    }
}

static void list_insert(run *r, uint32_t rank, uint32_t position) {
    merge_queue *queue = r->queue;
    uint32_t before = queue->last[rank] - 1, after = MERGE_NONE;
    if (queue->last[rank] == 0) {
        rank_set(queue, rank);
        queue->states[rank] = LIST_SORTED;
        before = MERGE_NONE;
    } else if (position < queue->first[rank] - 1) {
        before = MERGE_NONE;
        after = queue->first[rank] - 1;
    } else if (position < before && queue->states[rank] == LIST_STARTED) {
        after = queue->first[rank] - 1;
        while (after < position) {
            before = after;
            after = r->nodes[after].later;
        }
    } else if (position < before) {
        queue->states[rank] = LIST_UNSORTED;
    }
    list_join(r, rank, before, position);
    list_join(r, rank, position, after);
}

static void list_remove(run *r, uint32_t position) {
    const uint32_t rank = r->nodes[position].rank;
    const uint32_t before = r->nodes[position].earlier, after = r->nodes[position].later;
    if (before == MERGE_NONE && after == MERGE_NONE) {
        r->queue->first[rank] = r->queue->last[rank] = 0;
        rank_clear(r->queue, rank);
        return;
    }
    list_join(r, rank, before, after);
}

/* Two ascending chains along `later` become one. */
static uint32_t chain_merge(run *r, uint32_t a, uint32_t b) {
    uint32_t head = MERGE_NONE, *tail = &head;
    while (a != MERGE_NONE && b != MERGE_NONE) {
        uint32_t *smaller = a < b ? &a : &b;
        *tail = *smaller;
        tail = &r->nodes[*smaller].later;
        *smaller = *tail;
    }
    *tail = a != MERGE_NONE ? a : b;
    return head;
}

/* Natural merge sort: chains[i] is the merger of 2^i ascending stretches. */
static void list_sort(run *r, uint32_t rank) {
    uint32_t chains[32];
    memset(chains, 0xff, sizeof chains);
    for (uint32_t rest = r->queue->first[rank] - 1; rest != MERGE_NONE;) {
        uint32_t chain = rest, end = rest;
        while (r->nodes[end].later != MERGE_NONE && r->nodes[end].later > end) {
            end = r->nodes[end].later;
        }
        rest = r->nodes[end].later;
        r->nodes[end].later = MERGE_NONE;
        size_t i = 0;
        for (; i < 31 && chains[i] != MERGE_NONE; i++) {
            chain = chain_merge(r, chains[i], chain);
            chains[i] = MERGE_NONE;
        }
        chains[i] = chain_merge(r, chains[i], chain);
    }
    uint32_t sorted = MERGE_NONE;
    for (size_t i = 0; i < 32; i++) {
        sorted = chain_merge(r, sorted, chains[i]);
    }
    uint32_t before = MERGE_NONE;
    for (uint32_t at = sorted; at != MERGE_NONE; before = at, at = r->nodes[at].later) {
        r->nodes[at].earlier = before;
    }
    r->queue->first[rank] = sorted + 1;
    r->queue->last[rank] = before + 1;
}

/* ---- the word ------------------------------------------------------------------------------- */

/* Where each level's words begin in `bits`. Returns the number of all. */
static size_t place_levels(size_t rank_count, size_t level_at[4]) {
    size_t words = 0, bits = rank_count;
    for (size_t level = 0; level < 4; level++) {
        level_at[level] = words;
        bits = bits / 64 + 1;
        words += bits;
    }
    return words;
}

size_t merge_queue_bytes(size_t rank_count) {
    size_t level_at[4];
    const merge_queue *q = NULL;
    return place_levels(rank_count, level_at) * sizeof *q->bits +
           rank_count * (sizeof *q->first + sizeof *q->last + sizeof *q->states);
}

static sl_status queue_make_room(merge_queue *queue, size_t rank_count, size_t count,
                                 sl_error *error) {
    if (!queue->bits) {
        const size_t words = place_levels(rank_count, queue->level_at);
        queue->rank_count = rank_count;
        queue->bits = calloc(words, sizeof *queue->bits);
        queue->first = calloc(rank_count, sizeof *queue->first);
        queue->last = calloc(rank_count, sizeof *queue->last);
        queue->states = calloc(rank_count, 1);
        if (!queue->bits || !queue->first || !queue->last || !queue->states) {
            return error_memory(error, "merging a long word", merge_queue_bytes(rank_count));
        }
    }
    if (count > queue->capacity) {
        const size_t capacity = size_max(count, 2 * queue->capacity);
        free(queue->nodes);
        queue->capacity = 0;
        queue->nodes = malloc(capacity * sizeof *queue->nodes);
        if (!queue->nodes) {
            return error_memory(error, "merging a long word", capacity * sizeof *queue->nodes);
        }
        queue->capacity = capacity;
    }
    return SL_OK;
}

void merge_queue_free(merge_queue *queue) {
    free(queue->nodes);
    free(queue->first);
    free(queue->last);
    free(queue->states);
    free(queue->bits);
    *queue = (merge_queue){0};
}

/* Queues the pair that begins at a position, if it can merge. */
static void pair_enter(run *r, uint32_t position) {
    const size_t next = (size_t)r->nodes[position].link + 1;
    const merge_pair *pair = next < r->count ? merge_table_find(r->table, r->nodes[position].symbol,
                                                                r->nodes[next].symbol)
                                             : NULL;
    r->nodes[position].rank = pair ? pair->rank : MERGE_NONE;
    if (pair) {
        list_insert(r, pair->rank, position);
    }
}

static void pair_leave(run *r, uint32_t position) {
    if (r->nodes[position].rank != MERGE_NONE) {
        list_remove(r, position);
        r->nodes[position].rank = MERGE_NONE;
    }
}

static void pair_merge(run *r, uint32_t left) {
    const uint32_t right = r->nodes[left].link + 1;
    const uint32_t end = r->nodes[right].link;
    const merge_pair *pair =
        merge_table_find(r->table, r->nodes[left].symbol, r->nodes[right].symbol);
    pair_leave(r, left);
    pair_leave(r, right);
    r->nodes[left].symbol = pair->result;
    r->nodes[left].link = end;
    r->nodes[end].link = left;
    if (left > 0) {
        const uint32_t previous = r->nodes[left - 1].link;
        pair_leave(r, previous);
        pair_enter(r, previous);
    }
    pair_enter(r, left);
}

sl_status merge_long(const merge_table *table, merge_queue *queue, uint32_t *symbols, size_t *count,
                     sl_error *error) {
    const sl_status status = queue_make_room(queue, table->rank_count, *count, error);
    if (status != SL_OK) {
        return status;
    }
    run r = {table, queue, queue->nodes, *count};
    for (size_t i = 0; i < r.count; i++) {
        r.nodes[i].symbol = symbols[i];
        r.nodes[i].link = (uint32_t)i;
    }
    for (size_t i = 0; i < r.count; i++) {
        pair_enter(&r, (uint32_t)i);
    }
    for (uint32_t rank; (rank = rank_lowest(queue)) != MERGE_NONE;) {
        if (queue->states[rank] == LIST_UNSORTED) {
            list_sort(&r, rank);
        }
        queue->states[rank] = LIST_STARTED;
        pair_merge(&r, queue->first[rank] - 1);
    }
    size_t kept = 0;
    for (size_t at = 0; at < r.count; at = (size_t)r.nodes[at].link + 1) {
        symbols[kept++] = r.nodes[at].symbol;
    }
    *count = kept;
    return SL_OK;
}
