/* Texts in order: the same as comparing them byte by byte, whatever they have in common. */
#include "tokenizer/text_order.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MOST = 3000, LONGEST = 40 };

/* As the header says it. */
static int compare(str a, str b, bool backwards) {
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        const uint8_t x = (uint8_t)a.ptr[backwards ? a.len - 1 - i : i];
        const uint8_t y = (uint8_t)b.ptr[backwards ? b.len - 1 - i : i];
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static void check(const str *texts, size_t count, bool backwards) {
    uint32_t *order = malloc((count + 1) * sizeof *order);
    bool *seen = calloc(count + 1, sizeof *seen);
    assert_non_null(order);
    assert_non_null(seen);
    assert_int_equal(text_order(texts, count, backwards, order, NULL), SL_OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(order[i] < count && !seen[order[i]]);
        seen[order[i]] = true;
        if (i > 0) {
            const int before = compare(texts[order[i - 1]], texts[order[i]], backwards);
            assert_true(before < 0 || (before == 0 && order[i - 1] < order[i]));
        }
    }
    free(order);
    free(seen);
}

/* Few kinds of bytes and lengths around eight make texts that begin or end alike, some of them
 * equal; NULs are like the zeros behind a short text. */
static void texts_of(random_state *random, size_t kinds, size_t longest, size_t count) {
    static const char bytes[] = {0, 'a', '\xff', 'b', ' ', '\x80', 'z', 'c'};
    char *room = malloc(count * longest + 1);
    str *texts = malloc((count + 1) * sizeof *texts);
    assert_non_null(room);
    assert_non_null(texts);
    for (size_t i = 0; i < count; i++) {
        texts[i] = (str){room + i * longest, random_u64(random) % (longest + 1)};
        for (size_t k = 0; k < texts[i].len; k++) {
            room[i * longest + k] = bytes[random_u64(random) % kinds];
        }
    }
    check(texts, count, false);
    check(texts, count, true);
    free(texts);
    free(room);
}

static void order_is_that_of_the_bytes(void **state) {
    (void)state;
    random_state random;
    random_seed(&random, 5);
    for (size_t kinds = 1; kinds <= 8; kinds++) {
        texts_of(&random, kinds, 9, MOST);
        texts_of(&random, kinds, LONGEST, MOST);
    }
}

static void none_and_one_are_in_order(void **state) {
    (void)state;
    const str one = {"x", 1};
    check(NULL, 0, false);
    check(&one, 1, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_that_of_the_bytes),
        cmocka_unit_test(none_and_one_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
