#include "engine/measure.h"

#include "base/error.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "engine/planner.h"
#include "engine/synthetic.h"
#include "kernels/packed.h"
#include "ops/attention.h"
#include "os/os.h"

#include <stdlib.h>
#include <string.h>

enum {
    N_IN = 4096,
    N_OUT = 4096,    /* of a matrix: like those of models of some billions of weights */
    LEAST_OUT = 256, /* where so many rows would take too long */
    MOST_ROWS = 512,
    WARM_UPS = 3,
    LEAST_BYTES = 64 << 20,
    MOST_BYTES = 256 << 20,
    FILLED_ROWS = 64,      /* different ones; the others are copies */
    MOST_OPERATIONS = 256, /* of a sample */
    LINE = 64,
};

/* Nanoseconds. */
static const uint64_t sample_time = 15 * 1000 * 1000;
static const uint64_t operation_most = 100 * 1000 * 1000;

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

sl_spread measure_spread(double *values, size_t n) {
    qsort(values, n, sizeof *values, compare);
    const double middle = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
    return (sl_spread){middle, values[0], values[n - 1]};
}

size_t measure_bytes(void) {
    const uint64_t part = os_memory_available() / 16;
    return part < LEAST_BYTES ? LEAST_BYTES : part < MOST_BYTES ? (size_t)part : MOST_BYTES;
}

static sl_status cancelled(sl_error *error) {
    return error_set(error, SL_ERR_CANCELLED, "interrupted");
}

/* All of it is going to be touched. */
static sl_status check_room(size_t bytes, sl_error *error) {
    const uint64_t available = os_memory_available();
    return bytes <= available
               ? SL_OK
               : error_set(error, SL_ERR_MEMORY,
                           "measuring takes %zu MiB of memory, but %llu MiB are available",
                           bytes >> 20, (unsigned long long)available >> 20);
}

/* ---- products ------------------------------------------------------------------------------- */

typedef struct product_bench {
    kernel_table kernels;
    team *threads;
    quant_type type;
    bool packed;
    uint8_t *memory; /* all below is in it */
    size_t memory_bytes;
    uint8_t *matrices; /* n_matrix of them, matrix_bytes each */
    size_t n_matrix, matrix_bytes;
    float *in, *norm, *out;
    uint8_t *rows;    /* prepared */
    uint8_t *own;     /* one for each member */
    uint8_t *scratch; /* of each member */
    /* The sample being run. */
    size_t n_row, n_out, n_operation, first;
    _Atomic size_t *counters; /* LINEAR_COUNTERS for each of MOST_OPERATIONS */
} product_bench;

/* What a member needs: a row, panels of blocks of at most a byte and an eighth a value, and what
 * kernels need. */
enum {
    MEMBER_ROW_BYTES = N_IN * sizeof(float),
    MEMBER_PANEL_BYTES = LINEAR_PANEL_ROWS * (N_IN + N_IN / 8),
    MEMBER_BYTES = MEMBER_ROW_BYTES + MEMBER_PANEL_BYTES + KERNEL_SCRATCH_BYTES,
};

/* The matrix whose number is `matrix`, as linear.h wants it. */
static linear_rows rows_of_matrix(void *context, uint32_t matrix, size_t first, size_t count) {
    const product_bench *b = context;
    const size_t stride = quant_row_bytes(b->type, N_IN);
    (void)count;
    return (linear_rows){b->matrices + matrix * b->matrix_bytes + first * stride, stride,
                         b->packed};
}

static void keep_rows(void *context, uint32_t matrix, size_t first, size_t count) {
    (void)context;
    (void)matrix;
    (void)first;
    (void)count;
}

