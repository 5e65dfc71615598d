#!/usr/bin/env python3
"""Makes tests/golden/mixes/types.txt: which type llama-quantize gives to each tensor of models of
many architectures and sizes, for each mix and some options. tests/unit/test_type_mix.c compares.

    tools/make_mix_golden.py LLAMA_QUANTIZE [OUT]

LLAMA_QUANTIZE is llama.cpp's tool; it is asked with --dry-run. The models are made up: their shapes
and keys are those of real ones, but for widths that are small. Needs the Python packages gguf and
numpy.

The file, line by line:

    model NAME
    key KEY u32|str VALUE          metadata
    tensor NAME TYPE DIM...        TYPE is GGUF's number
    want OPTION... MIX LETTERS     a letter for each tensor: A is type 0, B 1 and so on
"""
import os
import re
import subprocess
import sys
import tempfile

import gguf
import numpy as np

MIXES = """f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q2_k_s q3_k_s q3_k_m q3_k_l q4_k_s q4_k_m q5_k_s
q5_k_m q6_k q3_k q4_k q5_k iq4_nl iq4_xs mxfp4_moe""".split()

# Options, and the mixes that are asked with them.
OPTIONS = [
    (["--pure"], ["q4_k_m", "q3_k_l"]),
    (["--leave-output-tensor"], ["q4_k_m"]),
    (["--output-tensor-type", "q8_0"], ["q4_k_m"]),
    (["--token-embedding-type", "q5_0"], ["q4_k_m"]),
    (["--tensor-type", "attn_q=q8_0"], ["q4_k_s"]),
    (["--imatrix"], ["q4_0", "q5_0", "q2_k", "iq4_nl", "iq4_xs", "q4_k_m"]),
]

# What llama.cpp asks of the metadata of one architecture or another.
NUMBERS = {
    "context_length": 512, "attention.layer_norm_rms_epsilon": 1e-5, "rope.dimension_count": 64,
    "attention.layer_norm_epsilon": 1e-5, "attention.sliding_window": 256,
    "rope.freq_base": 10000.0, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
}


def is_float(tensor, shape):
    """As converters leave it."""
    return len(shape) == 1 or tensor == "position_embd.weight" or "ffn_gate_inp" in tensor


def llama(n_layer, tied=False, width=256, rows=256, parts=("attn_q", "attn_k", "attn_v")):
    tensors = [("token_embd.weight", (rows, width)), ("output_norm.weight", (width,))]
    if not tied:
        tensors.append(("output.weight", (rows, width)))
    for i in range(n_layer):
        tensors += [(f"blk.{i}.attn_norm.weight", (width,)), (f"blk.{i}.ffn_norm.weight", (width,))]
        tensors += [(f"blk.{i}.{p}.weight", (16, width)) for p in parts]
        tensors += [(f"blk.{i}.attn_output.weight", (16, width)),
                    (f"blk.{i}.ffn_gate.weight", (16, width)),
                    (f"blk.{i}.ffn_up.weight", (16, width)),
                    (f"blk.{i}.ffn_down.weight", (16, 2 * width))]
    return tensors


def with_experts(n_layer, n):
    tensors = []
    for name, shape in llama(n_layer):
        part = re.search(r"ffn_(gate|up|down)\.", name)
        if part:
            tensors.append((name.replace(".weight", "_exps.weight"), (n,) + shape))
            if part[1] == "gate":
                tensors.append((name.replace("ffn_gate", "ffn_gate_inp"), (n, 256)))
        else:
            tensors.append((name, shape))
    return tensors


def classic(n_layer, tied, positions=False, width=256):
    tensors = [("token_embd.weight", (256, width)), ("output_norm.weight", (width,)),
               ("output_norm.bias", (width,))]
    if positions:
        tensors.append(("position_embd.weight", (64, width)))
    if not tied:
        tensors.append(("output.weight", (256, width)))
    for i in range(n_layer):
        tensors += [(f"blk.{i}.{p}.{kind}", (width,)) for p in ("attn_norm", "ffn_norm")
                    for kind in ("weight", "bias")]
        for part, n_in in (("attn_qkv", 1), ("attn_output", 1), ("ffn_up", 1), ("ffn_down", 2)):
            tensors += [(f"blk.{i}.{part}.weight", (16, n_in * width)),
                        (f"blk.{i}.{part}.bias", (16,))]
    return tensors


def fused(tensors):
    """As Phi-3: queries, keys and values in one, gate and up in one."""
    out = []
    for name, shape in tensors:
        if "attn_q." in name:
            out.append((name.replace("attn_q.", "attn_qkv."), shape))
        elif not re.search(r"attn_[kv]\.|ffn_gate\.", name):
            out.append((name, shape))
    return out


