#include "engine/executor.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "kernels/kernels.h"
#include "kernels/packed.h"
#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/team.h"
#include "os/os.h"

#include <stdlib.h>
#include <string.h>

enum { LINE = 64, STORE_STEP = 16 };

/* Where everything is in the one block of memory. Bytes. */
typedef struct layout {
    size_t rows;     /* slots of all rows */
    size_t selected; /* slots of rows with an output */
    size_t prepared[KERNEL_ROW_LIMIT];
    size_t counters, attention_rows, blocks, chosen;
    size_t parts, finished; /* of attention; shared by all members */
    size_t part_floats, n_finished;
    size_t block_rows; /* most rows of a block */
    size_t members;    /* each: row, prepared, tile, attention, panels, kernels */
    size_t member_row, member_tile, member_attention, member_panels, member_kernels, member_bytes;
    size_t member_prepared[KERNEL_ROW_LIMIT]; /* a row, for batches of one */
    size_t total;
} layout;

struct executor {
    const program *p;
    residency *weights;
    executor_options options;
    kernel_table kernels;
    layout at;
    uint8_t *memory;
    team *team;
    kv_cache *kv;
    const executor_squares *squares; /* NULL: nobody wants them */
    /* The batch being run. */
    const batch_row *batch;
    size_t n_row, n_block, n_chosen;
    executor_poll_fn poll;
    void *user;
    _Atomic size_t stop_after; /* number of an operation; SIZE_MAX: run to the end */
    _Atomic bool row_failed;   /* a row of an embedding could not be read: zeros stand for it */
    sl_error row_error;        /* of the first such row; for when the run has ended */
};

/* ---- memory --------------------------------------------------------------------------------- */

static size_t slot_stride(const slot_plan *s) {
    return size_round_up(s->width, LINE / sizeof(float));
}

/* The widest prepared row of each form, and of all. */
static void widest_rows(const program *p, size_t bytes[KERNEL_ROW_LIMIT], size_t *floats) {
    memset(bytes, 0, KERNEL_ROW_LIMIT * sizeof *bytes);
    *floats = 0;
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        if (o->kind == OP_EMBED && o->as.embed.positions != NO_WEIGHT) {
            *floats = size_max(*floats, 2 * program_weight(p, o->as.embed.positions)->n_in);
        }
        if (o->kind != OP_LINEAR && o->kind != OP_NORM) {
            continue;
        }
        *floats = size_max(*floats, o->as.linear.n_in);
        for (size_t k = 0; k < o->as.linear.n_weight; k++) {
            const kernel_row form = kernel_row_of(program_weight(p, o->as.linear.weight[k])->type);
            bytes[form] = size_max(bytes[form], kernel_row_bytes(form, o->as.linear.n_in));
        }
    }
    for (size_t i = 0; i < p->weights.count; i++) {
        *floats = size_max(*floats, program_weight(p, (weight_id)i)->n_in); /* for EMBED */
    }
}

/* Bytes of a row of the matrices that may be packed for one use. */
static size_t widest_quantized_row(const program *p) {
    size_t widest = 0;
    for (size_t i = 0; i < p->weights.count; i++) {
        const weight_ref *ref = program_weight(p, (weight_id)i);
        if (!ref->vector && packed_exists(ref->type)) {
            widest = size_max(widest, quant_row_bytes(ref->type, ref->n_in));
        }
    }
    return widest;
}

/* What attention needs: the most of all its operations, and blocks that suit each. */
typedef struct attention_need {
    size_t member_bytes, part_floats, n_finished, block_rows;
} attention_need;

static attention_need attention_needs(const program *p, const executor_options *options) {
    attention_need n = {.block_rows = SIZE_MAX};
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        if (o->kind != OP_ATTENTION) {
            continue;
        }
        const op_attention *a = &o->as.attention;
        n.member_bytes = size_max(
            n.member_bytes, attention_scratch_bytes(a->n_head, a->n_head_kv, a->head_k, a->head_v));
        n.block_rows = size_min(n.block_rows, attention_rows_most(a->n_head / a->n_head_kv));
        if (options->threads > 1) {
            n.part_floats = size_max(
                n.part_floats, attention_shared_floats(options->n_positions, a->n_head, a->head_v));
            n.n_finished = size_max(n.n_finished, options->n_batch * a->n_head_kv);
        }
    }
    return n;
}

