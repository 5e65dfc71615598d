/* gptneox.c - GPT-NeoX (Pythia, Dolly, RedPajama): rotary halves at the front of each head, one
 * q/k/v matrix, the feed-forward part beside attention or behind it.
 *
 *   x = embedding[token]
 *   per layer:  q, k, v = Wqkv layer_norm_1(x) + b
 *               a = Wo attention(rope(q), rope(k), v) + b
 *     parallel:    x += a + Wdown gelu(Wup layer_norm_2(x) + b) + b
 *     sequential:  x += a;  x += Wdown gelu(Wup layer_norm_2(x) + b) + b
 *   logits = Wout layer_norm(x)
 *
 * The pairs are (i, i + n_rot / 2) of a head's first n_rot = rope.dimension_count values. GELU is
 * the exact one, as in the models' own code; llama.cpp, whose dialect has no key for it, computes
 * GPT-2's by tanh, and its logits differ a little for that.
 */
#include "models/gptneox.h"

#include "models/classic.h"

typedef struct neox {
    classic_shape s;
    bool parallel, attention_bias;
    prepare_kind activation;
    slot_id angles;
    size_t n_rot;
} neox;

static slot_id attend(builder *b, const neox *m, uint32_t layer, slot_id x) {
    const size_t n = m->s.n_embd;
    op_linear qkv = classic_linear(b, layer, "attn_qkv", n, 3 * n, m->attention_bias);
    classic_norm(b, &qkv, layer, "attn_norm", m->s.epsilon, true);
    const slot_id heads = builder_linear(b, layer, x, qkv, 3 * n);
    op_attention attention = classic_attention(b, &m->s);
    attention.angles = m->angles;
    attention.n_rot = m->n_rot;
    attention.rope_halves = true;
    return builder_attention(b, layer, heads, &attention);
}

static void add_attention(builder *b, const neox *m, uint32_t layer, slot_id mixed, slot_id x) {
    const size_t n = m->s.n_embd;
    builder_linear_add(b, layer, mixed, x,
                       classic_linear(b, layer, "attn_output", n, n, m->attention_bias));
}

static slot_id feed_forward(builder *b, const neox *m, uint32_t layer, slot_id x) {
    op_linear up = classic_linear(b, layer, "ffn_up", m->s.n_embd, m->s.n_ff, true);
    classic_norm(b, &up, layer, "ffn_norm", m->s.epsilon, true);
    return builder_linear(b, layer, x, up, m->s.n_ff);
}

static void build_layer(builder *b, const neox *m, uint32_t layer, slot_id x) {
    const slot_id mixed = attend(b, m, layer, x);
    slot_id hidden;
    if (m->parallel) { /* both see the same x */
        hidden = feed_forward(b, m, layer, x);
        add_attention(b, m, layer, mixed, x);
    } else {
        add_attention(b, m, layer, mixed, x);
        hidden = feed_forward(b, m, layer, x);
    }
    op_linear down = classic_linear(b, layer, "ffn_down", m->s.n_ff, m->s.n_embd, true);
    down.prepare = m->activation;
    builder_linear_add(b, layer, hidden, x, down);
}

void gptneox_build(builder *b) {
    neox m = {.s = classic_read(b)};
    classic_no_groups(b, &m.s);
    m.parallel = builder_bool(b, "use_parallel_residual", true);
    m.attention_bias = classic_has(b, "blk.0.attn_qkv.bias");
    m.activation = classic_activation(b, "sluice.activation", PREPARE_GELU_ERF);
    weight_id embedding;
    const slot_id x = classic_embed(b, m.s.n_embd, m.s.n_vocab, 0, &embedding);
    m.n_rot = classic_n_rot(b, &m.s);
    m.angles = classic_angles(b, m.n_rot);
    for (size_t layer = 0; layer < m.s.n_layer && b->status == SL_OK; layer++) {
        build_layer(b, &m, (uint32_t)layer, x);
    }
    builder_output(b, x, embedding, classic_norm_alone(b, -1, "output_norm", &m.s, true),
                   m.s.n_vocab);
}
