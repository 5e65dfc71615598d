/* Files that are good GGUF and no good models: each sin is refused with its status and with one
 * line that names it, and leaves nothing behind. Then weights that are not numbers, which only
 * computing shows. */
#include "sluice.h"

#include "base/size.h"
#include "support/temp_file.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef enum base { LLAMA, GPT2 } base;

static size_t sins; /* tried so far */

static gguf_builder start(base kind) {
    gguf_builder b;
    const gguf_tiny_options options = gguf_tiny_defaults();
    gguf_builder_init(&b, 3);
    if (kind == LLAMA) {
        gguf_builder_tiny_llama(&b, &options);
    } else {
        gguf_builder_tiny_gpt2(&b, QUANT_F32);
    }
    return b;
}

/* Loads what is built, and frees it. *model is NULL unless that went well. */
static sl_status load(gguf_builder *b, sl_model **model, sl_error *error) {
    gguf_builder_finish(b);
    const temp_file file = temp_file_write(b->image, b->image_bytes);
    *error = (sl_error){0};
    *model = NULL;
    const sl_status status = sl_model_load(file.path, NULL, model, error);
    temp_file_remove(&file);
    if (status != SL_OK && strncmp(error->message, file.path, strlen(file.path)) != 0) {
        fail_msg("the message does not begin with the path: %s", error->message);
    }
    gguf_builder_free(b);
    return status;
}

static void expect_refusal(gguf_builder *b, const char *sin, sl_status expected, const char *says) {
    sl_model *model;
    sl_error error;
    const sl_status status = load(b, &model, &error);
    if (status != expected || error.status != expected || !strstr(error.message, says) ||
        strchr(error.message, '\n')) {
        fail_msg("%s: status %d, expected %d; \"%s\" should say \"%s\"", sin, (int)status,
                 (int)expected, error.message, says);
    }
    assert_null(model);
    sins++;
}

static void expect_success(gguf_builder *b, const char *what) {
    sl_model *model;
    sl_error error;
    if (load(b, &model, &error) != SL_OK) {
        fail_msg("%s: %s", what, error.message);
    }
    sl_model_free(model);
}

static void good_models_load(void **state) {
    (void)state;
    gguf_builder b = start(LLAMA);
    expect_success(&b, "llama");
    b = start(GPT2);
    expect_success(&b, "gpt2");
}

/* ---- tensors -------------------------------------------------------------------------------- */

static void quoted(char out[96], const char *name) {
    snprintf(out, 96, "tensor '%s'", name);
}

static void each_tensor_missing(void **state) {
    (void)state;
    for (base kind = LLAMA; kind <= GPT2; kind++) {
        gguf_builder list = start(kind);
        for (size_t i = 0; i < list.tensor_count; i++) {
            gguf_builder b = start(kind);
            char says[96];
            quoted(says, list.tensor[i].name);
            strcat(says, " is missing");
            gguf_builder_tensor_remove(&b, list.tensor[i].name);
            if (strcmp(list.tensor[i].name, "output.weight") == 0) {
                expect_success(&b, "without an output, which is the embedding then");
            } else {
                expect_refusal(&b, "a tensor is missing", SL_ERR_FORMAT, says);
            }
        }
        gguf_builder_free(&list);
    }
}

/* The same tensor with another shape, all zeros. */
static void reshape(gguf_builder *b, const char *name, uint32_t n_dims, const uint64_t *dims) {
    gguf_builder_tensor_remove(b, name);
    gguf_builder_tensor_add(b, name, QUANT_F32, n_dims, dims, NULL);
}

/* Which tensor is blamed for a shape: the number of tokens is taken from the embedding's rows, so
 * that a change of these shows in others. */
