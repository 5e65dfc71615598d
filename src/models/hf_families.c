#include "models/hf_families.h"

#include "base/limits.h"
#include "base/size.h"

#include <math.h>

/* ---- settings that several families share --------------------------------------------------- */

/* The names of the settings that all have, which differ. */
typedef struct size_names {
    const char *context, *embedding, *layers, *heads;
    uint64_t n_context, n_embedding, n_layers, n_heads; /* where the config is silent */
} size_names;

static void key_sizes(hf_config *c, const size_names *names) {
    hf_key_u64(c, "context_length", hf_u64(c, names->context, names->n_context, 1, LIMIT_CONTEXT));
    hf_key_u64(c, "embedding_length",
               hf_u64(c, names->embedding, names->n_embedding, 1, LIMIT_EMBEDDING));
    c->n_layer = hf_u64(c, names->layers, names->n_layers, 1, LIMIT_LAYERS);
    hf_key_u64(c, "block_count", c->n_layer);
    hf_key_u64(c, "attention.head_count", hf_u64(c, names->heads, names->n_heads, 1, LIMIT_HEADS));
}

static void key_layer_norm(hf_config *c, const char *name, double otherwise) {
    hf_key_float(c, "attention.layer_norm_epsilon", hf_float(c, name, otherwise));
}

static void set_tied(hf_config *c, bool otherwise) {
    hf_feature(c, HF_UNTIED, !hf_bool(c, "tie_word_embeddings", otherwise));
}

/* What is between the matrices of the feed-forward part, for the architectures that take any. */
static void key_activation(hf_config *c, const char *name, const char *otherwise) {
    tables_string(c->t, "sluice.activation",
                  str_from(hf_activation(c, name, otherwise, " gelu gelu_tanh relu ")));
}

/* ---- families of 2019 to 2022 --------------------------------------------------------------- */

static const size_names gpt_names = {.context = "n_positions",
                                     .embedding = "n_embd",
                                     .layers = "n_layer",
                                     .heads = "n_head",
                                     .n_context = 1024,
                                     .n_embedding = 768,
                                     .n_layers = 12,
                                     .n_heads = 12};

static void gpt2_keys(hf_config *c) {
    key_sizes(c, &gpt_names);
    const uint64_t n_embd = hf_u64(c, "n_embd", 768, 1, LIMIT_EMBEDDING);
    hf_key_u64(c, "feed_forward_length", hf_u64(c, "n_inner", 4 * n_embd, 1, LIMIT_FEED_FORWARD));
    key_layer_norm(c, "layer_norm_epsilon", 1e-5);
    key_activation(c, "activation_function", "gelu_new");
    hf_only_bool(c, "scale_attn_weights", true);
    hf_only_bool(c, "scale_attn_by_inverse_layer_idx", false);
    hf_only_bool(c, "add_cross_attention", false);
    set_tied(c, true);
}

static void gptj_keys(hf_config *c) {
    const size_names names = {"n_positions", "n_embd", "n_layer", "n_head", 2048, 4096, 28, 16};
    key_sizes(c, &names);
    const uint64_t n_embd = hf_u64(c, "n_embd", 4096, 1, LIMIT_EMBEDDING);
    const uint64_t head = n_embd / hf_u64(c, "n_head", 16, 1, LIMIT_HEADS);
    hf_key_u64(c, "feed_forward_length", hf_u64(c, "n_inner", 4 * n_embd, 1, LIMIT_FEED_FORWARD));
    /* The class's default is 64, but null stands for the whole head. */
    const bool whole = json_is_null(json_object_get(c->root, "rotary_dim"));
    hf_key_u64(c, "rope.dimension_count",
               hf_u64(c, "rotary_dim", whole ? head : 64, 2, LIMIT_HEAD_SIZE));
    key_layer_norm(c, "layer_norm_epsilon", 1e-5);
    key_activation(c, "activation_function", "gelu_new");
    set_tied(c, false);
}

