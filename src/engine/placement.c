#include "engine/placement.h"

#include "base/error.h"
#include "base/size.h"
#include "kernels/packed.h"

#include <stdlib.h>

enum {
    LINE = 64,
    LEAST_SLOTS = 4,             /* a ring with less has the disk wait */
    LEAST_SLICE = 64 << 10,      /* of tiny models, whose rings are tiny too */
    SLICES_OF_ROOM = 64,         /* a slice is at most this part of the room, */
    SLICES_OF_MODEL = 8192,      /* and at least this of the model, or lists of them would count */
    RING_OF_ROOM = 8,            /* the ring is at most this part of the room */
    ROWS = PACKED_ROWS,          /* slices have a multiple of it */
    SLOT_EDGES = PLACEMENT_PAGE, /* of a slot, before and behind a slice */
};

/* ---- slices --------------------------------------------------------------------------------- */

typedef void visit_fn(placement *l, const program *p, weight_id id, bool output);

/* Calls `visit` for the matrices that products use, in the order of a pass, for each use once. */
static void each_matrix(placement *l, const program *p, visit_fn *visit) {
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        for (size_t k = 0; o->kind == OP_LINEAR && k < o->as.linear.n_weight; k++) {
            visit(l, p, o->as.linear.weight[k], program_slot(p, o->in)->selected);
        }
    }
}

/* Rows of a slice of at most `most` bytes, but at least ROWS; equal slices rather than a short last
 * one. */
static size_t rows_of_slices(const weight_ref *ref, size_t most) {
    const size_t rows = size_max(ROWS, most / ref->row_stride / ROWS * ROWS);
    const size_t count = (ref->n_out + rows - 1) / rows;
    return size_round_up((ref->n_out + count - 1) / count, ROWS);
}

static void count_slices(placement *l, const program *p, weight_id id, bool output) {
    (void)output;
    placement_matrix *m = &l->matrices[id];
    const weight_ref *ref = program_weight(p, id);
    if (m->n_slice > 0) {
        return;
    }
    m->slice_rows = rows_of_slices(ref, l->slot_bytes);
    m->n_slice = (ref->n_out + m->slice_rows - 1) / m->slice_rows;
    m->first_slice = l->n_slice;
    l->n_slice += m->n_slice;
    l->matrix_bytes += (uint64_t)ref->n_out * ref->row_stride;
}

static void name_slices(placement *l, const program *p, weight_id id, bool output) {
    (void)output;
    (void)p;
    const placement_matrix *m = &l->matrices[id];
    for (size_t i = 0; i < m->n_slice; i++) {
        l->slices[m->first_slice + i].weight = id;
    }
}

size_t placement_first_row(const placement *l, const placement_slice *slice) {
    const placement_matrix *m = &l->matrices[slice->weight];
    return ((size_t)(slice - l->slices) - m->first_slice) * m->slice_rows;
}

size_t placement_rows(const program *p, const placement *l, const placement_slice *slice) {
    const size_t first = placement_first_row(l, slice);
    return size_min(l->matrices[slice->weight].slice_rows,
                    program_weight(p, slice->weight)->n_out - first);
}

/* In memory, whichever order its rows are in there. */
static size_t kept_slice_bytes(const program *p, const placement *l, const placement_slice *slice) {
    const weight_ref *ref = program_weight(p, slice->weight);
    const size_t rows = size_round_up(placement_rows(p, l, slice), ROWS);
    return size_round_up(rows * quant_row_bytes(ref->type, ref->n_in), LINE);
}

/* ---- the decision --------------------------------------------------------------------------- */

/* Keeps what `room` bytes can hold. After each slice the kept share of the bytes so far is as near
 * to that of all as whole slices allow. */
static void choose_slices(placement *l, const program *p, uint64_t room, uint64_t all) {
    double owed = 0; /* bytes that should have been kept by now and were not */
    const double share = all > 0 ? (double)room / (double)all : 0;
    for (size_t i = 0; i < l->n_slice; i++) {
        placement_slice *s = &l->slices[i];
        const size_t bytes = kept_slice_bytes(p, l, s);
        owed += share * (double)bytes;
        s->streamed = owed < (double)bytes / 2 || l->kept_bytes + bytes > room;
        if (s->streamed) {
            s->place = l->n_streamed++;
            l->streamed_bytes +=
                (uint64_t)placement_rows(p, l, s) * program_weight(p, s->weight)->row_stride;
        } else {
            s->place = l->kept_bytes;
            l->kept_bytes += bytes;
            owed -= (double)bytes;
        }
    }
}

