/* convert.c - sl_conversion: a model of any kind that is read, as GGUF files.
 *
 * Tensors pass through a few MiB of memory, some rows at a time, whatever the model's size: while
 * the caller writes one chunk, a thread and its team make the next (passing_rows.h).
 *
 *   maker:    make chunk 0 | make chunk 1 | make chunk 2 | ...
 *   caller:                | write 0      | write 1      | ...
 */
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "engine/make_rows.h"
#include "engine/model_files.h"
#include "engine/passing_rows.h"
#include "engine/type_mix.h"
#include "formats/gguf_writer.h"
#include "formats/imatrix.h"
#include "models/gemma.h"
#include "models/gguf_words.h"
#include "quant/encode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 8 << 20, /* bytes given out at a time, but for longer rows */
    CHUNKS = 2,      /* one is written while the next is made */
    HEADER_MOST = 1 << 30,
};

typedef struct output_file {
    size_t first, count; /* of tensors */
    uint64_t data_bytes;
    array header; /* bytes */
} output_file;

struct sl_conversion {
    os_mapping mapping;
    model_file source;
    model_file more; /* metadata and tensors beside the source's */
    imatrix *importance;
    const type_mix *mix; /* NULL: types stay */
    gguf_tensor *to;
    type_choice *choices;
    passing_tensor *passing;
    passing_error *errors; /* of tensors that are written */
    bool *written;
    size_t n_tensor;
    output_file *files;
    size_t n_file;
    sl_convert_options options;
    team *team;
    passing_room room;
    uint8_t *chunks[CHUNKS];
    size_t chunk_bytes; /* of each, and besides room for padding */
    uint64_t done, all; /* bytes of all files */
};

/* ---- opening -------------------------------------------------------------------------------- */

void sl_convert_options_init(sl_convert_options *options) {
    *options = (sl_convert_options){0};
}

/* Number i of the result. */
static const tensor_entry *tensor_at(const sl_conversion *c, size_t i) {
    const size_t own = c->source.tensor_count;
    return i < own ? &c->source.tensors[i] : &c->more.tensors[i - own];
}

static bool is_blocks(quant_type type) {
    return quant_format_of(type)->block_length > 1;
}

/* Needs c->choices. */
static sl_status plan_tensor(sl_conversion *c, size_t i, sl_error *error) {
    const tensor_entry *t = tensor_at(c, i);
    passing_tensor *p = &c->passing[i];
    const sl_status status = passing_tensor_of(&c->source, t, c->choices[i].type, p, error);
    if (status != SL_OK) {
        return status;
    }
    c->to[i].type = p->to;
    if (t->type != p->to && !quant_encodes(p->to)) {
        return error_set(error, SL_ERR_UNSUPPORTED, "tensor '%.*s' cannot be made %s yet",
                         STR_ARG(t->name), quant_format_of(p->to)->name);
    }
    if (t->type != p->to && is_blocks(t->type) && c->options.refuse_requantize) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "tensor '%.*s' is %s already, and quantizing it again loses more than "
                         "from F16 would (--allow-requantize does it all the same)",
                         STR_ARG(t->name), quant_format_of(t->type)->name);
    }
    if (c->importance && t->type != p->to && is_blocks(p->to)) {
        p->importance =
            imatrix_find(c->importance, t->name, (size_t)(t->dims[0] * t->dims[2] * t->dims[3]));
    }
    return SL_OK;
}

/* ---- notices -------------------------------------------------------------------------------- */

static void tell(const sl_conversion *c, const char *what, size_t count) {
    char line[256];
    if (count > 0 && c->options.notice) {
        snprintf(line, sizeof line, "%s: %zu tensor%s", what, count, count == 1 ? "" : "s");
        c->options.notice(c->options.user, line);
    }
}

static bool lacks_importance(const sl_conversion *c, size_t i) {
    return c->importance && !c->passing[i].importance && is_blocks(c->to[i].type) &&
           c->passing[i].from->type != c->to[i].type;
}