static void gpt_neox_keys(hf_config *c) {
    const size_names names = {"max_position_embeddings",
                              "hidden_size",
                              "num_hidden_layers",
                              "num_attention_heads",
                              2048,
                              6144,
                              44,
                              64};
    key_sizes(c, &names);
    const uint64_t n_embd = hf_u64(c, "hidden_size", 6144, 1, LIMIT_EMBEDDING);
    const uint64_t head = n_embd / hf_u64(c, "num_attention_heads", 64, 1, LIMIT_HEADS);
    hf_key_u64(c, "feed_forward_length",
               hf_u64(c, "intermediate_size", 24576, 1, LIMIT_FEED_FORWARD));
    const double share = hf_partial_rotary(c, "rotary_pct", 0.25);
    hf_key_u64(c, "rope.dimension_count", (uint64_t)((double)head * share));
    hf_rotary(c, NULL, hf_float(c, "rotary_emb_base", 10000), " ");
    key_layer_norm(c, "layer_norm_eps", 1e-5);
    hf_key_bool(c, "use_parallel_residual", hf_bool(c, "use_parallel_residual", true));
    key_activation(c, "hidden_act", "gelu");
    tables_bool(c->t, "sluice.qkv_interleaved", true);
    hf_feature(c, HF_ATTENTION_BIAS, hf_bool(c, "attention_bias", true));
    set_tied(c, false);
}

static void opt_keys(hf_config *c) {
    const size_names names = {"max_position_embeddings",
                              "hidden_size",
                              "num_hidden_layers",
                              "num_attention_heads",
                              2048,
                              768,
                              12,
                              12};
    key_sizes(c, &names);
    const uint64_t n_embd = hf_u64(c, "hidden_size", 768, 1, LIMIT_EMBEDDING);
    const uint64_t n_word = hf_u64(c, "word_embed_proj_dim", n_embd, 1, LIMIT_EMBEDDING);
    hf_key_u64(c, "feed_forward_length", hf_u64(c, "ffn_dim", 3072, 1, LIMIT_FEED_FORWARD));
    hf_key_float(c, "attention.layer_norm_epsilon", 1e-5); /* torch's: the config has no setting */
    if (n_word != n_embd) {
        hf_key_u64(c, "word_embedding_length", n_word);
    }
    const bool before = hf_bool(c, "do_layer_norm_before", true);
    hf_key_bool(c, "normalize_before", before);
    hf_key_string(c, "activation", hf_activation(c, "activation_function", "relu", " relu gelu "));
    hf_feature(c, HF_PROJECTIONS, n_word != n_embd);
    hf_feature(c, HF_ATTENTION_BIAS, hf_bool(c, "enable_bias", true));
    hf_feature(c, HF_NORM, hf_bool(c, "layer_norm_elementwise_affine", true));
    hf_feature(c, HF_FINAL_NORM, before);
    hf_only_bool(c, "_remove_final_layer_norm", false);
    hf_only_bool(c, "tie_word_embeddings", true);
}

static void bloom_keys(hf_config *c) {
    /* The files of bigscience/bloom are older than the names of today's class. */
    size_names names = {"seq_length", "hidden_size", "n_layer", "n_head", 2048, 64, 2, 8};
    names.embedding = hf_has(c, "hidden_size") ? "hidden_size" : "n_embed";
    names.layers = hf_has(c, "n_layer") ? "n_layer" : "num_hidden_layers";
    names.heads = hf_has(c, "n_head") ? "n_head" : "num_attention_heads";
    key_sizes(c, &names);
    const uint64_t n_embd = hf_u64(c, names.embedding, 64, 1, LIMIT_EMBEDDING);
    hf_key_u64(c, "feed_forward_length", hf_u64(c, "n_inner", 4 * n_embd, 4 * n_embd, 4 * n_embd));
    key_layer_norm(c, "layer_norm_epsilon", 1e-5);
    hf_only_bool(c, "apply_residual_connection_post_layernorm", false);
    hf_only_bool(c, "alibi", true); /* of the architecture's first configs */
    tables_bool(c->t, "sluice.qkv_interleaved", true);
    set_tied(c, true);
}

/* ---- LLaMA and what followed it ------------------------------------------------------------- */

/* Defaults where the config is silent, which differ between the families that have LLaMA's
 * settings. */
typedef struct llama_defaults {
    uint64_t n_context, n_embd, n_layer, n_head, n_ff;
    uint64_t n_head_kv; /* 0: as many as heads */
    uint64_t head;      /* 0: the embedding's share of a head */
    double epsilon;
} llama_defaults;

