/* convert.c - sl_conversion: a model of any kind that is read, as GGUF files.
 *
 * Tensors pass through a few MiB of memory, some rows at a time, whatever the model's size:
 *
 *   source rows -> in GGUF's order -> floats -> the wanted type -> the caller's write
 *
 * Where only the order changes, rows are copied as they are.
 */
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "engine/make_rows.h"
#include "engine/model_files.h"
#include "formats/gguf_writer.h"
#include "models/gguf_habit.h"
#include "models/gguf_words.h"
#include "ops/team.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 8 << 20,    /* bytes given out at a time, but for longer rows */
    ROWS_TOGETHER = 16, /* that a member of the team takes: neighbours share cache lines of tensors
                           that lie transposed */
    HEADER_MOST = 1 << 30,
};

/* A vector is seen as rows of one value. */
typedef struct passing_tensor {
    const tensor_entry *from;
    gguf_habit habit;
    size_t rows, n_in;
} passing_tensor;

typedef struct output_file {
    size_t first, count; /* of tensors */
    uint64_t data_bytes;
    array header; /* bytes */
} output_file;

struct sl_conversion {
    os_mapping mapping;
    model_file source;
    model_file more; /* metadata and tensors beside the source's */
    gguf_tensor *to;
    passing_tensor *passing;
    size_t n_tensor;
    output_file *files;
    size_t n_file;
    sl_convert_options options;
    team *team;
    uint8_t *chunk;
    size_t chunk_bytes;
    float *floats; /* ROWS_TOGETHER rows for each member */
    size_t longest_row;
    uint64_t done, all; /* bytes of all files */
};

/* The rows that the team is at. */
typedef struct rows_job {
    const passing_tensor *tensor;
    quant_type type;
    size_t first, count;
    uint8_t *to;
    float *floats;
    size_t longest_row;
    _Atomic size_t next;
} rows_job;

/* ---- types ---------------------------------------------------------------------------------- */

/* general.file_type of files whose matrices are mostly of a type (ggml's numbers). */
static const struct {
    const char *name;
    quant_type type;
    uint32_t file_type;
} wanted_types[] = {
    {"f32", QUANT_F32, 0},
    {"f16", QUANT_F16, 1},
    {"q8_0", QUANT_Q8_0, 7},
    {"bf16", QUANT_BF16, 32},
};

static sl_status find_type(const char *name, size_t *index, sl_error *error) {
    for (*index = 0; *index < COUNT_OF(wanted_types); (*index)++) {
        if (strcmp(name, wanted_types[*index].name) == 0) {
            return SL_OK;
        }
    }
    return error_set(error, SL_ERR_ARGUMENT, "no type is named '%s'; known: f32, f16, bf16, q8_0",
                     name);
}

/* Vectors, and the table of positions, stay floats: other programs want them so, and they are
 * small. A type whose blocks do not divide the rows gives way to f16. */
static quant_type type_of(const tensor_entry *t, const quant_type *wanted) {
    if (t->n_dims == 1 || str_is(t->name, "position_embd.weight")) {
        return QUANT_F32;
    }
    if (!wanted) {
        return t->type;
    }
    return t->dims[0] % quant_format_of(*wanted)->block_length == 0 ? *wanted : QUANT_F16;
}

/* ---- opening -------------------------------------------------------------------------------- */

void sl_convert_options_init(sl_convert_options *options) {
    *options = (sl_convert_options){0};
}

/* Number i of the result. */
static const tensor_entry *tensor_at(const sl_conversion *c, size_t i) {
    const size_t own = c->source.tensor_count;
    return i < own ? &c->source.tensors[i] : &c->more.tensors[i - own];
}

