/* Programs: their text, what is refused as not fitting together, and the plan of the arena. */
#include "program/program.h"

#include "base/random.h"
#include "base/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a small program, whole ----------------------------------------------------------------- */

enum { EMBD = 8, HEAD = 4, N_HEAD = 2, FF = 6, VOCAB = 11 };

/* What the tests alter of it. */
typedef struct parts {
    program p;
    weight_id tokens, norm, qkv[3], bias, down, gate, up;
    uint32_t kv, angles;
    slot_id x, turns, heads, mixed, hidden, chosen, last, logits;
    size_t op_embed, op_angles, op_qkv, op_store, op_attend, op_gate, op_down, op_select, op_norm,
        op_logits;
} parts;

static weight_id matrix(program *p, size_t n_in, size_t n_out) {
    sl_error error;
    return program_add_weight(
        p, &(weight_ref){.type = QUANT_F32, .n_in = n_in, .n_out = n_out, .row_stride = 4 * n_in},
        &error);
}

static weight_id vector(program *p, size_t n) {
    sl_error error;
    return program_add_weight(
        p, &(weight_ref){.type = QUANT_F16, .vector = true, .n_in = n, .n_out = 1}, &error);
}

static slot_id slot(program *p, size_t width) {
    sl_error error;
    return program_add_slot(p, width, &error);
}

static size_t push(program *p, const op *o) {
    sl_error error;
    assert_int_equal(program_add_op(p, o, &error), SL_OK);
    return p->ops.count - 1;
}

static op_linear linear(prepare_kind prepare, size_t n_in, weight_id weight) {
    return (op_linear){.prepare = prepare,
                       .norm_weight = NO_WEIGHT,
                       .norm_bias = NO_WEIGHT,
                       .n_in = n_in,
                       .n_weight = 1,
                       .weight = {weight},
                       .bias = {NO_WEIGHT}};
}

static void add_attention(parts *a) {
    program *p = &a->p;
    const op_linear qkv = {.prepare = PREPARE_RMS_NORM,
                           .norm_weight = a->norm,
                           .norm_bias = NO_WEIGHT,
                           .n_in = EMBD,
                           .n_weight = 3,
                           .weight = {a->qkv[0], a->qkv[1], a->qkv[2]},
                           .bias = {NO_WEIGHT, a->bias, NO_WEIGHT}};
    a->op_qkv = push(p, &(op){.kind = OP_LINEAR, .in = a->x, .out = a->heads, .as.linear = qkv});
    const op_attention attention = {.kv_slot = a->kv,
                                    .angles = a->turns,
                                    .n_rot = HEAD,
                                    .n_head = N_HEAD,
                                    .n_head_kv = 1,
                                    .head_k = HEAD,
                                    .head_v = HEAD,
                                    .k_at = N_HEAD * HEAD,
                                    .v_at = (N_HEAD + 1) * HEAD,
                                    .q_step = HEAD,
                                    .k_step = HEAD,
                                    .v_step = HEAD};
    a->op_store = push(
        p, &(op){.kind = OP_STORE_KV, .in = a->heads, .out = NO_SLOT, .as.attention = attention});
    a->op_attend = push(
        p, &(op){.kind = OP_ATTENTION, .in = a->heads, .out = a->mixed, .as.attention = attention});
}

