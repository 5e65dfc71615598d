/* What families make of their hyper-parameters: rotary frequencies and their scaling, heads of any
 * size, biases, tied outputs. What they refuse is in tests/fault/test_bad_models.c. */
#include "models/models.h"

#include "base/size.h"
#include "formats/gguf.h"
#include "support/temp_file.h"
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

static void start_tiny(gguf_builder *b) {
    const gguf_tiny_options options = gguf_tiny_defaults();
    gguf_builder_init(b, 3);
    gguf_builder_tiny_llama(b, &options);
}

/* The weights point to the program, so that *m must stay where it is. */
static void build(gguf_builder *b, test_model *m) {
    sl_error error;
    gguf_builder_finish(b);
    if (test_model_build(b->image, b->image_bytes, m, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
}

/* ---- frequencies ---------------------------------------------------------------------------- */

/* Heads of 8: four pairs. Compared with the C library's pow to 1e-12. */
static void assert_frequencies(gguf_builder *b, const double expected[4]) {
    test_model m;
    build(b, &m);
    assert_int_equal(m.p.angle_sets.count, 1);
    const angle_set *set = program_angle_set(&m.p, 0);
    assert_int_equal(set->n_pair, 4);
    for (size_t i = 0; i < 4; i++) {
        if (!(fabs(set->frequency[i] / expected[i] - 1) < 1e-12)) {
            fail_msg("frequency %zu is %.17g, expected %.17g", i, set->frequency[i], expected[i]);
        }
    }
    test_model_free(&m);
}

static void expect_scaled(gguf_builder *b, double base, double factor) {
    double expected[4];
    for (int i = 0; i < 4; i++) {
        expected[i] = pow(base, -2.0 * i / 8) / factor;
    }
    assert_frequencies(b, expected);
    gguf_builder_free(b);
}

static void frequencies_of_a_base(void **state) {
    (void)state;
    gguf_builder b;
    start_tiny(&b);
    expect_scaled(&b, 10000, 1);

    start_tiny(&b);
    gguf_builder_remove(&b, "llama.rope.freq_base"); /* LLaMA's own where it is not said */
    expect_scaled(&b, 10000, 1);

    start_tiny(&b);
    gguf_builder_remove(&b, "llama.rope.freq_base");
    gguf_builder_f32(&b, "llama.rope.freq_base", 500000.0f);
    gguf_builder_string(&b, "llama.rope.scaling.type", "none");
    expect_scaled(&b, 500000, 1);
}

static void linear_scaling(void **state) {
    (void)state;
    gguf_builder b;
    start_tiny(&b);
    gguf_builder_string(&b, "llama.rope.scaling.type", "linear");
    gguf_builder_f32(&b, "llama.rope.scaling.factor", 4.0f);
    expect_scaled(&b, 10000, 4);

    start_tiny(&b); /* the key of early files */
    gguf_builder_f32(&b, "llama.rope.scale_linear", 2.0f);
    expect_scaled(&b, 10000, 2);

    start_tiny(&b); /* a type that is not said is linear, as in llama.cpp */
    gguf_builder_f32(&b, "llama.rope.scaling.factor", 8.0f);
    expect_scaled(&b, 10000, 8);

    start_tiny(&b); /* "none" means it */
    gguf_builder_string(&b, "llama.rope.scaling.type", "none");
    gguf_builder_f32(&b, "llama.rope.scaling.factor", 8.0f);
    expect_scaled(&b, 10000, 1);
}

static void factors_divide(void **state) {
    (void)state;
    gguf_builder b;
    start_tiny(&b);
    const float factors[] = {1.0f, 2.0f, 8.0f, 0.5f};
    gguf_builder_tensor_add(&b, "rope_freqs.weight", QUANT_F32, 1, (const uint64_t[]){4}, factors);
    double expected[4];
    for (int i = 0; i < 4; i++) {
        expected[i] = pow(10000, -2.0 * i / 8) / (double)factors[i];
    }
    assert_frequencies(&b, expected);
    gguf_builder_free(&b);
}

/* ---- llama3's scaling ----------------------------------------------------------------------- */

/* The parity fixture that has its scaling as a tensor, which converters compute ... */
static const char rope3[] = TEST_GOLDEN "/parity/llama-rope3";

/* ... rebuilt without the tensor, with the parameters as tools/make_parity.py has them. */
static void say_scaling_as_metadata(const model_file *file, gguf_builder *b, float factor,
                                    uint32_t old_context) {
    gguf_builder_init(b, 3);
    for (size_t i = 0; i < file->meta_count; i++) {
        const meta_entry *e = &file->meta[i];
        char key[128];
        snprintf(key, sizeof key, "%.*s", STR_ARG(e->key));
        /* An array's value has its element type and its count in front. */
        const size_t front = e->type == META_ARRAY ? 12 : 0;
        gguf_builder_raw(b, key, e->type, e->data - front, e->data_bytes + front);
    }
    gguf_builder_string(b, "llama.rope.scaling.type", "llama3");
    gguf_builder_f32(b, "llama.rope.scaling.factor", factor);
    gguf_builder_f32(b, "llama.rope.scaling.low_freq_factor", 1.0f);
    gguf_builder_f32(b, "llama.rope.scaling.high_freq_factor", 4.0f);
    gguf_builder_u32(b, "llama.rope.scaling.original_context_length", old_context);
    for (size_t i = 0; i < file->tensor_count; i++) {
        const tensor_entry *t = &file->tensors[i];
        char name[80];
        snprintf(name, sizeof name, "%.*s", STR_ARG(t->name));
        if (strcmp(name, "rope_freqs.weight") != 0) {
            gguf_builder_tensor_add(b, name, t->type, (uint32_t)t->n_dims, t->dims, t->data);
        }
    }
    assert_int_equal(b->tensor_count + 1, file->tensor_count);
}

/* Largest difference from the logits of transformers, as a share of their range. */
static double difference_from_reference(gguf_builder *b) {
    char path[300];
    size_t n_token, n_reference;
    sl_error error;
    test_model m;
    build(b, &m);
    snprintf(path, sizeof path, "%s.tokens", rope3);
    int32_t *tokens = test_read_tokens(path, &n_token);
    snprintf(path, sizeof path, "%s.logits.npy", rope3);
    float *reference = test_read_npy(path, &n_reference);
    assert_int_equal(n_reference, n_token * m.p.n_vocab);
    const executor_options options = test_options(n_token);
    float *logits = test_logits(&m, &options, tokens, n_token, n_token, &error);
    assert_non_null(logits);
    double low = INFINITY, high = -INFINITY, most = 0;
    for (size_t i = 0; i < n_reference; i++) {
        low = fmin(low, reference[i]);
        high = fmax(high, reference[i]);
        const double d = fabs((double)logits[i] - (double)reference[i]);
        most = d <= most ? most : d;
    }
    free(logits);
    free(tokens);
    free(reference);
    test_model_free(&m);
    return most / (high - low);
}

static void llama3_scaling_from_metadata(void **state) {
    (void)state;
    char path[300];
    snprintf(path, sizeof path, "%s.gguf", rope3);
    size_t size;
    uint8_t *bytes = test_read_file(path, &size);
    model_file file;
    sl_error error;
    assert_int_equal(gguf_parse(bytes, size, &file, &error), SL_OK);
    const struct {
        float factor;
        uint32_t old_context;
        bool right;
    } tries[] = {{8.0f, 32, true}, {7.0f, 32, false}, {8.0f, 64, false}};
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        gguf_builder b;
        say_scaling_as_metadata(&file, &b, tries[i].factor, tries[i].old_context);
        const double d = difference_from_reference(&b);
        print_message("factor %g, old context %u: %.1e\n", (double)tries[i].factor,
                      tries[i].old_context, d);
        assert_true(tries[i].right ? d <= 1e-4 : d > 1e-3);
        gguf_builder_free(&b);
    }
    model_file_free(&file);
    free(bytes);
}

/* ---- shapes --------------------------------------------------------------------------------- */

static const op *find_op(const program *p, op_kind kind) {
    for (size_t i = 0; i < p->ops.count; i++) {
        if (program_op(p, i)->kind == kind) {
            return program_op(p, i);
        }
    }
    fail_msg("no such operation");
    return NULL;
}

/* Heads need not be the embedding cut into equal parts. */
static void heads_of_a_size_of_their_own(void **state) {
    (void)state;
    gguf_builder b;
    start_tiny(&b);
    gguf_builder_u32(&b, "llama.attention.key_length", 16);
    gguf_builder_u32(&b, "llama.attention.value_length", 4);
    static const struct {
        const char *name;
        uint64_t n_in, n_out;
    } parts[] = {
        {"attn_q", 32, 64}, {"attn_k", 32, 32}, {"attn_v", 32, 8}, {"attn_output", 16, 32}};
    for (int layer = 0; layer < 2; layer++) {
        for (size_t i = 0; i < COUNT_OF(parts); i++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", layer, parts[i].name);
            gguf_builder_tensor_remove(&b, name);
            gguf_builder_tensor_add(&b, name, QUANT_F32, 2,
                                    (const uint64_t[]){parts[i].n_in, parts[i].n_out}, NULL);
        }
    }
    test_model m;
    build(&b, &m);
    const op_attention *a = &find_op(&m.p, OP_ATTENTION)->as.attention;
    assert_int_equal(a->n_head, 4);
    assert_int_equal(a->n_head_kv, 2);
    assert_int_equal(a->head_k, 16);
    assert_int_equal(a->head_v, 4);
    assert_int_equal(a->n_rot, 8); /* as the file says */
    assert_true(a->scale == 0.25f);
    const int32_t tokens[] = {1, 2, 3};
    sl_error error;
    const executor_options options = test_options(3);
    float *logits = test_logits(&m, &options, tokens, 3, 3, &error);
    assert_non_null(logits);
    assert_true(isfinite(logits[0]));
    free(logits);
    test_model_free(&m);
    gguf_builder_free(&b);
}

static float first_logit(gguf_builder *b) {
    const int32_t token = 5;
    sl_error error;
    test_model m;
    build(b, &m);
    const executor_options options = test_options(1);
    float *logits = test_logits(&m, &options, &token, 1, 1, &error);
    assert_non_null(logits);
    const float first = logits[0];
    free(logits);
    test_model_free(&m);
    return first;
}

static void biases_are_used_where_there_are_some(void **state) {
    (void)state;
    gguf_builder b;
    start_tiny(&b);
    const float before = first_logit(&b);
    static float ones[257];
    for (size_t i = 0; i < COUNT_OF(ones); i++) {
        ones[i] = 1;
    }
    gguf_builder_tensor_add(&b, "output.bias", QUANT_F32, 1, (const uint64_t[]){257}, ones);
    const float after = first_logit(&b);
    assert_true(after == before + 1.0f);
    static const char *const optional[] = {"attn_q", "attn_k",   "attn_v",  "attn_output",
                                           "ffn_up", "ffn_gate", "ffn_down"};
    static const uint64_t lengths[] = {32, 16, 16, 32, 64, 64, 32};
    float last = after;
    for (size_t i = 0; i < COUNT_OF(optional); i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.1.%s.bias", optional[i]);
        gguf_builder_tensor_add(&b, name, QUANT_F32, 1, &lengths[i], ones);
        const float now = first_logit(&b);
        /* With one key, q and k do not matter: all weight goes to it. */
        const bool matters = i != 0 && i != 1;
        assert_int_equal(now != last, matters);
        last = now;
    }
    gguf_builder_free(&b);
}

static void an_output_may_be_the_embedding(void **state) {
    (void)state;
    gguf_builder tied, untied;
    start_tiny(&tied);
    assert_true(gguf_builder_tensor_remove(&tied, "output.weight"));
    const float shared = first_logit(&tied);
    start_tiny(&untied);
    gguf_builder_tensor_remove(&untied, "output.weight");
    const gguf_builder_tensor *embedding = gguf_builder_tensor_find(&untied, "token_embd.weight");
    uint8_t *copy = malloc(embedding->data.count);
    memcpy(copy, embedding->data.data, embedding->data.count);
    gguf_builder_tensor_add(&untied, "output.weight", QUANT_F32, 2, (const uint64_t[]){32, 257},
                            copy);
    free(copy);
    assert_true(shared == first_logit(&untied));
    gguf_builder_free(&tied);
    gguf_builder_free(&untied);
}

static void gpt2_has_no_more_positions_than_it_learned(void **state) {
    (void)state;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_tiny_gpt2(&b, QUANT_F32);
    test_model m;
    build(&b, &m);
    assert_int_equal(m.p.n_ctx_train, 64);
    assert_int_equal(m.p.n_ctx_limit, 64);
    assert_int_equal(m.p.n_layer, 2);
    assert_int_equal(m.p.n_embd, 32);
    assert_int_equal(m.p.n_vocab, 257);
    test_model_free(&m);
    gguf_builder_free(&b);
    start_tiny(&b);
    build(&b, &m);
    assert_int_equal(m.p.n_ctx_train, 64);
    assert_int_equal(m.p.n_ctx_limit, 0); /* rotation has no end */
    test_model_free(&m);
    gguf_builder_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_of_a_base),
        cmocka_unit_test(linear_scaling),
        cmocka_unit_test(factors_divide),
        cmocka_unit_test(llama3_scaling_from_metadata),
        cmocka_unit_test(heads_of_a_size_of_their_own),
        cmocka_unit_test(biases_are_used_where_there_are_some),
        cmocka_unit_test(an_output_may_be_the_embedding),
        cmocka_unit_test(gpt2_has_no_more_positions_than_it_learned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
