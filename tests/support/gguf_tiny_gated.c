#include "support/gguf_tiny_gated.h"

#include "base/random.h"
#include "base/size.h"
#include "quant/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

gguf_tiny_gated gguf_tiny_gated_defaults(const char *architecture) {
    return (gguf_tiny_gated){.architecture = architecture,
                             .n_layer = 3,
                             .n_embd = 32,
                             .n_head = 4,
                             .n_head_kv = 2,
                             .head = 16,
                             .n_ff = 48,
                             .n_ctx = 64,
                             .n_vocab = 61,
                             .type = QUANT_F32,
                             .seed = 1};
}

static bool is(const gguf_tiny_gated *o, const char *architecture) {
    return strcmp(o->architecture, architecture) == 0;
}

static bool is_gemma(const gguf_tiny_gated *o) {
    return is(o, "gemma2") || is(o, "gemma3");
}

/* ---- values --------------------------------------------------------------------------------- */

static void random_of(const gguf_tiny_gated *o, const char *name, random_state *r) {
    uint64_t seed = o->seed;
    for (const char *c = name; *c; c++) {
        seed = seed * 1099511628211u + (uint8_t)*c;
    }
    random_seed(r, seed);
}

/* Between -reach and reach, multiples of reach / 64, which stay exact with 1 added. */
static void fill(const gguf_tiny_gated *o, const char *name, float reach, float *values, size_t n) {
    random_state r;
    random_of(o, name, &r);
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)((int)(random_u64(&r) % 129) - 64) * (reach / 64);
    }
}

static void add(gguf_builder *b, const char *name, quant_type type, size_t n_in, size_t n_out,
                const float *values) {
    void *blocks = malloc(quant_row_bytes(type, n_in) * n_out);
    if (!blocks) {
        abort();
    }
    quant_encode(type, values, NULL, blocks, n_in * n_out);
    gguf_builder_tensor_add(b, name, type, n_out == 1 ? 1 : 2, (const uint64_t[]){n_in, n_out},
                            blocks);
    free(blocks);
}

/* The rows of up to three matrices, which have the names in parts, one after the other. */
typedef struct part {
    const char *name;
    size_t n_out;
} part;

static void full_name(char full[80], size_t layer, const char *name) {
    if (layer == SIZE_MAX) {
        snprintf(full, 80, "%s", name);
    } else {
        snprintf(full, 80, "blk.%zu.%s", layer, name);
    }
}

static void add_matrix(gguf_builder *b, const gguf_tiny_gated *o, size_t layer, const char *name,
                       size_t n_in, size_t n_part, const part *parts) {
    size_t n_out = 0;
    for (size_t i = 0; i < n_part; i++) {
        n_out += parts[i].n_out;
    }
    float *values = malloc(n_in * n_out * sizeof *values), *at = values;
    if (!values) {
        abort();
    }
    char full[80];
    for (size_t i = 0; i < n_part; at += n_in * parts[i++].n_out) {
        full_name(full, layer, parts[i].name);
        fill(o, full, 0.5f, at, n_in * parts[i].n_out);
    }
    full_name(full, layer, name);
    add(b, full, o->type, n_in, n_out, values);
    free(values);
}

static void add_one(gguf_builder *b, const gguf_tiny_gated *o, size_t layer, const char *name,
                    size_t n_in, size_t n_out) {
    add_matrix(b, o, layer, name, n_in, 1, &(part){name, n_out});
}

static void add_vector(gguf_builder *b, const gguf_tiny_gated *o, size_t layer, const char *name,
                       size_t n, float middle, float reach) {
    float values[1024];
    char full[80];
    full_name(full, layer, name);
    fill(o, full, reach, values, n);
    for (size_t i = 0; i < n; i++) {
        values[i] += middle;
    }
    add(b, full, QUANT_F32, n, 1, values);
}

static void add_norm(gguf_builder *b, const gguf_tiny_gated *o, size_t layer, const char *name,
                     size_t n) {
    add_vector(b, o, layer, name, n, 1 - o->norm_less, 0.25f);
}

/* ---- tensors -------------------------------------------------------------------------------- */

static void add_attention(gguf_builder *b, const gguf_tiny_gated *o, size_t layer) {
    const size_t q = o->n_head * o->head, kv = o->n_head_kv * o->head;
    const part parts[] = {{"attn_q.weight", q}, {"attn_k.weight", kv}, {"attn_v.weight", kv}};
    add_norm(b, o, layer, "attn_norm.weight", o->n_embd);
    if (is(o, "phi3")) {
        add_matrix(b, o, layer, "attn_qkv.weight", o->n_embd, 3, parts);
    } else {
        for (size_t i = 0; i < 3; i++) {
            add_one(b, o, layer, parts[i].name, o->n_embd, parts[i].n_out);
        }
    }
    if (is(o, "qwen2")) {
        add_vector(b, o, layer, "attn_q.bias", q, 0, 0.5f);
        add_vector(b, o, layer, "attn_k.bias", kv, 0, 0.5f);
        add_vector(b, o, layer, "attn_v.bias", kv, 0, 0.5f);
    }
    if (is(o, "qwen3") || is(o, "gemma3")) {
        add_norm(b, o, layer, "attn_q_norm.weight", o->head);
        add_norm(b, o, layer, "attn_k_norm.weight", o->head);
    }
    add_one(b, o, layer, "attn_output.weight", q, o->n_embd);
    if (is_gemma(o)) {
        add_norm(b, o, layer, "post_attention_norm.weight", o->n_embd);
    }
}

