#!/usr/bin/env python3
"""Writes seeds for the fuzzers of ggml's first formats, llama2.c, split GGUF, importance matrices
and saved references, from the formats' descriptions, as small as such files can be.

Usage: tools/make_format_corpus.py    (from the repository's root)
"""

import struct
from pathlib import Path

CORPUS = Path("fuzz/corpus")


def u32(*values):
    return b"".join(struct.pack("<I", value & 0xFFFFFFFF) for value in values)


def word(text, score=None):
    return u32(len(text)) + text + (b"" if score is None else struct.pack("<f", score))


def record(name, ne, at, kind=0, align=False):
    """A tensor of zeros that begins at byte `at` of the file."""
    sizes = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34)}[kind]
    count = 1
    for n in ne:
        count *= n
    head = u32(len(ne), len(name), kind, *ne) + name.encode()
    padding = -(at + len(head)) % 32 if align else 0
    return head + bytes(padding) + bytes(count // sizes[0] * sizes[1])


def records(file, tensors, align=False):
    for name, ne, kind in tensors:
        file += record(name, ne, len(file), kind, align)
    return file


def gpt2(kind=0, ftype=0, columns=False):
    words = [b"<|endoftext|>", b"a", b"\xff", b" b"]
    file = u32(0x67676D6C, 4, 2, 32, 2, 1, ftype, 4) + b"".join(map(word, words))
    wide = [96, 32] if columns else [32, 96]
    return records(
        file,
        [
            ("model/wte", [32, 4], kind),
            ("model/wpe", [32, 2], 0),
            ("model/h0/ln_1/g", [32], 0),
            ("model/h0/attn/c_attn/w", wide, kind),
        ],
    )


def gptj():
    words = [b"<|endoftext|>", b"a", b"<|extratoken_1|>"]
    file = u32(0x67676D6C, 3, 2, 4, 2, 1, 2, 1, 3) + b"".join(map(word, words))
    return records(file, [("transformer.wte.weight", [4, 3], 1), ("lm_head.bias", [3], 0)])


def gptneox():
    words = [b"<|endoftext|>", b"!", b"\xef\xbf\xbd", b".", b".", b"  "]
    file = u32(0x67676D6C, 6, 2, 4, 2, 1, 2, 1, 0) + b"".join(map(word, words))
    return records(file, [("gpt_neox.embed_in.weight", [4, 6], 0)])


def llama(magic, version, count=5, sizes=(4, 256, 2, 1, 2, 0)):
    file = u32(magic, *([version] if version else []), count, *sizes)
    for i in range(count):
        text = b"" if i < 3 else bytes([i - 3]) if i < 259 else b" a"
        file += word(text, -float(i) if version else None)
    return file


def llama_model(magic, version):
    tensors = [
        ("tok_embeddings.weight", [4, 5], 1),
        ("layers.0.attention.wk.weight", [4, 2], 1),
        ("layers.0.feed_forward.w3.weight", [4, 8], 1),
    ]
    return records(llama(magic, version), tensors, magic == 0x67676A74)


def llama2c(version, tied):
    dim, ff, layers, heads, kv, vocabulary, context = 8, 8, 1, 2, 1, 4, 2
    group = 4 if version == 2 else 0
    sizes = [dim, ff, layers, heads, kv, -vocabulary if version == 0 and not tied else vocabulary]
    file = (u32(0x616B3432, version) if version else b"") + u32(*sizes, context)
    if version:
        file += bytes([tied]) + (u32(group) if group else b"")
        file += bytes(256 - len(file))
    matrices = [vocabulary * dim, dim * dim, dim * 4, dim * 4, dim * dim, *[dim * ff] * 3]
    matrices += [] if tied else [vocabulary * dim]
    for n in [dim] * 3:
        file += struct.pack(f"<{n}f", *range(n))
    for n in matrices:
        file += bytes(n) + bytes(4 * n // group) if group else bytes(4 * n)
    return file if version else file + bytes(2 * 4 * context * (dim // heads // 2))


def tokenizer(count):
    file = u32(9)
    for i in range(count):
        text = b"<unk>" if i == 0 else b" ab" if i > 258 else b"<0x%02X>" % max(0, i - 3)
        file += struct.pack("<f", -float(i)) + word(text)
    return file


def gguf(number, count, name, more=b"", n_more=0):
    def key(text, kind, value):
        return struct.pack("<Q", len(text)) + text + u32(kind) + value

    meta = key(b"split.no", 2, struct.pack("<H", number))
    meta += key(b"split.count", 2, struct.pack("<H", count))
    meta += key(b"split.tensors.count", 5, u32(count)) + more
    tensor = struct.pack("<Q", len(name)) + name + u32(1) + struct.pack("<QIQ", 2, 0, 0)
    file = b"GGUF" + u32(3) + struct.pack("<QQ", 1, 3 + n_more) + meta + tensor
    return file + bytes(-len(file) % 32) + bytes(8)


def gguf_set(files):
    lengths = [len(file) for file in files] + [0] * (4 - len(files))
    return bytes([len(files) - 1]) + struct.pack("<4H", *lengths) + b"".join(files)


def imatrix_gguf(counts, sums):
    """`sums`: those of each count's matrix, as many for each."""
    def text(bytes_):
        return struct.pack("<Q", len(bytes_)) + bytes_

    def tensor(name, dims, at):
        return text(name) + u32(2) + struct.pack("<QQ", *dims) + u32(0) + struct.pack("<Q", at)

    meta = text(b"general.type") + u32(8) + text(b"imatrix")
    meta += text(b"imatrix.datasets") + u32(9, 8) + struct.pack("<Q", 1) + text(b"t")
    meta += text(b"imatrix.chunk_count") + u32(4, 1)
    meta += text(b"imatrix.chunk_size") + u32(4, 8)
    n = len(counts)
    size = (4 * len(sums) + 31) // 32 * 32
    meta += tensor(b"w.in_sum2", (len(sums) // n, n), 0) + tensor(b"w.counts", (1, n), size)
    file = b"GGUF" + u32(3) + struct.pack("<QQ", 2, 4) + meta
    file += bytes(-len(file) % 32) + struct.pack(f"<{len(sums)}f", *sums)
    return file + bytes(-len(file) % 32) + struct.pack(f"<{n}f", *counts)


def imatrix_dat(entries, end=b""):
    file = u32(len(entries))
    for name, calls, values in entries:
        file += word(name) + u32(calls, len(values)) + struct.pack(f"<{len(values)}f", *values)
    return file + end


def logits_file(n_ctx, n_vocab, n_window, scale=1e-4, least=-8.0):
    file = b"_logits_" + u32(n_ctx, n_vocab, n_window)
    file += u32(*[i % n_vocab for i in range(n_ctx * n_window)])
    row = struct.pack("<ff", scale, least) + bytes(2 * (n_vocab + n_vocab % 2))
    return file + row * (n_window * (n_ctx - 1 - n_ctx // 2))


SEEDS = {
    "logits_file": {
        "one": logits_file(3, 2, 1),
        "odd": logits_file(4, 3, 2),
        "scale": logits_file(3, 2, 1, 1.0),
        "cut": logits_file(5, 3, 1)[:-1],
    },
    "imatrix": {
        "gguf": imatrix_gguf([2], [1, 2, 3]),
        "gguf_experts": imatrix_gguf([0, 2], [0, 0, 3, 4]),
        "gguf_no_rows": imatrix_gguf([0], [1]),
        "dat": imatrix_dat([(b"w", 2, [1, 2, 3]), (b"v", 0, [1])], u32(1) + word(b"t")),
        "dat_short": imatrix_dat([(b"w", 1, [1])]),
        "dat_negative": imatrix_dat([(b"w", 1, [-1])], u32(1)),
    },
    "legacy_ggml": {
        "gpt2_f32": gpt2(),
        "gpt2_q4_0": gpt2(2, 2002),
        "gpt2_columns": gpt2(1, 1, True),
        "gpt2_too_old": gpt2(2, 2),
        "gptj": gptj(),
        "gptneox": gptneox(),
        "llama_ggml": llama_model(0x67676D6C, 0),
        "llama_ggmf": llama_model(0x67676D66, 1),
        "llama_ggjt1": llama_model(0x67676A74, 1),
        "llama_ggjt3": llama_model(0x67676A74, 3),
        "llama_words": llama(0x67676A74, 1, 260, (0, 0, 1, 0, 0, 0)),
        "adapter": u32(0x67676C61, 1, 8, 16),
    },
    "llama2c": {
        **{f"v{v}_{'tied' if t else 'own'}": llama2c(v, t) for v in range(3) for t in (0, 1)},
        "tokenizer_small": tokenizer(6),
        "tokenizer": tokenizer(262),
    },
    "gguf_split": {
        "two": gguf_set([gguf(0, 2, b"a"), gguf(1, 2, b"b")]),
        "four": gguf_set([gguf(i, 4, b"t%d" % i) for i in range(4)]),
        "twice": gguf_set([gguf(0, 2, b"a"), gguf(1, 2, b"a")]),
        "wrong_number": gguf_set([gguf(1, 2, b"a"), gguf(0, 2, b"b")]),
    },
}


def main():
    for folder, files in SEEDS.items():
        (CORPUS / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (CORPUS / folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
