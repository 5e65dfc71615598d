#include "engine/residency.h"

#include "base/error.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "kernels/kernels.h"
#include "kernels/packed.h"
#include "os/os.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    CHUNK = 4 << 20,   /* bytes packed at a time, before their pages in the file are dropped */
    SLACK = 4 * CHUNK, /* packed, but still in memory as the file has them: a chunk, and what other
                          threads have touched again */
    LINE = 64,
    DELAY = 200000000, /* nanoseconds in which a short prompt has its first token undisturbed */
};

/* A matrix and its packed copy. */
typedef struct packed_matrix {
    uint8_t *panels;     /* NULL: stays as it is in the file */
    _Atomic size_t rows; /* that are done; written by the packing thread alone */
} packed_matrix;

struct residency {
    const program *p;
    const model_file *file;
    float **vectors;         /* by weight number; NULL for matrices */
    packed_matrix *matrices; /* by weight number */
    size_t bytes;
    uint8_t *packed; /* all panels, packed_size bytes; NULL: none are made */
    size_t packed_size;
    size_t padding; /* of them, more than the file has */
    size_t placed;  /* of them, given to matrices */
    os_thread *packer;
    _Atomic bool stop;
    _Atomic uint32_t hurry;   /* 1: somebody waits, or it should stop */
    _Atomic uint32_t packing; /* 1: the thread is at it, or about to be */
    _Atomic uint64_t packed_bytes;
};

static const tensor_entry *tensor_of(const residency *r, weight_id id) {
    return &r->file->tensors[program_weight(r->p, id)->tensor];
}

/* ---- what can be packed --------------------------------------------------------------------- */

/* Calls `visit` for every matrix that is multiplied with and that the kernels would rather have
 * packed, in the order of their use; again where another operation uses it too. */
static void each_packable(residency *r, void (*visit)(residency *r, weight_id id)) {
    kernel_table kernels;
    kernel_table_fill(&kernels, cpu_features());
    for (size_t i = 0; i < r->p->ops.count; i++) {
        const op *o = program_op(r->p, i);
        for (size_t k = 0; o->kind == OP_LINEAR && k < o->as.linear.n_weight; k++) {
            const weight_id id = o->as.linear.weight[k];
            if (kernels.prefers_packed && kernels.matmul_packed[program_weight(r->p, id)->type]) {
                visit(r, id);
            }
        }
    }
}

static size_t matrix_packed_bytes(const residency *r, weight_id id) {
    const weight_ref *ref = program_weight(r->p, id);
    return size_round_up(packed_bytes(ref->type, ref->n_out, ref->n_in), LINE);
}

static void count_matrix(residency *r, weight_id id) {
    const weight_ref *ref = program_weight(r->p, id);
    const size_t bytes = matrix_packed_bytes(r, id);
    r->packed_size += bytes;
    r->padding += bytes - ref->n_out * quant_row_bytes(ref->type, ref->n_in);
}

uint64_t residency_packable_bytes(const residency *r) {
    return r->packed_size;
}

uint64_t residency_packing_bytes(const residency *r) {
    return r->packed_size ? r->padding + SLACK : 0;
}

/* ---- making and freeing --------------------------------------------------------------------- */

static sl_status convert_vector(residency *r, weight_id id, sl_error *error) {
    const weight_ref *ref = program_weight(r->p, id);
    const size_t bytes = ref->n_in * sizeof(float);
    r->vectors[id] = malloc(bytes);
    if (!r->vectors[id]) {
        return error_memory(error, "norms and biases", bytes);
    }
    quant_format_of(ref->type)->decode(tensor_of(r, id)->data + ref->offset, r->vectors[id],
                                       ref->n_in);
    r->bytes += bytes;
    return SL_OK;
}

sl_status residency_create(const program *p, const model_file *file, residency **out,
                           sl_error *error) {
    const size_t count = p->weights.count;
    const size_t table_bytes = count * (sizeof(float *) + sizeof(packed_matrix));
    residency *r = calloc(1, sizeof *r);
    if (!r) {
        return error_memory(error, "the table of weights", sizeof *r);
    }
    *r = (residency){.p = p, .file = file, .bytes = sizeof *r + table_bytes};
    r->vectors = calloc(count, sizeof *r->vectors);
    r->matrices = calloc(count, sizeof *r->matrices);
    if (!r->vectors || !r->matrices) {
        residency_free(r);
        return error_memory(error, "the table of weights", table_bytes);
    }
    for (weight_id id = 0; id < count; id++) {
        if (program_weight(p, id)->vector && convert_vector(r, id, error) != SL_OK) {
            residency_free(r);
            return SL_ERR_MEMORY;
        }
    }
    each_packable(r, count_matrix);
    *out = r;
    return SL_OK;
}

static void hurry(residency *r) {
    atomic_store(&r->hurry, 1);
    os_wake_all(&r->hurry);
}

