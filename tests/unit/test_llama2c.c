/* Checkpoints of llama2.c and their tokenizers: what is read, and what is taken for none. */
#include "formats/llama2c.h"

#include "base/size.h"
#include "models/dialect_llama2c.h"
#include "support/legacy_builder.h"
#include "support/temp_file.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_bin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static gguf_builder_bytes checkpoint(unsigned version, uint32_t group, bool tied) {
    gguf_builder model;
    gguf_builder_bytes image;
    gguf_tiny_options options = gguf_tiny_defaults();
    options.tied = tied;
    options.n_vocab = 300;
    gguf_builder_init(&model, 3);
    gguf_builder_tiny_llama(&model, &options);
    llama2c_write(&image, &model, version, group);
    gguf_builder_free(&model);
    return image;
}

static void put(gguf_builder_bytes *image, size_t at, uint32_t value) {
    memcpy(image->data + at, &value, sizeof value);
}

static void read_all(void **state) {
    (void)state;
    for (unsigned version = 0; version < 3; version++) {
        for (int tied = 0; tied < 2; tied++) {
            gguf_builder_bytes image = checkpoint(version, version == 2 ? 32 : 0, tied);
            sl_error error = {0};
            model_file file;
            char format[32];
            assert_true(llama2c_detect(image.data, image.count));
            if (dialect_llama2c_read(image.data, image.count, &file, &error) != SL_OK) {
                fail_msg("version %u: %s", version, error.message);
            }
            snprintf(format, sizeof format, "llama2.c v%u", version);
            assert_string_equal(file.format, format);
            assert_int_equal(file.tensor_count, 2 + 9 * 2 + !tied);
            const tensor_entry *t = tensor_find(&file, str_from("blk.1.ffn_down.weight"));
            assert_true(t && t->dims[0] == 64 && t->dims[1] == 32);
            assert_int_equal(t->layout, version == 2 ? TENSOR_PLANES : TENSOR_ROWS);
            assert_int_equal(t->type, version == 2 ? QUANT_Q8_0 : QUANT_F32);
            t = tensor_find(&file, str_from("blk.1.attn_v.weight"));
            assert_true(t && t->dims[0] == 32 && t->dims[1] == 16);
            t = tensor_find(&file, str_from("output_norm.weight"));
            assert_true(t && t->n_dims == 1 && t->type == QUANT_F32);
            assert_int_equal(tensor_find(&file, str_from("output.weight")) != NULL, !tied);
            uint64_t n = 0;
            assert_int_equal(
                meta_get_u64(&file, "llama.attention.head_count_kv", true, 0, 99, &n, NULL), SL_OK);
            assert_int_equal(n, 2);
            model_file_free(&file);
            free(image.data);
        }
    }
}

static void refused(gguf_builder_bytes *image, const char *word) {
    sl_error error = {0};
    llama2c_file file;
    if (llama2c_parse(image->data, image->count, &file, &error) == SL_OK) {
        fail_msg("accepted, expected '%s'", word);
    }
    if (!strstr(error.message, word)) {
        fail_msg("'%s' is not in: %s", word, error.message);
    }
    free(image->data);
}

