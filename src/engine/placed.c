#include "engine/placed.h"

#include "base/error.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "engine/stream.h"
#include "kernels/kernels.h"
#include "kernels/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct placed {
    const program *p;
    const model_file *file;
    const os_mapping *mapping;
    placement where;
    bool panels[QUANT_TYPE_LIMIT]; /* kept slices of that type lie in panels */
    uint8_t *kept, *slots;
    stream_read *reads; /* of the streamed slices, in the order of a pass */
    stream *flow;       /* NULL: nothing is streamed */
};

/* ---- slices --------------------------------------------------------------------------------- */

static const placement_slice *slice_of(const placed *w, weight_id id, size_t row) {
    const placement_matrix *m = &w->where.matrices[id];
    return &w->where.slices[m->first_slice + row / m->slice_rows];
}

static stream_read read_of(const placed *w, const placement_slice *slice) {
    const weight_ref *ref = program_weight(w->p, slice->weight);
    const size_t first = placement_first_row(&w->where, slice);
    const size_t rows = placement_rows(w->p, &w->where, slice);
    const uint8_t *bytes =
        w->file->tensors[ref->tensor].data + ref->offset + first * ref->row_stride;
    return (stream_read){
        .offset = (uint64_t)(bytes - w->mapping->bytes),
        .size = (rows - 1) * ref->row_stride + quant_row_bytes(ref->type, ref->n_in),
        .units = rows,
    };
}

/* From a slot, which holds the slice as the file has it, to its place. */
static void keep(placed *w, const placement_slice *slice, const uint8_t *from) {
    const weight_ref *ref = program_weight(w->p, slice->weight);
    const size_t rows = placement_rows(w->p, &w->where, slice);
    const size_t row_bytes = quant_row_bytes(ref->type, ref->n_in);
    uint8_t *to = w->kept + slice->place;
    if (w->panels[ref->type]) {
        packed_fill(ref->type, rows, ref->n_in, from, ref->row_stride, to);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        memcpy(to + i * row_bytes, from + i * ref->row_stride, row_bytes);
    }
}

/* ---- reading what is kept ------------------------------------------------------------------- */

typedef struct loading {
    placed *w;
    os_reader *reader;
    size_t next;    /* slice to look at */
    size_t *slices; /* by slot: the one that is being read into it */
    uint64_t done;  /* bytes */
    size_t under_way;
} loading;

/* Starts to read the next kept slice into a slot; nothing if there are no more. */
static void load_into(loading *l, size_t slot) {
    const placement *where = &l->w->where;
    while (l->next < where->n_slice && where->slices[l->next].streamed) {
        l->next++;
    }
    if (l->next == where->n_slice) {
        return;
    }
    const stream_read read = read_of(l->w, &where->slices[l->next]);
    l->slices[slot] = l->next++;
    os_reader_start(l->reader, slot, read.offset, read.size,
                    l->w->slots + slot * where->slot_bytes);
    l->under_way++;
}

/* On failure reads are left under way, which the reader's end waits for. */
static sl_status load_kept(loading *l, const placed_options *o, sl_error *error) {
    const placement *where = &l->w->where;
    for (size_t slot = 0; slot < where->n_slot; slot++) {
        load_into(l, slot);
    }
    while (l->under_way > 0) {
        size_t slot;
        sl_error inner;
        const sl_status status = os_reader_wait(l->reader, &slot, &inner);
        if (status != SL_OK) {
            return error_set(error, status, "the model file: %s", inner.message);
        }
        l->under_way--;
        const placement_slice *slice = &where->slices[l->slices[slot]];
        const stream_read read = read_of(l->w, slice);
        keep(l->w, slice, l->w->slots + slot * where->slot_bytes + read.offset % OS_READER_ALIGN);
        l->done += read.size;
        if (o->progress && !o->progress(o->user, "loading", l->done,
                                        where->matrix_bytes - where->streamed_bytes)) {
            return error_set(error, SL_ERR_CANCELLED, "loading was interrupted");
        }
        load_into(l, slot);
    }
    return SL_OK;
}

/* ---- making and freeing --------------------------------------------------------------------- */

static sl_status allocate(placed *w, sl_error *error) {
    const placement *where = &w->where;
    const size_t slots = where->n_slot * where->slot_bytes;
    const size_t table = size_max(1, where->n_streamed) * sizeof *w->reads;
    w->kept = os_pages_allocate(size_max(1, (size_t)where->kept_bytes));
    w->slots = os_pages_allocate(slots);
    w->reads = malloc(table);
    if (!w->kept || !w->slots || !w->reads) {
        return error_memory(error, "weights", (size_t)where->kept_bytes + slots + table);
    }
    for (size_t i = 0; i < where->n_slice; i++) {
        if (where->slices[i].streamed) {
            w->reads[where->slices[i].place] = read_of(w, &where->slices[i]);
        }
    }
    return SL_OK;
}

static sl_status start_stream(placed *w, os_reader *reader, sl_error *error) {
    const stream_plan plan = {
        .reads = w->reads,
        .n_read = w->where.n_streamed,
        .n_optional = w->where.n_output,
        .slots = w->slots,
        .n_slot = w->where.n_slot,
        .slot_bytes = w->where.slot_bytes,
    };
    return stream_create(&plan, reader, &w->flow, error);
}

/* What stays in memory is to stay there, and not to be swapped out. */
static void lock_kept(const placed *w, const placed_options *o) {
    const char *reason;
    char line[200];
    if (os_swap_total() == 0 || w->where.kept_bytes == 0 ||
        os_pages_lock(w->kept, (size_t)w->where.kept_bytes, &reason) || !o->notice) {
        return;
    }
    snprintf(line, sizeof line,
             "what stays in memory cannot be locked there (%s) and may be swapped out", reason);
    o->notice(o->user, line);
}

