/* gguf_tiny_gated.h - tiny models of the families that models/gated.h builds: llama, qwen2, qwen3,
 * gemma2, gemma3, phi3. Only what a program is made of, no tokenizer.
 *
 * A tensor's values depend on its name, its shape and the seed alone, and those of phi3's fused
 * matrices are the others' one after the other: families that should agree can be compared.
 */
#ifndef SUPPORT_GGUF_TINY_GATED_H
#define SUPPORT_GGUF_TINY_GATED_H

#include "support/gguf_builder.h"

typedef struct gguf_tiny_gated {
    const char *architecture;
    size_t n_layer, n_embd, n_head, n_head_kv, head, n_ff, n_ctx, n_vocab;
    size_t n_rot;      /* 0: all of a head */
    size_t window;     /* 0: not said */
    size_t pattern;    /* sliding_window_pattern, 0: not said */
    quant_type type;   /* of the matrices */
    bool tied;         /* no output.weight */
    bool long_factors; /* rope_factors_*, for phi3; long ones hold beyond 16 positions */
    float norm_less;   /* taken off every norm weight, as Hugging Face's Gemma has them: 1 */
    uint64_t seed;
} gguf_tiny_gated;

/* Three layers of 32 values, four heads of 16 on two, F32. */
gguf_tiny_gated gguf_tiny_gated_defaults(const char *architecture);

void gguf_builder_tiny_gated(gguf_builder *b, const gguf_tiny_gated *options);

#endif
