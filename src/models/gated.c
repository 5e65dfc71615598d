#include "models/gated.h"

#include "base/limits.h"

#include <math.h>
#include <string.h>

/* ---- hyper-parameters ----------------------------------------------------------------------- */

/* Also says the model's sizes to the program. */
static gated_shape read_shape(builder *b) {
    gated_shape s;
    b->p->n_ctx_train = builder_u64(b, "context_length", BUILDER_REQUIRED, 1, LIMIT_CONTEXT);
    s.n_layer = builder_u64(b, "block_count", BUILDER_REQUIRED, 1, LIMIT_LAYERS);
    s.n_embd = builder_u64(b, "embedding_length", BUILDER_REQUIRED, 1, LIMIT_EMBEDDING);
    s.n_ff = builder_u64(b, "feed_forward_length", BUILDER_REQUIRED, 1, LIMIT_FEED_FORWARD);
    s.n_head = builder_u64(b, "attention.head_count", BUILDER_REQUIRED, 1, LIMIT_HEADS);
    s.n_head_kv = builder_u64(b, "attention.head_count_kv", s.n_head, 1, LIMIT_HEADS);
    if (s.n_head % s.n_head_kv != 0) {
        builder_fail(b, SL_ERR_FORMAT,
                     "attention.head_count is %zu, expected a multiple of "
                     "attention.head_count_kv, which is %zu",
                     s.n_head, s.n_head_kv);
    }
    s.head_k = builder_u64(b, "attention.key_length", 0, 1, LIMIT_HEAD_SIZE);
    s.head_v = builder_u64(b, "attention.value_length", 0, 1, LIMIT_HEAD_SIZE);
    if ((s.head_k == 0 || s.head_v == 0) && s.n_embd % s.n_head != 0) {
        builder_fail(b, SL_ERR_FORMAT,
                     "embedding_length is %zu, expected a multiple of attention.head_count %zu, or "
                     "attention.key_length and attention.value_length",
                     s.n_embd, s.n_head);
    }
    s.head_k = s.head_k ? s.head_k : s.n_embd / s.n_head;
    s.head_v = s.head_v ? s.head_v : s.n_embd / s.n_head;
    s.n_rot = builder_u64(b, "rope.dimension_count", s.head_k, 2, LIMIT_HEAD_SIZE);
    if (s.n_rot % 2 != 0 || s.n_rot > s.head_k) {
        builder_fail(b, SL_ERR_FORMAT,
                     "rope.dimension_count is %zu, expected an even number up to the head size %zu",
                     s.n_rot, s.head_k);
    }
    s.epsilon = builder_float(b, "attention.layer_norm_rms_epsilon", true, 0, 0, 1);
    s.n_vocab = builder_rows(b, "token_embd.weight");
    if (builder_u64(b, "expert_count", 0, 0, UINT32_MAX) > 0) {
        builder_fail(b, SL_ERR_UNSUPPORTED, "mixture-of-experts models are not supported yet");
    }
    s.plus_one = builder_flag(b, "sluice.norm_plus_one");
    b->p->n_layer = s.n_layer;
    return s;
}

static gated_layer plain_layer(const gated_shape *s) {
    return (gated_layer){
        .rope_halves = false,
        .scale = 1.0f / sqrtf((float)s->head_k),
        .activation = PREPARE_SILU_MUL,
    };
}

static void read_windows(builder *b, gated_window how, uint64_t *windows, size_t n_layer) {
    const size_t window =
        builder_u64(b, "attention.sliding_window", how.otherwise, how.otherwise > 0, LIMIT_CONTEXT);
    const meta_entry *pattern = builder_meta(b, "attention.sliding_window_pattern");
    memset(windows, 0, n_layer * sizeof *windows); /* after a failure nothing is read */
    const bool by_layer = pattern && pattern->type == META_ARRAY;
    if (by_layer) {
        builder_layer_flags(b, "attention.sliding_window_pattern", windows, n_layer);
    } else {
        how.period =
            builder_u64(b, "attention.sliding_window_pattern", how.period, 0, LIMIT_LAYERS);
    }
    for (size_t i = 0; i < n_layer; i++) {
        const bool sees_all =
            by_layer ? windows[i] == 0 : how.period > 0 && (i + 1) % how.period == 0;
        windows[i] = sees_all ? 0 : window;
    }
}

/* ---- layers --------------------------------------------------------------------------------- */

static op_linear normed(builder *b, const gated_shape *s, int64_t layer, const char *norm) {
    return (op_linear){
        .prepare = PREPARE_RMS_NORM,
        .norm_weight = builder_norm(b, layer, norm, s->n_embd, s->plus_one),
        .norm_bias = NO_WEIGHT,
        .epsilon = s->epsilon,
        .n_in = s->n_embd,
    };
}

static op_linear plain(prepare_kind prepare, size_t n_in) {
    return (op_linear){
        .prepare = prepare, .norm_weight = NO_WEIGHT, .norm_bias = NO_WEIGHT, .n_in = n_in};
}

static void join(builder *b, op_linear *linear, int64_t layer, const char *weight, const char *bias,
                 size_t n_out) {
    const size_t i = linear->n_weight++;
    linear->weight[i] = builder_matrix(b, layer, weight, linear->n_in, n_out);
    linear->bias[i] = builder_optional_vector(b, layer, bias, n_out);
}

