#!/usr/bin/env python3
"""Make the fixtures of the formats before GGUF, tests/golden/legacy/: ggml
files of GPT-2, GPT-J and GPT-NeoX, LLaMA's GGML, GGMF and GGJT files, llama2.c
checkpoints, and old ones that must be refused.

    python tools/make_legacy.py --text ../shared/data/text

The layouts are written from their description (src/formats/legacy_ggml.c has it;
for llama2.c see `write_llama2c`), not from another program's code. Models are
trained for a few seconds; the logits beside each file are what transformers
computes in float32 from the weights as they are stored, that is for quantized
files from the dequantized ones. tests/golden/legacy/README.md lists the files.
"""
import argparse
import os
import pathlib
import struct
import types

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import gguf
import numpy as np
import torch

import families_gguf
import families_tokenizers
import legacy_k
import make_families as families

T = gguf.GGMLQuantizationType
FTYPE = {T.F32: 0, T.F16: 1, T.Q4_0: 2, T.Q4_1: 3, T.Q8_0: 7, T.Q5_0: 8, T.Q5_1: 9}
GGML, GGMF, GGJT = 0x67676D6C, 0x67676D66, 0x67676A74
N_TOKENS, N_LAST = 16, 3

# The containers do not say the norms' epsilon: 5e-6 is what the converter of that time took by default, between
# LLaMA's 1e-6 and Llama 2's 1e-5. llama2.c takes 1e-5.
SMALL_LLAMA = dict(families.LLAMA, num_key_value_heads=2, intermediate_size=96, rms_norm_eps=5e-6)
LLAMA2C = dict(families.LLAMA, num_key_value_heads=1, intermediate_size=32, max_position_embeddings=48)
GPT2 = dict(families.GPT2, n_ctx=48, n_positions=48, n_inner=None)
GPTJ = dict(families.GPTJ, n_positions=48)
# The narrow ones are stored as floats, the others in blocks of 32 or 256.
# name: settings, tokenizer, vocabulary
MODELS = {
    "gpt2-narrow": (dict(GPT2, n_embd=16), "gpt2", 272),
    "gpt2": (GPT2, "gpt2", 272),
    "gptj-narrow": (dict(GPTJ, n_embd=16, rotary_dim=4), "gptj", 272),
    "gptj": (GPTJ, "gptj", 272),
    "gptneox-narrow": (dict(families.NEOX, hidden_size=16, intermediate_size=64, rotary_pct=0.5), "neox", 272),
    "gptneox-parallel": (dict(families.NEOX, num_hidden_layers=1), "neox", 272),
    "gptneox-sequential": (dict(families.NEOX, num_hidden_layers=1, use_parallel_residual=False), "neox", 272),
    "llama-narrow": (dict(SMALL_LLAMA, hidden_size=16, intermediate_size=48), "llama", 300),
    "llama": (dict(SMALL_LLAMA, num_hidden_layers=1), "llama", 300),
    "llama-k": (dict(SMALL_LLAMA, num_hidden_layers=5, intermediate_size=256, tie_word_embeddings=True), "llama", 300),
    "llama2c-narrow": (dict(LLAMA2C, hidden_size=16), "llama", 300),
    "llama2c": (LLAMA2C, "llama", 300),
}


# ---------------------------------------------------------------- storing a matrix

def packed(w, kind):
    """The bytes of a float32 matrix or vector in a type, and the values that they stand for."""
    if kind == T.F32:
        return w.tobytes(), w
    if kind == T.F16:
        return w.astype(np.float16).tobytes(), w.astype(np.float16).astype(np.float32)
    raw = legacy_k.quantize(w, kind) if kind in legacy_k.PACK else gguf.quants.quantize(w, kind)
    return raw.tobytes(), gguf.quants.dequantize(raw, kind)