static void run_products(void *context, size_t member) {
    product_bench *b = context;
    const size_t counters = LINEAR_COUNTERS(team_size(b->threads));
    uint8_t *const mine = b->scratch + member * MEMBER_BYTES;
    linear_scratch scratch = {
        .row = (float *)mine,
        .panels = mine + MEMBER_ROW_BYTES,
        .kernels = mine + MEMBER_ROW_BYTES + MEMBER_PANEL_BYTES,
    };
    const kernel_row form = kernel_row_of(b->type);
    scratch.rows[form] = b->own + member * size_round_up(kernel_row_bytes(form, N_IN), LINE);
    for (size_t i = 0; i < b->n_operation; i++) {
        linear_args args = {
            .kernels = &b->kernels,
            .source = {rows_of_matrix, keep_rows, b},
            .in = b->in,
            .in_stride = N_IN,
            .n_row = b->n_row,
            .n_in = N_IN,
            .prepare = PREPARE_RMS_NORM,
            .norm_weight = b->norm,
            .epsilon = 1e-5f,
            .n_part = 1,
            .part[0] = {.type = b->type,
                        .matrix = (uint32_t)((b->first + i) % b->n_matrix),
                        .n_out = b->n_out,
                        .slice_rows = N_OUT},
            .out = b->out,
            .out_stride = N_OUT,
        };
        args.rows[form] = b->rows;
        linear_run(&args, &scratch, b->threads, member, b->counters + i * counters);
        team_barrier(b->threads);
    }
}

static size_t counter_bytes(const team *members) {
    return MOST_OPERATIONS * LINEAR_COUNTERS(team_size(members)) * sizeof(_Atomic size_t);
}

/* Nanoseconds of so many operations. */
static uint64_t time_products(product_bench *b, size_t n_row, size_t n_out, size_t n_operation) {
    b->n_row = n_row;
    b->n_out = n_out;
    b->n_operation = n_operation;
    memset(b->counters, 0, counter_bytes(b->threads));
    const uint64_t start = os_now();
    team_run(b->threads, run_products, b);
    b->first = (b->first + n_operation) % b->n_matrix;
    return os_now() - start;
}

/* Random values in the type; from FILLED_ROWS on, copies. */
static void fill_matrices(product_bench *b) {
    const size_t row_bytes = quant_row_bytes(b->type, N_IN);
    const size_t filled = FILLED_ROWS * row_bytes;
    random_state random;
    random_seed(&random, 1);
    uint8_t *const rows = (uint8_t *)b->out; /* has room: FILLED_ROWS < MOST_ROWS floats wide */
    synthetic_fill(b->type, 0.02f, &random, rows, (size_t)FILLED_ROWS * N_IN);
    if (b->packed) {
        packed_fill(b->type, FILLED_ROWS, N_IN, rows, row_bytes, b->matrices);
    } else {
        memcpy(b->matrices, rows, filled);
    }
    const size_t all = b->n_matrix * b->matrix_bytes;
    for (size_t at = filled; at < all; at += filled) {
        memcpy(b->matrices + at, b->matrices, size_min(filled, all - at));
    }
    for (size_t i = 0; i < (size_t)MOST_ROWS * N_IN; i++) {
        b->in[i] = (float)(2 * random_unit(&random) - 1);
    }
    for (size_t i = 0; i < N_IN; i++) {
        b->norm[i] = 1;
    }
}

/* The next `bytes` of the memory; NULL while its size is being found. */
static void *part(product_bench *b, size_t *used, size_t bytes) {
    void *const at = b->memory ? b->memory + *used : NULL;
    *used += size_round_up(bytes, LINE);
    return at;
}

static size_t lay_out(product_bench *b) {
    size_t used = 0;
    const size_t members = team_size(b->threads);
    const size_t row_bytes = kernel_row_bytes(kernel_row_of(b->type), N_IN);
    b->matrices = part(b, &used, b->n_matrix * b->matrix_bytes);
    b->in = part(b, &used, (size_t)MOST_ROWS * N_IN * sizeof(float));
    b->norm = part(b, &used, N_IN * sizeof(float));
    b->out = part(b, &used, (size_t)MOST_ROWS * N_OUT * sizeof(float));
    b->rows = part(b, &used, MOST_ROWS * row_bytes);
    b->own = part(b, &used, members * size_round_up(row_bytes, LINE));
    b->counters = part(b, &used, counter_bytes(b->threads));
    b->scratch = part(b, &used, members * MEMBER_BYTES);
    return used;
}

