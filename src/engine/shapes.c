/* shapes.c - shapes.h: the table of models, and for each architecture the list of its tensors.
 *
 * The numbers are those of the models' published config.json; the names of tensors are GGUF's.
 */
#include "engine/shapes.h"

#include "base/size.h"

#include <stdio.h>
#include <string.h>

/* Whether the output matrix is that of the embedding. */
#define TIED SHAPE_LAST_NORM
#define UNTIED (SHAPE_LAST_NORM | SHAPE_OUTPUT)

/* clang-format off */
static const model_shape shapes[] = {
    /* name            arch    layers embd    ff  heads kv   vocab    ctx
     * parts, n_rot, rope_base, n_word, head, window */
    {"gpt2-117m",      "gpt2",  12,   768,  3072, 12, 12,  50257,   1024, TIED, 0, 0, 0, 0, 0},
    {"gpt2-345m",      "gpt2",  24,  1024,  4096, 16, 16,  50257,   1024, TIED, 0, 0, 0, 0, 0},
    {"gpt2-774m",      "gpt2",  36,  1280,  5120, 20, 20,  50257,   1024, TIED, 0, 0, 0, 0, 0},
    {"gpt2-1558m",     "gpt2",  48,  1600,  6400, 25, 25,  50257,   1024, TIED, 0, 0, 0, 0, 0},
    {"gpt-j-6b",       "gptj",  28,  4096, 16384, 16, 16,  50400,   2048, UNTIED, 64, 0, 0, 0, 0},
    {"pythia-1.4b",    "gptneox", 24, 2048,  8192, 16, 16,  50304,  2048, UNTIED, 32, 0, 0, 0, 0},
    {"pythia-2.8b",    "gptneox", 32, 2560, 10240, 32, 32,  50304,  2048, UNTIED, 20, 0, 0, 0, 0},
    {"pythia-6.9b",    "gptneox", 32, 4096, 16384, 32, 32,  50432,  2048, UNTIED, 32, 0, 0, 0, 0},
    {"pythia-12b",     "gptneox", 36, 5120, 20480, 40, 40,  50688,  2048, UNTIED, 32, 0, 0, 0, 0},
    {"gpt-neox-20b",   "gptneox", 44, 6144, 24576, 64, 64,  50432,  2048, UNTIED, 24, 0, 0, 0, 0},
    {"opt-125m",       "opt",   12,   768,  3072, 12, 12,  50272,   2048, TIED, 0, 0, 0, 0, 0},
    {"opt-350m",       "opt",   24,  1024,  4096, 16, 16,  50272,   2048,
     SHAPE_PROJECTED, 0, 0, 512, 0, 0},
    {"opt-1.3b",       "opt",   24,  2048,  8192, 32, 32,  50272,   2048, TIED, 0, 0, 0, 0, 0},
    {"opt-2.7b",       "opt",   32,  2560, 10240, 32, 32,  50272,   2048, TIED, 0, 0, 0, 0, 0},
    {"opt-6.7b",       "opt",   32,  4096, 16384, 32, 32,  50272,   2048, TIED, 0, 0, 0, 0, 0},
    {"opt-13b",        "opt",   40,  5120, 20480, 40, 40,  50272,   2048, TIED, 0, 0, 0, 0, 0},
    {"opt-30b",        "opt",   48,  7168, 28672, 56, 56,  50272,   2048, TIED, 0, 0, 0, 0, 0},
    {"opt-66b",        "opt",   64,  9216, 36864, 72, 72,  50272,   2048, TIED, 0, 0, 0, 0, 0},
    {"bloom-560m",     "bloom", 24,  1024,  4096, 16, 16, 250880,   2048, TIED, 0, 0, 0, 0, 0},
    {"bloom-1b1",      "bloom", 24,  1536,  6144, 16, 16, 250880,   2048, TIED, 0, 0, 0, 0, 0},
    {"bloom-1b7",      "bloom", 24,  2048,  8192, 16, 16, 250880,   2048, TIED, 0, 0, 0, 0, 0},
    {"bloom-3b",       "bloom", 30,  2560, 10240, 32, 32, 250880,   2048, TIED, 0, 0, 0, 0, 0},
    {"bloom-7b1",      "bloom", 30,  4096, 16384, 32, 32, 250880,   2048, TIED, 0, 0, 0, 0, 0},
    {"tinyllama-1.1b", "llama", 22,  2048,  5632, 32,  4,  32000,   2048, UNTIED, 0, 0, 0, 0, 0},
    {"llama-7b",       "llama", 32,  4096, 11008, 32, 32,  32000,   2048, UNTIED, 0, 0, 0, 0, 0},
    {"llama-13b",      "llama", 40,  5120, 13824, 40, 40,  32000,   2048, UNTIED, 0, 0, 0, 0, 0},
    {"llama-30b",      "llama", 60,  6656, 17920, 52, 52,  32000,   2048, UNTIED, 0, 0, 0, 0, 0},
    {"llama-65b",      "llama", 80,  8192, 22016, 64, 64,  32000,   2048, UNTIED, 0, 0, 0, 0, 0},
    {"llama3-1b",      "llama", 16,  2048,  8192, 32,  8, 128256, 131072, TIED, 0, 5e5f, 0, 0, 0},
    {"llama3-3b",      "llama", 28,  3072,  8192, 24,  8, 128256, 131072, TIED, 0, 5e5f, 0, 0, 0},
    {"llama3-8b",      "llama", 32,  4096, 14336, 32,  8, 128256,   8192, UNTIED, 0, 5e5f, 0, 0, 0},
    {"llama3-70b",     "llama", 80,  8192, 28672, 64,  8, 128256,   8192, UNTIED, 0, 5e5f, 0, 0, 0},
    {"qwen2.5-0.5b",   "qwen2", 24,   896,  4864, 14,  2, 151936,  32768, TIED, 0, 1e6f, 0, 0, 0},
    {"qwen2.5-1.5b",   "qwen2", 28,  1536,  8960, 12,  2, 151936,  32768, TIED, 0, 1e6f, 0, 0, 0},
    {"qwen2.5-7b",     "qwen2", 28,  3584, 18944, 28,  4, 152064,  32768, UNTIED, 0, 1e6f, 0, 0, 0},
    {"qwen3-0.6b",     "qwen3", 28,  1024,  3072, 16,  8, 151936,  40960, TIED, 0, 1e6f, 0, 128, 0},
    {"qwen3-4b",       "qwen3", 36,  2560,  9728, 32,  8, 151936,  40960, TIED, 0, 1e6f, 0, 128, 0},
    {"qwen3-8b",       "qwen3", 36,  4096, 12288, 32,  8, 151936,  40960,
     UNTIED, 0, 1e6f, 0, 128, 0},
    {"gemma2-2b",      "gemma2", 26, 2304,  9216,  8,  4, 256000,   8192, TIED, 0, 0, 0, 256, 4096},
    {"gemma2-9b",      "gemma2", 42, 3584, 14336, 16,  8, 256000,   8192, TIED, 0, 0, 0, 256, 4096},
    {"gemma3-1b",      "gemma3", 26, 1152,  6912,  4,  1, 262144,  32768,
     TIED | SHAPE_NORMED_HEADS, 0, 1e6f, 0, 256, 512},
    {"gemma3-4b",      "gemma3", 34, 2560, 10240,  8,  4, 262208, 131072,
     TIED | SHAPE_NORMED_HEADS, 0, 1e6f, 0, 256, 1024},
    {"gemma3-12b",     "gemma3", 48, 3840, 15360, 16,  8, 262208, 131072,
     TIED | SHAPE_NORMED_HEADS, 0, 1e6f, 0, 256, 1024},
    {"phi3-mini",      "phi3",  32,  3072,  8192, 32, 32,  32064,   4096, UNTIED, 0, 0, 0, 0, 2047},
};
/* clang-format on */

