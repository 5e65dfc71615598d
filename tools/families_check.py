"""A second opinion on the family fixtures: each architecture computed in
float64 by numpy from the GGUF file alone, from the keys and tensors that a
reader finds there, and compared with what transformers said.

    python tools/families_check.py tests/golden/families/*/
"""
import math
import pathlib
import sys

import gguf
import numpy as np

ERF = np.vectorize(math.erf, otypes=[np.float64])


class File:
    """The keys and tensors of a GGUF file, these as float64."""

    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.arch = self.reader.fields["general.architecture"].contents()
        self.t = {x.name: gguf.quants.dequantize(x.data, x.tensor_type).astype(np.float64).reshape(
            tuple(int(n) for n in reversed(x.shape))) for x in self.reader.tensors}

    def key(self, name, default=None):
        field = self.reader.fields.get(f"{self.arch}.{name}")
        return default if field is None else field.contents()


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def gelu(x):
    return 0.5 * x * (1 + ERF(x / math.sqrt(2)))


def silu(x):
    return x / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


ACTIVATION = {"gpt2": gelu_tanh, "gptj": gelu_tanh, "bloom": gelu_tanh, "gptneox": gelu, "gemma2": gelu_tanh,
              "gemma3": gelu_tanh}


def slopes(n_head):
    """ALiBi: 2^(-8i/n) for a power of two; else those of the power below and every other one of the one above."""
    below = 2 ** int(math.log2(n_head))
    out = [2 ** (-8 * i / below) for i in range(1, below + 1)]
    return np.array(out + [2 ** (-8 * i / (2 * below)) for i in range(1, 2 * (n_head - below), 2)])


