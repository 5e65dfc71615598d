"""Small tokenizers for the family fixtures: trained with the `tokenizers`
library on the fixtures' text and shaped as the published tokenizer.json files
of each family (order of the ids, normalizers, pre-tokenizers, added tokens).

`make(kind, text, n_vocab)` returns a `Vocabulary`: the tokenizer.json's
content, tokenizer_config.json's content, and what llama.cpp's converter would
write under tokenizer.ggml.*.
"""
import dataclasses
import json
import struct

import gguf
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

N, CTRL, USER, BYTE, UNK = (gguf.TokenType.NORMAL, gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED,
                            gguf.TokenType.BYTE, gguf.TokenType.UNKNOWN)
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"
QWEN = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
        "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
SPACE = "\u2581"


@dataclasses.dataclass
class Vocabulary:
    json: dict            # tokenizer.json
    config: dict          # tokenizer_config.json
    model: str            # tokenizer.ggml.model
    pre: str              # tokenizer.ggml.pre
    tokens: list
    types: list
    merges: list          # byte-level only
    scores: list          # SentencePiece only
    ids: dict             # bos, eos, unk, pad where there are any
    add_bos: bool = False
    space_prefix: bool | None = None

    def tokenizer(self):
        return Tokenizer.from_str(json.dumps(self.json))


PLAIN = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = PLAIN + [b for b in range(256) if b not in PLAIN]  # in the order of GPT-2's vocabulary


def byte_alphabet():
    """GPT-2's characters for BYTES."""
    return [chr(b) for b in PLAIN] + [chr(256 + i) for i in range(256 - len(PLAIN))]