const model_shape *shape_at(size_t index) {
    return index < COUNT_OF(shapes) ? &shapes[index] : NULL;
}

const model_shape *shape_find(const char *name) {
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            return &shapes[i];
        }
    }
    return NULL;
}

/* ---- tensors -------------------------------------------------------------------------------- */

typedef enum extent {
    ONE = 0, /* rows of a vector */
    EMBD,
    WORD,    /* width of the embedding */
    HEAD,    /* one head */
    HEADS_Q, /* all heads side by side */
    HEADS_KV,
    QKV,
    FF,
    FF_2, /* gate and up in one */
    VOCAB,
    CTX,
} extent;

typedef struct tensor_rule {
    const char *name;
    tensor_role role;
    extent n_in, n_rows;
    unsigned only; /* SHAPE_* bits that the shape needs for it; 0: none */
} tensor_rule;

typedef struct tensor_rules {
    const char *architecture;
    const tensor_rule *once, *layer; /* each ended by an entry without a name */
} tensor_rules;

/* clang-format off */
static const tensor_rule llama_once[] = {
    {"token_embd.weight",  TENSOR_EMBEDDING, EMBD, VOCAB, 0},
    {"output_norm.weight", TENSOR_NORM,      EMBD, ONE,   0},
    {"output.weight",      TENSOR_OUTPUT,    EMBD, VOCAB, SHAPE_OUTPUT},
    {.name = NULL},
};
static const tensor_rule llama_layer[] = {
    {"attn_norm.weight",   TENSOR_NORM,        EMBD,    ONE,      0},
    {"attn_q.weight",      TENSOR_MATRIX,      EMBD,    HEADS_Q,  0},
    {"attn_k.weight",      TENSOR_MATRIX,      EMBD,    HEADS_KV, 0},
    {"attn_v.weight",      TENSOR_ATTENTION_V, EMBD,    HEADS_KV, 0},
    {"attn_output.weight", TENSOR_MATRIX,      HEADS_Q, EMBD,     0},
    {"ffn_norm.weight",    TENSOR_NORM,        EMBD,    ONE,      0},
    {"ffn_gate.weight",    TENSOR_MATRIX,      EMBD,    FF,       0},
    {"ffn_up.weight",      TENSOR_MATRIX,      EMBD,    FF,       0},
    {"ffn_down.weight",    TENSOR_FFN_DOWN,    FF,      EMBD,     0},
    {.name = NULL},
};

