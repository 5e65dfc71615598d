#!/usr/bin/env python3
"""Compares the types that sluice quantize and llama-quantize choose for the tensors of GGUF files.

    tools/check_mixes.py SLUICE LLAMA_QUANTIZE FILE.gguf...

Both are asked with --dry-run, for every mix. Prints each difference and the number of tensors that
were compared; ends with 1 if there was a difference. The files should be F16, for example what
sluice convert makes of tests/golden/families/*/hf. Needs the Python packages gguf and numpy.
"""
import json
import subprocess
import sys

import gguf

from make_mix_golden import MIXES, ask


def ours(tool, path, mix):
    result = subprocess.run([tool, "quantize", "--dry-run", "--json", path, mix], text=True,
                            capture_output=True, check=True)
    return {t["name"]: t["to"] for t in json.loads(result.stdout)["tensors"]}


def main():
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    sluice, peer, *paths = sys.argv[1:]
    compared = different = 0
    for path in paths:
        for mix in MIXES:
            chosen = ours(sluice, path, mix)
            names = [(name, ()) for name in chosen]
            for (name, _), letter in zip(names, ask(peer, path, [], mix, names)):
                theirs = gguf.GGMLQuantizationType(ord(letter) - ord("A")).name
                compared += 1
                if chosen[name] != theirs:
                    different += 1
                    print(f"{path}: {mix}: {name}: {chosen[name]}, llama-quantize: {theirs}")
    print(f"{compared} tensors compared, {different} different")
    sys.exit(different > 0)


main()
