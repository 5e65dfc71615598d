/* Drafts from earlier in the text: hand-made sequences, the rule against a plain search of the
 * whole text, lengths that follow from what was right before, refusals. */
#include "sluice.h"

#include "base/limits.h"
#include "base/random.h"
#include "base/size.h"
#include "sampling/lookup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 64 };

static sl_lookup *make(size_t n_ctx, size_t n_draft, double row_cost) {
    sl_lookup_options options;
    sl_lookup_options_init(&options);
    options.n_ctx = n_ctx;
    options.n_draft = n_draft;
    options.row_cost = row_cost;
    sl_lookup *l = NULL;
    sl_error error;
    if (sl_lookup_create(&options, &l, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return l;
}

/* Each letter is a token. */
static void accept_text(sl_lookup *l, const char *text) {
    for (; *text; text++) {
        sl_lookup_accept(l, *text);
    }
}

/* What is drafted, as letters. */
static const char *drafted(const sl_lookup *l, size_t room) {
    static char letters[ROOM + 1];
    int32_t draft[ROOM];
    assert_true(room <= ROOM);
    const size_t n = sl_lookup_draft(l, draft, room);
    assert_true(n <= room);
    for (size_t i = 0; i < n; i++) {
        letters[i] = (char)draft[i];
    }
    letters[n] = 0;
    return letters;
}

/* ---- hand-made ------------------------------------------------------------------------------ */

/* Rows that cost nothing: drafts are as long as they can be. */
static void drafts_by_hand(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t room;
        const char *draft;
    } tries[] = {
        {"", 8, ""},
        {"a", 8, ""},
        {"ab", 8, ""},
        {"abcdef", 8, ""},
        {"abcdefa", 3, "bcd"},
        {"abcdefa", 0, ""},
        {"aa", 5, "aaaaa"}, /* goes on with what was drafted */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 8, "aaaaaaaa"},
        {"xabab", 7, "abababa"},               /* the same with a period of two */
        {"abcXabcYab", 4, "cYab"},             /* of equal ones the last */
        {"1abcX2abcY1abc", 4, "X2ab"},         /* the longest, though not the last */
        {"1bX.2bY.3b", 3, "Y.3"},              /* one token alone */
        {"1abX.cbY.ab", 3, "X.c"},             /* two before one */
        {"abcdefghij--abcdefghij", 4, "--ab"}, /* the longest place ends where the text began */
        {"the end.the end", 5, ".the "},
        /* What agrees in sixteen tokens counts as much as what agrees in more: the last. */
        {"p0123456789abcdefX.q0123456789abcdefY.p0123456789abcdef", 3, "Y.p"},
        {"p0123456789abcdeX.q0123456789abcdeY.p0123456789abcde", 3, "X.q"},
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        sl_lookup *l = make(100, 8, 0);
        accept_text(l, tries[i].text);
        const char *found = drafted(l, tries[i].room);
        if (strcmp(found, tries[i].draft) != 0) {
            fail_msg("'%s': drafted '%s', expected '%s'", tries[i].text, found, tries[i].draft);
        }
        assert_string_equal(drafted(l, tries[i].room), tries[i].draft); /* asking changes nothing */
        sl_lookup_free(l);
    }
}

/* A longer place stays while it is right, though a later one agrees in three tokens. */
static void a_place_is_followed(void **state) {
    (void)state;
    sl_lookup *l = make(100, 8, 0);
    accept_text(l, "12345abcX...abcY...12345");
    assert_string_equal(drafted(l, 4), "abcX");
    accept_text(l, "abc");
    assert_string_equal(drafted(l, 4), "X...");
    accept_text(l, "?");
    assert_string_equal(drafted(l, 4), ""); /* never seen before */
    accept_text(l, "Y");
    assert_string_equal(drafted(l, 4), "...1");
    sl_lookup_free(l);
    /* Also where it lies behind more others than are compared. */
    l = make(200, 8, 0);
    accept_text(l, "12345abcX");
    for (size_t i = 0; i < LOOKUP_WALK + 2; i++) {
        accept_text(l, "...abcY");
    }
    accept_text(l, "12345abc");
    assert_string_equal(drafted(l, 2), "X.");
    sl_lookup_free(l);
}

