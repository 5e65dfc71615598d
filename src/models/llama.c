/* llama.c - the LLaMA family: RMS norm, rotary positions, grouped-query attention, gated SiLU.
 *
 *   x = embedding[token]
 *   per layer:  q, k, v = Wq n, Wk n, Wv n          n = rms_norm(x)
 *               x += Wo attention(rope(q), rope(k), v)
 *               x += Wdown (silu(Wgate n) * Wup n)  n = rms_norm(x)
 *   logits = Wout rms_norm(x)
 *
 * GGUF stores the rows of Wq and Wk so that rotary pairs are neighbours (2i, 2i + 1).
 */
#include "models/llama.h"

#include "base/error.h"
#include "base/limits.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

typedef struct llama_shape {
    size_t n_layer, n_embd, n_ff, n_vocab;
    size_t n_head, n_head_kv, head_k, head_v, n_rot, window;
    float epsilon;
} llama_shape;

static const double two_pi = 6.283185307179586476925286766559;

static llama_shape read_shape(builder *b) {
    llama_shape s;
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
    s.window = builder_u64(b, "attention.sliding_window", 0, 0, LIMIT_CONTEXT);
    s.epsilon = builder_float(b, "attention.layer_norm_rms_epsilon", true, 0, 0, 1);
    s.n_vocab = builder_rows(b, "token_embd.weight");
    if (builder_u64(b, "expert_count", 0, 0, UINT32_MAX) > 0) {
        builder_fail(b, SL_ERR_UNSUPPORTED, "mixture-of-experts models are not supported yet");
    }
    return s;
}

/* ---- rotary frequencies --------------------------------------------------------------------- */

/* Llama 3's scaling as its authors published it (llama-models, apply_scaling): wave lengths longer
 * than the old context over `low` are stretched by `factor`, those shorter than it over `high` are
 * left alone, and between the two there is a linear blend. */
static void scale_like_llama3(builder *b, double *frequency, size_t n_pair, double factor) {
    const double low = builder_float(b, "rope.scaling.low_freq_factor", false, 1, 1e-6, 1e6);
    const double high = builder_float(b, "rope.scaling.high_freq_factor", false, 4, 1e-6, 1e6);
    const double old_context =
        (double)builder_u64(b, "rope.scaling.original_context_length", 8192, 1, LIMIT_CONTEXT);
    if (b->status == SL_OK && high <= low) {
        builder_fail(b, SL_ERR_FORMAT,
                     "rope.scaling.high_freq_factor is %g, expected more than low_freq_factor %g",
                     high, low);
    }
    for (size_t i = 0; i < n_pair; i++) {
        const double wave = two_pi / frequency[i];
        if (wave > old_context / low) {
            frequency[i] /= factor;
        } else if (wave >= old_context / high) {
            const double smooth = (old_context / wave - low) / (high - low);
            frequency[i] = (1 - smooth) * frequency[i] / factor + smooth * frequency[i];
        }
    }
}

/* rope_freqs.weight: a divisor for each pair. */
static void divide_by_factors(builder *b, double *frequency, size_t n_pair) {
    const tensor_entry *t = tensor_find(b->file, str_from("rope_freqs.weight"));
    if (!t) {
        return;
    }
    if (t->type != QUANT_F32 || t->bytes != n_pair * sizeof(float) || t->dims[0] != n_pair) {
        builder_fail(
            b, SL_ERR_FORMAT,
            "tensor 'rope_freqs.weight' has shape [%llu, %llu] and type %s, expected [%zu] "
            "and F32",
            (unsigned long long)t->dims[0], (unsigned long long)t->dims[1],
            quant_format_of(t->type)->name, n_pair);
        return;
    }
    b->p->n_table++;
    for (size_t i = 0; i < n_pair; i++) {
        float factor;
        quant_format_of(QUANT_F32)->decode(t->data + i * sizeof factor, &factor, 1);
        if (!(factor > 0) || !isfinite(factor)) {
            builder_fail(b, SL_ERR_FORMAT,
                         "tensor 'rope_freqs.weight' holds %g, expected positive numbers",
                         (double)factor);
            return;
        }
        frequency[i] /= (double)factor;
    }
}

static void scale_frequencies(builder *b, double *frequency, size_t n_pair) {
    const str type = builder_string(b, "rope.scaling.type");
    /* scale_linear is the key that early files used. */
    const float old_factor = builder_float(b, "rope.scale_linear", false, 1, 1e-6, 1e6);
    const float factor = builder_float(b, "rope.scaling.factor", false, old_factor, 1e-6, 1e6);
    if (type.len == 0 || str_is(type, "linear")) { /* a factor of no type is linear: llama.cpp */
        for (size_t i = 0; i < n_pair; i++) {
            frequency[i] /= (double)factor;
        }
    } else if (str_is(type, "llama3")) {
        scale_like_llama3(b, frequency, n_pair, (double)factor);
    } else if (type.len != 0 && !str_is(type, "none")) {
        builder_fail(b, SL_ERR_UNSUPPORTED,
                     "rope.scaling.type '%.*s' is not supported; known: none, linear, llama3",
                     STR_ARG(type));
    }
    divide_by_factors(b, frequency, n_pair);
}