static void expect_shape_refusal(base kind, const char *name, uint32_t n_dims, const uint64_t *dims,
                                 const char *sin) {
    const char *blamed = name;
    const char *says = "";
    char expected[96];
    if (strcmp(name, "token_embd.weight") == 0 && n_dims == 2 && dims[0] == 32) {
        blamed = dims[1] < 257 ? NULL : kind == LLAMA ? "output.weight" : NULL;
        says = "the vocabulary has 257 tokens";
    }
    if (blamed) {
        quoted(expected, blamed);
        says = expected;
    }
    gguf_builder b = start(kind);
    reshape(&b, name, n_dims, dims);
    if (kind == GPT2 && !blamed && dims[1] > 257) {
        expect_success(&b, "an embedding with rows to spare");
    } else if (kind == LLAMA && !blamed) {
        gguf_builder_tensor_remove(&b, "output.weight");
        expect_refusal(&b, sin, SL_ERR_FORMAT, says);
    } else {
        expect_refusal(&b, sin, SL_ERR_FORMAT, says);
    }
}

static void each_tensor_misshapen(void **state) {
    (void)state;
    for (base kind = LLAMA; kind <= GPT2; kind++) {
        gguf_builder list = start(kind);
        for (size_t i = 0; i < list.tensor_count; i++) {
            const gguf_builder_tensor *t = &list.tensor[i];
            const uint64_t n_in = t->dims[0], n_out = t->n_dims > 1 ? t->dims[1] : 1;
            if (t->n_dims > 1) {
                if (n_in != n_out) {
                    expect_shape_refusal(kind, t->name, 2, (const uint64_t[]){n_out, n_in},
                                         "transposed");
                }
                expect_shape_refusal(kind, t->name, 2, (const uint64_t[]){n_in, n_out - 1},
                                     "a row less");
                expect_shape_refusal(kind, t->name, 1, (const uint64_t[]){n_in * n_out},
                                     "a dimension less");
                expect_shape_refusal(kind, t->name, 3, (const uint64_t[]){n_in, n_out, 2},
                                     "a dimension more");
            }
            expect_shape_refusal(kind, t->name, 2, (const uint64_t[]){n_in, n_out + 1},
                                 "a row more");
            expect_shape_refusal(kind, t->name, 2, (const uint64_t[]){n_in + 1, n_out},
                                 "a column more");
        }
        gguf_builder_free(&list);
    }
}

static void optional_tensors_misshapen(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint64_t dims[2];
    } tries[] = {
        {"output.bias", {256, 1}},        {"output.bias", {257, 2}},
        {"blk.0.attn_q.bias", {31, 1}},   {"blk.1.attn_k.bias", {32, 1}},
        {"blk.0.attn_v.bias", {8, 2}},    {"blk.1.attn_output.bias", {64, 1}},
        {"blk.0.ffn_gate.bias", {32, 1}}, {"blk.1.ffn_down.bias", {64, 1}},
        {"rope_freqs.weight", {8, 1}},    {"rope_freqs.weight", {3, 1}},
        {"rope_freqs.weight", {4, 2}},    {"rope_freqs.weight", {1, 4}},
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        gguf_builder b = start(LLAMA);
        char says[96];
        quoted(says, tries[i].name);
        gguf_builder_tensor_add(&b, tries[i].name, QUANT_F32, 2, tries[i].dims, NULL);
        expect_refusal(&b, "an optional tensor's shape", SL_ERR_FORMAT, says);
    }
}

static void vectors_of_quantized_type(void **state) {
    (void)state;
    static const struct {
        base kind;
        const char *name;
    } tries[] = {
        {LLAMA, "blk.0.attn_norm.weight"}, {LLAMA, "blk.1.ffn_norm.weight"},
        {LLAMA, "output_norm.weight"},     {LLAMA, "blk.0.attn_q.bias"},
        {GPT2, "blk.0.attn_norm.bias"},    {GPT2, "blk.1.ffn_down.bias"},
        {GPT2, "output_norm.weight"},
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        gguf_builder b = start(tries[i].kind);
        char says[160];
        snprintf(says, sizeof says, "tensor '%s' has type Q8_0, expected F32, F16 or BF16",
                 tries[i].name);
        gguf_builder_tensor_remove(&b, tries[i].name);
        gguf_builder_tensor_add(&b, tries[i].name, QUANT_Q8_0, 1, (const uint64_t[]){32}, NULL);
        expect_refusal(&b, "a quantized vector", SL_ERR_FORMAT, says);
    }
    gguf_builder b = start(LLAMA);
    gguf_builder_tensor_add(&b, "rope_freqs.weight", QUANT_F16, 1, (const uint64_t[]){4}, NULL);
    expect_refusal(&b, "factors of another type", SL_ERR_FORMAT, "type F16");
}

