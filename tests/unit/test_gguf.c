/* GGUF files that are good: what the parser and the typed getters give back. */
#include "formats/gguf.h"

#include "base/size.h"
#include "support/gguf_builder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static model_file parse_good(const uint8_t *bytes, size_t size) {
    model_file file;
    sl_error error = {0};
    if (gguf_parse(bytes, size, &file, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return file;
}

/* The whole file in memory, or NULL, saying so. */
static uint8_t *read_file(const char *path, size_t *size) {
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        print_message("not there: %s\n", path);
        return NULL;
    }
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    *size = (size_t)ftell(stream);
    rewind(stream);
    uint8_t *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, stream), *size);
    fclose(stream);
    return bytes;
}

static void assert_str(str found, const char *expected) {
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.ptr, expected, found.len);
}

static void expect_error(sl_status status, sl_status expected, const sl_error *error,
                         const char *part) {
    assert_int_equal(status, expected);
    if (!strstr(error->message, part)) {
        fail_msg("expected \"%s\" in \"%s\"", part, error->message);
    }
}

/* ---- whole files ---------------------------------------------------------------------------- */

static void add_specimen(gguf_builder *b) {
    gguf_builder_string(b, "general.architecture", "llama");
    gguf_builder_strings(b, "names", (const char *const[]){"a", "", "ccc"}, 3);
    gguf_builder_array(b, "numbers", META_U16, (const uint16_t[]){1, 2, 65535}, 3);
    gguf_builder_array(b, "nothing", META_STRING, NULL, 0);
    gguf_builder_tensor_add(b, "first", QUANT_F32, 2, (const uint64_t[]){3, 2},
                            (const float[]){0, 1, 2, 3, 4, 5});
    gguf_builder_tensor_add(b, "second", QUANT_Q8_0, 4, (const uint64_t[]){64, 1, 2, 3}, NULL);
    gguf_builder_tensor_add(b, "third", QUANT_F16, 1, (const uint64_t[]){5}, "0123456789");
}

static void check_specimen(const model_file *file) {
    assert_int_equal(file->meta_count, 4);
    assert_int_equal(file->tensor_count, 3);
    str architecture;
    assert_int_equal(meta_get_string(file, "general.architecture", true, &architecture, NULL),
                     SL_OK);
    assert_str(architecture, "llama");

    const meta_entry *names = meta_find(file, "names");
    assert_non_null(names);
    size_t cursor = 0;
    assert_str(meta_array_string(file, names, &cursor), "a");
    assert_str(meta_array_string(file, names, &cursor), "");
    assert_str(meta_array_string(file, names, &cursor), "ccc");
    assert_int_equal(cursor, names->data_bytes);
    assert_int_equal(meta_array_int(meta_find(file, "numbers"), 2), 65535);
    assert_int_equal(meta_find(file, "nothing")->count, 0);
    assert_null(meta_find(file, "name"));

    const tensor_entry *first = tensor_find(file, str_from("first"));
    assert_non_null(first);
    assert_int_equal(first->n_dims, 2);
    assert_int_equal(first->dims[0], 3);
    assert_int_equal(first->dims[1], 2);
    assert_int_equal(first->dims[2], 1);
    assert_int_equal(first->bytes, 24);
    assert_int_equal(first->offset, file->data_offset);
    float last;
    memcpy(&last, first->data + 20, sizeof last);
    assert_true(last == 5.0f);
    const tensor_entry *second = tensor_find(file, str_from("second"));
    assert_int_equal(second->type, QUANT_Q8_0);
    assert_int_equal(second->bytes, 2 * 34 * 6);
    const tensor_entry *third = tensor_find(file, str_from("third"));
    assert_memory_equal(third->data, "0123456789", 10);
    assert_ptr_equal(third->data, file->bytes + third->offset);
    assert_null(tensor_find(file, str_from("fourth")));
}

static void every_version_is_read(void **state) {
    (void)state;
    for (unsigned version = 1; version <= 3; version++) {
        gguf_builder b;
        gguf_builder_init(&b, version);
        add_specimen(&b);
        gguf_builder_finish(&b);
        model_file file = parse_good(b.image, b.image_bytes);
        char name[16];
        snprintf(name, sizeof name, "GGUF v%u", version);
        assert_string_equal(file.format, name);
        assert_int_equal(file.version, version);
        assert_int_equal(file.string_length_bytes, version == 1 ? 4 : 8);
        assert_int_equal(file.data_offset % 32, 0);
        check_specimen(&file);
        model_file_free(&file);
        gguf_builder_free(&b);
    }
}