static const tensor_rule gpt2_once[] = {
    {"token_embd.weight",    TENSOR_EMBEDDING, EMBD, VOCAB, 0},
    {"position_embd.weight", TENSOR_POSITIONS, EMBD, CTX,   0},
    {"output_norm.weight",   TENSOR_NORM,      EMBD, ONE,   0},
    {"output_norm.bias",     TENSOR_BIAS,      EMBD, ONE,   0},
    {.name = NULL},
};
/* BLOOM's and GPT-NeoX's layers have the same. */
static const tensor_rule gpt2_layer[] = {
    {"attn_norm.weight",   TENSOR_NORM,          EMBD, ONE,  0},
    {"attn_norm.bias",     TENSOR_BIAS,          EMBD, ONE,  0},
    {"attn_qkv.weight",    TENSOR_ATTENTION_QKV, EMBD, QKV,  0},
    {"attn_qkv.bias",      TENSOR_BIAS,          QKV,  ONE,  0},
    {"attn_output.weight", TENSOR_MATRIX,        EMBD, EMBD, 0},
    {"attn_output.bias",   TENSOR_BIAS,          EMBD, ONE,  0},
    {"ffn_norm.weight",    TENSOR_NORM,          EMBD, ONE,  0},
    {"ffn_norm.bias",      TENSOR_BIAS,          EMBD, ONE,  0},
    {"ffn_up.weight",      TENSOR_MATRIX,        EMBD, FF,   0},
    {"ffn_up.bias",        TENSOR_BIAS,          FF,   ONE,  0},
    {"ffn_down.weight",    TENSOR_FFN_DOWN,      FF,   EMBD, 0},
    {"ffn_down.bias",      TENSOR_BIAS,          EMBD, ONE,  0},
    {.name = NULL},
};