static void rotary_factors_that_are_none(void **state) {
    (void)state;
    static const float bad[] = {0.0f, -0.0f, -1.0f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        gguf_builder b = start(LLAMA);
        const float factors[] = {1, 1, bad[i], 1};
        gguf_builder_tensor_add(&b, "rope_freqs.weight", QUANT_F32, 1, (const uint64_t[]){4},
                                factors);
        expect_refusal(&b, "a factor", SL_ERR_FORMAT, "expected positive numbers");
    }
}

/* ---- numbers that must be there ------------------------------------------------------------- */

static const struct {
    base kind;
    const char *key;
    bool required, zero_allowed;
} integers[] = {
    {LLAMA, "llama.context_length", true, false},
    {LLAMA, "llama.block_count", true, false},
    {LLAMA, "llama.embedding_length", true, false},
    {LLAMA, "llama.feed_forward_length", true, false},
    {LLAMA, "llama.attention.head_count", true, false},
    {LLAMA, "llama.attention.head_count_kv", false, false},
    {LLAMA, "llama.attention.key_length", false, false},
    {LLAMA, "llama.attention.value_length", false, false},
    {LLAMA, "llama.rope.dimension_count", false, false},
    {LLAMA, "llama.attention.sliding_window", false, true},
    {LLAMA, "llama.expert_count", false, true},
    {GPT2, "gpt2.context_length", true, false},
    {GPT2, "gpt2.block_count", true, false},
    {GPT2, "gpt2.embedding_length", true, false},
    {GPT2, "gpt2.feed_forward_length", false, false},
    {GPT2, "gpt2.attention.head_count", true, false},
};

static void integers_that_are_none(void **state) {
    (void)state;
    const int32_t negative = -1, two[] = {4, 4};
    const double fraction = 4.0;
    for (size_t i = 0; i < COUNT_OF(integers); i++) {
        for (int sin = 0; sin < 7; sin++) {
            const char *key = integers[i].key;
            gguf_builder b = start(integers[i].kind);
            gguf_builder_remove(&b, key);
            switch (sin) {
            case 0:
                if (!integers[i].required) {
                    gguf_builder_free(&b);
                    continue;
                }
                break;
            case 1:
                if (integers[i].zero_allowed) {
                    gguf_builder_free(&b);
                    continue;
                }
                gguf_builder_u32(&b, key, 0);
                break;
            case 2:
                gguf_builder_u64(&b, key, (uint64_t)1 << 63);
                break;
            case 3:
                gguf_builder_raw(&b, key, META_I32, &negative, sizeof negative);
                break;
            case 4:
                gguf_builder_string(&b, key, "32");
                break;
            case 5:
                gguf_builder_array(&b, key, META_I32, two, 2);
                break;
            case 6:
                gguf_builder_raw(&b, key, META_F64, &fraction, sizeof fraction);
                break;
            }
            expect_refusal(&b, "an integer", SL_ERR_FORMAT, key);
        }
    }
}

static const struct {
    base kind;
    const char *key;
    bool required;
} floats[] = {
    {LLAMA, "llama.attention.layer_norm_rms_epsilon", true},
    {LLAMA, "llama.rope.freq_base", false},
    {LLAMA, "llama.rope.scaling.factor", false},
    {LLAMA, "llama.rope.scale_linear", false},
    {GPT2, "gpt2.attention.layer_norm_epsilon", true},
};

