#!/usr/bin/env python3
"""Measure another program's quantizer on the values of tests/unit/test_encode.c.

    python tools/measure_encoders.py path/to/libggml-base.so

Prints, for every type, the root mean squared error of ggml_quantize_chunk for
normal and for heavy-tailed values, without importance and with it (then weighted
by it): the table in the test. Values, weights and seeds are made as there, by
the same generator of random numbers; decoding is the gguf package's.
"""
import argparse
import ctypes
import math

import numpy as np
from gguf import GGMLQuantizationType as Type, quants
from gguf.constants import GGML_QUANT_SIZES

WIDTH, ROWS = 4096, 16
TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
         "IQ4_NL", "IQ4_XS", "MXFP4")
MASK = (1 << 64) - 1


class Random:
    """xoshiro256**, seeded by splitmix64 (src/base/random.c)."""

    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & MASK
            z = ((seed ^ seed >> 30) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
            self.s.append(z ^ z >> 31)

    def unit(self):
        s = self.s
        x = s[1] * 5 & MASK
        result = ((x << 7 | x >> 57) & MASK) * 9 & MASK
        t = s[1] << 17 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = (s[3] << 45 | s[3] >> 19) & MASK
        return (result >> 11) * 2.0**-53

    def normal(self):
        u, v = 1.0 - self.unit(), self.unit()
        return math.sqrt(-2 * math.log(u)) * math.cos(6.283185307179586 * v)

    def heavy(self):
        n = self.normal()
        return n / math.sqrt(sum(self.normal() ** 2 for _ in range(4)) / 4)


def values(draw, seed):
    r = Random(seed)
    n = WIDTH * ROWS
    return np.array([0.02 * draw(r) for _ in range(n)], np.float32).reshape(ROWS, WIDTH)


def importance(seed):
    r = Random(seed)
    return np.array([abs(r.normal()) ** 3 for _ in range(WIDTH)], np.float32)


def error(library, name, x, weights):
    kind = Type[name]
    length, size = GGML_QUANT_SIZES[kind]
    blocks = np.zeros((ROWS, WIDTH // length * size), np.uint8)
    w = weights.ctypes.data if weights is not None else None
    library.ggml_quantize_chunk(int(kind), x.ctypes.data, blocks.ctypes.data, 0, ROWS, WIDTH, w)
    square = (x.astype(np.float64) - quants.dequantize(blocks, kind)) ** 2
    if weights is None:
        return math.sqrt(square.mean())
    wide = weights.astype(np.float64)
    return math.sqrt((square * wide).sum() / (wide.sum() * ROWS))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("library", help="ggml's base library, libggml-base.so")
    args = p.parse_args()
    library = ctypes.CDLL(args.library)
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    library.ggml_quantize_chunk.argtypes = (ctypes.c_int, pointer, pointer, count, count, count, pointer)
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    even, wild, weights = values(Random.normal, 1), values(Random.heavy, 2), importance(3)
    for name in TYPES:
        errors = [error(library, name, x, w) for x in (even, wild) for w in (None, weights)]
        print(f"    {{QUANT_{name}, " + ", ".join(f"{e:.6e}" for e in errors) + "},")


if __name__ == "__main__":
    main()
