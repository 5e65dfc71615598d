/* Sums of squared inputs: against transformers and llama-imatrix (tests/golden/importance), the
 * same bits however they are computed, and what is written. */
#include "formats/imatrix.h"
#include "sluice.h"

#include "base/size.h"
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

enum { MOST_COLUMNS = 4096, PATH_BYTES = 512 };

static const char *path_of(const char *family, const char *file) {
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/families/%s/%s", TEST_GOLDEN, family, file);
    return path;
}

typedef struct fixture {
    sl_model *model;
    sl_session *session;
    sl_importance *importance;
    int32_t *tokens;
    size_t n;
} fixture;

static void check(sl_status status, const sl_error *error) {
    if (status != SL_OK) {
        fail_msg("%s", error->message);
    }
}

static fixture open_fixture(const char *family, const char *model, size_t n_batch, size_t threads,
                            bool output) {
    fixture f = {0};
    sl_error error = {0};
    sl_session_options options;
    sl_session_options_init(&options);
    f.tokens = test_read_tokens(path_of(family, "tokens.txt"), &f.n);
    options.n_ctx = size_max(f.n, 64);
    options.n_batch = n_batch;
    options.n_logits = 7;
    options.threads = threads;
    options.type_k = options.type_v = SL_KV_F32;
    check(sl_model_load(path_of(family, model), NULL, &f.model, &error), &error);
    check(sl_session_create(f.model, &options, &f.session, &error), &error);
    check(sl_importance_create(f.session, output, &f.importance, &error), &error);
    return f;
}

static void close_fixture(fixture *f) {
    sl_importance_free(f->importance);
    sl_session_free(f->session);
    sl_model_free(f->model);
    free(f->tokens);
}

static bool pass_over(void *user, size_t index, const float *logits) {
    (void)user;
    (void)index;
    (void)logits;
    return true;
}

static void compute_all(fixture *f) {
    sl_error error = {0};
    check(sl_session_eval_all(f->session, f->tokens, f->n, pass_over, NULL, &error), &error);
}

/* Computes the passage, the last token's logits alone. */
static void compute(fixture *f) {
    sl_error error = {0};
    sl_session_cut(f->session, 0);
    check(sl_session_eval(f->session, f->tokens, f->n, NULL, NULL, &error), &error);
}

/* Whether there is a tensor of that name. */
static bool find(const sl_importance *m, str name, sl_importance_entry *entry) {
    for (size_t i = 0; i < sl_importance_count(m); i++) {
        sl_importance_get(m, i, entry);
        if (str_equal((str){entry->name, entry->name_length}, name)) {
            return true;
        }
    }
    return false;
}

/* ---- against transformers ------------------------------------------------------------------- */

/* A line: a name, and a sum for each column. Returns the worst difference as a share of the
 * tensor's mean. */
static double compare_line(const sl_importance *m, char *line, size_t n_token) {
    char *at = strchr(line, ' ');
    assert_non_null(at);
    const str name = {line, (size_t)(at - line)};
    sl_importance_entry e;
    if (!find(m, name, &e)) {
        fail_msg("no %.*s", STR_ARG(name));
    }
    assert_int_equal(e.count, n_token);
    double worst = 0, total = 0;
    for (size_t i = 0; i < e.n_columns; i++) {
        char *end;
        const double expected = strtod(at, &end);
        assert_ptr_not_equal(at, end);
        const double difference = fabs(e.sums[i] - expected);
        worst = difference > worst ? difference : worst;
        total += expected;
        at = end;
    }
    assert_true(*at == '\n');
    return worst / (total / (double)e.n_columns);
}

static double compare_family(const char *family, const char *model, size_t *n_tensor) {
    fixture f = open_fixture(family, model, 16, 2, true);
    compute_all(&f);
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/importance/%s.txt", TEST_GOLDEN, family);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *line = malloc(16 * MOST_COLUMNS);
    assert_non_null(line);
    double worst = 0;
    *n_tensor = 0;
    while (fgets(line, 16 * MOST_COLUMNS, file)) {
        const double difference = compare_line(f.importance, line, f.n);
        worst = difference > worst ? difference : worst;
        ++*n_tensor;
    }
    fclose(file);
    free(line);
    assert_int_equal(*n_tensor, sl_importance_count(f.importance));
    close_fixture(&f);
    return worst;
}

