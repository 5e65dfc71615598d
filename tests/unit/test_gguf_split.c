/* A GGUF model in several files: the same logits as in one, whichever file is named; and what is
 * refused of files that do not belong together. */
#include "formats/gguf_split.h"

#include "base/size.h"
#include "sluice.h"
#include "support/temp_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILES = 3, TOKENS = 8 };

static void tiny(gguf_builder *b) {
    const gguf_tiny_options options = gguf_tiny_defaults();
    gguf_builder_init(b, 3);
    gguf_builder_tiny_llama(b, &options);
}

static void put_u16(gguf_builder *b, const char *key, uint16_t value) {
    gguf_builder_raw(b, key, META_U16, &value, sizeof value);
}

/* File `number` of three: every third tensor; the first file has all metadata besides. */
static void shard(gguf_builder *b, size_t number) {
    if (number == 0) {
        tiny(b);
    } else {
        gguf_builder_init(b, 3);
    }
    gguf_builder all;
    tiny(&all);
    while (b->tensor_count > 0) {
        char name[80];
        snprintf(name, sizeof name, "%s", b->tensor[0].name);
        gguf_builder_tensor_remove(b, name);
    }
    for (size_t i = number; i < all.tensor_count; i += FILES) {
        const gguf_builder_tensor *t = &all.tensor[i];
        gguf_builder_tensor_add(b, t->name, (quant_type)t->type, t->n_dims, t->dims, t->data.data);
    }
    put_u16(b, "split.no", (uint16_t)number);
    put_u16(b, "split.count", FILES);
    const int32_t n = (int32_t)all.tensor_count;
    gguf_builder_raw(b, "split.tensors.count", META_I32, &n, sizeof n);
    gguf_builder_free(&all);
    gguf_builder_finish(b);
}

static void shard_path(const char *base, size_t number, char out[300]) {
    snprintf(out, 300, "%s-%05zu-of-%05d.gguf", base, number + 1, FILES);
}

static void write_shard(const char *base, size_t number) {
    char path[300];
    gguf_builder b;
    shard(&b, number);
    shard_path(base, number, path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.image, 1, b.image_bytes, f), b.image_bytes);
    fclose(f);
    gguf_builder_free(&b);
}

static void remove_shards(const char *base) {
    for (size_t i = 0; i < FILES; i++) {
        char path[300];
        shard_path(base, i, path);
        unlink(path);
    }
}