/* Takes count * bytes at the layout's end; sticky overflow in total = SIZE_MAX. */
static size_t reserve(layout *l, size_t count, size_t bytes) {
    const size_t at = l->total;
    size_t all;
    if (at == SIZE_MAX || !size_mul(count, bytes, &all) || all > SIZE_MAX / 2 ||
        !size_add(at, size_round_up(all, LINE), &l->total)) {
        l->total = SIZE_MAX;
    }
    return at;
}

static layout plan_layout(const program *p, const executor_options *o) {
    layout l = {0};
    size_t row_bytes[KERNEL_ROW_LIMIT], row_floats;
    widest_rows(p, row_bytes, &row_floats);
    const attention_need attention = attention_needs(p, o);

    l.member_row = reserve(&l, row_floats, sizeof(float));
    for (size_t form = 0; form < KERNEL_ROW_LIMIT; form++) {
        l.member_prepared[form] = reserve(&l, 1, row_bytes[form]);
    }
    const size_t tile = size_max((size_t)LINEAR_TILE_OUT * o->n_batch, LINEAR_TILE_ONE);
    l.member_tile = reserve(&l, tile, sizeof(float));
    l.member_attention = reserve(&l, 1, attention.member_bytes);
    l.member_panels = reserve(&l, LINEAR_PANEL_ROWS, widest_quantized_row(p));
    l.member_kernels = reserve(&l, 1, KERNEL_SCRATCH_BYTES);
    l.member_bytes = l.total;

    l.total = 0;
    l.members = reserve(&l, o->threads, l.member_bytes);
    l.rows = reserve(&l, o->n_batch, p->row_width * sizeof(float));
    l.selected = reserve(&l, o->n_output, p->selected_row_width * sizeof(float));
    for (size_t form = 0; form < KERNEL_ROW_LIMIT; form++) {
        l.prepared[form] = reserve(&l, o->n_batch, row_bytes[form]);
    }
    l.counters = reserve(&l, p->ops.count * LINEAR_COUNTERS(o->threads), sizeof(_Atomic size_t));
    l.attention_rows = reserve(&l, o->n_batch, sizeof(attention_row));
    l.blocks = reserve(&l, o->n_batch, sizeof(attention_block));
    l.chosen = reserve(&l, o->n_output, sizeof(size_t));
    l.parts = reserve(&l, attention.part_floats, sizeof(float));
    l.finished = reserve(&l, attention.n_finished, sizeof(_Atomic uint32_t));
    l.part_floats = attention.part_floats;
    l.n_finished = attention.n_finished;
    l.block_rows = attention.block_rows;
    return l;
}

static sl_status check_option(const char *name, size_t value, size_t most, sl_error *error) {
    if (value < 1 || value > most) {
        return error_set(error, SL_ERR_ARGUMENT, "%s is %zu, expected 1 to %zu", name, value, most);
    }
    return SL_OK;
}

sl_status executor_make_plan(const program *p, const executor_options *options, executor_plan *plan,
                             sl_error *error) {
    const executor_options *o = options;
    if (check_option("the number of threads", o->threads, LIMIT_THREADS, error) != SL_OK ||
        check_option("the batch size", o->n_batch, LIMIT_BATCH, error) != SL_OK ||
        check_option("the number of outputs", o->n_output, o->n_batch, error) != SL_OK ||
        check_option("the number of sequences", o->n_seq, LIMIT_BATCH, error) != SL_OK ||
        check_option("the context", o->n_positions, LIMIT_CONTEXT, error) != SL_OK) {
        return SL_ERR_ARGUMENT;
    }
    const sl_status status = kv_check_types(p, o->type_k, o->type_v, error);
    if (status != SL_OK) {
        return status;
    }
    const layout l = plan_layout(p, options);
    const size_t pages = (o->n_positions + ATTENTION_PAGE - 1) / ATTENTION_PAGE;
    const size_t page_bytes = kv_page_bytes(p, o->type_k, o->type_v);
    size_t kv_bytes;
    if (l.total == SIZE_MAX || page_bytes == 0 || !size_mul(pages, page_bytes, &kv_bytes)) {
        return error_set(error, SL_ERR_MEMORY, "the model's buffers would not fit any memory");
    }
    *plan = (executor_plan){
        .kv_bytes = kv_bytes,
        .buffer_bytes = l.total + kv_table_bytes(o->n_positions, o->n_seq),
    };
    return SL_OK;
}

