/* kernel_compare.h - table against table: every entry of one against the plain one, bit for bit.
 *
 * Nothing here knows which instruction set it tests. Entries that a table shares with the one
 * before it are passed over. Operands touch forbidden pages; what lies between and behind them is
 * NaN.
 */
#ifndef TESTS_KERNEL_COMPARE_H
#define TESTS_KERNEL_COMPARE_H

#include "kernel_tools.h"

#include "kernels/packed.h"

#include <stddef.h>

enum { VECTOR_LENGTH_MAX = 4096 };

/* The memory that all cases share. */
static guarded memory_w, memory_packed, memory_x, memory_y, memory_scratch, memory_a, memory_b,
    memory_c;

static void compare_set_up(void) {
    memory_w = guarded_new((size_t)4 << 20);
    memory_packed = guarded_new((size_t)4 << 20);
    memory_x = guarded_new((size_t)2 << 20);
    memory_y = guarded_new((size_t)64 << 10);
    memory_scratch = guarded_new(KERNEL_SCRATCH_BYTES);
    memory_a = guarded_new(VECTOR_LENGTH_MAX * sizeof(float) * 2);
    memory_b = guarded_new(VECTOR_LENGTH_MAX * sizeof(float) * 2);
    memory_c = guarded_new(VECTOR_LENGTH_MAX * sizeof(float) * 2);
}

/* ---- products ------------------------------------------------------------------------------- */

typedef struct shape {
    size_t n_out, n_row, n_in;
} shape;

static void fill_weights(quant_type type, const shape *s, uint8_t *w, size_t stride, bool is_odd) {
    for (size_t r = 0; r < s->n_out; r++) {
        const kind k = is_odd && pick(2) ? (kind)pick(KINDS) : ORDINARY;
        random_weights(type, k, w + r * stride, s->n_in);
    }
}

static void fill_rows(const kernel_table *plain, quant_type type, const shape *s, uint8_t *x,
                      size_t stride, bool is_odd) {
    float *values = malloc(s->n_in * sizeof *values);
    for (size_t i = 0; i < s->n_row; i++) {
        random_floats(ORDINARY, values, s->n_in);
        if (is_odd && pick(2)) {
            random_mixture(values, s->n_in);
        }
        plain->make_row[kernel_row_of(type)](values, s->n_in, x + i * stride);
    }
    free(values);
}

/* Operands of a product, and what plain C makes of them. */
typedef struct product {
    quant_type type;
    shape s;
    const uint8_t *w;
    size_t w_row, w_stride;
    const uint8_t *x;
    size_t x_stride;
    const float *expected;
    size_t y_stride, y_count;
    bool is_end; /* y ends at a forbidden page */
} product;

static void check_product(const kernel_table *table, const product *p, const char *what,
                          kernel_matmul *matmul, const uint8_t *w, size_t w_stride) {
    float *y = guarded_place(&memory_y, p->y_count * sizeof(float), p->is_end);
    void *scratch = guarded_place(&memory_scratch, KERNEL_SCRATCH_BYTES, false);
    matmul(p->s.n_out, p->s.n_row, p->s.n_in, w, w_stride, p->x, p->x_stride, y, p->y_stride,
           scratch);
    const size_t at = first_difference(p->expected, y, p->y_count);
    check(at == p->y_count, "%s %s %s n_out %zu n_row %zu n_in %zu: y[%zu][%zu] is %a, not %a",
          table->name, what, quant_format_of(p->type)->name, p->s.n_out, p->s.n_row, p->s.n_in,
          at / p->y_stride, at % p->y_stride, at < p->y_count ? (double)y[at] : 0,
          at < p->y_count ? (double)p->expected[at] : 0);
    size_t untouched = 0; /* gaps between the rows of y, compared as bits */
    for (size_t i = 0; i + 1 < p->s.n_row; i++) {
        for (size_t r = p->s.n_out; r < p->y_stride; r++) {
            untouched += float_bits(y[i * p->y_stride + r]) != 0xffffffff;
        }
    }
    check(untouched == 0, "%s %s %s writes between rows of y", table->name, what,
          quant_format_of(p->type)->name);
}

