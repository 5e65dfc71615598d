/* Attention against its formula in double precision, and its bits: a row alone on one thread, a
 * prompt in blocks, and work shared out by parts must agree with memcmp. */
#include "ops/attention.h"

#include "base/random.h"
#include "cpu/cpu.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGES = 80, MEMBERS = 3, CROWD = 17, MOST_ROWS = 64, MOST_WIDTH = 1024 };

typedef struct setting {
    size_t n_head, n_head_kv, head_k, head_v, window;
    quant_type type_k, type_v;
    size_t past[2], rows[2]; /* of two sequences: positions held, rows of the batch */
    bool alibi;
    size_t gap; /* floats between heads of q, k and v */
} setting;

/* One layer of two sequences whose pages lie scattered in the pool. */
typedef struct world {
    setting s;
    kernel_table kernels;
    uint8_t *pool;
    size_t page_bytes, v_offset;
    uint32_t pages[2][PAGES];
    float *keys[2], *values[2]; /* as stored, decoded: [position][head_kv][head] */
    attention_row rows[MOST_ROWS];
    size_t n_row;
    float *q;
} world;

static random_state rng;

static float soft_cap; /* of every setting, where a test says so */

static float uniform(void) {
    return (float)(2 * random_unit(&rng) - 1);
}

static void *memory(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0, (bytes + 63) / 64 * 64);
    return p;
}

/* Memory that nobody has written to yet: NaN. */
static void *stale(size_t bytes) {
    return memset(memory(bytes), 0xff, bytes);
}

/* What n values come to in a type. */
static void through(quant_type type, const float *from, float *to, size_t n) {
    uint8_t stored[MOST_WIDTH * sizeof(float)];
    quant_format_of(type)->encode(from, stored, n);
    quant_format_of(type)->decode(stored, to, n);
}

static void store(world *w, size_t sequence, size_t position) {
    const setting *s = &w->s;
    const size_t nk = s->n_head_kv * s->head_k, nv = s->n_head_kv * s->head_v;
    float k[MOST_WIDTH], v[MOST_WIDTH], far_k[2 * MOST_WIDTH], far_v[2 * MOST_WIDTH];
    for (size_t i = 0; i < nk; i++) {
        k[i] = 2 * uniform();
    }
    for (size_t i = 0; i < nv; i++) {
        v[i] = uniform();
    }
    const uint32_t number = w->pages[sequence][position / ATTENTION_PAGE];
    uint8_t *page = w->pool + number * w->page_bytes;
    const size_t in_page = position % ATTENTION_PAGE;
    const size_t k_step = s->head_k + s->gap, v_step = s->head_v + s->gap;
    for (size_t h = 0; h < s->n_head_kv; h++) {
        memcpy(far_k + h * k_step, k + h * s->head_k, s->head_k * sizeof *k);
        memcpy(far_v + h * v_step, v + h * s->head_v, s->head_v * sizeof *v);
    }
    attention_store_keys(s->type_k, far_k, k_step, s->n_head_kv, s->head_k, page, in_page);
    attention_store_values(s->type_v, far_v, v_step, s->n_head_kv, s->head_v, page + w->v_offset,
                           in_page);
    through(s->type_k, k, w->keys[sequence] + position * nk, nk);
    through(s->type_v, v, w->values[sequence] + position * nv, nv);
}

static size_t q_width(const setting *s) {
    return s->n_head * (s->head_k + s->gap);
}

/* Positions that no row may see hold NaN: the page behind the last row's is full of it. */
static world *make(const setting *s) {
    world *w = memory(sizeof *w);
    w->s = *s;
    kernel_table_fill(&w->kernels, cpu_features());
    const size_t k_bytes = s->n_head_kv * ATTENTION_PAGE * quant_row_bytes(s->type_k, s->head_k);
    const size_t v_bytes = s->n_head_kv * ATTENTION_PAGE * quant_row_bytes(s->type_v, s->head_v);
    w->v_offset = k_bytes;
    w->page_bytes = k_bytes + v_bytes;
    w->pool = memory((size_t)2 * PAGES * w->page_bytes);
    memset(w->pool, 0xff, (size_t)2 * PAGES * w->page_bytes);
    w->q = memory(MOST_ROWS * q_width(s) * sizeof(float));
    for (size_t i = 0; i < MOST_ROWS * q_width(s); i++) {
        w->q[i] = 3 * uniform();
    }
    for (size_t i = 0; i < 2; i++) {
        const size_t n = s->past[i] + s->rows[i];
        w->keys[i] = memory((n + 1) * s->n_head_kv * s->head_k * sizeof(float));
        w->values[i] = memory((n + 1) * s->n_head_kv * s->head_v * sizeof(float));
        for (size_t p = 0; p < PAGES; p++) {
            w->pages[i][p] = (uint32_t)((7 * p + 3) % PAGES * 2 + i);
        }
        for (size_t p = 0; p < n; p++) {
            store(w, i, p);
        }
        for (size_t r = 0; r < s->rows[i]; r++) {
            w->rows[w->n_row++] = (attention_row){s->past[i] + r, i, w->pages[i]};
        }
    }
    return w;
}

