/* A complete tiny llama model for gguf_builder.h. */
#include "support/gguf_builder.h"

#include "base/random.h"
#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>

gguf_tiny_options gguf_tiny_defaults(void) {
    return (gguf_tiny_options){.n_layer = 2,
                               .n_embd = 32,
                               .n_head = 4,
                               .n_head_kv = 2,
                               .n_ff = 64,
                               .n_ctx = 64,
                               .n_vocab = 257,
                               .type = QUANT_F32,
                               .seed = 1};
}

/* ---- the tokenizer -------------------------------------------------------------------------- */

#define LETTERS 26u

/* GPT-2's bytes_to_unicode: bytes that print stand for themselves, the others, in order, for the
 * code points from 256 on. */
static uint32_t code_of_byte(unsigned byte) {
    uint32_t next = 256;
    for (unsigned b = 0; b < 256; b++) {
        const bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte) {
            return prints ? b : next;
        }
        next += !prints;
    }
    return 0;
}

static void name_token(size_t token, char out[32]) {
    if (token < 256) {
        const uint32_t code = code_of_byte((unsigned)token);
        if (code < 0x80) {
            snprintf(out, 32, "%c", (char)code);
        } else {
            snprintf(out, 32, "%c%c", (char)(0xc0 | code >> 6), (char)(0x80 | (code & 0x3f)));
        }
    } else if (token == 256) {
        snprintf(out, 32, "<|end|>");
    } else if (token - 257 < LETTERS * LETTERS) {
        const size_t pair = token - 257;
        snprintf(out, 32, "%c%c", (char)('a' + pair / LETTERS), (char)('a' + pair % LETTERS));
    } else {
        snprintf(out, 32, "<|unused%zu|>", token);
    }
}

enum { TYPE_NORMAL = 1, TYPE_CONTROL = 3, TYPE_UNUSED = 5 };

void gguf_builder_vocabulary(gguf_builder *b, size_t n_vocab) {
    char(*names)[32] = calloc(n_vocab, sizeof *names);
    char(*merges)[4] = calloc(n_vocab, sizeof *merges);
    const char **pointers = calloc(n_vocab, sizeof *pointers);
    int32_t *types = calloc(n_vocab, sizeof *types);
    if (!names || !merges || !pointers || !types) {
        abort();
    }
    size_t n_merges = 0;
    for (size_t i = 0; i < n_vocab; i++) {
        const bool unused = i >= 257 + LETTERS * LETTERS;
        name_token(i, names[i]);
        pointers[i] = names[i];
        types[i] = i == 256 ? TYPE_CONTROL : unused ? TYPE_UNUSED : TYPE_NORMAL;
        if (i > 256 && !unused) {
            snprintf(merges[n_merges++], 4, "%c %c", names[i][0], names[i][1]);
        }
    }
    gguf_builder_string(b, "tokenizer.ggml.model", "gpt2");
    gguf_builder_string(b, "tokenizer.ggml.pre", "gpt-2");
    gguf_builder_strings(b, "tokenizer.ggml.tokens", pointers, n_vocab);
    gguf_builder_array(b, "tokenizer.ggml.token_type", META_I32, types, n_vocab);
    for (size_t i = 0; i < n_merges; i++) {
        pointers[i] = merges[i];
    }
    gguf_builder_strings(b, "tokenizer.ggml.merges", pointers, n_merges);
    gguf_builder_u32(b, "tokenizer.ggml.bos_token_id", 256);
    gguf_builder_u32(b, "tokenizer.ggml.eos_token_id", 256);
    free(names);
    free(merges);
    free(pointers);
    free(types);
}

/* ---- weights -------------------------------------------------------------------------------- */

/* Where a block keeps its f16 scales, and a size of them that gives values of about 0.1 from
 * random bits: the rest of a block may be anything. */
static const struct {
    size_t scale_at, min_at; /* 0 as min_at: none */
    float scale, min;
} blocks[QUANT_TYPE_LIMIT] = {
    [QUANT_Q4_0] = {0, 0, 0.02f, 0},          [QUANT_Q4_1] = {0, 2, 0.02f, -0.15f},
    [QUANT_Q5_0] = {0, 0, 0.01f, 0},          [QUANT_Q5_1] = {0, 2, 0.01f, -0.155f},
    [QUANT_Q8_0] = {0, 0, 0.0015f, 0},        [QUANT_Q2_K] = {80, 82, 0.01f, 0.015f},
    [QUANT_Q3_K] = {108, 0, 0.002f, 0},       [QUANT_Q4_K] = {0, 2, 0.0005f, 0.0037f},
    [QUANT_Q5_K] = {0, 2, 0.00025f, 0.0037f}, [QUANT_Q6_K] = {208, 0, 0.00007f, 0},
    [QUANT_IQ4_NL] = {0, 0, 0.0015f, 0},      [QUANT_IQ4_XS] = {0, 0, 0.00008f, 0},
};

/* Of variance 1: the sum of twelve uniform numbers less its mean. */
static float random_normal(random_state *r) {
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += random_unit(r);
    }
    return (float)sum;
}

static void put_f16(uint8_t *at, float value) {
    const uint16_t half = quant_f32_to_f16(value);
    memcpy(at, &half, sizeof half);
}

