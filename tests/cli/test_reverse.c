/* Reverse prompts against a search through the whole text: random texts of two letters, random
 * prompts, random cuts into pieces. */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/reverse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT = 40, PROMPTS = 3, LONGEST = 6, ROUNDS = 20000 };

static char shown[TEXT + 1];
static size_t shown_length;

/* What reverse.c wants from the rest of the command. */
void output_write(const void *bytes, size_t length) {
    assert_true(shown_length + length <= TEXT);
    memcpy(shown + shown_length, bytes, length);
    shown_length += length;
}

void message(const char *format, ...) {
    fail_msg("%s", format);
}

/* Bytes of `s` in front of the prompt that is complete first, the longest if several are; SIZE_MAX
 * if there is none. */
static size_t find_first(const char *s, size_t length, const text *prompts, size_t count) {
    for (size_t end = 1; end <= length; end++) {
        size_t longest = 0;
        for (size_t k = 0; k < count; k++) {
            const size_t n = prompts[k].length;
            if (n <= end && n > longest && memcmp(s + end - n, prompts[k].bytes, n) == 0) {
                longest = n;
            }
        }
        if (longest > 0) {
            return end - longest;
        }
    }
    return SIZE_MAX;
}

static bool begins_a_prompt(const char *s, size_t length, const text *prompts, size_t count) {
    for (size_t k = 0; k < count; k++) {
        if (length < prompts[k].length && memcmp(s, prompts[k].bytes, length) == 0) {
            return true;
        }
    }
    return length == 0;
}

static void fill(char *s, size_t length) {
    for (size_t i = 0; i < length; i++) {
        s[i] = "ab"[rand() >> 8 & 1];
    }
}

static void one_round(void) {
    char s[TEXT];
    char bytes[PROMPTS][LONGEST];
    text prompts[PROMPTS];
    const size_t count = 1 + (size_t)rand() % PROMPTS;
    for (size_t k = 0; k < count; k++) {
        prompts[k] = (text){bytes[k], 1 + (size_t)rand() % LONGEST};
        fill(bytes[k], prompts[k].length);
    }
    fill(s, TEXT);
    const size_t expected = find_first(s, TEXT, prompts, count);
    reverse_prompts r;
    assert_true(reverse_init(&r, prompts, count));
    shown_length = 0;
    bool found = false;
    for (size_t at = 0; at < TEXT && !found;) {
        const size_t left = TEXT - at;
        const size_t size = 1 + (size_t)rand() % (left < 7 ? left : 7);
        found = reverse_add(&r, s + at, size);
        at += size;
        /* Nothing is held back without need. */
        assert_true(found || begins_a_prompt(s + shown_length, at - shown_length, prompts, count));
    }
    reverse_finish(&r);
    reverse_free(&r);
    assert_int_equal(found, expected != SIZE_MAX);
    assert_int_equal(shown_length, found ? expected : TEXT);
    assert_memory_equal(shown, s, shown_length);
}

static void random_texts(void **state) {
    (void)state;
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        one_round();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
