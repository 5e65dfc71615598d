/* merges.h - the one merging loop behind both kinds of tokenizer.
 *
 * A word is a list of symbols (token ids, or numbers past the vocabulary for characters that are no
 * tokens). A table says which two neighbours may become one, and how soon: the pair of the lowest
 * rank goes first, the leftmost among equals, until none is left.
 */
#ifndef TOKENIZER_MERGES_H
#define TOKENIZER_MERGES_H

#include "sluice.h"

#define MERGE_NONE UINT32_MAX

/* A power of two. */
#define MERGE_WAITING 16u

typedef struct merge_pair {
    uint32_t left, right;
    uint32_t rank;
    uint32_t result;
} merge_pair;

/* Open addressing, at most half full; left is MERGE_NONE in an empty slot. No larger than that, as
 * all of it is touched when a model is opened. */
typedef struct merge_table {
    merge_pair *slots;
    size_t size;
    size_t count;
    uint64_t seed;
    size_t rank_count; /* all ranks are below */
    /* Pairs that wait for their places to come from memory, which are all over the table: the
     * oldest is number waiting_first modulo MERGE_WAITING. */
    merge_pair waiting[MERGE_WAITING];
    size_t waiting_first, waiting_count;
} merge_table;

/* Room for `pairs`, whose ranks will be below rank_count. The seed makes collisions unforeseeable
 * for who writes the pairs. */
SL_CHECK sl_status merge_table_init(merge_table *table, size_t pairs, size_t rank_count,
                                    uint64_t seed, sl_error *error);
void merge_table_free(merge_table *table);
size_t merge_table_bytes(const merge_table *table);

/* Adds one of the pairs that room was made for; one that is there already stays as it is. It need
 * not be found before merge_table_finish, which is called once after the last one. */
void merge_table_add(merge_table *table, merge_pair pair);
void merge_table_finish(merge_table *table);

/* Scrambles 64 bits: the finalizer of MurmurHash3 (public domain, Austin Appleby). */
static inline uint64_t merge_scramble(uint64_t x) {
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

/* Where the search for a pair begins: the hash's high half as a share of the table, whose size is
 * under 2^32. */
static inline size_t merge_slot(const merge_table *table, uint32_t left, uint32_t right) {
    const uint64_t key = (uint64_t)left << 32 | right;
    return (size_t)((merge_scramble(key + table->seed) >> 32) * table->size >> 32);
}

static inline size_t merge_next_slot(const merge_table *table, size_t slot) {
    return slot + 1 < table->size ? slot + 1 : 0;
}

/* NULL if the two do not merge. */
static inline const merge_pair *merge_table_find(const merge_table *table, uint32_t left,
                                                 uint32_t right) {
    size_t slot = merge_slot(table, left, right);
    for (;; slot = merge_next_slot(table, slot)) {
        const merge_pair *pair = &table->slots[slot];
        if (pair->left == MERGE_NONE) {
            return NULL;
        }
        if (pair->left == left && pair->right == right) {
            return pair;
        }
    }
}

/* A position of a long word. What belongs to one lies together: a long word is walked through in
 * the order of ranks, which is all over memory. */
typedef struct merge_node {
    uint32_t symbol;
    uint32_t link;           /* the other end of the symbol that begins or ends here */
    uint32_t rank;           /* of the pair that begins here; MERGE_NONE: it cannot merge */
    uint32_t later, earlier; /* its neighbours in the list of that rank */
} merge_node;

/* What long words need besides their symbols; see merge_queue.c. Zeroed is empty. */
typedef struct merge_queue {
    merge_node *nodes;
    size_t capacity;
    uint32_t *first, *last; /* rank_count each */
    uint8_t *states;
    uint64_t *bits; /* the four levels, one behind the other */
    size_t level_at[4];
    size_t rank_count;
} merge_queue;

void merge_queue_free(merge_queue *queue);

/* What it takes, besides a node for each symbol, with a table of so many ranks. */
size_t merge_queue_bytes(size_t rank_count);

/* Merges symbols[0..*count) in place. Takes time in proportion to the count (times a logarithm
 * where a hostile table makes it so); words over MERGE_SHORT symbols need a node for each. */
SL_CHECK sl_status merge_word(const merge_table *table, merge_queue *queue, uint32_t *symbols,
                              size_t *count, sl_error *error);

/* For merge_word. */
SL_CHECK sl_status merge_long(const merge_table *table, merge_queue *queue, uint32_t *symbols,
                              size_t *count, sl_error *error);

#endif