static sl_status plan_tensor(sl_conversion *c, size_t i, const quant_type *wanted,
                             sl_error *error) {
    const tensor_entry *t = tensor_at(c, i);
    passing_tensor *p = &c->passing[i];
    *p = (passing_tensor){
        .from = t,
        .rows = t->n_dims == 1 ? (size_t)t->dims[0]
                               : (size_t)(t->bytes / quant_row_bytes(t->type, (size_t)t->dims[0])),
        .n_in = t->n_dims == 1 ? 1 : (size_t)t->dims[0],
    };
    c->to[i] = (gguf_tensor){.name = t->name, .type = type_of(t, wanted), .n_dims = t->n_dims};
    memcpy(c->to[i].dims, t->dims, sizeof t->dims);
    c->longest_row = size_max(c->longest_row, p->n_in);
    const quant_format *from = quant_format_of(t->type), *to = quant_format_of(c->to[i].type);
    if (t->n_dims == 1 && from->block_length != 1) {
        return error_set(error, SL_ERR_UNSUPPORTED, "tensor '%.*s' is a vector of type %s",
                         STR_ARG(t->name), from->name);
    }
    if (t->type != c->to[i].type && !to->encode) {
        return error_set(error, SL_ERR_UNSUPPORTED, "tensor '%.*s' cannot be made %s",
                         STR_ARG(t->name), to->name);
    }
    return gguf_habit_of(&c->source, t, &p->habit, error);
}

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

/* What is said anew, or for the first time. */
static sl_status add_more(sl_conversion *c, const uint32_t *file_type, sl_error *error) {
    enum { QUANTIZATION_VERSION = 2 }; /* of the block formats in use since May 2023 */
    tables more = tables_new("", NULL, 0, error);
    tables_u64(&more, "general.quantization_version", QUANTIZATION_VERSION);
    if (file_type) {
        tables_u64(&more, "general.file_type", *file_type);
    }
    gguf_words_add(&c->source, &more);
    return tables_finish(&more, &c->more);
}

static sl_status allocate(sl_conversion *c, sl_error *error) {
    const size_t threads = c->options.threads ? c->options.threads : os_core_count();
    c->chunk_bytes = size_max(CHUNK, c->longest_row * sizeof(float) * ROWS_TOGETHER);
    const size_t floats = threads * ROWS_TOGETHER * c->longest_row * sizeof *c->floats;
    c->chunk = malloc(c->chunk_bytes);
    c->floats = malloc(floats);
    if (!c->chunk || !c->floats) {
        return error_memory(error, "rows on their way", c->chunk_bytes + floats);
    }
    return team_create(threads, &c->team, error);
}

static sl_status plan(sl_conversion *c, sl_error *error) {
    size_t index = 0;
    const char *type = c->options.type;
    sl_status status = type ? find_type(type, &index, error) : SL_OK;
    status =
        status == SL_OK ? add_more(c, type ? &wanted_types[index].file_type : NULL, error) : status;
    if (status != SL_OK) {
        return status;
    }
    c->n_tensor = c->source.tensor_count + c->more.tensor_count;
    c->to = calloc(size_max(1, c->n_tensor), sizeof *c->to);
    c->passing = calloc(size_max(1, c->n_tensor), sizeof *c->passing);
    if (!c->to || !c->passing) {
        return error_memory(error, "a list of tensors", c->n_tensor * sizeof *c->to);
    }
    for (size_t i = 0; i < c->n_tensor && status == SL_OK; i++) {
        status = plan_tensor(c, i, type ? &wanted_types[index].type : NULL, error);
    }
    status = status == SL_OK ? cut_files(c, error) : status;
    status = status == SL_OK ? write_headers(c, error) : status;
    return status == SL_OK ? allocate(c, error) : status;
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
    sl_status status = model_open(path, &c->mapping, &c->source, error);
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
    free(c->files);
    free(c->passing);
    free(c->to);
    free(c->chunk);
    free(c->floats);
    free(c);
}

size_t sl_conversion_files(const sl_conversion *c) {
    return c->n_file;
}

