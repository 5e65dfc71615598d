#!/usr/bin/env python3
"""Write a synthetic LLaMA-architecture GGUF model: random weights, any shape and type.

    python tools/make_model.py --shape tinyllama-1.1b --type q4_0 OUT.gguf
    python tools/make_model.py --shape 256,2,4,2,512,320 --type q8_0 OUT.gguf

For benchmarks and tests of speed and memory; the text it generates is noise.
A shape is a name (see --help) or dim,layers,heads,kv_heads,ffn,vocab. Block
types are written as random blocks with scales that make the weights' standard
deviation 0.02 and their mean 0, so activations stay finite and logits moderate.
q4_k_m is llama.cpp's mix of Q4_K and Q6_K; every other type is used for all
matrices, unless --output-type names another for output.weight. The vocabulary
(SentencePiece) is copied from --vocab, cut or padded to the shape's size.

The bytes come from a pool of random blocks that is walked in circles, so it is
as fast as the disk and needs little memory. The pool's size is prime: no two
rows of a matrix are alike.
"""
import argparse
import os
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type, LlamaFileType as File
from gguf.constants import GGML_QUANT_SIZES

#                  dim  layers heads kv   ffn   vocab  context
SHAPES = {
    "tinyllama-1.1b": (2048, 22, 32, 4, 5632, 32000, 2048),
    "llama-7b": (4096, 32, 32, 32, 11008, 32000, 4096),
}
FILE_TYPES = {
    "f32": File.ALL_F32, "f16": File.MOSTLY_F16, "bf16": File.MOSTLY_BF16,
    "q4_0": File.MOSTLY_Q4_0, "q4_1": File.MOSTLY_Q4_1, "q5_0": File.MOSTLY_Q5_0, "q5_1": File.MOSTLY_Q5_1,
    "q8_0": File.MOSTLY_Q8_0, "q2_k": File.MOSTLY_Q2_K, "q3_k": File.MOSTLY_Q3_K_S, "q4_k": File.MOSTLY_Q4_K_S,
    "q5_k": File.MOSTLY_Q5_K_S, "q6_k": File.MOSTLY_Q6_K, "q4_k_m": File.MOSTLY_Q4_K_M,
}
# Per block type: byte offset of the scale d, of the minimum (or None), and the
# minimum as a multiple of d that makes the mean 0.
SCALES = {
    Type.Q4_0: (0, None, 0), Type.Q5_0: (0, None, 0), Type.Q8_0: (0, None, 0),
    Type.Q4_1: (0, 2, -7.5), Type.Q5_1: (0, 2, -15.5),
    Type.Q2_K: (80, 82, 1.5), Type.Q3_K: (108, None, 0), Type.Q4_K: (0, 2, 7.5),
    Type.Q5_K: (0, 2, 15.5), Type.Q6_K: (208, None, 0),
}
POOL_BYTES = 32 << 20
STD = 0.02


def prime(n):
    """The largest prime not above n."""
    while any(n % i == 0 for i in range(2, int(n ** 0.5) + 1)):
        n -= 1
    return n