/* Also that packing can be undone. */
static void check_packed_product(const kernel_table *table, const product *p) {
    const size_t bytes = packed_bytes(p->type, p->s.n_out, p->s.n_in);
    uint8_t *packed = guarded_place(&memory_packed, bytes, p->is_end);
    packed_fill(p->type, p->s.n_out, p->s.n_in, p->w, p->w_stride, packed);
    check_product(table, p, "packed", table->matmul_packed[p->type], packed, p->w_row);
    const size_t r = pick((unsigned)p->s.n_out);
    uint8_t *row = malloc(p->w_row);
    packed_row(p->type, p->s.n_in, packed, r, row);
    check(memcmp(row, p->w + r * p->w_stride, p->w_row) == 0, "%s: a packed row is not what it was",
          quant_format_of(p->type)->name);
    free(row);
}

/* Runs both on the same operands. is_odd: also numbers that no model has. */
static void compare_product(const kernel_table *plain, const kernel_table *table, quant_type type,
                            shape s, bool is_odd) {
    static const size_t gaps[] = {0, 1, 2, 7, 32, 66};
    const size_t w_row = quant_row_bytes(type, s.n_in),
                 x_row = kernel_row_bytes(kernel_row_of(type), s.n_in);
    const size_t w_stride = w_row + gaps[pick(6)], x_stride = x_row + 64 * pick(3);
    const size_t y_stride = s.n_out + pick(4);
    const size_t y_count = (s.n_row - 1) * y_stride + s.n_out;
    const bool is_end = pick(4) > 0;
    uint8_t *w = guarded_place(&memory_w, (s.n_out - 1) * w_stride + w_row, is_end);
    uint8_t *x = guarded_place(&memory_x, (s.n_row - 1) * x_stride + x_row, is_end);
    fill_weights(type, &s, w, w_stride, is_odd);
    fill_rows(plain, type, &s, x, x_stride, is_odd);

    float *expected = malloc(y_count * sizeof(float));
    memset(expected, 0xff, y_count * sizeof(float));
    plain->matmul[type](s.n_out, s.n_row, s.n_in, w, w_stride, x, x_stride, expected, y_stride,
                        memory_scratch.start);
    const product p = {type,     s,        w,        w_row,   w_stride, x,
                       x_stride, expected, y_stride, y_count, is_end};
    check_product(table, &p, "matmul", table->matmul[type], w, w_stride);
    if (table->matmul_packed[type]) {
        check_packed_product(table, &p);
    }
    free(expected);
}

/* A bf16 of either sign and some biased exponent. */
static uint16_t random_bf16(size_t exponent, size_t fraction) {
    return (uint16_t)(pick(2) << 15 | exponent << 7 | fraction);
}

/* BF16 sums that end at 2^-126 or just below it, on either side of where they become zero: a pair's
 * odd product is 2^-126, its even one between 2^-154 and 2^-148. Random operands hardly ever meet
 * this, and processors differ there. */
static void compare_flushing(const kernel_table *plain, const kernel_table *table, size_t n_row) {
    enum { N_OUT = 6, N_IN = 32, N_ROW_MAX = 8 };
    static uint16_t w[N_OUT][N_IN];
    static _Alignas(64) uint16_t x[N_ROW_MAX][N_IN];
    float expected[N_ROW_MAX * N_OUT], y[N_ROW_MAX * N_OUT];
    for (size_t k = 0; k < N_IN; k++) {
        const bool is_odd = k % 2;
        for (size_t r = 0; r < N_OUT; r++) {
            w[r][k] = is_odd ? random_bf16(64, 0) : random_bf16(50 + pick(3), pick(128));
        }
        for (size_t i = 0; i < n_row; i++) {
            x[i][k] = is_odd ? random_bf16(64, 0) : random_bf16(50 + pick(3), 0);
        }
    }
    for (size_t pairs = 1; pairs <= N_IN / 2; pairs++) {
        void *scratch = guarded_place(&memory_scratch, KERNEL_SCRATCH_BYTES, false);
        plain->matmul[QUANT_BF16](N_OUT, n_row, 2 * pairs, w, sizeof w[0], x, sizeof x[0], expected,
                                  N_OUT, scratch);
        table->matmul[QUANT_BF16](N_OUT, n_row, 2 * pairs, w, sizeof w[0], x, sizeof x[0], y, N_OUT,
                                  scratch);
        const size_t at = first_difference(expected, y, n_row * N_OUT);
        check(at == n_row * N_OUT, "%s matmul BF16 near 2^-126, %zu pairs: %a, not %a", table->name,
              pairs, at < n_row * N_OUT ? (double)y[at] : 0,
              at < n_row * N_OUT ? (double)expected[at] : 0);
    }
}

