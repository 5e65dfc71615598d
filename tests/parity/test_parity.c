/* Logits against Hugging Face transformers in float32 (tools/make_parity.py wrote the files).
 *
 * Bound: the largest difference is at most 1e-4 of the range of the reference's logits. So that
 * the bound means something, each hyper-parameter is then altered in the file's bytes, and the
 * difference must exceed it.
 */
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

static const double bound = 1e-4;

typedef struct fixture {
    const char *name;
    uint8_t *bytes;
    size_t size;
    int32_t *tokens;
    size_t n_token;
    float *reference;
    size_t n_reference;
} fixture;

static fixture load(const char *name) {
    char path[512];
    fixture f = {.name = name};
    snprintf(path, sizeof path, TEST_GOLDEN "/parity/%s.gguf", name);
    f.bytes = test_read_file(path, &f.size);
    snprintf(path, sizeof path, TEST_GOLDEN "/parity/%s.tokens", name);
    f.tokens = test_read_tokens(path, &f.n_token);
    snprintf(path, sizeof path, TEST_GOLDEN "/parity/%s.logits.npy", name);
    f.reference = test_read_npy(path, &f.n_reference);
    return f;
}

static void unload(fixture *f) {
    free(f->bytes);
    free(f->tokens);
    free(f->reference);
}

/* Largest difference, as a share of the reference's range. */
static double difference(const fixture *f, quant_type cache) {
    test_model m;
    sl_error error;
    if (test_model_build(f->bytes, f->size, &m, &error) != SL_OK) {
        fail_msg("%s: %s", f->name, error.message);
    }
    assert_int_equal(f->n_token * m.p.n_vocab, f->n_reference);
    executor_options options = test_options(f->n_token);
    options.threads = 2;
    options.type_k = options.type_v = cache;
    float *logits = test_logits(&m, &options, f->tokens, f->n_token, f->n_token, &error);
    if (!logits) {
        fail_msg("%s: %s", f->name, error.message);
    }
    const double d = test_distance(logits, f->reference, f->n_reference);
    free(logits);
    test_model_free(&m);
    return d;
}

static void logits_are_those_of_transformers(void **state) {
    static const char *const names[] = {"llama-mha",    "llama-gqa",   "llama-tied",  "llama-rope3",
                                        "llama-linear", "llama-theta", "mistral-swa", "gpt2"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        fixture f = load(names[i]);
        const double f32 = difference(&f, QUANT_F32), f16 = difference(&f, QUANT_F16);
        printf("  %-12s largest difference / range: %.1e, with keys and values in f16 %.1e\n",
               f.name, f32, f16);
        assert_true(f32 <= bound);
        assert_true(f16 <= 1e-2);
        unload(&f);
    }
}

/* Finds the value of a metadata key in the bytes: key, its u32 type, then the value. */
static uint8_t *value_of(const fixture *f, const char *key) {
    const size_t length = strlen(key);
    for (size_t i = 8; i + length + 8 < f->size; i++) {
        uint64_t stored;
        memcpy(&stored, f->bytes + i - 8, sizeof stored);
        if (stored == length && memcmp(f->bytes + i, key, length) == 0) {
            return f->bytes + i + length + 4;
        }
    }
    fail_msg("%s has no key %s", f->name, key);
    return NULL;
}

static void altered_float_is_noticed(const char *name, const char *key, float factor) {
    fixture f = load(name);
    uint8_t *at = value_of(&f, key);
    float value;
    memcpy(&value, at, sizeof value);
    value *= factor;
    memcpy(at, &value, sizeof value);
    const double d = difference(&f, QUANT_F32);
    printf("  %-12s %s times %g: %.1e\n", name, key, (double)factor, d);
    assert_true(d > 10 * bound);
    unload(&f);
}

static void altering_a_parameter_is_noticed(void **state) {
    (void)state;
    altered_float_is_noticed("llama-theta", "llama.rope.freq_base", 1.5f);
    altered_float_is_noticed("llama-theta", "llama.attention.layer_norm_rms_epsilon", 10.0f);
    altered_float_is_noticed("llama-linear", "llama.rope.scaling.factor", 1.25f);
    altered_float_is_noticed("gpt2", "gpt2.attention.layer_norm_epsilon", 1e3f);
}

static void altering_the_mask_is_noticed(void **state) {
    (void)state;
    fixture f = load("mistral-swa");
    uint32_t window;
    uint8_t *at = value_of(&f, "llama.attention.sliding_window");
    memcpy(&window, at, sizeof window);
    window += 1;
    memcpy(at, &window, sizeof window);
    assert_true(difference(&f, QUANT_F32) > 10 * bound);
    unload(&f);
}

static void altering_rope_factors_is_noticed(void **state) {
    (void)state;
    fixture f = load("llama-rope3");
    test_model m;
    sl_error error;
    assert_int_equal(test_model_build(f.bytes, f.size, &m, &error), SL_OK);
    const tensor_entry *t = tensor_find(&m.file, str_from("rope_freqs.weight"));
    assert_non_null(t);
    const float one = 1.0f;
    const size_t last = (size_t)(t->data - f.bytes) + (t->dims[0] - 1) * sizeof one;
    test_model_free(&m);
    memcpy(f.bytes + last, &one, sizeof one);
    assert_true(difference(&f, QUANT_F32) > 10 * bound);
    unload(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_transformers),
        cmocka_unit_test(altering_a_parameter_is_noticed),
        cmocka_unit_test(altering_the_mask_is_noticed),
        cmocka_unit_test(altering_rope_factors_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
