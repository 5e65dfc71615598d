#!/usr/bin/env python3
"""Train the bundled starter model, models/sluice-starter.gguf.

A 3.4-million-parameter LLaMA-architecture model with its own byte-level BPE
tokenizer of 1024 tokens, trained from scratch on the two public-domain texts
below, written as Q8_0 and measured on text it has never seen.

    python tools/train_starter.py train    --data ../shared/data --minutes 55
    python tools/train_starter.py export   --work WORK   # checkpoint -> GGUF, held-out excerpt
    python tools/train_starter.py evaluate               # GGUF -> nats/token, bits/byte

`train` works in --work (checkpoint, tokenizer, curve; --resume continues),
and ends with `export` and `evaluate`. The learning rate follows the wall clock,
so that training ends when --minutes are over on any machine; two runs
therefore do not give the same bits.

Held-out text: of each file of n bytes, everything after the first newline at
or after byte n*95//100. Neither the model nor the tokenizer is trained on it.

Measure: the text is tokenized as a whole; its tokens are cut into consecutive
windows of n_ctx-1 tokens (the last one shorter), each preceded by BOS; every
token of the text is predicted once, from those before it in its window.
nats/token = sum of -ln p / number of tokens; bits/byte = that sum / ln 2 / bytes.
"""
import argparse
import csv
import json
import math
import os
import pathlib
import shutil
import time

import gguf
import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

TEXTS = ("text/tinyshakespeare.txt", "text/war-and-peace.txt")
BOS = "<|endoftext|>"
VOCAB, CTX, LAYERS, DIM, HEADS, KV_HEADS, FFN = 1024, 512, 4, 256, 8, 4, 768
HEAD, THETA, EPS = DIM // HEADS, 10000.0, 1e-5
EXCERPT = 32768  # bytes of the held-out part of War and Peace kept for tests


# ---------------------------------------------------------------- text

def split(raw: bytes):
    """(training part, held-out part) of one file."""
    cut = raw.index(b"\n", len(raw) * 95 // 100) + 1
    return raw[:cut], raw[cut:]


def read_split(data):
    parts = [split((pathlib.Path(data) / name).read_bytes()) for name in TEXTS]
    return [p[0].decode() for p in parts], [p[1].decode() for p in parts]


def make_tokenizer(texts, path):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=[BOS], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    assert tok.get_vocab_size() == VOCAB
    tok.save(str(path))
    return tok


def encode(tok, text):
    return np.array(tok.encode(text).ids, dtype=np.int64)


# ---------------------------------------------------------------- model

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn_norm = nn.Parameter(torch.ones(DIM))
        self.ffn_norm = nn.Parameter(torch.ones(DIM))
        self.attn_q = nn.Linear(DIM, DIM, bias=False)
        self.attn_k = nn.Linear(DIM, KV_HEADS * HEAD, bias=False)
        self.attn_v = nn.Linear(DIM, KV_HEADS * HEAD, bias=False)
        self.attn_output = nn.Linear(DIM, DIM, bias=False)
        self.ffn_gate = nn.Linear(DIM, FFN, bias=False)
        self.ffn_up = nn.Linear(DIM, FFN, bias=False)
        self.ffn_down = nn.Linear(FFN, DIM, bias=False)

    def forward(self, x, cos, sin, drop):
        b, t, _ = x.shape

        def heads(y, n):
            return y.view(b, t, n, HEAD).transpose(1, 2)

        def rope(y):  # half-split pairs; `export` permutes rows to interleaved pairs
            a, c = y.chunk(2, dim=-1)
            return torch.cat((a * cos - c * sin, c * cos + a * sin), dim=-1)

        h = F.rms_norm(x, (DIM,), self.attn_norm, EPS)
        q, k = rope(heads(self.attn_q(h), HEADS)), rope(heads(self.attn_k(h), KV_HEADS))
        v = heads(self.attn_v(h), KV_HEADS)
        k, v = (y.to(q.dtype).repeat_interleave(HEADS // KV_HEADS, dim=1) for y in (k, v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.dropout(self.attn_output(a.transpose(1, 2).reshape(b, t, DIM)), drop, self.training)
        h = F.rms_norm(x, (DIM,), self.ffn_norm, EPS)
        h = self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))
        return x + F.dropout(h, drop, self.training)


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embd = nn.Parameter(torch.randn(VOCAB, DIM) * 0.02)
        self.output_norm = nn.Parameter(torch.ones(DIM))
        self.blk = nn.ModuleList(Block() for _ in range(LAYERS))
        for block in self.blk:
            for name, p in block.named_parameters():
                if p.ndim == 2:
                    nn.init.normal_(p, std=p.shape[1] ** -0.5 * 0.7)
            nn.init.zeros_(block.attn_output.weight)
            nn.init.zeros_(block.ffn_down.weight)
        freq = THETA ** (-torch.arange(0, HEAD, 2).float() / HEAD)
        angle = torch.outer(torch.arange(CTX).float(), freq)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, ids, targets, drop=0.0):
        """Cross-entropy per position (target -1: not counted, 0)."""
        t = ids.shape[1]
        x = F.dropout(F.embedding(ids, self.token_embd), drop, self.training)
        cos, sin = self.cos[:t], self.sin[:t]
        if torch.is_autocast_enabled("cpu"):
            cos, sin = cos.bfloat16(), sin.bfloat16()
        for block in self.blk:
            x = block(x, cos, sin, drop)
        x = F.rms_norm(x, (DIM,), self.output_norm, EPS)
        logits = F.linear(x, self.token_embd)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(),
                               ignore_index=-1, reduction="none")