sl_status executor_create(const program *p, residency *weights, const executor_options *options,
                          executor **out, sl_error *error) {
    executor_plan plan;
    sl_status status = executor_make_plan(p, options, &plan, error);
    if (status != SL_OK) {
        return status;
    }
    executor *e = calloc(1, sizeof *e);
    if (!e) {
        return error_memory(error, "the executor", sizeof *e);
    }
    *e = (executor){.p = p, .weights = weights, .options = *options};
    e->at = plan_layout(p, options);
    kernel_table_fill(&e->kernels, cpu_features() & ~options->hidden_features);
    e->memory = os_pages_allocate(e->at.total);
    status = e->memory ? SL_OK : error_memory(error, "activations", e->at.total);
    if (status == SL_OK) {
        status = kv_create(p, options->type_k, options->type_v, options->n_positions,
                           options->n_seq, &e->kv, error);
    }
    if (status == SL_OK) {
        status = team_create(options->threads, &e->team, error);
    }
    if (status != SL_OK) {
        executor_free(e);
        return status;
    }
    *out = e;
    return SL_OK;
}

void executor_free(executor *e) {
    if (!e) {
        return;
    }
    team_free(e->team);
    kv_free(e->kv);
    os_pages_free(e->memory, e->at.total);
    free(e);
}

kv_cache *executor_kv(executor *e) {
    return e->kv;
}

void executor_observe(executor *e, const executor_squares *squares) {
    e->squares = squares;
}

/* ---- views of the memory -------------------------------------------------------------------- */

static float *slot_rows(const executor *e, slot_id id) {
    const slot_plan *s = program_slot(e->p, id);
    float *base = (float *)(e->memory + (s->selected ? e->at.selected : e->at.rows));
    return base + s->offset * (s->selected ? e->options.n_output : e->options.n_batch);
}

static float *slot_row(const executor *e, slot_id id, size_t row) {
    return slot_rows(e, id) + row * slot_stride(program_slot(e->p, id));
}

static size_t slot_count(const executor *e, slot_id id) {
    return program_slot(e->p, id)->selected ? e->n_chosen : e->n_row;
}

static uint8_t *member_memory(const executor *e, size_t member) {
    return e->memory + e->at.members + member * e->at.member_bytes;
}

static _Atomic size_t *counters(const executor *e, size_t op_index) {
    return (_Atomic size_t *)(e->memory + e->at.counters) +
           op_index * LINEAR_COUNTERS(e->options.threads);
}

static attention_row *attention_rows(const executor *e) {
    return (attention_row *)(e->memory + e->at.attention_rows);
}

static attention_block *blocks(const executor *e) {
    return (attention_block *)(e->memory + e->at.blocks);
}

static size_t *chosen_rows(const executor *e) {
    return (size_t *)(e->memory + e->at.chosen);
}

float *executor_logits(executor *e, size_t index) {
    return slot_row(e, e->p->logits, index);
}

float *executor_hidden(executor *e, size_t index) {
    return slot_row(e, e->p->hidden, index);
}

/* ---- operations ----------------------------------------------------------------------------- */

/* A row of a table. If it cannot be read the run is spoilt, which is told when it has ended. */
static const void *read_row(executor *e, weight_id id, size_t row, void *room) {
    sl_error error;
    const void *const found = residency_row(e->weights, id, row, room, &error);
    if (found) {
        return found;
    }
    if (!atomic_exchange(&e->row_failed, true)) {
        e->row_error = error;
    }
    const weight_ref *table = program_weight(e->p, id);
    return memset(room, 0, quant_row_bytes(table->type, table->n_in));
}

