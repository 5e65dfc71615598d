/* The same weights in other formats: their logits are those of the GGUF, bit for bit, whatever the
 * format, the type, where the bytes lie (most of these files know no alignment), and whether all
 * weights are in memory, are rearranged, or are read anew for each pass. */
#include "sluice.h"

#include "base/size.h"
#include "support/legacy_builder.h"
#include "support/quick.h"
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

enum { N_TOKEN = 24, MIB = 1 << 20 };

/* Fewer in a quick run; of two passes still. */
static size_t n_token, n_batch;

/* The caller frees them. */
typedef struct logits {
    float *values;
    size_t n_vocab;
    uint64_t streamed;
} logits;

static bool collect(void *user, size_t index, const float *row) {
    const logits *l = user;
    memcpy(l->values + index * l->n_vocab, row, l->n_vocab * sizeof *row);
    return true;
}

static sl_status compute(const char *path, uint64_t budget, bool file_order, logits *out,
                         sl_error *error) {
    const sl_model_options how = {.memory_budget = budget, .no_rearrange = file_order};
    const sl_session_options wanted = {.n_ctx = 64, .n_batch = n_batch, .threads = 2};
    sl_model *model;
    sl_session *session;
    sl_status status = sl_model_load(path, &how, &model, error);
    if (status != SL_OK) {
        return status;
    }
    status = sl_session_create(model, &wanted, &session, error);
    if (status != SL_OK) {
        sl_model_free(model);
        return status;
    }
    sl_model_info info;
    sl_model_wait(model);
    sl_model_get_info(model, &info);
    int32_t tokens[N_TOKEN];
    for (int i = 0; i < N_TOKEN; i++) {
        tokens[i] = (i * 37 + 5) % (int)info.n_vocab;
    }
    *out =
        (logits){malloc(n_token * info.n_vocab * sizeof(float)), info.n_vocab, info.streamed_bytes};
    assert_non_null(out->values);
    status = sl_session_eval_all(session, tokens, n_token, collect, out, error);
    sl_session_free(session);
    sl_model_free(model);
    return status;
}

