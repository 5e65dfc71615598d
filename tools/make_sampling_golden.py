#!/usr/bin/env python3
"""Prints the draws that tests/unit/test_sampling.c expects, computed without the engine.

xoshiro256** and the chain are written here a second time, from their descriptions (the generator's
reference code; src/sampling/sampling.h), with plain sorting and math.exp. The logits are multiples
of 1/8, so that they are the same numbers everywhere. Usage: tools/make_sampling_golden.py
"""

import math

MASK = 2**64 - 1
DRAWS = 16
VOCABULARY = 300


def splitmix64(seed):
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def rotate(x, k):
    return ((x << k) | (x >> (64 - k))) & MASK


def uniform(seed):
    words = splitmix64(seed)
    s = [next(words) for _ in range(4)]
    while True:
        result = (rotate((s[1] * 5) & MASK, 7) * 9) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 45)
        yield (result >> 11) / 2**53


def logit(step, token):
    """From -6 to 6.5, with ties: 300 tokens share 101 values, in another order at each step."""
    return ((token + step) * 37 % 101) * 0.125 - 6.0


def pick(logits, history, u, o):
    x = dict(enumerate(logits))
    for token, bias in o.get("bias", []):
        x[token] += bias
    window = history[-o["last_n"] :] if o.get("last_n") else []
    for token in set(window):
        count = window.count(token)
        repeat = o.get("repeat", 1.0)
        x[token] = x[token] / repeat if x[token] > 0 else x[token] * repeat
        x[token] -= count * o.get("frequency", 0.0) + o.get("presence", 0.0)
    order = sorted(x, key=lambda t: (-x[t], t))
    if o["top_k"] > 0:
        order = order[: o["top_k"]]
    largest = x[order[0]]
    weight = {t: math.exp(x[t] - largest) for t in order}
    if o["top_p"] < 1:
        total, sum_, kept = sum(weight.values()), 0.0, []
        for t in order:
            kept.append(t)
            sum_ += weight[t]
            if sum_ >= o["top_p"] * total:
                break
        order = kept
    order = [t for t in order if weight[t] >= o["min_p"]] if o["min_p"] > 0 else order
    heat = {t: math.exp((x[t] - largest) / o["temperature"]) for t in order}
    target, sum_ = next(u) * sum(heat.values()), 0.0
    for t in order:
        sum_ += heat[t]
        if sum_ > target:
            return t
    return order[-1]


# All parameters are exact in binary floating point, so that they are one number in float and double.
CASES = {
    "defaults_near": dict(seed=1, temperature=0.75, top_k=40, top_p=0.9375, min_p=0.0625),
    "all_of_them": dict(seed=2, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0),
    "hot": dict(seed=3, temperature=4.0, top_k=0, top_p=1.0, min_p=0.0),
    "top_k_only": dict(seed=4, temperature=2.0, top_k=7, top_p=1.0, min_p=0.0),
    "top_p_only": dict(seed=5, temperature=1.5, top_k=0, top_p=0.5, min_p=0.0),
    "min_p_only": dict(seed=6, temperature=1.5, top_k=0, top_p=1.0, min_p=0.25),
    "largest_seed": dict(seed=MASK, temperature=1.0, top_k=100, top_p=0.75, min_p=0.0),
    "penalties": dict(
        seed=7, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0,
        last_n=5, repeat=1.5, frequency=0.5, presence=0.25, bias=[(3, 4.0), (200, -math.inf)],
    ),
}  # fmt: skip


def main():
    for name, options in CASES.items():
        u, history = uniform(options["seed"]), []
        for step in range(DRAWS):
            logits = [logit(step, t) for t in range(VOCABULARY)]
            history.append(pick(logits, history, u, options))
        print(f'"{name}": {{{", ".join(map(str, history))}}}')


if __name__ == "__main__":
    main()