static void the_last_tensor_may_lack_its_padding(void **state) {
    (void)state;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    add_specimen(&b);
    b.pad_last_tensor = false;
    gguf_builder_finish(&b);
    assert_int_not_equal(b.image_bytes % 32, 0);
    model_file file = parse_good(b.image, b.image_bytes);
    check_specimen(&file);
    model_file_free(&file);
    gguf_builder_free(&b);
}

/* Tensors need not lie in the order of their table, nor without gaps. */
static void tensors_may_lie_in_any_order(void **state) {
    (void)state;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    add_specimen(&b);
    gguf_builder_finish(&b);
    const size_t section = b.tensor[0].data_at;
    gguf_builder_patch(&b, b.tensor[0].offset_at, 8, b.tensor[2].data_at - section);
    gguf_builder_patch(&b, b.tensor[2].offset_at, 8, 0);
    model_file file = parse_good(b.image, b.image_bytes - 8);
    assert_ptr_equal(tensor_find(&file, str_from("third"))->data, b.image + section);
    model_file_free(&file);
    gguf_builder_free(&b);
}

static void alignment_is_any_integer(void **state) {
    (void)state;
    const struct {
        meta_type type;
        size_t alignment;
    } cases[] = {
        {META_U32, 8}, {META_U8, 128}, {META_I16, 16384}, {META_U64, 4096}, {META_U32, 65536}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        gguf_builder b;
        gguf_builder_init(&b, 3);
        b.alignment = cases[i].alignment;
        const uint64_t value = cases[i].alignment;
        gguf_builder_raw(&b, "general.alignment", cases[i].type, &value,
                         meta_type_bytes(cases[i].type));
        add_specimen(&b);
        gguf_builder_remove(&b, "nothing");
        gguf_builder_finish(&b);
        model_file file = parse_good(b.image, b.image_bytes);
        assert_int_equal(file.data_offset, b.tensor[0].data_at);
        assert_int_equal(tensor_find(&file, str_from("third"))->offset, b.tensor[2].data_at);
        model_file_free(&file);
        gguf_builder_free(&b);
    }
}

/* A vocabulary: no tensors, and no padding up to where they would be. */
static void tensors_may_be_absent(void **state) {
    (void)state;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    b.pad_last_tensor = false;
    gguf_builder_string(&b, "general.architecture", "llama");
    gguf_builder_finish(&b);
    model_file file = parse_good(b.image, b.image_bytes);
    assert_true(file.data_offset > file.size);
    assert_int_equal(file.tensor_count, 0);
    assert_null(tensor_find(&file, str_from("token_embd.weight")));
    model_file_free(&file);
    gguf_builder_free(&b);

    gguf_builder_init(&b, 2);
    gguf_builder_finish(&b);
    file = parse_good(b.image, b.image_bytes);
    assert_null(meta_find(&file, "general.architecture"));
    model_file_free(&file);
    gguf_builder_free(&b);
}

static void thousands_of_names_are_found(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    gguf_builder b;
    gguf_builder_init(&b, 3);
    b.alignment = 8;
    gguf_builder_u32(&b, "general.alignment", 8);
    for (uint32_t i = 0; i < COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "name.%u", i);
        gguf_builder_u32(&b, name, i);
        gguf_builder_tensor_add(&b, name, QUANT_F32, 1, (const uint64_t[]){1},
                                (const float[]){(float)i});
    }
    gguf_builder_finish(&b);
    model_file file = parse_good(b.image, b.image_bytes);
    for (uint32_t i = 0; i < COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "name.%u", i);
        uint64_t number = UINT64_MAX;
        assert_int_equal(meta_get_u64(&file, name, true, 0, COUNT, &number, NULL), SL_OK);
        assert_int_equal(number, i);
        float value;
        memcpy(&value, tensor_find(&file, str_from(name))->data, sizeof value);
        assert_true(value == (float)i);
    }
    assert_null(meta_find(&file, "name.5000"));
    model_file_free(&file);
    gguf_builder_free(&b);
}

