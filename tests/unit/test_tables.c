/* The tables of a model_file that no GGUF gave: what goes in comes out, and lies are refused. */
#include "formats/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 64 };
static const uint8_t bytes[SIZE + 8]; /* more than the tables are told of */

static void what_goes_in_comes_out(void **state) {
    (void)state;
    sl_error error = {0};
    model_file file;
    tables t = tables_new("a kind", bytes, SIZE, &error);
    const str words[] = {{"one", 3}, {"", 0}, {"a\0b", 3}};
    tables_string(&t, "general.architecture", str_from("llama"));
    tables_u64(&t, tables_text(&t, "%s.%d", "key", 7), 1234567890123u);
    tables_float(&t, "f", 0.5f);
    tables_bool(&t, "b", true);
    tables_strings(&t, "words", words, 3);
    tables_floats(&t, "floats", (float[]){1, 2}, 2);
    tables_ints(&t, "ints", (int32_t[]){-1, 7}, 2);
    tables_ints(&t, "none", NULL, 0);
    assert_null(tables_find_tensor(&t, "x"));
    assert_non_null(tables_tensor(&t, "x", QUANT_F32, 2, (uint64_t[]){3, 2}, bytes + 1));
    assert_non_null(tables_find_tensor(&t, "x"));
    assert_int_equal(tables_finish(&t, &file), SL_OK);
    assert_string_equal(file.format, "a kind");

    uint64_t number = 0;
    float value = 0;
    bool flag = false;
    str text = {0};
    const meta_entry *list = NULL;
    assert_int_equal(meta_get_u64(&file, "key.7", true, 0, UINT64_MAX, &number, &error), SL_OK);
    assert_int_equal(number, 1234567890123u);
    assert_int_equal(meta_get_float(&file, "f", true, 0, 1, &value, &error), SL_OK);
    assert_true(value == 0.5f);
    assert_int_equal(meta_get_bool(&file, "b", true, &flag, &error), SL_OK);
    assert_true(flag);
    assert_int_equal(meta_get_string(&file, "general.architecture", true, &text, &error), SL_OK);
    assert_true(str_is(text, "llama"));
    assert_int_equal(meta_get_array(&file, "words", true, META_STRING, &list, &error), SL_OK);
    assert_int_equal(list->count, 3);
    size_t cursor = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_true(str_equal(meta_array_string(&file, list, &cursor), words[i]));
    }
    assert_int_equal(meta_get_array(&file, "floats", true, META_F32, &list, &error), SL_OK);
    assert_true(list->count == 2 && meta_array_float(list, 1) == 2);
    assert_int_equal(meta_get_array(&file, "ints", true, META_I32, &list, &error), SL_OK);
    assert_true(list->count == 2 && meta_array_int(list, 0) == -1);
    assert_int_equal(meta_get_array(&file, "none", true, META_I32, &list, &error), SL_OK);
    assert_int_equal(list->count, 0);

    const tensor_entry *x = tensor_find(&file, str_from("x"));
    assert_non_null(x);
    assert_true(x->data == bytes + 1 && x->bytes == 24 && x->offset == 1 && x->dims[2] == 1);
    assert_true(model_file_bytes(&file) > 16384);
    model_file_free(&file);
}

static void expect_refusal(tables *t, sl_error *error, const char *words) {
    model_file file;
    assert_int_equal(tables_finish(t, &file), SL_ERR_FORMAT);
    if (!strstr(error->message, words)) {
        fail_msg("'%s' does not say '%s'", error->message, words);
    }
}

static void tensors_that_cannot_be_are_refused(void **state) {
    (void)state;
    static const struct {
        quant_type type;
        size_t n_dims, at;
        uint64_t dims[4];
        const char *words;
    } cases[] = {
        {QUANT_F32, 1, 1, {16}, "64 bytes at byte 1"},
        {QUANT_F32, 1, 65, {1}, "at byte 65"},
        {QUANT_F32, 2, 0, {4, 0}, "dimension 1 is 0"},
        {QUANT_F32, 0, 0, {4}, "0 dimensions"},
        {QUANT_F32, 5, 0, {1}, "5 dimensions"},
        {QUANT_Q4_0, 1, 0, {33}, "rows of 33 values"},
        {QUANT_F32, 2, 0, {UINT64_MAX, 2}, "dimension 0"},
        {QUANT_F32, 3, 0, {1u << 31, 1u << 31, 1u << 31}, "larger than any memory"},
        {QUANT_F32, 2, 0, {1u << 30, 1u << 30}, "bytes at byte 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sl_error error = {0};
        tables t = tables_new("a kind", bytes, SIZE, &error);
        assert_null(tables_tensor(&t, "x", cases[i].type, cases[i].n_dims, cases[i].dims,
                                  bytes + cases[i].at));
        tables_u64(&t, "later", 1); /* does nothing */
        expect_refusal(&t, &error, cases[i].words);
    }
}

static void what_is_there_twice_is_refused(void **state) {
    (void)state;
    sl_error error = {0};
    tables t = tables_new("a kind", bytes, SIZE, &error);
    tables_u64(&t, "key", 1);
    tables_u64(&t, "key", 1);
    expect_refusal(&t, &error, "\"key\" is there twice");
    t = tables_new("a kind", bytes, SIZE, &error);
    assert_non_null(tables_tensor(&t, "x", QUANT_F32, 1, (uint64_t[]){1}, bytes));
    assert_non_null(tables_tensor(&t, "x", QUANT_F32, 1, (uint64_t[]){1}, bytes));
    expect_refusal(&t, &error, "\"x\" is there twice");
}

static void the_first_failure_stays(void **state) {
    (void)state;
    sl_error error = {0};
    model_file file;
    tables t = tables_new("a kind", bytes, SIZE, &error);
    tables_fail(&t, SL_ERR_UNSUPPORTED, "the first of %d", 2);
    tables_fail(&t, SL_ERR_FORMAT, "the second");
    assert_null(tables_room(&t, 1));
    assert_int_equal(tables_finish(&t, &file), SL_ERR_UNSUPPORTED);
    assert_string_equal(error.message, "the first of 2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(tensors_that_cannot_be_are_refused),
        cmocka_unit_test(what_is_there_twice_is_refused),
        cmocka_unit_test(the_first_failure_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
