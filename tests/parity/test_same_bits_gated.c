/* As test_same_bits.c, for what today's families have beside LLaMA's operations: norms of heads and
 * of results, soft caps, windows in some layers, gated GELU, rotations for long contexts. The
 * logits of a token must not depend on threads, chunks, instruction set, or types of memory. */
#include "cpu/cpu.h"
#include "support/gguf_tiny_gated.h"
#include "support/quick.h"
#include "support/test_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKEN = 330, N_VOCAB = 61 }; /* more than one of attention's parts */

static gguf_builder builder;
static test_model model;
static int32_t tokens[N_TOKEN];

static void build(const char *architecture, quant_type type) {
    gguf_tiny_gated options = gguf_tiny_gated_defaults(architecture);
    options.n_embd = 96;
    options.head = 32;
    options.n_ff = 160;
    options.n_ctx = 512;
    options.type = type;
    options.tied = true;
    options.window = strncmp(architecture, "gemma", 5) == 0 ? 37 : 0;
    options.pattern = options.window ? 2 : 0;
    options.long_factors = strcmp(architecture, "phi3") == 0;
    gguf_builder_init(&builder, 3);
    gguf_builder_tiny_gated(&builder, &options);
    gguf_builder_finish(&builder);
    sl_error error;
    if (test_model_build(builder.image, builder.image_bytes, &model, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    for (int i = 0; i < N_TOKEN; i++) {
        tokens[i] = (i * 7919 + 13) % N_VOCAB;
    }
}

static void unbuild(void) {
    test_model_free(&model);
    gguf_builder_free(&builder);
}

static float *run(size_t threads, size_t chunk, quant_type cache, uint32_t hidden) {
    sl_error error;
    executor_options o = test_options(N_TOKEN);
    o.threads = threads;
    o.type_k = o.type_v = cache;
    o.hidden_features = hidden;
    float *logits = test_logits(&model, &o, tokens, N_TOKEN, chunk, &error);
    if (!logits) {
        fail_msg("%s", error.message);
    }
    return logits;
}

static void assert_same(const char *architecture, const float *expected, float *found,
                        const char *what) {
    for (size_t i = 0; i < (size_t)N_TOKEN * N_VOCAB; i++) {
        assert_true(isfinite(expected[i]));
        if (memcmp(&expected[i], &found[i], sizeof *found) != 0) {
            fail_msg("%s, %s: logit %zu of token %zu is %a, expected %a", architecture, what,
                     i % N_VOCAB, i / N_VOCAB, (double)found[i], (double)expected[i]);
        }
    }
    free(found);
}

/* Expected are the bits of plain C, on one thread, with the whole prompt at once. */
static void compare(const char *architecture, quant_type type, quant_type cache) {
    build(architecture, type);
    float *expected = run(1, N_TOKEN, cache, UINT32_MAX);
    assert_true(expected[0] != expected[1]);
    for (size_t threads = quick_or(3, 1); threads <= 3; threads++) {
        assert_same(architecture, expected, run(threads, N_TOKEN, cache, 0), "threads");
    }
    assert_same(architecture, expected, run(2, 1, cache, 0), "tokens one by one");
    assert_same(architecture, expected, run(3, 7, cache, 0), "chunks of 7");
    assert_same(architecture, expected, run(1, 100, cache, CPU_AVX512), "chunks of 100");
    free(expected);
    unbuild();
}

static void every_family(void **state) {
    (void)state;
    static const char *const architectures[] = {"qwen2", "qwen3", "gemma2", "gemma3", "phi3"};
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        if (!quick_run() || i % 2 == 0) {
            compare(architectures[i], QUANT_F32, QUANT_F32);
        }
        if (!quick_run() || i % 2 == 1) {
            compare(architectures[i], QUANT_Q8_0, QUANT_F16);
        }
    }
}

/* Soft caps meet every way in which keys are kept. */
static void every_cache_type(void **state) {
    (void)state;
    compare("gemma2", QUANT_F16, QUANT_BF16);
    if (!quick_run()) {
        compare("gemma2", QUANT_F16, QUANT_Q8_0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family),
        cmocka_unit_test(every_cache_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