static void detection_looks_at_four_bytes(void **state) {
    (void)state;
    assert_true(gguf_detect((const uint8_t *)"GGUF", 4));
    assert_false(gguf_detect((const uint8_t *)"GGUF", 3));
    assert_false(gguf_detect((const uint8_t *)"GGML", 4));
    assert_false(gguf_detect(NULL, 0));
}

/* ---- another program's file ----------------------------------------------------------------- */

/* tools/make_gguf_golden.py says what is in it. */
static void every_type_of_another_writer_is_read(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_file(TEST_GOLDEN "/gguf/every_type.gguf", &size);
    assert_non_null(bytes);
    model_file file = parse_good(bytes, size);
    assert_int_equal(file.meta_count, 18);
    assert_int_equal(meta_array_int(meta_find(&file, "value.u8"), 0), 200);
    assert_int_equal(meta_array_int(meta_find(&file, "value.i8"), 0), -100);
    assert_int_equal(meta_array_int(meta_find(&file, "value.u16"), 0), 60000);
    assert_int_equal(meta_array_int(meta_find(&file, "value.i16"), 0), -30000);
    assert_true(meta_array_int(meta_find(&file, "value.u32"), 0) == 4000000000);
    assert_int_equal(meta_array_int(meta_find(&file, "value.i32"), 0), -2000000000);
    assert_true(meta_array_int(meta_find(&file, "value.i64"), 0) == -((int64_t)1 << 62));
    uint64_t u64 = 0;
    assert_int_equal(meta_get_u64(&file, "value.u64", true, 0, UINT64_MAX, &u64, NULL), SL_OK);
    assert_true(u64 == ((uint64_t)1 << 63) + 5);
    float value = 0;
    assert_int_equal(meta_get_float(&file, "value.f32", true, 0, 2, &value, NULL), SL_OK);
    assert_true(value == 1.5f);
    assert_int_equal(meta_get_float(&file, "value.f64", true, 0, 2, &value, NULL), SL_OK);
    assert_true(value == 0.1f);
    bool flag = false;
    assert_int_equal(meta_get_bool(&file, "value.bool", true, &flag, NULL), SL_OK);
    assert_true(flag);
    str text;
    assert_int_equal(meta_get_string(&file, "value.string", true, &text, NULL), SL_OK);
    assert_str(text, "Gr\xc3\xbc\xc3\x9f"
                     "e");

    const meta_entry *array = meta_find(&file, "array.i32");
    assert_int_equal(array->count, 3);
    assert_int_equal(meta_array_int(array, 0), -1);
    assert_int_equal(meta_array_int(array, 2), 7);
    array = meta_find(&file, "array.f32");
    assert_true(meta_array_float(array, 0) == 0.25f && meta_array_float(array, 1) == -2.0f);
    assert_int_equal(meta_array_int(meta_find(&file, "array.bool"), 1), 0);
    size_t cursor = 0;
    array = meta_find(&file, "array.string");
    assert_str(meta_array_string(&file, array, &cursor), "");
    assert_str(meta_array_string(&file, array, &cursor), "a");
    assert_str(meta_array_string(&file, array, &cursor), "n\xc3\xa9"
                                                         "e");
    model_file_free(&file);
    free(bytes);
}

static void tensors_of_another_writer_are_read(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_file(TEST_GOLDEN "/gguf/every_type.gguf", &size);
    assert_non_null(bytes);
    model_file file = parse_good(bytes, size);
    const tensor_entry *matrix = tensor_find(&file, str_from("matrix"));
    assert_int_equal(matrix->dims[0], 3);
    assert_int_equal(matrix->dims[1], 2);
    assert_int_equal(matrix->offset, 768);
    assert_memory_equal(matrix->data, ((const float[]){0, 1, 2, 3, 4, 5}), 24);
    const tensor_entry *half = tensor_find(&file, str_from("half"));
    assert_int_equal(half->offset, 832);
    assert_memory_equal(half->data, ((const uint16_t[]){0x3c00, 0xc000, 0x3800}), 6);
    const tensor_entry *blocks = tensor_find(&file, str_from("blocks"));
    assert_int_equal(blocks->type, QUANT_Q8_0);
    assert_int_equal(blocks->dims[0], 32);
    assert_int_equal(blocks->bytes, 34);
    assert_int_equal(blocks->data[33], 33);
    model_file_free(&file);
    free(bytes);
}

