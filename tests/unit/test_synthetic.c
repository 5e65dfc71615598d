/* Models made up in memory: their values, that a seed means the same weights whoever fills them,
 * that every type computes, and what is refused. */
#include "engine/synthetic.h"

#include "base/size.h"
#include "engine/model.h"
#include "models/models.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const model_shape small_llama = {
    "small", "llama", 2, 256, 512, 4, 2, 300, 64, SHAPE_LAST_NORM | SHAPE_OUTPUT, 0, 0, 0, 0, 0};
static const model_shape small_gpt2 = {"small", "gpt2",          2, 288, 768, 4, 4, 300,
                                       64,      SHAPE_LAST_NORM, 0, 0,   0,   0, 0};

/* The first era, with every part that a shape may have. */
static const model_shape small_others[] = {
    {"small", "gptj", 2, 256, 512, 4, 4, 300, 64, SHAPE_LAST_NORM | SHAPE_OUTPUT, 32, 0, 0, 0, 0},
    {"small", "gptneox", 2, 256, 512, 4, 4, 300, 64, SHAPE_LAST_NORM | SHAPE_OUTPUT, 16, 0, 0, 0,
     0},
    {"small", "opt", 2, 256, 512, 4, 4, 300, 64, SHAPE_LAST_NORM, 0, 0, 0, 0, 0},
    {"small", "opt", 2, 256, 512, 4, 4, 300, 64, SHAPE_PROJECTED, 0, 0, 128, 0, 0},
    {"small", "bloom", 2, 256, 512, 4, 4, 300, 64, SHAPE_LAST_NORM, 0, 0, 0, 0, 0},
};

static sl_model *make(const model_shape *shape, const char *type, uint64_t seed) {
    sl_model *model = NULL;
    sl_error error = {0};
    if (synthetic_create(shape, synthetic_type_find(type), seed, NULL, &model, &error) != SL_OK) {
        fail_msg("%s: %s", type, error.message);
    }
    return model;
}

/* ---- values --------------------------------------------------------------------------------- */

/* Mean 0 and the deviation asked for, to 5 %: measured on a million values decoded by the
 * definition of each type. */
static void values_are_spread_as_asked(void **state) {
    (void)state;
    enum { N = 1 << 20 };
    const float wanted = 0.015625f;
    float *values = malloc(N * sizeof *values);
    uint8_t *blocks = malloc(N * sizeof(float));
    assert_non_null(values);
    assert_non_null(blocks);
    for (uint32_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        const quant_format *format = quant_format_of(type);
        if (!format) {
            continue;
        }
        random_state random;
        random_seed(&random, 1);
        synthetic_fill((quant_type)type, wanted, &random, blocks, N);
        format->decode(blocks, values, N);
        double sum = 0, squares = 0;
        for (size_t k = 0; k < N; k++) {
            assert_true(isfinite(values[k]));
            sum += (double)values[k];
            squares += (double)values[k] * (double)values[k];
        }
        const double deviation = sqrt(squares / N);
        if (fabs(deviation / (double)wanted - 1) > 0.05 || fabs(sum / N) > 0.05 * (double)wanted) {
            fail_msg("%s: mean %g, deviation %g, expected 0 and %g", format->name, sum / N,
                     deviation, (double)wanted);
        }
    }
    free(values);
    free(blocks);
}

/* Small counts: what does not fill a whole random number. */
static void nothing_is_written_behind(void **state) {
    (void)state;
    for (uint32_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        const quant_format *format = quant_format_of(type);
        for (size_t n = 1; format && n < 8; n++) {
            uint8_t blocks[8 * 256];
            memset(blocks, 0xa5, sizeof blocks);
            random_state random;
            random_seed(&random, n);
            synthetic_fill((quant_type)type, 1, &random, blocks, n * format->block_length);
            for (size_t i = n * format->block_bytes; i < sizeof blocks; i++) {
                assert_int_equal(blocks[i], 0xa5);
            }
        }
    }
}

