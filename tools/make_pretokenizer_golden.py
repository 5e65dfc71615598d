#!/usr/bin/env python3
"""Compares the pre-tokenizers that have a name in tokenizer.ggml.pre with Hugging Face's library
`tokenizers`, from the definitions published in the models' tokenizer.json.

    tools/make_pretokenizer_golden.py make TEXT tests/golden/tokenizer
        writes  cuts.gguf     a byte-level vocabulary trained without any pre-tokenizer, so that a
                              word that ends elsewhere shows in its tokens
                cuts.txt      texts, with a line "__text__" between them
                cuts-PRE.ids  the tokens of each text, a line for each
    tools/make_pretokenizer_golden.py compare TEXT build/release/sluice [MILLIONS] [PRE...]
        tokenizes so many million characters, nasty and plain, with both
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from make_tokenizer_golden import CONTROL, NORMAL, SEPARATOR, write_gguf, write_ids

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
WORDS += r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
QWEN35 += r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SEED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}"
SEED += "| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
BAILING = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}"
BAILING += r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+%s"
CASED += r"|[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*%s"
CASED += r"|%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
IDEOGRAPHS = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
V3 = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
V3 += "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
LETTERS = (
    "41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 "
    "388-38a 38c 38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba "
    "1cbd-1cbf 1d00-1d2b 1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 "
    "1f5b 1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec "
    "1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 "
    "213c-213f 2145-2149 214e 2183 2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2 2cf3 a640-a66d a680-a69b "
    "a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f "
    "104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df 1e900-1e943"
)
LETTERS = "".join("-".join(chr(int(c, 16)) for c in r.split("-")) for r in LETTERS.split())


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def digits(individual):
    return pre_tokenizers.Digits(individual_digits=individual)


PLAIN, REGEX, DIGIT = byte_level(False), byte_level(True), digits(True)
SETS = {
    "gpt-2": [REGEX],
    "starcoder": [DIGIT, REGEX],
    "llama-bpe": [split(WORDS % r"\p{N}{1,3}"), PLAIN],
    "dbrx": [split(WORDS % r"\p{N}{1,3}"), PLAIN],
    "qwen2": [split(WORDS % r"\p{N}"), PLAIN],
    "qwen35": [split(QWEN35), PLAIN],
    "minicpm5": [split(r"\p{N}{1,3}"), split(WORDS % r"\p{N}+"), PLAIN],
    "laguna": [split("[^\n]+|[\n]+"), split(WORDS % r"\p{N}"), PLAIN],
    "seed-coder": [split(SEED), PLAIN],
    "bailingmoe": [split(BAILING), PLAIN],
    "gpt-4o": [split(CASED % (CONTRACTION, CONTRACTION, r"\p{N}{1,3}")), PLAIN],
    "tekken": [split(CASED % ("", "", r"\p{N}")), PLAIN],
    "bloom": [split(BLOOM), PLAIN],
    "viking": [split(BLOOM), DIGIT, PLAIN],
    "falcon": [
        pre_tokenizers.Punctuation("contiguous"),
        REGEX,
        digits(False),
        split("[0-9][0-9][0-9]"),
    ],
    "deepseek-llm": [
        split("[\r\n]"),
        split(r"\s?[" + LETTERS + "]+"),
        split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
        split(r"\s+$"),
        split(IDEOGRAPHS),
        DIGIT,
        PLAIN,
    ],
    "deepseek-coder": [
        split("[\r\n]"),
        split(r"\s?\p{L}+"),
        split(r"\s?\p{P}+"),
        split(IDEOGRAPHS),
        DIGIT,
        PLAIN,
    ],
    "deepseek-v3": [
        split(r"\p{N}{1,3}"),
        split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
        split(V3),
        PLAIN,
    ],
}
WHOLE_WORDS = {"llama-bpe", "tekken", "minicpm5"}


class Texts:
    """Pieces of text of many kinds."""

    def __init__(self, text, seed, old=False):
        """old: only characters that are what they were in Unicode 3.2, so that libraries agree."""
        self.text, self.rng = text, random.Random(seed)
        self.kinds = {}
        database = unicodedata.ucd_3_2_0 if old else unicodedata
        for code in range(0x110000):
            category = unicodedata.category(chr(code))
            same = database.category(chr(code)) == category
            if same and category not in ("Cs", "Cn", "Co") and code != 0x2581:
                self.kinds.setdefault(category, []).append(chr(code))
        white = (9, 10, 11, 12, 13, 0x1C, 0x85, 0xA0, 0x1680, 0x180E, 0x2000, 0x2009, 0x200B, 0x2028)
        self.white = [chr(c) for c in white + (0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF)] + [" "] * 12
        self.few = list("ab1.'sdSLRETMVDlrtmv /\n-") + ["\u4e0d", "\uac00", "\u3042", "\u0301", "\u00bd", "\u00e9", "\u00c9"]

    def one(self):
        rng, kind = self.rng, self.rng.randrange(6)
        if kind == 0:
            at = rng.randrange(len(self.text) - 200)
            return self.text[at : at + rng.randrange(1, 200)]
        if kind == 1:
            names = sorted(self.kinds)
            return "".join(rng.choice(self.kinds[rng.choice(names)]) for _ in range(rng.randrange(1, 25)))
        if kind == 2:
            return "".join(rng.choice(self.white + self.few) for _ in range(rng.randrange(1, 30)))
        if kind == 3:
            return "".join(rng.choice(self.few) for _ in range(rng.randrange(1, 30)))
        if kind == 4:
            return "".join(rng.choice("0123456789\u00b2\u0663\u2167., xA") for _ in range(rng.randrange(1, 20)))
        name = rng.choice(("Lu", "Ll", "Lo", "Nd", "Nl", "Sm", "So", "Po", "Pd"))
        return "".join(rng.choice(self.kinds[name] + [" "]) for _ in range(rng.randrange(1, 12)))


def train(texts, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PLAIN
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator((texts.one()[:40] for _ in range(20000)), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(m) for m in model["merges"]]


def write_vocabulary(path, pre, vocabulary, merges):
    write_gguf(
        path,
        {
            "general.architecture": "gpt2",
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": pre,
            "tokenizer.ggml.tokens": sorted(vocabulary, key=vocabulary.get) + ["<|endoftext|>"],
            "tokenizer.ggml.token_type": [NORMAL] * len(vocabulary) + [CONTROL],
            "tokenizer.ggml.merges": [" ".join(m) for m in merges],
            "tokenizer.ggml.eos_token_id": len(vocabulary),
        },
    )


def reference(name, vocabulary, merges):
    model = models.BPE(vocabulary, merges, ignore_merges=name in WHOLE_WORDS)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(SETS[name])
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def make(text, folder):
    texts = Texts(text, 3, True)
    vocabulary, merges = train(texts, 1200)
    write_vocabulary(folder + "/cuts.gguf", "gpt-2", vocabulary, merges)
    cases = [texts.one() for _ in range(70)] + ["   x  \n\n  y\r\n z  ", "a  ", "'s'T 'LL", " \n", "1234567 x"]
    with open(folder + "/cuts.txt", "w", encoding="utf-8", newline="") as file:
        file.write(SEPARATOR.join(cases))
    for name in SETS:
        write_ids(f"{folder}/cuts-{name}.ids", cases, reference(name, vocabulary, merges))


def compare(text, sluice, millions, names):
    vocabulary, merges = train(Texts(text, 4), 20000)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        model, path = folder + "/model.gguf", folder + "/text"
        for name in names:
            write_vocabulary(model, name, vocabulary, merges)
            # Punctuation of the reference is that of an old Unicode.
            texts = Texts(text, 5, name == "falcon")
            encode, characters, different = reference(name, vocabulary, merges), 0, 0
            while characters < millions * 1e6:
                parts = []
                while sum(map(len, parts[-1:])) == 0 or len(parts) < 8000:
                    parts.append(texts.one())
                whole = "".join(parts)
                characters += len(whole)
                with open(path, "w", encoding="utf-8", newline="") as file:
                    file.write(whole)
                command = [sluice, "tokenize", "-m", model, "-f", path, "--ids", "--no-bos"]
                found = subprocess.run(command, capture_output=True, check=True).stdout
                found, expected = list(map(int, found.split())), encode(whole)
                if found != expected:
                    different += 1
                    at = next(i for i in range(len(expected)) if found[i : i + 1] != expected[i : i + 1])
                    spelled = sorted(vocabulary, key=vocabulary.get)
                    print(name, at, [spelled[t] for t in expected[at - 3 : at + 3]], [spelled[t] for t in found[at - 3 : at + 3]])
            print(f"{name}: {characters} characters, {different} texts differ", flush=True)
            wrong += different
    sys.exit(1 if wrong else 0)


def main():
    with open(sys.argv[2], encoding="utf-8") as file:
        text = file.read()
    if sys.argv[1] == "make":
        make(text, sys.argv[3])
    else:
        millions = float(sys.argv[4]) if len(sys.argv) > 4 else 1
        compare(text, os.path.abspath(sys.argv[3]), millions, sys.argv[5:] or list(SETS))


if __name__ == "__main__":
    main()
