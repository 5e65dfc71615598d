/* program.h - a model's computation as data: a list of operations on slots and weights.
 *
 * program/ holds the data type, its construction, its checks, its printing and the plan of its
 * memory. A program has no pointers into weights or buffers and does not know how many rows it
 * will be run for: a slot is a width, a weight is a number and a description.
 *
 * For each row (a token at a position of a sequence) a program computes, from top to bottom:
 *
 *   EMBED      out = row `token` of a weight, scaled (+ row `position` of another), or out += the
 *              latter
 *   ANGLES     out = cos, sin pairs of the row's position
 *   LINEAR     out = W * prepare(in) + bias, or out += the same; up to three W side by side; a soft
 *              cap on the result
 *   STORE_KV   norms and rotates q and k inside a slot, writes k and v into the cache of a layer
 *   ATTENTION  out = softmax(q K^T) V over what the row may see
 *   SELECT     keeps only rows that something is wanted of
 *   NORM       out = prepare(in), for all rows or the kept ones; a norm may be in place
 */
#ifndef PROGRAM_PROGRAM_H
#define PROGRAM_PROGRAM_H

#include "base/array.h"
#include "ops/linear.h"
#include "quant/quant.h"
#include "sluice.h"

#include <stdint.h>

typedef uint32_t slot_id;
typedef uint32_t weight_id;
#define NO_SLOT UINT32_MAX
#define NO_WEIGHT UINT32_MAX

/* A matrix of n_out rows of n_in values, or a vector of n_in values (n_out 1), as it lies in the
 * model file. Row r begins at tensor data + offset + r * row_stride. */
typedef struct weight_ref {
    uint32_t tensor; /* number in the file's table */
    quant_type type;
    bool vector;   /* used as floats: norm weights, biases */
    bool plus_one; /* of a vector: the file's values w stand for 1 + w */
    size_t n_in, n_out;
    size_t offset, row_stride; /* bytes */
} weight_ref;

typedef enum op_kind {
    OP_EMBED,
    OP_ANGLES,
    OP_LINEAR,
    OP_STORE_KV,
    OP_ATTENTION,
    OP_SELECT,
    OP_NORM,
} op_kind;

enum { OP_MAX_WEIGHTS = LINEAR_MAX_PARTS };

typedef struct op_embed {
    weight_id tokens;    /* NO_WEIGHT: the row of `positions` is added to what `out` holds */
    weight_id positions; /* or NO_WEIGHT */
    float scale;         /* of the token's row; rows of vectors stay as they are. 0: none */
} op_embed;

/* angle of pair i = position * frequency[i] (program.angle_sets[set]). Where sequences may become
 * longer than long_from positions, long_set holds for all of them: what a token comes to then still
 * depends on nothing but the tokens before it and on the room that was asked for. */
typedef struct op_angles {
    uint32_t set, long_set;
    size_t long_from; /* 0: long_set is not used */
    float magnitude;  /* cosine and sine times this; 0: as they are */
} op_angles;

typedef struct op_linear {
    prepare_kind prepare;             /* NORM has this, the norm and n_in, and no weights */
    weight_id norm_weight, norm_bias; /* NO_WEIGHT: none; for LAYER_NORM: ones, zeros */
    float epsilon;
    size_t n_in; /* after prepare */
    size_t n_weight;
    weight_id weight[OP_MAX_WEIGHTS];
    weight_id bias[OP_MAX_WEIGHTS]; /* NO_WEIGHT: none */
    bool accumulate;                /* out +=, NORM's too */
    float cap;                      /* out = cap * tanh(out / cap), not with accumulate; 0: none */
} op_linear;

/* Head h of the queries begins at column q_at + h * q_step of `in`, and likewise keys and values:
 * all q, all k, all v, or q, k, v of one head after the other, or as a file has it. */