static sl_status open_products(product_bench *b, team *t, quant_type type, bool packed,
                               sl_error *error) {
    b->threads = t;
    b->type = type;
    b->packed = packed;
    kernel_table_fill(&b->kernels, cpu_features());
    b->matrix_bytes = N_OUT * quant_row_bytes(type, N_IN);
    b->n_matrix = size_max(2, measure_bytes() / b->matrix_bytes + 1);
    b->memory_bytes = lay_out(b);
    const sl_status status = check_room(b->memory_bytes, error);
    if (status != SL_OK) {
        return status;
    }
    b->memory = os_pages_allocate(b->memory_bytes);
    if (!b->memory) {
        return error_memory(error, "measuring", b->memory_bytes);
    }
    lay_out(b);
    fill_matrices(b);
    return SL_OK;
}

/* How a number of rows is sampled: rows of weights of an operation, and operations. */
typedef struct sample_plan {
    size_t n_out, n_operation;
} sample_plan;

/* From a few operations, which warm up too. `before`: nanoseconds of a product, from the last. */
static sample_plan plan_samples(product_bench *b, size_t n_row, double *before) {
    sample_plan plan = {.n_out = N_OUT};
    const double expected = *before * N_OUT * N_IN * (double)n_row;
    while (plan.n_out > LEAST_OUT &&
           expected * (double)plan.n_out / N_OUT > (double)operation_most) {
        plan.n_out /= 2;
    }
    uint64_t time = time_products(b, n_row, plan.n_out, 1);
    for (int i = 0; i < WARM_UPS && time < sample_time; i++) {
        const uint64_t again = time_products(b, n_row, plan.n_out, 1);
        time = again < time ? again : time;
    }
    const size_t enough = (size_t)(sample_time / (time + 1));
    plan.n_operation = size_max(1, size_min(enough, MOST_OPERATIONS));
    *before = (double)time / ((double)plan.n_out * N_IN * (double)n_row);
    return plan;
}

sl_status measure_kernel(team *t, quant_type type, bool packed, measure_poll_fn poll, void *user,
                         sl_spread rate[SL_FIGURE_ROWS], sl_error *error) {
    product_bench *b = calloc(1, sizeof *b);
    if (!b) {
        return error_memory(error, "measuring", sizeof *b);
    }
    sl_status status = open_products(b, t, type, packed, error);
    sample_plan plans[SL_FIGURE_ROWS];
    double rates[SL_FIGURE_ROWS][MEASURE_ROUNDS], before = 0;
    for (size_t i = 0; i < SL_FIGURE_ROWS && status == SL_OK; i++) {
        plans[i] = plan_samples(b, planner_rows[i], &before);
    }
    for (size_t round = 0; round < MEASURE_ROUNDS && status == SL_OK; round++) {
        for (size_t i = 0; i < SL_FIGURE_ROWS && status == SL_OK; i++) {
            const size_t n = planner_rows[i];
            const uint64_t time = time_products(b, n, plans[i].n_out, plans[i].n_operation);
            rates[i][round] = (double)n * (double)plans[i].n_out * N_IN *
                              (double)plans[i].n_operation * 1e9 / (double)(time + 1);
            status = !poll || poll(user) ? SL_OK : cancelled(error);
        }
    }
    for (size_t i = 0; i < SL_FIGURE_ROWS && status == SL_OK; i++) {
        rate[i] = measure_spread(rates[i], MEASURE_ROUNDS);
    }
    os_pages_free(b->memory, b->memory_bytes);
    free(b);
    return status;
}

sl_status measure_operation(team *t, sl_spread *seconds, sl_error *error) {
    product_bench *b = calloc(1, sizeof *b);
    if (!b) {
        return error_memory(error, "measuring", sizeof *b);
    }
    const sl_status status = open_products(b, t, QUANT_Q8_0, false, error);
    double values[MEASURE_ROUNDS];
    for (size_t round = 0; round < MEASURE_ROUNDS && status == SL_OK; round++) {
        b->first = 0;
        values[round] = (double)time_products(b, 1, PACKED_ROWS, MOST_OPERATIONS) * 1e-9 /
                        (double)MOST_OPERATIONS;
    }
    if (status == SL_OK) {
        *seconds = measure_spread(values, MEASURE_ROUNDS);
    }
    os_pages_free(b->memory, b->memory_bytes);
    free(b);
    return status;
}

/* ---- attention ------------------------------------------------------------------------------ */