static void compare_products(const kernel_table *plain, const kernel_table *table,
                             quant_type type) {
    const size_t block = quant_format_of(type)->block_length;
    const size_t unit = block > 1 ? block : 37;
    for (size_t n_out = 1; n_out <= 40; n_out++) {
        for (size_t n_row = 1 + n_out % step; n_row <= 9; n_row += step) {
            const size_t n_in = unit * (1 + pick(3));
            compare_product(plain, table, type, (shape){n_out, n_row, n_in}, pick(2));
        }
    }
    for (size_t count = 1; count <= 70; count += step) {
        const size_t n_in = block == 1 ? count : block * (1 + count % 16);
        compare_product(plain, table, type, (shape){1, 1, n_in}, false);
        compare_product(plain, table, type, (shape){1 + pick(20), 1 + pick(6), n_in}, true);
    }
    static const shape large[] = {{33, 1, 4096},   {64, 1, 768},   {40, 33, 256},   {64, 64, 256},
                                  {128, 64, 512},  {37, 64, 1024}, {5, 33, 4096},   {17, 9, 2304},
                                  {100, 13, 1024}, {96, 17, 768},  {129, 100, 256}, {20, 26, 11008},
                                  {9, 7, 32768}};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        const bool is_odd = (i + type) % 2;
        compare_product(plain, table, type, large[i], is_odd);
        if (step == 1) {
            compare_product(plain, table, type, large[i], !is_odd);
        }
    }
    compare_product(plain, table, type, (shape){1024, 1, block > 1 ? block : 100}, false);
    for (size_t n_row = 1; type == QUANT_BF16 && n_row <= 8; n_row++) {
        compare_flushing(plain, table, n_row);
    }
}

/* ---- rows and decoding ---------------------------------------------------------------------- */

/* The defined bytes of two rows of a form. */
static bool same_row(kernel_row form, size_t n, const uint8_t *a, const uint8_t *b) {
    if (form == KERNEL_ROW_F32) {
        return memcmp(a, b, n * sizeof(float)) == 0;
    }
    if (form == KERNEL_ROW_BF16) {
        for (size_t k = 0; k < n; k++) {
            uint16_t one, other;
            memcpy(&one, a + 2 * k, sizeof one);
            memcpy(&other, b + 2 * k, sizeof other);
            if (!same_float(quant_bf16_to_f32(one), quant_bf16_to_f32(other))) {
                return false;
            }
        }
        return true;
    }
    const size_t block = form == KERNEL_ROW_Q8_32 ? 32 : 256;
    const size_t scales = kernel_q8_scales_at(n), sums = kernel_q8_sums_at(n, block);
    return memcmp(a, b, n) == 0 &&
           first_difference((const float *)(const void *)(a + scales),
                            (const float *)(const void *)(b + scales), n / block) == n / block &&
           memcmp(a + sums, b + sums, n / 16 * sizeof(int16_t)) == 0;
}