static const tensor_rule gptj_once[] = {
    {"token_embd.weight",  TENSOR_EMBEDDING, EMBD,  VOCAB, 0},
    {"output_norm.weight", TENSOR_NORM,      EMBD,  ONE,   0},
    {"output_norm.bias",   TENSOR_BIAS,      EMBD,  ONE,   0},
    {"output.weight",      TENSOR_OUTPUT,    EMBD,  VOCAB, SHAPE_OUTPUT},
    {"output.bias",        TENSOR_BIAS,      VOCAB, ONE,   SHAPE_OUTPUT},
    {.name = NULL},
};
static const tensor_rule gptj_layer[] = {
    {"attn_norm.weight",   TENSOR_NORM,        EMBD, ONE,  0},
    {"attn_norm.bias",     TENSOR_BIAS,        EMBD, ONE,  0},
    {"attn_q.weight",      TENSOR_MATRIX,      EMBD, EMBD, 0},
    {"attn_k.weight",      TENSOR_MATRIX,      EMBD, EMBD, 0},
    {"attn_v.weight",      TENSOR_ATTENTION_V, EMBD, EMBD, 0},
    {"attn_output.weight", TENSOR_MATRIX,      EMBD, EMBD, 0},
    {"ffn_up.weight",      TENSOR_MATRIX,      EMBD, FF,   0},
    {"ffn_up.bias",        TENSOR_BIAS,        FF,   ONE,  0},
    {"ffn_down.weight",    TENSOR_FFN_DOWN,    FF,   EMBD, 0},
    {"ffn_down.bias",      TENSOR_BIAS,        EMBD, ONE,  0},
    {.name = NULL},
};

static const tensor_rule gptneox_once[] = {
    {"token_embd.weight",  TENSOR_EMBEDDING, EMBD, VOCAB, 0},
    {"output_norm.weight", TENSOR_NORM,      EMBD, ONE,   0},
    {"output_norm.bias",   TENSOR_BIAS,      EMBD, ONE,   0},
    {"output.weight",      TENSOR_OUTPUT,    EMBD, VOCAB, SHAPE_OUTPUT},
    {.name = NULL},
};

static const tensor_rule opt_once[] = {
    {"token_embd.weight",    TENSOR_EMBEDDING, WORD, VOCAB, 0},
    {"position_embd.weight", TENSOR_POSITIONS, EMBD, CTX,   0},
    {"project_in.weight",    TENSOR_MATRIX,    WORD, EMBD,  SHAPE_PROJECTED},
    {"project_out.weight",   TENSOR_MATRIX,    EMBD, WORD,  SHAPE_PROJECTED},
    {"output_norm.weight",   TENSOR_NORM,      EMBD, ONE,   SHAPE_LAST_NORM},
    {"output_norm.bias",     TENSOR_BIAS,      EMBD, ONE,   SHAPE_LAST_NORM},
    {.name = NULL},
};
static const tensor_rule opt_layer[] = {
    {"attn_norm.weight",   TENSOR_NORM,        EMBD, ONE,  0},
    {"attn_norm.bias",     TENSOR_BIAS,        EMBD, ONE,  0},
    {"attn_q.weight",      TENSOR_MATRIX,      EMBD, EMBD, 0},
    {"attn_q.bias",        TENSOR_BIAS,        EMBD, ONE,  0},
    {"attn_k.weight",      TENSOR_MATRIX,      EMBD, EMBD, 0},
    {"attn_k.bias",        TENSOR_BIAS,        EMBD, ONE,  0},
    {"attn_v.weight",      TENSOR_ATTENTION_V, EMBD, EMBD, 0},
    {"attn_v.bias",        TENSOR_BIAS,        EMBD, ONE,  0},
    {"attn_output.weight", TENSOR_MATRIX,      EMBD, EMBD, 0},
    {"attn_output.bias",   TENSOR_BIAS,        EMBD, ONE,  0},
    {"ffn_norm.weight",    TENSOR_NORM,        EMBD, ONE,  0},
    {"ffn_norm.bias",      TENSOR_BIAS,        EMBD, ONE,  0},
    {"ffn_up.weight",      TENSOR_MATRIX,      EMBD, FF,   0},
    {"ffn_up.bias",        TENSOR_BIAS,        FF,   ONE,  0},
    {"ffn_down.weight",    TENSOR_FFN_DOWN,    FF,   EMBD, 0},
    {"ffn_down.bias",      TENSOR_BIAS,        EMBD, ONE,  0},
    {.name = NULL},
};

static const tensor_rule bloom_once[] = {
    {"token_embd.weight",      TENSOR_EMBEDDING, EMBD, VOCAB, 0},
    {"token_embd_norm.weight", TENSOR_NORM,      EMBD, ONE,   0},
    {"token_embd_norm.bias",   TENSOR_BIAS,      EMBD, ONE,   0},
    {"output_norm.weight",     TENSOR_NORM,      EMBD, ONE,   0},
    {"output_norm.bias",       TENSOR_BIAS,      EMBD, ONE,   0},
    {.name = NULL},
};