/* Layers of one sequence take turns, each with its part of every page, as in the cache. */
enum {
    KEYS = 2048, /* positions */
    KEY_PAGES = KEYS / ATTENTION_PAGE,
    PROMPT_ROWS = 128,   /* the last ones */
    KV_BYTES = 64 << 20, /* of all layers */
    MOST_LAYERS = 64,
};

typedef struct attention_bench {
    attention_args args;
    team *threads;
    uint8_t *pool, *scratch;
    size_t pool_bytes, scratch_bytes;
    size_t n_layer, layer_bytes; /* of a page */
    float *q, *out;
    size_t floats; /* of each of them, with what parts come to behind `out` */
    uint32_t pages[KEY_PAGES];
    attention_row rows[PROMPT_ROWS];
    attention_block blocks[PROMPT_ROWS];
    _Atomic uint32_t finished[PROMPT_ROWS * 64];
    /* The sample being run. */
    size_t n_operation, first;
    _Atomic size_t counters[MOST_OPERATIONS];
} attention_bench;

static void run_attentions(void *context, size_t member) {
    attention_bench *b = context;
    for (size_t i = 0; i < b->n_operation; i++) {
        const size_t layer = (b->first + i) % b->n_layer;
        attention_args args = b->args;
        args.k_offset += layer * b->layer_bytes;
        args.v_offset += layer * b->layer_bytes;
        attention_run(&args, b->scratch + member * b->scratch_bytes, &b->counters[i]);
        team_barrier(b->threads);
    }
}

/* The last n positions. */
static void choose_rows(attention_bench *b, size_t n) {
    attention_args *a = &b->args;
    const size_t most = attention_rows_for(n, a->n_head, a->n_head_kv, a->n_member,
                                           attention_rows_most(a->n_head / a->n_head_kv));
    for (size_t i = 0; i < n; i++) {
        b->rows[i] = (attention_row){.position = KEYS - n + i, .pages = b->pages};
    }
    a->n_block = attention_cut(b->rows, n, most, b->blocks);
}

static uint64_t time_attentions(attention_bench *b, size_t n_operation) {
    b->n_operation = n_operation;
    for (size_t i = 0; i < MOST_OPERATIONS; i++) {
        atomic_store_explicit(&b->counters[i], 0, memory_order_relaxed);
    }
    const uint64_t start = os_now();
    team_run(b->threads, run_attentions, b);
    b->first = (b->first + n_operation) % b->n_layer;
    return os_now() - start;
}

/* A page of one layer has random keys and values; all else are copies of it. */
static void fill_pool(attention_bench *b, float *values) {
    const attention_args *a = &b->args;
    random_state random;
    random_seed(&random, 2);
    for (size_t i = 0; i < ATTENTION_PAGE; i++) {
        for (size_t k = 0; k < a->n_head_kv * size_max(a->head_k, a->head_v); k++) {
            values[k] = (float)(2 * random_unit(&random) - 1);
        }
        attention_store_keys(a->type_k, values, a->head_k, a->n_head_kv, a->head_k, b->pool, i);
        attention_store_values(a->type_v, values, a->head_v, a->n_head_kv, a->head_v,
                               b->pool + a->v_offset, i);
    }
    for (size_t at = b->layer_bytes; at < b->pool_bytes; at += b->layer_bytes) {
        memcpy(b->pool + at, b->pool, b->layer_bytes);
    }
    for (size_t i = 0; i < PROMPT_ROWS * a->q_stride; i++) {
        b->q[i] = (float)(2 * random_unit(&random) - 1);
    }
}