static void a_real_model_is_read(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = read_file(TEST_SHARED "/models/stories260K.gguf", &size);
    if (!bytes) {
        skip();
    }
    model_file file = parse_good(bytes, size);
    assert_int_equal(file.meta_count, 20);
    assert_int_equal(file.tensor_count, 47);
    uint64_t layers = 0;
    assert_int_equal(meta_get_u64(&file, "llama.block_count", true, 1, 100, &layers, NULL), SL_OK);
    assert_int_equal(layers, 5);
    const tensor_entry *embedding = tensor_find(&file, str_from("token_embd.weight"));
    assert_int_equal(embedding->dims[0], 64);
    assert_int_equal(embedding->dims[1], 512);
    assert_int_equal(embedding->offset, 14144);
    const meta_entry *scores;
    assert_int_equal(meta_get_array(&file, "tokenizer.ggml.scores", true, META_F32, &scores, NULL),
                     SL_OK);
    assert_int_equal(scores->count, 512);
    model_file_free(&file);
    free(bytes);
}

static void real_vocabularies_are_read(void **state) {
    (void)state;
    const struct {
        const char *path;
        uint64_t tokens;
    } files[] = {{TEST_SHARED "/tokenizers/ggml-vocab-gpt-2.gguf", 50257},
                 {TEST_SHARED "/tokenizers/ggml-vocab-llama-spm.gguf", 32000},
                 {TEST_SHARED "/tokenizers/ggml-vocab-starcoder.gguf", 49152}};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        size_t size;
        uint8_t *bytes = read_file(files[i].path, &size);
        if (!bytes) {
            skip();
        }
        model_file file = parse_good(bytes, size);
        const meta_entry *tokens;
        assert_int_equal(
            meta_get_array(&file, "tokenizer.ggml.tokens", true, META_STRING, &tokens, NULL),
            SL_OK);
        assert_int_equal(tokens->count, files[i].tokens);
        size_t cursor = 0;
        for (uint64_t t = 0; t < tokens->count; t++) {
            const str token = meta_array_string(&file, tokens, &cursor);
            assert_true(token.len > 0 && token.len < 1000);
        }
        assert_int_equal(cursor, tokens->data_bytes);
        model_file_free(&file);
        free(bytes);
    }
}

/* ---- typed getters -------------------------------------------------------------------------- */

typedef struct fixture {
    gguf_builder b;
    model_file file;
} fixture;

static int set_up_getters(void **state) {
    static fixture f;
    gguf_builder *b = &f.b;
    gguf_builder_init(b, 3);
    gguf_builder_u32(b, "seven", 7);
    gguf_builder_raw(b, "minus", META_I8, "\xff", 1);
    gguf_builder_raw(b, "minus64", META_I64, (const int64_t[]){INT64_MIN}, 8);
    gguf_builder_u64(b, "huge", UINT64_MAX);
    gguf_builder_f32(b, "half", 0.5f);
    gguf_builder_f32(b, "nan", NAN);
    gguf_builder_raw(b, "third", META_F64, (const double[]){1.0 / 3}, 8);
    gguf_builder_bool(b, "yes", true);
    gguf_builder_string(b, "text", "words");
    gguf_builder_array(b, "one", META_U64, (const uint64_t[]){9}, 1);
    gguf_builder_array(b, "three", META_I16, (const int16_t[]){1, 2, 3}, 3);
    gguf_builder_array(b, "negative", META_I32, (const int32_t[]){1, -2, 3}, 3);
    gguf_builder_array(b, "unsigned", META_U32, (const uint32_t[]){1, 2}, 2);
    gguf_builder_array(b, "floats", META_F32, (const float[]){1, 2}, 2);
    gguf_builder_array(b, "none", META_U32, NULL, 0);
    gguf_builder_finish(b);
    sl_error error;
    if (gguf_parse(b->image, b->image_bytes, &f.file, &error) != SL_OK) {
        print_error("%s\n", error.message);
        return -1;
    }
    *state = &f;
    return 0;
}

