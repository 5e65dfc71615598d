/* Saved log probabilities: what is written is read, and all that is refused. */
#include "formats/logits_file.h"

#include "base/size.h"
#include "support/byte_list.h"
#include "support/temp_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_CTX = 5, N_VOCAB = 3, N_WINDOW = 2, N_SCORED = 2, ROW = 16 };

static void put_float(byte_list *b, float value) {
    byte_list_add(b, &value, sizeof value);
}

/* Two windows of five tokens; the values of row r are r / 100 below -2, -2.5 and -8. */
static byte_list good_file(void) {
    byte_list b = {0};
    byte_list_text(&b, "_logits_");
    byte_list_number(&b, N_CTX, 4);
    byte_list_number(&b, N_VOCAB, 4);
    byte_list_number(&b, N_WINDOW, 4);
    for (uint32_t i = 0; i < N_WINDOW * N_CTX; i++) {
        byte_list_number(&b, i % N_VOCAB, 4);
    }
    for (size_t i = 0; i < N_WINDOW * N_SCORED; i++) {
        put_float(&b, 1e-4F);
        put_float(&b, -8 - (float)i / 100);
        byte_list_number(&b, 60000, 2);
        byte_list_number(&b, 55000, 2);
        byte_list_number(&b, 0, 2);
        byte_list_number(&b, 0xABCD, 2); /* fills up */
    }
    return b;
}

static sl_status parse(const byte_list *b, logits_file *f, sl_error *error) {
    return logits_file_parse(b->data, b->count, f, error);
}

static void files_are_read(void **state) {
    (void)state;
    byte_list b = good_file();
    logits_file f;
    sl_error error = {0};
    assert_int_equal(parse(&b, &f, &error), SL_OK);
    assert_int_equal(f.info.n_ctx, N_CTX);
    assert_int_equal(f.info.n_vocab, N_VOCAB);
    assert_int_equal(f.info.n_window, N_WINDOW);
    assert_int_equal(sl_reference_scored(N_CTX), N_SCORED);
    assert_int_equal(f.row_bytes, ROW);
    int32_t tokens[N_CTX];
    logits_file_tokens(&f, 1, tokens);
    for (size_t i = 0; i < N_CTX; i++) {
        assert_int_equal(tokens[i], (N_CTX + i) % N_VOCAB);
    }
    for (size_t i = 0; i < N_WINDOW * N_SCORED; i++) {
        float row[N_VOCAB];
        assert_int_equal(logits_file_row(&f, i / N_SCORED, i % N_SCORED, row, &error), SL_OK);
        for (size_t k = 0; k < N_VOCAB; k++) {
            static const double tops[N_VOCAB] = {-2, -2.5, -8};
            const double expected = tops[k] - (double)i / 100;
            assert_true(fabs((double)row[k] - expected) < 1e-6);
        }
    }
    byte_list_free(&b);
}

/* ---- what is written ------------------------------------------------------------------------ */

static double log_sum_of(const float *logits, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)logits[i]);
    }
    return log(sum);
}

/* A file of one window of three tokens, which has one row. */
static void read_back(const float *logits, size_t n, float *values, double *step) {
    const sl_reference_info info = {3, n, 1};
    const double log_sum = log_sum_of(logits, n);
    byte_list b = {0};
    uint8_t head[SL_REFERENCE_HEAD_BYTES];
    float row[64];
    assert_true(sl_reference_row_bytes(n) <= sizeof row);
    memset(row, 0xFF, sizeof row);
    sl_reference_make_head(&info, head);
    sl_reference_make_row(logits, n, log_sum, row);
    byte_list_add(&b, head, sizeof head);
    for (size_t i = 0; i < 3; i++) {
        byte_list_number(&b, 0, 4);
    }
    byte_list_add(&b, row, sl_reference_row_bytes(n));
    *step = row[0];
    logits_file f;
    sl_error error = {0};
    assert_int_equal(parse(&b, &f, &error), SL_OK);
    assert_int_equal(logits_file_row(&f, 0, 0, values, &error), SL_OK);
    for (size_t i = 0; i < n; i++) {
        const double truth = (double)logits[i] - log_sum;
        const double least = (double)values[0] - 16.0002; /* the largest stands first */
        const double expected = truth > least ? truth : least;
        if (!(fabs((double)values[i] - expected) <= *step / 2 + 1e-5 + 2e-4 * (truth <= least))) {
            fail_msg("value %zu of %zu: expected %g, found %g, a step is %g", i, n, expected,
                     (double)values[i], *step);
        }
    }
    if (n % 2 == 1) {
        assert_int_equal(b.data[b.count - 1], 0);
        assert_int_equal(b.data[b.count - 2], 0);
    }
    byte_list_free(&b);
}

