/* What today's families make of their hyper-parameters: windows, rotary sets, scales, caps, norms,
 * and what they refuse. That the numbers are right as a whole, tests/parity compares with another
 * program; here families are compared with each other, where one is the other in other clothes. */
#include "base/size.h"
#include "formats/gguf.h"
#include "models/gemma.h"
#include "support/gguf_tiny_gated.h"
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

enum { N_VOCAB = 61 };

static const char *const families[] = {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"};

static gguf_tiny_gated options_of(const char *architecture) {
    gguf_tiny_gated o = gguf_tiny_gated_defaults(architecture);
    o.window = strncmp(architecture, "gemma", 5) == 0 ? 8 : 0;
    return o;
}

static gguf_builder start(const gguf_tiny_gated *o) {
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_tiny_gated(&b, o);
    return b;
}

/* The weights point to the program, so that *m must stay where it is. */
static void build(gguf_builder *b, test_model *m) {
    sl_error error;
    gguf_builder_finish(b);
    if (test_model_build(b->image, b->image_bytes, m, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
}

/* Logits of n tokens in a context of n_context, for the caller to free; frees the builder. */
static float *logits_in(gguf_builder *b, const int32_t *tokens, size_t n, size_t n_context) {
    test_model m;
    sl_error error;
    build(b, &m);
    executor_options options = test_options(n);
    options.n_context = n_context;
    float *logits = test_logits(&m, &options, tokens, n, n, &error);
    assert_non_null(logits);
    test_model_free(&m);
    gguf_builder_free(b);
    return logits;
}

static const int32_t some_tokens[] = {3, 14, 15, 9, 26, 5, 35, 8, 9,  7,  9, 32, 38, 46, 26, 43,
                                      3, 8,  32, 7, 9,  5, 0,  2, 58, 60, 1, 59, 11, 12, 13, 44};

static float *logits_of(gguf_builder *b) {
    return logits_in(b, some_tokens, COUNT_OF(some_tokens), 0);
}

static bool same(float *a, float *b) {
    const bool is_same = memcmp(a, b, COUNT_OF(some_tokens) * N_VOCAB * sizeof *a) == 0;
    free(a);
    free(b);
    return is_same;
}

/* The index-th operation of a kind. */
static const op *find_op(const program *p, op_kind kind, size_t index) {
    for (size_t i = 0; i < p->ops.count; i++) {
        if (program_op(p, i)->kind == kind && index-- == 0) {
            return program_op(p, i);
        }
    }
    fail_msg("no such operation");
    return NULL;
}

/* ---- one family in the clothes of another --------------------------------------------------- */

static gguf_builder llama_by_halves(void) {
    const gguf_tiny_gated o = options_of("llama");
    gguf_builder b = start(&o);
    gguf_builder_bool(&b, "sluice.rope_halves", true);
    return b;
}

static void phi3_is_llama_in_fused_matrices(void **state) {
    (void)state;
    const gguf_tiny_gated llama = options_of("llama"), phi3 = options_of("phi3");
    gguf_builder halves = llama_by_halves(), fused = start(&phi3);
    assert_true(same(logits_of(&halves), logits_of(&fused)));
    gguf_builder pairs = start(&llama);
    fused = start(&phi3);
    assert_false(same(logits_of(&pairs), logits_of(&fused)));
}

static void qwen2_is_llama_with_biases(void **state) {
    (void)state;
    const gguf_tiny_gated o = options_of("qwen2");
    gguf_builder with = start(&o), without = start(&o), llama = llama_by_halves();
    for (int layer = 0; layer < 3; layer++) {
        for (const char *part = "qkv"; *part; part++) {
            char name[32];
            snprintf(name, sizeof name, "blk.%d.attn_%c.bias", layer, *part);
            assert_true(gguf_builder_tensor_remove(&without, name));
        }
    }
    gguf_builder again = start(&o);
    assert_false(same(logits_of(&with), logits_of(&without)));
    for (int layer = 0; layer < 3; layer++) { /* LLaMA takes biases, too */
        for (const char *part = "qkv"; *part; part++) {
            char name[32];
            snprintf(name, sizeof name, "blk.%d.attn_%c.bias", layer, *part);
            const gguf_builder_tensor *t = gguf_builder_tensor_find(&again, name);
            gguf_builder_tensor_add(&llama, name, QUANT_F32, 1, t->dims, t->data.data);
        }
    }
    assert_true(same(logits_of(&again), logits_of(&llama)));
}

/* Norm weights that the file has as w and as 1 + w, which are exact here. */
static void norms_of_one_more(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        gguf_tiny_gated o = options_of(families[i]);
        gguf_builder whole = start(&o);
        o.norm_less = 1;
        gguf_builder less = start(&o), lie = start(&o);
        float *expected = logits_of(&whole);
        float *copy = malloc(COUNT_OF(some_tokens) * N_VOCAB * sizeof *copy);
        memcpy(copy, expected, COUNT_OF(some_tokens) * N_VOCAB * sizeof *copy);
        assert_true(same(expected, logits_of(&less)));
        gguf_builder_remove(&lie, "sluice.norm_plus_one");
        assert_false(same(copy, logits_of(&lie)));
    }
}

static void an_output_matrix_may_be_the_embedding(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        gguf_tiny_gated o = options_of(families[i]);
        o.tied = true;
        gguf_builder tied = start(&o), untied = start(&o);
        const gguf_builder_tensor *t = gguf_builder_tensor_find(&untied, "token_embd.weight");
        gguf_builder_bytes data = {0};
        gguf_builder_put(&data, t->data.data, t->data.count);
        gguf_builder_tensor_add(&untied, "output.weight", QUANT_F32, 2,
                                (const uint64_t[]){o.n_embd, N_VOCAB}, data.data);
        free(data.data);
        assert_true(same(logits_of(&tied), logits_of(&untied)));
    }
}

/* ---- windows -------------------------------------------------------------------------------- */

static void expect_windows(gguf_builder *b, const size_t *expected, size_t n_layer) {
    test_model m;
    build(b, &m);
    for (size_t i = 0; i < n_layer; i++) {
        assert_int_equal(find_op(&m.p, OP_ATTENTION, i)->as.attention.window, expected[i]);
    }
    test_model_free(&m);
    gguf_builder_free(b);
}

static void windows_by_layer(void **state) {
    (void)state;
    gguf_tiny_gated o = options_of("gemma2");
    o.n_layer = 7;
    gguf_builder b = start(&o);
    expect_windows(&b, (const size_t[]){8, 0, 8, 0, 8, 0, 8}, 7);
    o.window = 0; /* what is not said is what Gemma 2 was trained with */
    b = start(&o);
    expect_windows(&b, (const size_t[]){4096, 0, 4096, 0}, 4);
    o = options_of("gemma3");
    o.n_layer = 7;
    b = start(&o);
    expect_windows(&b, (const size_t[]){8, 8, 8, 8, 8, 0, 8}, 7);
    o.pattern = 3;
    b = start(&o);
    expect_windows(&b, (const size_t[]){8, 8, 0, 8, 8, 0, 8}, 7);
    o = options_of("phi3");
    o.window = 5;
    b = start(&o);
    expect_windows(&b, (const size_t[]){5, 5, 5}, 3);
    b = start(&o);
    const uint8_t which[] = {0, 1, 1};
    gguf_builder_array(&b, "phi3.attention.sliding_window_pattern", META_BOOL, which, 3);
    expect_windows(&b, (const size_t[]){0, 5, 5}, 3);
}

/* A window of four keys: the token's own and three before it. */
static void a_window_counts_the_token_itself(void **state) {
    (void)state;
    gguf_tiny_gated o = options_of("gemma2");
    o.n_layer = 1;
    o.window = 4;
    enum { AT = 20 };
    for (size_t changed = AT - 5; changed < AT; changed++) {
        int32_t tokens[AT + 1];
        memcpy(tokens, some_tokens, sizeof tokens);
        gguf_builder b = start(&o);
        float *before = logits_in(&b, tokens, AT + 1, 0);
        tokens[changed] = (tokens[changed] + 7) % N_VOCAB;
        b = start(&o);
        float *after = logits_in(&b, tokens, AT + 1, 0);
        const size_t last = (size_t)AT * N_VOCAB;
        const bool is_same = memcmp(before + last, after + last, N_VOCAB * sizeof *after) == 0;
        assert_int_equal(is_same, changed + 4 <= AT);
        free(before);
        free(after);
    }
}

/* ---- rotary sets ---------------------------------------------------------------------------- */

static void expect_set(const program *p, uint32_t set, double base, double factor) {
    const angle_set *s = program_angle_set(p, set);
    assert_int_equal(s->n_pair, 8);
    for (size_t i = 0; i < 8; i++) {
        const double expected = pow(base, -2.0 * (double)i / 16) / factor;
        assert_true(fabs(s->frequency[i] / expected - 1) < 1e-12);
    }
}

/* Which set a layer's keys are turned by. */
static uint32_t set_of(const program *p, size_t layer) {
    const slot_id slot = find_op(p, OP_STORE_KV, layer)->as.attention.angles;
    for (size_t i = 0;; i++) {
        const op *o = find_op(p, OP_ANGLES, i);
        if (o->out == slot) {
            return o->as.angles.set;
        }
    }
}

static void gemma3_turns_windows_by_a_base_of_their_own(void **state) {
    (void)state;
    gguf_tiny_gated o = options_of("gemma3");
    o.pattern = 2;
    gguf_builder b = start(&o);
    test_model m;
    build(&b, &m);
    expect_set(&m.p, set_of(&m.p, 0), 1e4, 1);
    expect_set(&m.p, set_of(&m.p, 1), 1e6, 1);
    assert_int_equal(set_of(&m.p, 0), set_of(&m.p, 2));
    test_model_free(&m);
    gguf_builder_f32(&b, "gemma3.rope.freq_base", 5e5f);
    gguf_builder_f32(&b, "gemma3.rope.freq_base_swa", 2e4f);
    gguf_builder_string(&b, "gemma3.rope.scaling.type", "linear");
    gguf_builder_f32(&b, "gemma3.rope.scaling.factor", 8);
    build(&b, &m);
    expect_set(&m.p, set_of(&m.p, 0), 2e4, 1);
    expect_set(&m.p, set_of(&m.p, 1), 5e5, 8);
    test_model_free(&m);
    gguf_builder_free(&b);
}

static gguf_builder start_long(void) {
    gguf_tiny_gated o = options_of("phi3");
    o.long_factors = true;
    o.n_rot = 12;
    return start(&o);
}

static void long_factors_divide(void **state) {
    (void)state;
    gguf_builder b = start_long();
    test_model m;
    build(&b, &m);
    const op_angles *angles = &find_op(&m.p, OP_ANGLES, 0)->as.angles;
    assert_int_equal(angles->long_from, 16);
    assert_true(angles->magnitude == 1.125f);
    for (size_t i = 0; i < 6; i++) {
        const double plain = pow(1e4, -2.0 * (double)i / 12);
        const double at_short = plain / (1 + 0.0625 * (double)(i + 1));
        const double at_long = plain / (1 + 0.5 * (double)(i + 1));
        assert_true(fabs(program_angle_set(&m.p, angles->set)->frequency[i] / at_short - 1) <
                    1e-12);
        assert_true(fabs(program_angle_set(&m.p, angles->long_set)->frequency[i] / at_long - 1) <
                    1e-12);
    }
    test_model_free(&m);
    gguf_builder_free(&b);
}

/* Not how many tokens there are decides, but for how many there is room. */
static void room_decides_between_short_and_long(void **state) {
    (void)state;
    gguf_builder few = start_long(), room = start_long(), all = start_long(), edge = start_long();
    float *of_few = logits_in(&few, some_tokens, 10, 0);
    float *of_edge = logits_in(&edge, some_tokens, 10, 16);
    float *of_room = logits_in(&room, some_tokens, 10, 17);
    float *of_all = logits_in(&all, some_tokens, COUNT_OF(some_tokens), 0);
    const size_t bytes = (size_t)10 * N_VOCAB * sizeof *of_few;
    assert_memory_equal(of_few, of_edge, bytes);
    assert_memory_equal(of_room, of_all, bytes);
    assert_true(memcmp(of_few, of_room, bytes) != 0);
    free(of_few);
    free(of_edge);
    free(of_room);
    free(of_all);
}

/* The factors as metadata, for formats in which they are no tensors. */
static void factors_may_be_arrays(void **state) {
    (void)state;
    gguf_builder tensors = start_long(), arrays = start_long();
    for (int is_long = 0; is_long < 2; is_long++) {
        const char *name = is_long ? "rope_factors_long.weight" : "rope_factors_short.weight";
        const gguf_builder_tensor *t = gguf_builder_tensor_find(&arrays, name);
        gguf_builder_array(&arrays,
                           is_long ? "sluice.rope_factors_long" : "sluice.rope_factors_short",
                           META_F32, t->data.data, 6);
        assert_true(gguf_builder_tensor_remove(&arrays, name));
    }
    assert_true(same(logits_of(&tensors), logits_of(&arrays)));
}

/* ---- scales and caps ------------------------------------------------------------------------ */

static void expect_scale(gguf_builder *b, float expected) {
    test_model m;
    build(b, &m);
    assert_true(find_op(&m.p, OP_ATTENTION, 0)->as.attention.scale == expected);
    test_model_free(&m);
    gguf_builder_free(b);
}

/* A file of these, with an attention.scale unless that is 0. */
static bool has_own_scale(const char *architecture, size_t n_layer, float scale) {
    gguf_tiny_gated o = options_of(architecture);
    o.n_layer = n_layer;
    gguf_builder b = start(&o);
    char key[64];
    snprintf(key, sizeof key, "%s.attention.scale", architecture);
    if (scale != 0) {
        gguf_builder_f32(&b, key, scale);
    }
    gguf_builder_finish(&b);
    model_file file;
    sl_error error;
    assert_int_equal(gguf_parse(b.image, b.image_bytes, &file, &error), SL_OK);
    const bool own = gemma_scale_is_own(&file);
    model_file_free(&file);
    gguf_builder_free(&b);
    return own;
}

static void a_scale_that_others_do_not_read_is_known(void **state) {
    (void)state;
    const char *const names[] = {"gemma2", "gemma3"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const size_t large = i == 0 ? 46 : 62; /* 27 billion parameters: 32 / 4, not heads of 16 */
        assert_false(has_own_scale(names[i], 6, 0));
        assert_false(has_own_scale(names[i], 6, 0.25f));
        assert_true(has_own_scale(names[i], 6, 1.0f / sqrtf(8)));
        assert_false(has_own_scale(names[i], large, 1.0f / sqrtf(8)));
        assert_true(has_own_scale(names[i], large, 0.25f));
        assert_false(has_own_scale(names[i], 6, NAN)); /* refused elsewhere */
    }
    assert_false(has_own_scale("qwen2", 6, 0.125f));
}

static void scores_are_scaled_by_what_the_model_is(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        const gguf_tiny_gated o = options_of(families[i]);
        gguf_builder b = start(&o);
        expect_scale(&b, 0.25f); /* heads of 16 */
    }
    static const struct {
        const char *architecture, *key;
        size_t n_layer;
    } large[] = {{"gemma2", "gemma2.attention.scale", 46},
                 {"gemma3", "gemma3.attention.scale", 62}};
    for (size_t i = 0; i < COUNT_OF(large); i++) {
        gguf_tiny_gated o = options_of(large[i].architecture);
        o.n_layer = large[i].n_layer; /* the models of 27 billion parameters */
        gguf_builder b = start(&o);
        expect_scale(&b, 1.0f / sqrtf(8)); /* 32 / 4 */
        b = start(&o);
        gguf_builder_f32(&b, large[i].key, 0.125f);
        expect_scale(&b, 0.125f);
        o.n_layer--;
        b = start(&o);
        expect_scale(&b, 0.25f);
    }
}