/* What is not as one might think, before anything is written. */
static void tell_all(const sl_conversion *c) {
    size_t again = 0, narrow = 0, lacking = 0;
    for (size_t i = 0; i < c->n_tensor; i++) {
        const quant_type from = c->passing[i].from->type, to = c->to[i].type;
        again += from != to && is_blocks(from) && is_blocks(to);
        narrow += c->choices[i].wanted != to;
        lacking += lacks_importance(c, i);
    }
    tell(c, "quantized already, which loses more than quantizing from F16", again);
    tell(c, "no whole blocks of their type in a row, hence of another type", narrow);
    tell(c, "without an entry in the importance matrix", lacking);
    if (gemma_scale_is_own(&c->source) && c->options.notice) {
        c->options.notice(c->options.user,
                          "attention.scale is not that of a head's size: llama.cpp does not read "
                          "this key and computes something else; sluice reads it");
    }
    if (c->mix && type_mix_wants_importance(c->mix) && !c->importance && c->options.notice) {
        c->options.notice(c->options.user,
                          "this type does badly without an importance matrix (--imatrix)");
    }
}

/* ---- the files ------------------------------------------------------------------------------ */

/* Cuts the list of tensors into files. */
static sl_status cut_files(sl_conversion *c, sl_error *error) {
    c->files = calloc(size_max(1, c->n_tensor), sizeof *c->files);
    if (!c->files) {
        return error_memory(error, "a list of files", c->n_tensor * sizeof *c->files);
    }
    output_file *file = c->files;
    for (size_t i = 0; i < c->n_tensor; i++) {
        const uint64_t bytes = gguf_padded_bytes(&c->to[i]);
        const uint64_t most = c->options.split_bytes;
        if (most > 0 && file->count > 0 && file->data_bytes + bytes > most) {
            file++;
            file->first = i;
        }
        file->count++;
        file->data_bytes += bytes;
    }
    c->n_file = (size_t)(file - c->files) + 1;
    return c->n_file <= LIMIT_MODEL_FILES
               ? SL_OK
               : error_set(error, SL_ERR_ARGUMENT,
                           "so small files would be %zu, expected at most %u", c->n_file,
                           LIMIT_MODEL_FILES);
}

static sl_status write_headers(sl_conversion *c, sl_error *error) {
    sl_status status = SL_OK;
    for (size_t i = 0; i < c->n_file && status == SL_OK; i++) {
        output_file *file = &c->files[i];
        const gguf_split split = {(uint16_t)i, (uint16_t)c->n_file, c->n_tensor};
        file->header = array_new(1, HEADER_MOST);
        status = gguf_write_header(&c->source, &c->more, c->n_file > 1 ? &split : NULL,
                                   c->to + file->first, file->count, &file->header, error);
        c->all += sl_conversion_bytes(c, i);
    }
    return status;
}

/* The keys are those that llama-quantize writes. It writes paths as they were typed; of them names
 * alone are kept, for the folders of somebody's machine are nobody else's business, and no program
 * opens what these keys name. */
static void add_importance(const sl_conversion *c, tables *more) {
    imatrix_info info;
    imatrix_get_info(c->importance, &info);
    tables_string(more, "quantize.imatrix.file", str_base_name(str_from(c->options.importance)));
    if (*info.texts) {
        tables_string(more, "quantize.imatrix.dataset", str_from(info.texts));
    }
    tables_u64(more, "quantize.imatrix.entries_count", info.n_entry);
    if (info.chunks > 0) {
        tables_u64(more, "quantize.imatrix.chunks_count", info.chunks);
    }
}

/* What is said anew, or for the first time. */
static sl_status add_more(sl_conversion *c, sl_error *error) {
    enum { QUANTIZATION_VERSION = 2 }; /* of the block formats in use since May 2023 */
    tables more = tables_new("", NULL, 0, error);
    tables_u64(&more, "general.quantization_version", QUANTIZATION_VERSION);
    if (c->mix) {
        tables_u64(&more, "general.file_type", type_mix_file_type(c->mix));
    }
    if (c->importance) {
        add_importance(c, &more);
    }
    gguf_words_add(&c->source, &more);
    return tables_finish(&more, &c->more);
}

