#!/usr/bin/env python3
"""Makes tests/golden/tokenizer: small vocabularies as GGUF files, texts, and the tokens that the
reference libraries `sentencepiece` and `tokenizers` (Hugging Face) give for them.

    tools/make_tokenizer_golden.py TEXT tests/golden/tokenizer

TEXT is any English text to train the vocabularies on, such as tinyshakespeare.txt. In each folder:
    texts.txt      the texts, with a line "__text__" between them
    spm.gguf       SentencePiece BPE with bytes and user-defined tokens     spm.ids
    unk.gguf       the same without bytes and without a space put before    unk.ids
    spm.model, unk.model   the same two as SentencePiece writes them
    bpe.gguf       byte-level BPE                                           bpe-PRE.ids
where line n of a .ids file holds the tokens of text n.
"""
import io
import random
import struct
import sys
import unicodedata

import sentencepiece
import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

SEPARATOR = "\n__text__\n"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


def gguf_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(value):
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_string(value)
    kind, pack = {
        str: (8, gguf_string),
        int: (5, lambda x: struct.pack("<i", x)),
        float: (6, lambda x: struct.pack("<f", x)),
    }[type(value[0])]
    return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(map(pack, value))


def write_gguf(path, metadata):
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)))
        for key, value in metadata.items():
            file.write(gguf_string(key) + gguf_value(value))


def train_sentencepiece(text, byte_fallback, add_space):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=700 if byte_fallback else 420,
        byte_fallback=byte_fallback,
        add_dummy_prefix=add_space,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        user_defined_symbols=["<sep>", "<sep>2", "\u2581\u2581\u2581", "thou", "\u96ea"],
        control_symbols=["<end>"],
        num_threads=1,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def write_sentencepiece(path, sp, add_space):
    def kind(i):
        if sp.is_unknown(i):
            return UNKNOWN
        if sp.is_control(i):
            return CONTROL
        if sp.is_byte(i):
            return BYTE
        return USER_DEFINED if sp.id_to_piece(i) in user else NORMAL

    user = {"<sep>", "<sep>2", "\u2581\u2581\u2581", "thou", "\u96ea"}
    ids = range(sp.vocab_size())
    write_gguf(
        path,
        {
            "general.architecture": "llama",
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": [sp.id_to_piece(i) for i in ids],
            "tokenizer.ggml.scores": [float(sp.get_score(i)) for i in ids],
            "tokenizer.ggml.token_type": [kind(i) for i in ids],
            "tokenizer.ggml.bos_token_id": sp.bos_id(),
            "tokenizer.ggml.eos_token_id": sp.eos_id(),
            "tokenizer.ggml.unknown_token_id": sp.unk_id(),
            "tokenizer.ggml.add_space_prefix": add_space,
        },
    )


LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split(pattern):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level(False)]
    )


PRE_TOKENIZERS = {
    "gpt-2": (byte_level(True), False),
    "starcoder": (
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)]),
        False,
    ),
    "llama-bpe": (split(LLAMA3 % r"\p{N}{1,3}"), True),
    "qwen2": (split(LLAMA3 % r"\p{N}"), False),
}


def train_bpe(text):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split(LLAMA3 % r"\p{N}{1,3}")
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    extra = ["12 123 2024 1999 100 000", "    " * 8, "\n\n\n", "é ü ñ 的 是 不 привет", "=== ---"] * 400
    tokenizer.train_from_iterator(text.splitlines(keepends=True) + extra, trainer)
    import json

    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(m) for m in model["merges"]]


def write_bpe(path, vocabulary, merges):
    tokens = sorted(vocabulary, key=vocabulary.get) + ["<|endoftext|>", "<|eot_id|>"]
    write_gguf(
        path,
        {
            "general.architecture": "gpt2",
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "gpt-2",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [NORMAL] * len(vocabulary) + [CONTROL] * 2,
            "tokenizer.ggml.merges": [" ".join(m) for m in merges],
            "tokenizer.ggml.bos_token_id": len(vocabulary),
            "tokenizer.ggml.eos_token_id": len(vocabulary),
        },
    )