static const tensor_rule qwen2_layer[] = {
    {"attn_norm.weight",   TENSOR_NORM,        EMBD,     ONE,      0},
    {"attn_q.weight",      TENSOR_MATRIX,      EMBD,     HEADS_Q,  0},
    {"attn_q.bias",        TENSOR_BIAS,        HEADS_Q,  ONE,      0},
    {"attn_k.weight",      TENSOR_MATRIX,      EMBD,     HEADS_KV, 0},
    {"attn_k.bias",        TENSOR_BIAS,        HEADS_KV, ONE,      0},
    {"attn_v.weight",      TENSOR_ATTENTION_V, EMBD,     HEADS_KV, 0},
    {"attn_v.bias",        TENSOR_BIAS,        HEADS_KV, ONE,      0},
    {"attn_output.weight", TENSOR_MATRIX,      HEADS_Q,  EMBD,     0},
    {"ffn_norm.weight",    TENSOR_NORM,        EMBD,     ONE,      0},
    {"ffn_gate.weight",    TENSOR_MATRIX,      EMBD,     FF,       0},
    {"ffn_up.weight",      TENSOR_MATRIX,      EMBD,     FF,       0},
    {"ffn_down.weight",    TENSOR_FFN_DOWN,    FF,       EMBD,     0},
    {.name = NULL},
};
static const tensor_rule qwen3_layer[] = {
    {"attn_norm.weight",   TENSOR_NORM,        EMBD,    ONE,      0},
    {"attn_q.weight",      TENSOR_MATRIX,      EMBD,    HEADS_Q,  0},
    {"attn_q_norm.weight", TENSOR_NORM,        HEAD,    ONE,      0},
    {"attn_k.weight",      TENSOR_MATRIX,      EMBD,    HEADS_KV, 0},
    {"attn_k_norm.weight", TENSOR_NORM,        HEAD,    ONE,      0},
    {"attn_v.weight",      TENSOR_ATTENTION_V, EMBD,    HEADS_KV, 0},
    {"attn_output.weight", TENSOR_MATRIX,      HEADS_Q, EMBD,     0},
    {"ffn_norm.weight",    TENSOR_NORM,        EMBD,    ONE,      0},
    {"ffn_gate.weight",    TENSOR_MATRIX,      EMBD,    FF,       0},
    {"ffn_up.weight",      TENSOR_MATRIX,      EMBD,    FF,       0},
    {"ffn_down.weight",    TENSOR_FFN_DOWN,    FF,      EMBD,     0},
    {.name = NULL},
};

/* Gemma 3 norms heads, Gemma 2 does not. */
static const tensor_rule gemma_layer[] = {
    {"attn_norm.weight",           TENSOR_NORM,        EMBD,    ONE,      0},
    {"attn_q.weight",              TENSOR_MATRIX,      EMBD,    HEADS_Q,  0},
    {"attn_q_norm.weight",         TENSOR_NORM,        HEAD,    ONE,      SHAPE_NORMED_HEADS},
    {"attn_k.weight",              TENSOR_MATRIX,      EMBD,    HEADS_KV, 0},
    {"attn_k_norm.weight",         TENSOR_NORM,        HEAD,    ONE,      SHAPE_NORMED_HEADS},
    {"attn_v.weight",              TENSOR_ATTENTION_V, EMBD,    HEADS_KV, 0},
    {"attn_output.weight",         TENSOR_MATRIX,      HEADS_Q, EMBD,     0},
    {"post_attention_norm.weight", TENSOR_NORM,        EMBD,    ONE,      0},
    {"ffn_norm.weight",            TENSOR_NORM,        EMBD,    ONE,      0},
    {"ffn_gate.weight",            TENSOR_MATRIX,      EMBD,    FF,       0},
    {"ffn_up.weight",              TENSOR_MATRIX,      EMBD,    FF,       0},
    {"ffn_down.weight",            TENSOR_FFN_DOWN,    FF,      EMBD,     0},
    {"post_ffw_norm.weight",       TENSOR_NORM,        EMBD,    ONE,      0},
    {.name = NULL},
};

