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
    FOLIO = 2 << 20,   /* as much of a file as one touched page may bring into a process */
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
    const os_mapping *mapping;    /* NULL: the weights are memory */
    placed *placed;               /* NULL: they are used where they lie, and what follows */
    bool packs[QUANT_TYPE_LIMIT]; /* matrices of that type are faster in panels */
    float **vectors;              /* by weight number; NULL for matrices */
    packed_matrix *matrices;      /* by weight number */
    size_t bytes;
    uint8_t *packed; /* all panels, packed_size bytes; NULL: none are made */
    size_t packed_size;
    size_t padding; /* of them, more than the file has */
    size_t given;   /* of them, to matrices */
    os_thread *packer;
    _Atomic bool stop;
    _Atomic uint32_t hurry;   /* 1: somebody waits, or it should stop */
    _Atomic uint32_t packing; /* 1: the thread is at it, or about to be */
    _Atomic uint64_t packed_bytes;
    /* How things are, for those who ask while they change. */
    _Atomic bool is_placed;
    _Atomic size_t held;       /* residency_bytes */
    _Atomic uint64_t streamed; /* bytes, by each pass */
};

static const tensor_entry *tensor_of(const residency *r, weight_id id) {
    return &r->file->tensors[program_weight(r->p, id)->tensor];
}

/* ---- what can be packed --------------------------------------------------------------------- */

static void choose_packed(residency *r) {
    kernel_table kernels;
    kernel_table_fill(&kernels, cpu_features());
    for (size_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        r->packs[type] = kernel_packs(&kernels, (quant_type)type);
    }
}

/* Calls `visit` for every matrix that is multiplied with and is better packed, in the order of
 * their use; again where another operation uses it too. */