static logits expect_logits(const char *path, uint64_t budget, bool file_order) {
    logits out;
    sl_error error = {0};
    if (compute(path, budget, file_order, &out, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return out;
}

static logits of_image(const void *image, size_t bytes) {
    const temp_file file = temp_file_write(image, bytes);
    const logits out = expect_logits(file.path, 0, false);
    temp_file_remove(&file);
    return out;
}

static void expect_same(logits a, logits b) {
    assert_int_equal(a.n_vocab, b.n_vocab);
    assert_memory_equal(a.values, b.values, n_token * a.n_vocab * sizeof *a.values);
    free(b.values);
}

/* ---- ggml's first formats ------------------------------------------------------------------- */

static const quant_type types[] = {QUANT_F32,  QUANT_F16,  QUANT_Q4_0, QUANT_Q4_1,
                                   QUANT_Q5_0, QUANT_Q5_1, QUANT_Q8_0, QUANT_Q2_K,
                                   QUANT_Q3_K, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K};

static gguf_tiny_options llama_options(quant_type type) {
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_vocab = 301;
    options.n_embd = 256;
    options.n_ff = 512;
    options.n_head = 8;
    options.n_head_kv = 4;
    options.type = type;
    return options;
}

static void make_llama(gguf_builder *model, const gguf_tiny_options *options) {
    gguf_builder_init(model, 3);
    gguf_builder_tiny_llama(model, options);
    if (options->n_head == options->n_head_kv) { /* what is taken where the file cannot say */
        const char *key = "llama.attention.layer_norm_rms_epsilon";
        gguf_builder_remove(model, key);
        gguf_builder_f32(model, key, 5e-6f);
    }
    gguf_builder_finish(model);
}

static void llama_container(quant_type type, uint32_t magic, uint32_t version, size_t n_head_kv) {
    gguf_builder model;
    legacy_builder old;
    gguf_tiny_options options = llama_options(type);
    options.n_head_kv = n_head_kv;
    make_llama(&model, &options);
    legacy_llama(&old, &model, magic, version, 0);
    const logits expected = of_image(model.image, model.image_bytes);
    expect_same(expected, of_image(old.image.data, old.image.count));
    free(expected.values);
    legacy_free(&old);
    gguf_builder_free(&model);
}

static void llama(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        llama_container(types[i], LEGACY_GGJT, 3, 4);
    }
    for (size_t i = 0; i < 2; i++) { /* F32 and F16, in all containers */
        llama_container(types[i], LEGACY_GGML, 0, 8);
        llama_container(types[i], LEGACY_GGMF, 1, 8);
        llama_container(types[i], LEGACY_GGJT, 1, 8);
        llama_container(types[i], LEGACY_GGJT, 2, 4);
    }
    llama_container(QUANT_Q5_1, LEGACY_GGJT, 2, 4); /* blocks lay so already */
}

/* Rows of 32 values: K types do not fit. Version 2 of the blocks is in the header's type. */
static void gpt2(void **state) {
    (void)state;
    for (size_t i = 0; i < 7; i++) {
        gguf_builder model;
        legacy_builder old;
        gguf_builder_init(&model, 3);
        gguf_builder_tiny_gpt2(&model, types[i]);
        gguf_builder_finish(&model);
        const logits expected = of_image(model.image, model.image_bytes);
        legacy_gpt2(&old, &model, 2001, false);
        expect_same(expected, of_image(old.image.data, old.image.count));
        legacy_free(&old);
        if (types[i] == QUANT_F32 || types[i] == QUANT_F16) {
            legacy_gpt2(&old, &model, 1, true);
            expect_same(expected, of_image(old.image.data, old.image.count));
            legacy_free(&old);
        }
        free(expected.values);
        gguf_builder_free(&model);
    }
}

/* Every address that data can have, by a token that grows. */
static void any_alignment(void **state) {
    (void)state;
    static const quant_type chosen[] = {QUANT_F32, QUANT_F16, QUANT_Q4_K, QUANT_Q8_0};
    for (size_t i = 0; i < COUNT_OF(chosen); i++) {
        gguf_builder model;
        legacy_builder old;
        const gguf_tiny_options options = llama_options(chosen[i]);
        make_llama(&model, &options);
        legacy_llama(&old, &model, LEGACY_GGMF, 1, 0);
        const bool plain = quant_format_of(chosen[i])->block_length == 1;
        const logits expected = of_image(model.image, model.image_bytes);
        const uint32_t step = (uint32_t)quick_or(3, 1);
        for (uint32_t shift = 0; plain && shift < 8; shift += step) {
            /* The last token's length and text grow by a few bytes. */
            const size_t last = old.tensors_at - 4;
            uint8_t *image = malloc(old.image.count + 8);
            size_t words = old.words_at;
            for (size_t token = 0; token < 300; token++) {
                uint32_t length;
                memcpy(&length, old.image.data + words, sizeof length);
                words += 8 + length;
            }
            assert_non_null(image);
            memcpy(image, old.image.data, last);
            memset(image + last, '#', shift);
            memcpy(image + last + shift, old.image.data + last, old.image.count - last);
            uint32_t length;
            memcpy(&length, image + words, sizeof length);
            length += shift;
            memcpy(image + words, &length, sizeof length);
            expect_same(expected, of_image(image, old.image.count + shift));
            free(image);
        }
        free(expected.values);
        legacy_free(&old);
        gguf_builder_free(&model);
    }
}

/* ---- weights that do not fit ---------------------------------------------------------------- */

/* A container that holds rows anywhere, in the least memory that will do. */
static void stream(quant_type type, size_t n_head_kv, uint32_t magic, uint32_t version,
                   uint32_t ftype, bool file_order) {
    gguf_builder model;
    legacy_builder old;
    gguf_tiny_options options = llama_options(type);
    options.n_layer = 4;
    options.n_embd = 512;
    options.n_ff = 2048;
    options.n_vocab = 8001;
    options.n_head_kv = n_head_kv;
    make_llama(&model, &options);
    legacy_llama(&old, &model, magic, version, ftype);
    const temp_file file = temp_file_write(old.image.data, old.image.count);
    const logits expected = expect_logits(file.path, 0, file_order);
    sl_error error = {0};
    logits found = {0};
    uint64_t budget = 17 * MIB;
    while (compute(file.path, budget, file_order, &found, &error) == SL_ERR_MEMORY) {
        budget += MIB / 2;
    }
    assert_true(found.streamed > 0);
    expect_same(expected, found);
    free(expected.values);
    temp_file_remove(&file);
    legacy_free(&old);
    gguf_builder_free(&model);
}

static void streamed(void **state) {
    (void)state;
    stream(QUANT_F16, 4, LEGACY_GGJT, 3, 0, false);
    stream(QUANT_Q4_0, 4, LEGACY_GGJT, 3, 0, false);
}

/* Containers without padding, so that rows lie anywhere. */
static void streamed_unaligned(void **state) {
    (void)state;
    stream(QUANT_F16, 8, LEGACY_GGML, 0, 1, true);
}

/* ---- llama2.c ------------------------------------------------------------------------------- */

static void llama2c_floats(void **state) {
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        gguf_builder model;
        gguf_tiny_options options = llama_options(QUANT_F32);
        options.tied = tied;
        make_llama(&model, &options);
        const logits expected = of_image(model.image, model.image_bytes);
        for (unsigned version = 0; version < 2; version++) {
            gguf_builder_bytes image;
            llama2c_write(&image, &model, version, 0);
            expect_same(expected, of_image(image.data, image.count));
            free(image.data);
        }
        free(expected.values);
        gguf_builder_free(&model);
    }
}