void residency_free(residency *r) {
    if (!r) {
        return;
    }
    if (r->packer) {
        atomic_store(&r->stop, true);
        hurry(r);
        os_thread_join(r->packer);
    }
    for (size_t i = 0; r->vectors && i < r->p->weights.count; i++) {
        free(r->vectors[i]);
    }
    os_pages_free(r->packed, r->packed_size);
    free(r->matrices);
    free(r->vectors);
    free(r);
}

/* ---- packing -------------------------------------------------------------------------------- */

/* A matrix that two operations use has one place. */
static void place_matrix(residency *r, weight_id id) {
    if (!r->matrices[id].panels) {
        r->matrices[id].panels = r->packed + r->placed;
        r->placed += matrix_packed_bytes(r, id);
    }
}

static void pack_matrix(residency *r, weight_id id) {
    packed_matrix *m = &r->matrices[id];
    const weight_ref *ref = program_weight(r->p, id);
    const uint8_t *rows = tensor_of(r, id)->data + ref->offset;
    const size_t row_bytes = quant_row_bytes(ref->type, ref->n_in);
    const size_t step = size_max(1, CHUNK / (row_bytes * PACKED_ROWS)) * PACKED_ROWS;
    for (size_t first = atomic_load(&m->rows); first < ref->n_out && !atomic_load(&r->stop);
         first += step) {
        const size_t count = size_min(step, ref->n_out - first);
        const uint8_t *from = rows + first * ref->row_stride;
        packed_fill(ref->type, count, ref->n_in, from, ref->row_stride,
                    m->panels + first * row_bytes);
        atomic_store_explicit(&m->rows, first + count, memory_order_release);
        os_pages_drop(from, count * ref->row_stride);
        atomic_fetch_add(&r->packed_bytes, count * row_bytes);
    }
}

/* Whoever read a row just before it was packed has brought its page back. */
static void drop_matrix(residency *r, weight_id id) {
    const weight_ref *ref = program_weight(r->p, id);
    if (!atomic_load(&r->stop)) {
        os_pages_drop(tensor_of(r, id)->data + ref->offset, ref->n_out * ref->row_stride);
    }
}

static void pack_all(void *context) {
    residency *r = context;
    os_wait_for(&r->hurry, 0, DELAY);
    each_packable(r, pack_matrix);
    each_packable(r, drop_matrix);
    atomic_store(&r->packing, 0);
    os_wake_all(&r->packing);
}

sl_status residency_pack(residency *r, sl_error *error) {
    if (r->packed_size == 0) {
        return SL_OK;
    }
    if (!(r->packed = os_pages_allocate(r->packed_size))) {
        return error_memory(error, "weights that are rearranged", r->packed_size);
    }
    each_packable(r, place_matrix);
    atomic_store(&r->packing, 1);
    const sl_status status = os_thread_start(pack_all, r, &r->packer, error);
    if (status != SL_OK) {
        atomic_store(&r->packing, 0); /* or a caller would wait for ever */
        os_pages_free(r->packed, r->packed_size);
        r->packed = NULL; /* nobody looks at panels of which no row is done */
    }
    return status;
}

void residency_wait(residency *r) {
    hurry(r);
    while (atomic_load(&r->packing) == 1) {
        os_wait(&r->packing, 1);
    }
}

uint64_t residency_packed_bytes(const residency *r) {
    return atomic_load(&r->packed_bytes);
}

/* ---- where weights are ---------------------------------------------------------------------- */

const void *residency_matrix(const residency *r, weight_id id) {
    return tensor_of(r, id)->data + program_weight(r->p, id)->offset;
}

const void *residency_packed(const residency *r, weight_id id, size_t *rows) {
    *rows = atomic_load_explicit(&r->matrices[id].rows, memory_order_acquire);
    return *rows ? r->matrices[id].panels : NULL;
}

const void *residency_row(const residency *r, weight_id id, size_t row, void *room) {
    const weight_ref *ref = program_weight(r->p, id);
    size_t packed;
    const void *panels = residency_packed(r, id, &packed);
    if (row >= packed) {
        return (const char *)residency_matrix(r, id) + row * ref->row_stride;
    }
    packed_row(ref->type, ref->n_in, panels, row, room);
    return room;
}

const float *residency_vector(const residency *r, weight_id id) {
    return id == NO_WEIGHT ? NULL : r->vectors[id];
}

uint64_t residency_token_bytes(const residency *r) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->p->ops.count; i++) {
        const op *o = program_op(r->p, i);
        for (size_t k = 0; o->kind == OP_LINEAR && k < o->as.linear.n_weight; k++) {
            const weight_ref *ref = program_weight(r->p, o->as.linear.weight[k]);
            bytes += (uint64_t)ref->n_out * ref->row_stride;
        }
    }
    return bytes;
}

size_t residency_bytes(const residency *r) {
    return r->bytes + (r->packed ? residency_packing_bytes(r) : 0);
}
