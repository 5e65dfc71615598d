#!/usr/bin/env python3
"""Make the family fixtures, tests/golden/families/: tiny models of every
architecture and variant, trained on plain text with Hugging Face transformers,
and what transformers computes from them in float32.

    python tools/make_families.py --text ../shared/data/text [--only NAME ...] [--steps N]

tests/golden/families/README.md says what each file is. Three things are
checked and printed for every variant: that the directory in Hugging Face's
layout, loaded again, gives the logits; how far the logits move if one setting
is altered (it must show); and that the GGUF file holds the same model
(families_check.py computes it from the GGUF file alone).
"""
import argparse
import copy
import json
import math
import os
import pathlib
import shutil

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

import families_check
import families_gguf
import families_tokenizers

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
os.environ.setdefault("TQDM_DISABLE", "1")
F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32
N_TOKENS, N_PROMPT, N_GREEDY = 64, 16, 64

GPT2 = dict(model_type="gpt2", architectures=["GPT2LMHeadModel"], n_embd=32, n_layer=2, n_head=2, n_ctx=80, n_positions=80,
            layer_norm_epsilon=1e-5, activation_function="gelu_new", initializer_range=0.3,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
GPTJ = dict(GPT2, model_type="gptj", architectures=["GPTJForCausalLM"], rotary_dim=8, n_inner=None, rotary=True,
            tie_word_embeddings=False, tokenizer_class="GPT2Tokenizer")
del GPTJ["n_ctx"]
NEOX = dict(model_type="gpt_neox", architectures=["GPTNeoXForCausalLM"], hidden_size=32, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=128, max_position_embeddings=128, rotary_pct=0.25,
            rotary_emb_base=10000, hidden_act="gelu", layer_norm_eps=1e-5, tie_word_embeddings=False,
            use_parallel_residual=True, initializer_range=0.3)
OPT = dict(model_type="opt", architectures=["OPTForCausalLM"], hidden_size=32, num_hidden_layers=2, ffn_dim=64,
           num_attention_heads=2, max_position_embeddings=80, word_embed_proj_dim=32, activation_function="relu",
           do_layer_norm_before=True, _remove_final_layer_norm=False, dropout=0.0, attention_dropout=0.0, layerdrop=0.0,
           init_std=0.1)
BLOOM = dict(model_type="bloom", architectures=["BloomForCausalLM"], n_embed=32, n_layer=2, num_attention_heads=2,
             layer_norm_epsilon=1e-5, seq_length=128, offset_alibi=100, pretraining_tp=1, slow_but_exact=False,
             apply_residual_connection_post_layernorm=False, hidden_dropout=0.0, attention_dropout=0.0,
             initializer_range=0.1)
LLAMA = dict(model_type="llama", architectures=["LlamaForCausalLM"], hidden_size=32, intermediate_size=64,
             num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128,
             rms_norm_eps=1e-5, rope_theta=10000.0, rope_scaling=None, hidden_act="silu", attention_bias=False,
             tie_word_embeddings=False, initializer_range=0.1)
QWEN2 = dict(LLAMA, model_type="qwen2", architectures=["Qwen2ForCausalLM"], hidden_size=32, intermediate_size=80,
             rms_norm_eps=1e-6, rope_theta=1000000.0, sliding_window=128, max_window_layers=2,
             use_sliding_window=False, tie_word_embeddings=True)
QWEN3 = dict(LLAMA, model_type="qwen3", architectures=["Qwen3ForCausalLM"], intermediate_size=48, head_dim=16,
             num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6, use_sliding_window=False,
             max_window_layers=2, sliding_window=None,
             rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
GEMMA2 = dict(LLAMA, model_type="gemma2", architectures=["Gemma2ForCausalLM"], hidden_size=32, intermediate_size=80,
              head_dim=16, rms_norm_eps=1e-6, hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
              query_pre_attn_scalar=24, sliding_window=16, attn_logit_softcapping=2.0, final_logit_softcapping=8.0,
              tie_word_embeddings=True, cache_implementation="hybrid")
GEMMA3 = dict(GEMMA2, model_type="gemma3_text", architectures=["Gemma3ForCausalLM"], hidden_size=32,
              intermediate_size=48, num_hidden_layers=3, query_pre_attn_scalar=16, attn_logit_softcapping=None,
              final_logit_softcapping=None, sliding_window_pattern=3, rope_theta=1000000.0,
              rope_local_base_freq=10000.0, layer_types=["sliding_attention"] * 2 + ["full_attention"])
PHI3 = dict(LLAMA, model_type="phi3", architectures=["Phi3ForCausalLM"], intermediate_size=48, num_key_value_heads=2,
            sliding_window=2047, original_max_position_embeddings=128, resid_pdrop=0.0, embd_pdrop=0.0)
for old in (QWEN3, GEMMA2, GEMMA3, PHI3):
    old.pop("rope_scaling", None)
del QWEN3["rope_theta"]
GEMMA3["rope_scaling"] = {"rope_type": "linear", "factor": 4.0}  # of the global layers alone
LONGROPE = {"type": "longrope", "short_factor": [1.0, 1.05, 1.1, 1.2, 1.4, 1.7, 2.0, 2.5],
            "long_factor": [1.0, 1.3, 1.8, 2.6, 3.5, 4.5, 6.0, 8.0]}

# name: config.json as published ones are written, more settings, tokenizer, vocabulary, stored type,
# files of safetensors, files of pytorch_model.bin (0: none; -1: one in the old layout),
# altered settings for the sensitivity check
VARIANTS = {
    "gpt2": (GPT2, {}, "gpt2", 272, F16, 1, 1, [dict(layer_norm_epsilon=1e-3), dict(activation_function="gelu"),
             dict(activation_function="relu")]),
    "gptj": (GPTJ, {}, "gptj", 272, F16, 1, 2, [dict(rotary_dim=6), dict(rotary_dim=16), dict(layer_norm_epsilon=1e-3),
             dict(activation_function="gelu")]),
    "gptneox-parallel": (NEOX, {}, "neox", 272, F16, 1, 0, [
        dict(rotary_pct=0.5), dict(use_parallel_residual=False), dict(rotary_emb_base=5000), dict(hidden_act="gelu_new")]),
    "gptneox-sequential": (NEOX, dict(use_parallel_residual=False, intermediate_size=64), "neox", 272, F16, 2, 0, [
        dict(rotary_pct=0.5), dict(use_parallel_residual=True), dict(hidden_act="gelu_new")]),
    "opt": (OPT, {}, "opt", 272, F16, 1, -1, [dict(activation_function="gelu"), dict(do_layer_norm_before=False)]),
    "opt-350m": (OPT, dict(do_layer_norm_before=False, word_embed_proj_dim=16), "opt", 272, F16, 1, 0, [
        dict(activation_function="gelu")]),
    "opt-galactica": (OPT, dict(activation_function="gelu", enable_bias=False, layer_norm_elementwise_affine=False,
                                init_std=0.3, num_hidden_layers=1), "galactica", 272, F32, 1, 0, [
        dict(activation_function="relu"), dict(activation_function="gelu_new")]),
    "bloom": (BLOOM, {}, "bloom", 272, F16, 1, 1, [dict(layer_norm_epsilon=1e-3),
                                                   dict(apply_residual_connection_post_layernorm=True)]),
    "bloom-heads": (BLOOM, dict(n_embed=48, num_attention_heads=3, n_layer=1), "bloom", 272, F16, 1, 0, [
        dict(layer_norm_epsilon=1e-3)]),
    "qwen2": (QWEN2, {}, "qwen", 272, F16, 1, 0, [dict(rope_theta=10000.0), dict(rms_norm_eps=1e-3)]),
    "qwen3": (QWEN3, {}, "qwen", 272, BF16, 2, 0, [
        dict(rope_parameters={"rope_type": "default", "rope_theta": 10000.0}), dict(rms_norm_eps=1e-3)]),
    "gemma2": (GEMMA2, {}, "gemma", 320, F16, 1, 0, [
        dict(attn_logit_softcapping=None), dict(final_logit_softcapping=None), dict(sliding_window=15),
        dict(sliding_window=17), dict(query_pre_attn_scalar=16), dict(rope_theta=20000.0)]),
    "gemma3": (GEMMA3, {}, "gemma", 320, F16, 1, 0, [
        dict(sliding_window=15), dict(sliding_window=17), dict(rope_theta=10000.0), dict(rope_scaling=None),
        dict(rope_local_base_freq=20000.0),
        dict(layer_types=["sliding_attention", "full_attention", "sliding_attention"])]),
    "phi3": (PHI3, {}, "phi3", 312, BF16, 1, 0, [dict(rope_theta=20000.0), dict(rms_norm_eps=1e-3)]),
    "phi3-longrope": (PHI3, dict(original_max_position_embeddings=32, rope_scaling=LONGROPE, tie_word_embeddings=True,
                                 sliding_window=262144), "phi3-metaspace", 312, F16, 1, 0, [
        dict(rope_scaling={**LONGROPE, "long_factor": LONGROPE["short_factor"]}),
        dict(original_max_position_embeddings=64)]),
    "llama": (LLAMA, {}, "llama", 312, F16, 2, 0, [dict(rope_theta=20000.0), dict(rms_norm_eps=1e-3)]),
}
# Rows of the embedding beyond the tokenizer's, as Qwen2's.
PADDING = {"qwen2": 4}
TORCH_DTYPE = {F16: "float16", BF16: "bfloat16", F32: "float32"}


# ---------------------------------------------------------------- training

def config_of(settings):
    """The configuration as transformers reads it from a config.json."""
    settings = copy.deepcopy(settings)  # transformers writes into what it is given
    return transformers.CONFIG_MAPPING[settings.pop("model_type")].from_dict(settings)


def model_of(settings, state=None):
    model = transformers.AutoModelForCausalLM.from_config(
        config_of(settings), attn_implementation="eager", dtype=F32)
    if state is not None:
        if "embed_out.weight" in state:
            state = {k.replace("embed_out", "lm_head"): v for k, v in state.items()}
        missing, _ = model.load_state_dict(state, strict=False)
        assert all("lm_head" in m for m in missing), missing
        model.tie_weights()
    return model.eval()


@torch.no_grad()
def sharpen(model):
    """Before training: lets half of the units of each feed-forward network work near 2.2, where exact GELU and its
    approximation by tanh differ most (5e-4), and magnifies what they say. Elsewhere no test could tell the two."""
    modules = dict(model.named_modules())
    for name, up in modules.items():
        if not name.endswith((".c_fc", ".fc_in", ".dense_h_to_4h")):
            continue
        down = modules[name.replace("c_fc", "c_proj").replace("fc_in", "fc_out").replace("h_to_4h", "4h_to_h")]
        conv = name.endswith(".c_fc")  # GPT-2's weights are [in, out]
        w_up, w_down = (up.weight.T, down.weight.T) if conv else (up.weight, down.weight)
        half = w_up.shape[0] // 2
        w_up[:half] *= 0.008
        up.bias[:half] = 2.2
        w_down[:, :half] *= 50
        down.bias -= w_down[:, :half].sum(1) * 2.1694
        mask = torch.ones(w_up.shape[0], 1)
        mask[:half] = 0  # these stay as they are
        up.weight.register_hook(lambda g, mask=mask.T if conv else mask: g * mask)
        up.bias.register_hook(lambda g, mask=mask[:, 0]: g * mask)


def train(model, ids, bos, length, args, seed):
    rng = np.random.default_rng((args.seed, seed))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, (s + 1) / 20) * 0.5 * (
        1 + math.cos(math.pi * s / args.steps)) + 0.02)
    model.train()
    for step in range(args.steps):
        at = rng.integers(0, len(ids) - length - 1, args.batch)
        batch = torch.from_numpy(np.stack([ids[i:i + length] for i in at]))
        if bos is not None:
            batch[::2, 0] = bos
        logits = model(batch, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return loss.item()


@torch.no_grad()
def logits_of(model, tokens):
    return model(torch.tensor([tokens]), use_cache=False).logits[0].float().numpy()


def greedy_of(model, prompt):
    """64 greedy ids, computed anew from all tokens at every step, and by how much each one won."""
    tokens, margins = list(prompt), []
    for _ in range(N_GREEDY):
        last = logits_of(model, tokens)[-1]
        order = np.argsort(-last, kind="stable")
        margins.append(float(last[order[0]] - last[order[1]]))
        tokens.append(int(order[0]))
    return tokens[len(prompt):], margins


def clear_greedy(model, vocabulary, text, n_prompt):
    """The first of some prompts whose continuation is never a near tie, or the one that is clear for longest."""
    best = None
    for k in range(60):
        prompt = passage(vocabulary, text, len(text) // 2 + 1000 * k, n_prompt)
        ids, margins = greedy_of(model, prompt)
        clear = next((i for i, m in enumerate(margins) if m < 0.02), N_GREEDY)
        if best is None or clear > best[0]:
            best = clear, prompt, ids, margins
        if clear == N_GREEDY:
            break
    return best[1:]


# ---------------------------------------------------------------- files

def split_files(state, n):
    """The state dict in n parts of nearly equal size, in its own order."""
    total, done, parts = sum(v.nbytes for v in state.values()), 0, [{} for _ in range(n)]
    for key, v in state.items():
        parts[min(n - 1, done * n // total)][key] = v
        done += v.nbytes
    return parts


def save_weights(folder, state, n, stem, suffix, save):
    parts = split_files(state, n)
    if n == 1:
        save(parts[0], folder / f"{stem}.{suffix}")
        return
    index = {"metadata": {"total_size": sum(v.nbytes for v in state.values())}, "weight_map": {}}
    for i, part in enumerate(parts):
        file = f"{stem}-{i + 1:05d}-of-{n:05d}.{suffix}"
        save(part, folder / file)
        index["weight_map"].update({key: file for key in part})
    index["weight_map"] = dict(sorted(index["weight_map"].items()))
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index, indent=2) + "\n")


def published_bin(name, state, settings):
    """pytorch_model.bin as it was published: other prefixes, and buffers that are no weights."""
    out = dict(state)
    if name in ("gpt2", "bloom"):
        out = {k.removeprefix("transformer."): v for k, v in out.items()}
    if name == "opt":
        out = {k.removeprefix("model."): v for k, v in out.items()}
        out["lm_head.weight"] = out["decoder.embed_tokens.weight"]  # shares its storage
    if name in ("gpt2", "gptj"):
        n, prefix = settings["n_positions"], "" if name == "gpt2" else "transformer."
        mask = torch.tril(torch.ones(n, n, dtype=torch.uint8)).view(1, 1, n, n)
        for i in range(settings["n_layer"] if name == "gptj" else 1):
            out[f"{prefix}h.{i}.attn.bias"] = mask
            out[f"{prefix}h.{i}.attn.masked_bias"] = torch.tensor(-1e9, dtype=next(iter(state.values())).dtype)
    return out


def buffers(name, settings):
    """What published files of GPT-NeoX and Llama 2 carry along and nobody reads."""
    out = {}
    for i in range(settings["num_hidden_layers"] if name == "llama" or name.startswith("gptneox") else 0):
        if name == "llama":
            out[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = 10000.0 ** (-torch.arange(0, 16, 2) / 16)
            continue
        prefix = f"gpt_neox.layers.{i}.attention."
        out[prefix + "rotary_emb.inv_freq"] = 10000.0 ** (-torch.arange(0, 4, 2) / 4)
        out[prefix + "masked_bias"] = torch.tensor(-1e9)
        out[prefix + "bias"] = torch.tril(torch.ones(8, 8, dtype=torch.bool)).view(1, 1, 8, 8)
    return out


def write_hf(folder, name, settings, state, vocabulary, n_files, n_bins):
    hf = folder / "hf"
    hf.mkdir(parents=True)
    stored = {**state, **buffers(name, settings)}
    save_weights(hf, stored, n_files, "model", "safetensors", lambda part, path: save_file(
        {k: v.contiguous() for k, v in part.items()}, path, metadata={"format": "pt"}))

    def dump(file, content, where=hf):
        (where / file).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    dump("config.json", settings)
    dump("generation_config.json", {k: v for k, v in settings.items() if k.endswith("_token_id")})
    dump("tokenizer_config.json", vocabulary.config)
    compact = json.dumps(vocabulary.json, ensure_ascii=False, separators=(",", ":"))
    (hf / "tokenizer.json").write_text(compact, encoding="utf-8")
    if n_bins == 0:
        return
    bins = folder / "hf-bin"
    bins.mkdir()
    dump("config.json", settings, bins)
    if name in ("gpt2", "opt"):  # these were published without a tokenizer.json
        merges = "#version: 0.2\n" + "".join(m + "\n" for m in vocabulary.merges)
        dump("vocab.json", {t: i for i, t in enumerate(vocabulary.tokens)}, bins)
        (bins / "merges.txt").write_text(merges, encoding="utf-8")
        dump("tokenizer_config.json", vocabulary.config, bins)
    save_weights(bins, published_bin(name, state, settings), abs(n_bins), "pytorch_model", "bin",
                 lambda part, path: torch.save(part, path, _use_new_zipfile_serialization=n_bins > 0))


def stored_weights(hf):
    """The weights of an earlier run, without the buffers that lie beside them."""
    out = {}
    for file in sorted(hf.glob("*.safetensors")):
        out |= load_file(file)
    return {k: v for k, v in out.items() if not k.endswith((".inv_freq", ".masked_bias", "attention.bias"))}


def write_sentencepiece(folder, vocabulary, texts):
    """tokenizer.model, and the ids that the sentencepiece library gives: special tokens in a text are text to it."""
    import sentencepiece
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(families_tokenizers.sentencepiece_model(vocabulary))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    (folder / "tokenizer.out").write_text("".join(" ".join(map(str, processor.encode(t))) + "\n" for t in texts))


def passage(vocabulary, text, at, n):
    ids = [vocabulary.ids["bos"]] if vocabulary.add_bos else []
    return (ids + vocabulary.tokenizer().encode(text[at:at + 6 * n], add_special_tokens=False).ids)[:n]


def settings_of(name, vocabulary):
    """config.json of a variant."""
    base, more, _, n_vocab, dtype, *_ = VARIANTS[name]
    settings = {**base, **more, "vocab_size": n_vocab + PADDING.get(name, 0),
                "dtype" if name == "qwen3" else "torch_dtype": TORCH_DTYPE[dtype], "use_cache": True}
    for role in ("bos", "eos", "pad"):
        if role in vocabulary.ids or role != "pad":
            settings[f"{role}_token_id"] = vocabulary.ids.get(role)
    return settings


def trained(model, name, dtype, vocabulary, text, args):
    """The loss and the weights in their stored type, as published files name them."""
    if name in ("gpt2", "gptj", "bloom") or name.startswith("gptneox"):
        sharpen(model)
    ids = np.array(vocabulary.tokenizer().encode(text, add_special_tokens=False).ids, dtype=np.int64)
    loss = train(model, ids, vocabulary.ids.get("bos"), N_TOKENS, args, list(VARIANTS).index(name))
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    state = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items() if k not in tied}
    if model.config.model_type == "gpt_neox":
        state["embed_out.weight"] = state.pop("lm_head.weight")
    return loss, state


def load(folder, **more):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=F32, attn_implementation="eager", **more).eval()


def write_expected(folder, name, model, vocabulary, text, texts):
    """Passage, logits, greedy text and ids of the texts; gives the passage and its logits."""
    tokens = passage(vocabulary, text, len(text) // 3, N_TOKENS)
    logits = logits_of(model, tokens)
    assert np.isfinite(logits).all() and logits.shape == (N_TOKENS, model.config.vocab_size)
    (folder / "tokens.txt").write_text(",".join(map(str, tokens)) + "\n")
    np.save(folder / "logits.npy", logits.astype(np.float32))
    prompt, greedy, margins = clear_greedy(model, vocabulary, text, 40 if name == "phi3-longrope" else N_PROMPT)
    (folder / "greedy.txt").write_text(",".join(map(str, prompt)) + "\n" + ",".join(map(str, greedy)) + "\n" +
                                       ",".join(f"{m:.5f}" for m in margins) + "\n")
    if name == "phi3-longrope":  # within the original context the short factors hold
        (folder / "tokens-short.txt").write_text(",".join(map(str, tokens[:24])) + "\n")
        np.save(folder / "logits-short.npy", logits_of(model, tokens[:24]).astype(np.float32))
    tokenizer = vocabulary.tokenizer()
    (folder / "tokenizer.out").write_text("".join(
        " ".join(map(str, tokenizer.encode(t, add_special_tokens=False).ids)) + "\n" for t in texts))
    if name in ("llama", "gemma2"):
        write_sentencepiece(folder / "sentencepiece", vocabulary, texts)
    print(f"    logits {logits.min():.1f} to {logits.max():.1f}, least margin of the greedy text {min(margins):.4f}")
    return tokens, logits


def check(folder, model, tokens, logits):
    """That the other files hold the same model."""
    extent = float(logits.max() - logits.min())
    others = {}
    if (folder / "hf-bin").exists():
        others["pytorch_model.bin"] = load(folder / "hf-bin", use_safetensors=False)
    if model.config.model_type not in ("gptj", "gpt_neox", "opt"):  # what transformers reads from GGUF too
        others["the GGUF file"] = load(folder, gguf_file="model.gguf", config=model.config)
    for what, other in others.items():
        assert np.abs(logits_of(other, tokens) - logits).max() < 1e-5 * extent
        print(f"    transformers from {what}: the same")
    families_check.check(folder)


def make(number, name, text, out, args):
    _, _, kind, n_vocab, dtype, n_files, n_bins, altered = VARIANTS[name]
    folder = out / name
    vocabulary = families_tokenizers.make(kind, text, n_vocab)
    settings = settings_of(name, vocabulary)
    torch.manual_seed(args.seed + number)
    model = model_of(settings)
    if args.reuse:
        loss, state = math.nan, {k: v.to(dtype) for k, v in stored_weights(folder / "hf").items()}
    else:
        loss, state = trained(model, name, dtype, vocabulary, text, args)
    if dtype == BF16:  # values that are half precision too, which the GGUF file is in
        state = {k: torch.where(v.abs() < 2 ** -14, 0, v) for k, v in state.items()}
        assert all(torch.equal(v.half().float(), v.float()) for v in state.values())
    shutil.rmtree(folder, ignore_errors=True)
    write_hf(folder, name, settings, state, vocabulary, n_files, n_bins)
    in_gguf = F16 if dtype == BF16 else dtype
    families_gguf.write(folder / "model.gguf", name, model.config, {k: v.to(in_gguf) for k, v in state.items()}, in_gguf,
                        vocabulary)
    print(f"{name}: loss {loss:.2f}", flush=True)

    model = load(folder / "hf")  # everything expected is computed from the files as they lie
    texts = (out / "texts.inp").read_bytes().decode("utf-8").split("\n__ggml_vocab_test__\n")
    tokens, logits = write_expected(folder, name, model, vocabulary, text, texts)
    check(folder, model, tokens, logits)
    stored, extent = {k: v.float() for k, v in state.items()}, float(logits.max() - logits.min())
    for change in [{}, *altered]:
        moved = float(np.abs(logits_of(model_of({**settings, **change}, stored), tokens) - logits).max()) / extent
        assert change or moved < 1e-6
        if change:
            print(f"    with {change}: logits move by {moved:.5f} of their range" + ("" if moved > 5e-4 else "  <-- little"))


def text_of(folder):
    return "".join(f.read_text(encoding="utf-8")[:300000] for f in sorted(pathlib.Path(folder).glob("*.txt")))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--text", required=True, help="folder of plain text files")
    p.add_argument("--out", default="tests/golden/families")
    p.add_argument("--only", nargs="*", default=list(VARIANTS))
    p.add_argument("--reuse", action="store_true", help="keep the weights that are there; make everything else again")
    p.add_argument("--steps", type=int, default=1000)
    p.add_argument("--batch", type=int, default=12)
    p.add_argument("--rate", type=float, default=6e-3)
    p.add_argument("--seed", type=int, default=5)
    args = p.parse_args()
    torch.set_num_threads(1)
    out = pathlib.Path(args.out)
    text = text_of(args.text)
    for number, name in enumerate(VARIANTS):
        if name in args.only:
            make(number, name, text, out, args)
    print(f"{sum(f.stat().st_size for f in out.rglob('*') if f.is_file())} bytes in all")


if __name__ == "__main__":
    main()
