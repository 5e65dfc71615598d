/* program_print.c - a program's operations as text, one line each. */
#include "program/program.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const prepare_names[] = {"",     "rms_norm", "layer_norm", "silu_mul",
                                            "gelu", "gelu_erf", "relu",       "gelu_mul"};

typedef struct line_writer {
    char *text;
    size_t size, used;
} line_writer;

static SL_PRINTF(2, 3) void put(line_writer *w, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(w->text + w->used, w->size - w->used, format, arguments);
    va_end(arguments);
    if (n > 0) {
        w->used += (size_t)n < w->size - w->used ? (size_t)n : w->size - w->used - 1;
    }
}

static void put_slot(line_writer *w, const program *p, slot_id id) {
    put(w, "s%u[%zu]", id, program_slot(p, id)->width);
}

static void put_weight(line_writer *w, const program *p, weight_id id) {
    const weight_ref *ref = program_weight(p, id);
    put(w, "w%u %s %zux%zu", id, quant_format_of(ref->type)->name, ref->n_out, ref->n_in);
}

static void put_linear(line_writer *w, const program *p, const op *o) {
    const op_linear *linear = &o->as.linear;
    put_slot(w, p, o->out);
    put(w, " %s linear(%s%s", linear->accumulate ? "+=" : "=", prepare_names[linear->prepare],
        linear->prepare == PREPARE_NONE ? "" : " ");
    put_slot(w, p, o->in);
    for (size_t i = 0; i < linear->n_weight && i < OP_MAX_WEIGHTS; i++) {
        put(w, ", ");
        put_weight(w, p, linear->weight[i]);
        put(w, "%s", linear->bias[i] != NO_WEIGHT ? " + bias" : "");
    }
    put(w, ")");
    if (linear->cap > 0) {
        put(w, " cap %g", (double)linear->cap);
    }
}

static void put_embed(line_writer *w, const program *p, const op *o) {
    const op_embed *e = &o->as.embed;
    put_slot(w, p, o->out);
    put(w, " %s embed(", e->tokens == NO_WEIGHT ? "+=" : "=");
    if (e->tokens != NO_WEIGHT) {
        put_weight(w, p, e->tokens);
        if (e->scale > 0) {
            put(w, " * %g", (double)e->scale);
        }
    }
    if (e->positions != NO_WEIGHT) {
        put(w, "%s", e->tokens == NO_WEIGHT ? "" : ", ");
        put_weight(w, p, e->positions);
    }
    put(w, ")");
}

/* Where heads lie, if that is not all q, all k, all v. */
static void put_columns(line_writer *w, const op_attention *a) {
    const size_t k_at = a->n_head * a->head_k, v_at = k_at + a->n_head_kv * a->head_k;
    if (a->q_at != 0 || a->k_at != k_at || a->v_at != v_at || a->q_step != a->head_k ||
        a->k_step != a->head_k || a->v_step != a->head_v) {
        put(w, ", q at %zu by %zu, k at %zu by %zu, v at %zu by %zu", a->q_at, a->q_step, a->k_at,
            a->k_step, a->v_at, a->v_step);
    }
}

static void put_attention(line_writer *w, const program *p, const op *o) {
    const op_attention *a = &o->as.attention;
    if (o->kind == OP_STORE_KV) {
        put(w, "kv%u = store(", a->kv_slot);
        put_slot(w, p, o->in);
        if (a->norms_heads) {
            put(w, ", rms_norm");
        }
        if (a->angles != NO_SLOT) {
            put(w, ", rotate %zu%s", a->n_rot, a->rope_halves ? " by halves" : "");
        }
        put_columns(w, a);
        put(w, ")");
        return;
    }
    put_slot(w, p, o->out);
    put(w, " = attention(");
    put_slot(w, p, o->in);
    put(w, ", kv%u, heads %zu/%zu of %zu", a->kv_slot, a->n_head, a->n_head_kv, a->head_k);
    if (a->window) {
        put(w, ", window %zu", a->window);
    }
    if (a->soft_cap > 0) {
        put(w, ", cap %g", (double)a->soft_cap);
    }
    if (a->alibi) {
        put(w, ", alibi");
    }
    put(w, ")");
}

void program_print_op(const program *p, size_t index, char *line, size_t line_bytes) {
    line_writer w = {line, line_bytes, 0};
    const op *o = program_op(p, index);
    if (o->layer == UINT32_MAX) {
        put(&w, "%5zu        ", index);
    } else {
        put(&w, "%5zu  L%-4u ", index, o->layer);
    }
    switch (o->kind) {
    case OP_EMBED:
        put_embed(&w, p, o);
        break;
    case OP_ANGLES:
        put_slot(&w, p, o->out);
        put(&w, " = angles(position)");
        if (o->as.angles.long_from > 0) {
            put(&w, " or, beyond %zu, long ones", o->as.angles.long_from);
        }
        break;
    case OP_LINEAR:
        put_linear(&w, p, o);
        break;
    case OP_STORE_KV:
    case OP_ATTENTION:
        put_attention(&w, p, o);
        break;
    case OP_SELECT:
        put_slot(&w, p, o->out);
        put(&w, " = select(");
        put_slot(&w, p, o->in);
        put(&w, ")");
        break;
    case OP_NORM:
        put_slot(&w, p, o->out);
        put(&w, " %s %s(", o->as.linear.accumulate ? "+=" : "=",
            prepare_names[o->as.linear.prepare]);
        put_slot(&w, p, o->in);
        put(&w, ")");
        break;
    }
}
