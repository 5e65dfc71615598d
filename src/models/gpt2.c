/* gpt2.c - GPT-2: learned positions, layer norm, one q/k/v matrix, GELU.
 *
 *   x = embedding[token] + positions[position]
 *   per layer:  q, k, v = Wqkv n + b           n = layer_norm(x)
 *               x += Wo attention(q, k, v) + b
 *               x += Wdown gelu(Wup n + b) + b  n = layer_norm(x)
 *   logits = Wout layer_norm(x), Wout the embedding unless the file has its own
 */
#include "models/gpt2.h"

#include "models/classic.h"

static void build_attention(builder *b, const classic_shape *s, uint32_t layer, slot_id x) {
    op_linear qkv = classic_linear(b, layer, "attn_qkv", s->n_embd, 3 * s->n_embd, true);
    classic_norm(b, &qkv, layer, "attn_norm", s->epsilon, true);
    const slot_id heads = builder_linear(b, layer, x, qkv, 3 * s->n_embd);
    const op_attention attention = classic_attention(b, s);
    const slot_id mixed = builder_attention(b, layer, heads, &attention);
    builder_linear_add(b, layer, mixed, x,
                       classic_linear(b, layer, "attn_output", s->n_embd, s->n_embd, true));
}

static void build_feed_forward(builder *b, const classic_shape *s, prepare_kind activation,
                               uint32_t layer, slot_id x) {
    op_linear up = classic_linear(b, layer, "ffn_up", s->n_embd, s->n_ff, true);
    classic_norm(b, &up, layer, "ffn_norm", s->epsilon, true);
    const slot_id hidden = builder_linear(b, layer, x, up, s->n_ff);
    op_linear down = classic_linear(b, layer, "ffn_down", s->n_ff, s->n_embd, true);
    down.prepare = activation;
    builder_linear_add(b, layer, hidden, x, down);
}

void gpt2_build(builder *b) {
    const classic_shape s = classic_read(b);
    b->p->n_ctx_limit = b->p->n_ctx_train;
    const prepare_kind activation = classic_activation(b, "sluice.activation", PREPARE_GELU);
    weight_id embedding;
    const slot_id x = classic_embed(b, s.n_embd, s.n_vocab, b->p->n_ctx_train, &embedding);
    for (size_t layer = 0; layer < s.n_layer && b->status == SL_OK; layer++) {
        build_attention(b, &s, (uint32_t)layer, x);
        build_feed_forward(b, &s, activation, (uint32_t)layer, x);
    }
    builder_output(b, x, embedding, classic_norm_alone(b, -1, "output_norm", &s, true), s.n_vocab);
}
