#!/usr/bin/env python3
"""Make the parity fixtures, tests/golden/parity/: tiny random models and the
float32 logits that Hugging Face transformers computes for them.

For every variant: NAME.gguf (F32 weights, llama.cpp's conventions for names,
keys and rotary rows), NAME.tokens (comma-separated ids) and NAME.logits.npy
(float32 [n_tokens, n_vocab], every position). Seeds are fixed.

    python tools/make_parity.py [--out tests/golden/parity]

Weights are large (standard deviation 0.15 and more), so that an error in any
part of the computation shows. Two checks are printed: how far the logits move
when one setting of the variant is changed in transformers (it must be clearly
more than 1e-3 of their range), and how far a second, plain numpy computation
that reads only the GGUF file is from transformers (about 1e-6 of the range).
"""
import argparse
import math
import os
import pathlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import gguf
import numpy as np
import torch
import transformers

HEAD, N_TOKENS = 16, 80
LLAMA = dict(hidden_size=48, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3,
             num_key_value_heads=1, vocab_size=99, max_position_embeddings=128, rms_norm_eps=1e-5,
             head_dim=HEAD, tie_word_embeddings=False, attention_bias=False,
             rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
DEFAULT = LLAMA["rope_parameters"]
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
THETA = {"rope_type": "default", "rope_theta": 500000.0}
GPT2 = dict(n_embd=48, n_inner=72, n_layer=2, n_head=3, vocab_size=131, n_positions=96,
            layer_norm_epsilon=1e-5, activation_function="gelu_new", tie_word_embeddings=True)

# name: (class, settings over the base, altered settings for the sensitivity check)
VARIANTS = {
    "llama-mha": ("Llama", dict(num_key_value_heads=3),
                  [dict(rms_norm_eps=1e-2), dict(rope_parameters=THETA)]),
    "llama-gqa": ("Llama", dict(vocab_size=131, hidden_size=64, num_attention_heads=4, num_key_value_heads=2),
                  [dict(rms_norm_eps=1e-2), dict(rope_parameters=THETA)]),
    "llama-tied": ("Llama", dict(vocab_size=107, tie_word_embeddings=True, num_hidden_layers=3),
                   [dict(rms_norm_eps=1e-2), dict(rope_parameters=THETA)]),
    "llama-rope3": ("Llama", dict(rope_parameters=LLAMA3),
                    [dict(rope_parameters=DEFAULT), dict(rope_parameters={**LLAMA3, "high_freq_factor": 2.0}),
                     dict(rope_parameters={**LLAMA3, "low_freq_factor": 0.3})]),
    "llama-linear": ("Llama", dict(rope_parameters=LINEAR), [dict(rope_parameters=DEFAULT)]),
    "llama-theta": ("Llama", dict(rope_parameters=THETA, rms_norm_eps=1e-3),
                    [dict(rope_parameters=DEFAULT), dict(rms_norm_eps=1e-5)]),
    "mistral-swa": ("Mistral", dict(sliding_window=16),
                    [dict(sliding_window=None), dict(sliding_window=15), dict(sliding_window=17)]),
    "gpt2": ("GPT2", {}, [dict(layer_norm_epsilon=1e-2), dict(activation_function="relu")]),
}


# ---------------------------------------------------------------- transformers

def make_model(family, settings):
    base = dict(GPT2) if family == "GPT2" else {k: v for k, v in LLAMA.items()
                                                if family == "Llama" or k != "attention_bias"}
    config = getattr(transformers, family + "Config")(**{**base, **settings}, bos_token_id=0, eos_token_id=0)
    config._attn_implementation = "eager"
    return getattr(transformers, family + ("LMHeadModel" if family == "GPT2" else "ForCausalLM"))(config).float().eval()


def randomize(model, rng):
    for name, p in model.named_parameters():
        if p.ndim == 1:
            center = 0.0 if name.endswith("bias") else 1.0
            v = rng.normal(center, 0.2, p.shape)
        elif any(s in name for s in ("q_proj", "k_proj", "c_attn")):
            v = rng.normal(0, 0.25, p.shape)  # attention that is far from even
        else:
            v = rng.normal(0, 0.15, p.shape)
        with torch.no_grad():
            p.copy_(torch.from_numpy(v.astype(np.float32)))


@torch.no_grad()
def logits_of(model, tokens):
    return model(torch.tensor([tokens]), use_cache=False).logits[0].numpy().astype(np.float32)


# ---------------------------------------------------------------- GGUF

def add_tokenizer(w, n_vocab):
    """A byte-level BPE vocabulary of printable ASCII, space, newline and merges of two."""
    tokens = ["<|endoftext|>"] + [chr(c) for c in range(33, 127)] + ["\u0120", "\u010a"]
    merges = [f"{a} {b}" for a, b in (("\u0120", "t"), ("h", "e"), ("i", "n"), ("e", "r"), ("a", "n"))]
    merges += [f"{a} {b}" for a in "ostrl" for b in "aeiouy"]
    merges = merges[:n_vocab - len(tokens)]
    tokens += [m.replace(" ", "") for m in merges]
    assert len(tokens) == len(set(tokens)) == n_vocab
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (n_vocab - 1))
    w.add_token_merges(merges)
    w.add_bos_token_id(0)
    w.add_eos_token_id(0)
    w.add_add_bos_token(False)


