/* test_safetensors.c - safetensors files, good ones and all that the format forbids. */
#include "formats/safetensors.h"

#include "base/limits.h"
#include "base/size.h"
#include "support/byte_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* `data_size` bytes that count up follow the header. */
static byte_list file_of(const char *header, size_t data_size) {
    byte_list b = {0};
    byte_list_number(&b, strlen(header), 8);
    byte_list_text(&b, header);
    for (size_t i = 0; i < data_size; i++) {
        byte_list_number(&b, i, 1);
    }
    return b;
}

/* A copy whose end is the end of its memory, so that sanitizers see a read past it. */
static sl_status parse_copy(const uint8_t *bytes, size_t size, raw_tensors *list, sl_error *error) {
    uint8_t *copy = malloc(size + !size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    const sl_status status = safetensors_parse(copy, size, list, error);
    free(copy);
    return status;
}

static void refuse(const byte_list *b, const char *part) {
    raw_tensors list = raw_tensors_new();
    sl_error error = {0};
    const sl_status status = parse_copy(b->data, b->count, &list, &error);
    raw_tensors_free(&list);
    if (status == SL_OK || !strstr(error.message, part)) {
        fail_msg("expected \"%s\", found \"%s\"", part, error.message);
    }
}

static const char good_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[24,28]},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"h\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[28,30]},"
    "\"mask\":{\"dtype\":\"BOOL\",\"shape\":[1,1,1,2],\"data_offsets\":[30,32]},"
    "\"none\":{\"dtype\":\"I64\",\"shape\":[3,0],\"data_offsets\":[32,32]}}   ";

static void good_files_are_read(void **state) {
    (void)state;
    byte_list b = file_of(good_header, 32);
    raw_tensors list = raw_tensors_new();
    sl_error error = {0};
    assert_true(safetensors_detect(b.data, b.count));
    assert_int_equal(safetensors_parse(b.data, b.count, &list, &error), SL_OK);
    assert_int_equal(list.items.count, 5);
    const raw_tensor *a = raw_tensor_at(&list, 0), *second = raw_tensor_at(&list, 1);
    assert_string_equal(a->name.ptr, "a");
    assert_int_equal(a->type, RAW_F32);
    assert_int_equal(a->n_dims, 2);
    assert_int_equal(a->dims[0], 2);
    assert_int_equal(a->dims[1], 3);
    assert_ptr_equal(a->data, b.data + b.count - 32);
    assert_int_equal(a->bytes, 24);
    assert_false(a->transposed || a->scattered);
    assert_string_equal(second->name.ptr, "b");
    assert_int_equal(second->type, RAW_BF16);
    assert_int_equal(second->data[0], 24);
    assert_int_equal(raw_tensor_at(&list, 2)->n_dims, 0);
    assert_int_equal(raw_tensor_at(&list, 2)->type, RAW_F16);
    assert_int_equal(raw_tensor_at(&list, 3)->type, RAW_OTHER);
    assert_string_equal(raw_tensor_at(&list, 3)->type_name, "BOOL");
    assert_int_equal(raw_tensor_at(&list, 4)->bytes, 0);
    raw_tensors_free(&list);
    byte_list_free(&b);
}

static void a_file_without_tensors_is_one(void **state) {
    (void)state;
    byte_list b = file_of("{}", 0);
    raw_tensors list = raw_tensors_new();
    assert_int_equal(safetensors_parse(b.data, b.count, &list, NULL), SL_OK);
    assert_int_equal(list.items.count, 0);
    raw_tensors_free(&list);
    byte_list_free(&b);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    byte_list b = file_of(good_header, 32);
    for (size_t size = 0; size < b.count; size++) {
        raw_tensors list = raw_tensors_new();
        sl_error error = {0};
        assert_int_not_equal(parse_copy(b.data, size, &list, &error), SL_OK);
        assert_true(error.message[0]);
        raw_tensors_free(&list);
    }
    byte_list_add(&b, "", 1);
    refuse(&b, "the tensors end at byte 32 of the data, expected its end at 33");
    byte_list_free(&b);
}