def old_q4_0(w):
    """Blocks before 20 May 2023: a float scale, elements 2j and 2j+1 in byte j."""
    out = b""
    for block in w.reshape(-1, 32):
        d = np.float32(np.abs(block).max() / 7)
        q = (np.clip(np.rint(block / d), -8, 7) + 8).astype(np.uint8)
        out += d.tobytes() + (q[0::2] | q[1::2] << 4).tobytes()
    return out


class Writer:
    """Tensor records; `stored` collects what values the file holds, by the name that transformers uses."""

    def __init__(self, header, pad=False):
        self.data, self.pad, self.stored, self.by_name = bytearray(header), pad, {}, {}

    def vocabulary(self, tokens, scores=None):
        for i, text in enumerate(tokens):
            self.data += struct.pack("<I", len(text)) + text + (struct.pack("<f", scores[i]) if scores else b"")

    def tensor(self, name, w, kind, theirs=None, back=None):
        raw, values = packed(np.ascontiguousarray(w, dtype=np.float32), kind)
        encoded = name.encode()
        self.data += struct.pack("<iii", w.ndim, len(encoded), kind)
        self.data += struct.pack(f"<{w.ndim}i", *reversed(w.shape)) + encoded
        if self.pad:
            self.data += bytes(-len(self.data) % 32)
        self.data += raw
        self.by_name[name] = values
        self.stored[theirs or name] = back(values) if back else values


def check(data, n_ints, n_vocab, scored, w):
    """Walks a file's records as the specification says and compares each tensor with what was meant."""
    magic, n_seen = struct.unpack_from("<I", data)[0], 0
    at = 4 + 4 * n_ints
    for _ in range(n_vocab):
        at += 4 + struct.unpack_from("<I", data, at)[0] + 4 * scored
    while at < len(data):
        n_dims, length, kind = struct.unpack_from("<iii", data, at)
        ne = struct.unpack_from(f"<{n_dims}i", data, at + 12)
        at += 12 + 4 * n_dims
        name = data[at:at + length].decode()
        at += length + (-(at + length) % 32 if magic == GGJT else 0)
        block, size = gguf.GGML_QUANT_SIZES[T(kind)]
        assert ne[0] % block == 0
        n_bytes = int(np.prod(ne)) // block * size
        raw = np.frombuffer(data[at:at + n_bytes], dtype=np.uint8).reshape(*reversed(ne[1:]), -1)
        values = gguf.quants.dequantize(raw.view({T.F32: np.float32, T.F16: np.float16}.get(T(kind), np.uint8)), T(kind))
        assert np.array_equal(values, w.by_name[name].reshape(values.shape)), name
        at, n_seen = at + n_bytes, n_seen + 1
    assert at == len(data) and n_seen == len(w.by_name)


# ---------------------------------------------------------------- vocabularies

def byte_tokens(v):
    """Token texts as raw bytes: the byte-level map undone."""
    byte_of = dict(zip(families_tokenizers.byte_alphabet(), families_tokenizers.BYTES))
    special = {e["content"] for e in v.json["added_tokens"]}
    return [t.encode() if t in special else bytes(byte_of[c] for c in t) for t in v.tokens]


def decoded_tokens(v):
    """What GPT-NeoX files hold: each token decoded alone, so that single bytes beyond ASCII are lost."""
    tokenizer = v.tokenizer()
    return [tokenizer.decode([i], skip_special_tokens=False).encode() for i in range(len(v.tokens))]


def piece_tokens(v):
    """SentencePiece as LLaMA's converter wrote it: bytes raw, U+2581 a space, control tokens empty."""
    out = []
    for text, kind in zip(v.tokens, v.types):
        if kind == gguf.TokenType.UNKNOWN:
            out.append(" \u2047 ".encode())
        elif kind == gguf.TokenType.BYTE:
            out.append(bytes([int(text[3:5], 16)]))
        else:
            out.append(b"" if kind == gguf.TokenType.CONTROL else text.replace("\u2581", " ").encode())
    return out


# ---------------------------------------------------------------- ggml

