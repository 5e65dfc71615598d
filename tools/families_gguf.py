"""Writes the family fixtures' weights as GGUF: names, keys and layouts as
llama.cpp's converter writes them, and for `gptj` and `opt`, which it does not
know, in the dialect of docs/dialects.md.

Shapes are numpy's: a linear layer's weight is [rows out, columns in].
"""
import math

import gguf
import torch

TYPES = {torch.float32: gguf.LlamaFileType.ALL_F32, torch.float16: gguf.LlamaFileType.MOSTLY_F16}


def interleave(w, n_head):
    """Rows of each head from (first halves, second halves) to pairs: LLaMA's rotary rows in GGUF."""
    return w.reshape(n_head, 2, w.shape[0] // n_head // 2, *w.shape[1:]).transpose(1, 2).reshape(w.shape)


def thirds(w, n_head):
    """Rows q, k, v of head 0, then of head 1 ... into all q, all k, all v."""
    return w.reshape(n_head, 3, -1, *w.shape[1:]).transpose(0, 1).reshape(w.shape)


def same(w, config):
    return w


def transposed(w, config):
    return w.T if w.ndim == 2 else w  # GPT-2's Conv1D is [in, out]


def plus_one(w, config):
    return w.float() + 1


def heads_in_thirds(w, config):
    return thirds(w, config.num_attention_heads)


# family: outer tensors {theirs: ours}, prefix of layers, inner {theirs: ours}
OUTER = {
    "llama": {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"},
    "gpt2": {"transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm"},
    "gptj": {"transformer.wte": "token_embd", "transformer.ln_f": "output_norm", "lm_head": "output"},
    "gptneox": {"gpt_neox.embed_in": "token_embd", "gpt_neox.final_layer_norm": "output_norm", "embed_out": "output"},
    "opt": {"model.decoder.embed_tokens": "token_embd", "model.decoder.embed_positions": "position_embd",
            "model.decoder.final_layer_norm": "output_norm", "model.decoder.project_in": "project_in",
            "model.decoder.project_out": "project_out"},
    "bloom": {"transformer.word_embeddings": "token_embd", "transformer.word_embeddings_layernorm": "token_embd_norm",
              "transformer.ln_f": "output_norm"},
}
LAYERS = {"gpt2": "transformer.h", "gptj": "transformer.h", "bloom": "transformer.h", "gptneox": "gpt_neox.layers",
          "opt": "model.decoder.layers"}
LLAMA = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
GEMMA = {**LLAMA, "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
         "post_feedforward_layernorm": "post_ffw_norm"}
INNER = {
    "llama": LLAMA, "qwen2": LLAMA,
    "qwen3": {**LLAMA, "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"},
    "gemma2": GEMMA,
    "gemma3": {**GEMMA, "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"},
    "phi3": {"self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output", "mlp.gate_up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"},
    "gpt2": {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
             "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"},
    "gptj": {"ln_1": "attn_norm", "attn.q_proj": "attn_q", "attn.k_proj": "attn_k", "attn.v_proj": "attn_v",
             "attn.out_proj": "attn_output", "mlp.fc_in": "ffn_up", "mlp.fc_out": "ffn_down"},
    "gptneox": {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
                "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output",
                "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down"},
    "opt": {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
            "self_attn.out_proj": "attn_output", "self_attn_layer_norm": "attn_norm", "fc1": "ffn_up",
            "fc2": "ffn_down", "final_layer_norm": "ffn_norm"},
    "bloom": {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
              "self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output",
              "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down"},
}
# How a tensor's rows change, by architecture and our name.
CHANGE = {
    "llama": {"attn_q": lambda w, c: interleave(w, c.num_attention_heads),
              "attn_k": lambda w, c: interleave(w, c.num_key_value_heads)},
    "gpt2": {n: transposed for n in ("attn_qkv", "attn_output", "ffn_up", "ffn_down")},
    "gptneox": {"attn_qkv": heads_in_thirds},
    "bloom": {"attn_qkv": heads_in_thirds},
    "opt": {"position_embd": lambda w, c: w[2:]},
    "gemma2": {n: plus_one for n in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "output_norm")},
    "gemma3": {n: plus_one for n in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "output_norm",
                                     "attn_q_norm", "attn_k_norm")},
}


def architecture(config):
    return {"gpt_neox": "gptneox", "gemma3_text": "gemma3"}.get(config.model_type, config.model_type)


def tensors(config, state):
    """{GGUF name: torch tensor} of a state dict; every weight must have found its name."""
    arch = architecture(config)
    outer, inner = OUTER.get(arch, OUTER["llama"]), INNER[arch]
    layers = LAYERS.get(arch, "model.layers")
    tied = getattr(config, "tie_word_embeddings", False)
    out = {}
    for key, w in state.items():
        stem, part = key.rsplit(".", 1)
        if tied and stem == "lm_head":
            continue
        if stem.startswith(layers + "."):
            number, stem = stem[len(layers) + 1:].split(".", 1)
            name, ours = f"blk.{number}.{inner[stem]}.{part}", inner[stem]
        else:
            name = f"{outer[stem]}.{part}"
            ours = outer[stem]
        assert name not in out
        out[name] = CHANGE.get(arch, {}).get(ours, same)(w, config)
    return out


# ---------------------------------------------------------------- keys

def decoder_keys(w, c):
    """What LLaMA and today's families have in common."""
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)


def head_size(c):
    return getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads


def llama_keys(w, c):
    decoder_keys(w, c)
    w.add_vocab_size(c.vocab_size)
    w.add_rope_dimension_count(head_size(c))
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])