static parts make_parts(void) {
    sl_error error;
    parts a = {.p = program_new()};
    program *p = &a.p;
    a.tokens = matrix(p, EMBD, VOCAB);
    a.norm = vector(p, EMBD);
    a.qkv[0] = matrix(p, EMBD, N_HEAD * HEAD);
    a.qkv[1] = matrix(p, EMBD, HEAD);
    a.qkv[2] = matrix(p, EMBD, HEAD);
    a.bias = vector(p, HEAD);
    a.gate = matrix(p, N_HEAD * HEAD, FF);
    a.up = matrix(p, N_HEAD * HEAD, FF);
    a.down = matrix(p, FF, EMBD);
    a.kv = program_add_kv_slot(p, &(kv_slot){1, HEAD, HEAD}, &error);
    a.angles = program_add_angle_set(p, HEAD / 2, calloc(HEAD / 2, sizeof(double)), &error);
    a.x = slot(p, EMBD);
    a.turns = slot(p, HEAD);
    a.heads = slot(p, (N_HEAD + 2) * HEAD);
    a.mixed = slot(p, N_HEAD * HEAD);
    a.hidden = slot(p, 2 * FF);
    a.chosen = slot(p, EMBD);
    a.last = slot(p, EMBD);
    a.logits = slot(p, VOCAB);
    a.op_embed = push(p, &(op){.kind = OP_EMBED,
                               .layer = UINT32_MAX,
                               .in = NO_SLOT,
                               .out = a.x,
                               .as.embed = {.tokens = a.tokens, .positions = NO_WEIGHT}});
    a.op_angles = push(p, &(op){.kind = OP_ANGLES,
                                .layer = UINT32_MAX,
                                .in = NO_SLOT,
                                .out = a.turns,
                                .as.angles = {.set = a.angles}});
    add_attention(&a);
    op_linear two = linear(PREPARE_NONE, N_HEAD * HEAD, a.gate);
    two.n_weight = 2;
    two.weight[1] = a.up;
    two.bias[1] = NO_WEIGHT;
    a.op_gate = push(
        p, &(op){.kind = OP_LINEAR, .layer = 7, .in = a.mixed, .out = a.hidden, .as.linear = two});
    op_linear down = linear(PREPARE_SILU_MUL, FF, a.down);
    down.accumulate = true;
    a.op_down = push(p, &(op){.kind = OP_LINEAR, .in = a.hidden, .out = a.x, .as.linear = down});
    a.op_select = push(p, &(op){.kind = OP_SELECT, .in = a.x, .out = a.chosen});
    op_linear norm = linear(PREPARE_RMS_NORM, EMBD, NO_WEIGHT);
    norm.n_weight = 0;
    norm.norm_weight = a.norm;
    a.op_norm = push(p, &(op){.kind = OP_NORM, .in = a.chosen, .out = a.last, .as.linear = norm});
    a.op_logits = push(p, &(op){.kind = OP_LINEAR,
                                .in = a.last,
                                .out = a.logits,
                                .as.linear = linear(PREPARE_NONE, EMBD, a.tokens)});
    p->hidden = a.last;
    p->logits = a.logits;
    return a;
}

static op *op_at(parts *a, size_t index) {
    return &((op *)a->p.ops.items)[index];
}

static slot_plan *slot_at(parts *a, slot_id id) {
    return &((slot_plan *)a->p.slots.items)[id];
}

/* ---- text ----------------------------------------------------------------------------------- */

static void assert_line(const parts *a, size_t index, const char *expected) {
    char line[400];
    program_print_op(&a->p, index, line, sizeof line);
    assert_string_equal(line, expected);
}

static void operations_as_text(void **state) {
    (void)state;
    parts a = make_parts();
    assert_line(&a, a.op_embed, "    0        s0[8] = embed(w0 F32 11x8)");
    assert_line(&a, a.op_angles, "    1        s1[4] = angles(position)");
    assert_line(&a, a.op_qkv,
                "    2  L0    s2[16] = linear(rms_norm s0[8], w2 F32 8x8, w3 F32 4x8 + bias, "
                "w4 F32 4x8)");
    assert_line(&a, a.op_store, "    3  L0    kv0 = store(s2[16], rotate 4)");
    assert_line(&a, a.op_attend, "    4  L0    s3[8] = attention(s2[16], kv0, heads 2/1 of 4)");
    op_at(&a, a.op_attend)->as.attention.window = 9;
    assert_line(&a, a.op_attend,
                "    4  L0    s3[8] = attention(s2[16], kv0, heads 2/1 of 4, window 9)");
    assert_line(&a, a.op_gate, "    5  L7    s4[12] = linear(s3[8], w6 F32 6x8, w7 F32 6x8)");
    assert_line(&a, a.op_down, "    6  L0    s0[8] += linear(silu_mul s4[12], w8 F32 8x6)");
    assert_line(&a, a.op_select, "    7  L0    s5[8] = select(s0[8])");
    assert_line(&a, a.op_norm, "    8  L0    s6[8] = rms_norm(s5[8])");
    op_at(&a, a.op_embed)->as.embed.positions = a.tokens;
    assert_line(&a, a.op_embed, "    0        s0[8] = embed(w0 F32 11x8, w0 F32 11x8)");
    op_at(&a, a.op_embed)->as.embed.tokens = NO_WEIGHT;
    assert_line(&a, a.op_embed, "    0        s0[8] += embed(w0 F32 11x8)");
    op_at(&a, a.op_attend)->as.attention.alibi = true;
    op_at(&a, a.op_attend)->as.attention.window = 0;
    assert_line(&a, a.op_attend,
                "    4  L0    s3[8] = attention(s2[16], kv0, heads 2/1 of 4, alibi)");
    op_at(&a, a.op_store)->as.attention.rope_halves = true;
    assert_line(&a, a.op_store, "    3  L0    kv0 = store(s2[16], rotate 4 by halves)");
    op_at(&a, a.op_store)->as.attention.angles = NO_SLOT;
    assert_line(&a, a.op_store, "    3  L0    kv0 = store(s2[16])");
    op_at(&a, a.op_store)->as.attention.k_at = 4;
    assert_line(&a, a.op_store,
                "    3  L0    kv0 = store(s2[16], q at 0 by 4, k at 4 by 4, v at 12 by 4)");
    program_free(&a.p);
}