static void bad_headers(void **state) {
    (void)state;
    static const struct {
        unsigned version;
        size_t at;
        uint32_t value;
        const char *word;
    } cases[] = {
        {1, 4, 3, "version 1 or 2, found 3"},
        {1, 4, 0, "version 1 or 2, found 0"},
        {1, 8, 0, "dim between"},
        {1, 8, UINT32_MAX, "dim between"},
        {1, 12, 1u << 23, "hidden_dim"},
        {1, 16, 0, "n_layers"},
        {1, 20, 0, "n_heads"},
        {1, 20, 3, "multiple"},
        {1, 24, 3, "multiple"},
        {1, 28, 0x80000000u, "vocab_size"},
        {1, 32, 0, "max_seq_len"},
        {1, 36, 2, "shared classifier"},
        {1, 28, 299, "expected a file of"},
        {1, 28, 301, "truncated"},
        {1, 16, 4096, "truncated"},
        {2, 37, 0, "group size"},
        {2, 37, 7, "multiple of the group size"},
        {2, 37, 64, "expected a file of"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        gguf_builder_bytes image = checkpoint(cases[i].version, cases[i].version == 2 ? 32 : 0, 0);
        put(&image, cases[i].at, cases[i].value);
        refused(&image, cases[i].word);
    }
}

/* The oldest files are known by their size alone: one byte more or less and they are not. Nor is
 * anything that begins otherwise taken for one. */
static void only_exact_sizes(void **state) {
    (void)state;
    for (unsigned version = 0; version < 3; version++) {
        gguf_builder_bytes image = checkpoint(version, version == 2 ? 32 : 0, true);
        sl_error error;
        llama2c_file file;
        for (size_t size = 0; size < image.count; size += size < 300 ? 1 : 97) {
            uint8_t *copy = malloc(size ? size : 1);
            assert_non_null(copy);
            memcpy(copy, image.data, size);
            assert_true(llama2c_parse(copy, size, &file, &error) != SL_OK);
            assert_int_equal(llama2c_detect(copy, size), version > 0 && size >= 4);
            free(copy);
        }
        gguf_builder_put(&image, "", 1);
        assert_true(llama2c_parse(image.data, image.count, &file, &error) != SL_OK);
        assert_int_equal(llama2c_detect(image.data, image.count), version > 0);
        for (size_t at = 0; version == 0 && at < 28; at++) {
            image.data[at] ^= 0x10;
            assert_false(llama2c_detect(image.data, image.count - 1));
            image.data[at] ^= 0x10;
        }
        free(image.data);
    }
}

/* ---- tokenizer.bin -------------------------------------------------------------------------- */

static void words(void **state) {
    (void)state;
    gguf_builder_bytes image;
    llama2c_tokenizer(&image, 270);
    sl_error error = {0};
    model_file file;
    tokenizer *t = NULL;
    assert_true(tokenizer_bin_detect(image.data, image.count));
    tables made = tables_new("words", NULL, 0, &error);
    tokenizer_bin_add(&made, image.data, image.count);
    if (tables_finish(&made, &file) != SL_OK || tokenizer_create(&file, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(tokenizer_count(t), 270);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    assert_true(str_is(tokenizer_piece(t, 3 + '\n', false), "\n"));
    assert_true(str_is(tokenizer_piece(t, 261, false), " hg"));
    tokenizer_free(t);
    model_file_free(&file);
    for (size_t size = 0; size < image.count; size++) {
        uint8_t *copy = malloc(size ? size : 1);
        assert_non_null(copy);
        memcpy(copy, image.data, size);
        const bool found = tokenizer_bin_detect(copy, size);
        made = tables_new("words", NULL, 0, &error);
        tokenizer_bin_add(&made, copy, size);
        assert_int_equal(made.status == SL_OK, found); /* between two tokens */
        tables_free(&made);
        free(copy);
    }
    put(&image, 8, 65537);
    assert_false(tokenizer_bin_detect(image.data, image.count));
    free(image.data);
}

/* The real one: a token of each kind. */
static void real_words(void **state) {
    (void)state;
    const char *path = TEST_SHARED "/models/tok512.bin";
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    FILE *f = fopen(path, "rb");
    uint8_t bytes[8192];
    const size_t size = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    sl_error error = {0};
    model_file file;
    tokenizer *t = NULL;
    fclose(f);
    tables made = tables_new("words", NULL, 0, &error);
    tokenizer_bin_add(&made, bytes, size);
    if (tables_finish(&made, &file) != SL_OK || tokenizer_create(&file, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(tokenizer_count(t), 512);
    assert_true(str_is(tokenizer_piece(t, 259, false), " t"));
    assert_true(str_is(tokenizer_piece(t, 507, false), "\xe2\x84\xa2"));
    tokenizer_free(t);
    model_file_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_all),         cmocka_unit_test(bad_headers),
        cmocka_unit_test(only_exact_sizes), cmocka_unit_test(words),
        cmocka_unit_test(real_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