static void nothing_behind_the_context(void **state) {
    (void)state;
    sl_lookup *l = make(6, 8, 0);
    accept_text(l, "abcabc");
    assert_string_equal(drafted(l, 3), "abc");
    accept_text(l, "a");
    assert_string_equal(drafted(l, 3), "");
    accept_text(l, "bcabcabc");
    assert_string_equal(drafted(l, 3), "");
    sl_lookup_free(l);
    l = make(1, 1, 0);
    accept_text(l, "aa");
    assert_string_equal(drafted(l, 3), "");
    sl_lookup_free(l);
}

static void any_token_will_do(void **state) {
    (void)state;
    static const int32_t odd[] = {INT32_MIN, -1, 0, INT32_MAX, INT32_MIN, -1};
    sl_lookup *l = make(100, 8, 0);
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        sl_lookup_accept(l, odd[i]);
    }
    int32_t draft[2];
    assert_int_equal(sl_lookup_draft(l, draft, 2), 2);
    assert_int_equal(draft[0], 0);
    assert_int_equal(draft[1], INT32_MAX);
    sl_lookup_free(l);
}

/* ---- against a plain search ----------------------------------------------------------------- */

static size_t agreement_at(const int32_t *text, size_t count, size_t end) {
    size_t n = 0;
    while (n < LOOKUP_AGREED && n < end && text[end - 1 - n] == text[count - 1 - n]) {
        n++;
    }
    return n;
}

/* The place that the rule names, if it need not choose among more occurrences than are compared:
 * the most tokens, the last such place. Returns 0 if there is none, SIZE_MAX if it may differ. */
static size_t plain_search(const int32_t *text, size_t count) {
    size_t place = 0, most = 0, compared = 0, compared_there = 0;
    for (size_t end = count - 1; count > 0 && end > 0; end--) {
        const size_t n = agreement_at(text, count, end);
        compared += n >= LOOKUP_GRAM;
        if (n > most) {
            most = n;
            place = end;
            compared_there = compared;
        }
    }
    const size_t needed = most == LOOKUP_AGREED ? compared_there : compared;
    return needed > LOOKUP_WALK ? SIZE_MAX : place;
}

static void as_a_plain_search_finds(void **state) {
    (void)state;
    enum { LENGTH = 700 };
    static int32_t text[LENGTH];
    random_state random;
    random_seed(&random, 11);
    size_t checked = 0, found = 0;
    for (size_t round = 0; round < 60; round++) {
        const size_t letters = 2 + round; /* from texts of nothing but repetition to few */
        sl_lookup *l = make(LENGTH, 1, 0);
        for (size_t count = 0; count < LENGTH; count++) {
            int32_t draft;
            const size_t place = plain_search(text, count);
            const size_t n = sl_lookup_draft(l, &draft, 1);
            if (place != SIZE_MAX) {
                checked++;
                found += place > 0;
                if (n != (place > 0) || (n && draft != text[place])) {
                    fail_msg("%zu letters, %zu tokens: place %zu", letters, count, place);
                }
            }
            /* Now and then a piece of the text again. */
            const uint64_t r = random_u64(&random);
            text[count] = count > 20 && r % 3 ? text[count - 1 - (count / 7) % 20]
                                              : (int32_t)((r >> 20) % letters);
            sl_lookup_accept(l, text[count]);
        }
        sl_lookup_free(l);
    }
    assert_true(checked > 20000 && found > 10000);
}

/* Far more sequences than probes: whatever is forgotten, what is drafted stands in the text. */
static void long_texts(void **state) {
    (void)state;
    enum { LENGTH = 200000 };
    int32_t *text = calloc(LENGTH, sizeof *text);
    sl_lookup *l = make(LENGTH, 8, 0);
    random_state random;
    random_seed(&random, 5);
    size_t right = 0;
    for (size_t i = 0; i < LENGTH; i++) {
        text[i] = i < LENGTH / 2 ? (int32_t)(random_u64(&random) % 30000) : text[i - LENGTH / 2];
        int32_t draft;
        if (i > LENGTH / 2 + 3) {
            right += sl_lookup_draft(l, &draft, 1) == 1 && draft == text[i];
        }
        sl_lookup_accept(l, text[i]);
    }
    assert_true(right >= LENGTH / 2 - 10); /* the second half is the first one again */
    sl_lookup_free(l);
    free(text);
}

