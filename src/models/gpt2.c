/* gpt2.c - GPT-2: learned positions, layer norm, one q/k/v matrix, GELU.
 *
 *   x = embedding[token] + positions[position]
 *   per layer:  q, k, v = Wqkv n + b           n = layer_norm(x)
 *               x += Wo attention(q, k, v) + b
 *               x += Wdown gelu(Wup n + b) + b  n = layer_norm(x)
 *   logits = Wout layer_norm(x), Wout the embedding unless the file has its own
 */
#include "models/gpt2.h"

#include "base/limits.h"

#include <math.h>

typedef struct gpt2_shape {
    size_t n_layer, n_embd, n_ff, n_vocab, n_head;
    float epsilon;
} gpt2_shape;

static gpt2_shape read_shape(builder *b) {
    gpt2_shape s;
    b->p->n_ctx_train = builder_u64(b, "context_length", BUILDER_REQUIRED, 1, LIMIT_CONTEXT);
    b->p->n_ctx_limit = b->p->n_ctx_train;
    s.n_layer = builder_u64(b, "block_count", BUILDER_REQUIRED, 1, LIMIT_LAYERS);
    s.n_embd = builder_u64(b, "embedding_length", BUILDER_REQUIRED, 1, LIMIT_EMBEDDING);
    s.n_ff = builder_u64(b, "feed_forward_length", 4 * s.n_embd, 1, LIMIT_FEED_FORWARD);
    s.n_head = builder_u64(b, "attention.head_count", BUILDER_REQUIRED, 1, LIMIT_HEADS);
    s.epsilon = builder_float(b, "attention.layer_norm_epsilon", true, 0, 0, 1);
    s.n_vocab = builder_rows(b, "token_embd.weight");
    if (s.n_embd % s.n_head != 0) {
        builder_fail(b, SL_ERR_FORMAT,
                     "embedding_length is %zu, expected a multiple of attention.head_count %zu",
                     s.n_embd, s.n_head);
    }
    return s;
}

static op_linear linear_of(builder *b, int64_t layer, prepare_kind prepare, size_t n_in,
                           const char *weight, const char *bias, size_t n_out) {
    return (op_linear){
        .prepare = prepare,
        .norm_weight = NO_WEIGHT,
        .norm_bias = NO_WEIGHT,
        .n_in = n_in,
        .n_weight = 1,
        .weight = {builder_matrix(b, layer, weight, n_in, n_out)},
        .bias = {builder_vector(b, layer, bias, n_out)},
    };
}

static void add_norm(builder *b, const gpt2_shape *s, int64_t layer, const char *weight,
                     const char *bias, op_linear *linear) {
    linear->prepare = PREPARE_LAYER_NORM;
    linear->norm_weight = builder_vector(b, layer, weight, s->n_embd);
    linear->norm_bias = builder_vector(b, layer, bias, s->n_embd);
    linear->epsilon = s->epsilon;
}

static void build_attention(builder *b, const gpt2_shape *s, uint32_t layer, slot_id x) {
    const size_t head = s->n_embd / s->n_head;
    op_linear qkv = linear_of(b, layer, PREPARE_LAYER_NORM, s->n_embd, "attn_qkv.weight",
                              "attn_qkv.bias", 3 * s->n_embd);
    add_norm(b, s, layer, "attn_norm.weight", "attn_norm.bias", &qkv);
    const slot_id heads = builder_linear(b, layer, x, qkv, 3 * s->n_embd);

    op_attention attention = {
        .kv_slot = builder_kv_slot(b, s->n_head, head, head),
        .angles = NO_SLOT,
        .n_head = s->n_head,
        .n_head_kv = s->n_head,
        .head_k = head,
        .head_v = head,
        .scale = 1.0f / sqrtf((float)head),
    };
    builder_columns(&attention);
    const slot_id mixed = builder_attention(b, layer, heads, &attention);
    builder_linear_add(b, layer, mixed, x,
                       linear_of(b, layer, PREPARE_NONE, s->n_embd, "attn_output.weight",
                                 "attn_output.bias", s->n_embd));
}

static void build_feed_forward(builder *b, const gpt2_shape *s, uint32_t layer, slot_id x) {
    op_linear up =
        linear_of(b, layer, PREPARE_LAYER_NORM, s->n_embd, "ffn_up.weight", "ffn_up.bias", s->n_ff);
    add_norm(b, s, layer, "ffn_norm.weight", "ffn_norm.bias", &up);
    const slot_id hidden = builder_linear(b, layer, x, up, s->n_ff);
    builder_linear_add(
        b, layer, hidden, x,
        linear_of(b, layer, PREPARE_GELU, s->n_ff, "ffn_down.weight", "ffn_down.bias", s->n_embd));
}

void gpt2_build(builder *b) {
    const gpt2_shape s = read_shape(b);
    b->p->n_layer = s.n_layer;
    const weight_id embedding = builder_matrix(b, -1, "token_embd.weight", s.n_embd, s.n_vocab);
    const weight_id positions =
        builder_matrix(b, -1, "position_embd.weight", s.n_embd, b->p->n_ctx_train);
    const slot_id x = builder_slot(b, s.n_embd);
    builder_op(b, &(op){.kind = OP_EMBED,
                        .layer = UINT32_MAX,
                        .in = NO_SLOT,
                        .out = x,
                        .as.embed = {embedding, positions}});
    for (size_t layer = 0; layer < s.n_layer && b->status == SL_OK; layer++) {
        build_attention(b, &s, (uint32_t)layer, x);
        build_feed_forward(b, &s, (uint32_t)layer, x);
    }
    op_linear last = {.norm_weight = NO_WEIGHT, .norm_bias = NO_WEIGHT, .n_in = s.n_embd};
    add_norm(b, &s, -1, "output_norm.weight", "output_norm.bias", &last);
    builder_output(b, x, embedding, last, s.n_vocab);
}