static void tell(const placed *w, const os_reader *reader, const placed_options *o) {
    const placement *where = &w->where;
    char line[400];
    if (!o->notice || (o->told && os_reader_is_best(reader))) {
        return;
    }
    snprintf(line, sizeof line,
             "%llu of %llu MiB of weights stay in memory, %llu are read from the file for each "
             "pass: %s",
             (unsigned long long)(where->matrix_bytes - where->streamed_bytes) >> 20,
             (unsigned long long)where->matrix_bytes >> 20,
             (unsigned long long)where->streamed_bytes >> 20, os_reader_how(reader));
    o->notice(o->user, line);
}

/* Reads what is kept and leaves the reader to the stream, or closes it. */
static sl_status fill(placed *w, const placed_options *o, sl_error *error) {
    _Static_assert((int)PLACEMENT_MOST_SLOTS <= (int)OS_READER_DEPTH, "a read for each slot");
    const os_reader_options options = {
        .depth = w->where.n_slot,
        .buffers = w->slots,
        .n_buffer = w->where.n_slot * w->where.slot_bytes,
    };
    loading l = {.w = w, .slices = calloc(w->where.n_slot, sizeof *l.slices)};
    if (!l.slices) {
        return error_memory(error, "reading weights", w->where.n_slot * sizeof *l.slices);
    }
    sl_status status = os_reader_open(w->mapping, &options, &l.reader, error);
    if (status == SL_OK) {
        status = load_kept(&l, o, error);
    }
    free(l.slices);
    if (status != SL_OK) {
        os_reader_close(l.reader);
        return status;
    }
    tell(w, l.reader, o);
    lock_kept(w, o);
    if (w->where.n_streamed > 0) {
        return start_stream(w, l.reader, error);
    }
    os_reader_close(l.reader);
    os_pages_free(w->slots, w->where.n_slot * w->where.slot_bytes);
    w->slots = NULL;
    return SL_OK;
}

sl_status placed_create(const program *p, const model_file *file, const os_mapping *mapping,
                        const placed_options *options, placed **out, sl_error *error) {
    kernel_table kernels;
    placed *w = calloc(1, sizeof *w);
    if (!w) {
        return error_memory(error, "the placement of weights", sizeof *w);
    }
    *w = (placed){.p = p, .file = file, .mapping = mapping};
    kernel_table_fill(&kernels, cpu_features());
    for (size_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        w->panels[type] = kernel_packs(&kernels, (quant_type)type) && !options->file_order;
    }
    sl_status status = placement_make(p, options->room, &w->where, error);
    if (status == SL_OK) {
        status = allocate(w, error);
    }
    if (status == SL_OK) {
        status = fill(w, options, error);
    }
    if (status != SL_OK) {
        placed_free(w);
        return status;
    }
    *out = w;
    return SL_OK;
}

void placed_free(placed *w) {
    if (!w) {
        return;
    }
    stream_free(w->flow);
    os_pages_free(w->slots, w->where.n_slot * w->where.slot_bytes);
    os_pages_free(w->kept, size_max(1, (size_t)w->where.kept_bytes));
    free(w->reads);
    placement_free(&w->where);
    free(w);
}

uint64_t placed_bytes(const placed *w) {
    return sizeof *w + placement_bytes(&w->where) + w->where.n_streamed * sizeof *w->reads +
           (w->slots ? (uint64_t)w->where.n_slot * w->where.slot_bytes : 0) + w->where.kept_bytes +
           (w->flow ? stream_bytes(w->flow) : 0);
}

const placement *placed_placement(const placed *w) {
    return &w->where;
}

/* ---- use ------------------------------------------------------------------------------------ */

linear_rows placed_acquire(placed *w, weight_id id, size_t first, size_t count) {
    (void)count;
    const weight_ref *ref = program_weight(w->p, id);
    const placement_slice *slice = slice_of(w, id, first);
    const size_t in_slice = first - placement_first_row(&w->where, slice);
    if (slice->streamed) {
        const uint8_t *rows = stream_acquire(w->flow, slice->place);
        return (linear_rows){rows + in_slice * ref->row_stride, ref->row_stride, false};
    }
    const size_t row_bytes = quant_row_bytes(ref->type, ref->n_in);
    return (linear_rows){w->kept + slice->place + in_slice * row_bytes, row_bytes,
                         w->panels[ref->type]};
}

void placed_release(placed *w, weight_id id, size_t first, size_t count) {
    const placement_slice *slice = slice_of(w, id, first);
    if (slice->streamed) {
        stream_release(w->flow, slice->place, count);
    }
}

bool placed_row(const placed *w, weight_id id, size_t row, void *to) {
    const weight_ref *ref = program_weight(w->p, id);
    if (w->where.matrices[id].n_slice == 0) {
        return false;
    }
    const placement_slice *slice = slice_of(w, id, row);
    if (slice->streamed) {
        return false;
    }
    const size_t in_slice = row - placement_first_row(&w->where, slice);
    const size_t row_bytes = quant_row_bytes(ref->type, ref->n_in);
    const uint8_t *kept = w->kept + slice->place;
    if (w->panels[ref->type]) {
        packed_row(ref->type, ref->n_in, kept, in_slice, to);
    } else {
        memcpy(to, kept + in_slice * row_bytes, row_bytes);
    }
    return true;
}

void placed_begin(placed *w, bool logits) {
    if (w->flow) {
        stream_begin(w->flow, logits);
    }
}

bool placed_failed(const placed *w) {
    return w->flow && stream_failed(w->flow);
}

sl_status placed_end(placed *w, bool whole, sl_error *error) {
    return w->flow ? stream_end(w->flow, whole, error) : SL_OK;
}
