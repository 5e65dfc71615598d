#!/usr/bin/env python3
"""Writes tests/golden/gguf/every_type.gguf with the `gguf` package, another program's writer.

It holds every value type, an array of each, and three tensors; tests/unit/test_gguf.c knows what
is in it. Usage: tools/make_gguf_golden.py [FILE]
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter

TYPES = {
    "u8": (GGUFValueType.UINT8, 200),
    "i8": (GGUFValueType.INT8, -100),
    "u16": (GGUFValueType.UINT16, 60000),
    "i16": (GGUFValueType.INT16, -30000),
    "u32": (GGUFValueType.UINT32, 4000000000),
    "i32": (GGUFValueType.INT32, -2000000000),
    "f32": (GGUFValueType.FLOAT32, 1.5),
    "bool": (GGUFValueType.BOOL, True),
    "string": (GGUFValueType.STRING, "Grüße"),
    "u64": (GGUFValueType.UINT64, 2**63 + 5),
    "i64": (GGUFValueType.INT64, -(2**62)),
    "f64": (GGUFValueType.FLOAT64, 0.1),
}


def main():
    default = Path(__file__).parent.parent / "tests/golden/gguf/every_type.gguf"
    writer = GGUFWriter(sys.argv[1] if len(sys.argv) > 1 else default, "golden")
    writer.add_custom_alignment(64)
    for name, (kind, value) in TYPES.items():
        writer.add_key_value(f"value.{name}", value, kind)
    # Arrays take their type from the first element: int32, float32, bool or string.
    writer.add_array("array.i32", [-1, 0, 7])
    writer.add_array("array.f32", [0.25, -2.0])
    writer.add_array("array.bool", [True, False, True])
    writer.add_array("array.string", ["", "a", "née"])
    writer.add_tensor("matrix", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("half", np.array([1.0, -2.0, 0.5], dtype=np.float16))
    blocks = np.arange(34, dtype=np.uint8).reshape(1, 34)
    writer.add_tensor("blocks", blocks, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