static void compare_row(const kernel_table *plain, const kernel_table *table, kernel_row form,
                        size_t n) {
    const size_t bytes = kernel_row_bytes(form, n);
    const bool is_end = pick(4) > 0;
    float *x = guarded_place(&memory_a, n * sizeof(float), is_end);
    random_floats((kind)pick(KINDS), x, n);
    if (pick(2)) {
        random_mixture(x, n);
    }
    uint8_t *expected = guarded_place(&memory_b, bytes, is_end);
    uint8_t *row = guarded_place(&memory_c, bytes, is_end);
    plain->make_row[form](x, n, expected);
    table->make_row[form](x, n, row);
    check(same_row(form, n, expected, row), "%s make_row of form %d, n %zu", table->name, form, n);
}

static void compare_rows(const kernel_table *plain, const kernel_table *table, kernel_row form) {
    const size_t block = form == KERNEL_ROW_Q8_32 ? 32 : form == KERNEL_ROW_Q8_256 ? 256 : 1;
    for (size_t count = 1; count <= 600; count += step) {
        const size_t most = VECTOR_LENGTH_MAX / block;
        compare_row(plain, table, form, block * (1 + count % (most < 70 ? most : 70)));
    }
    compare_row(plain, table, form, VECTOR_LENGTH_MAX);
}

static void compare_decoded(const kernel_table *table, quant_type type, size_t n) {
    const bool is_end = pick(4) > 0;
    const quant_format *format = quant_format_of(type);
    uint8_t *blocks = guarded_place(&memory_a, quant_row_bytes(type, n), is_end);
    random_weights(type, (kind)pick(KINDS), blocks, n);
    float *expected = guarded_place(&memory_b, n * sizeof(float), is_end);
    float *values = guarded_place(&memory_c, n * sizeof(float), is_end);
    format->decode(blocks, expected, n);
    table->decode[type](blocks, values, n);
    check(first_difference(expected, values, n) == n, "%s decode %s, n %zu", table->name,
          format->name, n);
}

static void compare_decoding(const kernel_table *table, quant_type type) {
    const size_t block = quant_format_of(type)->block_length;
    for (size_t count = 1; count <= 280; count += step) {
        compare_decoded(table, type, block * (1 + count % (block == 256 ? 16 : 70)));
    }
}

/* ---- vectors -------------------------------------------------------------------------------- */

/* One call of each vector entry. in[0..2] are read-only copies of the operands, out[0] is written
 * (and is a copy of in[0] before). Reductions write out[0][0]. */
typedef void vector_call(const kernel_table *table, size_t n, float *out, const float *x,
                         const float *z);

static void call_dot(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    const float result = t->dot(x, z, n);
    out[0] = n > 0 ? result : out[0];
}

static void call_sum(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    (void)z;
    out[0] = t->sum(x, n);
}

static void call_max(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    (void)z;
    out[0] = t->max(x, n);
}

static void call_soften(const kernel_table *t, size_t n, float *out, const float *x,
                        const float *z) {
    (void)x, (void)z;
    float max_and_sum[2];
    t->soften(out, n, &max_and_sum[0], &max_and_sum[1]);
    /* Both must show; weights are at most 1 and sums are not. */
    out[0] = max_and_sum[0];
    out[n - 1] = n > 1 ? max_and_sum[1] : out[n - 1];
}

/* Half of `out` is the total, half of x the part: queries of a width that leaves gaps. */
static void call_merge(const kernel_table *t, size_t n, float *out, const float *x,
                       const float *z) {
    const size_t queries = n / 32 + 1, stride = n / queries - 2 * (n > 3 * queries);
    const size_t width = stride - stride / 7;
    if (n <= 3 * queries) {
        return;
    }
    float *sums = out + queries * stride, part_max[VECTOR_LENGTH_MAX], part_sum[VECTOR_LENGTH_MAX];
    memcpy(part_max, z, queries * sizeof *z);
    memcpy(part_sum, x + queries * stride, queries * sizeof *z);
    float values[VECTOR_LENGTH_MAX];
    memcpy(values, x, queries * stride * sizeof *x);
    const kernel_mixture part = {values, stride, part_max, part_sum};
    const kernel_mixture total = {out, stride, sums, sums + queries};
    t->merge(queries, width, &part, &total);
}

static void call_scale(const kernel_table *t, size_t n, float *out, const float *x,
                       const float *z) {
    (void)x;
    t->scale(z[0], out, n);
}