static void variants_as_text(void **state) {
    (void)state;
    parts a = make_parts();
    op_at(&a, a.op_embed)->as.embed.scale = 2.5f;
    assert_line(&a, a.op_embed, "    0        s0[8] = embed(w0 F32 11x8 * 2.5)");
    op_at(&a, a.op_angles)->as.angles.long_from = 4096;
    assert_line(&a, a.op_angles,
                "    1        s1[4] = angles(position) or, beyond 4096, long ones");
    op_at(&a, a.op_store)->as.attention.norms_heads = true;
    assert_line(&a, a.op_store, "    3  L0    kv0 = store(s2[16], rms_norm, rotate 4)");
    op_at(&a, a.op_attend)->as.attention.soft_cap = 50;
    assert_line(&a, a.op_attend,
                "    4  L0    s3[8] = attention(s2[16], kv0, heads 2/1 of 4, cap 50)");
    op_at(&a, a.op_down)->as.linear.prepare = PREPARE_GELU_MUL;
    assert_line(&a, a.op_down, "    6  L0    s0[8] += linear(gelu_mul s4[12], w8 F32 8x6)");
    op_at(&a, a.op_norm)->as.linear.accumulate = true;
    assert_line(&a, a.op_norm, "    8  L0    s6[8] += rms_norm(s5[8])");
    op_at(&a, a.op_logits)->as.linear.cap = 30;
    assert_line(&a, a.op_logits, "    9  L0    s7[11] = linear(s6[8], w0 F32 11x8) cap 30");
    program_free(&a.p);
}

static void text_is_cut_at_its_room(void **state) {
    (void)state;
    parts a = make_parts();
    char whole[400], line[400];
    program_print_op(&a.p, a.op_qkv, whole, sizeof whole);
    for (size_t room = 1; room < 100; room++) {
        memset(line, '#', sizeof line);
        program_print_op(&a.p, a.op_qkv, line, room);
        assert_int_equal(line[room], '#');
        assert_int_equal(strlen(line), size_min(room - 1, strlen(whole)));
        assert_memory_equal(line, whole, strlen(line));
    }
    program_free(&a.p);
}

/* ---- what does not fit ---------------------------------------------------------------------- */