# ---------------------------------------------------------------- optimizer

class Muon:
    """Momentum, then the nearest orthogonal matrix by Newton-Schulz (K. Jordan, 2024)."""

    def __init__(self, params, momentum=0.95):
        groups = {}
        for p in params:
            groups.setdefault(tuple(p.shape), []).append(p)
        self.groups = [(ps, torch.zeros(len(ps), *ps[0].shape)) for ps in groups.values()]
        self.momentum = momentum

    @torch.no_grad()
    def step(self, lr, weight_decay):
        for params, mom in self.groups:
            g = torch.stack([p.grad for p in params])
            mom.lerp_(g, 1 - self.momentum)
            x = g.lerp(mom, self.momentum)
            tall = x.shape[1] > x.shape[2]
            x = (x.mT if tall else x).bfloat16()
            x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
            for _ in range(5):
                s = x @ x.mT
                x = 3.4445 * x + (-4.7750 * s + 2.0315 * (s @ s)) @ x
            x = (x.mT if tall else x).float()
            scale = max(1.0, x.shape[1] / x.shape[2]) ** 0.5
            for p, u in zip(params, x):
                p.mul_(1 - lr * weight_decay).add_(u, alpha=-lr * scale)

    def state(self):
        return [m for _, m in self.groups]

    def load(self, state):
        for (_, m), s in zip(self.groups, state):
            m.copy_(s)


# ---------------------------------------------------------------- measure

