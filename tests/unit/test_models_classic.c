/* The families of the first era: what they make of hyper-parameters and tensors, and one refusal
 * for each thing that may be wrong. That they compute what the published models do is in
 * tests/parity/test_families.c. */
#include "models/models.h"

#include "base/size.h"
#include "support/gguf_family.h"
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

static void start(gguf_builder *b, const char *family) {
    const gguf_tiny_options options = gguf_tiny_defaults();
    gguf_builder_init(b, 3);
    gguf_builder_family(b, family, &options);
}

/* The weights point to the program, so that *m must stay where it is. */
static void build(gguf_builder *b, test_model *m) {
    sl_error error;
    gguf_builder_finish(b);
    if (test_model_build(b->image, b->image_bytes, m, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
}

enum { N_TOKEN = 5, N_VOCAB = 257 };

/* Logits of a few tokens, [N_TOKEN][N_VOCAB]. */
static void compute(gguf_builder *b, float *logits) {
    static const int32_t tokens[N_TOKEN] = {1, 200, 3, 3, 77};
    test_model m;
    sl_error error;
    build(b, &m);
    assert_int_equal(m.p.n_vocab, N_VOCAB);
    const executor_options options = test_options(N_TOKEN);
    float *found = test_logits(&m, &options, tokens, N_TOKEN, N_TOKEN, &error);
    assert_non_null(found);
    memcpy(logits, found, N_TOKEN * N_VOCAB * sizeof *logits);
    free(found);
    test_model_free(&m);
    gguf_builder_free(b);
}

static const op *nth_op(const program *p, op_kind kind, size_t n) {
    for (size_t i = 0; i < p->ops.count; i++) {
        if (program_op(p, i)->kind == kind && n-- == 0) {
            return program_op(p, i);
        }
    }
    return NULL;
}

/* ---- what is made of a file ----------------------------------------------------------------- */

static void every_tensor_is_used_and_asked_for(void **state) {
    (void)state;
    for (size_t i = 0; gguf_family_at(i); i++) {
        gguf_builder b;
        test_model m;
        start(&b, gguf_family_at(i));
        build(&b, &m);
        assert_int_equal(m.p.weights.count, m.file.tensor_count);
        assert_int_equal(m.p.n_layer, 2);
        assert_int_equal(m.p.n_ctx_train, 64);
        test_model_free(&m);
        gguf_builder_free(&b);
    }
}

static void learned_positions_end(void **state) {
    (void)state;
    static const struct {
        const char *family;
        size_t limit;
    } known[] = {{"gptj", 0}, {"gptneox", 0}, {"bloom", 0}, {"opt", 64}, {"opt-350m", 64}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        gguf_builder b;
        test_model m;
        start(&b, known[i].family);
        build(&b, &m);
        assert_int_equal(m.p.n_ctx_limit, known[i].limit);
        test_model_free(&m);
        gguf_builder_free(&b);
    }
}

static void attention_of_each(void **state) {
    (void)state;
    static const struct {
        const char *family;
        size_t n_rot;
        bool halves, alibi;
    } known[] = {
        {"gptj", 4, false, false},
        {"gptneox", 4, true, false},
        {"opt", 0, false, false},
        {"bloom", 0, false, true},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        gguf_builder b;
        test_model m;
        start(&b, known[i].family);
        build(&b, &m);
        const op_attention *a = &nth_op(&m.p, OP_ATTENTION, 0)->as.attention;
        assert_int_equal(a->n_head, 4);
        assert_int_equal(a->n_head_kv, 4);
        assert_int_equal(a->head_k, 8);
        assert_int_equal(a->n_rot, known[i].n_rot);
        assert_int_equal(a->angles == NO_SLOT, known[i].n_rot == 0);
        assert_int_equal(a->rope_halves, known[i].halves);
        assert_int_equal(a->alibi, known[i].alibi);
        assert_true(a->scale == 1.0f / sqrtf(8));
        test_model_free(&m);
        gguf_builder_free(&b);
    }
}

/* Embeddings of OPT-350m are 16 wide here: what goes in as a vector and comes out as a hidden state
 * is, too. */
static void narrow_embeddings(void **state) {
    (void)state;
    gguf_builder b;
    test_model m;
    start(&b, "opt-350m");
    build(&b, &m);
    assert_int_equal(m.p.n_embd, 16);
    assert_int_equal(program_slot(&m.p, m.p.hidden)->width, 16);
    const op *embed = nth_op(&m.p, OP_EMBED, 0), *positions = nth_op(&m.p, OP_EMBED, 1);
    assert_int_equal(program_slot(&m.p, embed->out)->width, 16);
    assert_int_equal(program_slot(&m.p, positions->out)->width, 32);
    assert_true(positions->as.embed.tokens == NO_WEIGHT);
    assert_non_null(nth_op(&m.p, OP_NORM, 3)); /* two behind each layer */
    assert_null(nth_op(&m.p, OP_NORM, 4));     /* and none at the end */
    test_model_free(&m);
    gguf_builder_free(&b);
}

static void activations(void **state) {
    (void)state;
    static const struct {
        const char *family, *key, *value;
        prepare_kind expected;
    } known[] = {
        {"gptj", NULL, NULL, PREPARE_GELU},
        {"gptneox", NULL, NULL, PREPARE_GELU_ERF},
        {"bloom", NULL, NULL, PREPARE_GELU},
        {"opt", NULL, NULL, PREPARE_RELU},
        {"galactica", NULL, NULL, PREPARE_GELU_ERF},
        {"gptj", "sluice.activation", "relu", PREPARE_RELU},
        {"gptneox", "sluice.activation", "gelu_tanh", PREPARE_GELU},
        {"bloom", "sluice.activation", "gelu", PREPARE_GELU_ERF},
        {"opt", "opt.activation", "gelu_tanh", PREPARE_GELU},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        gguf_builder b;
        test_model m;
        start(&b, known[i].family);
        if (known[i].key) {
            gguf_builder_remove(&b, known[i].key);
            gguf_builder_string(&b, known[i].key, known[i].value);
        }
        build(&b, &m);
        size_t count = 0;
        for (size_t k = 0; k < m.p.ops.count; k++) {
            const op *o = program_op(&m.p, k);
            count += o->kind == OP_LINEAR && o->as.linear.prepare == known[i].expected;
        }
        assert_int_equal(count, 2); /* one in each layer */
        test_model_free(&m);
        gguf_builder_free(&b);
    }
}

/* ---- how bytes lie -------------------------------------------------------------------------- */

/* Puts the rows of q, k, v of all heads into those of head 0, head 1 ... */
static void interleave(gguf_builder *b, const char *name, size_t row_bytes) {
    enum { HEADS = 4, HEAD = 8 };
    gguf_builder_tensor *t = gguf_builder_tensor_find(b, name);
    assert_int_equal(t->data.count, 3 * HEADS * HEAD * row_bytes);
    uint8_t *old = malloc(t->data.count);
    memcpy(old, t->data.data, t->data.count);
    for (size_t part = 0; part < 3; part++) {
        for (size_t h = 0; h < HEADS; h++) {
            memcpy(t->data.data + (h * 3 + part) * HEAD * row_bytes,
                   old + (part * HEADS + h) * HEAD * row_bytes, HEAD * row_bytes);
        }
    }
    free(old);
}

static void interleaved_rows_are_the_same_model(void **state) {
    (void)state;
    static const char *const names[] = {"gptneox", "gptneox-sequential", "bloom"};
    static float expected[N_TOKEN * N_VOCAB], found[N_TOKEN * N_VOCAB];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        gguf_builder b;
        start(&b, names[i]);
        compute(&b, expected);
        for (int told = 0; told < 2; told++) {
            start(&b, names[i]);
            for (int layer = 0; layer < 2; layer++) {
                char name[64];
                snprintf(name, sizeof name, "blk.%d.attn_qkv.weight", layer);
                interleave(&b, name, 32 * sizeof(float));
                snprintf(name, sizeof name, "blk.%d.attn_qkv.bias", layer);
                interleave(&b, name, sizeof(float));
            }
            gguf_builder_bool(&b, "sluice.qkv_interleaved", told);
            compute(&b, found);
            assert_int_equal(memcmp(expected, found, sizeof found) == 0, told);
        }
    }
}

/* Rotary rows of GPT-J from neighbours to halves: the pairs meet the same angles. */
static void halved_rows_are_the_same_model(void **state) {
    (void)state;
    enum { HEADS = 4, HEAD = 8, ROT = 4, ROW = 32 };
    static float expected[N_TOKEN * N_VOCAB], found[N_TOKEN * N_VOCAB];
    gguf_builder b;
    start(&b, "gptj");
    compute(&b, expected);
    start(&b, "gptj");
    static const char *const names[] = {"blk.0.attn_q.weight", "blk.0.attn_k.weight",
                                        "blk.1.attn_q.weight", "blk.1.attn_k.weight"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        float rows[HEAD][ROW];
        float(*w)[ROW] = (void *)gguf_builder_tensor_find(&b, names[i])->data.data;
        for (size_t h = 0; h < HEADS; h++) {
            memcpy(rows, w + h * HEAD, sizeof rows);
            for (size_t k = 0; k < ROT / 2; k++) {
                memcpy(w[h * HEAD + k], rows[2 * k], sizeof rows[0]);
                memcpy(w[h * HEAD + ROT / 2 + k], rows[2 * k + 1], sizeof rows[0]);
            }
        }
    }
    gguf_builder_bool(&b, "sluice.rope_halves", true);
    compute(&b, found);
    for (size_t i = 0; i < COUNT_OF(found); i++) {
        /* Scores add up in another order. */
        assert_true(fabs((double)found[i] - (double)expected[i]) < 1e-4);
    }
}

/* ---- refusals ------------------------------------------------------------------------------- */

typedef enum sin_kind {
    KEY_GONE,
    KEY_U32,
    KEY_FLOAT,
    KEY_TEXT,
    TENSOR_GONE,
    TENSOR_SHAPE
} sin_kind;

static const struct {
    const char *family;
    sin_kind kind;
    const char *name;
    double number; /* of a key, or rows of 32 values in place of a matrix, a vector for 1 */
    const char *text;
    sl_status status;
    const char *says;
} sins[] = {
    {"gptj", KEY_GONE, "gptj.context_length", 0, NULL, SL_ERR_FORMAT, "gptj.context_length"},
    {"gptj", KEY_GONE, "gptj.attention.layer_norm_epsilon", 0, NULL, SL_ERR_FORMAT, "epsilon"},
    {"gptj", KEY_U32, "gptj.rope.dimension_count", 3, NULL, SL_ERR_FORMAT,
     "is 3, expected an even"},
    {"gptj", KEY_U32, "gptj.rope.dimension_count", 10, NULL, SL_ERR_FORMAT, "head size 8"},
    {"gptj", KEY_U32, "gptj.rope.dimension_count", 0, NULL, SL_ERR_FORMAT, "rope.dimension_count"},
    {"gptj", KEY_U32, "gptj.attention.head_count", 5, NULL, SL_ERR_FORMAT, "a multiple of"},
    {"gptj", KEY_U32, "gptj.attention.head_count", 0, NULL, SL_ERR_FORMAT, "head_count"},
    {"gptj", KEY_U32, "gptj.attention.head_count_kv", 2, NULL, SL_ERR_FORMAT, "is 2, expected 4"},
    {"gptj", KEY_U32, "gptj.block_count", 3, NULL, SL_ERR_FORMAT,
     "'blk.2.attn_q.weight' is missing"},
    {"gptj", KEY_FLOAT, "gptj.rope.freq_base", -1, NULL, SL_ERR_FORMAT, "rope.freq_base"},
    {"gptj", KEY_TEXT, "sluice.activation", 0, "swish", SL_ERR_UNSUPPORTED, "'swish'"},
    {"gptj", KEY_U32, "sluice.rope_halves", 1, NULL, SL_ERR_FORMAT, "sluice.rope_halves"},
    {"gptj", TENSOR_GONE, "blk.1.ffn_up.bias", 0, NULL, SL_ERR_FORMAT, "is missing"},
    {"gptj", TENSOR_GONE, "output_norm.bias", 0, NULL, SL_ERR_FORMAT, "is missing"},
    {"gptj", TENSOR_SHAPE, "output.bias", 1, NULL, SL_ERR_FORMAT, "expected [257]"},
    {"gptj", TENSOR_SHAPE, "blk.0.attn_k.weight", 16, NULL, SL_ERR_FORMAT, "expected [32, 32]"},
    {"gptneox", KEY_U32, "gptneox.use_parallel_residual", 1, NULL, SL_ERR_FORMAT, "use_parallel"},
    {"gptneox", KEY_U32, "gptneox.rope.dimension_count", 9, NULL, SL_ERR_FORMAT, "is 9"},
    {"gptneox", KEY_U32, "gptneox.attention.head_count_kv", 1, NULL, SL_ERR_FORMAT, "expected 4"},
    {"gptneox", TENSOR_GONE, "blk.1.attn_qkv.bias", 0, NULL, SL_ERR_FORMAT, "blk.1.attn_qkv.bias"},
    {"gptneox", TENSOR_GONE, "blk.0.ffn_norm.weight", 0, NULL, SL_ERR_FORMAT, "ffn_norm"},
    {"gptneox", TENSOR_SHAPE, "blk.1.attn_qkv.weight", 95, NULL, SL_ERR_FORMAT, "[32, 96]"},
    {"gptneox-sequential", TENSOR_GONE, "blk.1.ffn_norm.bias", 0, NULL, SL_ERR_FORMAT, "ffn_norm"},
    {"opt", KEY_TEXT, "opt.activation", 0, "silu", SL_ERR_UNSUPPORTED, "known: gelu"},
    {"opt", KEY_U32, "opt.context_length", 65, NULL, SL_ERR_FORMAT, "expected [32, 65]"},
    {"opt", KEY_U32, "opt.word_embedding_length", 16, NULL, SL_ERR_FORMAT, "token_embd.weight"},
    {"opt", KEY_U32, "opt.word_embedding_length", 0, NULL, SL_ERR_FORMAT, "word_embedding_length"},
    {"opt", KEY_U32, "opt.normalize_before", 0, NULL, SL_ERR_FORMAT, "opt.normalize_before"},
    {"opt", TENSOR_GONE, "output_norm.weight", 0, NULL, SL_ERR_FORMAT, "is missing"},
    {"opt", TENSOR_GONE, "position_embd.weight", 0, NULL, SL_ERR_FORMAT, "is missing"},
    {"opt", TENSOR_GONE, "blk.1.attn_q.bias", 0, NULL, SL_ERR_FORMAT, "'blk.1.attn_q.bias'"},
    {"opt", TENSOR_GONE, "blk.0.attn_k.bias", 0, NULL, SL_ERR_FORMAT, "'blk.0.attn_k.bias'"},
    {"opt", TENSOR_GONE, "blk.1.ffn_norm.weight", 0, NULL, SL_ERR_FORMAT, "is missing"},
    {"opt-350m", TENSOR_GONE, "project_in.weight", 0, NULL, SL_ERR_FORMAT, "project_in"},
    {"opt-350m", TENSOR_GONE, "project_out.weight", 0, NULL, SL_ERR_FORMAT, "project_out"},
    {"opt-350m", TENSOR_SHAPE, "project_out.weight", 15, NULL, SL_ERR_FORMAT, "[32, 16]"},
    {"opt-350m", KEY_GONE, "opt.word_embedding_length", 0, NULL, SL_ERR_FORMAT, "[32, 257]"},
    {"galactica", KEY_U32, "opt.attention.head_count_kv", 8, NULL, SL_ERR_FORMAT, "expected 4"},
    {"galactica", TENSOR_GONE, "blk.1.ffn_up.weight", 0, NULL, SL_ERR_FORMAT, "is missing"},
    {"bloom", TENSOR_GONE, "token_embd_norm.weight", 0, NULL, SL_ERR_FORMAT, "is missing"},
    {"bloom", TENSOR_GONE, "token_embd_norm.bias", 0, NULL, SL_ERR_FORMAT, "is missing"},
    {"bloom", TENSOR_SHAPE, "token_embd_norm.bias", 2, NULL, SL_ERR_FORMAT, "expected [32]"},
    {"bloom", TENSOR_GONE, "blk.0.attn_qkv.bias", 0, NULL, SL_ERR_FORMAT, "attn_qkv.bias"},
    {"bloom", KEY_U32, "bloom.attention.head_count_kv", 1, NULL, SL_ERR_FORMAT, "expected 4"},
    {"bloom", KEY_U32, "bloom.embedding_length", 64, NULL, SL_ERR_FORMAT, "expected [64, 257]"},
    {"bloom", KEY_TEXT, "sluice.qkv_interleaved", 0, "yes", SL_ERR_FORMAT, "sluice.qkv_inter"},
};

static void commit_sin(gguf_builder *b, size_t i) {
    const char *name = sins[i].name;
    const bool shaped = sins[i].kind == TENSOR_SHAPE;
    const uint64_t dims[] = {32, shaped ? (uint64_t)sins[i].number : 0};
    switch (sins[i].kind) {
    case KEY_GONE:
        assert_true(gguf_builder_remove(b, name));
        break;
    case KEY_U32:
        gguf_builder_remove(b, name);
        gguf_builder_u32(b, name, (uint32_t)sins[i].number);
        break;
    case KEY_FLOAT:
        gguf_builder_remove(b, name);
        gguf_builder_f32(b, name, (float)sins[i].number);
        break;
    case KEY_TEXT:
        gguf_builder_remove(b, name);
        gguf_builder_string(b, name, sins[i].text);
        break;
    case TENSOR_GONE:
        assert_true(gguf_builder_tensor_remove(b, name));
        break;
    case TENSOR_SHAPE:
        assert_true(gguf_builder_tensor_remove(b, name));
        gguf_builder_tensor_add(b, name, QUANT_F32, dims[1] == 1 ? 1 : 2, dims, NULL);
        break;
    }
}

static void each_sin_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sins); i++) {
        gguf_builder b;
        test_model m;
        sl_error error = {0};
        start(&b, sins[i].family);
        commit_sin(&b, i);
        gguf_builder_finish(&b);
        const sl_status status = test_model_build(b.image, b.image_bytes, &m, &error);
        if (status != sins[i].status || !strstr(error.message, sins[i].says)) {
            fail_msg("%s, %s: status %d, '%s', expected '%s'", sins[i].family, sins[i].name,
                     (int)status, error.message, sins[i].says);
        }
        gguf_builder_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_is_used_and_asked_for),
        cmocka_unit_test(learned_positions_end),
        cmocka_unit_test(attention_of_each),
        cmocka_unit_test(narrow_embeddings),
        cmocka_unit_test(activations),
        cmocka_unit_test(interleaved_rows_are_the_same_model),
        cmocka_unit_test(halved_rows_are_the_same_model),
        cmocka_unit_test(each_sin_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