/* x += linear(in), or where that is normed first, x += norm(linear(in)). */
static void add_to_residual(builder *b, const gated_shape *s, const gated_layer *l, uint32_t layer,
                            slot_id in, slot_id x, op_linear linear, const char *norm) {
    if (!l->sandwich) {
        builder_linear_add(b, layer, in, x, linear);
        return;
    }
    const slot_id out = builder_linear(b, layer, in, linear, s->n_embd);
    op_linear last = normed(b, s, layer, norm);
    last.accumulate = true;
    builder_op(b, &(op){.kind = OP_NORM, .layer = layer, .in = out, .out = x, .as.linear = last});
}

static slot_id heads_of(builder *b, const gated_shape *s, const gated_layer *l, uint32_t layer,
                        slot_id x) {
    const size_t q = s->n_head * s->head_k, k = s->n_head_kv * s->head_k;
    const size_t v = s->n_head_kv * s->head_v;
    op_linear qkv = normed(b, s, layer, "attn_norm.weight");
    if (l->fused) {
        join(b, &qkv, layer, "attn_qkv.weight", "attn_qkv.bias", q + k + v);
    } else {
        join(b, &qkv, layer, "attn_q.weight", "attn_q.bias", q);
        join(b, &qkv, layer, "attn_k.weight", "attn_k.bias", k);
        join(b, &qkv, layer, "attn_v.weight", "attn_v.bias", v);
    }
    return builder_linear(b, layer, x, qkv, q + k + v);
}

static void add_attention(builder *b, const gated_shape *s, const gated_layer *l, uint32_t layer,
                          slot_id x) {
    const slot_id heads = heads_of(b, s, l, layer, x);
    op_attention attention = {
        .kv_slot = builder_kv_slot(b, s->n_head_kv, s->head_k, s->head_v),
        .angles = l->angles,
        .n_rot = s->n_rot,
        .rope_halves = l->rope_halves,
        .n_head = s->n_head,
        .n_head_kv = s->n_head_kv,
        .head_k = s->head_k,
        .head_v = s->head_v,
        .window = l->window,
        .scale = l->scale,
        .soft_cap = l->soft_cap,
        .norms_heads = l->norms_heads,
        .epsilon = s->epsilon,
    };
    if (l->norms_heads) {
        attention.q_norm = builder_norm(b, layer, "attn_q_norm.weight", s->head_k, s->plus_one);
        attention.k_norm = builder_norm(b, layer, "attn_k_norm.weight", s->head_k, s->plus_one);
    }
    builder_columns(&attention);
    const slot_id mixed = builder_attention(b, layer, heads, &attention);

    op_linear output = plain(PREPARE_NONE, s->n_head * s->head_v);
    join(b, &output, layer, "attn_output.weight", "attn_output.bias", s->n_embd);
    add_to_residual(b, s, l, layer, mixed, x, output, "post_attention_norm.weight");
}

static void add_feed_forward(builder *b, const gated_shape *s, const gated_layer *l, uint32_t layer,
                             slot_id x) {
    op_linear gate_up = normed(b, s, layer, "ffn_norm.weight");
    if (l->fused) {
        join(b, &gate_up, layer, "ffn_up.weight", "ffn_up.bias", 2 * s->n_ff);
    } else {
        join(b, &gate_up, layer, "ffn_gate.weight", "ffn_gate.bias", s->n_ff);
        join(b, &gate_up, layer, "ffn_up.weight", "ffn_up.bias", s->n_ff);
    }
    const slot_id hidden = builder_linear(b, layer, x, gate_up, 2 * s->n_ff);

    op_linear down = plain(l->activation, s->n_ff);
    join(b, &down, layer, "ffn_down.weight", "ffn_down.bias", s->n_embd);
    add_to_residual(b, s, l, layer, hidden, x, down, "post_ffw_norm.weight");
}

static void add_layer(builder *b, const gated_shape *s, const gated_layer *l, uint32_t layer,
                      slot_id x) {
    add_attention(b, s, l, layer, x);
    add_feed_forward(b, s, l, layer, x);
}

/* ---- the whole ------------------------------------------------------------------------------ */

void gated_begin(builder *b, gated_window window, bool scaled, gated_model *m) {
    const gated_shape s = read_shape(b);
    m->s = s;
    read_windows(b, window, m->windows, s.n_layer);
    m->embedding = builder_matrix(b, -1, "token_embd.weight", s.n_embd, s.n_vocab);
    m->x = builder_slot(b, s.n_embd);
    builder_op(b,
               &(op){.kind = OP_EMBED,
                     .layer = UINT32_MAX,
                     .in = NO_SLOT,
                     .out = m->x,
                     .as.embed = {m->embedding, NO_WEIGHT, scaled ? sqrtf((float)s.n_embd) : 0}});
    m->layer = plain_layer(&s);
}

void gated_end(builder *b, gated_model *m, const slot_id angles[2], float cap) {
    for (size_t layer = 0; layer < m->s.n_layer && b->status == SL_OK; layer++) {
        m->layer.window = m->windows[layer];
        m->layer.angles = angles[m->layer.window == 0];
        add_layer(b, &m->s, &m->layer, (uint32_t)layer, m->x);
    }
    b->logit_cap = cap;
    builder_output(b, m->x, m->embedding, normed(b, &m->s, -1, "output_norm.weight"), m->s.n_vocab);
}