@torch.no_grad()
def nats(model, tokens, n_ctx=CTX, batch=16):
    """Sum of -ln p over all tokens, in windows of BOS and n_ctx-1 tokens."""
    model.eval()
    width = n_ctx - 1
    rows = -(-len(tokens) // width)
    target = np.full((rows, width), -1)
    target.flat[:len(tokens)] = tokens
    ids = np.concatenate((np.zeros((rows, 1), dtype=np.int64), np.maximum(target[:, :-1], 0)), axis=1)
    total = 0.0
    for i in range(0, rows, batch):
        total += model(torch.from_numpy(ids[i:i + batch]),
                       torch.from_numpy(target[i:i + batch])).double().sum().item()
    return total


def bits_per_byte(model, heldout):
    """heldout: list of (tokens, bytes)."""
    return sum(nats(model, t) for t, _ in heldout) / math.log(2) / sum(n for _, n in heldout)


# ---------------------------------------------------------------- training

def batches(streams, starts, batch, rng):
    """Windows at random places, most behind BOS, half of those at the start of a paragraph."""
    weights = np.array([len(s) for s in streams], dtype=float)
    weights /= weights.sum()
    while True:
        out = np.empty((batch, CTX + 1), dtype=np.int64)
        for row in out:
            i = rng.choice(len(streams), p=weights)
            s = streams[i]
            at = rng.integers(len(s) - CTX)
            kind = rng.random()
            if kind < 0.1:
                row[:] = s[at:at + CTX + 1] if at + CTX < len(s) else s[-CTX - 1:]
                continue
            if kind < 0.5:  # to the paragraph's start, if one is near
                p = starts[i][max(0, np.searchsorted(starts[i], at, side="right") - 1)]
                at = p if 0 <= at - p < 200 else at
            row[0] = 0
            row[1:] = s[at:at + CTX]
        yield torch.from_numpy(out[:, :-1].copy()), torch.from_numpy(out[:, 1:].copy())


def train(args):
    work = pathlib.Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    text, held = read_split(args.data)
    tok = make_tokenizer(text, work / "tokenizer.json")
    streams, starts = [], []
    for t in text:
        e = tok.encode(t)
        streams.append(np.array(e.ids, dtype=np.int64))
        begin = {0} | {i + 2 for i in range(len(t) - 2) if t.startswith("\n\n", i)}
        starts.append(np.array([i for i, o in enumerate(e.offsets) if o[0] in begin]))
    heldout = [(encode(tok, t), len(t.encode())) for t in held]
    size = sum(map(len, streams))
    print(f"training: {size} tokens, {sum(len(t.encode()) for t in text) / size:.3f} bytes/token; "
          f"held out: {sum(len(t) for t, _ in heldout)} tokens, {sum(n for _, n in heldout)} bytes", flush=True)

    model = Llama()
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    hidden = [p for p in model.blk.parameters() if p.ndim == 2]
    norms = [p for p in model.parameters() if p.ndim == 1]
    muon = Muon(hidden)
    adam = torch.optim.AdamW([
        {"params": [model.token_embd], "base": args.lr_embd, "weight_decay": 0.0},
        {"params": norms, "base": args.lr_norm, "weight_decay": 0.0}], betas=(0.9, 0.95), eps=1e-10)
    step, used, seen = 0, 0.0, 0
    ckpt, curve = work / "checkpoint.pt", work / "training-curve.csv"
    if args.resume and ckpt.exists():
        c = torch.load(ckpt)
        model.load_state_dict(c["model"])
        adam.load_state_dict(c["adam"])
        muon.load(c["muon"])
        step, used, seen = c["step"], c["used"], c["seen"]
        rng = np.random.default_rng(args.seed + step)
    else:
        curve.write_text("step,minutes,epochs,train_nats_per_token,heldout_bits_per_byte\n")

    forward = torch.compile(model) if args.compile else model
    budget = args.minutes * 60
    begin, last_save, loss_avg = time.time() - used, time.time(), []
    for ids, targets in batches(streams, starts, args.batch, rng):
        used = time.time() - begin
        done = min(1.0, used / budget)
        factor = min(1.0, (step + 1) / 60) * min(1.0, (1 - done) / (1 - args.flat))
        final = used >= budget or step == args.steps
        if final or time.time() - last_save > args.every * 60:
            bpb = bits_per_byte(model, heldout)
            loss = float(np.mean(loss_avg)) if loss_avg else float("nan")
            print(f"step {step}  {used / 60:.1f} min  {seen / size:.2f} epochs  "
                  f"train {loss:.4f} nats/token  held-out {bpb:.4f} bits/byte", flush=True)
            with curve.open("a", newline="") as f:
                csv.writer(f, lineterminator="\n").writerow(
                    [step, f"{used / 60:.1f}", f"{seen / size:.2f}", f"{loss:.4f}", f"{bpb:.4f}"])
            torch.save({"model": model.state_dict(), "adam": adam.state_dict(), "muon": muon.state(),
                        "step": step, "used": used, "seen": seen}, work / "checkpoint.tmp")
            os.replace(work / "checkpoint.tmp", ckpt)
            last_save, loss_avg = time.time(), []
            if final:
                break
        model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not args.f32):
            loss = forward(ids, targets, args.dropout).mean()
        model.zero_grad(set_to_none=True)
        loss.backward()
        for g in adam.param_groups:
            g["lr"] = g["base"] * factor
        adam.step()
        muon.step(args.lr * factor, args.weight_decay)
        step, seen = step + 1, seen + ids.numel()
        loss_avg.append(loss.item())
        if step in (1, 5, 10) or step % 25 == 0:
            print(f"  step {step}  {time.time() - begin:.0f} s  loss {loss_avg[-1]:.3f}", flush=True)


# ---------------------------------------------------------------- GGUF