# name, architecture, layers, heads, heads of keys, experts, tensors
MODELS = [
    ("llama-grouped", "llama", 32, 32, 8, 0, llama(32)),
    ("llama-plain", "llama", 26, 32, 32, 0, llama(26)),
    ("llama-tied", "llama", 16, 32, 16, 0, llama(16, tied=True)),
    ("llama-80", "llama", 80, 64, 8, 0, llama(80)),
    ("llama-80-plain", "llama", 80, 64, 64, 0, llama(80)),
    ("llama-narrow", "llama", 10, 9, 3, 0, llama(10, width=288)),
    ("llama-odd", "llama", 9, 4, 4, 0, llama(9, width=100)),
    ("llama-few", "llama", 4, 4, 1, 0, llama(4)),
    ("mixtral", "llama", 32, 32, 8, 8, with_experts(32, 8)),
    ("four-experts", "llama", 16, 32, 8, 4, with_experts(16, 4)),
    ("qwen2", "qwen2", 28, 28, 4, 0, llama(28)),
    ("qwen2-80", "qwen2", 80, 64, 8, 0, llama(80)),
    ("qwen3", "qwen3", 28, 16, 8, 0, llama(28, tied=True)),
    ("gemma2", "gemma2", 26, 8, 4, 0, llama(26, tied=True)),
    ("gemma3", "gemma3", 34, 8, 4, 0, llama(34, tied=True)),
    ("phi3", "phi3", 32, 32, 32, 0, fused(llama(32))),
    ("gpt2", "gpt2", 12, 12, 0, 0, classic(12, True, positions=True)),
    ("gptneox", "gptneox", 24, 16, 0, 0, classic(24, False)),
    ("bloom", "bloom", 30, 32, 0, 0, classic(30, True)),
    ("falcon", "falcon", 32, 71, 1, 0, classic(32, False)),
    ("falcon-60", "falcon", 60, 128, 8, 0, classic(60, False)),
]


def write_model(path, name, arch, n_layer, heads, key_heads, experts, tensors):
    w = gguf.GGUFWriter(path, arch)
    keys = {"block_count": n_layer, "embedding_length": 64 * heads, "feed_forward_length": 512,
            "attention.head_count": heads}
    if key_heads:
        keys["attention.head_count_kv"] = key_heads
    if experts:
        keys |= {"expert_count": experts, "expert_used_count": 2}
    for key, value in keys.items():
        w.add_uint32(f"{arch}.{key}", value)
    for key, value in NUMBERS.items():
        put = w.add_float32 if isinstance(value, float) else w.add_uint32
        put(f"{arch}.{key}", value)
    w.add_bool(f"{arch}.use_parallel_residual", True)
    if arch == "gemma3":
        w.add_float32("gemma3.rope.freq_base_swa", 10000.0)
    for tensor, shape in tensors:
        kind = np.float32 if is_float(tensor, shape) else np.float16
        w.add_tensor(tensor, np.zeros(shape, kind))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    lines = [f"model {name}", f"key general.architecture str {arch}"]
    lines += [f"key {arch}.{key} u32 {value}" for key, value in keys.items()]
    for tensor, shape in tensors:
        dims = " ".join(str(d) for d in reversed(shape))
        lines.append(f"tensor {tensor} {0 if is_float(tensor, shape) else 1} {dims}")
    return lines


def write_imatrix(path, tensors):
    w = gguf.GGUFWriter(path, "none")
    w.add_string("general.type", "imatrix")
    w.add_array("imatrix.datasets", ["a text"])
    w.add_uint32("imatrix.chunk_count", 1)
    w.add_uint32("imatrix.chunk_size", 512)
    for tensor, shape in tensors:
        if len(shape) > 1 and tensor.startswith("blk."):
            n = shape[0] if len(shape) == 3 else 1
            w.add_tensor(f"{tensor}.in_sum2", np.ones((n, shape[-1]), np.float32))
            w.add_tensor(f"{tensor}.counts", np.ones((n, 1), np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def ask(tool, path, options, mix, tensors):
    result = subprocess.run([tool, "--dry-run", *options, path, mix], text=True,
                            capture_output=True)
    text = result.stdout + result.stderr
    if result.returncode != 0:
        raise SystemExit(f"{options} {mix}: {text[-2000:]}")
    types = {}
    for line in text.splitlines():
        found = re.match(r"\[ *\d+/ *\d+\] +(\S+) +- \[.*\], type = +(\S+), .*?(?:\((\w+)\))?$", line)
        if found:
            name = (found[3] or found[2]).upper()
            types[found[1]] = int(gguf.GGMLQuantizationType[name])
    missing = [t for t, _ in tensors if t not in types]
    if missing:
        raise SystemExit(f"{options} {mix}: no type of {missing[:3]}: {text[-2000:]}")
    return "".join(chr(ord("A") + types[t]) for t, _ in tensors)


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    tool = sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[2] if len(sys.argv) > 2 else f"{here}/../tests/golden/mixes/types.txt"
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, arch, n_layer, heads, key_heads, experts, tensors in MODELS:
            path, matrix = f"{folder}/model.gguf", f"{folder}/imatrix.gguf"
            lines += write_model(path, name, arch, n_layer, heads, key_heads, experts, tensors)
            write_imatrix(matrix, tensors)
            for mix in MIXES:
                lines.append(f"want {mix} {ask(tool, path, [], mix, tensors)}")
            # A type that is named does not give way there, though it would have to.
            for options, mixes in OPTIONS if name != "llama-odd" else []:
                given = options + [matrix] if options == ["--imatrix"] else options
                for mix in mixes:
                    letters = ask(tool, path, given, mix, tensors)
                    lines.append(f"want {' '.join(options)} {mix} {letters}")
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
