/* gated.h - what the families of LLaMA's shape share: RMS norms, rotary positions, grouped-query
 * attention, a gated feed-forward layer. A family's file says which of their variants it has.
 */
#ifndef MODELS_GATED_H
#define MODELS_GATED_H

#include "base/limits.h"
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

/* A model being built: gated_begin fills it, the family changes what it has otherwise. */
typedef struct gated_model {
    gated_shape s;
    gated_layer layer; /* as LLaMA has them; window and angles are set layer by layer */
    uint64_t windows[LIMIT_LAYERS];
    weight_id embedding;
    slot_id x;
} gated_model;

/* Keys that a token sees, itself included, from attention.sliding_window: in all layers but every
 * period-th of them, in all if period is 0. attention.sliding_window_pattern, which is a period too
 * or a truth for each layer, goes before `period`. `otherwise` holds where the file says no window;
 * BUILDER_REQUIRED if it must. 0 in the file means none, and is refused where `otherwise` is not 0.
 */
typedef struct gated_window {
    uint64_t otherwise;
    size_t period;
} gated_window;

/* Reads the hyper-parameters, says the model's sizes to the program, and adds EMBED; the embedding
 * is scaled by the square root of its width if `scaled`. */
void gated_begin(builder *b, gated_window window, bool scaled, gated_model *m);

/* Adds the layers, of which those with a window turn by angles[0] and the others by angles[1]; the
 * last norm, and the output matrix. cap: of logits, 0 for none. */
void gated_end(builder *b, gated_model *m, const slot_id angles[2], float cap);

#endif