static int tear_down_getters(void **state) {
    fixture *f = *state;
    model_file_free(&f->file);
    gguf_builder_free(&f->b);
    return 0;
}

static void integers_are_checked(void **state) {
    const model_file *file = &((fixture *)*state)->file;
    sl_error error;
    uint64_t value = 42;
    assert_int_equal(meta_get_u64(file, "absent", false, 0, 1, &value, &error), SL_OK);
    assert_int_equal(value, 42);
    expect_error(meta_get_u64(file, "absent", true, 0, 1, &value, &error), SL_ERR_FORMAT, &error,
                 "\"absent\" is missing");
    expect_error(meta_get_u64(file, "seven", true, 8, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "\"seven\": expected 8 to 10, found 7");
    expect_error(meta_get_u64(file, "minus", true, 0, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "found -1");
    expect_error(meta_get_u64(file, "minus64", true, 0, UINT64_MAX, &value, &error), SL_ERR_FORMAT,
                 &error, "found -9223372036854775808");
    expect_error(meta_get_u64(file, "huge", true, 0, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "found 18446744073709551615");
    expect_error(meta_get_u64(file, "half", true, 0, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "expected an integer, found a 32-bit float");
    expect_error(meta_get_u64(file, "yes", false, 0, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "found a bool");
    expect_error(meta_get_u64(file, "text", true, 0, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "found a string");
    expect_error(meta_get_u64(file, "three", true, 0, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "found an array of 3, each a 16-bit integer");
    expect_error(meta_get_u64(file, "none", true, 0, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "found an array of 0");
    assert_int_equal(value, 42);
    assert_int_equal(meta_get_u64(file, "seven", true, 7, 7, &value, &error), SL_OK);
    assert_int_equal(value, 7);
    assert_int_equal(meta_get_u64(file, "one", true, 0, 10, &value, &error), SL_OK);
    assert_int_equal(value, 9);
    assert_int_equal(meta_get_u64(file, "huge", true, 0, UINT64_MAX, &value, &error), SL_OK);
    assert_true(value == UINT64_MAX);
}

static void integers_per_layer_are_checked(void **state) {
    const model_file *file = &((fixture *)*state)->file;
    sl_error error;
    uint64_t out[3] = {40, 41, 42};
    assert_int_equal(meta_get_u64_layers(file, "absent", false, 0, 9, out, 3, &error), SL_OK);
    assert_int_equal(out[1], 41);
    expect_error(meta_get_u64_layers(file, "three", true, 0, 2, out, 3, &error), SL_ERR_FORMAT,
                 &error, "expected 0 to 2, found 3");
    expect_error(meta_get_u64_layers(file, "negative", true, 0, 9, out, 3, &error), SL_ERR_FORMAT,
                 &error, "found -2");
    expect_error(meta_get_u64_layers(file, "three", true, 0, 9, out, 2, &error), SL_ERR_FORMAT,
                 &error, "expected an integer or an array of 2, found an array of 3");
    expect_error(meta_get_u64_layers(file, "one", true, 0, 9, out, 3, &error), SL_ERR_FORMAT,
                 &error, "expected an integer or an array of 3, found an array of 1");
    expect_error(meta_get_u64_layers(file, "floats", true, 0, 9, out, 2, &error), SL_ERR_FORMAT,
                 &error, "each a 32-bit float");
    expect_error(meta_get_u64_layers(file, "absent", true, 0, 9, out, 2, &error), SL_ERR_FORMAT,
                 &error, "missing");
    assert_int_equal(out[0], 40);
    assert_int_equal(meta_get_u64_layers(file, "three", true, 1, 3, out, 3, &error), SL_OK);
    assert_memory_equal(out, ((const uint64_t[]){1, 2, 3}), sizeof out);
    assert_int_equal(meta_get_u64_layers(file, "seven", true, 1, 7, out, 3, &error), SL_OK);
    assert_memory_equal(out, ((const uint64_t[]){7, 7, 7}), sizeof out);
}

static void floats_bools_and_strings_are_checked(void **state) {
    const model_file *file = &((fixture *)*state)->file;
    sl_error error;
    float value = 42;
    assert_int_equal(meta_get_float(file, "absent", false, 0, 1, &value, &error), SL_OK);
    expect_error(meta_get_float(file, "half", true, 1, 2, &value, &error), SL_ERR_FORMAT, &error,
                 "\"half\": expected 1 to 2, found 0.5");
    expect_error(meta_get_float(file, "nan", true, -INFINITY, INFINITY, &value, &error),
                 SL_ERR_FORMAT, &error, "nan");
    expect_error(meta_get_float(file, "seven", true, 0, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "expected a float, found a 32-bit unsigned integer");
    expect_error(meta_get_float(file, "floats", true, 0, 10, &value, &error), SL_ERR_FORMAT, &error,
                 "found an array of 2");
    assert_true(value == 42);
    assert_int_equal(meta_get_float(file, "third", true, 0, 1, &value, &error), SL_OK);
    assert_true(value == (float)(1.0 / 3));

    bool flag = false;
    expect_error(meta_get_bool(file, "seven", true, &flag, &error), SL_ERR_FORMAT, &error,
                 "expected a bool");
    assert_int_equal(meta_get_bool(file, "absent", false, &flag, &error), SL_OK);
    assert_false(flag);
    assert_int_equal(meta_get_bool(file, "yes", true, &flag, &error), SL_OK);
    assert_true(flag);

    str text = str_from("before");
    expect_error(meta_get_string(file, "seven", true, &text, &error), SL_ERR_FORMAT, &error,
                 "expected a string");
    assert_str(text, "before");
    assert_int_equal(meta_get_string(file, "text", true, &text, &error), SL_OK);
    assert_str(text, "words");
}

static void arrays_are_checked(void **state) {
    const model_file *file = &((fixture *)*state)->file;
    sl_error error;
    const meta_entry *array = meta_find(file, "seven");
    assert_int_equal(meta_get_array(file, "absent", false, META_F32, &array, &error), SL_OK);
    assert_null(array);
    expect_error(meta_get_array(file, "absent", true, META_F32, &array, &error), SL_ERR_FORMAT,
                 &error, "missing");
    expect_error(meta_get_array(file, "seven", true, META_I32, &array, &error), SL_ERR_FORMAT,
                 &error, "found a 32-bit unsigned integer");
    expect_error(meta_get_array(file, "three", true, META_I32, &array, &error), SL_ERR_FORMAT,
                 &error, "expected an array whose elements are each a 32-bit integer, found an");
    expect_error(meta_get_array(file, "unsigned", true, META_F32, &array, &error), SL_ERR_FORMAT,
                 &error, "expected an array");
    assert_null(array);
    assert_int_equal(meta_get_array(file, "unsigned", true, META_I32, &array, &error), SL_OK);
    assert_int_equal(meta_array_int(array, 1), 2);
    assert_int_equal(meta_get_array(file, "negative", true, META_I32, &array, &error), SL_OK);
    assert_int_equal(meta_array_int(array, 1), -2);
    assert_int_equal(meta_get_array(file, "floats", true, META_F32, &array, &error), SL_OK);
    assert_true(meta_array_float(array, 1) == 2.0f);
}

/* ---- the builder's model -------------------------------------------------------------------- */

static void the_tiny_model_is_complete(void **state) {
    (void)state;
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_vocab = 301;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_tiny_llama(&b, &options);
    gguf_builder_finish(&b);
    model_file file = parse_good(b.image, b.image_bytes);
    assert_int_equal(file.tensor_count, 3 + 9 * 2);
    const tensor_entry *k = tensor_find(&file, str_from("blk.1.attn_k.weight"));
    assert_int_equal(k->dims[0], 32);
    assert_int_equal(k->dims[1], 16);
    const meta_entry *tokens;
    assert_int_equal(
        meta_get_array(&file, "tokenizer.ggml.tokens", true, META_STRING, &tokens, NULL), SL_OK);
    assert_int_equal(tokens->count, 301);
    size_t cursor = 0;
    for (uint64_t i = 0; i < tokens->count; i++) {
        const str token = meta_array_string(&file, tokens, &cursor);
        const char *known = i == ' '    ? "\xc4\xa0" /* U+0120, GPT-2's space */
                            : i == 'A'  ? "A"
                            : i == 256  ? "<|end|>"
                            : i == 257  ? "aa"
                            : i == 284  ? "bb"
                            : i == 0xff ? "\xc3\xbf"
                            : i == 0xad ? "\xc5\x83" /* U+0143, the last one moved */
                                        : NULL;
        if (known) {
            assert_str(token, known);
        }
    }
    assert_int_equal(meta_find(&file, "tokenizer.ggml.merges")->count, 301 - 257);
    model_file_free(&file);
    gguf_builder_free(&b);
}

static void the_tiny_model_has_every_weight_type(void **state) {
    (void)state;
    for (uint32_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        if (!quant_format_of(type)) {
            continue;
        }
        gguf_tiny_options options = gguf_tiny_defaults();
        options.type = (quant_type)type;
        options.n_embd = 256;
        options.n_ff = 512;
        options.tied = true;
        gguf_builder b;
        gguf_builder_init(&b, 3);
        gguf_builder_tiny_llama(&b, &options);
        gguf_builder_finish(&b);
        model_file file = parse_good(b.image, b.image_bytes);
        assert_null(tensor_find(&file, str_from("output.weight")));
        const tensor_entry *down = tensor_find(&file, str_from("blk.0.ffn_down.weight"));
        assert_int_equal(down->type, type);
        float values[512];
        double squares = 0;
        quant_format_of(type)->decode(down->data, values, 512);
        for (size_t i = 0; i < 512; i++) {
            assert_true(isfinite(values[i]));
            squares += (double)values[i] * values[i];
        }
        const double deviation = sqrt(squares / 512);
        if (!(deviation > 0.03 && deviation < 0.3)) {
            fail_msg("%s: values of standard deviation %g", quant_name_of(type), deviation);
        }
        model_file_free(&file);
        gguf_builder_free(&b);
    }
}

/* A mapped file may change after it was checked: what is read then is wrong, but inside. */
static void strings_stay_inside_a_file_that_changes(void **state) {
    (void)state;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_strings(&b, "words", (const char *const[]){"one", "two", "three"}, 3);
    gguf_builder_finish(&b);
    model_file file;
    sl_error error;
    assert_int_equal(gguf_parse(b.image, b.image_bytes, &file, &error), SL_OK);
    const meta_entry *words = meta_find(&file, "words");
    const uint64_t lies[] = {0, 4, 19, 20, 21, UINT64_MAX};
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        memcpy(b.image + (words->data - b.image) + 8 + 3, &lies[i], 8); /* the length of "two" */
        size_t cursor = 0;
        assert_str(meta_array_string(&file, words, &cursor), "one");
        for (size_t k = 1; k < 4; k++) {
            const str text = meta_array_string(&file, words, &cursor);
            assert_true(cursor <= words->data_bytes);
            assert_true(text.len <= words->data_bytes);
            assert_true(text.len == 0 ||
                        (const uint8_t *)text.ptr + text.len <= words->data + words->data_bytes);
        }
    }
    model_file_free(&file);
    gguf_builder_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_read),
        cmocka_unit_test(the_last_tensor_may_lack_its_padding),
        cmocka_unit_test(tensors_may_lie_in_any_order),
        cmocka_unit_test(alignment_is_any_integer),
        cmocka_unit_test(tensors_may_be_absent),
        cmocka_unit_test(thousands_of_names_are_found),
        cmocka_unit_test(detection_looks_at_four_bytes),
        cmocka_unit_test(every_type_of_another_writer_is_read),
        cmocka_unit_test(tensors_of_another_writer_are_read),
        cmocka_unit_test(a_real_model_is_read),
        cmocka_unit_test(real_vocabularies_are_read),
        cmocka_unit_test_setup_teardown(integers_are_checked, set_up_getters, tear_down_getters),
        cmocka_unit_test_setup_teardown(integers_per_layer_are_checked, set_up_getters,
                                        tear_down_getters),
        cmocka_unit_test_setup_teardown(floats_bools_and_strings_are_checked, set_up_getters,
                                        tear_down_getters),
        cmocka_unit_test_setup_teardown(arrays_are_checked, set_up_getters, tear_down_getters),
        cmocka_unit_test(strings_stay_inside_a_file_that_changes),
        cmocka_unit_test(the_tiny_model_is_complete),
        cmocka_unit_test(the_tiny_model_has_every_weight_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
