#include "program/program.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <stdlib.h>

program program_new(void) {
    return (program){
        .ops = array_new(sizeof(op), 16 * LIMIT_LAYERS),
        .slots = array_new(sizeof(slot_plan), 16 * LIMIT_LAYERS),
        .weights = array_new(sizeof(weight_ref), 32 * LIMIT_LAYERS),
        .kv_slots = array_new(sizeof(kv_slot), LIMIT_LAYERS),
        .angle_sets = array_new(sizeof(angle_set), 16),
        .hidden = NO_SLOT,
        .logits = NO_SLOT,
    };
}

void program_free(program *p) {
    for (size_t i = 0; i < p->angle_sets.count; i++) {
        free(((angle_set *)p->angle_sets.items)[i].frequency);
    }
    array_free(&p->ops);
    array_free(&p->slots);
    array_free(&p->weights);
    array_free(&p->kv_slots);
    array_free(&p->angle_sets);
}

static size_t array_bytes(const array *a) {
    return a->capacity * a->element_size;
}

size_t program_bytes(const program *p) {
    size_t bytes = array_bytes(&p->ops) + array_bytes(&p->slots) + array_bytes(&p->weights) +
                   array_bytes(&p->kv_slots) + array_bytes(&p->angle_sets);
    for (uint32_t i = 0; i < p->angle_sets.count; i++) {
        bytes += program_angle_set(p, i)->n_pair * sizeof(double);
    }
    return bytes;
}

/* The number of the element just pushed, or UINT32_MAX. */
static uint32_t add(array *a, const void *item, sl_error *error) {
    return array_push(a, item, error) == SL_OK ? (uint32_t)(a->count - 1) : UINT32_MAX;
}

slot_id program_add_slot(program *p, size_t width, sl_error *error) {
    return add(&p->slots, &(slot_plan){.width = width, .first_op = SIZE_MAX}, error);
}

weight_id program_add_weight(program *p, const weight_ref *weight, sl_error *error) {
    return add(&p->weights, weight, error);
}

uint32_t program_add_kv_slot(program *p, const kv_slot *kv, sl_error *error) {
    return add(&p->kv_slots, kv, error);
}

uint32_t program_add_angle_set(program *p, size_t n_pair, double *frequency, sl_error *error) {
    const uint32_t id = add(&p->angle_sets, &(angle_set){n_pair, frequency}, error);
    if (id == UINT32_MAX) {
        free(frequency);
    }
    return id;
}

sl_status program_add_op(program *p, const op *operation, sl_error *error) {
    return array_push(&p->ops, operation, error);
}

/* ---- checks --------------------------------------------------------------------------------- */

static bool is_vector(const program *p, weight_id id, size_t length) {
    if (id == NO_WEIGHT) {
        return true;
    }
    const weight_ref *w = program_weight(p, id);
    return w->vector && w->n_in == length;
}

static bool prepare_fits(const program *p, const op *o) {
    const op_linear *linear = &o->as.linear;
    const size_t in_width = program_slot(p, o->in)->width;
    const bool gated = linear->prepare == PREPARE_SILU_MUL || linear->prepare == PREPARE_GELU_MUL;
    const size_t wanted = gated ? 2 * linear->n_in : linear->n_in;
    const bool rms = linear->prepare == PREPARE_RMS_NORM;
    const bool layer = linear->prepare == PREPARE_LAYER_NORM;
    return in_width == wanted && (!rms || linear->norm_weight != NO_WEIGHT) &&
           (rms || layer || linear->norm_weight == NO_WEIGHT) &&
           (layer || linear->norm_bias == NO_WEIGHT) &&
           is_vector(p, linear->norm_weight, in_width) && is_vector(p, linear->norm_bias, in_width);
}

static bool linear_fits(const program *p, const op *o) {
    const op_linear *linear = &o->as.linear;
    if (!prepare_fits(p, o) || linear->n_weight == 0 || linear->n_weight > OP_MAX_WEIGHTS ||
        (linear->accumulate && linear->cap > 0) ||
        o->in == o->out) { /* a part of `out` may be written while `in` is still read */
        return false;
    }
    size_t out_width = 0;
    for (size_t i = 0; i < linear->n_weight; i++) {
        const weight_ref *w = program_weight(p, linear->weight[i]);
        if (w->vector || w->n_in != linear->n_in || !is_vector(p, linear->bias[i], w->n_out)) {
            return false;
        }
        out_width += w->n_out;
    }
    return out_width == program_slot(p, o->out)->width;
}

/* n heads of `width` columns each, the first at `at`: within `columns`, and none over another. */
static bool heads_fit(size_t at, size_t step, size_t n, size_t width, size_t columns) {
    size_t last, end;
    return step >= width && size_mul(step, n - 1, &last) && size_add(last, at, &last) &&
           size_add(last, width, &end) && end <= columns;
}

static bool columns_fit(const op_attention *a, size_t columns) {
    return a->n_head > 0 && a->n_head_kv > 0 &&
           heads_fit(a->q_at, a->q_step, a->n_head, a->head_k, columns) &&
           heads_fit(a->k_at, a->k_step, a->n_head_kv, a->head_k, columns) &&
           heads_fit(a->v_at, a->v_step, a->n_head_kv, a->head_v, columns);
}