static void embed_row(executor *e, const op *o, size_t row, float *scratch) {
    const batch_row *r = &e->batch[row];
    float *out = slot_row(e, o->out, row);
    if (o->as.embed.tokens != NO_WEIGHT) {
        const weight_ref *tokens = program_weight(e->p, o->as.embed.tokens);
        if (r->vector) {
            memcpy(out, r->vector, tokens->n_in * sizeof *out);
        } else {
            const void *values = read_row(e, o->as.embed.tokens, (size_t)r->token, scratch);
            e->kernels.decode[tokens->type](values, out, tokens->n_in);
            if (o->as.embed.scale > 0) {
                e->kernels.scale(o->as.embed.scale, out, tokens->n_in);
            }
        }
    }
    if (o->as.embed.positions != NO_WEIGHT) {
        const weight_ref *positions = program_weight(e->p, o->as.embed.positions);
        /* Its floats come first, and the row of blocks they are made of behind them. */
        const void *values =
            read_row(e, o->as.embed.positions, r->position, scratch + positions->n_in);
        e->kernels.decode[positions->type](values, scratch, positions->n_in);
        e->kernels.add(scratch, out, positions->n_in);
    }
}

static void angles_row(const executor *e, const op *o, size_t row) {
    const op_angles *a = &o->as.angles;
    const size_t most = e->options.n_context ? e->options.n_context : e->options.n_positions;
    const bool is_long = a->long_from > 0 && most > a->long_from;
    const angle_set *set = program_angle_set(e->p, is_long ? a->long_set : a->set);
    const double magnitude = a->magnitude > 0 ? (double)a->magnitude : 1.0;
    float *out = slot_row(e, o->out, row);
    for (size_t i = 0; i < set->n_pair; i++) {
        const double angle = (double)e->batch[row].position * set->frequency[i];
        out[2 * i] = (float)(kernel_cos(angle) * magnitude);
        out[2 * i + 1] = (float)(kernel_sin(angle) * magnitude);
    }
}

static linear_args linear_of(const executor *e, const op *o) {
    const op_linear *l = &o->as.linear;
    linear_args args = {
        .kernels = &e->kernels,
        .source = residency_source(e->weights),
        .in = slot_rows(e, o->in),
        .in_stride = slot_stride(program_slot(e->p, o->in)),
        .n_row = slot_count(e, o->in),
        .n_in = l->n_in,
        .prepare = l->prepare,
        .norm_weight = residency_vector(e->weights, l->norm_weight),
        .norm_bias = residency_vector(e->weights, l->norm_bias),
        .epsilon = l->epsilon,
        .n_part = l->n_weight,
        .out = slot_rows(e, o->out),
        .out_stride = slot_stride(program_slot(e->p, o->out)),
        .accumulate = l->accumulate,
        .cap = l->cap,
    };
    for (size_t i = 0; i < l->n_weight; i++) {
        const weight_ref *ref = program_weight(e->p, l->weight[i]);
        args.part[i] = (linear_part){
            .type = ref->type,
            .matrix = l->weight[i],
            .n_out = ref->n_out,
            .slice_rows = residency_slice_rows(e->weights, l->weight[i]),
            .bias = residency_vector(e->weights, l->bias[i]),
        };
    }
    for (size_t form = 0; form < KERNEL_ROW_LIMIT; form++) {
        args.rows[form] = e->memory + e->at.prepared[form];
    }
    return args;
}

static void run_linear(executor *e, const op *o, size_t index, size_t member) {
    uint8_t *mine = member_memory(e, member);
    linear_scratch scratch = {
        .row = (float *)(mine + e->at.member_row),
        .tile = (float *)(mine + e->at.member_tile),
        .panels = mine + e->at.member_panels,
        .kernels = mine + e->at.member_kernels,
    };
    for (size_t form = 0; form < KERNEL_ROW_LIMIT; form++) {
        scratch.rows[form] = mine + e->at.member_prepared[form];
    }
    linear_args args = linear_of(e, o);
    if (e->squares && e->squares->sums[index]) {
        args.squares = e->squares->sums[index];
        args.kept = e->squares->rows;
        if (member == 0) {
            e->squares->counts[index] += args.n_row;
        }
    }
    linear_run(&args, &scratch, e->team, member, counters(e, index));
}