static void unmake(world *w) {
    for (size_t i = 0; i < 2; i++) {
        free(w->keys[i]);
        free(w->values[i]);
    }
    free(w->pool);
    free(w->q);
    free(w);
}

typedef struct job {
    attention_args args;
    uint8_t *scratch;
    size_t scratch_bytes;
    _Atomic size_t counter;
} job;

static void work(void *context, size_t member) {
    job *j = context;
    attention_run(&j->args, j->scratch + member * j->scratch_bytes, &j->counter);
}

/* Rows [first, first + n) in blocks of at most `most`, by `members`. Returns into how many pieces
 * each item was cut. */
static size_t run(const world *w, size_t first, size_t n, size_t most, size_t members, float *out) {
    const setting *s = &w->s;
    attention_block cut[MOST_ROWS];
    _Atomic uint32_t finished[MOST_ROWS * 16] = {0};
    const size_t shared = attention_shared_floats(PAGES * ATTENTION_PAGE, s->n_head, s->head_v);
    const size_t n_block = attention_cut(w->rows + first, n, most, cut);
    job j = {
        .args = {.kernels = &w->kernels,
                 .rows = w->rows + first,
                 .blocks = cut,
                 .n_block = n_block,
                 .q = w->q + first * q_width(s),
                 .q_stride = q_width(s),
                 .q_step = s->head_k + s->gap,
                 .out = out + first * s->n_head * s->head_v,
                 .out_stride = s->n_head * s->head_v,
                 .n_head = s->n_head,
                 .n_head_kv = s->n_head_kv,
                 .head_k = s->head_k,
                 .head_v = s->head_v,
                 .window = s->window,
                 .scale = 0.3f,
                 .soft_cap = soft_cap,
                 .alibi = s->alibi,
                 .type_k = s->type_k,
                 .type_v = s->type_v,
                 .pool = w->pool,
                 .page_bytes = w->page_bytes,
                 .v_offset = w->v_offset,
                 .n_member = members,
                 .shared = {stale(shared * sizeof(float)), shared, finished, MOST_ROWS * 16}},
        .scratch_bytes =
            (attention_scratch_bytes(s->n_head, s->n_head_kv, s->head_k, s->head_v) + 63) / 64 * 64,
    };
    j.scratch = stale(members * j.scratch_bytes);
    team *t;
    sl_error error;
    assert_int_equal(team_create(members, &t, &error), SL_OK);
    team_run(t, work, &j);
    team_free(t);
    for (size_t i = 0; i < MOST_ROWS * 16; i++) {
        assert_int_equal(finished[i], 0);
    }
    free(j.scratch);
    free(j.args.shared.parts);
    /* Every member has tried once in vain. */
    return (j.counter - members) / (n_block * s->n_head_kv);
}

/* The published rule for slopes, as its authors wrote it: recursively. */
static double slope_by_rule(size_t n_head, size_t head) {
    const double log = log2((double)n_head);
    if (log == floor(log)) {
        return pow(2, -pow(2, 3 - log) * (double)(head + 1));
    }
    const size_t n = (size_t)pow(2, floor(log));
    return head < n ? slope_by_rule(n, head) : slope_by_rule(2 * n, 2 * (head - n));
}

/* One query by the formula; the largest difference from what was found. */
static double error_of(const world *w, size_t row, size_t head, const float *found) {
    const setting *s = &w->s;
    const attention_row *r = &w->rows[row];
    const size_t kv = head / (s->n_head / s->n_head_kv), past = r->position + 1;
    const size_t start = s->window && past > s->window ? past - s->window : 0;
    double *weights = memory(past * sizeof *weights), sum = 0;
    for (size_t p = start; p < past; p++) {
        double score = 0;
        for (size_t d = 0; d < s->head_k; d++) {
            score += (double)w->q[row * q_width(s) + head * (s->head_k + s->gap) + d] *
                     w->keys[r->sequence][(p * s->n_head_kv + kv) * s->head_k + d];
        }
        const double bias =
            s->alibi ? slope_by_rule(s->n_head, head) * ((double)p - (double)r->position) : 0;
        score *= (double)0.3f;
        score = soft_cap > 0 ? (double)soft_cap * tanh(score / (double)soft_cap) : score;
        sum += weights[p] = exp(score + bias);
    }
    double worst = 0;
    for (size_t d = 0; d < s->head_v; d++) {
        double expected = 0;
        for (size_t p = start; p < past; p++) {
            expected +=
                weights[p] / sum * w->values[r->sequence][(p * s->n_head_kv + kv) * s->head_v + d];
        }
        const double error = fabs(expected - found[d]);
        worst = error <= worst ? worst : error; /* NaN counts as the worst */
    }
    free(weights);
    return worst;
}