/* ---- lengths -------------------------------------------------------------------------------- */

static size_t draft_length(const sl_lookup *l) {
    int32_t draft[LIMIT_DRAFT];
    return sl_lookup_draft(l, draft, LIMIT_DRAFT);
}

/* Where drafts are never right, there are soon none; where they are, they grow. */
static void lengths_follow_from_what_was_right(void **state) {
    (void)state;
    sl_lookup *l = make(10000, 16, 0.2);
    random_state random;
    random_seed(&random, 3);
    size_t wasted = 0;
    for (size_t i = 0; i < 3000; i++) { /* single tokens repeat, nothing follows from them */
        sl_lookup_accept(l, (int32_t)(random_u64(&random) % 100));
        wasted += i < 300 ? 0 : draft_length(l);
    }
    assert_true(wasted < 30);
    size_t longest = 0;
    for (size_t i = 0; i < 3000; i++) {
        sl_lookup_accept(l, (int32_t)(1000 + i % 50));
        longest = size_max(longest, draft_length(l));
    }
    assert_int_equal(longest, 16);
    sl_lookup_free(l);
}

static size_t length_at_cost(double cost) {
    sl_lookup *l = make(1000, 200, cost);
    for (int32_t i = 0; i < 140; i++) {
        sl_lookup_accept(l, i % 70);
    }
    const size_t length = draft_length(l);
    sl_lookup_free(l);
    return length;
}

static void cheap_rows_make_long_drafts(void **state) {
    (void)state;
    assert_int_equal(length_at_cost(0), 200);
    const size_t cheap = length_at_cost(0.02), middle = length_at_cost(0.2),
                 dear = length_at_cost(0.7);
    assert_true(cheap > middle && middle > dear && dear >= 1);
    assert_true(length_at_cost(1e6) <= dear);
}

/* The costs that were told take the place of the first guess, in both directions. */
static void costs_are_learned(void **state) {
    (void)state;
    sl_lookup *l = make(1000, 200, 0.2);
    for (int32_t i = 0; i < 140; i++) {
        sl_lookup_accept(l, i % 70);
    }
    const size_t before = draft_length(l);
    sl_lookup_timed(l, 9, 100); /* nothing to compare with */
    assert_int_equal(draft_length(l), before);
    sl_lookup_timed(l, 1, 2.0);
    assert_int_equal(draft_length(l), before);
    for (int i = 0; i < 400; i++) {
        sl_lookup_timed(l, 11, 2.0 * (1 + 10 * 0.02));
    }
    const size_t cheap = draft_length(l);
    assert_in_range(cheap, length_at_cost(0.02) - 2, length_at_cost(0.02) + 2);
    for (int i = 0; i < 400; i++) {
        sl_lookup_timed(l, 3, 2.0 * (1 + 2 * 0.7));
    }
    assert_int_equal(draft_length(l), length_at_cost(0.7));
    sl_lookup_timed(l, 0, 1);
    sl_lookup_timed(l, 2, 0);
    sl_lookup_timed(l, 2, -1);
    sl_lookup_timed(l, 2, (double)NAN);
    sl_lookup_timed(l, 2, (double)INFINITY);
    assert_int_equal(draft_length(l), length_at_cost(0.7));
    for (int i = 0; i < 400; i++) { /* a pass that was held up does not end drafting for good */
        sl_lookup_timed(l, 2, 1e9);
    }
    for (int32_t i = 0; i < 700; i++) {
        sl_lookup_accept(l, i % 70);
    }
    assert_true(draft_length(l) >= 1);
    for (int i = 0; i < 400; i++) {
        sl_lookup_timed(l, 2, 1); /* less than a single row took: free */
    }
    assert_int_equal(draft_length(l), 200);
    sl_lookup_free(l);
}

/* Three rows that cost more than four, as with kernels that take four at once: a draft of two
 * tokens, though the last of three were likelier wrong, is never worth it. */