static void what_the_format_forbids_is_refused(void **state) {
    (void)state;
#define F16(name, shape, offsets)                                                                  \
    "\"" name "\":{\"dtype\":\"F16\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
    static const struct {
        const char *header;
        size_t data_size;
        const char *part;
    } cases[] = {
        {"[]", 0, "is expected to be a JSON object"},
        {"{", 0, "is no JSON"},
        {"{} {}", 0, "is no JSON"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "\"a\" is no string"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is expected"},
        {"{" F16("x", "[1]", "[0,2]") "," F16("x", "[1]", "[2,4]") "}", 4, "duplicate"},
        {"{" F16("x", "[2]", "[0,4]") "," F16("y", "[2]", "[2,6]") "}", 6, "overlap"},
        {"{" F16("x", "[2]", "[0,4]") "," F16("y", "[2]", "[0,4]") "}", 4, "overlap"},
        {"{" F16("x", "[1]", "[0,2]") "," F16("y", "[1]", "[4,6]") "}", 6, "leave a hole"},
        {"{" F16("x", "[1]", "[2,4]") "}", 4, "leave a hole"},
        {"{" F16("x", "[1]", "[0,2]") "}", 4, "expected its end at 4"},
        {"{" F16("x", "[2]", "[0,4]") "}", 2, "range within the 2 bytes"},
        {"{" F16("x", "[2]", "[4,0]") "}", 4, "range within"},
        {"{" F16("x", "[2]", "[0,-1]") "}", 4, "range within"},
        {"{" F16("x", "[2]", "[0]") "}", 4, "a pair of numbers"},
        {"{" F16("x", "[2]", "[0,4.0]") "}", 4, "range within"},
        {"{" F16("x", "[3]", "[0,4]") "}", 4, "not what its shape and dtype F16 need"},
        {"{" F16("x", "[-2]", "[0,4]") "}", 4, "numbers of 0 and above"},
        {"{" F16("x", "[4294967296,4294967296,2]", "[0,4]") "}", 4, "not what its shape"},
        {"{" F16("x", "[9223372036854775807]", "[0,4]") "}", 4, "not what its shape"},
        {"{" F16("x", "[92233720368547758070]", "[0,4]") "}", 4, "is no JSON"},
        {"{" F16("x", "[1,1,1,1,1,1,1,1,2]", "[0,4]") "}", 4, "at most 8"},
        {"{" F16("x", "2", "[0,4]") "}", 4, "at most 8"},
        {"{" F16("", "[2]", "[0,4]") "}", 4, "a name of 0 bytes"},
        {"{" F16("a\\u0007", "[2]", "[0,4]") "}", 4, "control character"},
        {"{\"x\":{\"dtype\":\"Q4\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
         "\"Q4\" is not known"},
        {"{\"x\":{\"dtype\":1,\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "expected an object"},
        {"{\"x\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4],\"y\":1}}", 4,
         "expected an object"},
        {"{\"x\":3}", 0, "expected an object"},
        {"{\"\xff\":3}", 0, "is no JSON"},
    };
#undef F16
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        byte_list b = file_of(cases[i].header, cases[i].data_size);
        refuse(&b, cases[i].part);
        byte_list_free(&b);
    }
}

static void lengths_and_depths_have_ceilings(void **state) {
    (void)state;
    byte_list b = {0};
    byte_list_number(&b, 100000001, 8);
    byte_list_text(&b, "{}");
    assert_false(safetensors_detect(b.data, b.count));
    refuse(&b, "the header is said to have 100000001 bytes");
    byte_list_free(&b);
    byte_list_number(&b, UINT64_MAX, 8);
    byte_list_text(&b, "{}");
    refuse(&b, "the header is said to have");
    byte_list_free(&b);

    byte_list text = {0};
    byte_list_text(&text, "{\"x\":");
    for (int i = 0; i < 100000; i++) {
        byte_list_text(&text, "[");
    }
    byte_list_add(&text, "", 1);
    b = file_of((const char *)text.data, 0);
    refuse(&b, "more than 32 deep");
    byte_list_free(&b);
    text.count = 0;
    byte_list_text(&text, "{\"x\":[");
    for (size_t i = 0; i <= LIMIT_JSON_VALUES; i++) {
        byte_list_text(&text, "0,");
    }
    byte_list_add(&text, "", 1);
    b = file_of((const char *)text.data, 0);
    refuse(&b, "more than 4194304 values");
    byte_list_free(&b);
    byte_list_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_read),
        cmocka_unit_test(a_file_without_tensors_is_one),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(what_the_format_forbids_is_refused),
        cmocka_unit_test(lengths_and_depths_have_ceilings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