/* Groups as Q8_0 blocks: what a GGUF with blocks of the same numbers gives. */
static void as_blocks(gguf_builder *model, uint32_t group) {
    for (size_t i = 0; i < model->tensor_count; i++) {
        gguf_builder_tensor *t = &model->tensor[i];
        if (t->n_dims < 2 || t->dims[1] < 2) {
            continue;
        }
        const size_t n = t->data.count / sizeof(float);
        gguf_builder_bytes blocks = {0};
        for (size_t at = 0; at < n; at += 32) {
            const size_t start = at / group * group;
            float values[1024], most = 0;
            memcpy(values, t->data.data + start * sizeof *values, group * sizeof *values);
            for (uint32_t k = 0; k < group; k++) {
                const float size = values[k] < 0 ? -values[k] : values[k];
                most = size > most ? size : most;
            }
            const float scale = most / 127;
            const uint16_t half = quant_f32_to_f16(scale);
            gguf_builder_put(&blocks, &half, sizeof half);
            for (size_t k = at - start; k < at - start + 32; k++) {
                const int8_t q = (int8_t)__builtin_lrintf(values[k] / scale);
                gguf_builder_put(&blocks, &q, 1);
            }
        }
        free(t->data.data);
        t->data = blocks;
        t->type = QUANT_Q8_0;
    }
    gguf_builder_finish(model);
}

static void llama2c_groups(void **state) {
    (void)state;
    static const uint32_t groups[] = {32, 64, 256};
    for (size_t i = 0; i < COUNT_OF(groups); i++) {
        gguf_builder model;
        gguf_builder_bytes image;
        gguf_tiny_options options = llama_options(QUANT_F32);
        make_llama(&model, &options);
        llama2c_write(&image, &model, 2, groups[i]);
        as_blocks(&model, groups[i]);
        const logits expected = of_image(model.image, model.image_bytes);
        expect_same(expected, of_image(image.data, image.count));
        free(image.data);
        free(expected.values);
        gguf_builder_free(&model);
    }
}

/* Where groups do not fit into blocks of 32 the products of value and scale are floats. */
static void llama2c_odd_groups(void **state) {
    (void)state;
    gguf_builder model;
    gguf_builder_bytes image;
    const gguf_tiny_options options = llama_options(QUANT_F32);
    make_llama(&model, &options);
    llama2c_write(&image, &model, 2, 16);
    for (size_t i = 0; i < model.tensor_count; i++) {
        gguf_builder_tensor *t = &model.tensor[i];
        const size_t n = t->dims[1] > 1 ? t->data.count / sizeof(float) : 0;
        for (size_t at = 0; at < n; at += 16) {
            float values[16], most = 0;
            memcpy(values, t->data.data + at * sizeof *values, sizeof values);
            for (size_t k = 0; k < 16; k++) {
                const float size = values[k] < 0 ? -values[k] : values[k];
                most = size > most ? size : most;
            }
            for (size_t k = 0; k < 16; k++) {
                const float scale = most / 127;
                values[k] = (float)(int8_t)__builtin_lrintf(values[k] / scale) * scale;
            }
            memcpy(t->data.data + at * sizeof *values, values, sizeof values);
        }
    }
    gguf_builder_finish(&model);
    const logits expected = of_image(model.image, model.image_bytes);
    expect_same(expected, of_image(image.data, image.count));
    free(image.data);
    free(expected.values);
    gguf_builder_free(&model);
}

/* A trained model, where it is: as GGUF and as a checkpoint. */
static void stories(void **state) {
    (void)state;
    const char *gguf = TEST_SHARED "/models/stories260K.gguf";
    const char *bin = TEST_SHARED "/models/stories260K.bin";
    if (access(gguf, R_OK) != 0 || access(bin, R_OK) != 0) {
        print_message("skipped: %s is not there\n", bin);
        skip();
    }
    const logits expected = expect_logits(gguf, 0, false);
    expect_same(expected, expect_logits(bin, 0, false));
    free(expected.values);
}

int main(void) {
    n_token = quick_or(8, N_TOKEN);
    n_batch = quick_or(5, 16);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama),
        cmocka_unit_test(gpt2),
        cmocka_unit_test(any_alignment),
        cmocka_unit_test(streamed),
        cmocka_unit_test(streamed_unaligned),
        cmocka_unit_test(llama2c_floats),
        cmocka_unit_test(llama2c_groups),
        cmocka_unit_test(llama2c_odd_groups),
        cmocka_unit_test(stories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