/* Rows alone by a few members, who share out their parts, by more than there are parts, and rows of
 * both sequences so: `alone` is right. */
static void check_by_parts(const world *w, const float *alone) {
    const setting *s = &w->s;
    const size_t width = s->n_head * s->head_v;
    float *found = stale(w->n_row * width * sizeof(float));
    const size_t last[] = {w->n_row - 1, s->rows[0] - 1};
    for (size_t i = 0; i < 2; i++) {
        const size_t past = w->rows[last[i]].position + 1;
        const size_t seen = s->window && past > s->window ? s->window : past;
        const size_t parts = (past - 1) / ATTENTION_PART - (past - seen) / ATTENTION_PART + 1;
        for (size_t members = 2; members <= CROWD; members += CROWD - 2) {
            const size_t pieces = run(w, last[i], 1, 1, members, found);
            assert_true((parts > 1) == (pieces > 1) && pieces <= parts);
            assert_memory_equal(alone + last[i] * width, found + last[i] * width,
                                width * sizeof(float));
        }
    }
    const size_t middle = s->rows[0] - 1; /* the last of one and the first of the other */
    run(w, middle, 2, 1, MEMBERS, found);
    assert_memory_equal(alone + middle * width, found + middle * width, 2 * width * sizeof(float));
    free(found);
}

static void check(const setting *s) {
    world *w = make(s);
    const size_t width = s->n_head * s->head_v, bytes = w->n_row * width * sizeof(float);
    float *alone = stale(bytes), *found = stale(bytes);
    for (size_t r = 0; r < w->n_row; r++) {
        run(w, r, 1, 1, 1, alone);
        for (size_t h = 0; h < s->n_head; h++) {
            assert_true(error_of(w, r, h, alone + r * width + h * s->head_v) < 2e-5);
        }
    }
    const size_t most = attention_rows_most(s->n_head / s->n_head_kv);
    for (size_t members = 1; members <= MEMBERS; members++) {
        run(w, 0, w->n_row, most, members, found);
        assert_memory_equal(alone, found, bytes);
        run(w, 0, w->n_row, most < 5 ? most : 5, members, found);
        assert_memory_equal(alone, found, bytes);
    }
    check_by_parts(w, alone);
    free(alone);
    free(found);
    unmake(w);
}

static void every_type(void **state) {
    (void)state;
    static const quant_type types[] = {QUANT_F32, QUANT_F16, QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0};
    for (size_t i = 0; i < 5; i++) {
        check(
            &(setting){8, 1, 64, 32, 0, types[i], types[(i + 1) % 5], {700, 3}, {9, 5}, false, 0});
        check(&(setting){2, 2, 32, 64, 0, types[i], types[i], {0, 255}, {40, 20}, false, 0});
    }
}

static void every_window(void **state) {
    (void)state;
    static const size_t windows[] = {1, 2, 5, 31, 33, 100, 256, 300, 4000};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        check(&(setting){
            3, 1, 24, 20, windows[i], QUANT_F16, QUANT_F16, {500, 0}, {44, 17}, false, 0});
        check(&(setting){
            2, 2, 8, 9, windows[i], QUANT_F32, QUANT_BF16, {240, 1000}, {30, 1}, false, 0});
    }
}

/* Caps that bite, and one that hardly does: alone, with a window, and under a bias by distance. */
static void soft_caps(void **state) {
    (void)state;
    static const float caps[] = {0.5f, 3.0f, 50.0f};
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
        soft_cap = caps[i];
        check(&(setting){4, 2, 64, 32, 0, QUANT_F16, QUANT_F16, {700, 3}, {9, 5}, false, 0});
        check(&(setting){2, 2, 32, 64, 33, QUANT_Q8_0, QUANT_F32, {300, 31}, {40, 20}, false, 0});
        check(&(setting){3, 1, 16, 16, 0, QUANT_F32, QUANT_BF16, {500, 0}, {2, 1}, true, 0});
    }
    soft_cap = 0;
}

