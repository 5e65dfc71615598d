/* gated.h - what the families of LLaMA's shape share: RMS norms, rotary positions, grouped-query
 * attention, a gated feed-forward layer. A family's file says which of their variants it has.
 */
#ifndef MODELS_GATED_H
#define MODELS_GATED_H

#include "models/builder.h"

/* Hyper-parameters by the names that these families share. */
typedef struct gated_shape {
    size_t n_layer, n_embd, n_ff, n_vocab;
    size_t n_head, n_head_kv, head_k, head_v, n_rot;
    float epsilon;
    bool plus_one; /* sluice.norm_plus_one: the file's norm weights w stand for 1 + w */
} gated_shape;

/* What a layer is like. */
typedef struct gated_layer {
    slot_id angles;
    bool rope_halves; /* pairs are (i, i + n_rot / 2), not (2i, 2i + 1) */
    size_t window;    /* keys that a token sees, itself included; 0: all */
    float scale;      /* of scores */
    float soft_cap;   /* of scores; 0: none */
    bool fused;       /* q, k, v in attn_qkv; gate and up in ffn_up, the gate first */
    bool norms_heads; /* attn_q_norm, attn_k_norm: of each head, before the rotation */
    bool sandwich;    /* post_attention_norm, post_ffw_norm: of what is added to the residual */
    prepare_kind activation; /* PREPARE_SILU_MUL or PREPARE_GELU_MUL */
} gated_layer;

/* Reads the shape and says the model's sizes to the program. */
gated_shape gated_read(builder *b);

/* Layers as LLaMA has them. */
gated_layer gated_plain_layer(const gated_shape *s);

/* attention.sliding_window for each of n_layer layers: for all but every period-th of them, for
 * all if period is 0. attention.sliding_window_pattern, which is a period too or a truth for each
 * layer, goes before `period`. `otherwise` holds where the file says no window;
 * BUILDER_REQUIRED if it must. 0 in the file means none, and is refused where `otherwise` is not 0.
 */
void gated_windows(builder *b, uint64_t otherwise, size_t period, uint64_t *windows,
                   size_t n_layer);

/* x = embedding[token] * scale (0: as it is). */
slot_id gated_embed(builder *b, const gated_shape *s, float scale, weight_id *embedding);

void gated_add_layer(builder *b, const gated_shape *s, const gated_layer *l, uint32_t layer,
                     slot_id x);

/* The last norm and the output matrix. cap: of logits, 0 for none. */
void gated_output(builder *b, const gated_shape *s, slot_id x, weight_id embedding, float cap);

#endif