static void narrow_x(parts *a) {
    slot_at(a, a->x)->width--;
}
static void wide_angles(parts *a) {
    slot_at(a, a->turns)->width += 2;
}
static void wide_heads(parts *a) {
    slot_at(a, a->heads)->width++;
}
static void wide_mixed(parts *a) {
    slot_at(a, a->mixed)->width++;
}
static void narrow_hidden(parts *a) {
    slot_at(a, a->hidden)->width--;
}
static void wide_chosen(parts *a) {
    slot_at(a, a->chosen)->width++;
}
static void wide_last(parts *a) {
    slot_at(a, a->last)->width++;
}
static void narrow_logits(parts *a) {
    slot_at(a, a->logits)->width--;
}
static void no_weight_at_all(parts *a) {
    op_at(a, a->op_down)->as.linear.n_weight = 0;
}
static void four_weights(parts *a) {
    op_at(a, a->op_down)->as.linear.n_weight = 4;
}
static void vector_as_matrix(parts *a) {
    op_at(a, a->op_down)->as.linear.weight[0] = a->norm;
}
static void matrix_as_bias(parts *a) {
    op_at(a, a->op_down)->as.linear.bias[0] = a->gate;
}
static void short_bias(parts *a) {
    op_at(a, a->op_down)->as.linear.bias[0] = a->bias;
}
static void norm_unasked(parts *a) {
    op_at(a, a->op_gate)->as.linear.norm_weight = a->norm;
}
static void norm_missing(parts *a) {
    op_at(a, a->op_qkv)->as.linear.norm_weight = NO_WEIGHT;
}
static void norm_of_other_length(parts *a) {
    op_at(a, a->op_qkv)->as.linear.norm_weight = a->bias;
}
static void rms_norm_with_bias(parts *a) {
    op_at(a, a->op_qkv)->as.linear.norm_bias = a->norm;
}
static void bias_without_a_norm(parts *a) {
    op_at(a, a->op_gate)->as.linear.norm_bias = a->norm;
}
static void gelu_with_a_norm(parts *a) {
    op_at(a, a->op_qkv)->as.linear.prepare = PREPARE_GELU_ERF;
}
static void capped_sum(parts *a) {
    op_at(a, a->op_down)->as.linear.cap = 1;
}
/* Widths fit, but some of the row would be written while the rest is still read. */
static void product_in_place(parts *a) {
    const weight_id square = matrix(&a->p, EMBD, EMBD);
    op *down = op_at(a, a->op_down);
    down->in = down->out;
    down->as.linear = linear(PREPARE_NONE, EMBD, square);
}
static void heads_normed_by(parts *a, weight_id q, weight_id k) {
    op_attention *o = &op_at(a, a->op_store)->as.attention;
    o->norms_heads = true;
    o->q_norm = q;
    o->k_norm = k;
}
static void heads_normed_by_nothing(parts *a) {
    heads_normed_by(a, NO_WEIGHT, NO_WEIGHT);
}
static void queries_normed_by_too_much(parts *a) {
    heads_normed_by(a, a->norm, a->bias);
}
static void keys_normed_by_a_matrix(parts *a) {
    heads_normed_by(a, a->bias, a->down);
}
static void long_angles_of_other_length(parts *a) {
    sl_error error;
    op_angles *angles = &op_at(a, a->op_angles)->as.angles;
    angles->long_set = program_add_angle_set(&a->p, 1, calloc(1, sizeof(double)), &error);
    angles->long_from = 9;
}
static void norm_of_nothing_in_place(parts *a) {
    op *norm = op_at(a, a->op_norm);
    norm->as.linear.prepare = PREPARE_RELU;
    norm->as.linear.norm_weight = NO_WEIGHT;
    norm->out = norm->in;
}
static void embedding_of_nothing(parts *a) {
    op_at(a, a->op_embed)->as.embed.tokens = NO_WEIGHT;
}
static void queries_over_each_other(parts *a) {
    op_at(a, a->op_store)->as.attention.q_step--;
}
static void queries_beyond(parts *a) {
    op_at(a, a->op_store)->as.attention.q_at += 2 * HEAD + 1;
}
static void keys_beyond(parts *a) {
    op_at(a, a->op_attend)->as.attention.k_at = 3 * HEAD + 1;
}
static void values_beyond_everything(parts *a) {
    op_at(a, a->op_attend)->as.attention.v_at = SIZE_MAX;
}
static void queries_too_far_apart(parts *a) {
    op_at(a, a->op_attend)->as.attention.q_step = SIZE_MAX;
}
static void wrong_n_in(parts *a) {
    op_at(a, a->op_down)->as.linear.n_in++;
}
static void wrong_embedding(parts *a) {
    op_at(a, a->op_embed)->as.embed.tokens = a->down;
}
static void wrong_positions(parts *a) {
    op_at(a, a->op_embed)->as.embed.positions = a->down;
}
static void no_key_heads(parts *a) {
    op_at(a, a->op_attend)->as.attention.n_head_kv = 0;
}
static void heads_of_other_size(parts *a) {
    op_at(a, a->op_store)->as.attention.head_k++;
}
static void values_of_other_size(parts *a) {
    op_at(a, a->op_attend)->as.attention.head_v++;
}
static void rotated_too_far(parts *a) {
    op_at(a, a->op_store)->as.attention.n_rot = HEAD + 2;
}
static void other_cache(parts *a) {
    ((kv_slot *)a->p.kv_slots.items)[a->kv].head_v++;
}
static void three_heads_on_two(parts *a) {
    op_at(a, a->op_attend)->as.attention.n_head = 3;
    op_at(a, a->op_attend)->as.attention.n_head_kv = 2;
}