class Model:
    def __init__(self, path, n_context):
        f = self.f = File(path)
        self.arch, self.t, key = f.arch, f.t, f.key
        self.n_head = key("attention.head_count")
        self.n_kv = key("attention.head_count_kv", self.n_head)
        self.head = key("attention.key_length", key("embedding_length") // self.n_head)
        self.scale = key("attention.scale", self.head ** -0.5)
        self.act = {"relu": relu, "gelu": gelu}[key("activation")] if self.arch == "opt" else ACTIVATION.get(self.arch, silu)
        self.n_rot = key("rope.dimension_count", self.head if self.arch in ("qwen2", "qwen3", "gemma2", "gemma3") else 0)
        long = n_context > key("rope.scaling.original_context_length", 1 << 30)
        self.factors = self.t.get("rope_factors_long.weight" if long else "rope_factors_short.weight", 1.0)

    def norm(self, x, name):
        eps = self.f.key("attention.layer_norm_epsilon")
        if eps is None:
            x = x / np.sqrt((x * x).mean(-1, keepdims=True) + self.f.key("attention.layer_norm_rms_epsilon"))
        else:
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
        return x * self.t.get(name + ".weight", 1) + self.t.get(name + ".bias", 0)

    def linear(self, x, name):
        return x @ self.t[name + ".weight"].T + self.t.get(name + ".bias", 0)

    def is_local(self, layer):
        period = {"gemma2": 2, "gemma3": self.f.key("attention.sliding_window_pattern", 6)}.get(self.arch, 1)
        return (layer + 1) % period != 0

    def rope(self, x, layer):
        """Turns the first n_rot columns of each head: pairs (2i, 2i+1) for llama and gptj, (i, i + n/2) else."""
        n = self.n_rot
        base = self.f.key("rope.freq_base", 10000.0)
        factor = self.f.key("rope.scaling.factor", 1.0)
        if self.arch == "gemma3" and self.is_local(layer):
            base, factor = self.f.key("rope.freq_base_swa", 10000.0), 1.0
        freq = base ** (-np.arange(0, n, 2) / n) / self.factors / factor
        turn = np.exp(1j * np.arange(x.shape[0])[:, None, None] * freq) * self.f.key("rope.scaling.attn_factor", 1.0)
        y = x.copy()
        if self.arch in ("llama", "gptj"):
            z = (x[..., 0:n:2] + 1j * x[..., 1:n:2]) * turn
            y[..., 0:n:2], y[..., 1:n:2] = z.real, z.imag
        else:
            z = (x[..., :n // 2] + 1j * x[..., n // 2:n]) * turn
            y[..., :n // 2], y[..., n // 2:n] = z.real, z.imag
        return y

    def attention(self, h, layer):
        b, n = f"blk.{layer}.", h.shape[0]
        if b + "attn_qkv.weight" in self.t:
            at = [self.n_head * self.head, (self.n_head + self.n_kv) * self.head]
            q, k, v = np.split(self.linear(h, b + "attn_qkv"), at, axis=1)
        else:
            q, k, v = (self.linear(h, b + s) for s in ("attn_q", "attn_k", "attn_v"))
        q, k, v = (y.reshape(n, -1, self.head) for y in (q, k, v))
        if b + "attn_q_norm.weight" in self.t:
            q, k = self.norm(q, b + "attn_q_norm"), self.norm(k, b + "attn_k_norm")
        if self.n_rot:
            q, k = self.rope(q, layer), self.rope(k, layer)
        k, v = (np.repeat(y, self.n_head // self.n_kv, axis=1) for y in (k, v))
        s = np.einsum("ihd,jhd->hij", q, k) * self.scale
        far = np.arange(n)[:, None] - np.arange(n)[None, :]
        if self.arch == "bloom":
            s = s - slopes(self.n_head)[:, None, None] * far
        cap = self.f.key("attn_logit_softcapping")
        if cap:
            s = cap * np.tanh(s / cap)
        window = self.f.key("attention.sliding_window", 0) or n
        if self.arch in ("gemma2", "gemma3") and not self.is_local(layer):
            window = n
        s = np.where((far < 0) | (far >= window), -np.inf, s)
        s = np.exp(s - s.max(-1, keepdims=True))
        a = np.einsum("hij,jhd->ihd", s / s.sum(-1, keepdims=True), v).reshape(n, -1)
        return self.linear(a, b + "attn_output")

    def feed_forward(self, h, layer):
        b = f"blk.{layer}."
        u = self.linear(h, b + "ffn_up")
        if self.arch == "phi3":
            gate, u = np.split(u, 2, axis=1)
            u = self.act(gate) * u
        elif b + "ffn_gate.weight" in self.t:
            u = self.act(self.linear(h, b + "ffn_gate")) * u
        else:
            u = self.act(u)
        return self.linear(u, b + "ffn_down")

    def layer(self, x, i):
        b = f"blk.{i}."
        if self.arch.startswith("gemma"):
            x = x + self.norm(self.attention(self.norm(x, b + "attn_norm"), i), b + "post_attention_norm")
            return x + self.norm(self.feed_forward(self.norm(x, b + "ffn_norm"), i), b + "post_ffw_norm")
        if self.arch == "gptj" or self.f.key("use_parallel_residual", False):
            h = self.norm(x, b + "attn_norm")
            other = h if self.arch == "gptj" else self.norm(x, b + "ffn_norm")
            return x + self.attention(h, i) + self.feed_forward(other, i)
        if not self.f.key("normalize_before", True):
            x = self.norm(x + self.attention(x, i), b + "attn_norm")
            return self.norm(x + self.feed_forward(x, i), b + "ffn_norm")
        x = x + self.attention(self.norm(x, b + "attn_norm"), i)
        return x + self.feed_forward(self.norm(x, b + "ffn_norm"), i)

    def logits(self, tokens):
        t = self.t
        x = t["token_embd.weight"][tokens]
        if "project_in.weight" in t:
            x = x @ t["project_in.weight"].T
        if "position_embd.weight" in t:
            x = x + t["position_embd.weight"][:len(tokens)]
        if "token_embd_norm.weight" in t:
            x = self.norm(x, "token_embd_norm")
        if self.arch.startswith("gemma"):
            x = x * math.sqrt(x.shape[1])
        for i in range(self.f.key("block_count")):
            x = self.layer(x, i)
        if self.f.key("normalize_before", True):
            x = self.norm(x, "output_norm")
        if "project_out.weight" in t:
            x = x @ t["project_out.weight"].T
        y = self.linear(x, "output" if "output.weight" in t else "token_embd")
        cap = self.f.key("final_logit_softcapping")
        return cap * np.tanh(y / cap) if cap else y


def check(folder):
    """How far numpy is from transformers, as a part of the logits' range; at most 1e-5."""
    worst = 0
    for suffix in ("", "-short"):
        file = folder / f"tokens{suffix}.txt"
        if file.exists():
            tokens = [int(s) for s in file.read_text().split(",")]
            expected = np.load(folder / f"logits{suffix}.npy")
            got = Model(folder / "model.gguf", len(tokens)).logits(tokens)
            worst = max(worst, np.abs(got - expected).max() / (expected.max() - expected.min()))
    print(f"    {folder.name}: numpy from the GGUF file is within {worst:.1e} of the range")
    assert worst < 1e-5
    return worst


if __name__ == "__main__":
    for name in sys.argv[1:]:
        check(pathlib.Path(name))
