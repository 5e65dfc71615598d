/* The merging loop and the search for special tokens, each against its slow definition. */
#include "base/random.h"
#include "base/size.h"
#include "tokenizer/merges.h"
#include "tokenizer/special_tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SYMBOLS 40u

/* The definition: of all pairs that can merge, the one of the lowest rank, the leftmost of
 * those. */
static size_t merge_slowly(const merge_table *table, uint32_t *symbols, size_t count) {
    for (;;) {
        const merge_pair *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const merge_pair *pair = merge_table_find(table, symbols[i], symbols[i + 1]);
            if (pair && (!best || pair->rank < best->rank)) {
                best = pair;
                at = i;
            }
        }
        if (!best) {
            return count;
        }
        symbols[at] = best->result;
        memmove(symbols + at + 1, symbols + at + 2, (count - at - 2) * sizeof *symbols);
        count--;
    }
}

/* Any two symbols may give any greater one, at any rank: unlike in real vocabularies, a merge can
 * bring a pair of a lower rank than its own, and ranks are shared. */
static merge_table random_table(random_state *r, size_t pairs, size_t ranks) {
    merge_table table;
    assert_int_equal(merge_table_init(&table, pairs, ranks, random_u64(r), NULL), SL_OK);
    for (size_t i = 0; i < pairs; i++) {
        const uint32_t left = (uint32_t)(random_u64(r) % SYMBOLS);
        const uint32_t right = (uint32_t)(random_u64(r) % SYMBOLS);
        merge_table_add(&table, (merge_pair){left, right, (uint32_t)(random_u64(r) % ranks),
                                             (uint32_t)(random_u64(r) % SYMBOLS)});
    }
    merge_table_finish(&table);
    return table;
}

static void merging_is_as_defined(void **state) {
    (void)state;
    random_state r;
    random_seed(&r, 3);
    uint32_t symbols[600], expected[600];
    size_t merged = 0;
    for (size_t round = 0; round < 1500; round++) {
        const size_t ranks = 1 + random_u64(&r) % (round % 2 ? 8 : 5000);
        merge_table table = random_table(&r, 1 + random_u64(&r) % 400, ranks);
        const size_t alphabet = 1 + random_u64(&r) % SYMBOLS;
        merge_queue queue = {0};
        for (size_t word = 0; word < 6; word++) { /* the queue serves one after another */
            size_t count = 1 + random_u64(&r) % COUNT_OF(symbols);
            const size_t before = count;
            for (size_t i = 0; i < count; i++) {
                symbols[i] = expected[i] = (uint32_t)(random_u64(&r) % alphabet);
            }
            const size_t wanted = merge_slowly(&table, expected, count);
            const bool directly = word % 2;
            assert_int_equal(directly ? merge_long(&table, &queue, symbols, &count, NULL)
                                      : merge_word(&table, &queue, symbols, &count, NULL),
                             SL_OK);
            assert_int_equal(count, wanted);
            assert_memory_equal(symbols, expected, count * sizeof *symbols);
            merged += before - count;
        }
        merge_queue_free(&queue);
        merge_table_free(&table);
    }
    print_message("%zu merges compared\n", merged);
    assert_true(merged > 100000);
}

/* Every level of the tree over ranks is used. */
static void ranks_may_be_many(void **state) {
    (void)state;
    const uint32_t last = 16777216u - 1;
    merge_table table;
    assert_int_equal(merge_table_init(&table, 3, (size_t)last + 1, 1, NULL), SL_OK);
    merge_table_add(&table, (merge_pair){0, 0, last, 1});
    merge_table_add(&table, (merge_pair){1, 1, 70000, 2});
    merge_table_add(&table, (merge_pair){1, 0, 5, 3});
    merge_table_finish(&table);
    merge_queue queue = {0};
    uint32_t symbols[100] = {0}, expected[100] = {0};
    size_t count = 99;
    const size_t wanted = merge_slowly(&table, expected, count);
    assert_int_equal(merge_word(&table, &queue, symbols, &count, NULL), SL_OK);
    assert_int_equal(count, wanted);
    assert_memory_equal(symbols, expected, count * sizeof *symbols);
    merge_queue_free(&queue);
    merge_table_free(&table);
}

/* ---- special tokens ------------------------------------------------------------------------- */

#define PATTERNS 12u

static size_t longest_at(const special_source *sources, size_t count, const char *text,
                         size_t length, size_t at) {
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        const str pattern = sources[i].text;
        if (pattern.len > best && pattern.len <= length - at &&
            memcmp(pattern.ptr, text + at, pattern.len) == 0) {
            best = pattern.len;
        }
    }
    return best;
}

static void special_tokens_are_found_as_defined(void **state) {
    (void)state;
    random_state r;
    random_seed(&r, 4);
    char patterns[PATTERNS][8], text[101];
    size_t found = 0;
    for (size_t round = 0; round < 5000; round++) {
        special_source sources[PATTERNS];
        const size_t count = 1 + random_u64(&r) % PATTERNS;
        const size_t letters = 1 + random_u64(&r) % 4;
        for (size_t i = 0; i < count; i++) {
            const size_t length = random_u64(&r) % 8;
            for (size_t k = 0; k < length; k++) {
                patterns[i][k] = " <a>"[random_u64(&r) % letters];
            }
            sources[i] = (special_source){{patterns[i], length}, (uint32_t)i, false};
        }
        special_tokens special;
        assert_int_equal(special_tokens_build(&special, sources, count, NULL), SL_OK);
        text[0] = ' ';
        const size_t length = random_u64(&r) % 100;
        for (size_t i = 0; i < length; i++) {
            text[1 + i] = " <a>"[random_u64(&r) % letters];
        }
        const bool space = random_u64(&r) % 2;
        const char *whole = space ? text : text + 1;
        array matches = array_new(sizeof(special_match), 1000);
        assert_int_equal(
            special_tokens_find(&special, (str){text + 1, length}, space, &matches, NULL), SL_OK);
        const special_match *match = matches.items;
        size_t next = matches.count;
        for (size_t at = 0; at < length + space; at++) {
            const size_t wanted = longest_at(sources, count, whole, length + space, at);
            const bool is_next = next > 0 && match[next - 1].start == at;
            assert_int_equal(is_next ? special.patterns[match[next - 1].pattern].length : 0,
                             wanted);
            next -= is_next;
            found += is_next;
        }
        assert_int_equal(next, 0);
        array_free(&matches);
        special_tokens_free(&special);
    }
    print_message("%zu matches compared\n", found);
    assert_true(found > 10000);
}

/* Patterns that share all but their last byte, and a text that nearly matches everywhere. */
static void special_tokens_take_linear_time(void **state) {
    (void)state;
    const size_t longest = 60000, size = 4u << 20;
    char *pattern = malloc(longest), *text = malloc(size);
    memset(pattern, 'a', longest);
    memset(text, 'a', size);
    pattern[longest - 1] = 'b';
    special_source sources[] = {{{pattern, longest}, 7, false}, {{"aa", 2}, 8, false}};
    special_tokens special;
    assert_int_equal(special_tokens_build(&special, sources, 2, NULL), SL_OK);
    array matches = array_new(sizeof(special_match), size);
    assert_int_equal(special_tokens_find(&special, (str){text, size}, false, &matches, NULL),
                     SL_OK);
    assert_int_equal(matches.count, size - 1);
    array_free(&matches);
    special_tokens_free(&special);
    free(pattern);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_is_as_defined),
        cmocka_unit_test(ranks_may_be_many),
        cmocka_unit_test(special_tokens_are_found_as_defined),
        cmocka_unit_test(special_tokens_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