/* Returns the size of a head. */
static uint64_t key_llama(hf_config *c, const llama_defaults *d) {
    const size_names names = {"max_position_embeddings",
                              "hidden_size",
                              "num_hidden_layers",
                              "num_attention_heads",
                              d->n_context,
                              d->n_embd,
                              d->n_layer,
                              d->n_head};
    key_sizes(c, &names);
    const uint64_t n_embd = hf_u64(c, "hidden_size", d->n_embd, 1, LIMIT_EMBEDDING);
    const uint64_t n_head = hf_u64(c, "num_attention_heads", d->n_head, 1, LIMIT_HEADS);
    const uint64_t n_kv =
        json_is_null(json_object_get(c->root, "num_key_value_heads")) || d->n_head_kv == 0
            ? n_head
            : d->n_head_kv;
    const uint64_t head =
        hf_u64(c, "head_dim", d->head ? d->head : n_embd / n_head, 1, LIMIT_HEAD_SIZE);
    hf_key_u64(c, "feed_forward_length",
               hf_u64(c, "intermediate_size", d->n_ff, 1, LIMIT_FEED_FORWARD));
    hf_key_u64(c, "attention.head_count_kv",
               hf_u64(c, "num_key_value_heads", n_kv, 1, LIMIT_HEADS));
    hf_key_u64(c, "attention.key_length", head);
    hf_key_u64(c, "attention.value_length", head);
    hf_key_float(c, "attention.layer_norm_rms_epsilon", hf_float(c, "rms_norm_eps", d->epsilon));
    return head;
}

static void llama_keys(hf_config *c) {
    const llama_defaults d = {2048, 4096, 32, 32, 11008, 0, 0, 1e-6};
    hf_key_u64(c, "rope.dimension_count", key_llama(c, &d));
    hf_rotary(c, NULL, 10000, " linear llama3 ");
    tables_bool(c->t, "sluice.rope_halves", true);
    hf_activation(c, "hidden_act", "silu", " silu ");
    hf_feature(c, HF_ATTENTION_BIAS, hf_bool(c, "attention_bias", false));
    hf_feature(c, HF_FEED_FORWARD_BIAS, hf_bool(c, "mlp_bias", false));
    set_tied(c, false);
}

/* A window in positions, the row's own included, as GGUF has it; null: none. */
static void key_window(hf_config *c, uint64_t otherwise) {
    const bool none = json_is_null(json_object_get(c->root, "sliding_window"));
    const uint64_t window = hf_u64(c, "sliding_window", none ? 0 : otherwise, 0, LIMIT_CONTEXT);
    if (window > 0) {
        hf_key_u64(c, "attention.sliding_window", window);
    }
}

static void mistral_keys(hf_config *c) {
    const llama_defaults d = {131072, 4096, 32, 32, 14336, 8, 0, 1e-6};
    hf_key_u64(c, "rope.dimension_count", key_llama(c, &d));
    hf_rotary(c, NULL, 10000, " linear llama3 ");
    key_window(c, 4096);
    tables_bool(c->t, "sluice.rope_halves", true);
    hf_activation(c, "hidden_act", "silu", " silu ");
    set_tied(c, false);
}

/* The layers' kinds, where the config lists them, must be what `expected` says of each. */
static void check_layer_types(hf_config *c, bool (*is_full)(uint64_t layer, uint64_t period),
                              uint64_t period) {
    const json_t *list = json_object_get(c->root, "layer_types");
    if (!list || json_is_null(list)) {
        return;
    }
    bool same = json_array_size(list) == c->n_layer;
    for (uint64_t i = 0; same && i < c->n_layer; i++) {
        const char *found = json_string_value(json_array_get(list, i));
        same = found &&
               strcmp(found, is_full(i, period) ? "full_attention" : "sliding_attention") == 0;
    }
    if (!same) {
        tables_fail(c->t, SL_ERR_UNSUPPORTED,
                    "config.json: \"layer_types\" is not the order of layers that %s is known to "
                    "have",
                    c->architecture);
    }
}

static bool always_full(uint64_t layer, uint64_t period) {
    (void)layer, (void)period;
    return true;
}

