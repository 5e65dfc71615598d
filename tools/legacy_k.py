"""Plain quantizers for the K types: the gguf package only reads them.

Superblocks of 256; the bytes in the order that src/quant/block256.c describes.
Each sub-block takes the nearest scale and least value that its
packed bits allow, which is less than the best but true to the format; the
script that calls this checks every block with gguf.quants.dequantize.
"""
import gguf
import numpy as np

T = gguf.GGMLQuantizationType


def half(x):
    return np.array(x, dtype=np.float16)


def spread(sub, top):
    """Scale and depth below zero of each sub-block (last axis) for levels 0 to top."""
    low = np.minimum(sub.min(-1), 0)
    return (sub.max(-1).clip(min=0) - low) / top, -low


def levels(sub, scale, least, top):
    """The level nearest to each value, with level * scale - least its meaning."""
    safe = np.where(scale == 0, 1, scale)
    return np.clip(np.rint((sub + least[:, None]) / safe[:, None]), 0, top).astype(np.uint8)


def shared(values, bits):
    """A superblock's scale (half precision) and the small integers that times it come near to the values."""
    top = (1 << bits) - 1
    d = half(values.max() / top)
    return d, np.clip(np.rint(values / float(d) if d else values * 0), 0, top).astype(np.uint8)


def pack_six(scales, leasts):
    """Eight scales and eight minima of six bits in twelve bytes."""
    out = np.zeros(12, dtype=np.uint8)
    for j in range(4):
        out[j] = scales[j] | (scales[j + 4] >> 4) << 6
        out[j + 4] = leasts[j] | (leasts[j + 4] >> 4) << 6
        out[j + 8] = (scales[j + 4] & 15) | (leasts[j + 4] & 15) << 4
    return out


def q4_or_q5(x, bits):
    sub = x.reshape(8, 32)
    scale, least = spread(sub, (1 << bits) - 1)
    d, s = shared(scale, 6)
    dmin, m = shared(least, 6)
    q = levels(sub, s * float(d), m * float(dmin), (1 << bits) - 1)
    low, high = q & 15, q >> 4
    qs = np.concatenate([low[2 * j] | low[2 * j + 1] << 4 for j in range(4)])
    parts = [d.tobytes(), dmin.tobytes(), pack_six(s, m).tobytes()]
    if bits == 5:
        parts.append(sum(high[j].astype(np.int32) << j for j in range(8)).astype(np.uint8).tobytes())
    return b"".join([*parts, qs.tobytes()])


def in_quarters(q):
    """256 levels of two bits: byte l of each half holds elements l, l + 32, l + 64, l + 96 of that half."""
    h = q.reshape(2, 4, 32)
    return (h[:, 0] | h[:, 1] << 2 | h[:, 2] << 4 | h[:, 3] << 6).astype(np.uint8)


def q2(x):
    sub = x.reshape(16, 16)
    scale, least = spread(sub, 3)
    d, s = shared(scale, 4)
    dmin, m = shared(least, 4)
    q = levels(sub, s * float(d), m * float(dmin), 3)
    return (s | m << 4).astype(np.uint8).tobytes() + in_quarters(q).tobytes() + d.tobytes() + dmin.tobytes()


def q3(x):
    sub = x.reshape(16, 16)
    scale = np.abs(sub).max(-1) / 4
    d = half(scale.max() / 31)
    s = np.clip(np.rint(scale / float(d)), 0, 31).astype(np.int32)
    safe = np.where(s == 0, 1, s * float(d))
    q = (np.clip(np.rint(sub / safe[:, None]), -4, 3) + 4).astype(np.uint8)
    packed, raw = np.zeros(12, dtype=np.uint8), s + 32
    for j in range(16):
        packed[j % 8] |= (raw[j] & 15) << (4 if j >= 8 else 0)
        packed[8 + j % 4] |= (raw[j] >> 4) << 2 * (j // 4)
    bit = (q.reshape(8, 32) >> 2).astype(np.int32)
    mask = sum(bit[j] << j for j in range(8)).astype(np.uint8)
    return mask.tobytes() + in_quarters(q & 3).tobytes() + packed.tobytes() + d.tobytes()


def q6(x):
    sub = x.reshape(16, 16)
    scale = np.abs(sub).max(-1) / 32
    d = half(scale.max() / 127)
    s = np.rint(scale / float(d)).astype(np.int8)
    safe = np.where(s == 0, 1, s * float(d))
    q = (np.clip(np.rint(sub / safe[:, None]), -32, 31) + 32).astype(np.uint8)
    h = q.reshape(2, 4, 32)
    ql = np.concatenate([h[:, 0] & 15 | (h[:, 2] & 15) << 4, h[:, 1] & 15 | (h[:, 3] & 15) << 4], axis=1)
    qh = h[:, 0] >> 4 | (h[:, 1] >> 4) << 2 | (h[:, 2] >> 4) << 4 | (h[:, 3] >> 4) << 6
    return ql.astype(np.uint8).tobytes() + qh.astype(np.uint8).tobytes() + s.tobytes() + d.tobytes()


PACK = {T.Q2_K: q2, T.Q3_K: q3, T.Q4_K: lambda x: q4_or_q5(x, 4), T.Q5_K: lambda x: q4_or_q5(x, 5), T.Q6_K: q6}


def quantize(x, kind):
    """float32 [rows, columns], columns a multiple of 256, to bytes [rows, bytes a row]."""
    blocks = [PACK[kind](b) for b in x.astype(np.float32).reshape(-1, 256)]
    return np.frombuffer(b"".join(blocks), dtype=np.uint8).reshape(x.shape[0], -1)


if __name__ == "__main__":
    rng = np.random.default_rng(1)
    w = rng.normal(size=(8, 512)).astype(np.float32)
    for kind in PACK:
        back = gguf.quants.dequantize(quantize(w, kind), kind)
        print(kind.name, "root mean square error", np.sqrt(((back - w) ** 2).mean()))