static void call_add(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    (void)z;
    t->add(x, out, n);
}

static void call_exp(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    (void)x;
    t->exp_shifted(out, z[0], n);
}

static void call_silu(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    t->silu_mul(x, z, out, n);
}

static void call_silu_over_gate(const kernel_table *t, size_t n, float *out, const float *x,
                                const float *z) {
    (void)z;
    t->silu_mul(out, x, out, n);
}

static void call_silu_over_up(const kernel_table *t, size_t n, float *out, const float *x,
                              const float *z) {
    (void)z;
    t->silu_mul(x, out, out, n);
}

static void call_gelu(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    (void)x;
    (void)z;
    t->gelu_tanh(out, n);
}

static void call_gelu_mul(const kernel_table *t, size_t n, float *out, const float *x,
                          const float *z) {
    t->gelu_tanh_mul(x, z, out, n);
}

static void call_gelu_over_gate(const kernel_table *t, size_t n, float *out, const float *x,
                                const float *z) {
    (void)z;
    t->gelu_tanh_mul(out, x, out, n);
}

static void call_gelu_over_up(const kernel_table *t, size_t n, float *out, const float *x,
                              const float *z) {
    (void)z;
    t->gelu_tanh_mul(x, out, out, n);
}

static void call_cap(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    (void)z;
    t->soft_cap(isnan(x[0]) || x[0] == 0 ? 30.0f : fabsf(x[0]), out, n);
}

static void call_gelu_erf(const kernel_table *t, size_t n, float *out, const float *x,
                          const float *z) {
    (void)x, (void)z;
    t->gelu_erf(out, n);
}

static void call_relu(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    (void)x, (void)z;
    t->relu(out, n);
}

static void call_ramp(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    t->add_ramp(out, x[0], z[0], n);
}

/* As attention calls it: from a distance up to 0. */
static void call_ramp_to_here(const kernel_table *t, size_t n, float *out, const float *x,
                              const float *z) {
    (void)z;
    t->add_ramp(out, x[0], -(float)(n - 1), n);
}

static void call_rms(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    t->rms_norm(x, z, 1e-5f, out, n);
}

static void call_rms_in_place(const kernel_table *t, size_t n, float *out, const float *x,
                              const float *z) {
    (void)z;
    t->rms_norm(out, x, 1e-6f, out, n);
}

static void call_layer(const kernel_table *t, size_t n, float *out, const float *x,
                       const float *z) {
    t->layer_norm(x, z, x, 1e-5f, out, n);
}

static void call_layer_in_place(const kernel_table *t, size_t n, float *out, const float *x,
                                const float *z) {
    t->layer_norm(out, z, x, 1e-5f, out, n);
}

/* Without weights, without a bias, and without both. */
static void call_layer_parts(const kernel_table *t, size_t n, float *out, const float *x,
                             const float *z) {
    t->layer_norm(out, NULL, x, 1e-5f, out, n);
    t->layer_norm(out, z, NULL, 1e-5f, out, n);
    t->layer_norm(out, NULL, NULL, 1e-5f, out, n);
}

static void call_rope(const kernel_table *t, size_t n, float *out, const float *x, const float *z) {
    (void)z;
    t->rope_pairs(out, x, n / 2);
}

static void call_halves(const kernel_table *t, size_t n, float *out, const float *x,
                        const float *z) {
    (void)z;
    t->rope_halves(out, x, n / 2);
}