static slot_id build_angles(builder *b, const llama_shape *s) {
    const double base = (double)builder_float(b, "rope.freq_base", false, 10000, 1e-3, 1e12);
    const size_t n_pair = s->n_rot / 2;
    if (b->status != SL_OK) {
        return NO_SLOT;
    }
    double *frequency = malloc(n_pair * sizeof *frequency);
    if (!frequency) {
        b->status = error_memory(b->error, "rotary frequencies", n_pair * sizeof *frequency);
        return NO_SLOT;
    }
    for (size_t i = 0; i < n_pair; i++) {
        frequency[i] = kernel_pow(base, -2.0 * (double)i / (double)s->n_rot);
    }
    scale_frequencies(b, frequency, n_pair);
    const uint32_t set = program_add_angle_set(b->p, n_pair, frequency, b->error);
    if (set == UINT32_MAX) {
        b->status = SL_ERR_MEMORY;
    }
    const slot_id out = builder_slot(b, s->n_rot);
    builder_op(
        b,
        &(op){
            .kind = OP_ANGLES, .layer = UINT32_MAX, .in = NO_SLOT, .out = out, .as.angles = {set}});
    return out;
}

/* ---- layers --------------------------------------------------------------------------------- */

static op_linear normed(builder *b, const llama_shape *s, int64_t layer, const char *norm) {
    return (op_linear){
        .prepare = PREPARE_RMS_NORM,
        .norm_weight = builder_vector(b, layer, norm, s->n_embd),
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

static void build_attention(builder *b, const llama_shape *s, uint32_t layer, slot_id x,
                            slot_id angles) {
    const size_t q_width = s->n_head * s->head_k;
    const size_t k_width = s->n_head_kv * s->head_k, v_width = s->n_head_kv * s->head_v;
    op_linear qkv = normed(b, s, layer, "attn_norm.weight");
    join(b, &qkv, layer, "attn_q.weight", "attn_q.bias", q_width);
    join(b, &qkv, layer, "attn_k.weight", "attn_k.bias", k_width);
    join(b, &qkv, layer, "attn_v.weight", "attn_v.bias", v_width);
    const slot_id heads = builder_linear(b, layer, x, qkv, q_width + k_width + v_width);

    op_attention attention = {
        .kv_slot = builder_kv_slot(b, s->n_head_kv, s->head_k, s->head_v),
        .angles = angles,
        .n_rot = s->n_rot,
        .n_head = s->n_head,
        .n_head_kv = s->n_head_kv,
        .head_k = s->head_k,
        .head_v = s->head_v,
        .window = s->window,
        .scale = 1.0f / sqrtf((float)s->head_k),
    };
    builder_columns(&attention);
    const slot_id mixed = builder_attention(b, layer, heads, &attention);

    op_linear output = plain(PREPARE_NONE, s->n_head * s->head_v);
    join(b, &output, layer, "attn_output.weight", "attn_output.bias", s->n_embd);
    builder_linear_add(b, layer, mixed, x, output);
}

static void build_feed_forward(builder *b, const llama_shape *s, uint32_t layer, slot_id x) {
    op_linear gate_up = normed(b, s, layer, "ffn_norm.weight");
    join(b, &gate_up, layer, "ffn_gate.weight", "ffn_gate.bias", s->n_ff);
    join(b, &gate_up, layer, "ffn_up.weight", "ffn_up.bias", s->n_ff);
    const slot_id hidden = builder_linear(b, layer, x, gate_up, 2 * s->n_ff);

    op_linear down = plain(PREPARE_SILU_MUL, s->n_ff);
    join(b, &down, layer, "ffn_down.weight", "ffn_down.bias", s->n_embd);
    builder_linear_add(b, layer, hidden, x, down);
}

void llama_build(builder *b) {
    const llama_shape s = read_shape(b);
    b->p->n_layer = s.n_layer;
    const weight_id embedding = builder_matrix(b, -1, "token_embd.weight", s.n_embd, s.n_vocab);
    const slot_id x = builder_slot(b, s.n_embd);
    builder_op(b, &(op){.kind = OP_EMBED,
                        .layer = UINT32_MAX,
                        .in = NO_SLOT,
                        .out = x,
                        .as.embed = {embedding, NO_WEIGHT}});
    const slot_id angles = build_angles(b, &s);
    for (size_t layer = 0; layer < s.n_layer && b->status == SL_OK; layer++) {
        build_attention(b, &s, (uint32_t)layer, x, angles);
        build_feed_forward(b, &s, (uint32_t)layer, x);
    }
    builder_output(b, x, embedding, normed(b, &s, -1, "output_norm.weight"), s.n_vocab);
}