/* RMS norm of n heads, in place. */
static void norm_heads(const executor *e, weight_id weight, float epsilon, float *heads,
                       size_t step, size_t n) {
    const float *factors = residency_vector(e->weights, weight);
    const size_t width = program_weight(e->p, weight)->n_in;
    for (size_t h = 0; h < n; h++) {
        e->kernels.rms_norm(heads + h * step, factors, epsilon, heads + h * step, width);
    }
}

/* n heads that begin `step` floats apart. */
static void rotate_heads(const executor *e, const op_attention *a, float *heads, size_t step,
                         size_t n, const float *angles) {
    void (*const rotate)(float *x, const float *cs, size_t n_pair) =
        a->rope_halves ? e->kernels.rope_halves : e->kernels.rope_pairs;
    for (size_t h = 0; h < n; h++) {
        rotate(heads + h * step, angles, a->n_rot / 2);
    }
}

static void store_kv_row(const executor *e, const op *o, size_t row) {
    const op_attention *a = &o->as.attention;
    float *in = slot_row(e, o->in, row);
    if (a->norms_heads) {
        norm_heads(e, a->q_norm, a->epsilon, in + a->q_at, a->q_step, a->n_head);
        norm_heads(e, a->k_norm, a->epsilon, in + a->k_at, a->k_step, a->n_head_kv);
    }
    if (a->angles != NO_SLOT) {
        const float *angles = slot_row(e, a->angles, row);
        rotate_heads(e, a, in + a->q_at, a->q_step, a->n_head, angles);
        rotate_heads(e, a, in + a->k_at, a->k_step, a->n_head_kv, angles);
    }
    const attention_row *r = &attention_rows(e)[row];
    const kv_layout kv = kv_get_layout(e->kv);
    uint8_t *page = kv.pool + r->pages[r->position / ATTENTION_PAGE] * kv.page_bytes;
    const size_t in_page = r->position % ATTENTION_PAGE;
    size_t k_offset, v_offset;
    kv_slot_offsets(e->kv, a->kv_slot, &k_offset, &v_offset);
    attention_store_keys(kv.type_k, in + a->k_at, a->k_step, a->n_head_kv, a->head_k,
                         page + k_offset, in_page);
    attention_store_values(kv.type_v, in + a->v_at, a->v_step, a->n_head_kv, a->head_v,
                           page + v_offset, in_page);
}

static void run_attention(executor *e, const op *o, size_t index, size_t member) {
    const op_attention *a = &o->as.attention;
    const kv_layout kv = kv_get_layout(e->kv);
    attention_args args = {
        .kernels = &e->kernels,
        .rows = attention_rows(e),
        .blocks = blocks(e),
        .n_block = e->n_block,
        .q = slot_rows(e, o->in) + a->q_at,
        .q_stride = slot_stride(program_slot(e->p, o->in)),
        .q_step = a->q_step,
        .out = slot_rows(e, o->out),
        .out_stride = slot_stride(program_slot(e->p, o->out)),
        .n_head = a->n_head,
        .n_head_kv = a->n_head_kv,
        .head_k = a->head_k,
        .head_v = a->head_v,
        .window = a->window,
        .scale = a->scale,
        .soft_cap = a->soft_cap,
        .alibi = a->alibi,
        .type_k = kv.type_k,
        .type_v = kv.type_v,
        .pool = kv.pool,
        .page_bytes = kv.page_bytes,
        .n_member = e->options.threads,
        .shared = {.parts = (float *)(e->memory + e->at.parts),
                   .n_float = e->at.part_floats,
                   .finished = (_Atomic uint32_t *)(e->memory + e->at.finished),
                   .n_item = e->at.n_finished},
    };
    kv_slot_offsets(e->kv, a->kv_slot, &args.k_offset, &args.v_offset);
    attention_run(&args, member_memory(e, member) + e->at.member_attention, counters(e, index));
}