def make_texts(text):
    rng = random.Random(7)
    by_category = {}
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category not in ("Cs", "Cn", "Co") and code != 0x2581:
            by_category.setdefault(category, []).append(chr(code))
    white = [chr(c) for c in (9, 10, 11, 12, 13, 0x1C, 0x85, 0xA0, 0x1680, 0x180E, 0x2000, 0x2009)]
    white += [chr(c) for c in (0x200B, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF)] + [" "] * 9
    fixed = [
        "", " ", "  ", "   ", "\n", "\r\n\r\n", " \n \n", "\t\tx", "a", "a ", " a", "  a  b   c    d",
        "I'll, we'Ve, he's, SHE'S 'tis 'TWAS it'sn't y'all'd've", "'s't're've'm'll'd'S'T'RE'VE'M'LL'D",
        "'\u017f 'll 'L 'r 'v", "1 12 123 1234 12345 3.14 1,000,000 x86 0x1F \u00b2\u00bd\u0663\u2167",
        "<s></s><unk><end><0x41><|endoftext|><|eot_id|>", "<sep><sep>2<sep> 2 a<sep>b", "thou thouthou",
        "   x    y       z", "\u96ea\u96ea a\u96ea", "e\u0301e\u0301 n\u0303o \u0301\u0301", "\x00\x01\x7f\u0085",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1e9\U0001f1ea 1\ufe0f\u20e3",
        "\ud55c\uad6d\uc5b4 \u1100\u1161\u11a8 \u3042\u30a2 \u7684\u662f\u4e0d", "\ufffd\ufeff\u200b\uffff",
        "if (x == 0) {\n    return -1;\n}\n\n\t// done\n", "a" * 300, "ab" * 200, " " * 200, "\n" * 150, "=" * 90,
        "the" * 80, "\u0301" * 70, "".join(rng.choice("etaoin") for _ in range(500)),
    ]
    texts = list(fixed)
    for _ in range(30):
        at = rng.randrange(len(text) - 200)
        texts.append(text[at : at + rng.randrange(1, 200)])
    for _ in range(30):
        categories = sorted(by_category)
        texts.append(
            "".join(rng.choice(by_category[rng.choice(categories)]) for _ in range(rng.randrange(1, 25)))
        )
    for _ in range(25):
        texts.append("".join(rng.choice(white + list("ab1.'")) for _ in range(rng.randrange(1, 30))))
    return texts


def write_ids(path, texts, encode):
    with open(path, "w") as file:
        for text in texts:
            file.write(" ".join(map(str, encode(text))) + "\n")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    folder = sys.argv[2] + "/"
    texts = make_texts(text)
    with open(folder + "texts.txt", "w", encoding="utf-8", newline="") as file:
        file.write(SEPARATOR.join(texts))

    for name, bytes_too, add_space in (("spm", True, True), ("unk", False, False)):
        sp = train_sentencepiece(text[:300000], bytes_too, add_space)
        write_sentencepiece(folder + name + ".gguf", sp, add_space)
        with open(folder + name + ".model", "wb") as file:
            file.write(sp.serialized_model_proto())
        write_ids(folder + name + ".ids", texts, sp.encode)

    vocabulary, merges = train_bpe(text[:300000])
    write_bpe(folder + "bpe.gguf", vocabulary, merges)
    for name, (pre_tokenizer, ignore_merges) in PRE_TOKENIZERS.items():
        reference = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=ignore_merges))
        reference.pre_tokenizer = pre_tokenizer
        write_ids(
            folder + "bpe-" + name + ".ids",
            texts,
            lambda t, r=reference: r.encode(t, add_special_tokens=False).ids,
        )
    print("sentencepiece", sentencepiece.__version__, "tokenizers", tokenizers.__version__)


if __name__ == "__main__":
    main()