static const struct {
    const char *name;
    void (*spoil)(parts *a);
    size_t operation;
} misfits[] = {
    {"narrow x", narrow_x, 0},
    {"wrong embedding", wrong_embedding, 0},
    {"wrong positions", wrong_positions, 0},
    {"wide angles", wide_angles, 1},
    {"wide heads", wide_heads, 2},
    {"norm missing", norm_missing, 2},
    {"norm of another length", norm_of_other_length, 2},
    {"rms norm with a bias", rms_norm_with_bias, 2},
    {"a norm that the preparation lacks", gelu_with_a_norm, 2},
    {"an embedding of nothing", embedding_of_nothing, 0},
    {"queries over each other", queries_over_each_other, 3},
    {"queries beyond the columns", queries_beyond, 3},
    {"keys beyond the columns", keys_beyond, 4},
    {"values beyond everything", values_beyond_everything, 4},
    {"queries too far apart", queries_too_far_apart, 4},
    {"a bias without a norm", bias_without_a_norm, 5},
    {"ReLU in place", norm_of_nothing_in_place, 8},
    {"a cap on a sum", capped_sum, 6},
    {"a product in place", product_in_place, 6},
    {"heads normed by nothing", heads_normed_by_nothing, 3},
    {"queries normed by too much", queries_normed_by_too_much, 3},
    {"keys normed by a matrix", keys_normed_by_a_matrix, 3},
    {"long angles of another length", long_angles_of_other_length, 1},
    {"heads of another size", heads_of_other_size, 3},
    {"rotated too far", rotated_too_far, 3},
    {"another cache", other_cache, 3},
    {"wide mixed", wide_mixed, 4},
    {"no key heads", no_key_heads, 4},
    {"values of another size", values_of_other_size, 4},
    {"three heads on two", three_heads_on_two, 4},
    {"a norm nobody asked for", norm_unasked, 5},
    {"narrow hidden", narrow_hidden, 5},
    {"no weight", no_weight_at_all, 6},
    {"four weights", four_weights, 6},
    {"a vector as a matrix", vector_as_matrix, 6},
    {"a matrix as bias", matrix_as_bias, 6},
    {"a short bias", short_bias, 6},
    {"wrong n_in", wrong_n_in, 6},
    {"wide chosen", wide_chosen, 7},
    {"wide last", wide_last, 8},
    {"narrow logits", narrow_logits, 9},
};

static void misfits_are_refused(void **state) {
    (void)state;
    sl_error error;
    parts good = make_parts();
    assert_int_equal(program_finish(&good.p, &error), SL_OK);
    program_free(&good.p);
    for (size_t i = 0; i < COUNT_OF(misfits); i++) {
        parts a = make_parts();
        misfits[i].spoil(&a);
        char expected[64];
        snprintf(expected, sizeof expected,
                 "operation %zu does not fit together: ", misfits[i].operation);
        if (program_finish(&a.p, &error) != SL_ERR_FORMAT || !strstr(error.message, expected)) {
            fail_msg("%s: %s", misfits[i].name, error.message);
        }
        program_free(&a.p);
    }
}

/* ---- the arena ------------------------------------------------------------------------------ */

static bool live_together(const slot_plan *a, const slot_plan *b) {
    return a->first_op <= b->last_op && b->first_op <= a->last_op;
}

static bool overlap(const slot_plan *a, const slot_plan *b) {
    return a->selected == b->selected && a->offset < b->offset + b->width &&
           b->offset < a->offset + a->width;
}

static void check_arena(const program *p) {
    for (slot_id i = 0; i < p->slots.count; i++) {
        const slot_plan *a = program_slot(p, i);
        assert_int_equal(a->offset % 16, 0);
        assert_true(a->offset + a->width <= (a->selected ? p->selected_row_width : p->row_width));
        for (slot_id k = i + 1; k < p->slots.count; k++) {
            const slot_plan *b = program_slot(p, k);
            if (live_together(a, b) && overlap(a, b)) {
                fail_msg("slots %u [%zu..%zu] and %u [%zu..%zu] share room", i, a->first_op,
                         a->last_op, k, b->first_op, b->last_op);
            }
        }
    }
}

