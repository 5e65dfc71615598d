#!/usr/bin/env python3
"""Writes tests/golden/importance: for some models of tests/golden/families the sums of squares of
each matrix's inputs over the passage in tokens.txt, as transformers computes them.

A hook on every linear module sees the floats that it multiplies with; they are squared and added
in float64. A line of a file is a tensor's name in GGUF's words and a sum for each column.

Usage: tools/make_importance_golden.py    (from the repository's root)
Needs torch and transformers; made with torch 2.13.0 and transformers 5.23.0.
"""

import re
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

FAMILIES = Path("tests/golden/families")
OUT = Path("tests/golden/importance")

# What a module's name ends with, and the tensors' of a layer in GGUF's words.
GATED = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NAMES = {
    "llama": GATED,
    "gemma2": GATED,
    "phi3": {
        "self_attn.qkv_proj": "attn_qkv",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    },
    "gpt2": {
        "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_output",
        "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down",
    },
    "gptneox-parallel": {
        "attention.query_key_value": "attn_qkv",
        "attention.dense": "attn_output",
        "mlp.dense_h_to_4h": "ffn_up",
        "mlp.dense_4h_to_h": "ffn_down",
    },
}
# The output matrix is a tensor of its own, or that of the embedding.
OUTPUT = {
    "llama": "output",
    "gemma2": "token_embd",
    "phi3": "output",
    "gpt2": "token_embd",
    "gptneox-parallel": "output",
}


def gguf_name(family, module):
    if module == "lm_head" or module == "embed_out":
        return OUTPUT[family] + ".weight"
    layer = re.search(r"\.(\d+)\.", module).group(1)
    ends = [gguf for end, gguf in NAMES[family].items() if module.endswith("." + end)]
    assert len(ends) == 1, module
    return f"blk.{layer}.{ends[0]}.weight"


def gather(family):
    folder = FAMILIES / family
    model = AutoModelForCausalLM.from_pretrained(folder / "hf", dtype=torch.float32)
    model.eval()
    sums = {}

    def hook(name):
        def add(module, inputs):
            x = inputs[0].detach().double().reshape(-1, inputs[0].shape[-1])
            sums[name] = (x * x).sum(0) + sums.get(name, 0)

        return add

    for module_name, module in model.named_modules():
        if type(module).__name__ in ("Linear", "Conv1D"):
            module.register_forward_pre_hook(hook(gguf_name(family, module_name)))
    ids = [int(i) for i in (folder / "tokens.txt").read_text().split(",")]
    with torch.no_grad():
        model(torch.tensor([ids]))
    return sums


def main():
    OUT.mkdir(exist_ok=True)
    for family in NAMES:
        lines = [
            name + "".join(f" {value:.8g}" for value in values.tolist())
            for name, values in sorted(gather(family).items())
        ]
        (OUT / f"{family}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
