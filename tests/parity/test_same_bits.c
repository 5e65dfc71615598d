/* The logits of a token depend on the tokens before it and on nothing else: compared with memcmp.
 *
 * The model is random: rows of 768 values, 12 heads on 4, an odd vocabulary. The expected bits are
 * those of plain C on one thread with the whole prompt at once. A quick run has narrower rows and
 * fewer tokens, and goes through threads, batches and sequences with two types only; every type
 * still meets every level of the instruction set.
 */
#include "cpu/cpu.h"
#include "support/gguf_family.h"
#include "support/quick.h"
#include "support/test_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKEN = 300, N_VOCAB = 301, N_EMBD = 768 };

#define ALL_FEATURES UINT32_MAX

static const quant_type weight_types[] = {
    QUANT_F32,  QUANT_F16,    QUANT_BF16,   QUANT_Q4_0,  QUANT_Q4_1, QUANT_Q5_0,
    QUANT_Q5_1, QUANT_Q8_0,   QUANT_Q2_K,   QUANT_Q3_K,  QUANT_Q4_K, QUANT_Q5_K,
    QUANT_Q6_K, QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_MXFP4,
};

static const quant_type cache_types[] = {QUANT_F32, QUANT_F16, QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0};

/* Feature sets to compare, each what is hidden. */
static const struct {
    const char *name;
    uint32_t hidden;
} levels[] = {
    {"all", 0},
    {"without BF16", CPU_AVX512_BF16},
    {"AVX-512 without VNNI", CPU_AVX512_BF16 | CPU_AVX512_VNNI | CPU_AVX512_VBMI},
    {"AVX2 with VNNI", CPU_AVX512_BF16 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_AVX512},
    {"AVX2 without VNNI",
     CPU_AVX512_BF16 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_AVX512 | CPU_AVX_VNNI},
    {"NEON without dotprod", CPU_NEON_DOTPROD | CPU_NEON_I8MM},
};

static gguf_builder builder;
static test_model model;
static int32_t tokens[N_TOKEN];
static bool is_quick;
static size_t n_token = N_TOKEN;