/* Rows of a chunk: whole numbers of PASSING_TOGETHER, so that sums come out alike. */
static size_t rows_of_chunk(const sl_conversion *c, const passing_tensor *t) {
    const size_t rows = c->chunk_bytes / quant_row_bytes(t->to, t->n_in);
    return rows / PASSING_TOGETHER * PASSING_TOGETHER;
}

static sl_status allocate(sl_conversion *c, sl_error *error) {
    const size_t threads = c->options.threads ? c->options.threads : os_core_count();
    size_t longest = 0, most_rows = 0, floats = 0, bytes;
    for (size_t i = 0; i < c->n_tensor; i++) {
        longest = size_max(longest, c->passing[i].n_in);
        floats = size_max(floats, passing_floats(&c->passing[i]));
    }
    if (!size_mul(longest, PASSING_TOGETHER * sizeof(float), &bytes)) {
        return error_memory(error, "rows on their way", SIZE_MAX);
    }
    c->chunk_bytes = size_max(CHUNK, bytes);
    for (size_t i = 0; i < c->n_tensor; i++) {
        const passing_tensor *t = &c->passing[i];
        most_rows = size_max(most_rows, size_min(t->rows, rows_of_chunk(c, t)));
    }
    for (size_t i = 0; i < CHUNKS; i++) {
        c->chunks[i] = malloc(c->chunk_bytes + GGUF_ALIGNMENT);
        if (!c->chunks[i]) {
            return error_memory(error, "rows on their way", c->chunk_bytes);
        }
    }
    const sl_status status = passing_room_open(threads, floats, most_rows, &c->room, error);
    return status == SL_OK ? team_create(threads, &c->team, error) : status;
}

static sl_status list_tensors(sl_conversion *c, sl_error *error) {
    c->n_tensor = c->source.tensor_count + c->more.tensor_count;
    const size_t n = size_max(1, c->n_tensor);
    c->to = calloc(n, sizeof *c->to);
    c->choices = calloc(n, sizeof *c->choices);
    c->passing = calloc(n, sizeof *c->passing);
    c->errors = calloc(n, sizeof *c->errors);
    c->written = calloc(n, sizeof *c->written);
    if (!c->to || !c->choices || !c->passing || !c->errors || !c->written) {
        return error_memory(error, "a list of tensors", n * sizeof *c->passing);
    }
    for (size_t i = 0; i < c->n_tensor; i++) {
        const tensor_entry *t = tensor_at(c, i);
        c->to[i] = (gguf_tensor){.name = t->name, .type = t->type, .n_dims = t->n_dims};
        memcpy(c->to[i].dims, t->dims, sizeof t->dims);
    }
    return SL_OK;
}

static sl_status choose_types(sl_conversion *c, sl_error *error) {
    const sl_convert_options *o = &c->options;
    const type_wishes wishes = {
        .mix = c->mix,
        .output = o->output_type,
        .embedding = o->embedding_type,
        .overrides = o->tensor_types,
        .n_override = o->n_tensor_type,
        .leave_output = o->leave_output,
        .pure = o->pure,
        .has_importance = c->importance,
    };
    sl_status status = type_mix_choose(&c->source, &wishes, c->to, c->n_tensor, c->choices,
                                       o->notice, o->user, error);
    for (size_t i = 0; i < c->n_tensor && status == SL_OK; i++) {
        status = plan_tensor(c, i, error);
    }
    return status;
}

static sl_status plan(sl_conversion *c, sl_error *error) {
    sl_status status = add_more(c, error);
    status = status == SL_OK ? list_tensors(c, error) : status;
    status = status == SL_OK ? choose_types(c, error) : status;
    status = status == SL_OK ? cut_files(c, error) : status;
    status = status == SL_OK ? write_headers(c, error) : status;
    status = status == SL_OK ? allocate(c, error) : status;
    if (status == SL_OK) {
        tell_all(c);
    }
    return status;
}