typedef struct op_attention {
    uint32_t kv_slot;
    slot_id angles;   /* STORE_KV: NO_SLOT: no rotation */
    size_t n_rot;     /* values rotated at the front of each head */
    bool rope_halves; /* pairs are (i, i + n_rot / 2), not (2i, 2i + 1) */
    size_t n_head, n_head_kv, head_k, head_v;
    size_t q_at, k_at, v_at, q_step, k_step, v_step;
    size_t window; /* keys seen, the row's own included; 0: all */
    float scale;
    float soft_cap;           /* of scores, once scaled; 0: none */
    bool norms_heads;         /* STORE_KV: RMS norm of each head of q and k before the rotation */
    weight_id q_norm, k_norm; /* head_k factors each, for all heads; read only if norms_heads */
    float epsilon;            /* of these norms */
    bool alibi;               /* scores are biased by distance: ops/attention.h */
} op_attention;

typedef struct op {
    op_kind kind;
    uint32_t layer; /* for printing; UINT32_MAX outside layers */
    slot_id in, out;
    union {
        op_embed embed;
        op_angles angles;
        op_linear linear;       /* LINEAR and NORM */
        op_attention attention; /* STORE_KV and ATTENTION */
    } as;
} op;

/* Activations: `width` floats for each row; of a selected slot, for each row that SELECT kept. The
 * two kinds lie in arenas of their own. */
typedef struct slot_plan {
    size_t width;
    bool selected;
    size_t first_op, last_op; /* first writer, last user; from program_finish */
    size_t offset;            /* floats into a row's share of the arena; from program_finish */
} slot_plan;

/* A layer's keys and values of one position. */
typedef struct kv_slot {
    size_t n_head_kv, head_k, head_v;
} kv_slot;

/* Frequencies of rotary pairs, in radians a position. */
typedef struct angle_set {
    size_t n_pair;
    double *frequency; /* n_pair, owned by the program */
} angle_set;

typedef struct program {
    array ops;        /* op */
    array slots;      /* slot_plan */
    array weights;    /* weight_ref */
    array kv_slots;   /* kv_slot */
    array angle_sets; /* angle_set */
    slot_id hidden, logits;
    size_t n_vocab, n_layer;
    size_t n_embd;  /* width of an embedding and of a hidden state; layers may be wider */
    size_t n_table; /* tensors that only the builder read: rotary factors */
    size_t n_ctx_train;
    size_t n_ctx_limit; /* most positions that can be computed at all; 0: any */
    /* Floats of arena for a row, and for a selected row; from program_finish. */
    size_t row_width, selected_row_width;
} program;

program program_new(void);
void program_free(program *p);

/* Bytes held, for the memory plan. */
size_t program_bytes(const program *p);

/* Bytes of the matrices that a pass multiplies with: what decoding one token reads. */
uint64_t program_pass_bytes(const program *p);

/* Building. Each returns the new thing's number, or fills *error and returns UINT32_MAX; after one
 * failure the program can only be freed. */
slot_id program_add_slot(program *p, size_t width, sl_error *error);
weight_id program_add_weight(program *p, const weight_ref *weight, sl_error *error);
uint32_t program_add_kv_slot(program *p, const kv_slot *slot, sl_error *error);
/* Takes over `frequency` (from malloc), also on failure. */
uint32_t program_add_angle_set(program *p, size_t n_pair, double *frequency, sl_error *error);
SL_CHECK sl_status program_add_op(program *p, const op *operation, sl_error *error);

/* Checks every operation's widths against its slots and weights and plans the arena: slots whose
 * lives do not meet share room. What it finds wrong is a fault of the model's builder or of its
 * hyper-parameters, and is said with the operation. */
SL_CHECK sl_status program_finish(program *p, sl_error *error);

/* One line of text for operation `index`. */
void program_print_op(const program *p, size_t index, char *line, size_t line_bytes);

static inline const op *program_op(const program *p, size_t index) {
    return &((const op *)p->ops.items)[index];
}

static inline const slot_plan *program_slot(const program *p, slot_id id) {
    return &((const slot_plan *)p->slots.items)[id];
}

static inline const weight_ref *program_weight(const program *p, weight_id id) {
    return &((const weight_ref *)p->weights.items)[id];
}

static inline const kv_slot *program_kv_slot(const program *p, uint32_t id) {
    return &((const kv_slot *)p->kv_slots.items)[id];
}

static inline const angle_set *program_angle_set(const program *p, uint32_t id) {
    return &((const angle_set *)p->angle_sets.items)[id];
}

#endif