static void add_feed_forward(gguf_builder *b, const gguf_tiny_gated *o, size_t layer) {
    const part parts[] = {{"ffn_gate.weight", o->n_ff}, {"ffn_up.weight", o->n_ff}};
    add_norm(b, o, layer, "ffn_norm.weight", o->n_embd);
    if (is(o, "phi3")) {
        add_matrix(b, o, layer, "ffn_up.weight", o->n_embd, 2, parts);
    } else {
        add_one(b, o, layer, parts[0].name, o->n_embd, o->n_ff);
        add_one(b, o, layer, parts[1].name, o->n_embd, o->n_ff);
    }
    add_one(b, o, layer, "ffn_down.weight", o->n_ff, o->n_embd);
    if (is_gemma(o)) {
        add_norm(b, o, layer, "post_ffw_norm.weight", o->n_embd);
    }
}

static void add_factors(gguf_builder *b, const gguf_tiny_gated *o) {
    const size_t n = (o->n_rot ? o->n_rot : o->head) / 2;
    float values[128] = {0};
    for (int is_long = 0; is_long < 2; is_long++) {
        for (size_t i = 0; i < n; i++) {
            values[i] = 1 + (is_long ? 0.5f : 0.0625f) * (float)(i + 1);
        }
        gguf_builder_tensor_add(b,
                                is_long ? "rope_factors_long.weight" : "rope_factors_short.weight",
                                QUANT_F32, 1, (const uint64_t[]){n}, values);
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void put_u32(gguf_builder *b, const gguf_tiny_gated *o, const char *name, size_t value) {
    char key[80];
    snprintf(key, sizeof key, "%s.%s", o->architecture, name);
    gguf_builder_u32(b, key, (uint32_t)value);
}

static void put_f32(gguf_builder *b, const gguf_tiny_gated *o, const char *name, float value) {
    char key[80];
    snprintf(key, sizeof key, "%s.%s", o->architecture, name);
    gguf_builder_f32(b, key, value);
}

static void add_hyper_parameters(gguf_builder *b, const gguf_tiny_gated *o) {
    gguf_builder_string(b, "general.architecture", o->architecture);
    put_u32(b, o, "context_length", o->n_ctx);
    put_u32(b, o, "embedding_length", o->n_embd);
    put_u32(b, o, "block_count", o->n_layer);
    put_u32(b, o, "feed_forward_length", o->n_ff);
    put_u32(b, o, "attention.head_count", o->n_head);
    put_u32(b, o, "attention.head_count_kv", o->n_head_kv);
    put_u32(b, o, "attention.key_length", o->head);
    put_u32(b, o, "attention.value_length", o->head);
    put_u32(b, o, "rope.dimension_count", o->n_rot ? o->n_rot : o->head);
    put_f32(b, o, "attention.layer_norm_rms_epsilon", 1e-6f);
    if (o->window) {
        put_u32(b, o, "attention.sliding_window", o->window);
    }
    if (o->pattern) {
        put_u32(b, o, "attention.sliding_window_pattern", o->pattern);
    }
    if (o->norm_less != 0) {
        gguf_builder_bool(b, "sluice.norm_plus_one", true);
    }
    if (is(o, "gemma2")) { /* caps that bite */
        put_f32(b, o, "attn_logit_softcapping", 2);
        put_f32(b, o, "final_logit_softcapping", 3);
    }
    if (o->long_factors) {
        put_u32(b, o, "rope.scaling.original_context_length", 16);
        put_f32(b, o, "rope.scaling.attn_factor", 1.125f);
    }
}

void gguf_builder_tiny_gated(gguf_builder *b, const gguf_tiny_gated *o) {
    add_hyper_parameters(b, o);
    add_one(b, o, SIZE_MAX, "token_embd.weight", o->n_embd, o->n_vocab);
    for (size_t layer = 0; layer < o->n_layer; layer++) {
        add_attention(b, o, layer);
        add_feed_forward(b, o, layer);
    }
    add_norm(b, o, SIZE_MAX, "output_norm.weight", o->n_embd);
    if (!o->tied) {
        add_one(b, o, SIZE_MAX, "output.weight", o->n_embd, o->n_vocab);
    }
    if (o->long_factors) {
        add_factors(b, o);
    }
}