def write_gpt2(m, kind, version=2):
    c, s = m.settings, m.state
    big = FTYPE[kind] + (1000 * version if kind not in (T.F32, T.F16) else 0)
    w = Writer(struct.pack("<I6iI", GGML, c["vocab_size"], c["n_positions"], c["n_embd"], c["n_head"], c["n_layer"], big,
                           c["vocab_size"]))
    w.vocabulary(byte_tokens(m.vocabulary))
    names = {"ln_1": "ln_1", "ln_2": "ln_2", "attn.c_attn": "attn/c_attn", "attn.c_proj": "attn/c_proj",
             "mlp.c_fc": "mlp/c_fc", "mlp.c_proj": "mlp/c_proj"}
    w.tensor("model/ln_f/g", s["transformer.ln_f.weight"], T.F32, "transformer.ln_f.weight")
    w.tensor("model/ln_f/b", s["transformer.ln_f.bias"], T.F32, "transformer.ln_f.bias")
    w.tensor("model/wte", s["transformer.wte.weight"], kind, "transformer.wte.weight")
    w.tensor("model/wpe", s["transformer.wpe.weight"], T.F32, "transformer.wpe.weight")
    for i in range(c["n_layer"]):
        for theirs, ours in names.items():
            key, norm = f"transformer.h.{i}.{theirs}.", theirs.startswith("ln")
            if norm:
                w.tensor(f"model/h{i}/{ours}/g", s[key + "weight"], T.F32, key + "weight")
            else:
                w.tensor(f"model/h{i}/{ours}/w", s[key + "weight"].T, kind, key + "weight", lambda v: v.T)
            w.tensor(f"model/h{i}/{ours}/b", s[key + "bias"], T.F32, key + "bias")
    return w


def write_as_named(m, kind, header, tokens):
    """GPT-J and GPT-NeoX: transformers' names and shapes, in transformers' order."""
    w = Writer(header)
    w.vocabulary(tokens)
    for name, v in m.state.items():
        w.tensor(name, v, kind if v.ndim == 2 else T.F32)
    return w


def ftype_of(kind):
    return FTYPE[kind] + (2000 if kind not in (T.F32, T.F16) else 0)


def write_gptj(m, kind):
    c = m.settings
    header = struct.pack("<I8i", GGML, c["vocab_size"], c["n_positions"], c["n_embd"], c["n_head"], c["n_layer"],
                         c["rotary_dim"], ftype_of(kind), c["vocab_size"])
    return write_as_named(m, kind, header, byte_tokens(m.vocabulary))


