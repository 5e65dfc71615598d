/* opt.c - OPT and Galactica: learned positions, ReLU or GELU, norms before the parts of a layer or
 * behind them, embeddings that may be narrower than the model.
 *
 *   x = embedding[token], or Win embedding[token];  x += positions[position]
 *   per layer, norms before:  x += Wo attention(q, k, v) + b      q, k, v = Wq n + b ...
 *                             x += Wdown relu(Wup n + b) + b      n = layer_norm(x)
 *              norms behind:  x = layer_norm(x + Wo attention(q, k, v) + b)   q = Wq x + b ...
 *                             x = layer_norm(x + Wdown relu(Wup x + b) + b)
 *   h = layer_norm(x) where norms are before, else x;  then Wout h where embeddings are narrower
 *   logits = embedding h, or output.weight h
 *
 * Biases and weights of norms are there in all layers or in none (Galactica). Hugging Face keeps
 * two rows of positions that nothing uses before those of positions 0, 1 ...: they are not in
 * position_embd.weight. docs/dialects.md has the keys and tensors.
 */
#include "models/opt.h"

#include "base/limits.h"
#include "models/classic.h"

typedef struct opt {
    classic_shape s;
    size_t n_word; /* width of the embedding */
    bool before, bias, affine;
    prepare_kind activation;
} opt;

static opt read_shape(builder *b) {
    opt m = {.s = classic_read(b)};
    classic_no_groups(b, &m.s);
    b->p->n_ctx_limit = b->p->n_ctx_train;
    m.n_word = builder_u64(b, "word_embedding_length", m.s.n_embd, 1, LIMIT_EMBEDDING);
    m.before = builder_bool(b, "normalize_before", true);
    m.activation = classic_activation(b, "opt.activation", PREPARE_RELU);
    m.bias = classic_has(b, "blk.0.attn_q.bias");
    m.affine = classic_has(b, "blk.0.attn_norm.weight");
    return m;
}

/* Positions are added behind the projection, so they are as wide as the model. */
static slot_id build_embedding(builder *b, const opt *m, weight_id *embedding) {
    const size_t n_position = b->p->n_ctx_train, n = m->s.n_embd;
    if (m->n_word == n) {
        return classic_embed(b, n, m->s.n_vocab, n_position, embedding);
    }
    const slot_id word = classic_embed(b, m->n_word, m->s.n_vocab, 0, embedding);
    const slot_id x = builder_linear(b, UINT32_MAX, word,
                                     classic_linear(b, -1, "project_in", m->n_word, n, false), n);
    const weight_id positions = builder_matrix(b, -1, "position_embd.weight", n, n_position);
    builder_op(b, &(op){.kind = OP_EMBED,
                        .layer = UINT32_MAX,
                        .in = NO_SLOT,
                        .out = x,
                        .as.embed = {.tokens = NO_WEIGHT, .positions = positions}});
    return x;
}

/* The part of a layer between x and what is added to it. */
static void norm_before(builder *b, const opt *m, uint32_t layer, const char *name, op_linear *l) {
    if (m->before) {
        classic_norm(b, l, layer, name, m->s.epsilon, m->affine);
    }
}

static void norm_behind(builder *b, const opt *m, uint32_t layer, const char *name, slot_id x) {
    if (!m->before) {
        classic_norm_in_place(b, layer, x, classic_norm_alone(b, layer, name, &m->s, m->affine));
    }
}

static void build_layer(builder *b, const opt *m, uint32_t layer, slot_id x) {
    const size_t n = m->s.n_embd;
    op_linear qkv = classic_linear(b, layer, "attn_q", n, n, m->bias);
    classic_join(b, &qkv, layer, "attn_k", n, m->bias);
    classic_join(b, &qkv, layer, "attn_v", n, m->bias);
    norm_before(b, m, layer, "attn_norm", &qkv);
    const slot_id heads = builder_linear(b, layer, x, qkv, 3 * n);
    op_attention attention = classic_attention(b, &m->s);
    builder_columns(&attention); /* three matrices: nothing to interleave */
    const slot_id mixed = builder_attention(b, layer, heads, &attention);
    builder_linear_add(b, layer, mixed, x, classic_linear(b, layer, "attn_output", n, n, m->bias));
    norm_behind(b, m, layer, "attn_norm", x);

    op_linear up = classic_linear(b, layer, "ffn_up", n, m->s.n_ff, m->bias);
    norm_before(b, m, layer, "ffn_norm", &up);
    const slot_id hidden = builder_linear(b, layer, x, up, m->s.n_ff);
    op_linear down = classic_linear(b, layer, "ffn_down", m->s.n_ff, n, m->bias);
    down.prepare = m->activation;
    builder_linear_add(b, layer, hidden, x, down);
    norm_behind(b, m, layer, "ffn_norm", x);
}

static void build_output(builder *b, const opt *m, slot_id x, weight_id embedding) {
    const size_t n = m->s.n_embd;
    const op_linear last =
        m->before ? classic_norm_alone(b, -1, "output_norm", &m->s, m->affine)
                  : (op_linear){.norm_weight = NO_WEIGHT, .norm_bias = NO_WEIGHT, .n_in = n};
    if (m->n_word == n && m->before) {
        builder_output(b, x, embedding, last, m->s.n_vocab);
        return;
    }
    slot_id hidden = builder_select(b, x, n);
    if (m->n_word != n) {
        op_linear out = last;
        classic_join(b, &out, -1, "project_out", m->n_word, false);
        hidden = builder_linear(b, UINT32_MAX, hidden, out, m->n_word);
    }
    builder_logits(b, hidden, embedding, m->n_word, m->s.n_vocab);
}

void opt_build(builder *b) {
    const opt m = read_shape(b);
    weight_id embedding;
    const slot_id x = build_embedding(b, &m, &embedding);
    for (size_t layer = 0; layer < m.s.n_layer && b->status == SL_OK; layer++) {
        build_layer(b, &m, (uint32_t)layer, x);
    }
    build_output(b, &m, x, embedding);
}