/* A model of a family, llama where it is NULL. */
static void build_family(const char *family, quant_type type) {
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_layer = is_quick ? 1 : 2;
    options.n_embd = is_quick ? family ? 384 : 256 : N_EMBD; /* heads of 64 values */
    options.n_head = options.n_embd / 64;
    options.n_head_kv = is_quick ? 2 : 4;
    options.n_ff = is_quick ? 512 : 768;
    options.n_ctx = 512;
    options.n_vocab = N_VOCAB;
    options.type = type;
    gguf_builder_init(&builder, 3);
    if (family) {
        gguf_builder_family(&builder, family, &options);
    } else {
        gguf_builder_tiny_llama(&builder, &options);
    }
    gguf_builder_finish(&builder);
    sl_error error;
    if (test_model_build(builder.image, builder.image_bytes, &model, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    for (int i = 0; i < N_TOKEN; i++) {
        tokens[i] = (i * 7919 + 13) % N_VOCAB;
    }
}

static void build(quant_type type) {
    build_family(NULL, type);
}

static void unbuild(void) {
    test_model_free(&model);
    gguf_builder_free(&builder);
}

static executor_options options_of(size_t threads, quant_type cache, uint32_t hidden) {
    executor_options o = test_options(n_token);
    o.threads = threads;
    o.type_k = o.type_v = cache;
    o.hidden_features = hidden;
    return o;
}

static float *run(size_t threads, size_t chunk, quant_type cache, uint32_t hidden) {
    sl_error error;
    const executor_options o = options_of(threads, cache, hidden);
    float *logits = test_logits(&model, &o, tokens, n_token, chunk, &error);
    if (!logits) {
        fail_msg("%s", error.message);
    }
    return logits;
}

static void assert_same(const float *expected, float *found, const char *what) {
    if (memcmp(expected, found, n_token * N_VOCAB * sizeof *found) != 0) {
        size_t at = 0;
        while (memcmp(&expected[at], &found[at], sizeof *found) == 0) {
            at++;
        }
        fail_msg("%s: logit %zu of token %zu is %a, expected %a", what, at % N_VOCAB, at / N_VOCAB,
                 (double)found[at], (double)expected[at]);
    }
    free(found);
}

static void assert_finite(const float *logits) {
    for (size_t i = 0; i < n_token * N_VOCAB; i++) {
        assert_true(isfinite(logits[i]));
    }
    assert_true(logits[0] != logits[1]);
}

/* The prompt as sequence 2 of four, its rows spread between those of the others. */
static float *run_among_others(quant_type cache) {
    sl_error error;
    executor_options o = options_of(2, cache, 0);
    o.n_seq = 4;
    o.n_positions = 4 * 320;
    o.n_batch = 64;
    o.n_output = 64;
    executor *e;
    assert_int_equal(executor_create(&model.p, model.weights, &o, &e, &error), SL_OK);
    float *logits = malloc(n_token * N_VOCAB * sizeof *logits);
    size_t done = 0, others[4] = {0};
    while (done < n_token) {
        batch_row rows[64];
        size_t n = 0;
        const size_t first = done;
        for (size_t i = 0; n < 60 && done < n_token; i++) {
            const size_t other = (i * 5 + 1) % 4;
            if (other != 2 && others[other] < 90 * (other + 1)) {
                rows[n++] = (batch_row){.token = (int32_t)((i * 31 + other) % N_VOCAB),
                                        .sequence = other,
                                        .position = others[other]++,
                                        .output = i % 3 ? ROW_NONE : ROW_HIDDEN};
            }
            rows[n++] = (batch_row){
                .token = tokens[done], .sequence = 2, .position = done, .output = ROW_LOGITS};
            done++;
        }
        assert_int_equal(executor_run(e, rows, n, NULL, NULL, &error), SL_OK);
        size_t output = 0;
        for (size_t i = 0, mine = first; i < n; i++) {
            if (rows[i].sequence == 2) {
                memcpy(logits + mine++ * N_VOCAB, executor_logits(e, output),
                       N_VOCAB * sizeof *logits);
            }
            output += rows[i].output != ROW_NONE;
        }
    }
    executor_free(e);
    return logits;
}

/* The first half of the tokens shared from another sequence, a wrong turn taken and cut back. */
static float *run_from_shared_prefix(quant_type cache) {
    sl_error error;
    const size_t same = n_token / 2;
    executor_options o = options_of(1, cache, 0);
    o.n_seq = 2;
    o.n_positions = 3 * 320;
    executor *e;
    assert_int_equal(executor_create(&model.p, model.weights, &o, &e, &error), SL_OK);
    float *logits = malloc(n_token * N_VOCAB * sizeof *logits);
    static batch_row rows[N_TOKEN];
    for (size_t i = 0; i < n_token; i++) {
        rows[i] = (batch_row){
            .token = i < same + 10 ? tokens[i] : 5, .position = i, .output = ROW_LOGITS};
    }
    assert_int_equal(executor_run(e, rows, n_token, NULL, NULL, &error), SL_OK);
    for (size_t i = 0; i < same; i++) {
        memcpy(logits + i * N_VOCAB, executor_logits(e, i), N_VOCAB * sizeof *logits);
    }
    kv_share(executor_kv(e), 0, 1, same + 5);
    kv_truncate(executor_kv(e), 1, same);
    for (size_t i = same; i < n_token; i++) {
        rows[i] =
            (batch_row){.token = tokens[i], .sequence = 1, .position = i, .output = ROW_LOGITS};
    }
    assert_int_equal(executor_run(e, rows + same, n_token - same, NULL, NULL, &error), SL_OK);
    for (size_t i = same; i < n_token; i++) {
        memcpy(logits + i * N_VOCAB, executor_logits(e, i - same), N_VOCAB * sizeof *logits);
    }
    executor_free(e);
    return logits;
}

static void compare_levels(const float *expected, quant_type cache) {
    const size_t chunk = is_quick ? n_token - 1 : 100; /* a pass of many rows, and one of one */
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (i > 0 && !(cpu_features() & levels[i].hidden)) {
            continue; /* this processor has nothing of what the level hides */
        }
        assert_same(expected, run(2, chunk, cache, levels[i].hidden), levels[i].name);
    }
}

/* Everything that must not matter, for the model that is built. Returns its logits, to be freed. */
static float *compare_all(quant_type cache) {
    float *expected = run(1, n_token, cache, ALL_FEATURES);
    assert_finite(expected);
    for (size_t threads = is_quick ? 3 : 1; threads <= 4; threads++) {
        assert_same(expected, run(threads, n_token, cache, 0), "threads");
    }
    static const size_t chunks[] = {1, 7, 64};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        assert_same(expected, run(2, chunks[i], cache, 0), "chunks");
    }
    compare_levels(expected, cache);
    assert_same(expected, run_among_others(cache), "among other sequences");
    assert_same(expected, run_from_shared_prefix(cache), "a shared prefix");
    return expected;
}

/* Packed weights. The model is spent then: packing gives back the pages of the matrices that it has
 * read, which in memory that is no file's leaves zeros. */
static void compare_packed(const float *expected, quant_type cache) {
    if (residency_packable_bytes(model.weights) == 0) {
        return;
    }
    sl_error error;
    assert_int_equal(residency_pack(model.weights, &error), SL_OK);
    residency_wait(model.weights);
    assert_true(residency_packed_bytes(model.weights) > 0);
    compare_levels(expected, cache);
}

static bool leave_out(quant_type type) {
    return is_quick && type != QUANT_F32 && type != QUANT_Q8_0;
}