uint64_t sl_conversion_bytes(const sl_conversion *c, size_t index) {
    return c->files[index].header.count + c->files[index].data_bytes;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* Whether a row of the result is, byte for byte, one of the source. */
static bool is_copied(const passing_tensor *t, quant_type type) {
    return t->from->type == type && t->from->layout == TENSOR_ROWS && !t->habit.plus_one;
}

static void read_transposed(const passing_tensor *t, size_t first, size_t count, float *to) {
    const quant_format *format = quant_format_of(t->from->type);
    for (size_t v = 0; v < t->n_in; v++) {
        for (size_t i = 0; i < count; i++) {
            const size_t row = gguf_habit_source(&t->habit, first + i);
            format->decode(t->from->data + (v * t->rows + row) * format->block_bytes,
                           &to[i * t->n_in + v], 1);
        }
    }
}

static void read_rows(const passing_tensor *t, size_t first, size_t count, float *to) {
    if (t->from->layout == TENSOR_PLANES) {
        make_rows_floats(t->from, first, count, to); /* a checkpoint's rows are in GGUF's order */
    } else if (t->from->layout == TENSOR_TRANSPOSED) {
        read_transposed(t, first, count, to);
    } else {
        const size_t row_bytes = quant_row_bytes(t->from->type, t->n_in);
        for (size_t i = 0; i < count; i++) {
            const size_t row = gguf_habit_source(&t->habit, first + i);
            quant_format_of(t->from->type)
                ->decode(t->from->data + row * row_bytes, to + i * t->n_in, t->n_in);
        }
    }
    for (size_t i = 0; t->habit.plus_one && i < count * t->n_in; i++) {
        to[i] += 1;
    }
}

static void make_some(const rows_job *job, size_t first, size_t count, float *floats) {
    const passing_tensor *t = job->tensor;
    const size_t bytes = quant_row_bytes(job->type, t->n_in);
    uint8_t *to = job->to + first * bytes;
    if (is_copied(t, job->type)) {
        for (size_t i = 0; i < count; i++) {
            const size_t row = gguf_habit_source(&t->habit, job->first + first + i);
            memcpy(to + i * bytes, t->from->data + row * bytes, bytes);
        }
        return;
    }
    if (t->from->layout == TENSOR_PLANES && t->from->type == job->type) {
        make_rows_of_planes(t->from, job->first + first, count, to);
        return;
    }
    read_rows(t, job->first + first, count, floats);
    quant_format_of(job->type)->encode(floats, to, count * t->n_in);
}

static void make_rows_of_job(void *context, size_t member) {
    rows_job *job = context;
    size_t begin, end;
    while (team_take(&job->next, ROWS_TOGETHER, job->count, &begin, &end)) {
        make_some(job, begin, end - begin, job->floats + member * ROWS_TOGETHER * job->longest_row);
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
    if (o->progress && !o->progress(o->user, "converting", c->done, c->all)) {
        return error_set(error, SL_ERR_CANCELLED, "interrupted");
    }
    return SL_OK;
}

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

static sl_status write_tensor(sl_conversion *c, size_t index, sl_write_fn write, void *user,
                              sl_error *error) {
    const passing_tensor *t = &c->passing[index];
    const gguf_tensor *to = &c->to[index];
    const size_t bytes = quant_row_bytes(to->type, t->n_in);
    const size_t step = c->chunk_bytes / bytes;
    sl_status status = SL_OK;
    for (size_t first = 0; first < t->rows && status == SL_OK; first += step) {
        rows_job job = {
            .tensor = t,
            .type = to->type,
            .first = first,
            .count = size_min(step, t->rows - first),
            .to = c->chunk,
            .floats = c->floats,
            .longest_row = c->longest_row,
        };
        team_run(c->team, make_rows_of_job, &job);
        drop_rows(c, t, first, job.count);
        if (os_guard_faulted(c->mapping.bytes)) {
            return error_set(error, SL_ERR_RUNTIME, "the model file was cut short underneath");
        }
        status = give(c, write, user, c->chunk, job.count * bytes, error);
    }
    static const uint8_t zeros[GGUF_ALIGNMENT];
    const size_t padding = (size_t)gguf_padded_bytes(to) - t->rows * bytes;
    return status == SL_OK && padding ? give(c, write, user, zeros, padding, error) : status;
}

sl_status sl_conversion_write(sl_conversion *c, size_t index, sl_write_fn write, void *user,
                              sl_error *error) {
    const output_file *file = &c->files[index];
    sl_status status = give(c, write, user, file->header.items, file->header.count, error);
    for (size_t i = 0; i < file->count && status == SL_OK; i++) {
        status = write_tensor(c, file->first + i, write, user, error);
    }
    sl_error inner;
    if (status == SL_OK && os_mapping_check(&c->mapping, &inner) != SL_OK) {
        return error_set(error, SL_ERR_RUNTIME, "the model file: %s", inner.message);
    }
    return status;
}
