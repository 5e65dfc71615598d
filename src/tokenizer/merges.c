#include "tokenizer/merges.h"

#include "base/error.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

/* Up to here looking at all ranks for each merge is faster than a queue. */
#define MERGE_SHORT 64u

sl_status merge_table_init(merge_table *table, size_t pairs, size_t rank_count, uint64_t seed,
                           sl_error *error) {
    const size_t slots = 2 * pairs + 16;
    *table = (merge_table){.size = slots, .seed = seed, .rank_count = rank_count};
    table->slots = malloc(slots * sizeof *table->slots);
    if (!table->slots) {
        return error_memory(error, "the tokenizer's merges", slots * sizeof *table->slots);
    }
    memset(table->slots, 0xff, slots * sizeof *table->slots);
    return SL_OK;
}

void merge_table_free(merge_table *table) {
    free(table->slots);
    *table = (merge_table){0};
}

size_t merge_table_bytes(const merge_table *table) {
    return table->slots ? table->size * sizeof *table->slots : 0;
}

static void put(merge_table *table, merge_pair pair) {
    size_t slot = merge_slot(table, pair.left, pair.right);
    for (; table->slots[slot].left != MERGE_NONE; slot = merge_next_slot(table, slot)) {
        if (table->slots[slot].left == pair.left && table->slots[slot].right == pair.right) {
            return;
        }
    }
    table->slots[slot] = pair;
    table->count++;
}

/* Puts the pair that waited longest in its place. */
static void put_oldest(merge_table *table) {
    put(table, table->waiting[table->waiting_first++ % MERGE_WAITING]);
    table->waiting_count--;
}

void merge_table_add(merge_table *table, merge_pair pair) {
    __builtin_prefetch(&table->slots[merge_slot(table, pair.left, pair.right)], 1);
    if (table->waiting_count == MERGE_WAITING) {
        put_oldest(table);
    }
    table->waiting[(table->waiting_first + table->waiting_count++) % MERGE_WAITING] = pair;
}

void merge_table_finish(merge_table *table) {
    while (table->waiting_count > 0) {
        put_oldest(table);
    }
}

/* ranks[i] and results[i] are of the pair (i, i + 1). */
static size_t merge_short(const merge_table *table, uint32_t *symbols, size_t count) {
    uint32_t ranks[MERGE_SHORT], results[MERGE_SHORT];
    for (size_t i = 0; i + 1 < count; i++) {
        const merge_pair *pair = merge_table_find(table, symbols[i], symbols[i + 1]);
        ranks[i] = pair ? pair->rank : MERGE_NONE;
        results[i] = pair ? pair->result : MERGE_NONE;
    }
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++) {
            best = ranks[i] < ranks[best] ? i : best;
        }
        if (ranks[best] == MERGE_NONE) {
            break;
        }
        symbols[best] = results[best];
        const size_t behind = (count - best - 2) * sizeof *symbols;
        memmove(symbols + best + 1, symbols + best + 2, behind);
        memmove(ranks + best, ranks + best + 1, behind);
        memmove(results + best, results + best + 1, behind);
        count--;
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < count; i++) {
            const merge_pair *pair = merge_table_find(table, symbols[i], symbols[i + 1]);
            ranks[i] = pair ? pair->rank : MERGE_NONE;
            results[i] = pair ? pair->result : MERGE_NONE;
        }
    }
    return count;
}

sl_status merge_word(const merge_table *table, merge_queue *queue, uint32_t *symbols, size_t *count,
                     sl_error *error) {
    if (table->count == 0) {
        return SL_OK;
    }
    if (*count > MERGE_SHORT) {
        return merge_long(table, queue, symbols, count, error);
    }
    *count = merge_short(table, symbols, *count);
    return SL_OK;
}
