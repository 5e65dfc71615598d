/* test_compare.c - the values of two tensors beside each other: engine/compare.c. */
#include "support/gguf_builder.h"
#include "support/temp_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_IN = 64, ROWS = 50, COUNT = N_IN * ROWS }; /* three times what a thread takes, and two */

static float values[COUNT];

static void fill(void) {
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = (float)((int)(i % 17) - 8) / 4;
    }
}

/* A file with tensors "x" and, of another shape, "y". */
static temp_file write_file(quant_type type, const void *data) {
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_string(&b, "general.architecture", "llama");
    gguf_builder_tensor_add(&b, "x", type, 2, (uint64_t[]){N_IN, ROWS}, data);
    gguf_builder_tensor_add(&b, "y", QUANT_F32, 1, (uint64_t[]){N_IN}, NULL);
    gguf_builder_finish(&b);
    const temp_file file = temp_file_write(b.image, b.image_bytes);
    gguf_builder_free(&b);
    return file;
}

static sl_comparison compare(const temp_file *a, const temp_file *b, size_t threads) {
    sl_file *x = NULL, *y = NULL;
    sl_error error;
    sl_comparison c;
    assert_int_equal(sl_file_open(a->path, &x, &error), SL_OK);
    assert_int_equal(sl_file_open(b->path, &y, &error), SL_OK);
    assert_int_equal(sl_file_compare(x, 0, y, 0, threads, &c, &error), SL_OK);
    assert_int_equal(sl_file_compare(x, 0, y, 1, threads, &c, &error), SL_ERR_ARGUMENT);
    assert_int_equal(sl_file_compare(x, 0, y, 0, threads, &c, &error), SL_OK);
    sl_file_close(x);
    sl_file_close(y);
    assert_int_equal(c.values, COUNT);
    return c;
}

/* A change here, one there; the squares of all values count, also of rows that are alike. */
static void counts_and_measures(void **state) {
    (void)state;
    fill();
    const temp_file a = write_file(QUANT_F32, values);
    double squares = 0;
    for (size_t i = 0; i < COUNT; i++) {
        squares += (double)values[i] * (double)values[i];
    }
    values[3] += 0.5f;
    values[COUNT - 1] -= 0.25f;
    const temp_file b = write_file(QUANT_F32, values);
    for (size_t threads = 1; threads <= 3; threads++) {
        const sl_comparison same = compare(&a, &a, threads);
        assert_int_equal(same.different, 0);
        assert_true(same.largest == 0 && same.relative == 0);
        const sl_comparison c = compare(&a, &b, threads);
        assert_int_equal(c.different, 2);
        assert_true(c.largest == 0.5);
        assert_true(fabs(c.relative - sqrt((0.25 + 0.0625) / squares)) < 1e-12);
    }
    temp_file_remove(&a);
    temp_file_remove(&b);
}

/* F16 holds these quarters exactly, F32 does too. */
static void types_do_not_matter(void **state) {
    (void)state;
    static uint16_t halves[COUNT];
    fill();
    for (size_t i = 0; i < COUNT; i++) {
        halves[i] = quant_f32_to_f16(values[i]);
    }
    const temp_file a = write_file(QUANT_F32, values), b = write_file(QUANT_F16, halves);
    assert_int_equal(compare(&a, &b, 2).different, 0);
    halves[7] = quant_f32_to_f16(values[7] + 1);
    const temp_file c = write_file(QUANT_F16, halves);
    assert_int_equal(compare(&a, &c, 2).different, 1);
    assert_true(compare(&c, &a, 2).largest == 1);
    temp_file_remove(&a);
    temp_file_remove(&b);
    temp_file_remove(&c);
}

static void what_is_not_finite(void **state) {
    (void)state;
    fill();
    values[5] = NAN;
    values[6] = INFINITY;
    const temp_file a = write_file(QUANT_F32, values);
    assert_int_equal(compare(&a, &a, 1).different, 0);
    values[1] += 1;
    const temp_file b = write_file(QUANT_F32, values);
    const sl_comparison c = compare(&a, &b, 1);
    assert_int_equal(c.different, 1);
    assert_true(c.largest == 1 && isfinite(c.relative));
    values[5] = 0;
    const temp_file d = write_file(QUANT_F32, values);
    assert_true(isinf(compare(&b, &d, 1).largest));
    temp_file_remove(&a);
    temp_file_remove(&b);
    temp_file_remove(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_measures),
        cmocka_unit_test(types_do_not_matter),
        cmocka_unit_test(what_is_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