static void floats_that_are_none(void **state) {
    (void)state;
    static const float values[] = {NAN, INFINITY, -INFINITY, -1.0f, 1e30f};
    for (size_t i = 0; i < COUNT_OF(floats); i++) {
        const char *key = floats[i].key;
        gguf_builder b = start(floats[i].kind);
        if (floats[i].required) {
            gguf_builder_remove(&b, key);
            expect_refusal(&b, "missing", SL_ERR_FORMAT, key);
            b = start(floats[i].kind);
        }
        gguf_builder_remove(&b, key);
        gguf_builder_string(&b, key, "1e-5");
        expect_refusal(&b, "a string", SL_ERR_FORMAT, key);
        b = start(floats[i].kind);
        gguf_builder_remove(&b, key);
        gguf_builder_u32(&b, key, 1);
        expect_refusal(&b, "an integer", SL_ERR_FORMAT, key);
        for (size_t v = 0; v < COUNT_OF(values); v++) {
            b = start(floats[i].kind);
            gguf_builder_remove(&b, key);
            gguf_builder_f32(&b, key, values[v]);
            expect_refusal(&b, "out of range", SL_ERR_FORMAT, key);
        }
        if (!floats[i].required) { /* an epsilon may be zero, a base or a factor not */
            b = start(floats[i].kind);
            gguf_builder_remove(&b, key);
            gguf_builder_f32(&b, key, 0.0f);
            expect_refusal(&b, "zero", SL_ERR_FORMAT, key);
        }
    }
}

/* ---- single sins ---------------------------------------------------------------------------- */

static void set_u32(gguf_builder *b, const char *key, uint32_t value) {
    gguf_builder_remove(b, key);
    gguf_builder_u32(b, key, value);
}

static void set_string(gguf_builder *b, const char *key, const char *value) {
    gguf_builder_remove(b, key);
    gguf_builder_string(b, key, value);
}

typedef struct single_sin {
    base kind;
    const char *key; /* NULL: none changes */
    enum { U32, TEXT, GONE } as;
    uint32_t number;
    const char *text;
    sl_status status;
    const char *says;
} single_sin;