static void expect_caps(gguf_builder *b, float of_scores, float of_logits) {
    test_model m;
    build(b, &m);
    assert_true(find_op(&m.p, OP_ATTENTION, 1)->as.attention.soft_cap == of_scores);
    assert_true(program_op(&m.p, m.p.ops.count - 1)->as.linear.cap == of_logits);
    assert_true(find_op(&m.p, OP_EMBED, 0)->as.embed.scale == sqrtf(32));
    test_model_free(&m);
    gguf_builder_free(b);
}

static void soft_caps(void **state) {
    (void)state;
    const gguf_tiny_gated two = options_of("gemma2"), three = options_of("gemma3");
    gguf_builder b = start(&two);
    expect_caps(&b, 2, 3);
    b = start(&two);
    gguf_builder_remove(&b, "gemma2.attn_logit_softcapping");
    gguf_builder_remove(&b, "gemma2.final_logit_softcapping");
    expect_caps(&b, 50, 30);
    b = start(&two);
    gguf_builder_remove(&b, "gemma2.attn_logit_softcapping");
    gguf_builder_remove(&b, "gemma2.final_logit_softcapping");
    gguf_builder_f32(&b, "gemma2.attn_logit_softcapping", 0);
    gguf_builder_f32(&b, "gemma2.final_logit_softcapping", 0);
    expect_caps(&b, 0, 0);
    b = start(&three);
    expect_caps(&b, 0, 0);
    b = start(&three);
    gguf_builder_f32(&b, "gemma3.final_logit_softcapping", 7);
    expect_caps(&b, 0, 7);
    b = start(&two);
    float *logits = logits_of(&b);
    for (size_t i = 0; i < COUNT_OF(some_tokens) * N_VOCAB; i++) {
        assert_true(fabsf(logits[i]) < 3);
    }
    free(logits);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void expect_refusal(gguf_builder *b, const char *says) {
    sl_error error = {0};
    test_model m;
    gguf_builder_finish(b);
    if (test_model_build(b->image, b->image_bytes, &m, &error) != SL_ERR_FORMAT) {
        fail_msg("expected a refusal that says %s, found \"%s\"", says, error.message);
    }
    if (!strstr(error.message, says)) {
        fail_msg("expected %s, found \"%s\"", says, error.message);
    }
    gguf_builder_free(b);
}

static bool is_optional(const char *name) {
    return strstr(name, ".bias") || strcmp(name, "output.weight") == 0;
}

static void tensors_missing_or_misshapen(void **state) {
    (void)state;
    for (size_t f = 0; f < COUNT_OF(families); f++) {
        gguf_tiny_gated o = options_of(families[f]);
        o.long_factors = strcmp(families[f], "phi3") == 0;
        gguf_builder list = start(&o);
        for (size_t i = 0; i < list.tensor_count; i++) {
            const gguf_builder_tensor *t = &list.tensor[i];
            if (!is_optional(t->name)) {
                gguf_builder b = start(&o);
                gguf_builder_tensor_remove(&b, t->name);
                expect_refusal(&b, t->name);
            }
            for (size_t d = 0; d < 2; d++) {
                uint64_t dims[] = {t->dims[0], t->n_dims > 1 ? t->dims[1] : 1};
                dims[d]++;
                gguf_builder b = start(&o);
                gguf_builder_tensor_remove(&b, t->name);
                gguf_builder_tensor_add(&b, t->name, QUANT_F32, 2, dims, NULL);
                /* One more token is seen where the vocabulary meets something else. */
                const bool rows = d == 1 && strcmp(t->name, "token_embd.weight") == 0;
                expect_refusal(&b, rows ? "output.weight" : t->name);
            }
        }
        gguf_builder_free(&list);
    }
}

typedef struct bad_number {
    const char *architecture, *key;
    enum { U32, F32, TEXT, GONE } as;
    double number;
    const char *says;
} bad_number;

static const bad_number bad_numbers[] = {
    {"qwen2", "qwen2.block_count", GONE, 0, "qwen2.block_count"},
    {"qwen3", "qwen3.attention.layer_norm_rms_epsilon", GONE, 0, "epsilon"},
    {"qwen3", "qwen3.attention.key_length", U32, 8, "head size 8"},
    {"qwen3", "qwen3.attention.key_length", U32, 32, "attn_q.weight"},
    {"qwen3", "qwen3.attention.head_count_kv", U32, 3, "which is 3"},
    {"qwen2", "qwen2.attention.head_count", U32, 0, "head_count"},
    {"qwen2", "qwen2.block_count", U32, 4, "blk.3.attn_norm.weight"},
    {"qwen2", "qwen2.expert_count", TEXT, 0, "expert_count"},
    {"gemma2", "gemma2.attention.sliding_window", U32, 0, "sliding_window"},
    {"gemma2", "gemma2.attention.sliding_window", U32, 4e9, "sliding_window"},
    {"gemma2", "gemma2.attention.sliding_window_pattern", U32, 5000, "sliding_window_pattern"},
    {"gemma2", "gemma2.attention.sliding_window_pattern", TEXT, 0, "sliding_window_pattern"},
    {"gemma2", "gemma2.attention.scale", F32, 0, "attention.scale"},
    {"gemma2", "gemma2.attention.scale", F32, (double)NAN, "attention.scale"},
    {"gemma2", "gemma2.attn_logit_softcapping", F32, -1, "attn_logit_softcapping"},
    {"gemma2", "gemma2.final_logit_softcapping", F32, (double)INFINITY, "final_logit_softcapping"},
    {"gemma3", "gemma3.attention.sliding_window", GONE, 0, "sliding_window"},
    {"gemma3", "gemma3.attention.sliding_window", U32, 0, "sliding_window"},
    {"gemma3", "gemma3.rope.freq_base_swa", F32, 0, "freq_base_swa"},
    {"gemma3", "gemma3.rope.freq_base", F32, -1, "freq_base"},
    {"gemma3", "gemma3.final_logit_softcapping", F32, (double)NAN, "final_logit_softcapping"},
    {"gemma3", "gemma3.attention.value_length", U32, 8, "attn_v.weight"},
    {"phi3", "phi3.attention.head_count", U32, 2, "attn_qkv.weight"},
    {"phi3", "phi3.feed_forward_length", U32, 96, "ffn_up.weight"},
    {"phi3", "phi3.rope.dimension_count", U32, 10, "rope_factors_short.weight"},
    {"phi3", "phi3.rope.dimension_count", U32, 18, "head size 16"},
    {"phi3", "phi3.rope.scaling.original_context_length", U32, 0, "original_context_length"},
    {"phi3", "phi3.rope.scaling.attn_factor", F32, 0, "attn_factor"},
    {"phi3", "phi3.rope.scaling.attn_factor", F32, (double)NAN, "attn_factor"},
    {"phi3", "sluice.norm_plus_one", U32, 1, "norm_plus_one"},
    {"llama", "sluice.rope_halves", TEXT, 0, "rope_halves"},
};

static void numbers_that_are_none(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_numbers); i++) {
        const bad_number *n = &bad_numbers[i];
        gguf_tiny_gated o = options_of(n->architecture);
        o.long_factors = strcmp(n->architecture, "phi3") == 0;
        gguf_builder b = start(&o);
        gguf_builder_remove(&b, n->key);
        if (n->as == U32) {
            gguf_builder_u32(&b, n->key, (uint32_t)n->number);
        } else if (n->as == F32) {
            gguf_builder_f32(&b, n->key, (float)n->number);
        } else if (n->as == TEXT) {
            gguf_builder_string(&b, n->key, "yes");
        }
        expect_refusal(&b, n->says);
    }
}