/* The levels alone, with as few tokens as fill the kernels' tiles; for types that are left out. */
static float *compare_levels_only(quant_type cache) {
    n_token = 24;
    float *expected = run(1, n_token, cache, ALL_FEATURES);
    assert_finite(expected);
    compare_levels(expected, cache);
    return expected;
}

static void for_each_weight_type(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof weight_types / sizeof *weight_types; i++) {
        const size_t usual = n_token;
        build(weight_types[i]);
        float *expected =
            leave_out(weight_types[i]) ? compare_levels_only(QUANT_F16) : compare_all(QUANT_F16);
        compare_packed(expected, QUANT_F16);
        free(expected);
        n_token = usual;
        printf("  %s\n", quant_format_of(weight_types[i])->name);
        unbuild();
    }
}

static void for_each_cache_type(void **state) {
    (void)state;
    build(QUANT_Q8_0);
    for (size_t i = 0; i < sizeof cache_types / sizeof *cache_types; i++) {
        const size_t usual = n_token;
        free(leave_out(cache_types[i]) ? compare_levels_only(cache_types[i])
                                       : compare_all(cache_types[i]));
        n_token = usual;
        printf("  keys and values in %s\n", quant_format_of(cache_types[i])->name);
    }
    unbuild();
}

/* The families of the first era: norms in place, both residuals, rotated halves, biases by distance
 * for a number of heads that is no power of two. */
static void for_each_family(void **state) {
    (void)state;
    static const quant_type types[] = {QUANT_F32, QUANT_Q4_K};
    for (size_t i = 0; gguf_family_at(i); i++) {
        const size_t usual = n_token;
        build_family(gguf_family_at(i), is_quick ? QUANT_F32 : types[i % 2]);
        float *expected =
            is_quick && i % 4 != 0 ? compare_levels_only(QUANT_F16) : compare_all(QUANT_F16);
        compare_packed(expected, QUANT_F16);
        free(expected);
        n_token = usual;
        printf("  %s\n", gguf_family_at(i));
        unbuild();
    }
}

/* Every weight type with every cache type: the largest difference in how, on the best kernels. */
static void for_each_pair_of_types(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof weight_types / sizeof *weight_types; i++) {
        if (leave_out(weight_types[i])) {
            continue;
        }
        build(weight_types[i]);
        for (size_t k = 0; k < sizeof cache_types / sizeof *cache_types; k++) {
            if (leave_out(cache_types[k])) {
                continue;
            }
            float *expected = run(1, n_token, cache_types[k], 0);
            assert_finite(expected);
            assert_same(expected, run(3, 7, cache_types[k], 0), "threads and chunks");
            free(expected);
        }
        unbuild();
    }
}

/* A vector row is its token's row; a hidden state is what the logits come from. */
static void a_vector_stands_for_its_token(void **state) {
    (void)state;
    sl_error error;
    build(QUANT_F32);
    const executor_options o = options_of(1, QUANT_F16, 0);
    executor *e;
    assert_int_equal(executor_create(&model.p, model.weights, &o, &e, &error), SL_OK);
    batch_row rows[3];
    for (size_t i = 0; i < 3; i++) {
        rows[i] = (batch_row){.token = tokens[i], .position = i, .output = ROW_LOGITS};
    }
    assert_int_equal(executor_run(e, rows, 3, NULL, NULL, &error), SL_OK);
    static float expected[3][N_VOCAB], vectors[3][N_EMBD], hidden[N_EMBD];
    for (size_t i = 0; i < 3; i++) {
        memcpy(expected[i], executor_logits(e, i), sizeof expected[i]);
    }
    const size_t bytes = model.p.n_embd * sizeof *hidden;
    memcpy(hidden, executor_hidden(e, 1), bytes);
    kv_truncate(executor_kv(e), 0, 0);
    const tensor_entry *embedding = tensor_find(&model.file, str_from("token_embd.weight"));
    for (size_t i = 0; i < 3; i++) {
        memcpy(vectors[i], embedding->data + (size_t)tokens[i] * bytes, bytes);
        rows[i].vector = vectors[i];
        rows[i].token = -1;
    }
    rows[0].output = ROW_NONE;
    assert_int_equal(executor_run(e, rows, 3, NULL, NULL, &error), SL_OK);
    assert_memory_equal(expected[1], executor_logits(e, 0), sizeof expected[1]);
    assert_memory_equal(expected[2], executor_logits(e, 1), sizeof expected[2]);
    assert_memory_equal(hidden, executor_hidden(e, 0), bytes);
    executor_free(e);
    unbuild();
}

int main(void) {
    is_quick = quick_run();
    n_token = quick_or(72, N_TOKEN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_each_weight_type),
        cmocka_unit_test(for_each_cache_type),
        cmocka_unit_test(for_each_family),
        cmocka_unit_test(for_each_pair_of_types),
        cmocka_unit_test(a_vector_stands_for_its_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