static sl_status open_attention(attention_bench *b, team *t, const op_attention *h,
                                quant_type type_k, quant_type type_v, sl_error *error) {
    const size_t k_bytes = h->n_head_kv * ATTENTION_PAGE * quant_row_bytes(type_k, h->head_k);
    const size_t v_bytes = h->n_head_kv * ATTENTION_PAGE * quant_row_bytes(type_v, h->head_v);
    const size_t layer = size_round_up(size_round_up(k_bytes, LINE) + v_bytes, LINE);
    const size_t shared = attention_shared_floats(KEYS, h->n_head, h->head_v);
    const size_t width = h->n_head * size_max(h->head_k, h->head_v);
    b->threads = t;
    b->layer_bytes = layer;
    b->n_layer = size_min(MOST_LAYERS, size_max(2, KV_BYTES / (layer * KEY_PAGES)));
    b->pool_bytes = b->n_layer * KEY_PAGES * layer;
    b->scratch_bytes =
        size_round_up(attention_scratch_bytes(h->n_head, h->n_head_kv, h->head_k, h->head_v), LINE);
    b->floats = size_round_up(PROMPT_ROWS * width, 16);
    const size_t scratch = b->scratch_bytes * team_size(t);
    const size_t floats = (2 * b->floats + size_round_up(shared, 16)) * sizeof *b->q;
    const sl_status status = check_room(b->pool_bytes + scratch + floats, error);
    if (status != SL_OK) {
        return status;
    }
    b->pool = os_pages_allocate(b->pool_bytes);
    b->scratch = aligned_alloc(LINE, scratch);
    b->q = aligned_alloc(LINE, floats);
    if (!b->pool || !b->scratch || !b->q) {
        return error_memory(error, "measuring attention", b->pool_bytes + scratch + floats);
    }
    b->out = b->q + b->floats;
    const bool counted = PROMPT_ROWS * h->n_head_kv <= COUNT_OF(b->finished);
    b->args = (attention_args){
        .rows = b->rows,
        .blocks = b->blocks,
        .q = b->q,
        .q_stride = width,
        .q_step = h->head_k,
        .out = b->out,
        .out_stride = width,
        .n_head = h->n_head,
        .n_head_kv = h->n_head_kv,
        .head_k = h->head_k,
        .head_v = h->head_v,
        .scale = 0.1f,
        .type_k = type_k,
        .type_v = type_v,
        .pool = b->pool,
        .page_bytes = b->n_layer * layer,
        .v_offset = size_round_up(k_bytes, LINE),
        .n_member = team_size(t),
        .shared = {.parts = b->out + b->floats,
                   .n_float = shared,
                   .finished = b->finished,
                   .n_item = counted ? PROMPT_ROWS * h->n_head_kv : COUNT_OF(b->finished)},
    };
    for (size_t i = 0; i < KEY_PAGES; i++) {
        b->pages[i] = (uint32_t)i;
    }
    fill_pool(b, b->out);
    return SL_OK;
}

/* Keys per second with n rows. */
static sl_status sample_attention(attention_bench *b, size_t n, measure_poll_fn poll, void *user,
                                  sl_spread *rate, sl_error *error) {
    const double keys = (double)n * (KEYS - n) + (double)n * (double)(n + 1) / 2;
    choose_rows(b, n);
    const uint64_t first = time_attentions(b, 1);
    const size_t count =
        size_max(1, size_min(MOST_OPERATIONS, (size_t)(sample_time / (first + 1))));
    double rates[MEASURE_ROUNDS];
    for (size_t round = 0; round < MEASURE_ROUNDS; round++) {
        rates[round] = keys * (double)count * 1e9 / (double)(time_attentions(b, count) + 1);
        if (poll && !poll(user)) {
            return cancelled(error);
        }
    }
    *rate = measure_spread(rates, MEASURE_ROUNDS);
    return SL_OK;
}

sl_status measure_attention(team *t, const op_attention *heads, quant_type type_k,
                            quant_type type_v, measure_poll_fn poll, void *user, sl_spread *one,
                            sl_spread *many, sl_error *error) {
    attention_bench *b = calloc(1, sizeof *b);
    if (!b) {
        return error_memory(error, "measuring attention", sizeof *b);
    }
    kernel_table kernels;
    kernel_table_fill(&kernels, cpu_features());
    sl_status status = open_attention(b, t, heads, type_k, type_v, error);
    b->args.kernels = &kernels;
    if (status == SL_OK) {
        status = sample_attention(b, 1, poll, user, one, error);
    }
    if (status == SL_OK) {
        status = sample_attention(b, PROMPT_ROWS, poll, user, many, error);
    }
    os_pages_free(b->pool, b->pool_bytes);
    free(b->scratch);
    free(b->q);
    free(b);
    return status;
}