static const single_sin single[] = {
    {LLAMA, "general.architecture", TEXT, 0, "rwkv", SL_ERR_UNSUPPORTED, "architecture 'rwkv'"},
    {LLAMA, "general.architecture", TEXT, 0, "", SL_ERR_UNSUPPORTED, "known: llama, gpt2"},
    {LLAMA, "general.architecture", TEXT, 0, "LLAMA", SL_ERR_UNSUPPORTED, "'LLAMA'"},
    {LLAMA, "general.architecture", TEXT, 0, "a\nb\x1b[2J", SL_ERR_UNSUPPORTED, "'a?b?[2J'"},
    {LLAMA, "general.architecture", GONE, 0, NULL, SL_ERR_FORMAT, "general.architecture"},
    {LLAMA, "general.architecture", U32, 1, NULL, SL_ERR_FORMAT, "general.architecture"},
    /* Well-formed for the other family, whose keys are not there. */
    {LLAMA, "general.architecture", TEXT, 0, "gpt2", SL_ERR_FORMAT, "gpt2.context_length"},
    {GPT2, "general.architecture", TEXT, 0, "llama", SL_ERR_FORMAT, "llama.context_length"},
    {LLAMA, "tokenizer.ggml.model", TEXT, 0, "rwkv", SL_ERR_UNSUPPORTED, "tokenizer \"rwkv\""},
    {LLAMA, "tokenizer.ggml.model", GONE, 0, NULL, SL_ERR_FORMAT, "tokenizer.ggml.model"},
    {LLAMA, "tokenizer.ggml.model", U32, 3, NULL, SL_ERR_FORMAT, "tokenizer.ggml.model"},
    {LLAMA, "tokenizer.ggml.pre", TEXT, 0, "tekken9", SL_ERR_UNSUPPORTED, "\"tekken9\""},
    {LLAMA, "tokenizer.ggml.tokens", GONE, 0, NULL, SL_ERR_FORMAT, "tokenizer.ggml.tokens"},
    {LLAMA, "tokenizer.ggml.tokens", TEXT, 0, "a", SL_ERR_FORMAT, "tokenizer.ggml.tokens"},
    {LLAMA, "tokenizer.ggml.bos_token_id", U32, 257, NULL, SL_ERR_FORMAT, "bos_token_id"},
    {LLAMA, "tokenizer.ggml.eos_token_id", U32, UINT32_MAX, NULL, SL_ERR_FORMAT, "eos_token_id"},
    {LLAMA, "tokenizer.ggml.token_type", U32, 1, NULL, SL_ERR_FORMAT, "token_type"},
    /* Heads. */
    {LLAMA, "llama.attention.head_count", U32, 5, NULL, SL_ERR_FORMAT, "head_count"},
    {LLAMA, "llama.attention.head_count", U32, 6, NULL, SL_ERR_FORMAT,
     "expected a multiple of attention.head_count 6"},
    {LLAMA, "llama.attention.head_count", U32, 64, NULL, SL_ERR_FORMAT,
     "embedding_length is 32, expected a multiple of attention.head_count 64"},
    {LLAMA, "llama.attention.head_count", U32, 16384, NULL, SL_ERR_FORMAT, "16384"},
    {LLAMA, "llama.attention.head_count", U32, 16385, NULL, SL_ERR_FORMAT, "16385"},
    {LLAMA, "llama.attention.head_count", U32, 8, NULL, SL_ERR_FORMAT, "rope.dimension_count"},
    {LLAMA, "llama.attention.head_count_kv", U32, 3, NULL, SL_ERR_FORMAT, "which is 3"},
    {LLAMA, "llama.attention.head_count_kv", U32, 8, NULL, SL_ERR_FORMAT, "which is 8"},
    {LLAMA, "llama.attention.head_count_kv", U32, 4, NULL, SL_ERR_FORMAT, "attn_k.weight"},
    {LLAMA, "llama.attention.head_count_kv", U32, 1, NULL, SL_ERR_FORMAT, "attn_k.weight"},
    {LLAMA, "llama.attention.key_length", U32, 16, NULL, SL_ERR_FORMAT, "attn_q.weight"},
    {LLAMA, "llama.attention.key_length", U32, 4097, NULL, SL_ERR_FORMAT, "key_length"},
    {LLAMA, "llama.attention.value_length", U32, 16, NULL, SL_ERR_FORMAT, "attn_v.weight"},
    {GPT2, "gpt2.attention.head_count", U32, 5, NULL, SL_ERR_FORMAT, "expected a multiple"},
    {GPT2, "gpt2.attention.head_count", U32, 64, NULL, SL_ERR_FORMAT, "expected a multiple"},
    /* Sizes that the tensors do not have. */
    {LLAMA, "llama.embedding_length", U32, 64, NULL, SL_ERR_FORMAT, "token_embd.weight"},
    {LLAMA, "llama.embedding_length", U32, 16, NULL, SL_ERR_FORMAT, "rope.dimension_count"},
    {LLAMA, "llama.embedding_length", U32, 1048577, NULL, SL_ERR_FORMAT, "1048577"},
    {LLAMA, "llama.feed_forward_length", U32, 63, NULL, SL_ERR_FORMAT, "ffn_gate.weight"},
    {LLAMA, "llama.feed_forward_length", U32, 4194305, NULL, SL_ERR_FORMAT, "4194305"},
    {LLAMA, "llama.block_count", U32, 3, NULL, SL_ERR_FORMAT, "blk.2.attn_norm.weight"},
    {LLAMA, "llama.block_count", U32, 4097, NULL, SL_ERR_FORMAT, "4097"},
    {LLAMA, "llama.context_length", U32, 268435457, NULL, SL_ERR_FORMAT, "268435457"},
    {GPT2, "gpt2.block_count", U32, 3, NULL, SL_ERR_FORMAT, "blk.2."},
    {GPT2, "gpt2.embedding_length", U32, 64, NULL, SL_ERR_FORMAT, "token_embd.weight"},
    {GPT2, "gpt2.feed_forward_length", U32, 65, NULL, SL_ERR_FORMAT, "ffn_up.weight"},
    {GPT2, "gpt2.feed_forward_length", GONE, 0, NULL, SL_ERR_FORMAT, "ffn_up.weight"},
    {GPT2, "gpt2.context_length", U32, 65, NULL, SL_ERR_FORMAT, "position_embd.weight"},
    {GPT2, "gpt2.context_length", U32, 63, NULL, SL_ERR_FORMAT, "position_embd.weight"},
    /* Rotation. */
    {LLAMA, "llama.rope.dimension_count", U32, 1, NULL, SL_ERR_FORMAT, "rope.dimension_count"},
    {LLAMA, "llama.rope.dimension_count", U32, 7, NULL, SL_ERR_FORMAT, "is 7, expected an even"},
    {LLAMA, "llama.rope.dimension_count", U32, 10, NULL, SL_ERR_FORMAT, "head size 8"},
    {LLAMA, "llama.rope.scaling.type", TEXT, 0, "yarn", SL_ERR_UNSUPPORTED, "'yarn'"},
    {LLAMA, "llama.rope.scaling.type", TEXT, 0, "longrope", SL_ERR_UNSUPPORTED, "known: none"},
    {LLAMA, "llama.rope.scaling.type", U32, 1, NULL, SL_ERR_FORMAT, "rope.scaling.type"},
    /* Not known here. */
    {LLAMA, "llama.expert_count", U32, 1, NULL, SL_ERR_UNSUPPORTED, "mixture-of-experts"},
    {LLAMA, "llama.expert_count", U32, 8, NULL, SL_ERR_UNSUPPORTED, "mixture-of-experts"},
};