static void a_seed_means_the_same_weights(void **state) {
    (void)state;
    /* Some tensors of several pieces. */
    model_shape shape = small_llama;
    shape.n_vocab = 5000;
    sl_model *model = make(&shape, "f32", 7), *other = make(&shape, "f32", 8);
    assert_true(model->page_bytes > 10 << 20);
    assert_int_equal(model->page_bytes, other->page_bytes);
    assert_int_not_equal(memcmp(model->pages, other->pages, model->page_bytes), 0);
    for (size_t threads = 1; threads <= 3; threads++) {
        memset(other->pages, 0, other->page_bytes);
        sl_error error;
        assert_int_equal(synthetic_fill_all(&other->file, &shape, 7, threads, NULL, NULL, &error),
                         SL_OK);
        assert_memory_equal(model->pages, other->pages, model->page_bytes);
    }
    sl_model_free(model);
    sl_model_free(other);
}

/* ---- models --------------------------------------------------------------------------------- */

/* Logits after a few tokens, n_vocab of them, for the caller to free. */
static float *logits_of(sl_model *model, const int32_t *tokens, size_t count) {
    sl_session *session = NULL;
    sl_session_options options;
    sl_session_options_init(&options);
    options.threads = 2;
    sl_error error = {0};
    sl_model_info info;
    sl_model_get_info(model, &info);
    if (sl_session_create(model, &options, &session, &error) != SL_OK ||
        sl_session_eval(session, tokens, count, NULL, NULL, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    float *copy = malloc(info.n_vocab * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, sl_session_logits(session), info.n_vocab * sizeof *copy);
    sl_session_free(session);
    return copy;
}

static void check_logits(const model_shape *shape, const char *type) {
    static const int32_t tokens[] = {3, 299, 0, 17, 17, 5, 250, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    sl_model *model = make(shape, type, 1), *same = make(shape, type, 1);
    float *a = logits_of(model, tokens, COUNT_OF(tokens));
    float *b = logits_of(same, tokens, COUNT_OF(tokens));
    double squares = 0;
    for (size_t i = 0; i < shape->n_vocab; i++) {
        if (!isfinite(a[i])) {
            fail_msg("%s %s: logit %zu is %g", shape->architecture, type, i, (double)a[i]);
        }
        squares += (double)a[i] * (double)a[i];
    }
    const double size = sqrt(squares / (double)shape->n_vocab);
    if (size < 0.1 || size > 10) {
        fail_msg("%s %s: logits of about %g, expected about 1", shape->architecture, type, size);
    }
    assert_memory_equal(a, b, shape->n_vocab * sizeof *a);
    free(a);
    free(b);
    sl_model_free(model);
    sl_model_free(same);
}

static void every_type_computes(void **state) {
    (void)state;
    size_t count = 0;
    for (const synthetic_type *type; (type = synthetic_type_at(count)); count++) {
        assert_string_equal(sl_synthetic_type_at(count), type->name);
        check_logits(&small_llama, type->name);
        check_logits(&small_gpt2, type->name);
    }
    assert_int_equal(count, 17);
    assert_null(sl_synthetic_type_at(count));
}

static void every_architecture_computes(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(small_others); i++) {
        check_logits(&small_others[i], "f32");
        check_logits(&small_others[i], "q4_k_m");
    }
}

/* Tables of every shape's full size make a program that uses every tensor. */
static void every_shape_is_a_program(void **state) {
    (void)state;
    for (size_t i = 0; shape_at(i); i++) {
        const model_shape *shape = shape_at(i);
        sl_model_options options;
        sl_model_options_init(&options);
        sl_model *model = model_new(&options);
        assert_non_null(model);
        sl_error error = {0};
        if (synthetic_tables(model, shape, synthetic_type_find("q4_0"), &error) != SL_OK ||
            model_build(&model->file, &model->computation, &error) != SL_OK) {
            fail_msg("%s: %s", shape->name, error.message);
        }
        assert_int_equal(model->computation.weights.count + model->computation.n_table,
                         model->file.tensor_count);
        sl_model_free(model);
    }
}

/* The counts against those made by hand for small_llama. */
static void the_model_describes_itself(void **state) {
    (void)state;
    sl_model *model = make(&small_llama, "q8_0", 1);
    sl_model_info info;
    sl_model_get_info(model, &info);
    const uint64_t layer = 2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512;
    assert_string_equal(info.architecture, "llama");
    assert_string_equal(info.name, "small");
    assert_string_equal(info.type, "Q8_0");
    assert_int_equal(info.layer_weights, 2 * layer);
    assert_int_equal(info.output_weights, 256 * 300);
    assert_int_equal(info.parameter_count, 2 * layer + 2 * 256 * 300 + 5 * 256);
    assert_int_equal(info.bytes_per_token, (2 * layer + 256 * 300) / 32 * 34);
    assert_int_equal(info.n_vocab, 300);
    assert_int_equal(info.n_ctx_train, 64);
    sl_model_free(model);
}

static void text_is_refused(void **state) {
    (void)state;
    sl_model *model = make(&small_llama, "f32", 1);
    int32_t *tokens = NULL;
    size_t count = 0;
    sl_error error = {0};
    assert_int_equal(sl_tokenize(model, "a", 1, 0, &tokens, &count, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "no tokenizer"));
    assert_null(tokens);
    sl_decoder *decoder = NULL;
    assert_int_equal(sl_decoder_create(model, false, &decoder, &error), SL_ERR_ARGUMENT);
    assert_null(decoder);
    assert_int_equal(sl_token_bos(model), -1);
    assert_int_equal(sl_token_eos(model), -1);
    assert_false(sl_token_is_end(model, 2));
    const char *bytes = NULL;
    assert_int_equal(sl_token_piece(model, 2, true, &bytes), 0);
    assert_non_null(bytes);
    sl_model_free(model);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void expect_refusal(const char *shape, const char *type, uint64_t budget, sl_status status,
                           const char *first, const char *second) {
    sl_model_options options;
    sl_model_options_init(&options);
    options.memory_budget = budget;
    sl_model *model = NULL;
    sl_error error = {0};
    assert_int_equal(sl_model_synthesize(shape, type, 1, &options, &model, &error), status);
    assert_null(model);
    if (!strstr(error.message, first) || !strstr(error.message, second)) {
        fail_msg("no '%s' and '%s' in '%s'", first, second, error.message);
    }
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    const uint64_t gib = 1 << 30;
    expect_refusal("llama-8b", "q4_0", gib, SL_ERR_ARGUMENT, "'llama-8b'", "llama3-{1b,3b,8b,70b}");
    expect_refusal("", "q4_0", gib, SL_ERR_ARGUMENT, "gpt2-{117m,345m,", ", phi3-mini"); /* all */
    expect_refusal("llama-7b", "q4", gib, SL_ERR_ARGUMENT, "'q4'", "q4_k_m");
    /* 6738415616 parameters, 25.1 GiB in f32; q8_0 takes 6.7 GiB, q6_k 5.2. */
    expect_refusal("llama-7b", "f32", 6 * gib, SL_ERR_MEMORY, "6144 MiB", "q6_k");
    expect_refusal("llama-7b", "f32", 6 * gib, SL_ERR_MEMORY, "needs 257", "llama-7b in f32");
    expect_refusal("llama-7b", "f32", gib, SL_ERR_MEMORY, "1024 MiB", "no type");
}

static bool stop_at_once(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)user;
    assert_string_equal(what, "making weights");
    assert_true(done <= total);
    return false;
}

static void making_weights_can_be_stopped(void **state) {
    (void)state;
    sl_model_options options;
    sl_model_options_init(&options);
    options.progress = stop_at_once;
    sl_model *model = NULL;
    sl_error error = {0};
    assert_int_equal(sl_model_synthesize("gpt2-117m", "q4_0", 1, &options, &model, &error),
                     SL_ERR_CANCELLED);
    assert_null(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_spread_as_asked),
        cmocka_unit_test(nothing_is_written_behind),
        cmocka_unit_test(a_seed_means_the_same_weights),
        cmocka_unit_test(every_type_computes),
        cmocka_unit_test(every_architecture_computes),
        cmocka_unit_test(every_shape_is_a_program),
        cmocka_unit_test(the_model_describes_itself),
        cmocka_unit_test(text_is_refused),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(making_weights_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