static void rows_come_back(void **state) {
    (void)state;
    float values[100];
    double step;
    random_state r;
    random_seed(&r, 7);
    for (size_t n = 1; n <= 100; n++) {
        float logits[100];
        for (size_t i = 0; i < n; i++) {
            logits[i] = -30 * (float)random_unit(&r);
        }
        logits[0] = 1;
        read_back(logits, n, values, &step);
    }
    /* The span decides the step; beyond 16 it ends. */
    read_back((float[]){3, 2}, 2, values, &step);
    assert_true(fabs(step - 1 / 65535.0) < 1e-9);
    read_back((float[]){3, -50, -13}, 3, values, &step);
    assert_true(fabs(step - 16 / 65535.0) < 1e-9);
    assert_true(values[1] == values[2]);
    read_back((float[]){3, -INFINITY}, 2, values, &step);
    assert_true(values[1] < -15.9F);
    /* All alike. */
    read_back((float[]){5, 5, 5}, 3, values, &step);
    assert_true(step == 0 && values[2] == values[0]);
    read_back((float[]){5}, 1, values, &step);
    assert_true(fabsf(values[0]) < 1e-6F);
}

/* ---- bad files ------------------------------------------------------------------------------ */

static void refuse_number(size_t at, uint32_t value, const char *part) {
    byte_list b = good_file();
    memcpy(b.data + at, &value, sizeof value);
    logits_file f = {0};
    sl_error error = {0};
    if (parse(&b, &f, &error) != SL_ERR_FORMAT || !strstr(error.message, part) || f.rows) {
        fail_msg("byte %zu: expected \"%s\", found \"%s\"", at, part, error.message);
    }
    byte_list_free(&b);
}

static void lies_are_refused(void **state) {
    (void)state;
    refuse_number(0, 0x47475546, "expected \"_logits_\"");
    const uint32_t lengths[] = {0, 1, 2, (1U << 28) + 1, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        refuse_number(8, lengths[i], "byte 8: expected windows of 3 to 268435456 tokens");
    }
    refuse_number(12, 0, "byte 12: expected a vocabulary");
    refuse_number(12, UINT32_MAX, "byte 12: expected a vocabulary");
    refuse_number(16, 0, "byte 16: expected 1 to");
    refuse_number(16, UINT32_MAX, "byte 16: expected 1 to");
    refuse_number(8, 6, "truncated");
    refuse_number(8, 1U << 28, "truncated");
    refuse_number(12, 5, "are 140 bytes, found 124: truncated");
    refuse_number(12, 1, "are 108 bytes, found 124");
    refuse_number(16, INT32_MAX, "truncated");
    refuse_number(16, 1, "are 72 bytes, found 124");
    refuse_number(20, N_VOCAB, "byte 20: expected a token below 3, found 3");
    refuse_number(56, UINT32_MAX, "byte 56: expected a token below 3, found -1");
    /* Numbers whose product no memory could have. */
    byte_list b = good_file();
    const uint32_t most[3] = {1U << 28, 1U << 22, INT32_MAX};
    memcpy(b.data + 8, most, sizeof most);
    logits_file f;
    sl_error error = {0};
    assert_int_equal(parse(&b, &f, &error), SL_ERR_FORMAT);
    byte_list_free(&b);
}