static void sins_one_by_one(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(single); i++) {
        const single_sin *s = &single[i];
        gguf_builder b = start(s->kind);
        if (s->as == U32) {
            set_u32(&b, s->key, s->number);
        } else if (s->as == TEXT) {
            set_string(&b, s->key, s->text);
        } else {
            gguf_builder_remove(&b, s->key);
        }
        char name[80];
        snprintf(name, sizeof name, "sin %zu, %s", i, s->key);
        expect_refusal(&b, name, s->status, s->says);
    }
}

static void llama3_scaling_out_of_order(void **state) {
    (void)state;
    static const struct {
        float low, high;
        uint32_t context;
        const char *says;
    } tries[] = {
        {4, 1, 32, "expected more than low_freq_factor"},
        {2, 2, 32, "expected more than low_freq_factor"},
        {0, 4, 32, "low_freq_factor"},
        {1, NAN, 32, "high_freq_factor"},
        {1, INFINITY, 32, "high_freq_factor"},
        {1, 4, 0, "original_context_length"},
        {1, 4, UINT32_MAX, "original_context_length"},
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        gguf_builder b = start(LLAMA);
        gguf_builder_string(&b, "llama.rope.scaling.type", "llama3");
        gguf_builder_f32(&b, "llama.rope.scaling.factor", 8);
        gguf_builder_f32(&b, "llama.rope.scaling.low_freq_factor", tries[i].low);
        gguf_builder_f32(&b, "llama.rope.scaling.high_freq_factor", tries[i].high);
        gguf_builder_u32(&b, "llama.rope.scaling.original_context_length", tries[i].context);
        expect_refusal(&b, "llama3", SL_ERR_FORMAT, tries[i].says);
    }
}

static void more_tokens_than_rows(void **state) {
    (void)state;
    gguf_builder b = start(LLAMA);
    gguf_builder_tensor_remove(&b, "output.weight");
    reshape(&b, "token_embd.weight", 2, (const uint64_t[]){32, 256});
    expect_refusal(&b, "a row less than tokens", SL_ERR_FORMAT,
                   "the vocabulary has 257 tokens, but tensor 'token_embd.weight' only 256 rows");
    b = start(LLAMA);
    gguf_builder_tensor_remove(&b, "output.weight");
    reshape(&b, "token_embd.weight", 1, (const uint64_t[]){32 * 257});
    expect_refusal(&b, "an embedding of one dimension", SL_ERR_FORMAT,
                   "tensor 'token_embd.weight' has 1 dimensions, expected 2");
}

static void there_were_enough(void **state) {
    (void)state;
    print_message("%zu sins\n", sins);
    assert_true(sins >= 60);
}

/* ---- weights that are not numbers ----------------------------------------------------------- */

static void put_nan(gguf_builder_tensor *t) {
    const float nan_f32 = NAN;
    const uint16_t nan_f16 = 0x7e00, nan_bf16 = 0x7fc0;
    if (t->type == QUANT_F32) {
        memcpy(t->data.data, &nan_f32, sizeof nan_f32);
    } else { /* blocks of 32 begin with their f16 scale */
        memcpy(t->data.data, t->type == QUANT_BF16 ? &nan_bf16 : &nan_f16, 2);
    }
}

