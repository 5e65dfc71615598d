#!/usr/bin/env python3
"""WordPiece vocabularies and the tokens that Hugging Face's library `tokenizers` gives for texts.

    tools/make_wordpiece_golden.py make TEXT tests/golden/tokenizer
        writes  wordpiece.gguf         small letters only, written as GGUF's writers do ("\u2581the", "ing")
                wordpiece-cased.gguf   with capitals and accents, written "the", "##ing"
                *.ids                  the tokens of each text of cuts.txt, a line for each
    tools/make_wordpiece_golden.py compare TEXT build/release/sluice [MILLIONS]
        tokenizes so many million characters, nasty and plain, with both
"""
import os
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from make_pretokenizer_golden import Texts
from make_tokenizer_golden import CONTROL, NORMAL, SEPARATOR, UNKNOWN, write_gguf, write_ids

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def train(text, lowercase, size):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False, limit_alphabet=400
    )
    extra = ["caf\u00e9 na\u00efve \u00c9t\u00e9 \ud55c\uad6d\uc5b4 \u7684\u662f\u4e0d \u043f\u0440\u0438\u0432\u0435\u0442 \u0130\u0131\u017f\u03a3\u03c2 12 1999 ! \" ( ) \u2014 \u00bf"]
    tokenizer.train_from_iterator(text.splitlines() + extra * 300, trainer)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return tokenizer


def write_vocabulary(path, tokenizer, marked):
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.get)

    def written(token):
        if not marked or token in SPECIAL:
            return token
        return token[2:] if token.startswith("##") else "\u2581" + token

    values = {
        "general.architecture": "bert",
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": [written(t) for t in tokens],
    }
    if marked:
        values["tokenizer.ggml.token_type"] = [
            UNKNOWN if t == "[UNK]" else CONTROL if t in SPECIAL else NORMAL for t in tokens
        ]
        values["tokenizer.ggml.cls_token_id"] = vocabulary["[CLS]"]
        values["tokenizer.ggml.seperator_token_id"] = vocabulary["[SEP]"]
        values["tokenizer.ggml.unknown_token_id"] = vocabulary["[UNK]"]
    write_gguf(path, values)


KINDS = (("wordpiece", True, True), ("wordpiece-cased", False, False))


def make(text, folder):
    with open(folder + "/cuts.txt", encoding="utf-8", newline="") as file:
        texts = file.read().split(SEPARATOR)
    for name, lowercase, marked in KINDS:
        tokenizer = train(text[:300000], lowercase, 900)
        write_vocabulary(f"{folder}/{name}.gguf", tokenizer, marked)
        write_ids(
            f"{folder}/{name}.ids",
            texts,
            lambda t, r=tokenizer: r.encode(t, add_special_tokens=False).ids,
        )


def compare(text, sluice, millions):
    wrong = 0
    texts = Texts(text, 9, True)
    with tempfile.TemporaryDirectory() as folder:
        model, path = folder + "/model.gguf", folder + "/text"
        for name, lowercase, marked in KINDS:
            tokenizer = train(text, lowercase, 5000)
            write_vocabulary(model, tokenizer, marked)
            characters = different = 0
            while characters < millions * 1e6:
                whole = "".join(texts.one() for _ in range(5000))
                characters += len(whole)
                with open(path, "w", encoding="utf-8", newline="") as file:
                    file.write(whole)
                command = [sluice, "tokenize", "-m", model, "-f", path, "--ids"]
                found = subprocess.run(command, capture_output=True, check=True).stdout
                found, expected = list(map(int, found.split())), tokenizer.encode(whole).ids
                if found != expected:
                    different += 1
                    at = next(i for i in range(len(expected)) if found[i : i + 1] != expected[i : i + 1])
                    spelled = [tokenizer.id_to_token(t) for t in expected[at - 3 : at + 3]]
                    print(name, at, spelled, [tokenizer.id_to_token(t) for t in found[at - 3 : at + 3]])
                    begin = tokenizer.encode(whole).offsets[at][0]
                    print(ascii(whole[begin - 5 : begin + 15]))
            print(f"{name}: {characters} characters, {different} texts differ", flush=True)
            wrong += different
    sys.exit(1 if wrong else 0)


def main():
    with open(sys.argv[2], encoding="utf-8") as file:
        text = file.read()
    if sys.argv[1] == "make":
        make(text, sys.argv[3])
    else:
        compare(text, os.path.abspath(sys.argv[3]), float(sys.argv[4]) if len(sys.argv) > 4 else 1)


if __name__ == "__main__":
    main()