def added(i, text, special=True, **flags):
    return {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": not special, "special": special, **flags}


def template(bos, bos_id):
    one = [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    two = one + [{"SpecialToken": {"id": bos, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": one, "pair": two,
            "special_tokens": {bos: {"id": bos, "ids": [bos_id], "tokens": [bos]}}}


# ---------------------------------------------------------------- byte-level BPE

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
NO_REGEX = {**BYTE_LEVEL, "trim_offsets": False, "use_regex": False}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


# kind: normalizer, pre-tokenizer, tokenizer.ggml.pre, special tokens before the bytes, after the merges,
# other added tokens after those, roles
BYTE_KINDS = {
    "gpt2": (None, BYTE_LEVEL, "gpt-2", [], ["<|endoftext|>"], [],
             dict(bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>")),
    "gptj": (None, BYTE_LEVEL, "gpt-2", [], ["<|endoftext|>"], [f"<|extratoken_{i}|>" for i in (1, 2, 3)],
             dict(bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>")),
    "neox": ({"type": "NFC"}, BYTE_LEVEL, "olmo", ["<|endoftext|>", "<|padding|>"], [], ["    ", "  "],
             dict(bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>")),
    "opt": (None, BYTE_LEVEL, "gpt-2", ["<s>", "<pad>", "</s>", "<unk>"], [], [],
            dict(bos="</s>", eos="</s>", unk="</s>", pad="<pad>")),
    "galactica": (None, {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, BYTE_LEVEL]}, "starcoder",
        ["<s>", "<pad>", "</s>", "<unk>"], [], [], dict(bos="<s>", eos="</s>", unk="<unk>", pad="<pad>")),
    "bloom": (None, {"type": "Sequence", "pretokenizers": [split(BLOOM), NO_REGEX]}, "bloom",
              ["<unk>", "<s>", "</s>", "<pad>"], [], [], dict(bos="<s>", eos="</s>", unk="<unk>", pad="<pad>")),
    "qwen": ({"type": "NFC"}, {"type": "Sequence", "pretokenizers": [split(QWEN), NO_REGEX]}, "qwen2",
             [], ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], [],
             dict(eos="<|im_end|>", pad="<|endoftext|>")),
}


def byte_level(kind, text, n_vocab):
    normalizer, pre, name, first, last, others, roles = BYTE_KINDS[kind]
    n_merges = n_vocab - 256 - len(first) - len(last) - len(others)
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = Tokenizer.from_str(json.dumps(
        {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
         "pre_tokenizer": pre, "post_processor": None, "decoder": None,
         "model": {"type": "BPE", "vocab": {}, "merges": []}})).pre_tokenizer
    tok.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=256 + n_merges, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    merges = json.loads(tok.to_str())["model"]["merges"]
    tokens = first + byte_alphabet() + ["".join(m) for m in merges]
    inside = tokens + (last if kind == "opt" else [])
    tokens = tokens + last + others
    assert len(merges) == n_merges and len(set(tokens)) == len(tokens) == n_vocab
    ids = {role: tokens.index(t) for role, t in roles.items()}
    specials = first + last
    # Older files write merges as "a b", newer ones as pairs.
    merges_json = merges if kind in ("qwen", "galactica") else [" ".join(m) for m in merges]
    content = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(tokens.index(t), t) for t in specials] +
                        [added(tokens.index(t), t, False) for t in others],
        "normalizer": normalizer, "pre_tokenizer": pre,
        "post_processor": template("</s>", ids["bos"]) if kind == "opt" else {**BYTE_LEVEL, "use_regex": kind != "qwen"},
        "decoder": BYTE_LEVEL,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": "" if kind == "gpt2" else None,
                  "end_of_word_suffix": "" if kind == "gpt2" else None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {t: i for i, t in enumerate(inside)}, "merges": merges_json}}
    classes = {"qwen": "Qwen2Tokenizer", "neox": "GPTNeoXTokenizer", "bloom": "BloomTokenizerFast"}
    config = {"tokenizer_class": classes.get(kind, "GPT2Tokenizer"), "model_max_length": 96,
              **{f"{r}_token": roles[r] for r in roles}}
    if kind == "opt":
        config.update(add_bos_token=True, add_prefix_space=False, errors="replace")
    if kind == "qwen":
        config.update(bos_token=None, add_prefix_space=False, added_tokens_decoder={
            str(tokens.index(t)): {k: v for k, v in added(0, t).items() if k != "id"} for t in last})
    types = [CTRL if t in specials else USER if t in others else N for t in tokens]
    return Vocabulary(content, config, "gpt2", name, tokens, types, [" ".join(m) for m in merges], [], ids,
                      add_bos=kind == "opt")


# ---------------------------------------------------------------- SentencePiece-style BPE

# kind: special tokens (in order), added tokens that are no special ones, roles, is BOS added
PIECE_KINDS = {
    "llama": (["<unk>", "<s>", "</s>"], [], dict(unk="<unk>", bos="<s>", eos="</s>"), True),
    "phi3": (["<unk>", "<s>", "</s>"], ["<|endoftext|>", "<|assistant|>", "<|end|>"],
             dict(unk="<unk>", bos="<s>", eos="<|endoftext|>", pad="<|endoftext|>"), False),
    "phi3-metaspace": (["<unk>", "<s>", "</s>"], ["<|endoftext|>", "<|assistant|>", "<|end|>"],
                       dict(unk="<unk>", bos="<s>", eos="<|endoftext|>", pad="<|endoftext|>"), False),
    "gemma": (["<pad>", "<eos>", "<bos>", "<unk>"], ["<start_of_turn>", "<end_of_turn>", "\n\n"],
              dict(pad="<pad>", eos="<eos>", bos="<bos>", unk="<unk>"), True),
}
N_CHARS = 36  # the most frequent characters; the others fall back to bytes


def pieces_of(text, n_pieces):
    """Merged pieces in the order of training, and single characters by frequency."""
    text = text[:400000].replace("\n", " ")
    frequent = sorted({c for c in text if c not in " "}, key=lambda c: (-text.count(c), c))[:N_CHARS - 2]
    kept = "".join(c if c in frequent or c == " " else " " for c in text)
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Metaspace()
    tok.train_from_iterator([kept], trainers.BpeTrainer(vocab_size=len(frequent) + 1 + n_pieces, show_progress=False))
    merges = ["".join(m) for m in json.loads(tok.to_str())["model"]["merges"]][:n_pieces - 1]
    return [SPACE + SPACE] + merges, [SPACE] + frequent + ["\n"]


def piece_bpe(kind, text, n_vocab):
    first, others, roles, add_bos = PIECE_KINDS[kind]
    gemma = kind == "gemma"
    before = first + (others if gemma else [])
    after = [] if gemma else others
    pieces, chars = pieces_of(text, n_vocab - len(before) - len(after) - 256 - N_CHARS)
    tokens = before + [f"<0x{b:02X}>" for b in range(256)] + pieces + chars
    inside = {t: i for i, t in enumerate(tokens)}
    tokens = tokens + after
    assert len(tokens) == len(set(tokens)) == n_vocab, (len(tokens), n_vocab)
    # Every way to make a piece from two, the first pieces first: as converters from SentencePiece write them.
    merges = [(p[:k], p[k:]) for p in pieces for k in range(1, len(p)) if p[:k] in inside and p[k:] in inside]
    ids = {role: tokens.index(t) for role, t in roles.items()}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace]}
    pre, strip = None, [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    if gemma:
        normalizer, strip = replace, []
        pre = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    if kind == "phi3-metaspace":
        normalizer = None
        pre = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}
    flags = {t: {} for t in first + others}
    if kind.startswith("phi3"):  # Phi-3's added tokens swallow what space follows them
        flags |= {t: {"rstrip": True, "normalized": False} for t in ("</s>", "<|assistant|>", "<|end|>")}
    if gemma:
        flags["\n\n"] = {"normalized": False}
    extra = [added(tokens.index(t), t, t in first or t != "\n\n", **flags[t]) for t in first + others]
    content = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": extra,
        "normalizer": normalizer, "pre_tokenizer": pre,
        "post_processor": template(roles["bos"], ids["bos"]) if add_bos else None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}] + strip},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": inside, "merges": [" ".join(m) for m in merges] if kind == "llama" else merges}}
    config = {"tokenizer_class": "GemmaTokenizer" if gemma else "LlamaTokenizer", "model_max_length": 96,
              "add_bos_token": add_bos, "add_eos_token": False, "legacy": kind == "llama",
              "clean_up_tokenization_spaces": False,
              "added_tokens_decoder": {str(e["id"]): {k: v for k, v in e.items() if k != "id"} for e in extra},
              **{f"{r}_token": roles[r] for r in roles}}
    types = [UNK if t == "<unk>" else CTRL if t in first or (t in others and t != "\n\n") else USER if t in others
             else BYTE if t.startswith("<0x") else N for t in tokens]
    scores, rank = [], 0
    for t, kind_of in zip(tokens, types):  # as SentencePiece: pieces by rank, characters after them
        if kind_of == N:
            scores.append(-float(rank))
            rank += 1
        else:
            scores.append(-1000.0 if t in after or t == "\n\n" else 0.0)
    return Vocabulary(content, config, "llama", "default", tokens, types, [], scores, ids,
                      add_bos=add_bos, space_prefix=not gemma)


def sentencepiece_model(v):
    """The same vocabulary as SentencePiece's tokenizer.model: a protocol buffer ModelProto."""

    def number(value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes(out) + bytes([value])

    def field(tag, value):
        if isinstance(value, float):
            return number(tag << 3 | 5) + struct.pack("<f", value)
        if isinstance(value, bytes):
            return number(tag << 3 | 2) + number(len(value)) + value
        return number(tag << 3) + number(value & (1 << 64) - 1)

    pieces = b"".join(field(1, field(1, t.encode()) + field(2, s) + field(3, int(k)))
                      for t, s, k in zip(v.tokens, v.scores, v.types))
    trainer = field(3, 2) + field(4, len(v.tokens)) + field(35, 1)  # BPE, vocabulary, byte fallback
    for tag, role in ((40, "unk"), (41, "bos"), (42, "eos"), (43, "pad")):
        trainer += field(tag, v.ids.get(role, -1))
    normalizer = field(1, b"identity") + field(3, int(v.space_prefix)) + field(4, 0) + field(5, 1)
    return pieces + field(2, trainer) + field(3, normalizer)


def make(kind, text, n_vocab):
    return (byte_level if kind in BYTE_KINDS else piece_bpe)(kind, text, n_vocab)