static size_t widths[] = {1, 5}; /* tokens of the prompt */

/* The first value of a tensor, or its first block's scale, is NaN; token 0 and position 0 use it
 * where it is an embedding. Then the sampler must refuse what comes out. */
static void expect_nan_is_noticed(base kind, quant_type type, size_t tensor, sl_kv_type cache) {
    gguf_builder b;
    gguf_tiny_options options = gguf_tiny_defaults();
    options.type = type;
    options.n_embd = 64;
    options.n_head = 2;
    options.n_head_kv = 1;
    gguf_builder_init(&b, 3);
    if (kind == LLAMA) {
        gguf_builder_tiny_llama(&b, &options);
    } else {
        gguf_builder_tiny_gpt2(&b, type);
    }
    char name[80];
    snprintf(name, sizeof name, "%s", b.tensor[tensor].name);
    put_nan(&b.tensor[tensor]);
    sl_model *model;
    sl_session *session;
    sl_sampler *sampler;
    sl_error error;
    assert_int_equal(load(&b, &model, &error), SL_OK);
    const sl_session_options wanted = {.threads = 1, .type_k = cache, .type_v = cache};
    assert_int_equal(sl_session_create(model, &wanted, &session, &error), SL_OK);
    assert_int_equal(sl_sampler_create(257, NULL, &sampler, &error), SL_OK);
    for (size_t i = 0; i < COUNT_OF(widths); i++) {
        const int32_t tokens[5] = {0, 0, 0, 0, 0};
        int32_t token = -5;
        assert_int_equal(sl_session_eval(session, tokens, widths[i], NULL, NULL, &error), SL_OK);
        if (sl_sampler_sample(sampler, sl_session_logits(session), &token, &error) !=
            SL_ERR_RUNTIME) {
            fail_msg("NaN in %s (%s), cache type %d, %zu tokens: not noticed", name,
                     quant_format_of(type)->name, (int)cache, widths[i]);
        }
        assert_int_equal(token, -5);
        assert_int_equal(error.status, SL_ERR_RUNTIME);
    }
    sl_sampler_free(sampler);
    sl_session_free(session);
    sl_model_free(model);
}

static void nan_weights_are_noticed(void **state) {
    (void)state;
    static const quant_type types[] = {QUANT_F32, QUANT_F16, QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0};
    static const size_t counts[] = {21, 28};
    for (base kind = LLAMA; kind <= GPT2; kind++) {
        gguf_builder list = start(kind);
        assert_int_equal(list.tensor_count, counts[kind]);
        gguf_builder_free(&list);
        for (size_t t = 0; t < COUNT_OF(types); t++) {
            for (size_t tensor = 0; tensor < counts[kind]; tensor++) {
                expect_nan_is_noticed(kind, types[t], tensor, SL_KV_F32);
            }
        }
    }
}

/* Keys and values pass through the cache's type. */
static void nan_passes_through_the_cache(void **state) {
    (void)state;
    for (sl_kv_type cache = SL_KV_F16; cache <= SL_KV_Q4_0; cache++) {
        for (size_t tensor = 2; tensor <= 4; tensor++) { /* q, k, v of the first layer */
            expect_nan_is_noticed(LLAMA, QUANT_F32, tensor, cache);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_models_load),          cmocka_unit_test(each_tensor_missing),
        cmocka_unit_test(each_tensor_misshapen),     cmocka_unit_test(optional_tensors_misshapen),
        cmocka_unit_test(vectors_of_quantized_type), cmocka_unit_test(rotary_factors_that_are_none),
        cmocka_unit_test(integers_that_are_none),    cmocka_unit_test(floats_that_are_none),
        cmocka_unit_test(sins_one_by_one),           cmocka_unit_test(llama3_scaling_out_of_order),
        cmocka_unit_test(more_tokens_than_rows),     cmocka_unit_test(there_were_enough),
        cmocka_unit_test(nan_weights_are_noticed),   cmocka_unit_test(nan_passes_through_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