/* Operations on one row, which need nothing from other rows. */
static void run_row(executor *e, const op *o, size_t row, size_t member) {
    switch (o->kind) {
    case OP_EMBED:
        embed_row(e, o, row, (float *)(member_memory(e, member) + e->at.member_row));
        break;
    case OP_ANGLES:
        angles_row(e, o, row);
        break;
    case OP_STORE_KV:
        store_kv_row(e, o, row);
        break;
    case OP_SELECT:
        memcpy(slot_row(e, o->out, row), slot_row(e, o->in, chosen_rows(e)[row]),
               program_slot(e->p, o->out)->width * sizeof(float));
        break;
    case OP_NORM: {
        const linear_args args = linear_of(e, o);
        float *out = slot_row(e, o->out, row);
        float *to = args.accumulate ? (float *)(member_memory(e, member) + e->at.member_row) : out;
        linear_prepare_row(&args, slot_row(e, o->in, row), to);
        if (args.accumulate) {
            e->kernels.add(to, out, args.n_in);
        }
        break;
    }
    case OP_LINEAR:
    case OP_ATTENTION:
        break;
    }
}

static void run_op(executor *e, size_t index, size_t member) {
    const op *o = program_op(e->p, index);
    if (o->kind == OP_LINEAR) {
        run_linear(e, o, index, member);
    } else if (o->kind == OP_ATTENTION) {
        run_attention(e, o, index, member);
    } else {
        const size_t rows = slot_count(e, o->kind == OP_STORE_KV ? o->in : o->out);
        /* Keys of neighbours share cache lines, which should not wander between members. */
        const size_t step = rows >= STORE_STEP * e->options.threads ? STORE_STEP : 1;
        size_t row, end;
        while (team_take(counters(e, index), step, rows, &row, &end)) {
            for (; row < end; row++) {
                run_row(e, o, row, member);
            }
        }
    }
}

static bool must_stop(const executor *e, double done) {
    return atomic_load(&e->row_failed) || residency_failed(e->weights) ||
           (e->poll && !e->poll(e->user, done));
}

static void walk(void *context, size_t member) {
    executor *e = context;
    const size_t count = e->p->ops.count;
    for (size_t i = 0; i < count; i++) {
        if (program_op(e->p, i)->kind == OP_SELECT && e->n_chosen == 0) {
            return;
        }
        if (member == 0 && must_stop(e, (double)i / (double)count)) {
            atomic_store(&e->stop_after, i);
        }
        run_op(e, i, member);
        team_barrier(e->team);
        /* All members agree on it: member 0 can only have gone on to a later number. */
        if (atomic_load(&e->stop_after) <= i) {
            return;
        }
    }
}

/* ---- batches -------------------------------------------------------------------------------- */

static sl_status check_row(const executor *e, const batch_row *r, size_t index, sl_error *error) {
    if (r->sequence >= e->options.n_seq) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "row %zu is of sequence %zu, expected less than "
                         "%zu",
                         index, r->sequence, e->options.n_seq);
    }
    if (!r->vector && (r->token < 0 || (size_t)r->token >= e->p->n_vocab)) {
        return error_set(error, SL_ERR_ARGUMENT, "token %d is outside the vocabulary of %zu tokens",
                         r->token, e->p->n_vocab);
    }
    if (e->p->n_ctx_limit && r->position >= e->p->n_ctx_limit) {
        return error_set(error, SL_ERR_ARGUMENT, "position %zu is beyond the model's %zu positions",
                         r->position, e->p->n_ctx_limit);
    }
    return SL_OK;
}