/* Opens what else there is beside the model. */
static sl_status open_wishes(sl_conversion *c, sl_error *error) {
    const sl_convert_options *o = &c->options;
    const sl_status status = o->type ? type_mix_find(o->type, &c->mix, error) : SL_OK;
    return status == SL_OK && o->importance ? imatrix_open(o->importance, &c->importance, error)
                                            : status;
}

sl_status sl_conversion_open(const char *path, const sl_convert_options *options,
                             sl_conversion **conversion, sl_error *error) {
    sl_conversion *c = calloc(1, sizeof *c);
    if (!c) {
        return error_memory(error, "a conversion", sizeof *c);
    }
    if (options) {
        c->options = *options;
    }
    sl_error inner = {0};
    sl_status status = open_wishes(c, error);
    status = status == SL_OK ? model_open(path, &c->mapping, &c->source, error) : status;
    if (status == SL_OK) {
        status = gguf_habit_check(&c->source, &inner);
        status = status == SL_OK ? plan(c, &inner) : status;
        if (status != SL_OK) {
            error_set(error, status, "%s: %s", path, inner.message);
        }
    }
    if (status != SL_OK) {
        sl_conversion_close(c);
        return status;
    }
    *conversion = c;
    return SL_OK;
}

void sl_conversion_close(sl_conversion *c) {
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->n_file; i++) {
        array_free(&c->files[i].header);
    }
    team_free(c->team);
    model_close(&c->mapping, &c->source);
    model_file_free(&c->more);
    imatrix_close(c->importance);
    passing_room_close(&c->room);
    free(c->files);
    free(c->written);
    free(c->errors);
    free(c->passing);
    free(c->choices);
    free(c->to);
    for (size_t i = 0; i < CHUNKS; i++) {
        free(c->chunks[i]);
    }
    free(c);
}

size_t sl_conversion_files(const sl_conversion *c) {
    return c->n_file;
}

uint64_t sl_conversion_bytes(const sl_conversion *c, size_t index) {
    return c->files[index].header.count + c->files[index].data_bytes;
}

size_t sl_conversion_tensors(const sl_conversion *c) {
    return c->n_tensor;
}

void sl_conversion_tensor(const sl_conversion *c, size_t i, sl_converted_tensor *tensor) {
    const passing_tensor *p = &c->passing[i];
    const gguf_tensor *to = &c->to[i];
    const passing_error *e = &c->errors[i];
    const bool fits = c->choices[i].wanted == to->type;
    *tensor = (sl_converted_tensor){
        .name = to->name.ptr,
        .name_length = to->name.len,
        .n_dims = to->n_dims,
        .from = quant_format_of(p->from->type)->name,
        .to = quant_format_of(to->type)->name,
        .wanted = fits ? NULL : quant_format_of(c->choices[i].wanted)->name,
        .bytes_before = make_rows_source_bytes(p->from),
        .bytes_after = (uint64_t)quant_row_bytes(to->type, p->n_in) * p->rows,
        .has_importance = p->importance,
        .lacks_importance = lacks_importance(c, i),
        .error = -1,
    };
    memcpy(tensor->shape, to->dims, sizeof tensor->shape);
    if (passing_is_exact(p)) {
        tensor->error = 0;
    } else if (c->written[i] && c->options.tensor) {
        tensor->error =
            e->difference > 0 || isnan(e->difference) ? sqrt(e->difference / e->values) : 0;
    }
}

/* ---- making chunks -------------------------------------------------------------------------- */

/* A chunk that is ready to be written. */
typedef struct made_chunk {
    size_t tensor, bytes;
    bool ends_tensor;
    bool faulted; /* the source was cut short: nothing follows */
} made_chunk;