static void slots_live_from_first_to_last_use(void **state) {
    (void)state;
    sl_error error;
    parts a = make_parts();
    assert_int_equal(program_finish(&a.p, &error), SL_OK);
    const struct {
        slot_id id;
        size_t first, last;
        bool selected;
    } lives[] = {
        {a.x, 0, 7, false},     {a.turns, 1, 3, false},  {a.heads, 2, 4, false},
        {a.mixed, 4, 5, false}, {a.hidden, 5, 6, false}, {a.chosen, 7, 8, true},
        {a.last, 8, 10, true},  {a.logits, 9, 10, true},
    };
    for (size_t i = 0; i < COUNT_OF(lives); i++) {
        const slot_plan *s = program_slot(&a.p, lives[i].id);
        assert_int_equal(s->first_op, lives[i].first);
        assert_int_equal(s->last_op, lives[i].last);
        assert_int_equal(s->selected, lives[i].selected);
    }
    check_arena(&a.p);
    /* In steps of 16: x; angles, then mixed; heads, then hidden. */
    assert_int_equal(a.p.row_width, 48);
    assert_int_equal(a.p.selected_row_width, 32); /* logits where chosen was */
    program_free(&a.p);
}

/* Programs of LINEARs between random slots, with a SELECT somewhere. */
static void random_program(program *p, random_state *r) {
    sl_error error;
    const size_t n_op = 5 + random_u64(r) % 60, select_at = random_u64(r) % n_op;
    slot_id known[64];
    size_t n_known = 0;
    known[n_known++] = slot(p, 1 + random_u64(r) % 70);
    const weight_id tokens = matrix(p, program_slot(p, known[0])->width, 3);
    push(p, &(op){.kind = OP_EMBED,
                  .in = NO_SLOT,
                  .out = known[0],
                  .as.embed = {.tokens = tokens, .positions = NO_WEIGHT}});
    for (size_t i = 0; i < n_op; i++) {
        const slot_id in = known[random_u64(r) % n_known];
        const size_t width = program_slot(p, in)->width;
        if (i == select_at) { /* what came before cannot be used behind it */
            const slot_id out = slot(p, width);
            push(p, &(op){.kind = OP_SELECT, .in = in, .out = out});
            n_known = 0;
            known[n_known++] = out;
            continue;
        }
        const bool fresh = random_u64(r) % 3 != 0 || n_known < 2;
        slot_id out = fresh ? slot(p, 1 + random_u64(r) % 70) : known[random_u64(r) % n_known];
        out = out == in ? slot(p, 5) : out;
        op_linear l = linear(PREPARE_NONE, width, matrix(p, width, program_slot(p, out)->width));
        l.accumulate = !fresh;
        push(p, &(op){.kind = OP_LINEAR, .in = in, .out = out, .as.linear = l});
        known[n_known < COUNT_OF(known) ? n_known++ : random_u64(r) % n_known] = out;
    }
    p->hidden = p->logits = known[n_known - 1];
    assert_int_equal(program_finish(p, &error), SL_OK);
}

static void living_slots_never_share_room(void **state) {
    (void)state;
    random_state r;
    random_seed(&r, 3);
    size_t shared = 0, all = 0;
    for (int i = 0; i < 300; i++) {
        program p = program_new();
        random_program(&p, &r);
        check_arena(&p);
        for (slot_id k = 0; k < p.slots.count; k++) {
            all += size_round_up(program_slot(&p, k)->width, 16);
        }
        shared += p.row_width + p.selected_row_width;
        program_free(&p);
    }
    print_message("arenas take %.0f %% of their slots\n", 100.0 * (double)shared / (double)all);
    assert_true(shared < all * 3 / 4); /* the plan is worth having */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_as_text),
        cmocka_unit_test(variants_as_text),
        cmocka_unit_test(text_is_cut_at_its_room),
        cmocka_unit_test(misfits_are_refused),
        cmocka_unit_test(slots_live_from_first_to_last_use),
        cmocka_unit_test(living_slots_never_share_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