/* Gives each row its place in the cache; n_row counts those that have one. */
static sl_status place_rows(executor *e, const batch_row *rows, size_t n, sl_error *error) {
    attention_row *places = attention_rows(e);
    e->n_chosen = 0;
    for (size_t i = 0; i < n; i++) {
        e->n_row = i;
        sl_status status = check_row(e, &rows[i], i, error);
        if (status != SL_OK) {
            return status;
        }
        const size_t length = kv_length(e->kv, rows[i].sequence);
        if (rows[i].position != length) {
            return error_set(error, SL_ERR_ARGUMENT,
                             "row %zu is at position %zu of sequence %zu, expected %zu", i,
                             rows[i].position, rows[i].sequence, length);
        }
        if (rows[i].output != ROW_NONE && e->n_chosen == e->options.n_output) {
            return error_set(error, SL_ERR_ARGUMENT, "more than %zu rows of a batch want an output",
                             e->options.n_output);
        }
        if ((status = kv_append(e->kv, rows[i].sequence, 1, error)) != SL_OK) {
            return status;
        }
        places[i] =
            (attention_row){rows[i].position, rows[i].sequence, kv_pages(e->kv, rows[i].sequence)};
        if (rows[i].output != ROW_NONE) {
            chosen_rows(e)[e->n_chosen++] = i;
        }
    }
    e->n_row = n;
    return SL_OK;
}

/* Rows of a block: what the operations with the most key heads want is enough for all. */
static size_t rows_of_block(const executor *e, size_t n) {
    size_t rows = 1;
    for (size_t i = 0; i < e->p->ops.count; i++) {
        const op *o = program_op(e->p, i);
        if (o->kind == OP_ATTENTION) {
            const op_attention *a = &o->as.attention;
            rows = size_max(rows, attention_rows_for(n, a->n_head, a->n_head_kv, e->options.threads,
                                                     e->at.block_rows));
        }
    }
    return rows;
}

/* Takes the rows that have a place back out of their sequences, last first. */
static void unplace_rows(executor *e, const batch_row *rows) {
    for (size_t i = e->n_row; i > 0; i--) {
        kv_truncate(e->kv, rows[i - 1].sequence, rows[i - 1].position);
    }
}

sl_status executor_run(executor *e, const batch_row *rows, size_t n, executor_poll_fn poll,
                       void *user, sl_error *error) {
    if (n < 1 || n > e->options.n_batch) {
        return error_set(error, SL_ERR_ARGUMENT, "a batch of %zu rows, expected 1 to %zu", n,
                         e->options.n_batch);
    }
    sl_status status = place_rows(e, rows, n, error);
    if (status != SL_OK) {
        unplace_rows(e, rows);
        return status;
    }
    e->batch = rows;
    e->n_block = attention_cut(attention_rows(e), n, rows_of_block(e, n), blocks(e));
    e->poll = poll;
    e->user = user;
    atomic_store(&e->stop_after, SIZE_MAX);
    atomic_store(&e->row_failed, false);
    memset(e->memory + e->at.counters, 0,
           e->p->ops.count * LINEAR_COUNTERS(e->options.threads) * sizeof(_Atomic size_t));
    residency_begin(e->weights, e->n_chosen > 0);
    team_run(e->team, walk, e);
    const bool whole = atomic_load(&e->stop_after) == SIZE_MAX;
    status = residency_end(e->weights, whole, error);
    if (status == SL_OK && atomic_load(&e->row_failed)) {
        status = error_set(error, SL_ERR_RUNTIME, "the model file: %s", e->row_error.message);
    } else if (status == SL_OK && !whole) {
        status = error_set(error, SL_ERR_CANCELLED, "interrupted");
    }
    if (status != SL_OK) {
        unplace_rows(e, rows);
    }
    return status;
}

typedef struct spread {
    sl_work_fn work;
    void *user;
    size_t count;
    _Atomic size_t next;
} spread;

static void take_work(void *context, size_t member) {
    spread *s = context;
    size_t begin, end;
    (void)member;
    while (team_take(&s->next, 1, s->count, &begin, &end)) {
        s->work(s->user, begin);
    }
}

void executor_spread(executor *e, size_t count, sl_work_fn work, void *user) {
    spread s = {.work = work, .user = user, .count = count};
    team_run(e->team, take_work, &s);
}