static const struct {
    const char *name;
    vector_call *call;
    size_t at; /* of its function in the table */
} vector_entries[] = {
    {"dot", call_dot, offsetof(kernel_table, dot)},
    {"sum", call_sum, offsetof(kernel_table, sum)},
    {"max", call_max, offsetof(kernel_table, max)},
    {"soften", call_soften, offsetof(kernel_table, soften)},
    {"merge", call_merge, offsetof(kernel_table, merge)},
    {"scale", call_scale, offsetof(kernel_table, scale)},
    {"add", call_add, offsetof(kernel_table, add)},
    {"exp_shifted", call_exp, offsetof(kernel_table, exp_shifted)},
    {"silu_mul", call_silu, offsetof(kernel_table, silu_mul)},
    {"silu_mul over gate", call_silu_over_gate, offsetof(kernel_table, silu_mul)},
    {"silu_mul over up", call_silu_over_up, offsetof(kernel_table, silu_mul)},
    {"gelu_tanh", call_gelu, offsetof(kernel_table, gelu_tanh)},
    {"gelu_tanh_mul", call_gelu_mul, offsetof(kernel_table, gelu_tanh_mul)},
    {"gelu_tanh_mul over gate", call_gelu_over_gate, offsetof(kernel_table, gelu_tanh_mul)},
    {"gelu_tanh_mul over up", call_gelu_over_up, offsetof(kernel_table, gelu_tanh_mul)},
    {"soft_cap", call_cap, offsetof(kernel_table, soft_cap)},
    {"gelu_erf", call_gelu_erf, offsetof(kernel_table, gelu_erf)},
    {"relu", call_relu, offsetof(kernel_table, relu)},
    {"add_ramp", call_ramp, offsetof(kernel_table, add_ramp)},
    {"add_ramp to here", call_ramp_to_here, offsetof(kernel_table, add_ramp)},
    {"rms_norm", call_rms, offsetof(kernel_table, rms_norm)},
    {"rms_norm in place", call_rms_in_place, offsetof(kernel_table, rms_norm)},
    {"layer_norm", call_layer, offsetof(kernel_table, layer_norm)},
    {"layer_norm in place", call_layer_in_place, offsetof(kernel_table, layer_norm)},
    {"layer_norm of parts", call_layer_parts, offsetof(kernel_table, layer_norm)},
    {"rope_pairs", call_rope, offsetof(kernel_table, rope_pairs)},
    {"rope_halves", call_halves, offsetof(kernel_table, rope_halves)},
};

enum { VECTOR_ENTRIES = sizeof vector_entries / sizeof vector_entries[0] };

/* The operands x and z, and `before`, which `out` holds before each call. */
static void compare_vector_on(const kernel_table *plain, const kernel_table *table, size_t entry,
                              size_t n, const float *before, const float *x, const float *z,
                              bool is_end) {
    static float expected[VECTOR_LENGTH_MAX];
    memcpy(expected, before, n * sizeof(float));
    vector_entries[entry].call(plain, n, expected, x, z);
    float *out = guarded_place(&memory_a, n * sizeof(float), is_end);
    memcpy(out, before, n * sizeof(float));
    vector_entries[entry].call(table, n, out, x, z);
    const size_t at = first_difference(expected, out, n);
    check(at == n, "%s %s n %zu: [%zu] is %a, not %a (from %a, %a, %a)", table->name,
          vector_entries[entry].name, n, at, at < n ? (double)out[at] : 0,
          at < n ? (double)expected[at] : 0, at < n ? (double)before[at] : 0,
          at < n ? (double)x[at] : 0, at < n ? (double)z[at] : 0);
}

static void compare_vector(const kernel_table *plain, const kernel_table *table, size_t entry,
                           size_t n, kind k) {
    static float before[VECTOR_LENGTH_MAX];
    const bool is_end = pick(4) > 0;
    float *x = guarded_place(&memory_b, n * sizeof(float), is_end);
    float *z = guarded_place(&memory_c, n * sizeof(float), is_end);
    random_floats(k, before, n);
    random_floats(pick(2) ? k : ORDINARY, x, n);
    random_floats(pick(2) ? k : ORDINARY, z, n);
    compare_vector_on(plain, table, entry, n, before, x, z, is_end);
}

