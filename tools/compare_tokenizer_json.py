#!/usr/bin/env python3
"""Tokenizes many texts, nasty and plain, with a tokenizer.json as Sluice reads it and with Hugging
Face's library `tokenizers`, and compares the ids. Special tokens stand among the texts.

    tools/compare_tokenizer_json.py TEXT SLUICE MODEL.gguf MILLIONS TOKENIZER.json...

MODEL.gguf may be any model: its own tokenizer is not used.
"""
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

from make_pretokenizer_golden import Texts


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    sluice, model, millions = sys.argv[2], sys.argv[3], float(sys.argv[4])
    wrong = 0
    for path in sys.argv[5:]:
        tokenizer, texts = Tokenizer.from_file(path), Texts(text, 12, True)
        added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        different = characters = 0
        while characters < millions * 1e6:
            parts = []
            for _ in range(2500):
                parts.append(texts.one())
                if texts.rng.randrange(8) == 0:
                    parts.append(texts.rng.choice(added))
            whole = "".join(parts)
            characters += len(whole)
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
                file.write(whole)
                file.flush()
                command = [sluice, "tokenize", "-m", model, "--tokenizer", path, "-f", file.name]
                command += ["--ids", "--no-bos", "--parse-special"]
                found = subprocess.run(command, capture_output=True, check=True).stdout
            found = list(map(int, found.split()))
            encoding = tokenizer.encode(whole, add_special_tokens=False)
            expected = encoding.ids
            if found != expected:
                different += 1
                at = next(i for i in range(len(expected)) if found[i : i + 1] != expected[i : i + 1])
                begin = encoding.offsets[at][0]
                print(path, at, [tokenizer.id_to_token(t) for t in expected[max(at - 3, 0) : at + 4]])
                print([tokenizer.id_to_token(t) for t in found[max(at - 3, 0) : at + 4]])
                print(ascii(whole[max(begin - 15, 0) : begin + 15]))
        print(f"{path}: {characters} characters, {different} texts differ", flush=True)
        wrong += different
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
