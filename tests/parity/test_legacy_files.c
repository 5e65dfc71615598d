/* Files of the formats before GGUF, written from the formats' descriptions by another program
 * (tests/golden/legacy): logits are those of an independent implementation; files that are too old
 * are refused with the date. */
#include "sluice.h"

#include "support/test_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER TEST_GOLDEN "/legacy/"

enum { MOST_LINES = 64 };

/* Of the range of the logits. Quantized products round activations to 8 bits as well. */
static const double exact_bound = 1e-4, quantized_bound = 2e-2;

typedef struct line {
    char file[80], tokens[80], logits[80], kind[16];
} line;

static size_t read_lines(line lines[MOST_LINES]) {
    FILE *f = fopen(FOLDER "files.txt", "r");
    assert_non_null(f);
    size_t n = 0;
    while (n < MOST_LINES && fscanf(f, "%79s %79s %79s %15s", lines[n].file, lines[n].tokens,
                                    lines[n].logits, lines[n].kind) == 4) {
        n++;
    }
    fclose(f);
    return n;
}

static char *path_of(const char *name) {
    static char path[2][512];
    static int turn;
    turn = 1 - turn;
    snprintf(path[turn], sizeof path[turn], FOLDER "%s", name);
    return path[turn];
}

typedef struct all_logits {
    float *values;
    size_t n_vocab;
} all_logits;

static bool collect(void *user, size_t index, const float *row) {
    const all_logits *all = user;
    memcpy(all->values + index * all->n_vocab, row, all->n_vocab * sizeof *row);
    return true;
}

/* Logits of every position, for the caller to free. */
static all_logits compute(const char *path, const int32_t *tokens, size_t n) {
    const sl_session_options wanted = {
        .n_ctx = n, .n_batch = n, .threads = 1, .type_k = SL_KV_F32, .type_v = SL_KV_F32};
    sl_error error = {0};
    sl_model *model = NULL;
    sl_session *session = NULL;
    sl_model_info info;
    if (sl_model_load(path, NULL, &model, &error) != SL_OK ||
        sl_session_create(model, &wanted, &session, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    sl_model_get_info(model, &info);
    all_logits all = {malloc(n * info.n_vocab * sizeof *all.values), info.n_vocab};
    assert_non_null(all.values);
    if (sl_session_eval_all(session, tokens, n, collect, &all, &error) != SL_OK) {
        fail_msg("%s: %s", path, error.message);
    }
    sl_session_free(session);
    sl_model_free(model);
    return all;
}

/* The largest difference, of the range of what is expected. The expected rows are the last ones. */
static double distance(const line *l) {
    size_t n, count;
    int32_t *tokens = test_read_tokens(path_of(l->tokens), &n);
    float *expected = test_read_npy(path_of(l->logits), &count);
    const all_logits found = compute(path_of(l->file), tokens, n);
    const size_t rows = count / found.n_vocab;
    assert_true(rows > 0 && rows <= n && count % found.n_vocab == 0);
    const float *last = found.values + (n - rows) * found.n_vocab;
    const double d = test_distance(last, expected, count);
    free(tokens);
    free(expected);
    free(found.values);
    return d;
}

static void logits(void **state) {
    (void)state;
    line lines[MOST_LINES];
    const size_t n = read_lines(lines);
    size_t compared = 0, failed = 0;
    for (size_t i = 0; i < n; i++) {
        const bool exact = strcmp(lines[i].kind, "exact") == 0;
        if (!exact && strcmp(lines[i].kind, "quantized") != 0) {
            continue;
        }
        const double d = distance(&lines[i]), bound = exact ? exact_bound : quantized_bound;
        print_message("%-34s %.2e of the range%s\n", lines[i].file, d, d <= bound ? "" : ": FAR");
        failed += !(d <= bound);
        compared++;
    }
    assert_true(compared >= 20);
    assert_int_equal(failed, 0);
}

static void refused(void **state) {
    (void)state;
    line lines[MOST_LINES];
    const size_t n = read_lines(lines);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(lines[i].kind, "refused") != 0) {
            continue;
        }
        sl_error error = {0};
        sl_model *model;
        assert_true(sl_model_load(path_of(lines[i].file), NULL, &model, &error) != SL_OK);
        if (!strstr(error.message, "before 20 May 2023")) {
            fail_msg("no date: %s", error.message);
        }
        count++;
    }
    assert_true(count >= 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