static bool attention_fits(const program *p, const op *o) {
    const op_attention *a = &o->as.attention;
    const kv_slot *kv = program_kv_slot(p, a->kv_slot);
    const bool rotated = a->angles == NO_SLOT ||
                         (a->n_rot <= a->head_k && program_slot(p, a->angles)->width == a->n_rot);
    const bool normed =
        !a->norms_heads || (a->q_norm != NO_WEIGHT && is_vector(p, a->q_norm, a->head_k) &&
                            a->k_norm != NO_WEIGHT && is_vector(p, a->k_norm, a->head_k));
    return columns_fit(a, program_slot(p, o->in)->width) && a->n_head % a->n_head_kv == 0 &&
           rotated && normed && kv->n_head_kv == a->n_head_kv && kv->head_k == a->head_k &&
           kv->head_v == a->head_v &&
           (o->kind == OP_STORE_KV || program_slot(p, o->out)->width == a->n_head * a->head_v);
}

/* A table of rows that EMBED reads. */
static bool is_table(const program *p, weight_id id, size_t width) {
    return id == NO_WEIGHT || program_weight(p, id)->n_in == width;
}

static bool embed_fits(const program *p, const op *o) {
    const size_t width = program_slot(p, o->out)->width;
    return (o->as.embed.tokens != NO_WEIGHT || o->as.embed.positions != NO_WEIGHT) &&
           is_table(p, o->as.embed.tokens, width) && is_table(p, o->as.embed.positions, width);
}

static bool norm_fits(const program *p, const op *o) {
    const prepare_kind prepare = o->as.linear.prepare;
    const bool norm = prepare == PREPARE_RMS_NORM || prepare == PREPARE_LAYER_NORM;
    return prepare_fits(p, o) && (norm || o->in != o->out) &&
           o->as.linear.n_in == program_slot(p, o->out)->width;
}

static bool angles_fit(const program *p, const op *o) {
    const op_angles *a = &o->as.angles;
    const size_t width = program_slot(p, o->out)->width;
    return 2 * program_angle_set(p, a->set)->n_pair == width &&
           (a->long_from == 0 || 2 * program_angle_set(p, a->long_set)->n_pair == width);
}

static bool op_fits(const program *p, const op *o) {
    switch (o->kind) {
    case OP_EMBED:
        return embed_fits(p, o);
    case OP_ANGLES:
        return angles_fit(p, o);
    case OP_LINEAR:
        return linear_fits(p, o);
    case OP_STORE_KV:
    case OP_ATTENTION:
        return attention_fits(p, o);
    case OP_SELECT:
        return program_slot(p, o->in)->width == program_slot(p, o->out)->width;
    case OP_NORM:
        return norm_fits(p, o);
    }
    return false;
}

/* ---- plan ----------------------------------------------------------------------------------- */

static void touch(program *p, slot_id id, size_t op_index) {
    if (id == NO_SLOT) {
        return;
    }
    slot_plan *s = &((slot_plan *)p->slots.items)[id];
    s->first_op = size_min(s->first_op, op_index);
    s->last_op = op_index;
}

static bool in_the_way(const slot_plan *a, const slot_plan *b) {
    return a->selected == b->selected && a->first_op <= b->last_op && b->first_op <= a->last_op;
}

/* First fit in order of birth: the lowest offset at which no living slot is in the way. */
static void place_slot(program *p, size_t index) {
    slot_plan *slots = p->slots.items;
    slot_plan *mine = &slots[index];
    const size_t width = size_round_up(mine->width, 16); /* rows stay on 64-byte lines */
    size_t offset = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (size_t i = 0; i < index; i++) {
            const size_t other_end = slots[i].offset + size_round_up(slots[i].width, 16);
            if (in_the_way(&slots[i], mine) && offset < other_end &&
                slots[i].offset < offset + width) {
                offset = other_end;
                moved = true;
            }
        }
    }
    mine->offset = offset;
    size_t *row_width = mine->selected ? &p->selected_row_width : &p->row_width;
    *row_width = size_max(*row_width, offset + width);
}

sl_status program_finish(program *p, sl_error *error) {
    bool selected = false;
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        if (!op_fits(p, o)) {
            char line[200];
            program_print_op(p, i, line, sizeof line);
            return error_set(error, SL_ERR_FORMAT, "operation %zu does not fit together: %s", i,
                             line);
        }
        touch(p, o->in, i);
        touch(p, o->out, i);
        if (o->kind == OP_STORE_KV) {
            touch(p, o->as.attention.angles, i);
        }
        selected = selected || o->kind == OP_SELECT;
        if (selected && o->out != NO_SLOT) {
            ((slot_plan *)p->slots.items)[o->out].selected = true;
        }
    }
    touch(p, p->hidden, p->ops.count);
    touch(p, p->logits, p->ops.count);
    for (size_t i = 0; i < p->slots.count; i++) {
        place_slot(p, i);
    }
    return SL_OK;
}

uint64_t program_pass_bytes(const program *p) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        for (size_t k = 0; o->kind == OP_LINEAR && k < o->as.linear.n_weight; k++) {
            const weight_ref *ref = program_weight(p, o->as.linear.weight[k]);
            bytes += (uint64_t)ref->n_out * ref->row_stride;
        }
    }
    return bytes;
}