def write_gptneox(m, kind):
    c = m.settings
    n_rot = int(c["rotary_pct"] * (c["hidden_size"] // c["num_attention_heads"]))
    header = struct.pack("<I8i", GGML, c["vocab_size"], c["max_position_embeddings"], c["hidden_size"],
                         c["num_attention_heads"], c["num_hidden_layers"], n_rot, c["use_parallel_residual"], ftype_of(kind))
    return write_as_named(m, kind, header, decoded_tokens(m.vocabulary))


LLAMA_NAMES = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
               "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
               "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm"}


def interleave(w, n_head):
    return families_gguf.interleave(torch.from_numpy(np.ascontiguousarray(w)), n_head).numpy()


def halves(w, n_head):
    """The inverse of `interleave`."""
    return w.reshape(n_head, w.shape[0] // n_head // 2, 2, -1).swapaxes(1, 2).reshape(w.shape)


def write_llama(m, magic, version, kind, file_type=None, kinds=None):
    """`kinds` gives other types to some tensors; llama.cpp's own numbers of file types."""
    c, s = m.settings, m.state
    numbers = {T.F32: 0, T.F16: 1, T.Q4_0: 2, T.Q4_1: 3, T.Q8_0: 7, T.Q5_0: 8, T.Q5_1: 9}
    head = struct.pack("<I", magic) + (struct.pack("<I", version) if magic != GGML else b"")
    n_mult = 256 if c["intermediate_size"] == 256 else c["intermediate_size"] // 3
    w = Writer(head + struct.pack("<7I", c["vocab_size"], c["hidden_size"], n_mult, c["num_attention_heads"],
                                  c["num_hidden_layers"], c["hidden_size"] // c["num_attention_heads"],
                                  numbers[kind] if file_type is None else file_type), pad=magic == GGJT)
    w.vocabulary(piece_tokens(m.vocabulary), None if magic == GGML else m.vocabulary.scores)

    def put(ours, theirs):
        v, n_head = s[theirs], c["num_attention_heads"]
        turned = ours.endswith(("wq.weight", "wk.weight"))
        w.tensor(ours, interleave(v, n_head) if turned else v, (kinds or {}).get(ours, kind) if v.ndim == 2 else T.F32,
                 theirs, (lambda x: halves(x, n_head)) if turned else None)

    put("tok_embeddings.weight", "model.embed_tokens.weight")
    put("norm.weight", "model.norm.weight")
    put("output.weight", "lm_head.weight" if "lm_head.weight" in s else "model.embed_tokens.weight")
    for i in range(c["num_hidden_layers"]):
        for theirs, ours in LLAMA_NAMES.items():
            put(f"layers.{i}.{ours}.weight", f"model.layers.{i}.{theirs}.weight")
    return w


# ---------------------------------------------------------------- llama2.c

def write_llama2c(m, version, shared, group=32):
    """Everything little-endian, 32-bit, no names; q and k in pairs as in LLaMA's own files.

    Version 0: 7 ints dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size (negative if the classifier is
    not shared with the embedding), max_seq_len; floats: embedding; of all layers attention norms, wq, wk, wv, wo,
    ffn norms, w1, w2, w3; final norm; cosines and sines [max_seq_len, head/2]; classifier if not shared.
    Versions 1, 2: magic 0x616b3432, version, the same 7 ints (vocab_size positive), a byte: is it shared; in
    version 2 the int group size; zeros to byte 256; floats: attention norms, ffn norms, final norm; then (version 1
    floats, version 2 int8 values of a whole tensor and after them the float scale of each group) embedding, wq, wk,
    wv, wo, w1, w2, w3, classifier if not shared.
    """
    c, s = m.settings, m.state
    layers, w = range(c["num_hidden_layers"]), Writer(b"")
    n_head, n_kv, head = c["num_attention_heads"], c["num_key_value_heads"], c["hidden_size"] // c["num_attention_heads"]
    ints = (c["hidden_size"], c["intermediate_size"], len(layers), n_head, n_kv,
            c["vocab_size"] if version or shared else -c["vocab_size"], c["max_position_embeddings"])

    def floats(theirs):
        w.stored[theirs] = s[theirs]
        w.data += s[theirs].astype(np.float32).tobytes()

    def matrix(theirs, heads=0):
        v = interleave(s[theirs], heads) if heads else s[theirs]
        if version == 2:
            groups = v.astype(np.float32).reshape(-1, group)
            scale = (np.abs(groups).max(1) / np.float32(127)).astype(np.float32)
            q = np.rint(groups / scale[:, None]).astype(np.int8)
            w.data += q.tobytes() + scale.tobytes()
            v = (q * scale[:, None]).reshape(v.shape)
        else:
            w.data += v.astype(np.float32).tobytes()
        w.stored[theirs] = halves(v, heads) if heads else v

    def each(name, heads=0):
        for i in layers:
            matrix(f"model.layers.{i}.{name}.weight", heads)

    def norms(name):
        for i in layers:
            floats(f"model.layers.{i}.{name}.weight")

    if version == 0:
        w.data += struct.pack("<7i", *ints)
        matrix("model.embed_tokens.weight")
        norms("input_layernorm")
    else:
        w.data += struct.pack("<Ii7iB", 0x616B3432, version, *ints, shared)
        w.data += struct.pack("<i", group) if version == 2 else b""
        w.data += bytes(256 - len(w.data))
        norms("input_layernorm")
        norms("post_attention_layernorm")
        floats("model.norm.weight")
        matrix("model.embed_tokens.weight")
    each("self_attn.q_proj", n_head)
    each("self_attn.k_proj", n_kv)
    each("self_attn.v_proj")
    each("self_attn.o_proj")
    if version == 0:
        norms("post_attention_layernorm")
    each("mlp.gate_proj")
    each("mlp.down_proj")
    each("mlp.up_proj")
    if version == 0:
        floats("model.norm.weight")
        angle = np.outer(np.arange(c["max_position_embeddings"]), 10000.0 ** (-np.arange(0, head, 2) / head))
        w.data += np.cos(angle).astype(np.float32).tobytes() + np.sin(angle).astype(np.float32).tobytes()
    if shared:
        w.stored["lm_head.weight"] = w.stored["model.embed_tokens.weight"]
    else:
        matrix("lm_head.weight")
    return w


def write_tokenizer_bin(v):
    """llama2.c's tokenizer: the greatest length; of each token its score, length and text."""
    names = {v.ids["bos"]: b"\n<s>\n", v.ids["eos"]: b"\n</s>\n"}
    texts = [names.get(i, t.replace("\u2581", " ").encode()) for i, t in enumerate(v.tokens)]
    out = struct.pack("<I", max(map(len, texts)))
    for text, score in zip(texts, v.scores):
        out += struct.pack("<fI", score, len(text)) + text
    return out


# ---------------------------------------------------------------- what must be refused

def too_old(out):
    """Complete little files of quantization versions 0 and 1; eight tokens, one layer, noise for weights."""
    rng = np.random.default_rng(1)
    n = 32

    def record(name, *ne, quantized=True):
        quantized = quantized and len(ne) == 2
        head = struct.pack(f"<iii{len(ne)}i", len(ne), len(name), 2 if quantized else 0, *ne) + name.encode()
        w = rng.normal(size=int(np.prod(ne))).astype(np.float32)
        return head, (old_q4_0(w) if quantized else w.tobytes())

    def file(name, header, vocabulary, records, pad=False):
        data = bytearray(header + vocabulary)
        for head, raw in records:
            data += head
            data += bytes(-len(data) % 32) if pad else b""
            data += raw
        (out / name).write_bytes(data)
        with open(out / "files.txt", "a", encoding="utf-8") as f:
            f.write(f"{name} - - refused\n")

    gpt2 = [("model/ln_f/g", n), ("model/ln_f/b", n), ("model/wte", n, 8), ("model/wpe", n, 16)] + [
        ("model/h0/" + name, *ne) for name, *ne in (
            ("ln_1/g", n), ("ln_1/b", n), ("ln_2/g", n), ("ln_2/b", n), ("attn/c_attn/w", n, 3 * n), ("attn/c_attn/b", 3 * n),
            ("attn/c_proj/w", n, n), ("attn/c_proj/b", n), ("mlp/c_fc/w", n, 4 * n), ("mlp/c_fc/b", 4 * n),
            ("mlp/c_proj/w", 4 * n, n), ("mlp/c_proj/b", n))]
    words = b"".join(struct.pack("<I", 1) + bytes([97 + i]) for i in range(8))
    scored = b"".join(struct.pack("<I", 1) + bytes([97 + i]) + struct.pack("<f", -i) for i in range(8))
    for version in (0, 1):
        header = struct.pack("<I7i", GGML, 8, 16, n, 2, 1, 1000 * version + 2, 8)
        records = [record(name, *ne, quantized=not name.endswith("wpe")) for name, *ne in gpt2]
        file(f"refused-gpt2-q4_0-version{version}.bin", header, words, records)
    llama = [("tok_embeddings.weight", n, 8), ("norm.weight", n), ("output.weight", n, 8)] + [
        ("layers.0." + name + ".weight", *ne) for name, *ne in (
            ("attention.wq", n, n), ("attention.wk", n, n), ("attention.wv", n, n), ("attention.wo", n, n),
            ("attention_norm", n), ("feed_forward.w1", n, 96), ("feed_forward.w2", 96, n), ("feed_forward.w3", n, 96),
            ("ffn_norm", n))]
    hyper = struct.pack("<7I", 8, n, 32, 2, 1, 16, 2)
    for name, head, vocabulary, pad in (
            ("ggml", struct.pack("<I", GGML), words, False), ("ggjt1", struct.pack("<II", GGJT, 1), scored, True),
            ("ggjt2", struct.pack("<II", GGJT, 2), scored, True)):
        file(f"refused-llama-{name}-q4_0.bin", head + hyper, vocabulary, [record(*r) for r in llama], pad)


# ---------------------------------------------------------------- models

def trained(number, name, text, args):
    settings, kind, n_vocab = MODELS[name]
    m = types.SimpleNamespace(vocabulary=families_tokenizers.make(kind, text, n_vocab))
    m.settings = {**settings, "vocab_size": n_vocab}
    torch.manual_seed(args.seed + number)
    model = families.model_of(m.settings)
    ids = np.array(m.vocabulary.tokenizer().encode(text, add_special_tokens=False).ids, dtype=np.int64)
    m.loss = families.train(model, ids, m.vocabulary.ids["bos"], 48, args, number)
    tied = model.config.tie_word_embeddings
    m.state = {k: v.detach().half().float().numpy() for k, v in model.state_dict().items()
               if not (tied and k == "lm_head.weight")}
    if m.settings["model_type"] == "gpt_neox":
        m.state["embed_out.weight"] = m.state.pop("lm_head.weight")
    m.tokens = families.passage(m.vocabulary, text, len(text) // 3, N_TOKENS)
    return m


def logits_of(m, stored):
    """From the values that a file holds; `stored` names them as transformers does."""
    settings = dict(m.settings)
    if "lm_head.weight" in stored:
        settings["tie_word_embeddings"] = False
    model = families.model_of(settings, {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in stored.items()})
    return families.logits_of(model, m.tokens)


def write_ids(path, vocabulary, texts):
    """A line of ids for each text, by the tokenizers library; what looks like a special token is text as any other."""
    tokenizer = vocabulary.tokenizer()
    tokenizer.encode_special_tokens = True
    path.write_text("".join(" ".join(map(str, tokenizer.encode(t, add_special_tokens=False).ids)) + "\n" for t in texts))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--text", required=True, help="folder of plain text files")
    p.add_argument("--out", default="tests/golden/legacy")
    p.add_argument("--texts", default="tests/golden/families/texts.inp")
    p.add_argument("--steps", type=int, default=300)
    p.add_argument("--batch", type=int, default=12)
    p.add_argument("--rate", type=float, default=6e-3)
    p.add_argument("--seed", type=int, default=5)
    args = p.parse_args()
    torch.set_num_threads(1)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        if old.name != "README.md":
            old.unlink()
    text = families.text_of(args.text)
    m = {name: trained(i, name, text, args) for i, name in enumerate(MODELS)}
    print("losses", {name: round(v.loss, 2) for name, v in m.items()}, flush=True)

    def save(model, name, w, exact):
        """An exact file's logits are kept once for the model, the last rows of a quantized one's for the file."""
        (out / (name + ".bin")).write_bytes(w.data)
        magic = struct.unpack_from("<I", w.data)[0]
        if w.by_name:
            ints = {"gpt2": 7, "gptj": 8, "gptneox": 8, "llama": 7 + (magic != GGML)}[model.split("-")[0]]
            check(bytes(w.data), ints, m[model].settings["vocab_size"], magic in (GGMF, GGJT), w)
        logits, whole = logits_of(m[model], w.stored), logits_of(m[model], m[model].state)
        extent = whole.max() - whole.min()
        moved = np.abs(logits - whole).max() / extent
        if not (out / f"{model}.tokens").exists():
            (out / f"{model}.tokens").write_text(",".join(map(str, m[model].tokens)) + "\n")
        stem = model if exact else name
        if exact and (out / f"{stem}.logits.npy").exists():
            assert np.array_equal(np.load(out / f"{stem}.logits.npy"), logits)
        np.save(out / f"{stem}.logits.npy", (logits if exact else logits[-N_LAST:]).astype(np.float32))
        print(f"{name}: {len(w.data)} bytes, logits {moved:.1e} of the range from the unquantized ones")
        kind = "exact" if exact else "quantized"
        with open(out / "files.txt", "a", encoding="utf-8") as f:
            f.write(f"{name}.bin {model}.tokens {stem}.logits.npy {kind}\n")

    for kind in (T.F32, T.F16):
        save("gpt2-narrow", f"gpt2-{kind.name.lower()}", write_gpt2(m["gpt2-narrow"], kind), True)
        save("gptj-narrow", f"gptj-{kind.name.lower()}", write_gptj(m["gptj-narrow"], kind), True)
    for kind in (T.Q5_0, T.Q8_0):
        save("gpt2", f"gpt2-{kind.name.lower()}", write_gpt2(m["gpt2"], kind), False)
    for kind in (T.Q4_0, T.Q5_1):
        save("gptj", f"gptj-{kind.name.lower()}", write_gptj(m["gptj"], kind), False)
    save("gptneox-narrow", "gptneox-parallel-f16", write_gptneox(m["gptneox-narrow"], T.F16), True)
    save("gptneox-parallel", "gptneox-parallel-q4_1", write_gptneox(m["gptneox-parallel"], T.Q4_1), False)
    save("gptneox-sequential", "gptneox-sequential-q8_0", write_gptneox(m["gptneox-sequential"], T.Q8_0), False)
    for magic, version, kind in ((GGML, 0, T.F16), (GGMF, 1, T.F16), (GGJT, 1, T.F32), (GGJT, 2, T.F16)):
        container = {GGML: "ggml", GGMF: "ggmf1", GGJT: f"ggjt{version}"}[magic]
        save("llama-narrow", f"llama-{container}-{kind.name.lower()}",
             write_llama(m["llama-narrow"], magic, version, kind), True)
    for kind in (T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0):
        save("llama", f"llama-ggjt3-{kind.name.lower()}", write_llama(m["llama"], GGJT, 3, kind), False)
    kinds = {f"layers.{i}.feed_forward.w2.weight": kind for i, kind in enumerate(legacy_k.PACK)}
    save("llama-k", "llama-ggjt3-k", write_llama(m["llama-k"], GGJT, 3, T.Q4_0, 15, kinds), False)
    narrow = m["llama2c-narrow"]
    save("llama2c-narrow", "llama2c-version0", write_llama2c(narrow, 0, False), True)
    shared = m["llama2c-shared"] = types.SimpleNamespace(**vars(narrow))
    shared.state = {**narrow.state, "lm_head.weight": narrow.state["model.embed_tokens.weight"]}
    save("llama2c-shared", "llama2c-version1", write_llama2c(narrow, 1, True), True)
    save("llama2c", "llama2c-version2", write_llama2c(m["llama2c"], 2, False), False)
    (out / "tokenizer.bin").write_bytes(write_tokenizer_bin(narrow.vocabulary))
    texts = pathlib.Path(args.texts).read_bytes().decode("utf-8").split("\n__ggml_vocab_test__\n")
    for name in ("gpt2", "llama"):
        write_ids(out / f"{name}.out", m[name].vocabulary, texts)
    too_old(out)
    print(f"{sum(f.stat().st_size for f in out.iterdir())} bytes in all")


if __name__ == "__main__":
    main()
