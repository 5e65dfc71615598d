#include "models/classic.h"

#include "base/limits.h"
#include "base/size.h"
#include "models/rotary.h"

#include <math.h>
#include <stdio.h>

enum { NAME_BYTES = 64 };

/* ---- hyper-parameters ----------------------------------------------------------------------- */

classic_shape classic_read(builder *b) {
    classic_shape s;
    b->p->n_ctx_train = builder_u64(b, "context_length", BUILDER_REQUIRED, 1, LIMIT_CONTEXT);
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
    s.head = s.n_embd / s.n_head;
    b->p->n_layer = s.n_layer;
    return s;
}

void classic_no_groups(builder *b, const classic_shape *s) {
    const size_t n = builder_u64(b, "attention.head_count_kv", s->n_head, 1, LIMIT_HEADS);
    if (n != s->n_head) {
        builder_fail(b, SL_ERR_FORMAT,
                     "attention.head_count_kv is %zu, expected %zu, which is attention.head_count",
                     n, s->n_head);
    }
}

size_t classic_n_rot(builder *b, const classic_shape *s) {
    const size_t n = builder_u64(b, "rope.dimension_count", s->head, 2, LIMIT_HEAD_SIZE);
    if (n % 2 != 0 || n > s->head) {
        builder_fail(b, SL_ERR_FORMAT,
                     "rope.dimension_count is %zu, expected an even number up to the head size %zu",
                     n, s->head);
    }
    return n;
}

slot_id classic_angles(builder *b, size_t n_rot) {
    return rotary_angles(b, &(rotary){n_rot, "rope.freq_base", 10000, true});
}

prepare_kind classic_activation(builder *b, const char *key, prepare_kind otherwise) {
    static const struct {
        const char *name;
        prepare_kind prepare;
    } known[] = {
        {"gelu", PREPARE_GELU_ERF},
        {"gelu_tanh", PREPARE_GELU},
        {"relu", PREPARE_RELU},
    };
    str name = {"", 0};
    if (b->status == SL_OK) {
        b->status = meta_get_string(b->file, key, false, &name, b->error);
    }
    if (name.len == 0) {
        return otherwise;
    }
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (str_is(name, known[i].name)) {
            return known[i].prepare;
        }
    }
    builder_fail(b, SL_ERR_UNSUPPORTED,
                 "%s '%.*s' is not supported here; known: gelu, gelu_tanh, relu", key,
                 STR_ARG(name));
    return otherwise;
}

bool classic_has(const builder *b, const char *tensor) {
    return tensor_find(b->file, str_from(tensor)) != NULL;
}

/* ---- tensors -------------------------------------------------------------------------------- */

static weight_id vector_of(builder *b, int64_t layer, const char *name, const char *ending,
                           size_t n) {
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%s.%s", name, ending);
    return builder_vector(b, layer, full, n);
}

void classic_join(builder *b, op_linear *linear, int64_t layer, const char *name, size_t n_out,
                  bool bias) {
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%s.weight", name);
    const size_t i = linear->n_weight++;
    linear->weight[i] = builder_matrix(b, layer, full, linear->n_in, n_out);
    linear->bias[i] = bias ? vector_of(b, layer, name, "bias", n_out) : NO_WEIGHT;
}

op_linear classic_linear(builder *b, int64_t layer, const char *name, size_t n_in, size_t n_out,
                         bool bias) {
    op_linear linear = {.norm_weight = NO_WEIGHT, .norm_bias = NO_WEIGHT, .n_in = n_in};
    classic_join(b, &linear, layer, name, n_out, bias);
    return linear;
}

void classic_norm(builder *b, op_linear *linear, int64_t layer, const char *name, float epsilon,
                  bool affine) {
    linear->prepare = PREPARE_LAYER_NORM;
    linear->epsilon = epsilon;
    linear->norm_weight = affine ? vector_of(b, layer, name, "weight", linear->n_in) : NO_WEIGHT;
    linear->norm_bias = affine ? vector_of(b, layer, name, "bias", linear->n_in) : NO_WEIGHT;
}

op_linear classic_norm_alone(builder *b, int64_t layer, const char *name, const classic_shape *s,
                             bool affine) {
    op_linear norm = {.n_in = s->n_embd};
    classic_norm(b, &norm, layer, name, s->epsilon, affine);
    return norm;
}

/* ---- operations ----------------------------------------------------------------------------- */

slot_id classic_embed(builder *b, size_t width, size_t n_vocab, size_t n_position,
                      weight_id *embedding) {
    *embedding = builder_matrix(b, -1, "token_embd.weight", width, n_vocab);
    const weight_id positions =
        n_position ? builder_matrix(b, -1, "position_embd.weight", width, n_position) : NO_WEIGHT;
    const slot_id x = builder_slot(b, width);
    builder_op(b, &(op){.kind = OP_EMBED,
                        .layer = UINT32_MAX,
                        .in = NO_SLOT,
                        .out = x,
                        .as.embed = {.tokens = *embedding, .positions = positions}});
    return x;
}

void classic_norm_in_place(builder *b, uint32_t layer, slot_id x, op_linear norm) {
    builder_op(b, &(op){.kind = OP_NORM, .layer = layer, .in = x, .out = x, .as.linear = norm});
}

op_attention classic_attention(builder *b, const classic_shape *s) {
    op_attention a = {
        .kv_slot = builder_kv_slot(b, s->n_head, s->head, s->head),
        .angles = NO_SLOT,
        .n_head = s->n_head,
        .n_head_kv = s->n_head,
        .head_k = s->head,
        .head_v = s->head,
        .scale = 1.0f / sqrtf((float)s->head),
    };
    if (builder_flag(b, "sluice.qkv_interleaved")) {
        builder_interleaved_columns(&a);
    } else {
        builder_columns(&a);
    }
    return a;
}