/* Of each `period` layers the last one sees everything. */
static bool last_is_full(uint64_t layer, uint64_t period) {
    return (layer + 1) % period == 0;
}

static void qwen_keys(hf_config *c, const llama_defaults *d) {
    hf_key_u64(c, "rope.dimension_count", key_llama(c, d));
    hf_rotary(c, NULL, 10000, " linear ");
    hf_activation(c, "hidden_act", "silu", " silu ");
    hf_only_bool(c, "use_sliding_window", false);
    check_layer_types(c, always_full, 1);
    set_tied(c, false);
}

static void qwen2_keys(hf_config *c) {
    const llama_defaults d = {32768, 4096, 32, 32, 22016, 32, 0, 1e-6};
    qwen_keys(c, &d);
}

static void qwen3_keys(hf_config *c) {
    const llama_defaults d = {32768, 4096, 32, 32, 22016, 32, 128, 1e-6};
    hf_only_bool(c, "attention_bias", false);
    qwen_keys(c, &d);
}

static void gemma_keys(hf_config *c, const llama_defaults *d) {
    hf_key_u64(c, "rope.dimension_count", key_llama(c, d));
    const double scalar = hf_float(c, "query_pre_attn_scalar", 256);
    if (!(scalar > 0)) {
        tables_fail(c->t, SL_ERR_FORMAT,
                    "config.json: \"query_pre_attn_scalar\" is expected to be above 0");
    }
    hf_key_float(c, "attention.scale", 1 / sqrt(scalar));
    key_window(c, 4096);
    tables_bool(c->t, "sluice.norm_plus_one", true);
    hf_activation(c, "hidden_activation", "gelu_pytorch_tanh", " gelu_tanh ");
    hf_only_bool(c, "attention_bias", false);
    hf_only_bool(c, "use_bidirectional_attention", false);
    set_tied(c, true);
}

/* A soft cap; where there is none the key says 0, for its absence means the usual one. */
static void key_cap(hf_config *c, const char *name, double otherwise) {
    const bool none = json_is_null(json_object_get(c->root, name));
    hf_key_float(c, name, hf_float(c, name, none ? 0 : otherwise));
}

static void gemma2_keys(hf_config *c) {
    const llama_defaults d = {8192, 2304, 26, 8, 9216, 4, 256, 1e-6};
    gemma_keys(c, &d);
    hf_rotary(c, NULL, 10000, " ");
    key_cap(c, "attn_logit_softcapping", 50);
    key_cap(c, "final_logit_softcapping", 30);
    check_layer_types(c, last_is_full, 2);
}

/* With layer_types the period is that of the first layer that sees everything. */
static uint64_t gemma3_period(hf_config *c) {
    const json_t *list = json_object_get(c->root, "layer_types");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *kind = json_string_value(json_array_get(list, i));
        if (kind && strcmp(kind, "full_attention") == 0) {
            return i + 1;
        }
    }
    return hf_u64(c, "sliding_window_pattern",
                  hf_u64(c, "_sliding_window_pattern", 6, 1, LIMIT_LAYERS), 1, LIMIT_LAYERS);
}

static void gemma3_keys(hf_config *c) {
    const llama_defaults d = {131072, 2304, 26, 8, 9216, 4, 256, 1e-6};
    gemma_keys(c, &d);
    hf_rotary(c, "full_attention", 1e6, " linear ");
    hf_feature(c, HF_HEAD_NORMS, true);
    hf_key_float(c, "rope.freq_base_swa",
                 hf_local_base(c, "sliding_attention", "rope_local_base_freq", 10000));
    const uint64_t period = gemma3_period(c);
    hf_key_u64(c, "attention.sliding_window_pattern", period);
    check_layer_types(c, last_is_full, period);
    if (hf_float(c, "attn_logit_softcapping", 0) != 0) {
        tables_fail(c->t, SL_ERR_UNSUPPORTED,
                    "config.json: \"attn_logit_softcapping\" is not supported for gemma3");
    }
    if (hf_has(c, "final_logit_softcapping")) {
        hf_key_float(c, "final_logit_softcapping", hf_float(c, "final_logit_softcapping", 0));
    }
}