/* Floats of all sizes and signs, evenly over their bits, through an elementwise entry. */
static void compare_all_bits(const kernel_table *plain, const kernel_table *table, size_t entry) {
    static float before[VECTOR_LENGTH_MAX];
    float *x = guarded_place(&memory_b, sizeof before, true);
    float *z = guarded_place(&memory_c, sizeof before, true);
    memset(z, 0, sizeof before);
    uint32_t bits = (uint32_t)random_u64(&rng);
    for (int round = 0; round < 128; round += (int)step) {
        for (size_t k = 0; k < VECTOR_LENGTH_MAX; k++, bits += 8191 * (uint32_t)step) {
            before[k] = bits_float(bits);
            x[k] = 1;
        }
        compare_vector_on(plain, table, entry, VECTOR_LENGTH_MAX, before, x, z, true);
    }
}

/* Whether two tables have the same function for a test of vectors. */
static bool same_entry(const kernel_table *a, const kernel_table *b, size_t entry) {
    const size_t at = vector_entries[entry].at;
    return memcmp((const char *)a + at, (const char *)b + at, sizeof(void (*)(void))) == 0;
}

/* Returns how many tests it ran. */
static size_t compare_vectors(const kernel_table *plain, const kernel_table *lesser,
                              const kernel_table *table) {
    size_t count = 0;
    for (size_t entry = 0; entry < VECTOR_ENTRIES; entry++) {
        if (same_entry(table, lesser, entry)) {
            continue;
        }
        count++;
        for (kind k = ORDINARY; k < KINDS; k++) {
            for (size_t n = 1 + k % step; n <= 70; n += step) {
                compare_vector(plain, table, entry, n, k);
            }
            static const size_t larger[] = {127, 128, 255, 256, 768, 1000, 2047, 4096};
            for (size_t i = 0; i < sizeof larger / sizeof larger[0]; i++) {
                compare_vector(plain, table, entry, larger[i], k);
            }
        }
        vector_call *const call = vector_entries[entry].call;
        if (call == call_exp || call == call_silu_over_gate || call == call_gelu ||
            call == call_gelu_over_gate || call == call_cap || call == call_gelu_erf ||
            call == call_relu) {
            compare_all_bits(plain, table, entry);
        }
    }
    check(table->dot(NULL, NULL, 0) == 0 && table->sum(NULL, 0) == 0, "%s dot or sum of nothing",
          table->name);
    return count;
}

/* ---- mixing ---------------------------------------------------------------------------------- */

static void compare_mix(const kernel_table *plain, const kernel_table *table, quant_type type,
                        size_t n_query, size_t n_value, size_t n, bool is_odd) {
    const size_t row = quant_row_bytes(type, n), v_stride = row + 2 * pick(40);
    const size_t w_stride = n_value + pick(5), out_stride = n + pick(5);
    const size_t n_weight = (n_query - 1) * w_stride + n_value;
    const size_t n_out = (n_query - 1) * out_stride + n;
    const bool is_end = pick(4) > 0, add = pick(2);
    uint8_t *values = guarded_place(&memory_w, (n_value - 1) * v_stride + row, is_end);
    float *weights = guarded_place(&memory_x, n_weight * sizeof(float), is_end);
    for (size_t k = 0; k < n_value; k++) {
        random_weights(type, is_odd ? (kind)pick(KINDS) : ORDINARY, values + k * v_stride, n);
    }
    random_floats(ORDINARY, weights, n_weight);
    if (is_odd) {
        random_mixture(weights, n_weight);
    }
    float *expected = malloc(n_out * sizeof(float));
    random_floats(ORDINARY, expected, n_out);
    float *out = guarded_place(&memory_y, n_out * sizeof(float), is_end);
    memcpy(out, expected, n_out * sizeof(float));
    plain->mix[type](n_query, n_value, n, weights, w_stride, values, v_stride, 0, expected,
                     out_stride, add);
    table->mix[type](n_query, n_value, n, weights, w_stride, values, v_stride, pick(9999), out,
                     out_stride, add);
    const size_t at = first_difference(expected, out, n_out);
    check(at == n_out, "%s mix %s, %zu queries, %zu values of %zu, add %d: [%zu] differs",
          table->name, quant_format_of(type)->name, n_query, n_value, n, add, at);
    free(expected);
}