def rope_factors(config):
    """What llama.cpp's converter puts into rope_freqs.weight for Llama 3."""
    rope = config.rope_parameters
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    out = []
    for i in range(0, HEAD, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (i / HEAD)
        if wave < high:
            out.append(1.0)
        elif wave > low:
            out.append(rope["factor"])
        else:
            smooth = (rope["original_max_position_embeddings"] / wave - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"])
            out.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(out, dtype=np.float32)


def interleave(w, n_head):
    return w.reshape(n_head, 2, w.shape[0] // n_head // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def write_llama(w, config, state):
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_rope_dimension_count(HEAD)
    w.add_rope_freq_base(config.rope_parameters["rope_theta"])
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_vocab_size(config.vocab_size)
    if config.rope_parameters["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(config.rope_parameters["factor"])
    if getattr(config, "sliding_window", None):
        w.add_sliding_window(config.sliding_window)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    out = {"token_embd.weight": state["model.embed_tokens.weight"], "output_norm.weight": state["model.norm.weight"]}
    if not config.tie_word_embeddings:
        out["output.weight"] = state["lm_head.weight"]
    if config.rope_parameters["rope_type"] == "llama3":
        out["rope_freqs.weight"] = rope_factors(config)
    for i in range(config.num_hidden_layers):
        for theirs, ours in names.items():
            v = state[f"model.layers.{i}.{theirs}.weight"]
            if ours == "attn_q":
                v = interleave(v, config.num_attention_heads)
            if ours == "attn_k":
                v = interleave(v, config.num_key_value_heads)
            out[f"blk.{i}.{ours}.weight"] = v
    return out


def write_gpt2(w, config, state):
    w.add_context_length(config.n_positions)
    w.add_embedding_length(config.n_embd)
    w.add_block_count(config.n_layer)
    w.add_feed_forward_length(config.n_inner)
    w.add_head_count(config.n_head)
    w.add_layer_norm_eps(config.layer_norm_epsilon)
    names = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
             "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
    out = {"token_embd.weight": state["transformer.wte.weight"],
           "position_embd.weight": state["transformer.wpe.weight"]}
    for part in ("weight", "bias"):
        out[f"output_norm.{part}"] = state[f"transformer.ln_f.{part}"]
        for i in range(config.n_layer):
            for theirs, ours in names.items():
                v = state[f"transformer.h.{i}.{theirs}.{part}"]
                out[f"blk.{i}.{ours}.{part}"] = v.T if v.ndim == 2 else v  # Conv1D is [in, out]
    return out


def write(path, name, family, model):
    w = gguf.GGUFWriter(path, "gpt2" if family == "GPT2" else "llama")
    w.add_name(f"parity {name}")
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_tokenizer(w, model.config.vocab_size)
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    for key, v in (write_gpt2 if family == "GPT2" else write_llama)(w, model.config, state).items():
        w.add_tensor(key, np.ascontiguousarray(v, dtype=np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---------------------------------------------------------------- second opinion

def from_file(path, tokens):
    """Logits computed in float64 by numpy from the GGUF file alone."""
    r = gguf.GGUFReader(path)
    t = {x.name: np.asarray(x.data, dtype=np.float64) for x in r.tensors}

    def key(k, default=None):
        return r.fields[f"{arch}.{k}"].contents() if f"{arch}.{k}" in r.fields else default

    arch = r.fields["general.architecture"].contents()
    n_head = key("attention.head_count")
    n_kv = key("attention.head_count_kv", n_head)
    rms_eps, ln_eps = key("attention.layer_norm_rms_epsilon"), key("attention.layer_norm_epsilon")
    n, pos = len(tokens), np.arange(len(tokens))
    far = pos[:, None] - pos[None, :]
    masked = (far < 0) | (far >= key("attention.sliding_window", n))

    def linear(x, name):
        y = x @ t[name + ".weight"].T
        return y + t[name + ".bias"] if name + ".bias" in t else y

    def norm(x, name):
        if arch == "gpt2":
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + ln_eps)
            return x * t[name + ".weight"] + t[name + ".bias"]
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + rms_eps) * t[name + ".weight"]

    def rope(x):
        freq = key("rope.freq_base") ** (-np.arange(0, HEAD, 2) / HEAD)
        freq = freq / t.get("rope_freqs.weight", 1) / key("rope.scaling.factor", 1)
        z = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * pos[:, None, None] * freq)
        return np.stack((z.real, z.imag), axis=-1).reshape(x.shape)

    x = t["token_embd.weight"][tokens]
    if arch == "gpt2":
        x = x + t["position_embd.weight"][:n]
    for i in range(key("block_count")):
        b = f"blk.{i}."
        h = norm(x, b + "attn_norm")
        if arch == "gpt2":
            q, k, v = (y.reshape(n, -1, HEAD) for y in np.split(linear(h, b + "attn_qkv"), 3, axis=1))
        else:
            q, k, v = (linear(h, b + s).reshape(n, -1, HEAD) for s in ("attn_q", "attn_k", "attn_v"))
            q, k = rope(q), rope(k)
        k, v = (np.repeat(y, n_head // n_kv, axis=1) for y in (k, v))
        s = np.einsum("ihd,jhd->hij", q, k) / math.sqrt(HEAD)
        s = np.exp(np.where(masked, -np.inf, s - s.max(-1, keepdims=True)))
        a = np.einsum("hij,jhd->ihd", s / s.sum(-1, keepdims=True), v).reshape(n, -1)
        x = x + linear(a, b + "attn_output")
        h = norm(x, b + "ffn_norm")
        u = linear(h, b + "ffn_up")
        if arch == "gpt2":
            u = 0.5 * u * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u ** 3)))
        else:
            g = linear(h, b + "ffn_gate")
            u = g / (1 + np.exp(-g)) * u
        x = x + linear(u, b + "ffn_down")
    return linear(norm(x, "output_norm"), "output" if "output.weight" in t else "token_embd")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default="tests/golden/parity")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    total = 0
    for number, (name, (family, settings, altered)) in enumerate(VARIANTS.items()):
        rng = np.random.default_rng((args.seed, number))
        model = make_model(family, settings)
        randomize(model, rng)
        tokens = rng.integers(0, model.config.vocab_size, N_TOKENS).tolist()
        logits = logits_of(model, tokens)
        assert np.isfinite(logits).all()
        extent = float(logits.max() - logits.min())
        write(out / f"{name}.gguf", name, family, model)
        (out / f"{name}.tokens").write_text(",".join(map(str, tokens)) + "\n")
        np.save(out / f"{name}.logits.npy", logits)
        size = sum((out / (name + s)).stat().st_size for s in (".gguf", ".tokens", ".logits.npy"))
        total += size
        own = np.abs(from_file(out / f"{name}.gguf", tokens) - logits).max() / extent
        print(f"{name}: {size} bytes, logits {logits.min():.2f} to {logits.max():.2f}; numpy from the file: {own:.1e} of the range")
        assert own < 1e-5
        for change in altered:
            other = make_model(family, {**settings, **change})
            other.load_state_dict(model.state_dict())
            moved = np.abs(logits_of(other, tokens) - logits).max() / extent
            print(f"    with {change}: logits move by {moved:.4f} of their range")
            assert moved > 2e-3
    print(f"{total} bytes in all")


if __name__ == "__main__":
    main()