static void phi3_keys(hf_config *c) {
    const llama_defaults d = {4096, 3072, 32, 32, 8192, 0, 0, 1e-5};
    const uint64_t head = key_llama(c, &d);
    hf_key_u64(c, "rope.dimension_count",
               (uint64_t)((double)head * hf_partial_rotary(c, "partial_rotary_factor", 1)));
    hf_rotary(c, NULL, 10000, " longrope ");
    key_window(c, 0);
    hf_activation(c, "hidden_act", "silu", " silu ");
    hf_only_bool(c, "attention_bias", false);
    set_tied(c, false);
}

/* ---- tensors -------------------------------------------------------------------------------- */

static const hf_tensor_rule gpt2_model[] = {
    {"wte.weight", "token_embd.weight", 0, 0},
    {"wpe.weight", "position_embd.weight", 0, 0},
    {"ln_f.weight", "output_norm.weight", 0, 0},
    {"ln_f.bias", "output_norm.bias", 0, 0},
    {"lm_head.weight", "output.weight", HF_UNTIED, HF_LEFT_OUT},
    {0},
};
static const hf_tensor_rule gpt2_layer[] = {
    {"ln_1.weight", "attn_norm.weight", 0, 0},
    {"ln_1.bias", "attn_norm.bias", 0, 0},
    {"attn.c_attn.weight", "attn_qkv.weight", 0, HF_CONV1D},
    {"attn.c_attn.bias", "attn_qkv.bias", 0, 0},
    {"attn.c_proj.weight", "attn_output.weight", 0, HF_CONV1D},
    {"attn.c_proj.bias", "attn_output.bias", 0, 0},
    {"ln_2.weight", "ffn_norm.weight", 0, 0},
    {"ln_2.bias", "ffn_norm.bias", 0, 0},
    {"mlp.c_fc.weight", "ffn_up.weight", 0, HF_CONV1D},
    {"mlp.c_fc.bias", "ffn_up.bias", 0, 0},
    {"mlp.c_proj.weight", "ffn_down.weight", 0, HF_CONV1D},
    {"mlp.c_proj.bias", "ffn_down.bias", 0, 0},
    {"attn.bias", NULL, 0, 0},
    {"attn.masked_bias", NULL, 0, 0},
    {0},
};

static const hf_tensor_rule gptj_model[] = {
    {"wte.weight", "token_embd.weight", 0, 0},
    {"ln_f.weight", "output_norm.weight", 0, 0},
    {"ln_f.bias", "output_norm.bias", 0, 0},
    {"lm_head.weight", "output.weight", HF_UNTIED, HF_LEFT_OUT},
    {"lm_head.bias", "output.bias", 0, 0},
    {0},
};
static const hf_tensor_rule gptj_layer[] = {
    {"ln_1.weight", "attn_norm.weight", 0, 0},
    {"ln_1.bias", "attn_norm.bias", 0, 0},
    {"attn.q_proj.weight", "attn_q.weight", 0, 0},
    {"attn.k_proj.weight", "attn_k.weight", 0, 0},
    {"attn.v_proj.weight", "attn_v.weight", 0, 0},
    {"attn.out_proj.weight", "attn_output.weight", 0, 0},
    {"mlp.fc_in.weight", "ffn_up.weight", 0, 0},
    {"mlp.fc_in.bias", "ffn_up.bias", 0, 0},
    {"mlp.fc_out.weight", "ffn_down.weight", 0, 0},
    {"mlp.fc_out.bias", "ffn_down.bias", 0, 0},
    {"attn.bias", NULL, 0, 0},
    {"attn.masked_bias", NULL, 0, 0},
    {"attn.embed_positions", NULL, 0, 0},
    {0},
};

