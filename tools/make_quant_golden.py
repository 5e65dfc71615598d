#!/usr/bin/env python3
"""Make the golden files of the block formats, tests/golden/quant/.

For every type: TYPE.bin, raw blocks that hold 1024 values, random in all their
bytes but the scales, which are finite and of moderate size, positive and
negative; and TYPE.f32, the same values as little-endian float32, decoded by
gguf.quants.dequantize, which is independent of our own decoder.

    python tools/make_quant_golden.py [--out tests/golden/quant]
"""
import argparse
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Type, quants
from gguf.constants import GGML_QUANT_SIZES

VALUES = 1024
# Byte offsets of the float16 scales inside one block.
SCALES = {
    Type.Q4_0: (0,), Type.Q4_1: (0, 2), Type.Q5_0: (0,), Type.Q5_1: (0, 2), Type.Q8_0: (0,),
    Type.Q2_K: (80, 82), Type.Q3_K: (108,), Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,),
    Type.IQ4_NL: (0,), Type.IQ4_XS: (0,),
}


def blocks(rng, kind):
    per_block, size = GGML_QUANT_SIZES[kind]
    n = VALUES // per_block
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for offset in SCALES[kind]:
        scale = (rng.uniform(0.002, 0.5, n) * rng.choice((-1, 1), n)).astype("<f2")
        raw[:, offset:offset + 2] = scale.view(np.uint8).reshape(n, 2)
    return raw.reshape(-1)


def mxfp4(rng):
    """Of every size that stays finite (from 253 on, scale times 6 is beyond float32)."""
    per_block, size = GGML_QUANT_SIZES[Type.MXFP4]
    raw = rng.integers(0, 256, (VALUES // per_block, size), dtype=np.uint8)
    raw[:, 0] = rng.integers(0, 253, len(raw))
    raw[:4, 0] = (0, 1, 2, 252)
    return raw.reshape(-1)


def floats(rng, kind):
    """Random bit patterns of all finite sizes (subnormals, zeros and -0 included)."""
    bits = rng.integers(0, 1 << 16, VALUES, dtype=np.uint16)
    exponent = 0x7C00 if kind == Type.F16 else 0x7F80
    bits[(bits & exponent) == exponent] &= 0x83FF
    bits[:4] = (0x0000, 0x8000, 0x0001, 0x8001)
    return bits.astype("<u2").view(np.uint8)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default="tests/golden/quant")
    p.add_argument("--seed", type=int, default=20)
    args = p.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    total = 0
    for kind in (*SCALES, Type.MXFP4, Type.F16, Type.BF16):
        rng = np.random.default_rng((args.seed, int(kind)))
        raw = blocks(rng, kind) if kind in SCALES else mxfp4(rng) if kind == Type.MXFP4 else floats(rng, kind)
        y = quants.dequantize(raw, kind).astype("<f4").reshape(-1)
        assert y.size == VALUES and np.isfinite(y).all()
        (out / f"{kind.name}.bin").write_bytes(raw.tobytes())
        (out / f"{kind.name}.f32").write_bytes(y.tobytes())
        total += raw.nbytes + y.nbytes
        print(f"{kind.name:5} {raw.nbytes:5} bytes, |x| <= {abs(y).max():.4g}")
    print(f"{total} bytes in all")


if __name__ == "__main__":
    main()