static void rows_that_cost_more_than_more_rows(void **state) {
    (void)state;
    static const double cost[] = {0, 1, 1.2, 1.9, 1.3, 1.6, 1.9, 2.3, 2.2};
    size_t lengths[2][9] = {{0}};
    for (size_t learns = 0; learns < 2; learns++) {
        sl_lookup *l = make(20000, 7, 0.2);
        random_state random;
        random_seed(&random, 8);
        for (size_t i = 0; i < 12000; i++) { /* now and then another token than the last time */
            const uint64_t r = random_u64(&random);
            sl_lookup_accept(l, r % 5 == 0 ? (int32_t)(100 + r / 8 % 4) : (int32_t)(i % 40));
            const size_t n = draft_length(l);
            if (learns) {
                sl_lookup_timed(l, n + 1, cost[n + 1]);
            }
            lengths[learns][n] += i > 6000;
        }
        sl_lookup_free(l);
    }
    assert_true(lengths[0][2] > 100);
    assert_true(lengths[1][2] * 10 < lengths[0][2]);
    assert_true(lengths[1][3] > lengths[0][3]);
}

static void costs_are_guessed(void **state) {
    (void)state;
    sl_lookup_options options;
    sl_lookup_options_init(&options);
    sl_model_info info = {.bytes_per_token = 1000};
    double before = options.row_cost;
    assert_true(before >= 0.2 && before <= 0.3);
    assert_true(sl_lookup_row_cost(&info) >= before && sl_lookup_row_cost(&info) <= before);
    for (info.streamed_bytes = 100; info.streamed_bytes <= 1000; info.streamed_bytes += 100) {
        const double cost = sl_lookup_row_cost(&info);
        assert_true(cost > 0 && cost < before);
        before = cost;
    }
    assert_true(before < 0.03);
    info = (sl_model_info){.streamed_bytes = 5}; /* no model, but no nonsense either */
    assert_true(isfinite(sl_lookup_row_cost(&info)));
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void refusals(void **state) {
    (void)state;
    static const struct {
        sl_lookup_options options;
        const char *says;
    } tries[] = {
        {{.n_ctx = 0, .n_draft = 1}, "n_ctx: expected 1 to 268435456, found 0"},
        {{.n_ctx = LIMIT_CONTEXT + 1u, .n_draft = 1}, "found 268435457"},
        {{.n_ctx = SIZE_MAX, .n_draft = 1}, "n_ctx"},
        {{.n_ctx = 9, .n_draft = 0}, "n_draft: expected 1 to 256, found 0"},
        {{.n_ctx = 9, .n_draft = LIMIT_DRAFT + 1}, "found 257"},
        {{.n_ctx = 9, .n_draft = 1, .row_cost = -0.1}, "row_cost"},
        {{.n_ctx = 9, .n_draft = 1, .row_cost = (double)NAN}, "row_cost"},
        {{.n_ctx = 9, .n_draft = 1, .row_cost = (double)INFINITY}, "row_cost"},
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        sl_lookup *l = NULL;
        sl_error error = {0};
        if (sl_lookup_create(&tries[i].options, &l, &error) != SL_ERR_ARGUMENT ||
            !strstr(error.message, tries[i].says)) {
            fail_msg("%zu: %s", i, error.message);
        }
        assert_null(l);
    }
    sl_lookup_free(NULL);
}

static void bytes_are_told(void **state) {
    (void)state;
    sl_lookup_options options;
    sl_lookup_options_init(&options);
    options.n_ctx = 1000;
    const uint64_t thousand = sl_lookup_bytes(&options);
    options.n_ctx = 2000;
    assert_in_range(sl_lookup_bytes(&options) - thousand, 20000, 30000);
    options.n_ctx = SIZE_MAX; /* which create refuses */
    assert_true(sl_lookup_bytes(&options) > UINT64_C(26) * LIMIT_CONTEXT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drafts_by_hand),
        cmocka_unit_test(a_place_is_followed),
        cmocka_unit_test(nothing_behind_the_context),
        cmocka_unit_test(any_token_will_do),
        cmocka_unit_test(as_a_plain_search_finds),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(lengths_follow_from_what_was_right),
        cmocka_unit_test(cheap_rows_make_long_drafts),
        cmocka_unit_test(costs_are_learned),
        cmocka_unit_test(rows_that_cost_more_than_more_rows),
        cmocka_unit_test(costs_are_guessed),
        cmocka_unit_test(refusals),
        cmocka_unit_test(bytes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