def make_pool(kind, rng):
    """Random blocks of one type, [blocks, block size] of bytes."""
    per_block, size = GGML_QUANT_SIZES[kind]
    n = prime(POOL_BYTES // size)
    if kind not in SCALES:
        x = rng.standard_normal(n, dtype=np.float32) * np.float32(STD)
        return gguf.quants.quantize(x, kind).view(np.uint8).reshape(n, size)
    pool = rng.integers(0, 256, (n, size), dtype=np.uint8)
    if kind == Type.Q8_0:
        pool[pool == 0x80] = 0x81  # quantizers do not write -128
    at, min_at, ratio = SCALES[kind]

    def set_scales(d):
        pool[:, at:at + 2] = d.astype("<f2").view(np.uint8).reshape(n, 2)
        if min_at is not None:
            pool[:, min_at:min_at + 2] = (d * ratio).astype("<f2").view(np.uint8).reshape(n, 2)

    d = rng.uniform(0.7, 1.3, n) * rng.choice((-1, 1), n)
    set_scales(d)
    sample = min(n, 20000)
    d *= STD / gguf.quants.dequantize(pool[:sample].reshape(-1), kind).std()
    set_scales(d)
    return pool


class Blocks:
    """Walks each type's pool in circles."""

    def __init__(self, seed):
        self.seed, self.pools = seed, {}

    def write(self, out, kind, count):
        if kind not in self.pools:
            self.pools[kind] = [make_pool(kind, np.random.Generator(np.random.SFC64((self.seed, int(kind))))), 0]
        pool, at = self.pools[kind]
        while count:
            n = min(count, len(pool) - at)
            out.write(pool[at:at + n].data)
            at, count = (at + n) % len(pool), count - n
        self.pools[kind][1] = at


def matrix_type(args, name, layer, layers):
    if name == "output" and args.output_type:
        return Type[args.output_type.upper()]
    if args.type != "q4_k_m":
        return Type[args.type.upper()]
    more = layer is not None and (
        layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2)
    return Type.Q6_K if name == "output" or (name in ("attn_v", "ffn_down") and more) else Type.Q4_K


def tensors(args, shape):
    """(name, rows or None for a vector, row length, type) of every tensor, in file order."""
    dim, layers, heads, kv, ffn, vocab, _ = shape
    kv_dim = dim // heads * kv
    yield "token_embd.weight", vocab, dim, matrix_type(args, "token_embd", None, layers)
    for i in range(layers):
        for name, rows, cols in (("attn_norm", None, dim), ("attn_q", dim, dim), ("attn_k", kv_dim, dim),
                                 ("attn_v", kv_dim, dim), ("attn_output", dim, dim), ("ffn_norm", None, dim),
                                 ("ffn_gate", ffn, dim), ("ffn_up", ffn, dim), ("ffn_down", dim, ffn)):
            yield f"blk.{i}.{name}.weight", rows, cols, matrix_type(args, name, i, layers) if rows else Type.F32
    yield "output_norm.weight", None, dim, Type.F32
    yield "output.weight", vocab, dim, matrix_type(args, "output", None, layers)


def add_vocabulary(w, path, vocab):
    fields = gguf.GGUFReader(path).fields
    tokens, scores, kinds = (fields[f"tokenizer.ggml.{k}"].contents()[:vocab] for k in ("tokens", "scores", "token_type"))
    pad = vocab - len(tokens)
    w.add_vocab_size(vocab)
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list(tokens + [f"<unused{i}>" for i in range(pad)])
    w.add_token_scores(scores + [0.0] * pad)
    w.add_token_types(kinds + [int(gguf.TokenType.UNUSED)] * pad)
    w.add_unk_token_id(0)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--shape", default="tinyllama-1.1b", help=", ".join(SHAPES) + " or dim,layers,heads,kv_heads,ffn,vocab")
    p.add_argument("--type", default="q4_0", choices=FILE_TYPES)
    p.add_argument("--output-type", choices=[t for t in FILE_TYPES if t != "q4_k_m"], help="type of output.weight")
    p.add_argument("--vocab", default="../shared/data/tokenizers/ggml-vocab-llama-spm.gguf")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    shape = SHAPES.get(args.shape)
    if shape is None:
        try:
            shape = (*map(int, args.shape.split(",")), 2048)
            dim, layers, heads, kv, ffn, vocab, context = shape
        except ValueError:
            sys.exit(f"make_model: unknown shape {args.shape}")
    dim, layers, heads, kv, ffn, vocab, context = shape
    if dim % heads or heads % kv or vocab < 3:
        sys.exit(f"make_model: impossible shape {args.shape}")

    w = gguf.GGUFWriter(args.out + ".tmp", "llama")
    w.add_name(f"synthetic {args.shape} {args.type}")
    w.add_file_type(FILE_TYPES[args.type])
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_context_length(context)
    w.add_embedding_length(dim)
    w.add_block_count(layers)
    w.add_feed_forward_length(ffn)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_rope_dimension_count(dim // heads)
    w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(1e-5)
    add_vocabulary(w, args.vocab, vocab)

    plan = []
    for name, rows, cols, kind in tensors(args, shape):
        per_block, size = GGML_QUANT_SIZES[kind]
        if cols % per_block:
            sys.exit(f"make_model: {name}: rows of {cols} do not fit blocks of {per_block} ({kind.name})")
        count = (rows or 1) * cols // per_block
        plan.append((name, rows, kind, count, count * size))
        w.add_tensor_info(name, (rows, cols) if rows else (cols,), np.float32, count * size, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    out = w.fout[0]
    w.write_padding(out, out.tell())
    blocks, rng = Blocks(args.seed), np.random.default_rng(args.seed)
    for name, rows, kind, count, nbytes in plan:
        if rows:
            blocks.write(out, kind, count)
        else:
            out.write(rng.uniform(0.8, 1.2, count).astype("<f4").tobytes())
        w.write_padding(out, nbytes)
    w.close()
    os.replace(args.out + ".tmp", args.out)
    print(f"{args.out}: {len(plan)} tensors, {os.path.getsize(args.out)} bytes")


if __name__ == "__main__":
    main()