static const hf_tensor_rule gpt_neox_model[] = {
    {"embed_in.weight", "token_embd.weight", 0, 0},
    {"final_layer_norm.weight", "output_norm.weight", 0, 0},
    {"final_layer_norm.bias", "output_norm.bias", 0, 0},
    {"embed_out.weight", "output.weight", HF_UNTIED, HF_LEFT_OUT},
    {"lm_head.weight", "output.weight", HF_UNTIED, HF_LEFT_OUT | HF_OTHER_NAME},
    {0},
};
static const hf_tensor_rule gpt_neox_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", 0, 0},
    {"input_layernorm.bias", "attn_norm.bias", 0, 0},
    {"attention.query_key_value.weight", "attn_qkv.weight", 0, 0},
    {"attention.query_key_value.bias", "attn_qkv.bias", HF_ATTENTION_BIAS, 0},
    {"attention.dense.weight", "attn_output.weight", 0, 0},
    {"attention.dense.bias", "attn_output.bias", HF_ATTENTION_BIAS, 0},
    {"post_attention_layernorm.weight", "ffn_norm.weight", 0, 0},
    {"post_attention_layernorm.bias", "ffn_norm.bias", 0, 0},
    {"mlp.dense_h_to_4h.weight", "ffn_up.weight", 0, 0},
    {"mlp.dense_h_to_4h.bias", "ffn_up.bias", 0, 0},
    {"mlp.dense_4h_to_h.weight", "ffn_down.weight", 0, 0},
    {"mlp.dense_4h_to_h.bias", "ffn_down.bias", 0, 0},
    {"attention.bias", NULL, 0, 0},
    {"attention.masked_bias", NULL, 0, 0},
    {"attention.rotary_emb.inv_freq", NULL, 0, 0},
    {0},
};

static const hf_tensor_rule opt_model[] = {
    {"embed_tokens.weight", "token_embd.weight", 0, 0},
    {"embed_positions.weight", "position_embd.weight", 0, HF_SKIP_TWO},
    {"project_in.weight", "project_in.weight", HF_PROJECTIONS, 0},
    {"project_out.weight", "project_out.weight", HF_PROJECTIONS, 0},
    {"final_layer_norm.weight", "output_norm.weight", HF_FINAL_NORM | HF_NORM, 0},
    {"final_layer_norm.bias", "output_norm.bias", HF_FINAL_NORM | HF_NORM, 0},
    {"lm_head.weight", "output.weight", HF_UNTIED, HF_LEFT_OUT},
    {0},
};
static const hf_tensor_rule opt_layer[] = {
    {"self_attn_layer_norm.weight", "attn_norm.weight", HF_NORM, 0},
    {"self_attn_layer_norm.bias", "attn_norm.bias", HF_NORM, 0},
    {"self_attn.q_proj.weight", "attn_q.weight", 0, 0},
    {"self_attn.q_proj.bias", "attn_q.bias", HF_ATTENTION_BIAS, 0},
    {"self_attn.k_proj.weight", "attn_k.weight", 0, 0},
    {"self_attn.k_proj.bias", "attn_k.bias", HF_ATTENTION_BIAS, 0},
    {"self_attn.v_proj.weight", "attn_v.weight", 0, 0},
    {"self_attn.v_proj.bias", "attn_v.bias", HF_ATTENTION_BIAS, 0},
    {"self_attn.out_proj.weight", "attn_output.weight", 0, 0},
    {"self_attn.out_proj.bias", "attn_output.bias", HF_ATTENTION_BIAS, 0},
    {"final_layer_norm.weight", "ffn_norm.weight", HF_NORM, 0},
    {"final_layer_norm.bias", "ffn_norm.bias", HF_NORM, 0},
    {"fc1.weight", "ffn_up.weight", 0, 0},
    {"fc1.bias", "ffn_up.bias", HF_ATTENTION_BIAS, 0},
    {"fc2.weight", "ffn_down.weight", 0, 0},
    {"fc2.bias", "ffn_down.bias", HF_ATTENTION_BIAS, 0},
    {0},
};