static void sums_are_those_of_transformers(void **state) {
    (void)state;
    static const struct {
        const char *family, *model;
        size_t n_tensor;
        double bound;
    } cases[] = {
        {"llama", "model.gguf", 15, 1e-5},
        {"gpt2", "model.gguf", 9, 5e-5},
        {"phi3", "model.gguf", 9, 1e-5},
        {"gemma2", "model.gguf", 15, 1e-5},
        {"gptneox-parallel", "model.gguf", 9, 5e-5},
        {"llama", "hf", 15, 1e-5},
        {"gpt2", "hf-bin", 9, 5e-5},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n;
        const double worst = compare_family(cases[i].family, cases[i].model, &n);
        printf("%s/%s: at most %.2g of a tensor's mean\n", cases[i].family, cases[i].model, worst);
        assert_int_equal(n, cases[i].n_tensor);
        assert_true(worst < cases[i].bound);
    }
}

/* ---- the same bits -------------------------------------------------------------------------- */

static void expect_same(const sl_importance *a, const sl_importance *b) {
    assert_int_equal(sl_importance_count(a), sl_importance_count(b));
    for (size_t i = 0; i < sl_importance_count(a); i++) {
        sl_importance_entry x, y;
        sl_importance_get(a, i, &x);
        sl_importance_get(b, i, &y);
        assert_int_equal(x.n_columns, y.n_columns);
        assert_int_equal(x.count, y.count);
        assert_memory_equal(x.sums, y.sums, x.n_columns * sizeof *x.sums);
    }
}

static void bits_depend_on_the_tokens_alone(void **state) {
    (void)state;
    fixture one = open_fixture("llama", "model.gguf", 512, 1, false);
    compute(&one);
    static const size_t batches[] = {1, 5, 16}, threads[] = {1, 2, 3};
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        fixture other = open_fixture("llama", "model.gguf", batches[i], threads[i], false);
        compute(&other);
        expect_same(one.importance, other.importance);
        close_fixture(&other);
    }
    /* Logits of all tokens or of one: nothing of it reaches the layers. */
    fixture all = open_fixture("llama", "model.gguf", 512, 2, false);
    compute_all(&all);
    expect_same(one.importance, all.importance);
    close_fixture(&all);
    close_fixture(&one);
}

/* Sums go on growing; what was computed before, or after the end, is not counted. */
static void only_what_is_asked_for_counts(void **state) {
    (void)state;
    fixture f = open_fixture("llama", "model.gguf", 16, 2, false);
    sl_importance_entry e;
    assert_false(find(f.importance, str_from("output.weight"), &e));
    assert_true(find(f.importance, str_from("blk.1.ffn_down.weight"), &e));
    assert_int_equal(e.count, 0);
    compute(&f);
    assert_true(find(f.importance, str_from("blk.1.ffn_down.weight"), &e));
    assert_int_equal(e.count, f.n);
    const double once = e.sums[3];
    compute(&f);
    assert_true(find(f.importance, str_from("blk.1.ffn_down.weight"), &e));
    assert_int_equal(e.count, 2 * f.n);
    assert_true(fabs(e.sums[3] - 2 * once) < 1e-12 * once);
    sl_importance_free(f.importance);
    compute(&f);
    sl_error error = {0};
    check(sl_importance_create(f.session, true, &f.importance, &error), &error);
    assert_true(find(f.importance, str_from("output.weight"), &e));
    assert_int_equal(e.count, 0);
    compute(&f);
    assert_true(find(f.importance, str_from("output.weight"), &e));
    assert_int_equal(e.count, 1);
    assert_true(sl_importance_bytes(f.model, 0) > sl_importance_bytes(f.model, 16));
    close_fixture(&f);
}

/* ---- files ---------------------------------------------------------------------------------- */

typedef struct sink {
    uint8_t *bytes;
    size_t size, most;
} sink;

static bool take_bytes(void *user, const void *bytes, size_t size) {
    sink *s = user;
    if (s->size + size > s->most) {
        return false;
    }
    memcpy(s->bytes + s->size, bytes, size);
    s->size += size;
    return true;
}

static void files_are_read_back(void **state) {
    (void)state;
    fixture f = open_fixture("llama", "model.gguf", 16, 2, true);
    compute_all(&f);
    for (int dat = 0; dat < 2; dat++) {
        sl_error error = {0};
        sink s = {.most = 1 << 20};
        s.bytes = malloc(s.most);
        assert_non_null(s.bytes);
        /* Chunks shorter than the passage, and longer. */
        const size_t n_ctx = dat ? 2 * f.n : 16;
        const sl_importance_file file = {dat, "a text.txt", n_ctx, (f.n + n_ctx - 1) / n_ctx};
        check(sl_importance_write(f.importance, &file, take_bytes, &s, &error), &error);
        imatrix *m = NULL;
        check(imatrix_parse(s.bytes, s.size, &m, &error), &error);
        imatrix_info info;
        imatrix_get_info(m, &info);
        assert_int_equal(info.n_entry, sl_importance_count(f.importance));
        assert_int_equal(info.chunks, file.chunks);
        assert_int_equal(info.n_ctx, dat ? 0 : 16);
        assert_string_equal(info.texts, "a text.txt");
        for (size_t i = 0; i < info.n_entry; i++) {
            sl_importance_entry e;
            sl_importance_get(f.importance, i, &e);
            const float *means = imatrix_find(m, (str){e.name, e.name_length}, e.n_columns);
            assert_non_null(means);
            for (size_t k = 0; k < e.n_columns; k++) {
                const double mean = e.sums[k] / (double)e.count;
                assert_true(fabs((double)means[k] - mean) <= 2.5e-7 * mean);
            }
        }
        imatrix_close(m);
        /* Wherever writing fails, it is told. */
        for (size_t most = 0; most < s.size; most += 1 + s.size / 50) {
            sink cut = {s.bytes, 0, most};
            assert_int_equal(sl_importance_write(f.importance, &file, take_bytes, &cut, &error),
                             SL_ERR_CANCELLED);
        }
        free(s.bytes);
    }
    close_fixture(&f);
}