static const tensor_rule phi3_layer[] = {
    {"attn_norm.weight",   TENSOR_NORM,          EMBD,    ONE,  0},
    {"attn_qkv.weight",    TENSOR_ATTENTION_QKV, EMBD,    QKV,  0},
    {"attn_output.weight", TENSOR_MATRIX,        HEADS_Q, EMBD, 0},
    {"ffn_norm.weight",    TENSOR_NORM,          EMBD,    ONE,  0},
    {"ffn_up.weight",      TENSOR_MATRIX,        EMBD,    FF_2, 0},
    {"ffn_down.weight",    TENSOR_FFN_DOWN,      FF,      EMBD, 0},
    {.name = NULL},
};
/* clang-format on */

static const tensor_rules all_rules[] = {
    {"llama", llama_once, llama_layer},  {"gpt2", gpt2_once, gpt2_layer},
    {"gptj", gptj_once, gptj_layer},     {"opt", opt_once, opt_layer},
    {"bloom", bloom_once, gpt2_layer},   {"gptneox", gptneox_once, gpt2_layer},
    {"qwen2", llama_once, qwen2_layer},  {"qwen3", llama_once, qwen3_layer},
    {"gemma2", llama_once, gemma_layer}, {"gemma3", llama_once, gemma_layer},
    {"phi3", llama_once, phi3_layer},
};

static const tensor_rules *rules_of(const model_shape *shape) {
    for (size_t i = 0; i < COUNT_OF(all_rules); i++) {
        if (strcmp(all_rules[i].architecture, shape->architecture) == 0) {
            return &all_rules[i];
        }
    }
    return NULL;
}

/* Number of rules that hold for the shape; *found becomes the index-th of them, if there is one. */
static size_t count_rules(const model_shape *shape, const tensor_rule *rules, size_t index,
                          const tensor_rule **found) {
    size_t count = 0;
    for (const tensor_rule *rule = rules; rule->name; rule++) {
        if ((rule->only & shape->parts) == rule->only && count++ == index) {
            *found = rule;
        }
    }
    return count;
}

size_t shape_head(const model_shape *shape) {
    return shape->head ? shape->head : shape->n_embd / shape->n_head;
}

static size_t extent_of(const model_shape *s, extent e) {
    const size_t head = shape_head(s);
    switch (e) {
    case ONE:
        return 1;
    case EMBD:
        return s->n_embd;
    case HEAD:
        return head;
    case HEADS_Q:
        return s->n_head * head;
    case WORD:
        return s->n_word ? s->n_word : s->n_embd;
    case HEADS_KV:
        return s->n_head_kv * head;
    case QKV:
        return (s->n_head + 2 * s->n_head_kv) * head;
    case FF:
        return s->n_ff;
    case FF_2:
        return 2 * s->n_ff;
    case VOCAB:
        return s->n_vocab;
    case CTX:
        return s->n_ctx;
    }
    return 0;
}

size_t shape_tensor_count(const model_shape *shape) {
    const tensor_rules *rules = rules_of(shape);
    const tensor_rule *unused;
    return count_rules(shape, rules->once, SIZE_MAX, &unused) +
           shape->n_layer * count_rules(shape, rules->layer, SIZE_MAX, &unused);
}

void shape_tensor_at(const model_shape *shape, size_t index, shape_tensor *tensor) {
    const tensor_rules *rules = rules_of(shape);
    const tensor_rule *rule = NULL;
    const size_t n_once = count_rules(shape, rules->once, index, &rule);
    if (index < n_once) {
        tensor->layer = SIZE_MAX;
        snprintf(tensor->name, sizeof tensor->name, "%s", rule->name);
    } else {
        const size_t per_layer = count_rules(shape, rules->layer, SIZE_MAX, &rule);
        tensor->layer = (index - n_once) / per_layer;
        count_rules(shape, rules->layer, (index - n_once) % per_layer, &rule);
        snprintf(tensor->name, sizeof tensor->name, "blk.%zu.%s", tensor->layer, rule->name);
    }
    tensor->role = rule->role;
    tensor->n_in = extent_of(shape, rule->n_in);
    tensor->n_rows = extent_of(shape, rule->n_rows);
}

uint64_t shape_parameters(const model_shape *shape) {
    uint64_t sum = 0;
    for (size_t i = 0; i < shape_tensor_count(shape); i++) {
        shape_tensor tensor;
        shape_tensor_at(shape, i, &tensor);
        sum += (uint64_t)tensor.n_in * tensor.n_rows;
    }
    return sum;
}