static void count_output(placement *l, const program *p, weight_id id, bool output) {
    const placement_matrix *m = &l->matrices[id];
    for (size_t i = m->first_slice; output && i < m->first_slice + m->n_slice; i++) {
        if (l->slices[i].streamed) {
            l->n_output++;
            l->output_bytes +=
                (uint64_t)placement_rows(p, l, &l->slices[i]) * program_weight(p, id)->row_stride;
        }
    }
}

static uint64_t all_slices_bytes(const placement *l, const program *p) {
    uint64_t all = 0;
    for (size_t i = 0; i < l->n_slice; i++) {
        all += kept_slice_bytes(p, l, &l->slices[i]);
    }
    return all;
}

/* Cuts the matrices into slices of about `slice_bytes`, none of which has a place yet, and sets
 * slot_bytes to what any of them needs. */
static sl_status cut_matrices(const program *p, size_t slice_bytes, placement *l, sl_error *error) {
    *l = (placement){.slot_bytes = slice_bytes, .n_matrix = p->weights.count};
    l->matrices = calloc(l->n_matrix, sizeof *l->matrices);
    if (!l->matrices) {
        return error_memory(error, "the placement of weights", l->n_matrix * sizeof *l->matrices);
    }
    each_matrix(l, p, count_slices);
    l->slices = calloc(size_max(1, l->n_slice), sizeof *l->slices);
    if (!l->slices) {
        placement_free(l);
        return error_memory(error, "the placement of weights", l->n_slice * sizeof *l->slices);
    }
    each_matrix(l, p, name_slices);
    size_t longest = 0;
    for (size_t i = 0; i < l->n_slice; i++) {
        longest = size_max(longest, placement_rows(p, l, &l->slices[i]) *
                                        program_weight(p, l->slices[i].weight)->row_stride);
    }
    l->slot_bytes = size_round_up(longest, PLACEMENT_PAGE) + 2 * SLOT_EDGES;
    return SL_OK;
}

/* Bytes of a slice where there is so much room. */
static size_t choose_slice(const program *p, uint64_t room) {
    const uint64_t least = program_pass_bytes(p) / SLICES_OF_MODEL, most = room / SLICES_OF_ROOM;
    const uint64_t wanted = least > most ? least : most;
    return wanted < LEAST_SLICE             ? LEAST_SLICE
           : wanted < PLACEMENT_SLICE_BYTES ? (size_t)wanted
                                            : PLACEMENT_SLICE_BYTES;
}

uint64_t placement_least_room(const program *p) {
    placement l;
    if (cut_matrices(p, choose_slice(p, 0), &l, NULL) != SL_OK) {
        return 0;
    }
    const uint64_t least = (uint64_t)LEAST_SLOTS * l.slot_bytes;
    placement_free(&l);
    return least;
}

sl_status placement_make(const program *p, uint64_t room, placement *out, sl_error *error) {
    placement l;
    const sl_status status = cut_matrices(p, choose_slice(p, room), &l, error);
    if (status != SL_OK) {
        return status;
    }
    const uint64_t all = all_slices_bytes(&l, p);
    const uint64_t least = (uint64_t)LEAST_SLOTS * l.slot_bytes;
    if (room < least) {
        placement_free(&l);
        return error_set(error, SL_ERR_MEMORY,
                         "weights that are read from the file as they are used need at least %llu "
                         "KiB of memory, but %llu KiB are left for them",
                         (unsigned long long)(least + 1023) >> 10, (unsigned long long)room >> 10);
    }
    l.n_slot = LEAST_SLOTS;
    if (all > room - least) {
        const uint64_t part = size_min((size_t)(room / RING_OF_ROOM), PLACEMENT_RING_BYTES);
        l.n_slot = size_max(LEAST_SLOTS, size_min(part / l.slot_bytes, PLACEMENT_MOST_SLOTS));
    }
    room -= (uint64_t)l.n_slot * l.slot_bytes;
    choose_slices(&l, p, room, all);
    each_matrix(&l, p, count_output);
    *out = l;
    return SL_OK;
}

void placement_free(placement *l) {
    free(l->matrices);
    free(l->slices);
    *l = (placement){0};
}

/* Slices have at least half the bytes that were chosen for them, for the sake of whole rows. */
uint64_t placement_list_bytes(uint64_t file_bytes) {
    return (1 << 20) + file_bytes / 16384;
}

size_t placement_bytes(const placement *l) {
    return l->n_matrix * sizeof *l->matrices + l->n_slice * sizeof *l->slices;
}