static const hf_tensor_rule bloom_model[] = {
    {"word_embeddings.weight", "token_embd.weight", 0, 0},
    {"word_embeddings_layernorm.weight", "token_embd_norm.weight", 0, 0},
    {"word_embeddings_layernorm.bias", "token_embd_norm.bias", 0, 0},
    {"ln_f.weight", "output_norm.weight", 0, 0},
    {"ln_f.bias", "output_norm.bias", 0, 0},
    {"lm_head.weight", "output.weight", HF_UNTIED, HF_LEFT_OUT},
    {0},
};
static const hf_tensor_rule bloom_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", 0, 0},
    {"input_layernorm.bias", "attn_norm.bias", 0, 0},
    {"self_attention.query_key_value.weight", "attn_qkv.weight", 0, 0},
    {"self_attention.query_key_value.bias", "attn_qkv.bias", 0, 0},
    {"self_attention.dense.weight", "attn_output.weight", 0, 0},
    {"self_attention.dense.bias", "attn_output.bias", 0, 0},
    {"post_attention_layernorm.weight", "ffn_norm.weight", 0, 0},
    {"post_attention_layernorm.bias", "ffn_norm.bias", 0, 0},
    {"mlp.dense_h_to_4h.weight", "ffn_up.weight", 0, 0},
    {"mlp.dense_h_to_4h.bias", "ffn_up.bias", 0, 0},
    {"mlp.dense_4h_to_h.weight", "ffn_down.weight", 0, 0},
    {"mlp.dense_4h_to_h.bias", "ffn_down.bias", 0, 0},
    {0},
};

static const hf_tensor_rule llama_model[] = {
    {"embed_tokens.weight", "token_embd.weight", 0, 0},
    {"norm.weight", "output_norm.weight", 0, 0},
    {"lm_head.weight", "output.weight", HF_UNTIED, HF_LEFT_OUT},
    {0},
};
static const hf_tensor_rule llama_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", 0, 0},
    {"self_attn.q_proj.weight", "attn_q.weight", 0, 0},
    {"self_attn.q_proj.bias", "attn_q.bias", HF_ATTENTION_BIAS, 0},
    {"self_attn.k_proj.weight", "attn_k.weight", 0, 0},
    {"self_attn.k_proj.bias", "attn_k.bias", HF_ATTENTION_BIAS, 0},
    {"self_attn.v_proj.weight", "attn_v.weight", 0, 0},
    {"self_attn.v_proj.bias", "attn_v.bias", HF_ATTENTION_BIAS, 0},
    {"self_attn.o_proj.weight", "attn_output.weight", 0, 0},
    {"self_attn.o_proj.bias", "attn_output.bias", HF_ATTENTION_BIAS, 0},
    {"post_attention_layernorm.weight", "ffn_norm.weight", 0, 0},
    {"mlp.gate_proj.weight", "ffn_gate.weight", 0, 0},
    {"mlp.gate_proj.bias", "ffn_gate.bias", HF_FEED_FORWARD_BIAS, 0},
    {"mlp.up_proj.weight", "ffn_up.weight", 0, 0},
    {"mlp.up_proj.bias", "ffn_up.bias", HF_FEED_FORWARD_BIAS, 0},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, 0},
    {"mlp.down_proj.bias", "ffn_down.bias", HF_FEED_FORWARD_BIAS, 0},
    {"self_attn.rotary_emb.inv_freq", NULL, 0, 0},
    {0},
};

/* Biases on q, k and v, always, and none on the output. */
static const hf_tensor_rule qwen2_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", 0, 0},
    {"self_attn.q_proj.weight", "attn_q.weight", 0, 0},
    {"self_attn.q_proj.bias", "attn_q.bias", 0, 0},
    {"self_attn.k_proj.weight", "attn_k.weight", 0, 0},
    {"self_attn.k_proj.bias", "attn_k.bias", 0, 0},
    {"self_attn.v_proj.weight", "attn_v.weight", 0, 0},
    {"self_attn.v_proj.bias", "attn_v.bias", 0, 0},
    {"self_attn.o_proj.weight", "attn_output.weight", 0, 0},
    {"post_attention_layernorm.weight", "ffn_norm.weight", 0, 0},
    {"mlp.gate_proj.weight", "ffn_gate.weight", 0, 0},
    {"mlp.up_proj.weight", "ffn_up.weight", 0, 0},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, 0},
    {"self_attn.rotary_emb.inv_freq", NULL, 0, 0},
    {0},
};