def qwen_keys(w, c):
    decoder_keys(w, c)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    if c.model_type == "qwen3":
        w.add_key_length(c.head_dim)
        w.add_value_length(c.head_dim)


def gemma_keys(w, c):
    decoder_keys(w, c)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_sliding_window(c.sliding_window)
    if c.model_type == "gemma2":
        w.add_attn_logit_softcapping(c.attn_logit_softcapping)
        w.add_final_logit_softcapping(c.final_logit_softcapping)
    else:
        w.add_rope_freq_base(c.rope_parameters["full_attention"]["rope_theta"])
        w.add_float32("gemma3.rope.freq_base_swa", c.rope_parameters["sliding_attention"]["rope_theta"])
        w.add_sliding_window_pattern(1 + c.layer_types.index("full_attention"))
        if c.rope_parameters["full_attention"]["rope_type"] == "linear":
            w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            w.add_rope_scaling_factor(c.rope_parameters["full_attention"]["factor"])
    if c.query_pre_attn_scalar != c.head_dim:  # llama.cpp knows it by the number of layers alone
        w.add_attention_scale(c.query_pre_attn_scalar ** -0.5)


def phi3_keys(w, c):
    decoder_keys(w, c)
    rope = c.rope_parameters
    w.add_rope_scaling_orig_ctx_len(c.original_max_position_embeddings)
    w.add_rope_dimension_count(int(head_size(c) * rope.get("partial_rotary_factor", 1.0)))
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_sliding_window(c.sliding_window or 0)
    if rope["rope_type"] == "longrope":
        scale = c.max_position_embeddings / c.original_max_position_embeddings
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(c.original_max_position_embeddings)))


def gpt2_keys(w, c):
    w.add_context_length(c.n_positions)
    w.add_embedding_length(c.n_embd)
    w.add_feed_forward_length(c.n_inner or 4 * c.n_embd)
    w.add_block_count(c.n_layer)
    w.add_head_count(c.n_head)
    w.add_layer_norm_eps(c.layer_norm_epsilon)


def gptj_keys(w, c):
    gpt2_keys(w, c)
    w.add_rope_dimension_count(c.rotary_dim)


def gptneox_keys(w, c):
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_rope_dimension_count(int(c.rope_parameters["partial_rotary_factor"] * (c.hidden_size // c.num_attention_heads)))
    w.add_head_count(c.num_attention_heads)
    w.add_parallel_residual(c.use_parallel_residual)
    w.add_layer_norm_eps(c.layer_norm_eps)


def opt_keys(w, c):
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.ffn_dim)
    w.add_block_count(c.num_hidden_layers)
    w.add_head_count(c.num_attention_heads)
    w.add_layer_norm_eps(1e-5)
    if c.word_embed_proj_dim != c.hidden_size:
        w.add_uint32("opt.word_embedding_length", c.word_embed_proj_dim)
    w.add_bool("opt.normalize_before", c.do_layer_norm_before)
    w.add_string("opt.activation", c.activation_function)


def bloom_keys(w, c):
    w.add_context_length(getattr(c, "seq_length", c.hidden_size))
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(4 * c.hidden_size)
    w.add_block_count(c.n_layer)
    w.add_head_count(c.n_head)
    w.add_head_count_kv(c.n_head)
    w.add_layer_norm_eps(c.layer_norm_epsilon)


KEYS = {"llama": llama_keys, "qwen2": qwen_keys, "qwen3": qwen_keys, "gemma2": gemma_keys, "gemma3": gemma_keys,
        "phi3": phi3_keys, "gpt2": gpt2_keys, "gptj": gptj_keys, "gptneox": gptneox_keys, "opt": opt_keys,
        "bloom": bloom_keys}


def add_vocabulary(w, v, n_vocab):
    """tokenizer.ggml.*; ids of the model that the tokenizer lacks are padded as the converter does."""
    n_pad = n_vocab - len(v.tokens)
    w.add_tokenizer_model(v.model)
    w.add_tokenizer_pre(v.pre)
    w.add_token_list(v.tokens + [f"[PAD{len(v.tokens) + i}]" for i in range(n_pad)])
    if v.scores:
        w.add_token_scores(v.scores + [-1000.0] * n_pad)
    w.add_token_types(v.types + [gguf.TokenType.UNUSED] * n_pad)
    if v.merges:
        w.add_token_merges(v.merges)
    for role, add in (("bos", w.add_bos_token_id), ("eos", w.add_eos_token_id), ("unk", w.add_unk_token_id),
                      ("pad", w.add_pad_token_id)):
        if role in v.ids:
            add(v.ids[role])
    w.add_add_bos_token(v.add_bos)
    if v.space_prefix is not None:
        w.add_add_space_prefix(v.space_prefix)


def write(path, name, config, state, dtype, vocabulary):
    arch = architecture(config)
    w = gguf.GGUFWriter(path, arch)
    w.add_name(f"families {name}")
    w.add_file_type(TYPES[dtype])
    KEYS[arch](w, config)
    add_vocabulary(w, vocabulary, config.vocab_size)
    out = tensors(config, state)
    if arch == "phi3" and config.rope_parameters["rope_type"] == "longrope":
        for kind in ("long", "short"):
            out[f"rope_factors_{kind}.weight"] = torch.tensor(config.rope_parameters[f"{kind}_factor"])
    for key, v in out.items():
        v = v.contiguous()
        exact = v.ndim == 1 or key.startswith("position_embd")  # which the converter keeps in float32
        w.add_tensor(key, (v.float() if exact else v).numpy())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