static void each_packable(residency *r, void (*visit)(residency *r, weight_id id)) {
    for (size_t i = 0; i < r->p->ops.count; i++) {
        const op *o = program_op(r->p, i);
        for (size_t k = 0; o->kind == OP_LINEAR && k < o->as.linear.n_weight; k++) {
            const weight_id id = o->as.linear.weight[k];
            if (r->packs[program_weight(r->p, id)->type]) {
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
    return r->packed_size ? r->padding + size_min(SLACK, r->packed_size) : 0;
}

uint64_t residency_plan_packing(const program *p) {
    residency r = {.p = p};
    choose_packed(&r);
    each_packable(&r, count_matrix);
    return residency_packing_bytes(&r);
}

/* ---- making and freeing --------------------------------------------------------------------- */

static void publish(residency *r) {
    const size_t packing = r->packed ? (size_t)residency_packing_bytes(r) : 0;
    const size_t placing = r->placed ? (size_t)placed_bytes(r->placed) : 0;
    atomic_store(&r->held, r->bytes + packing + placing);
    atomic_store(&r->streamed, r->placed ? placed_placement(r->placed)->streamed_bytes : 0);
    atomic_store(&r->is_placed, r->placed != NULL);
}

/* Gives back a file's pages within a range, and those around it that touching it may have brought
 * into the process. */
static void drop_around(const os_mapping *mapping, const uint8_t *from, size_t before, size_t bytes,
                        size_t behind) {
    const size_t at = (size_t)(from - mapping->bytes);
    before = size_min(at, before);
    behind = size_min(mapping->size - at - bytes, behind);
    os_pages_drop(from - before, before + bytes + behind);
}

static bool is_in_file(const residency *r, const uint8_t *bytes) {
    return r->mapping && r->mapping->bytes && bytes >= r->mapping->bytes &&
           bytes <= r->mapping->bytes + r->mapping->size;
}

/* Vectors lie among matrices, of which not all may have room in memory. */
static sl_status convert_vector(residency *r, weight_id id, sl_error *error) {
    const weight_ref *ref = program_weight(r->p, id);
    const size_t bytes = ref->n_in * sizeof(float);
    r->vectors[id] = malloc(bytes);
    if (!r->vectors[id]) {
        return error_memory(error, "norms and biases", bytes);
    }
    const uint8_t *const from = tensor_of(r, id)->data + ref->offset;
    quant_format_of(ref->type)->decode(from, r->vectors[id], ref->n_in);
    if (is_in_file(r, from)) {
        drop_around(r->mapping, from, FOLIO, quant_row_bytes(ref->type, ref->n_in), FOLIO);
    }
    for (size_t i = 0; ref->plus_one && i < ref->n_in; i++) {
        r->vectors[id][i] += 1.0f;
    }
    r->bytes += bytes;
    return SL_OK;
}

/* All at once, and only them: touched one by one, each would wait for the disk, and for much that
 * lies around it. */
static void fetch_vectors(const residency *r) {
    for (weight_id id = 0; id < r->p->weights.count; id++) {
        const weight_ref *ref = program_weight(r->p, id);
        const uint8_t *const from = ref->vector ? tensor_of(r, id)->data + ref->offset : NULL;
        if (from && is_in_file(r, from)) {
            os_pages_fetch(from, quant_row_bytes(ref->type, ref->n_in));
        }
    }
}

sl_status residency_create(const program *p, const model_file *file, const os_mapping *mapping,
                           residency **out, sl_error *error) {
    const size_t count = p->weights.count;
    const size_t table_bytes = count * (sizeof(float *) + sizeof(packed_matrix));
    residency *r = calloc(1, sizeof *r);
    if (!r) {
        return error_memory(error, "the table of weights", sizeof *r);
    }
    *r = (residency){.p = p, .file = file, .mapping = mapping, .bytes = sizeof *r + table_bytes};
    r->vectors = calloc(count, sizeof *r->vectors);
    r->matrices = calloc(count, sizeof *r->matrices);
    if (!r->vectors || !r->matrices) {
        residency_free(r);
        return error_memory(error, "the table of weights", table_bytes);
    }
    fetch_vectors(r);
    for (weight_id id = 0; id < count; id++) {
        if (program_weight(p, id)->vector && convert_vector(r, id, error) != SL_OK) {
            residency_free(r);
            return SL_ERR_MEMORY;
        }
    }
    choose_packed(r);
    each_packable(r, count_matrix);
    publish(r);
    *out = r;
    return SL_OK;
}

static void hurry(residency *r) {
    atomic_store(&r->hurry, 1);
    os_wake_all(&r->hurry);
}

/* Ends the packing and gives up what is packed. */
static void unpack(residency *r) {
    if (r->packer) {
        atomic_store(&r->stop, true);
        hurry(r);
        os_thread_join(r->packer);
        r->packer = NULL;
    }
    for (size_t i = 0; r->matrices && i < r->p->weights.count; i++) {
        r->matrices[i].panels = NULL;
        atomic_store(&r->matrices[i].rows, 0);
    }
    os_pages_free(r->packed, r->packed_size);
    r->packed = NULL;
    r->given = 0;
    atomic_store(&r->packed_bytes, 0);
}

void residency_free(residency *r) {
    if (!r) {
        return;
    }
    unpack(r);
    placed_free(r->placed);
    for (size_t i = 0; r->vectors && i < r->p->weights.count; i++) {
        free(r->vectors[i]);
    }
    free(r->matrices);
    free(r->vectors);
    free(r);
}

/* ---- packing -------------------------------------------------------------------------------- */

/* A matrix that two operations use has one place. */
static void give_panels(residency *r, weight_id id) {
    if (!r->matrices[id].panels) {
        r->matrices[id].panels = r->packed + r->given;
        r->given += matrix_packed_bytes(r, id);
    }
}

/* Gives back the file's pages of rows that were copied, and those around them that touching them
 * has mapped again: copied ones before, and behind the last rows of a matrix maybe those of another
 * one. Pages in no file have nothing but their own content to come back from. */
static void drop_copied(const residency *r, const uint8_t *from, size_t bytes, bool last) {
    if (is_in_file(r, from)) {
        drop_around(r->mapping, from, FOLIO, bytes, last ? FOLIO : 0);
    } else {
        os_pages_drop(from, bytes);
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
        drop_copied(r, from, (count - 1) * ref->row_stride + row_bytes,
                    first + count == ref->n_out);
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
    each_packable(r, give_panels);
    atomic_store(&r->packing, 1);
    const sl_status status = os_thread_start(pack_all, r, &r->packer, error);
    if (status != SL_OK) {
        atomic_store(&r->packing, 0); /* or a caller would wait for ever */
        os_pages_free(r->packed, r->packed_size);
        r->packed = NULL; /* nobody looks at panels of which no row is done */
    }
    publish(r);
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

/* ---- placing -------------------------------------------------------------------------------- */

sl_status residency_place(residency *r, const placed_options *options, sl_error *error) {
    if (!r->mapping) {
        return error_set(error, SL_ERR_MEMORY, "weights without a file are not read from one");
    }
    unpack(r);
    placed_free(r->placed);
    r->placed = NULL;
    publish(r);
    os_pages_drop(r->mapping->bytes, r->mapping->size);
    const sl_status status = placed_create(r->p, r->file, r->mapping, options, &r->placed, error);
    publish(r);
    return status;
}

bool residency_is_placed(const residency *r) {
    return atomic_load(&r->is_placed);
}

uint64_t residency_streamed_bytes(const residency *r) {
    return atomic_load(&r->streamed);
}

/* ---- where weights are ---------------------------------------------------------------------- */

void residency_begin(residency *r, bool logits) {
    if (r->placed) {
        placed_begin(r->placed, logits);
    }
}

bool residency_failed(const residency *r) {
    return r->placed && placed_failed(r->placed);
}

/* What the guard of the mapping does not see: a file of the same pages with other bytes. */
static sl_status check_file(const residency *r, sl_error *error) {
    return r->mapping ? os_mapping_check(r->mapping, error) : SL_OK;
}

sl_status residency_end(residency *r, bool whole, sl_error *error) {
    sl_error inner = {0};
    sl_status status = r->placed ? placed_end(r->placed, whole, &inner) : SL_OK;
    if (status == SL_OK) {
        status = check_file(r, &inner);
    }
    return status == SL_OK ? SL_OK
                           : error_set(error, SL_ERR_RUNTIME, "the model file: %s", inner.message);
}

static const uint8_t *mapped_row(const residency *r, weight_id id, size_t row) {
    const weight_ref *ref = program_weight(r->p, id);
    return tensor_of(r, id)->data + ref->offset + row * ref->row_stride;
}

const void *residency_packed(const residency *r, weight_id id, size_t *rows) {
    *rows = atomic_load_explicit(&r->matrices[id].rows, memory_order_acquire);
    return *rows ? r->matrices[id].panels : NULL;
}

static linear_rows acquire(void *context, uint32_t id, size_t first, size_t count) {
    residency *r = context;
    if (r->placed) {
        return placed_acquire(r->placed, id, first, count);
    }
    size_t done;
    const weight_ref *ref = program_weight(r->p, id);
    const uint8_t *copy = residency_packed(r, id, &done);
    if (first + count > done) {
        return (linear_rows){mapped_row(r, id, first), ref->row_stride, false};
    }
    const size_t row_bytes = quant_row_bytes(ref->type, ref->n_in);
    return (linear_rows){copy + first * row_bytes, row_bytes, true};
}

static void release(void *context, uint32_t id, size_t first, size_t count) {
    residency *r = context;
    if (r->placed) {
        placed_release(r->placed, id, first, count);
    }
}

linear_source residency_source(residency *r) {
    return (linear_source){acquire, release, r};
}

size_t residency_slice_rows(const residency *r, weight_id id) {
    return r->placed ? placed_placement(r->placed)->matrices[id].slice_rows
                     : size_round_up(program_weight(r->p, id)->n_out, PACKED_ROWS);
}

/* From the file, but not by its mapping, whose pages would stay in memory. */
static const void *read_row(const residency *r, weight_id id, size_t row, void *room,
                            sl_error *error) {
    const weight_ref *ref = program_weight(r->p, id);
    const size_t bytes = quant_row_bytes(ref->type, ref->n_in);
    const uint64_t offset = (uint64_t)(mapped_row(r, id, row) - r->mapping->bytes);
    return os_mapping_read(r->mapping, offset, bytes, room, error) == SL_OK ? room : NULL;
}

const void *residency_row(const residency *r, weight_id id, size_t row, void *room,
                          sl_error *error) {
    if (r->placed) {
        return placed_row(r->placed, id, row, room) ? room : read_row(r, id, row, room, error);
    }
    const weight_ref *ref = program_weight(r->p, id);
    size_t done;
    const uint8_t *copy = residency_packed(r, id, &done);
    if (row >= done) {
        return mapped_row(r, id, row);
    }
    packed_row(ref->type, ref->n_in, copy, row, room);
    return room;
}

const float *residency_vector(const residency *r, weight_id id) {
    return id == NO_WEIGHT ? NULL : r->vectors[id];
}

size_t residency_bytes(const residency *r) {
    return atomic_load(&r->held);
}

size_t residency_table_bytes(const residency *r) {
    return r->bytes;
}