static const hf_tensor_rule qwen3_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", 0, 0},
    {"self_attn.q_proj.weight", "attn_q.weight", 0, 0},
    {"self_attn.k_proj.weight", "attn_k.weight", 0, 0},
    {"self_attn.v_proj.weight", "attn_v.weight", 0, 0},
    {"self_attn.q_norm.weight", "attn_q_norm.weight", 0, 0},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", 0, 0},
    {"self_attn.o_proj.weight", "attn_output.weight", 0, 0},
    {"post_attention_layernorm.weight", "ffn_norm.weight", 0, 0},
    {"mlp.gate_proj.weight", "ffn_gate.weight", 0, 0},
    {"mlp.up_proj.weight", "ffn_up.weight", 0, 0},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, 0},
    {0},
};

/* Four norms a layer; those of queries and keys are Gemma 3's. */
static const hf_tensor_rule gemma_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", 0, 0},
    {"self_attn.q_proj.weight", "attn_q.weight", 0, 0},
    {"self_attn.k_proj.weight", "attn_k.weight", 0, 0},
    {"self_attn.v_proj.weight", "attn_v.weight", 0, 0},
    {"self_attn.q_norm.weight", "attn_q_norm.weight", HF_HEAD_NORMS, 0},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", HF_HEAD_NORMS, 0},
    {"self_attn.o_proj.weight", "attn_output.weight", 0, 0},
    {"post_attention_layernorm.weight", "post_attention_norm.weight", 0, 0},
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight", 0, 0},
    {"mlp.gate_proj.weight", "ffn_gate.weight", 0, 0},
    {"mlp.up_proj.weight", "ffn_up.weight", 0, 0},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, 0},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight", 0, 0},
    {"self_attn.rotary_emb.inv_freq", NULL, 0, 0},
    {0},
};

static const hf_tensor_rule phi3_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", 0, 0},
    {"self_attn.qkv_proj.weight", "attn_qkv.weight", 0, 0},
    {"self_attn.o_proj.weight", "attn_output.weight", 0, 0},
    {"post_attention_layernorm.weight", "ffn_norm.weight", 0, 0},
    {"mlp.gate_up_proj.weight", "ffn_up.weight", 0, 0},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, 0},
    {0},
};

/* ---- the table ------------------------------------------------------------------------------ */

static const hf_family families[] = {
    {"bloom", "bloom", bloom_keys, {"transformer."}, "h.", bloom_model, bloom_layer, {0}},
    {"gemma2", "gemma2", gemma2_keys, {"model."}, "layers.", llama_model, gemma_layer, {0}},
    {"gemma3",
     "gemma3",
     gemma3_keys,
     {"model.language_model.", "language_model.model.", "language_model."},
     "layers.",
     llama_model,
     gemma_layer,
     {"vision_tower.", "multi_modal_projector.", "model.vision_tower."}},
    {"gemma3_text", "gemma3", gemma3_keys, {"model."}, "layers.", llama_model, gemma_layer, {0}},
    {"gpt2", "gpt2", gpt2_keys, {"transformer."}, "h.", gpt2_model, gpt2_layer, {0}},
    {"gpt_neox",
     "gptneox",
     gpt_neox_keys,
     {"gpt_neox."},
     "layers.",
     gpt_neox_model,
     gpt_neox_layer,
     {0}},
    {"gptj", "gptj", gptj_keys, {"transformer."}, "h.", gptj_model, gptj_layer, {0}},
    {"llama", "llama", llama_keys, {"model."}, "layers.", llama_model, llama_layer, {0}},
    {"mistral", "llama", mistral_keys, {"model."}, "layers.", llama_model, llama_layer, {0}},
    {"opt", "opt", opt_keys, {"model.decoder.", "decoder."}, "layers.", opt_model, opt_layer, {0}},
    {"phi3", "phi3", phi3_keys, {"model."}, "layers.", llama_model, phi3_layer, {0}},
    {"qwen2", "qwen2", qwen2_keys, {"model."}, "layers.", llama_model, qwen2_layer, {0}},
    {"qwen3", "qwen3", qwen3_keys, {"model."}, "layers.", llama_model, qwen3_layer, {0}},
};

const hf_family *hf_family_find(str model_type, const char **names) {
    if (names) {
        *names = "bloom, gemma2, gemma3, gemma3_text, gpt2, gpt_neox, gptj, llama, mistral, opt, "
                 "phi3, qwen2, qwen3";
    }
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        if (str_is(model_type, families[i].model_type)) {
            return &families[i];
        }
    }
    return NULL;
}