static void rows_alone_of_several_sequences(void **state) {
    (void)state;
    check(&(setting){6, 2, 16, 16, 0, QUANT_F16, QUANT_F16, {2000, 31}, {1, 1}, false, 0});
    check(&(setting){1, 1, 5, 3, 0, QUANT_F16, QUANT_F32, {256, 0}, {1, 1}, false, 0});
}

/* One to four rows that end just before, at and behind the border of a part, and a window that
 * begins there. */
static void borders_of_parts(void **state) {
    (void)state;
    enum { PART = ATTENTION_PART };
    for (size_t end = PART - 1; end <= 2 * PART + 1; end += end == PART + 1 ? PART - 2 : 1) {
        for (size_t rows = 1; rows <= 4; rows++) {
            check(&(setting){
                2, 1, 16, 16, 0, QUANT_F16, QUANT_F16, {end - rows, 0}, {rows, 1}, false, 0});
            check(&(setting){
                1, 1, 16, 16, PART, QUANT_F16, QUANT_F16, {end - rows, 700}, {rows, 1}, false, 0});
            check(&(setting){1,
                             1,
                             16,
                             32,
                             end - PART + 2,
                             QUANT_F32,
                             QUANT_Q8_0,
                             {end - rows, 2},
                             {rows, 2},
                             false,
                             0});
        }
    }
}

static void odd_heads(void **state) {
    (void)state;
    static const size_t heads[] = {1, 7, 15, 17, 31, 33, 65, 80, 96, 100, 129, 256};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        const size_t k = heads[i], v = heads[(i + 5) % 12];
        check(&(setting){3, 1, k, v, 0, QUANT_F16, QUANT_BF16, {270, 0}, {8, 3}, false, 0});
        check(&(setting){2, 2, k, v, 40, QUANT_BF16, QUANT_F32, {500, 1}, {24, 1}, false, 0});
    }
}

/* More heads on one key head than a block has room for otherwise. */
static void many_heads_on_one(void **state) {
    (void)state;
    check(&(setting){
        ATTENTION_QUERIES + 8, 1, 8, 8, 0, QUANT_F16, QUANT_F16, {300, 0}, {3, 1}, false, 0});
    check(&(setting){
        ATTENTION_QUERIES / 2, 1, 8, 8, 7, QUANT_F16, QUANT_F16, {300, 0}, {3, 2}, false, 0});
}

/* With gaps between heads, windows, parts, many rows and few, for numbers of heads that are powers
 * of two and others. */
static void biases_by_distance(void **state) {
    (void)state;
    check(&(setting){8, 8, 16, 16, 0, QUANT_F16, QUANT_F16, {700, 3}, {9, 5}, true, 0});
    check(&(setting){12, 12, 8, 8, 0, QUANT_F32, QUANT_F32, {250, 600}, {40, 3}, true, 16});
    check(&(setting){6, 2, 24, 16, 300, QUANT_BF16, QUANT_F16, {900, 0}, {30, 20}, true, 8});
    check(&(setting){5, 1, 32, 32, 40, QUANT_Q8_0, QUANT_Q8_0, {280, 254}, {3, 4}, true, 3});
    check(&(setting){1, 1, 16, 16, 0, QUANT_F16, QUANT_F16, {2000, 31}, {1, 1}, true, 0});
}

static void heads_apart(void **state) {
    (void)state;
    check(&(setting){4, 4, 16, 16, 0, QUANT_F16, QUANT_F32, {300, 0}, {20, 9}, false, 32});
    check(&(setting){4, 2, 32, 64, 0, QUANT_Q8_0, QUANT_Q4_0, {100, 0}, {20, 9}, false, 5});
}

static void slopes(void **state) {
    (void)state;
    for (size_t n_head = 1; n_head <= 130; n_head++) {
        for (size_t h = 0; h < n_head; h++) {
            const double expected = slope_by_rule(n_head, h);
            assert_true(fabs((double)attention_slope(n_head, h) - expected) <= 0x1p-24 * expected);
        }
    }
    assert_true(attention_slope(8, 0) == 0.5f && attention_slope(8, 7) == 0x1p-8f);
    assert_true(attention_slope(1, 0) == 0x1p-8f);
}

int main(void) {
    random_seed(&rng, 20261121);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type),        cmocka_unit_test(every_window),
        cmocka_unit_test(soft_caps),         cmocka_unit_test(rows_alone_of_several_sequences),
        cmocka_unit_test(borders_of_parts),  cmocka_unit_test(odd_heads),
        cmocka_unit_test(many_heads_on_one), cmocka_unit_test(biases_by_distance),
        cmocka_unit_test(heads_apart),       cmocka_unit_test(slopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