/* The maker makes chunk number n into place n % CHUNKS once chunk n - CHUNKS is written. The
 * chunks' descriptions and bytes pass by the counters. */
typedef struct making {
    sl_conversion *c;
    const output_file *file;
    made_chunk chunks[CHUNKS];
    _Atomic uint32_t made, written; /* chunks; wrap around */
    _Atomic uint32_t stop;
} making;

/* Source pages that were read are given back, unless the order takes later rows from them. */
static void drop_rows(const sl_conversion *c, const passing_tensor *t, size_t first, size_t count) {
    const uintptr_t at = (uintptr_t)t->from->data - (uintptr_t)c->mapping.bytes;
    if (at >= c->mapping.size) {
        return; /* memory of ours */
    }
    if (t->from->layout == TENSOR_ROWS && t->habit.order == HABIT_AS_IT_IS) {
        const size_t bytes = quant_row_bytes(t->from->type, t->n_in);
        os_pages_drop(t->from->data + first * bytes, count * bytes);
    } else if (first + count == t->rows) {
        os_pages_drop(t->from->data, make_rows_source_bytes(t->from));
    }
}

/* The disk reads what the next chunk will be made of, most likely, while this one is made: faults
 * alone would wait for each piece. */
static void fetch_next(const sl_conversion *c, const passing_tensor *t, size_t first,
                       size_t count) {
    const uintptr_t data = (uintptr_t)t->from->data - (uintptr_t)c->mapping.bytes;
    if (t->from->layout != TENSOR_ROWS || data >= c->mapping.size) {
        return;
    }
    const size_t row = quant_row_bytes(t->from->type, t->n_in);
    const size_t from = data + (first + count) * row;
    const size_t bytes = size_min(size_max(count * row, CHUNK), c->mapping.size - from);
    if (bytes > 0) {
        os_pages_fetch(c->mapping.bytes + from, bytes);
    }
}

/* Waits for a free place; false if nothing more is wanted. */
static bool wait_for_place(making *m, uint32_t made) {
    for (;;) {
        if (atomic_load_explicit(&m->stop, memory_order_acquire)) {
            return false;
        }
        const uint32_t written = atomic_load_explicit(&m->written, memory_order_acquire);
        if (made - written < CHUNKS) {
            return true;
        }
        os_wait(&m->written, written);
    }
}

/* Makes up to a chunk of a tensor from row `first` on; returns how many rows. */
static size_t make_chunk(sl_conversion *c, size_t tensor, size_t first, uint8_t *to,
                         made_chunk *chunk) {
    const passing_tensor *t = &c->passing[tensor];
    const size_t bytes = quant_row_bytes(t->to, t->n_in);
    const size_t count = size_min(rows_of_chunk(c, t), t->rows - first);
    fetch_next(c, t, first, count);
    if (first == 0) {
        c->errors[tensor] = (passing_error){0};
    }
    passing_rows_make(c->team, t, first, count, to, &c->room,
                      c->options.tensor ? &c->errors[tensor] : NULL);
    drop_rows(c, t, first, count);
    *chunk = (made_chunk){
        .tensor = tensor,
        .bytes = count * bytes,
        .ends_tensor = first + count == t->rows,
        .faulted = os_guard_faulted(c->mapping.bytes),
    };
    if (chunk->ends_tensor) {
        const size_t padding = (size_t)gguf_padded_bytes(&c->to[tensor]) - t->rows * bytes;
        memset(to + chunk->bytes, 0, padding);
        chunk->bytes += padding;
    }
    return count;
}

/* The maker's thread. */
static void make_file(void *argument) {
    making *m = argument;
    sl_conversion *c = m->c;
    uint32_t made = 0;
    for (size_t i = 0; i < m->file->count; i++) {
        const size_t tensor = m->file->first + i;
        for (size_t first = 0; first < c->passing[tensor].rows; made++) {
            if (!wait_for_place(m, made)) {
                return;
            }
            made_chunk *const chunk = &m->chunks[made % CHUNKS];
            first += make_chunk(c, tensor, first, c->chunks[made % CHUNKS], chunk);
            atomic_store_explicit(&m->made, made + 1, memory_order_release);
            os_wake_all(&m->made);
            if (chunk->faulted) {
                return;
            }
        }
    }
}