static float *logits(const char *path, size_t *count) {
    static const int32_t tokens[TOKENS] = {5, 80, 3, 250, 0, 77, 9, 128};
    const sl_session_options wanted = {.n_ctx = 16, .n_batch = 8, .threads = 1};
    sl_error error = {0};
    sl_model *model = NULL;
    sl_session *session = NULL;
    if (sl_model_load(path, NULL, &model, &error) != SL_OK ||
        sl_session_create(model, &wanted, &session, &error) != SL_OK ||
        sl_session_eval(session, tokens, TOKENS, NULL, NULL, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    sl_model_info info;
    sl_model_get_info(model, &info);
    float *out = malloc(info.n_vocab * sizeof *out);
    assert_non_null(out);
    memcpy(out, sl_session_logits(session), info.n_vocab * sizeof *out);
    *count = info.n_vocab;
    sl_session_free(session);
    sl_model_free(model);
    return out;
}

static void same_as_one_file(void **state) {
    (void)state;
    const gguf_tiny_options options = gguf_tiny_defaults();
    const temp_file whole = temp_file_llama(&options);
    size_t n, m;
    float *expected = logits(whole.path, &n);
    for (size_t i = 0; i < FILES; i++) {
        write_shard(whole.path, i);
    }
    for (size_t i = 0; i < FILES; i++) {
        char path[300];
        shard_path(whole.path, i, path);
        float *found = logits(path, &m);
        assert_int_equal(n, m);
        assert_memory_equal(expected, found, n * sizeof *found);
        free(found);
        sl_file *file;
        sl_file_info info, one;
        sl_error error;
        assert_int_equal(sl_file_open(path, &file, &error), SL_OK);
        sl_file_get_info(file, &info);
        sl_file_close(file);
        assert_int_equal(sl_file_open(whole.path, &file, &error), SL_OK);
        sl_file_get_info(file, &one);
        sl_file_close(file);
        assert_int_equal(info.tensor_count, one.tensor_count);
    }
    free(expected);
    remove_shards(whole.path);
    temp_file_remove(&whole);
}

static void refused_path(const char *path, const char *word) {
    sl_error error = {0};
    sl_model *model;
    if (sl_model_load(path, NULL, &model, &error) == SL_OK) {
        fail_msg("accepted, expected '%s'", word);
    }
    if (!strstr(error.message, word)) {
        fail_msg("'%s' is not in: %s", word, error.message);
    }
}

static void missing_and_misnamed(void **state) {
    (void)state;
    const temp_file base = temp_file_write("x", 1);
    char path[300], missing[300];
    write_shard(base.path, 0);
    write_shard(base.path, 2);
    shard_path(base.path, 0, path);
    shard_path(base.path, 1, missing);
    refused_path(path, missing);
    refused_path(path, "file 2 of the 3");
    gguf_builder b;
    shard(&b, 1);
    const temp_file other = temp_file_write(b.image, b.image_bytes);
    gguf_builder_free(&b);
    refused_path(other.path, "expected a name that ends in -00001-of-00003.gguf");
    /* the third in the place of the second */
    shard(&b, 2);
    FILE *f = fopen(missing, "wb");
    assert_non_null(f);
    fwrite(b.image, 1, b.image_bytes, f);
    fclose(f);
    gguf_builder_free(&b);
    refused_path(path, "split.no");
    temp_file_remove(&other);
    remove_shards(base.path);
    temp_file_remove(&base);
}

/* ---- from memory ---------------------------------------------------------------------------- */

typedef struct set {
    gguf_builder files[FILES];
    uint8_t *bytes;
    size_t size;
    gguf_shard shards[FILES];
} set;

static set join(gguf_builder files[FILES]) {
    set s = {0};
    for (size_t i = 0; i < FILES; i++) {
        s.shards[i] = (gguf_shard){size_round_up(s.size, 4096), files[i].image_bytes};
        s.size = s.shards[i].start + s.shards[i].size;
    }
    s.bytes = calloc(s.size, 1);
    assert_non_null(s.bytes);
    for (size_t i = 0; i < FILES; i++) {
        memcpy(s.bytes + s.shards[i].start, files[i].image, files[i].image_bytes);
        gguf_builder_free(&files[i]);
    }
    return s;
}

static void expect(gguf_builder files[FILES], const char *word) {
    set s = join(files);
    sl_error error = {0};
    model_file file = {0};
    const sl_status status = gguf_split_parse(s.bytes, s.size, s.shards, FILES, &file, &error);
    if (word ? status == SL_OK || !strstr(error.message, word) : status != SL_OK) {
        fail_msg("expected %s, found: %s", word ? word : "no failure", error.message);
    }
    for (size_t i = 0; i < file.tensor_count; i++) {
        assert_true(file.tensors[i].data == s.bytes + file.tensors[i].offset);
        assert_true(file.tensors[i].offset + file.tensors[i].bytes <= s.size);
    }
    model_file_free(&file);
    free(s.bytes);
}

static void refusals(void **state) {
    (void)state;
    gguf_builder files[FILES];
    for (int fault = 0; fault < 6; fault++) {
        for (size_t i = 0; i < FILES; i++) {
            shard(&files[i], i);
        }
        static const char *const words[] = {
            NULL, "split.count", "split.no", "split.tensors.count", "twice", "file 3 of 3"};
        const uint64_t dims[] = {32};
        switch (fault) {
        case 1:
            gguf_builder_remove(&files[1], "split.count");
            put_u16(&files[1], "split.count", 4);
            break;
        case 2:
            gguf_builder_remove(&files[1], "split.no");
            break;
        case 3:
            gguf_builder_tensor_add(&files[2], "more", QUANT_F32, 1, dims, NULL);
            break;
        case 4: {
            char name[80];
            snprintf(name, sizeof name, "%s", files[0].tensor[0].name);
            char last[80];
            snprintf(last, sizeof last, "%s", files[2].tensor[0].name);
            gguf_builder_tensor_remove(&files[2], last);
            gguf_builder_tensor_add(&files[2], name, QUANT_F32, 1, dims, NULL);
            break;
        }
        case 5:
            gguf_builder_patch(&files[2], files[2].tensor[0].offset_at, 8, 1u << 30);
            break;
        default:
            break;
        }
        for (size_t i = 0; i < FILES && fault != 5; i++) {
            gguf_builder_finish(&files[i]);
        }
        expect(files, words[fault]);
    }
}

static void names(void **state) {
    (void)state;
    char out[64];
    assert_true(gguf_split_name("a/b-00002-of-00003.gguf", 1, 3, out));
    assert_string_equal(out, "a/b-00001-of-00003.gguf");
    assert_true(gguf_split_name("-00002-of-01000.gguf", 1000, 1000, out));
    assert_string_equal(out, "-01000-of-01000.gguf");
    static const char *const bad[] = {"",
                                      "b.gguf",
                                      "b-00002-of-00004.gguf",
                                      "b-00002-of-00003.ggu",
                                      "b-0002-of-00003.gguf",
                                      "b-0000x-of-00003.gguf",
                                      "00002-of-00003.gguf"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(gguf_split_name(bad[i], 1, 3, out));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_one_file),
        cmocka_unit_test(missing_and_misnamed),
        cmocka_unit_test(refusals),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
