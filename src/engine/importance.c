/* importance.c - sl_importance: what the matrices of a session's model meet.
 *
 *   operation 2 of the program: wq, wk, wv side by side  -> n_in sums, a count
 *                                                             ^   ^   ^
 *   entries, by tensor:   blk.0.attn_q.weight ----------------'   |   |
 *                         blk.0.attn_k.weight --------------------'   |
 *                         blk.0.attn_v.weight ------------------------'
 */
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "engine/session.h"
#include "formats/imatrix_writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct importance_entry {
    uint32_t tensor; /* number in the model's file */
    size_t op;       /* whose sums are its */
} importance_entry;

struct sl_importance {
    sl_session *session;
    executor_squares squares;
    double *all_sums;          /* of all operations, one behind the other */
    importance_entry *entries; /* in the program's order */
    size_t n_entry;
};

/* Whether the inputs of an operation are wanted. */
static bool is_wanted(const program *p, const op *o, bool output) {
    return o->kind == OP_LINEAR && (output || !program_slot(p, o->in)->selected);
}

typedef struct importance_sizes {
    size_t sums, widest, matrices;
} importance_sizes;

static importance_sizes measure(const program *p, bool output) {
    importance_sizes s = {0};
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        if (is_wanted(p, o, output)) {
            s.sums += o->as.linear.n_in;
            s.widest = size_max(s.widest, o->as.linear.n_in);
            s.matrices += o->as.linear.n_weight;
        }
    }
    return s;
}

static uint64_t bytes_of(const program *p, importance_sizes s, size_t n_batch) {
    const size_t each = sizeof(double *) + sizeof(uint64_t);
    return sizeof(sl_importance) + s.sums * sizeof(double) + s.widest * n_batch * sizeof(float) +
           p->ops.count * each + s.matrices * sizeof(importance_entry);
}

uint64_t sl_importance_bytes(const sl_model *model, size_t n_batch) {
    const program *p = &model->computation;
    return bytes_of(p, measure(p, true), n_batch ? n_batch : 512);
}

/* The operation in whose sums a tensor is already, or SIZE_MAX. */
static size_t find_tensor(const sl_importance *m, uint32_t tensor) {
    for (size_t i = 0; i < m->n_entry; i++) {
        if (m->entries[i].tensor == tensor) {
            return m->entries[i].op;
        }
    }
    return SIZE_MAX;
}

/* Gives operation `index` sums, its own or, where an earlier one multiplies with the same tensor,
 * that one's; returns the first sum that is still free. */
static double *add_operation(sl_importance *m, const program *p, size_t index, double *free_sums) {
    const op_linear *l = &program_op(p, index)->as.linear;
    for (size_t k = 0; k < l->n_weight; k++) {
        const uint32_t tensor = program_weight(p, l->weight[k])->tensor;
        const size_t before = find_tensor(m, tensor);
        if (before == SIZE_MAX) {
            m->entries[m->n_entry++] = (importance_entry){tensor, index};
        } else if (before != index) {
            m->squares.sums[index] = m->squares.sums[before];
        }
    }
    if (!m->squares.sums[index]) {
        m->squares.sums[index] = free_sums;
        free_sums += l->n_in;
    }
    return free_sums;
}

sl_status sl_importance_create(sl_session *session, bool output, sl_importance **importance,
                               sl_error *error) {
    const session_group *g = session->group;
    const program *p = &g->model->computation;
    const importance_sizes sizes = measure(p, output);
    sl_importance *m = calloc(1, sizeof *m);
    if (m) {
        m->session = session;
        m->all_sums = calloc(sizes.sums + 1, sizeof *m->all_sums);
        m->entries = calloc(sizes.matrices + 1, sizeof *m->entries);
        m->squares.sums = calloc(p->ops.count, sizeof *m->squares.sums);
        m->squares.counts = calloc(p->ops.count, sizeof *m->squares.counts);
        m->squares.rows = calloc(g->options.n_batch, sizes.widest * sizeof(float) + 1);
    }
    if (!m || !m->all_sums || !m->entries || !m->squares.sums || !m->squares.counts ||
        !m->squares.rows) {
        sl_importance_free(m);
        return error_memory(error, "an importance matrix", bytes_of(p, sizes, g->options.n_batch));
    }
    double *free_sums = m->all_sums;
    for (size_t i = 0; i < p->ops.count; i++) {
        if (is_wanted(p, program_op(p, i), output)) {
            free_sums = add_operation(m, p, i, free_sums);
        }
    }
    executor_observe(g->runner, &m->squares);
    *importance = m;
    return SL_OK;
}

void sl_importance_free(sl_importance *importance) {
    sl_importance *m = importance;
    if (m) {
        executor_observe(m->session->group->runner, NULL);
        free(m->all_sums);
        free(m->entries);
        free(m->squares.sums);
        free(m->squares.counts);
        free(m->squares.rows);
        free(m);
    }
}

size_t sl_importance_count(const sl_importance *importance) {
    return importance->n_entry;
}

void sl_importance_get(const sl_importance *importance, size_t index, sl_importance_entry *entry) {
    const sl_importance *m = importance;
    const sl_model *model = m->session->group->model;
    const importance_entry *e = &m->entries[index];
    const str name = model->file.tensors[e->tensor].name;
    uint64_t count = 0;
    for (size_t i = 0; i < model->computation.ops.count; i++) {
        count += m->squares.sums[i] == m->squares.sums[e->op] ? m->squares.counts[i] : 0;
    }
    *entry = (sl_importance_entry){
        .name = name.ptr,
        .name_length = name.len,
        .n_columns = program_op(&model->computation, e->op)->as.linear.n_in,
        .sums = m->squares.sums[e->op],
        .count = count,
    };
}

sl_status sl_importance_write(const sl_importance *importance, const sl_importance_file *file,
                              sl_write_fn write, void *user, sl_error *error) {
    imatrix_sums *sums = calloc(importance->n_entry + 1, sizeof *sums);
    if (!sums) {
        return error_memory(error, "a list of tensors", importance->n_entry * sizeof *sums);
    }
    size_t n = 0;
    for (size_t i = 0; i < importance->n_entry; i++) {
        sl_importance_entry e;
        sl_importance_get(importance, i, &e);
        if (e.count > 0) {
            sums[n++] = (imatrix_sums){{e.name, e.name_length}, e.n_columns, e.sums, e.count};
        }
    }
    const sl_status status = imatrix_write(sums, n, file, write, user, error);
    free(sums);
    return status;
}