static void fill_float(uint8_t *data, size_t i, quant_type type, float value) {
    const uint16_t half = type == QUANT_F16 ? quant_f32_to_f16(value) : quant_f32_to_bf16(value);
    if (type == QUANT_F32) {
        memcpy(data + 4 * i, &value, 4);
    } else {
        memcpy(data + 2 * i, &half, 2);
    }
}

static void fill_block(uint8_t *block, quant_type type, size_t bytes, random_state *r) {
    for (size_t i = 0; i < bytes; i++) {
        block[i] = (uint8_t)(random_u64(r) >> 56);
    }
    const float factor = (float)(0.5 + random_unit(r));
    if (type == QUANT_MXFP4) {
        block[0] = factor < 1 ? 121 : 122; /* 2^-6 or 2^-5 */
        return;
    }
    put_f16(block + blocks[type].scale_at, factor * blocks[type].scale);
    if (blocks[type].min_at) {
        put_f16(block + blocks[type].min_at, factor * blocks[type].min);
    }
}

static void fill_weights(gguf_builder_tensor *tensor, random_state *r) {
    const quant_type type = (quant_type)tensor->type;
    const quant_format *format = quant_format_of(tensor->type);
    for (size_t at = 0, i = 0; at < tensor->data.count; at += format->block_bytes, i++) {
        if (format->block_length == 1) {
            fill_float(tensor->data.data, i, type, 0.1f * random_normal(r));
        } else {
            fill_block(tensor->data.data + at, type, format->block_bytes, r);
        }
    }
}

void gguf_builder_matrix(gguf_builder *b, const char *name, quant_type type, size_t n_in,
                         size_t n_out, random_state *r) {
    const uint64_t dims[] = {n_in, n_out};
    gguf_builder_tensor_add(b, name, type, 2, dims, NULL);
    fill_weights(&b->tensor[b->tensor_count - 1], r);
}

void gguf_builder_vector(gguf_builder *b, const char *name, size_t n, float middle,
                         random_state *r) {
    gguf_builder_tensor_add(b, name, QUANT_F32, 1, (const uint64_t[]){n}, NULL);
    gguf_builder_tensor *tensor = &b->tensor[b->tensor_count - 1];
    for (size_t i = 0; i < n; i++) {
        fill_float(tensor->data.data, i, QUANT_F32, middle + 0.1f * random_normal(r));
    }
}

static void add_layer(gguf_builder *b, const gguf_tiny_options *o, size_t layer, random_state *r) {
    const size_t n_kv = o->n_embd / o->n_head * o->n_head_kv;
    const struct {
        const char *name;
        size_t n_in, n_out; /* n_out 0: a norm */
    } parts[] = {
        {"attn_norm", o->n_embd, 0},           {"attn_q", o->n_embd, o->n_embd},
        {"attn_k", o->n_embd, n_kv},           {"attn_v", o->n_embd, n_kv},
        {"attn_output", o->n_embd, o->n_embd}, {"ffn_norm", o->n_embd, 0},
        {"ffn_gate", o->n_embd, o->n_ff},      {"ffn_up", o->n_embd, o->n_ff},
        {"ffn_down", o->n_ff, o->n_embd},
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%zu.%s.weight", layer, parts[i].name);
        if (parts[i].n_out) {
            gguf_builder_matrix(b, name, o->type, parts[i].n_in, parts[i].n_out, r);
        } else {
            gguf_builder_vector(b, name, parts[i].n_in, 1, r);
        }
    }
}

static void add_hyper_parameters(gguf_builder *b, const gguf_tiny_options *o) {
    gguf_builder_string(b, "general.architecture", "llama");
    gguf_builder_string(b, "general.name", "tiny");
    gguf_builder_u32(b, "llama.context_length", (uint32_t)o->n_ctx);
    gguf_builder_u32(b, "llama.embedding_length", (uint32_t)o->n_embd);
    gguf_builder_u32(b, "llama.block_count", (uint32_t)o->n_layer);
    gguf_builder_u32(b, "llama.feed_forward_length", (uint32_t)o->n_ff);
    gguf_builder_u32(b, "llama.rope.dimension_count", (uint32_t)(o->n_embd / o->n_head));
    gguf_builder_u32(b, "llama.attention.head_count", (uint32_t)o->n_head);
    gguf_builder_u32(b, "llama.attention.head_count_kv", (uint32_t)o->n_head_kv);
    gguf_builder_f32(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_builder_f32(b, "llama.rope.freq_base", 10000.0f);
}

void gguf_builder_tiny_llama(gguf_builder *b, const gguf_tiny_options *options) {
    random_state r;
    random_seed(&r, options->seed);
    add_hyper_parameters(b, options);
    gguf_builder_vocabulary(b, options->n_vocab);
    gguf_builder_matrix(b, "token_embd.weight", options->type, options->n_embd, options->n_vocab,
                        &r);
    for (size_t i = 0; i < options->n_layer; i++) {
        add_layer(b, options, i, &r);
    }
    gguf_builder_vector(b, "output_norm.weight", options->n_embd, 1, &r);
    if (!options->tied) {
        gguf_builder_matrix(b, "output.weight", options->type, options->n_embd, options->n_vocab,
                            &r);
    }
}
