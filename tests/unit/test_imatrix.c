/* test_imatrix.c - importance matrices of both kinds, good ones and all that is refused. */
#include "formats/imatrix.h"

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

#include <cmocka.h>

/* ---- files ---------------------------------------------------------------------------------- */

static const float sums[6] = {2, 4, 0, 1, 9, 25}, one_count = 2, two_counts[2] = {0, 5};

static void add_f32(gguf_builder *b, const char *name, uint64_t n_in, uint64_t n, const float *v) {
    gguf_builder_tensor_add(b, name, QUANT_F32, 2, (uint64_t[]){n_in, n}, v);
}

/* a: one matrix of three columns; b: two of three, of which the first met no rows; z: none did. */
static void add_entries(gguf_builder *b) {
    static const float zero = 0;
    const char *const texts[2] = {"a.txt", "b.txt"};
    gguf_builder_string(b, "general.type", "imatrix");
    gguf_builder_strings(b, "imatrix.datasets", texts, 2);
    gguf_builder_u32(b, "imatrix.chunk_count", 7);
    gguf_builder_u32(b, "imatrix.chunk_size", 512);
    add_f32(b, "a.in_sum2", 3, 1, sums);
    add_f32(b, "a.counts", 1, 1, &one_count);
    add_f32(b, "b.counts", 1, 2, two_counts);
    add_f32(b, "b.in_sum2", 3, 2, sums);
    add_f32(b, "z.in_sum2", 3, 1, sums);
    add_f32(b, "z.counts", 1, 1, &zero);
    add_f32(b, "a.in_sum", 3, 1, sums);
}

static void put_floats(byte_list *b, const float *values, size_t n) {
    byte_list_add(b, values, n * sizeof *values);
}

static void put_dat_entry(byte_list *b, const char *name, int32_t calls, const float *v, size_t n) {
    byte_list_number(b, strlen(name), 4);
    byte_list_text(b, name);
    byte_list_number(b, (uint32_t)calls, 4);
    byte_list_number(b, n, 4);
    put_floats(b, v, n);
}

/* Without what may follow the entries. */
static byte_list dat_of_two(void) {
    byte_list b = {0};
    byte_list_number(&b, 2, 4);
    put_dat_entry(&b, "a", 4, sums, 3);
    put_dat_entry(&b, "long.name", 0, sums, 6);
    return b;
}

static void put_dat_end(byte_list *b) {
    byte_list_number(b, 7, 4);
    byte_list_number(b, 5, 4);
    byte_list_text(b, "a.txt");
}