/* Every number of queries up to more than two tiles, widths around every vector and tile. */
static void compare_mixes(const kernel_table *plain, const kernel_table *table, quant_type type) {
    for (size_t n_query = 1; n_query <= 20; n_query++) {
        for (size_t n = 1 + n_query % step; n <= 70; n += step) {
            compare_mix(plain, table, type, n_query, 1 + pick(40), n, pick(2));
        }
        compare_mix(plain, table, type, n_query, 1 + pick(300), 128, false);
        compare_mix(plain, table, type, n_query, 1 + pick(40), 256 + pick(70), true);
    }
    compare_mix(plain, table, type, 96, 256, 64, false);
}

/* ---- encoders that search ------------------------------------------------------------------- */

/* Values whose ends and middles are of another kind, so that blocks meet every mixture. */
static void random_mixed(float *values, size_t n, bool is_odd) {
    random_floats(is_odd ? (kind)pick(KINDS) : ORDINARY, values, n);
    if (is_odd && pick(2)) {
        const size_t at = pick(n);
        random_floats((kind)pick(KINDS), values + at, n - at);
    }
}

static void compare_encoded(const kernel_table *plain, const kernel_table *table, quant_type type,
                            size_t n, bool is_weighted, bool is_odd) {
    const bool is_end = pick(4) > 0;
    const size_t bytes = quant_row_bytes(type, n);
    float *values = guarded_place(&memory_x, n * sizeof(float), is_end);
    random_mixed(values, n, is_odd);
    float *importance = NULL;
    if (is_weighted) {
        importance = guarded_place(&memory_w, n * sizeof(float), is_end);
        random_mixed(importance, n, is_odd);
        for (size_t k = 0; k < n; k++) {
            importance[k] = fabsf(importance[k]);
        }
    }
    uint8_t *expected = malloc(bytes);
    uint8_t *blocks = guarded_place(&memory_y, bytes, is_end);
    plain->encode[type](values, importance, expected, n);
    table->encode[type](values, importance, blocks, n);
    check(memcmp(expected, blocks, bytes) == 0, "%s encode %s, n %zu, importance %d, odd %d",
          table->name, quant_format_of(type)->name, n, is_weighted, is_odd);
    free(expected);
}

static void compare_encoding(const kernel_table *plain, const kernel_table *table,
                             quant_type type) {
    const size_t block = quant_format_of(type)->block_length;
    for (size_t count = 0; count < 300; count += step) {
        const size_t n = block * (1 + count % (block == 256 ? 5 : 41));
        compare_encoded(plain, table, type, n, count % 2, pick(3) > 0);
    }
}

/* ---- all ------------------------------------------------------------------------------------ */

/* What `lesser` has too has been compared already. */
static void compare_tables(const kernel_table *plain, const kernel_table *lesser,
                           const kernel_table *table) {
    size_t products = 0, mixes = 0, rows = 0, decoders = 0, encoders = 0;
    const long before = passed + failed;
    for (uint32_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        if (table->matmul[type] != lesser->matmul[type] ||
            table->matmul_packed[type] != lesser->matmul_packed[type]) {
            compare_products(plain, table, (quant_type)type);
            products++;
        }
        if (table->mix[type] != lesser->mix[type]) {
            compare_mixes(plain, table, (quant_type)type);
            mixes++;
        }
        if (table->decode[type] != lesser->decode[type]) {
            compare_decoding(table, (quant_type)type);
            decoders++;
        }
        if (table->encode[type] != lesser->encode[type]) {
            compare_encoding(plain, table, (quant_type)type);
            encoders++;
        }
    }
    for (kernel_row form = KERNEL_ROW_F32; form < KERNEL_ROW_LIMIT; form++) {
        if (table->make_row[form] != lesser->make_row[form]) {
            compare_rows(plain, table, form);
            rows++;
        }
    }
    const size_t vectors = compare_vectors(plain, lesser, table);
    printf("%s against plain: %zu new products, %zu mixes, %zu rows, %zu decoders, %zu encoders, "
           "%zu vector tests; %ld comparisons\n",
           table->name, products, mixes, rows, decoders, encoders, vectors,
           passed + failed - before);
}

#endif