/* ---- writing -------------------------------------------------------------------------------- */

static sl_status give(sl_conversion *c, sl_write_fn write, void *user, const void *bytes,
                      size_t size, sl_error *error) {
    const sl_convert_options *o = &c->options;
    if (!write(user, bytes, size)) {
        return error_set(error, SL_ERR_CANCELLED, "writing failed");
    }
    c->done += size;
    const char *const what = c->mix && type_mix_quantizes(c->mix) ? "quantizing" : "converting";
    if (o->progress && !o->progress(o->user, what, c->done, c->all)) {
        return error_set(error, SL_ERR_CANCELLED, "interrupted");
    }
    return SL_OK;
}

static void report(sl_conversion *c, size_t tensor) {
    sl_converted_tensor about;
    c->written[tensor] = true;
    if (c->options.tensor) {
        sl_conversion_tensor(c, tensor, &about);
        c->options.tensor(c->options.user, tensor, &about);
    }
}

/* Writes chunk number n. */
static sl_status write_chunk(making *m, uint32_t n, sl_write_fn write, void *user,
                             sl_error *error) {
    while (atomic_load_explicit(&m->made, memory_order_acquire) == n) {
        os_wait(&m->made, n);
    }
    sl_conversion *c = m->c;
    const made_chunk chunk = m->chunks[n % CHUNKS];
    if (chunk.faulted) {
        return error_set(error, SL_ERR_RUNTIME, "the model file was cut short underneath");
    }
    const sl_status status = give(c, write, user, c->chunks[n % CHUNKS], chunk.bytes, error);
    if (status == SL_OK && chunk.ends_tensor) {
        report(c, chunk.tensor);
    }
    atomic_store_explicit(&m->written, n + 1, memory_order_release);
    os_wake_all(&m->written);
    return status;
}

static uint32_t count_chunks(const sl_conversion *c, const output_file *file) {
    size_t count = 0;
    for (size_t i = 0; i < file->count; i++) {
        const passing_tensor *t = &c->passing[file->first + i];
        const size_t step = rows_of_chunk(c, t);
        count += (t->rows + step - 1) / step;
    }
    return (uint32_t)count;
}

static sl_status write_tensors(sl_conversion *c, const output_file *file, sl_write_fn write,
                               void *user, sl_error *error) {
    making m = {.c = c, .file = file};
    os_thread *maker = NULL;
    const uint32_t n_chunk = count_chunks(c, file);
    sl_status status = os_thread_start(make_file, &m, &maker, error);
    if (status != SL_OK) {
        return status;
    }
    for (uint32_t n = 0; n < n_chunk && status == SL_OK; n++) {
        status = write_chunk(&m, n, write, user, error);
    }
    atomic_store_explicit(&m.stop, 1, memory_order_release);
    atomic_fetch_add_explicit(&m.written, CHUNKS, memory_order_release); /* a sleeper wakes */
    os_wake_all(&m.written);
    os_thread_join(maker);
    return status;
}

sl_status sl_conversion_write(sl_conversion *c, size_t index, sl_write_fn write, void *user,
                              sl_error *error) {
    const output_file *file = &c->files[index];
    c->done = 0;
    for (size_t i = 0; i < index; i++) {
        c->done += sl_conversion_bytes(c, i);
    }
    sl_status status = give(c, write, user, file->header.items, file->header.count, error);
    status = status == SL_OK ? write_tensors(c, file, write, user, error) : status;
    sl_error inner;
    if (status == SL_OK && os_mapping_check(&c->mapping, &inner) != SL_OK) {
        return error_set(error, SL_ERR_RUNTIME, "the model file: %s", inner.message);
    }
    return status;
}