/* A copy whose end is the end of its memory, so that sanitizers see a read past it. */
static sl_status parse_copy(const uint8_t *bytes, size_t size, imatrix **m, sl_error *error) {
    uint8_t *copy = malloc(size + !size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    const sl_status status = imatrix_parse(copy, size, m, error);
    free(copy);
    return status;
}

/* ---- good files ----------------------------------------------------------------------------- */

static void expect(const imatrix *m, const char *name, const float *values, size_t n) {
    const float *found = imatrix_find(m, str_from(name), n);
    assert_non_null(found);
    for (size_t i = 0; i < n; i++) {
        assert_true(found[i] == values[i]);
    }
}

static void gguf_is_read(void **state) {
    (void)state;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    add_entries(&b);
    gguf_builder_finish(&b);
    imatrix *m = NULL;
    sl_error error = {0};
    assert_int_equal(parse_copy(b.image, b.image_bytes, &m, &error), SL_OK);
    expect(m, "a", (float[]){1, 2, 0}, 3);
    expect(m, "b", (float[]){1, 1, 1, 0.2F, 1.8F, 5}, 6);
    assert_null(imatrix_find(m, str_from("b"), 3));
    assert_null(imatrix_find(m, str_from("z"), 3));
    assert_null(imatrix_find(m, str_from("a.in_sum"), 3));
    assert_null(imatrix_find(m, str_from(""), 3));
    imatrix_info info;
    imatrix_get_info(m, &info);
    assert_int_equal(info.n_entry, 2);
    assert_int_equal(info.chunks, 7);
    assert_int_equal(info.n_ctx, 512);
    assert_string_equal(info.texts, "a.txt, b.txt");
    size_t n;
    assert_true(str_is(imatrix_entry(m, 1, &n), "b"));
    assert_int_equal(n, 6);
    imatrix_close(m);
    gguf_builder_free(&b);
}

static void dat_is_read(void **state) {
    (void)state;
    for (int with_end = 0; with_end < 2; with_end++) {
        byte_list b = dat_of_two();
        if (with_end) {
            put_dat_end(&b);
        }
        imatrix *m = NULL;
        sl_error error = {0};
        assert_int_equal(parse_copy(b.data, b.count, &m, &error), SL_OK);
        expect(m, "a", (float[]){0.5F, 1, 0}, 3);
        expect(m, "long.name", sums, 6);
        imatrix_info info;
        imatrix_get_info(m, &info);
        assert_int_equal(info.n_entry, 2);
        assert_int_equal(info.chunks, with_end ? 7 : 0);
        assert_int_equal(info.n_ctx, 0);
        assert_string_equal(info.texts, with_end ? "a.txt" : "");
        imatrix_close(m);
        byte_list_free(&b);
    }
    imatrix_close(NULL);
}

static void files_are_opened(void **state) {
    (void)state;
    byte_list b = dat_of_two();
    const temp_file file = temp_file_write(b.data, b.count);
    imatrix *m = NULL;
    sl_error error = {0};
    assert_int_equal(imatrix_open(file.path, &m, &error), SL_OK);
    expect(m, "a", (float[]){0.5F, 1, 0}, 3);
    imatrix_close(m);
    temp_file_remove(&file);
    m = NULL;
    assert_int_equal(imatrix_open(file.path, &m, &error), SL_ERR_FILE);
    assert_null(m);
    const temp_file bad = temp_file_write(b.data, b.count - 1);
    assert_int_equal(imatrix_open(bad.path, &m, &error), SL_ERR_FORMAT);
    assert_non_null(strstr(error.message, bad.path));
    assert_non_null(strstr(error.message, "truncated"));
    assert_null(m);
    temp_file_remove(&bad);
    byte_list_free(&b);
}

/* Texts have room for 255 bytes; the rest is left out. */
static void long_texts_are_cut(void **state) {
    (void)state;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    add_entries(&b);
    gguf_builder_remove(&b, "imatrix.datasets");
    char text[201];
    memset(text, 'x', 200);
    text[200] = '\0';
    gguf_builder_strings(&b, "imatrix.datasets", (const char *const[]){text, text, text}, 3);
    gguf_builder_finish(&b);
    imatrix *m = NULL;
    assert_int_equal(imatrix_parse(b.image, b.image_bytes, &m, NULL), SL_OK);
    imatrix_info info;
    imatrix_get_info(m, &info);
    assert_int_equal(strlen(info.texts), 255);
    assert_memory_equal(info.texts + 198, "xx, xx", 6);
    imatrix_close(m);
    gguf_builder_free(&b);
}

/* ---- bad files ------------------------------------------------------------------------------ */

static void refuse(const uint8_t *bytes, size_t size, const char *part) {
    imatrix *m = NULL;
    sl_error error = {0};
    const sl_status status = parse_copy(bytes, size, &m, &error);
    if (status != SL_ERR_FORMAT || m || !strstr(error.message, part)) {
        fail_msg("expected \"%s\", found \"%s\"", part, error.message);
    }
}

/* A file of entries `a` with these sums and counts, and maybe another tensor. */
static void refuse_values(const float *s, size_t n, const float *counts, size_t n_count,
                          const char *more, const char *part) {
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_string(&b, "general.type", "imatrix");
    if (s) {
        add_f32(&b, "a.in_sum2", n, 1, s);
    }
    if (counts) {
        add_f32(&b, "a.counts", 1, n_count, counts);
    }
    if (more) {
        gguf_builder_tensor_add(&b, more, QUANT_F16, 2, (uint64_t[]){1, 1}, NULL);
    }
    gguf_builder_finish(&b);
    refuse(b.image, b.image_bytes, part);
    gguf_builder_free(&b);
}

static void bad_values_are_refused(void **state) {
    (void)state;
    const float bad_sums[] = {-1, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < COUNT_OF(bad_sums); i++) {
        refuse_values((float[]){1, 2, bad_sums[i]}, 3, &one_count, 1, NULL,
                      "\"a\": column 2: expected a sum of squares");
        byte_list b = {0};
        byte_list_number(&b, 1, 4);
        put_dat_entry(&b, "a", 1, &bad_sums[i], 1);
        refuse(b.data, b.count, "\"a\": column 0: expected a sum of squares");
        byte_list_free(&b);
    }
    const float bad_counts[] = {-1, NAN, INFINITY, 0.5F, 1.5F, 1e30F};
    for (size_t i = 0; i < COUNT_OF(bad_counts); i++) {
        refuse_values(sums, 3, &bad_counts[i], 1, NULL, "\"a.counts\": expected a count of rows");
    }
    refuse_values(sums, 3, two_counts, 2, NULL, "has 3 values, expected a multiple of the 2");
}

static void bad_tables_are_refused(void **state) {
    (void)state;
    refuse_values(sums, 3, NULL, 0, NULL, "has no \"a.counts\" beside it");
    refuse_values(NULL, 0, &one_count, 1, NULL, "has no \"a.in_sum2\" beside it");
    refuse_values(sums, 3, &one_count, 1, "b.counts", "expected F32, found F16");
    refuse_values(sums, 3, NULL, 0, "a.counts", "expected F32, found F16");
    refuse_values(NULL, 0, NULL, 0, NULL, "no entries");
    refuse_values(sums, 3, &(float){0}, 1, NULL, "no entries");
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_finish(&b);
    refuse(b.image, b.image_bytes, "not an importance matrix: expected general.type \"imatrix\"");
    gguf_builder_string(&b, "general.type", "model");
    gguf_builder_finish(&b);
    refuse(b.image, b.image_bytes, "found \"model\"");
    gguf_builder_free(&b);
    gguf_builder_init(&b, 3);
    gguf_builder_string(&b, "general.type", "imatrix");
    add_f32(&b, ".in_sum2", 3, 1, sums);
    add_f32(&b, ".counts", 1, 1, &one_count);
    gguf_builder_finish(&b);
    refuse(b.image, b.image_bytes, "\".in_sum2\"");
    gguf_builder_free(&b);
}

static void bad_dats_are_refused(void **state) {
    (void)state;
    const int32_t counts[] = {0, -1, 2, INT32_MAX};
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        byte_list b = {0};
        byte_list_number(&b, (uint32_t)counts[i], 4);
        put_dat_entry(&b, "a", 1, sums, 1);
        refuse(b.data, b.count, "not an importance matrix");
        byte_list_free(&b);
    }
    refuse((const uint8_t *)"", 0, "not an importance matrix");
    static const struct {
        size_t at; /* of a number in dat_of_two */
        uint32_t value;
        const char *part;
    } lies[] = {
        {4, 0, "byte 4: expected a tensor's name of 1 to 64, found 0"},
        {4, 65, "expected a tensor's name"},
        {4, 0xFFFFFFFF, "found -1"},
        {9, 0x80000000, "a number of calls"},
        {13, 0, "a number of values"},
        {13, 0x40000000, "truncated"},
        {13, INT32_MAX, "truncated: expected values of 8589934588 bytes"},
    };
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        byte_list b = dat_of_two();
        memcpy(b.data + lies[i].at, &lies[i].value, 4);
        refuse(b.data, b.count, lies[i].part);
        byte_list_free(&b);
    }
    byte_list b = {0};
    byte_list_number(&b, 2, 4);
    put_dat_entry(&b, "a", 1, sums, 3);
    put_dat_entry(&b, "a", 1, sums, 3);
    refuse(b.data, b.count, "\"a\" is there twice, as entry 0 and 1");
    put_dat_end(&b);
    byte_list_number(&b, 0, 1);
    b.data[25 + 8] = 'b'; /* the second name */
    refuse(b.data, b.count, "expected the end of the file");
    byte_list_free(&b);
}

