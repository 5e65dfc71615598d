/* gptj.c - GPT-J: attention and feed-forward part side by side behind one norm, rotary pairs at the
 * front of each head.
 *
 *   x = embedding[token]
 *   per layer:  q, k, v = Wq n, Wk n, Wv n       n = layer_norm(x)
 *               x += Wo attention(rope(q), rope(k), v) + Wdown gelu(Wup n + b) + b
 *   logits = Wout layer_norm(x) + b
 *
 * The pairs are neighbours (2i, 2i + 1) of a head's first rope.dimension_count values. GELU is that
 * of GPT-2, by tanh. docs/dialects.md has the keys and tensors.
 */
#include "models/gptj.h"

#include "models/classic.h"

static void build_layer(builder *b, const classic_shape *s, prepare_kind activation, uint32_t layer,
                        slot_id x, slot_id angles, size_t n_rot) {
    op_linear qkv = classic_linear(b, layer, "attn_q", s->n_embd, s->n_embd, false);
    classic_join(b, &qkv, layer, "attn_k", s->n_embd, false);
    classic_join(b, &qkv, layer, "attn_v", s->n_embd, false);
    classic_norm(b, &qkv, layer, "attn_norm", s->epsilon, true);
    const slot_id heads = builder_linear(b, layer, x, qkv, 3 * s->n_embd);
    op_attention attention = classic_attention(b, s);
    builder_columns(&attention); /* three matrices: nothing to interleave */
    attention.angles = angles;
    attention.n_rot = n_rot;
    attention.rope_halves = builder_flag(b, "sluice.rope_halves");
    const slot_id mixed = builder_attention(b, layer, heads, &attention);

    /* Before attention's result is added, because both parts see the same x. */
    op_linear up = classic_linear(b, layer, "ffn_up", s->n_embd, s->n_ff, true);
    up.prepare = qkv.prepare;
    up.norm_weight = qkv.norm_weight;
    up.norm_bias = qkv.norm_bias;
    up.epsilon = qkv.epsilon;
    const slot_id hidden = builder_linear(b, layer, x, up, s->n_ff);

    builder_linear_add(b, layer, mixed, x,
                       classic_linear(b, layer, "attn_output", s->n_embd, s->n_embd, false));
    op_linear down = classic_linear(b, layer, "ffn_down", s->n_ff, s->n_embd, true);
    down.prepare = activation;
    builder_linear_add(b, layer, hidden, x, down);
}

void gptj_build(builder *b) {
    const classic_shape s = classic_read(b);
    classic_no_groups(b, &s);
    const prepare_kind activation = classic_activation(b, "sluice.activation", PREPARE_GELU);
    weight_id embedding;
    const slot_id x = classic_embed(b, s.n_embd, s.n_vocab, 0, &embedding);
    const size_t n_rot = classic_n_rot(b, &s);
    const slot_id angles = classic_angles(b, n_rot);
    for (size_t layer = 0; layer < s.n_layer && b->status == SL_OK; layer++) {
        build_layer(b, &s, activation, (uint32_t)layer, x, angles, n_rot);
    }
    builder_output(b, x, embedding, classic_norm_alone(b, -1, "output_norm", &s, true), s.n_vocab);
}