def interleave(w, heads):
    """Rows from half-split rotary pairs to the interleaved pairs that GGUF's llama stores."""
    return w.reshape(heads, 2, HEAD // 2, DIM).swapaxes(1, 2).reshape(w.shape)


def deinterleave(w, heads):
    return w.reshape(heads, HEAD // 2, 2, DIM).swapaxes(1, 2).reshape(w.shape)


def export(args):
    work, out = pathlib.Path(args.work), pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    state = {k: v.numpy() for k, v in torch.load(work / "checkpoint.pt")["model"].items()}
    bpe = json.loads((work / "tokenizer.json").read_text())["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].get)
    w = gguf.GGUFWriter(out / "sluice-starter.tmp", "llama")
    w.add_name("Sluice Starter")
    w.add_description("A small language model trained on Shakespeare and War and Peace; made by tools/train_starter.py")
    w.add_license("MIT")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_context_length(CTX)
    w.add_embedding_length(DIM)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(FFN)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_rope_dimension_count(HEAD)
    w.add_rope_freq_base(THETA)
    w.add_layer_norm_rms_eps(EPS)
    w.add_vocab_size(VOCAB)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if t == BOS else gguf.TokenType.NORMAL for t in tokens])
    w.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in bpe["merges"]])
    w.add_bos_token_id(tokens.index(BOS))
    w.add_eos_token_id(tokens.index(BOS))
    w.add_add_bos_token(True)
    for name, v in state.items():
        name = name.removesuffix(".weight") + ".weight"
        if v.ndim == 1:
            w.add_tensor(name, v.astype(np.float32))
            continue
        if ".attn_q." in name or ".attn_k." in name:
            v = interleave(v, HEADS if ".attn_q." in name else KV_HEADS)
        w.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(v), gguf.GGMLQuantizationType.Q8_0),
                     raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(out / "sluice-starter.tmp", out / "sluice-starter.gguf")
    _, held = read_split(args.data)
    (out / "heldout.txt").write_bytes(held[1].encode()[:EXCERPT])
    if (work / "training-curve.csv").exists():
        shutil.copy(work / "training-curve.csv", out / "training-curve.csv")
    print(f"{out / 'sluice-starter.gguf'}: {(out / 'sluice-starter.gguf').stat().st_size} bytes")


def load(path):
    """Model (float32 weights decoded from the file) and tokenizer of a starter GGUF."""
    r = gguf.GGUFReader(path)
    state = {}
    for t in r.tensors:
        v = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).copy()
        if ".attn_q." in t.name or ".attn_k." in t.name:
            v = np.ascontiguousarray(deinterleave(v, HEADS if ".attn_q." in t.name else KV_HEADS))
        plain = v.ndim == 1 or t.name == "token_embd.weight"
        state[t.name.removesuffix(".weight") if plain else t.name] = torch.from_numpy(v)
    model = Llama()
    model.load_state_dict(state)
    vocab = {t: i for i, t in enumerate(r.fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(m.split(" ")) for m in r.fields["tokenizer.ggml.merges"].contents()]
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    return model, tok


def evaluate(args):
    model, tok = load(pathlib.Path(args.out) / "sluice-starter.gguf")
    _, held = read_split(args.data)
    names = [pathlib.Path(n).name for n in TEXTS]
    rows = [(f"{n}, held-out", t.encode()) for n, t in zip(names, held)]
    rows.append(("heldout.txt (excerpt)", held[1].encode()[:EXCERPT]))
    sums = np.zeros(3)
    for name, raw in rows:
        ids = encode(tok, raw.decode())
        total = nats(model, ids)
        if "excerpt" not in name:
            sums += (len(raw), len(ids), total)
        print(f"{name}: {len(raw)} bytes, {len(ids)} tokens, {total / len(ids):.6f} nats/token, "
              f"perplexity {math.exp(total / len(ids)):.4f}, {total / math.log(2) / len(raw):.4f} bits/byte")
    n_bytes, n_tok, total = sums
    print(f"both held-out parts: {n_bytes:.0f} bytes, {n_tok:.0f} tokens, {total / n_tok:.6f} nats/token, "
          f"perplexity {math.exp(total / n_tok):.4f}, {total / math.log(2) / n_bytes:.4f} bits/byte")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=("train", "export", "evaluate"))
    p.add_argument("--data", default="../shared/data", help="folder that holds text/")
    p.add_argument("--work", default="build/starter", help="checkpoint, tokenizer and curve")
    p.add_argument("--out", default="models", help="where the model goes")
    p.add_argument("--minutes", type=float, default=55, help="wall-clock time of the training")
    p.add_argument("--steps", type=int, default=-1, help="stop after so many steps (to try things)")
    p.add_argument("--batch", type=int, default=16, help="windows of 512 tokens in a step")
    p.add_argument("--every", type=float, default=4, help="minutes between checkpoints")
    p.add_argument("--lr", type=float, default=0.02, help="of the matrices (Muon)")
    p.add_argument("--lr-embd", type=float, default=3e-3, help="of the embedding (AdamW)")
    p.add_argument("--lr-norm", type=float, default=3e-3, help="of the norms (AdamW)")
    p.add_argument("--weight-decay", type=float, default=0.1)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--flat", type=float, default=0.2, help="part of the time before the rate begins to fall")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--f32", action="store_true", help="no bfloat16")
    p.add_argument("--compile", action="store_true", help="torch.compile")
    p.add_argument("--resume", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "train":
        train(args)
    if args.what in ("train", "export"):
        export(args)
    evaluate(args)


if __name__ == "__main__":
    main()
