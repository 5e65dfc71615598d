/* compare.c - sl_file_compare: the values of two tensors beside each other. */
#include "base/error.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "engine/inspect.h"
#include "engine/passing_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 16 }; /* that a member of the team compares at a time */

/* What some rows came to. */
typedef struct row_sums {
    uint64_t different;
    double largest, squares, a_squares;
} row_sums;

typedef struct comparing {
    kernel_table kernels;
    passing_tensor a, b;
    size_t row_bytes; /* of rows that lie alike in both; 0: they have to be read as values */
    float *floats;    /* 2 * ROWS rows for each member */
    row_sums *sums;   /* for every ROWS rows */
    _Atomic size_t next;
} comparing;

/* ---- values --------------------------------------------------------------------------------- */

static void compare_values(const float *a, const float *b, size_t n, row_sums *s) {
    for (size_t i = 0; i < n; i++) {
        const double x = (double)a[i], y = (double)b[i];
        s->a_squares += isfinite(x) ? x * x : 0;
        if (x == y || (isnan(x) && isnan(y))) {
            continue;
        }
        const double distance = isfinite(x - y) ? fabs(x - y) : INFINITY;
        s->different++;
        s->largest = distance > s->largest ? distance : s->largest;
        s->squares += distance * distance;
    }
}

static bool same_bytes(const comparing *c, size_t first, size_t count) {
    return c->row_bytes > 0 &&
           memcmp(c->a.from->data + first * c->row_bytes, c->b.from->data + first * c->row_bytes,
                  count * c->row_bytes) == 0;
}

static void compare_rows(void *context, size_t member) {
    comparing *c = context;
    float *const a = c->floats + member * 2 * ROWS * c->a.n_in;
    float *const b = a + ROWS * c->a.n_in;
    size_t begin, end;
    while (team_take(&c->next, ROWS, c->a.rows, &begin, &end)) {
        row_sums sums = {0};
        if (!same_bytes(c, begin, end - begin)) {
            passing_rows_read(&c->a, &c->kernels, begin, end - begin, a);
            passing_rows_read(&c->b, &c->kernels, begin, end - begin, b);
            compare_values(a, b, (end - begin) * c->a.n_in, &sums);
        }
        c->sums[begin / ROWS] = sums;
    }
}

/* ---- tensors -------------------------------------------------------------------------------- */

static bool lies_plainly(const passing_tensor *t) {
    return t->from->layout == TENSOR_ROWS && t->habit.order == HABIT_AS_IT_IS && !t->habit.plus_one;
}

static void add_up(comparing *c, sl_comparison *out) {
    row_sums all = {0};
    for (size_t i = 0; i * ROWS < c->a.rows; i++) {
        const row_sums *s = &c->sums[i];
        all.different += s->different;
        all.largest = s->largest > all.largest ? s->largest : all.largest;
        all.squares += s->squares;
        all.a_squares += s->a_squares;
    }
    *out = (sl_comparison){
        .values = c->a.rows * c->a.n_in,
        .different = all.different,
        .largest = all.largest,
        .relative = all.squares > 0 ? sqrt(all.squares / all.a_squares) : 0,
    };
}

static sl_status run(comparing *c, size_t threads, sl_comparison *out, sl_error *error) {
    team *members = NULL;
    const size_t groups = (c->a.rows + ROWS - 1) / ROWS;
    c->floats = calloc(threads * 2 * ROWS * c->a.n_in, sizeof *c->floats);
    c->sums = calloc(groups, sizeof *c->sums);
    sl_status status = c->floats && c->sums ? team_create(threads, &members, error)
                                            : error_memory(error, "rows that are compared",
                                                           groups * sizeof *c->sums);
    if (status == SL_OK) {
        team_run(members, compare_rows, c);
        add_up(c, out);
        /* Only now the squares of `a` are wanted, also of rows that were not read as values. */
        if (out->different > 0 && c->row_bytes > 0) {
            c->row_bytes = 0;
            atomic_store(&c->next, 0);
            team_run(members, compare_rows, c);
            add_up(c, out);
        }
    }
    team_free(members);
    free(c->floats);
    free(c->sums);
    return status;
}

sl_status sl_file_compare(const sl_file *a, size_t a_index, const sl_file *b, size_t b_index,
                          size_t threads, sl_comparison *comparison, sl_error *error) {
    const tensor_entry *const x = &a->tables.tensors[a_index];
    const tensor_entry *const y = &b->tables.tensors[b_index];
    if (x->n_dims != y->n_dims || memcmp(x->dims, y->dims, sizeof x->dims) != 0) {
        return error_set(error, SL_ERR_ARGUMENT, "tensors '%.*s' and '%.*s' have different shapes",
                         STR_ARG(x->name), STR_ARG(y->name));
    }
    comparing c = {0};
    kernel_table_fill(&c.kernels, cpu_features());
    sl_status status = passing_tensor_of(&a->tables, x, x->type, &c.a, error);
    if (status == SL_OK) {
        status = passing_tensor_of(&b->tables, y, y->type, &c.b, error);
    }
    if (status != SL_OK) {
        return status;
    }
    if (x->type == y->type && lies_plainly(&c.a) && lies_plainly(&c.b)) {
        c.row_bytes = quant_row_bytes(x->type, c.a.n_in);
    }
    status = run(&c, threads ? threads : os_core_count(), comparison, error);
    if (status == SL_OK &&
        (os_guard_faulted(a->mapping.bytes) || os_guard_faulted(b->mapping.bytes))) {
        return error_set(error, SL_ERR_RUNTIME, "a model file was cut short underneath");
    }
    return status;
}