static void patterns_and_factors_that_are_none(void **state) {
    (void)state;
    gguf_tiny_gated o = options_of("gemma3");
    const uint8_t two[] = {1, 0};
    gguf_builder b = start(&o);
    gguf_builder_array(&b, "gemma3.attention.sliding_window_pattern", META_BOOL, two, 2);
    expect_refusal(&b, "an array of 3");
    const int32_t numbers[] = {1, 2, 0};
    b = start(&o);
    gguf_builder_array(&b, "gemma3.attention.sliding_window_pattern", META_I32, numbers, 3);
    expect_refusal(&b, "sliding_window_pattern");

    static const float bad[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        const float factors[] = {1, 1, 1, bad[i], 1, 1};
        b = start_long();
        gguf_builder_tensor_remove(&b, "rope_factors_long.weight");
        gguf_builder_tensor_add(&b, "rope_factors_long.weight", QUANT_F32, 1, (const uint64_t[]){6},
                                factors);
        expect_refusal(&b, "expected positive numbers");
    }
    b = start_long();
    gguf_builder_tensor_remove(&b, "rope_factors_long.weight");
    gguf_builder_array(&b, "sluice.rope_factors_long", META_F32, bad, 4);
    expect_refusal(&b, "has 4 numbers, expected 6");
    b = start_long();
    gguf_builder_tensor_remove(&b, "rope_factors_long.weight");
    gguf_builder_array(&b, "sluice.rope_factors_long", META_I32, numbers, 3);
    expect_refusal(&b, "sluice.rope_factors_long");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phi3_is_llama_in_fused_matrices),
        cmocka_unit_test(qwen2_is_llama_with_biases),
        cmocka_unit_test(norms_of_one_more),
        cmocka_unit_test(an_output_matrix_may_be_the_embedding),
        cmocka_unit_test(windows_by_layer),
        cmocka_unit_test(a_window_counts_the_token_itself),
        cmocka_unit_test(gemma3_turns_windows_by_a_base_of_their_own),
        cmocka_unit_test(long_factors_divide),
        cmocka_unit_test(room_decides_between_short_and_long),
        cmocka_unit_test(factors_may_be_arrays),
        cmocka_unit_test(scores_are_scaled_by_what_the_model_is),
        cmocka_unit_test(a_scale_that_others_do_not_read_is_known),
        cmocka_unit_test(soft_caps),
        cmocka_unit_test(tensors_missing_or_misshapen),
        cmocka_unit_test(numbers_that_are_none),
        cmocka_unit_test(patterns_and_factors_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