static void what_means_nothing_is_not_written(void **state) {
    (void)state;
    fixture f = open_fixture("llama", "model.gguf", 16, 1, false);
    uint8_t byte;
    sink s = {&byte, 0, 0};
    sl_error error = {0};
    const sl_importance_file file = {.n_ctx = 16};
    assert_int_equal(sl_importance_write(f.importance, &file, take_bytes, &s, &error),
                     SL_ERR_ARGUMENT);
    compute(&f);
    sl_importance_entry e;
    assert_true(find(f.importance, str_from("blk.0.attn_q.weight"), &e));
    ((double *)(uintptr_t)e.sums)[5] = 1e39;
    assert_int_equal(sl_importance_write(f.importance, &file, take_bytes, &s, &error),
                     SL_ERR_RUNTIME);
    assert_non_null(strstr(error.message, "\"blk.0.attn_q.weight\": the inputs of column 5"));
    ((double *)(uintptr_t)e.sums)[5] = NAN;
    assert_int_equal(sl_importance_write(f.importance, &file, take_bytes, &s, &error),
                     SL_ERR_RUNTIME);
    close_fixture(&f);
}

/* ---- against llama-imatrix ------------------------------------------------------------------ */

enum { WINDOW = 64, WINDOWS = 19 };

/* The text in windows of 64 tokens, each with BOS in place of its first one. */
static fixture compute_text(void) {
    fixture f = open_fixture("llama", "model.gguf", WINDOW, 1, true);
    sl_error error = {0};
    size_t size, count;
    int32_t *tokens;
    uint8_t *words = test_read_file(TEST_GOLDEN "/importance/llama-imatrix.inp", &size);
    check(sl_tokenize(f.model, (const char *)words, size, SL_TOKENIZE_BOS, &tokens, &count, &error),
          &error);
    assert_int_equal(count / WINDOW, WINDOWS);
    for (size_t i = 0; i < WINDOWS; i++) {
        tokens[i * WINDOW] = sl_token_bos(f.model);
        check(sl_session_eval_all(f.session, tokens + i * WINDOW, WINDOW, pass_over, NULL, &error),
              &error);
    }
    sl_free(tokens);
    free(words);
    return f;
}

static void files_of_llama_imatrix(void **state) {
    (void)state;
    static const char *const files[] = {"llama-imatrix.gguf", "llama-imatrix.dat"};
    fixture f = compute_text();
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/importance/%s", TEST_GOLDEN, files[i]);
        imatrix *m = NULL;
        sl_error error = {0};
        check(imatrix_open(path, &m, &error), &error);
        imatrix_info info;
        imatrix_get_info(m, &info);
        assert_int_equal(info.n_entry, sl_importance_count(f.importance));
        assert_int_equal(info.chunks, WINDOWS);
        assert_string_equal(info.texts, "t.txt");
        for (size_t k = 0; k < info.n_entry; k++) {
            sl_importance_entry e;
            sl_importance_get(f.importance, k, &e);
            assert_int_equal(e.count, WINDOW * WINDOWS);
            const float *means = imatrix_find(m, (str){e.name, e.name_length}, e.n_columns);
            assert_non_null(means);
            for (size_t column = 0; column < e.n_columns; column++) {
                const double mean = e.sums[column] / (double)e.count;
                /* That program rounds what meets F16 weights, and keys and values, to F16. */
                assert_true(fabs((double)means[column] - mean) < 2e-3 * mean);
            }
        }
        imatrix_close(m);
    }
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_transformers),
        cmocka_unit_test(files_of_llama_imatrix),
        cmocka_unit_test(bits_depend_on_the_tokens_alone),
        cmocka_unit_test(only_what_is_asked_for_counts),
        cmocka_unit_test(files_are_read_back),
        cmocka_unit_test(what_means_nothing_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