static void rows_that_cannot_be_are_refused(void **state) {
    (void)state;
    static const struct {
        float scale, least;
    } rows[] = {
        {NAN, -1},         {-1e-6F, -1}, {INFINITY, -1}, {1, -20},           {2.5e-4F, -20},
        {1e-4F, NAN},      {1e-4F, -6},  {1e-4F, 1},     {1e-4F, -INFINITY}, {1e-4F, -65},
        {1e-4F, INFINITY}, {0, 1},       {1e-4F, 1e30F}, {-INFINITY, -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        byte_list b = good_file();
        memcpy(b.data + 60 + 2 * ROW, &rows[i], sizeof rows[i]);
        logits_file f;
        sl_error error = {0};
        float values[N_VOCAB];
        assert_int_equal(parse(&b, &f, &error), SL_OK);
        assert_int_equal(logits_file_row(&f, 0, 1, values, &error), SL_OK);
        if (logits_file_row(&f, 1, 0, values, &error) != SL_ERR_FORMAT) {
            fail_msg("a scale of %g and %g as the least", (double)rows[i].scale,
                     (double)rows[i].least);
        }
        assert_non_null(strstr(error.message, "window 1, row 0"));
        byte_list_free(&b);
    }
}

static void read_all(const logits_file *f) {
    float values[64];
    int32_t tokens[64];
    assert_true(f->info.n_vocab <= 64 && f->info.n_ctx <= 64);
    for (size_t w = 0; w < f->info.n_window; w++) {
        logits_file_tokens(f, w, tokens);
        for (size_t i = 0; i < sl_reference_scored(f->info.n_ctx); i++) {
            if (logits_file_row(f, w, i, values, NULL) == SL_OK) {
                for (size_t k = 0; k < f->info.n_vocab; k++) {
                    assert_true(isfinite(values[k]) && values[k] < 0.02F);
                }
            }
        }
    }
}

/* Every cut and every byte more is refused; a flipped bit does no harm. */
static void damaged_files_do_no_harm(void **state) {
    (void)state;
    byte_list b = good_file();
    byte_list_number(&b, 0, 1);
    for (size_t size = 0; size <= b.count; size++) {
        uint8_t *copy = malloc(size + !size);
        assert_non_null(copy);
        memcpy(copy, b.data, size);
        logits_file f;
        sl_error error = {0};
        const sl_status status = logits_file_parse(copy, size, &f, &error);
        assert_int_equal(status, size == b.count - 1 ? SL_OK : SL_ERR_FORMAT);
        assert_true(status == SL_OK || error.message[0]);
        free(copy);
    }
    b.count--;
    for (size_t bit = 0; bit < 8 * b.count; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        logits_file f;
        if (parse(&b, &f, NULL) == SL_OK) {
            read_all(&f);
        }
        b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    byte_list_free(&b);
}

/* ---- opened --------------------------------------------------------------------------------- */

static void references_are_opened(void **state) {
    (void)state;
    byte_list b = good_file();
    const temp_file file = temp_file_write(b.data, b.count);
    sl_reference *r = NULL;
    sl_error error = {0};
    assert_int_equal(sl_reference_open(file.path, &r, &error), SL_OK);
    sl_reference_info info;
    sl_reference_get_info(r, &info);
    assert_int_equal(info.n_window, N_WINDOW);
    int32_t tokens[N_CTX];
    float values[N_VOCAB];
    sl_reference_tokens(r, 0, tokens);
    assert_int_equal(tokens[4], 1);
    assert_int_equal(sl_reference_read(r, 1, 1, values, &error), SL_OK);
    assert_true(fabsf(values[0] + 2.03F) < 1e-5F);
    sl_reference_close(r);
    sl_reference_close(NULL);
    temp_file_remove(&file);
    r = NULL;
    assert_int_equal(sl_reference_open(file.path, &r, &error), SL_ERR_FILE);
    const temp_file bad = temp_file_write(b.data, b.count - 1);
    assert_int_equal(sl_reference_open(bad.path, &r, &error), SL_ERR_FORMAT);
    assert_null(r);
    assert_non_null(strstr(error.message, bad.path));
    temp_file_remove(&bad);
    byte_list_free(&b);
}

/* A file of 64 MiB, most of it a hole, passes by in a few MiB. */
static void large_references_take_little_memory(void **state) {
    (void)state;
    enum { WORDS = 4096, ROWS = 8192, MOST = 24 << 20 };
    const sl_reference_info info = {2 * ROWS + 1, WORDS, 1};
    assert_int_equal(sl_reference_scored(info.n_ctx), ROWS);
    uint8_t head[SL_REFERENCE_HEAD_BYTES];
    sl_reference_make_head(&info, head);
    const temp_file file = temp_file_write(head, sizeof head);
    const size_t front = sizeof head + info.n_ctx * sizeof(int32_t);
    assert_int_equal(truncate(file.path, (off_t)(front + ROWS * sl_reference_row_bytes(WORDS))), 0);
    sl_reference *r = NULL;
    sl_error error = {0};
    assert_int_equal(sl_reference_open(file.path, &r, &error), SL_OK);
    static float values[WORDS];
    const uint64_t before = sl_peak_memory();
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(sl_reference_read(r, 0, i, values, &error), SL_OK);
        assert_true(values[i % WORDS] == 0);
    }
    assert_true(sl_peak_memory() - before < MOST);
    sl_reference_close(r);
    temp_file_remove(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(rows_that_cannot_be_are_refused),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(references_are_opened),
        cmocka_unit_test(large_references_take_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