/* ---- any damage ----------------------------------------------------------------------------- */

/* Whatever is accepted has values that can be used. */
static void check_all(const imatrix *m) {
    imatrix_info info;
    imatrix_get_info(m, &info);
    assert_true(info.n_entry > 0);
    for (size_t i = 0; i < info.n_entry; i++) {
        size_t n;
        const str name = imatrix_entry(m, i, &n);
        const float *values = imatrix_find(m, name, n);
        assert_non_null(values);
        for (size_t k = 0; k < n; k++) {
            assert_true(values[k] >= 0 && isfinite(values[k]));
        }
    }
}

static void damage(const uint8_t *bytes, size_t size, const size_t *whole, size_t n_whole) {
    for (size_t cut = 0; cut < size; cut++) {
        imatrix *m = NULL;
        bool may = false;
        for (size_t i = 0; i < n_whole; i++) {
            may |= cut == whole[i];
        }
        const sl_status status = parse_copy(bytes, cut, &m, NULL);
        assert_int_equal(status == SL_OK, may);
        imatrix_close(m);
    }
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        imatrix *m = NULL;
        sl_error error = {0};
        copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (imatrix_parse(copy, size, &m, &error) == SL_OK) {
            check_all(m);
        } else {
            assert_true(error.message[0] != '\0');
            assert_null(m);
        }
        imatrix_close(m);
        copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    free(copy);
}

static void damaged_files_do_no_harm(void **state) {
    (void)state;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    b.pad_last_tensor = false;
    add_entries(&b);
    gguf_builder_finish(&b);
    damage(b.image, b.image_bytes, NULL, 0);
    gguf_builder_free(&b);
    byte_list dat = dat_of_two();
    const size_t entries = dat.count, chunks = dat.count + 4;
    put_dat_end(&dat);
    damage(dat.data, dat.count, (const size_t[]){entries, chunks}, 2);
    byte_list_free(&dat);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_is_read),           cmocka_unit_test(dat_is_read),
        cmocka_unit_test(files_are_opened),       cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(bad_values_are_refused), cmocka_unit_test(bad_tables_are_refused),
        cmocka_unit_test(bad_dats_are_refused),   cmocka_unit_test(damaged_files_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
