/* imatrix.c - imatrix.h. Names and values are copied, so that nothing depends on the file. */
#include "formats/imatrix.h"

#include "base/array.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "formats/gguf.h"
#include "os/os.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

typedef struct entry {
    str name;      /* stays first: name_index reads it there; in `names` once all is read */
    size_t values; /* first of them in `values` */
    size_t n;
} entry;

struct imatrix {
    array entries; /* entry */
    array values;  /* float */
    char *names;
    name_index index;
    uint64_t chunks, n_ctx;
    char texts[256];
    size_t texts_length;
};

void imatrix_close(imatrix *m) {
    if (m) {
        array_free(&m->entries);
        array_free(&m->values);
        name_index_free(&m->index);
        free(m->names);
        free(m);
    }
}

static const entry *entry_at(const imatrix *m, size_t index) {
    return (const entry *)m->entries.items + index;
}

/* Other programs write the path; of that the name is kept. */
static void add_text(imatrix *m, str path) {
    const size_t room = sizeof m->texts - 1;
    const str parts[2] = {str_from(m->texts_length ? ", " : ""), str_base_name(path)};
    for (size_t i = 0; i < 2; i++) {
        const size_t n = size_min(parts[i].len, room - m->texts_length);
        if (n > 0) {
            memcpy(m->texts + m->texts_length, parts[i].ptr, n);
        }
        m->texts_length += n;
    }
}

/* Appends an entry of n values, which the caller fills in; NULL after a failure. */
static float *add_entry(imatrix *m, str name, size_t n, sl_error *error) {
    const entry e = {name, m->values.count, n};
    if (array_reserve(&m->values, n, error) != SL_OK ||
        array_push(&m->entries, &e, error) != SL_OK) {
        return NULL;
    }
    m->values.count += n;
    return (float *)m->values.items + e.values;
}

static sl_status check_sum(str name, float value, size_t column, sl_error *error) {
    if (!(value >= 0) || isinf(value)) {
        return error_set(error, SL_ERR_FORMAT,
                         "\"%.*s\": column %zu: expected a sum of squares, found %g", STR_ARG(name),
                         column, (double)value);
    }
    return SL_OK;
}

/* ---- GGUF ----------------------------------------------------------------------------------- */

static const char sums_end[] = ".in_sum2", counts_end[] = ".counts";

static float float_at(const tensor_entry *t, size_t index) {
    return bytes_f32(t->data + index * sizeof(float));
}

/* Tensors of other names may be added by later writers. */
static sl_status check_tensor(const tensor_entry *t, sl_error *error) {
    if (t->type != QUANT_F32) {
        return error_set(error, SL_ERR_FORMAT, "tensor \"%.*s\": expected F32, found %s",
                         STR_ARG(t->name), quant_format_of(t->type)->name);
    }
    return SL_OK;
}

/* The tensor that belongs to `t` and ends otherwise. */
static sl_status find_other(const model_file *file, const tensor_entry *t, const char *end,
                            const char *other_end, const tensor_entry **other, sl_error *error) {
    char name[LIMIT_TENSOR_NAME_BYTES + sizeof sums_end];
    const size_t stem = t->name.len - strlen(end);
    memcpy(name, t->name.ptr, stem);
    memcpy(name + stem, other_end, strlen(other_end));
    *other = tensor_find(file, (str){name, stem + strlen(other_end)});
    if (!*other) {
        return error_set(error, SL_ERR_FORMAT, "tensor \"%.*s\" has no \"%.*s%s\" beside it",
                         STR_ARG(t->name), (int)stem, t->name.ptr, other_end);
    }
    return check_tensor(*other, error);
}

static bool is_count(float value) {
    return value >= 0 && value < 0x1p53F && (float)(uint64_t)value == value;
}

static sl_status check_counts(const tensor_entry *counts, size_t n, bool *any, sl_error *error) {
    *any = false;
    for (size_t i = 0; i < n; i++) {
        const float count = float_at(counts, i);
        if (!is_count(count)) {
            return error_set(error, SL_ERR_FORMAT,
                             "tensor \"%.*s\": expected a count of rows, found %g",
                             STR_ARG(counts->name), (double)count);
        }
        *any |= count > 0;
    }
    return SL_OK;
}

static sl_status read_sums(imatrix *m, const tensor_entry *sums, const tensor_entry *counts,
                           sl_error *error) {
    const size_t n = sums->bytes / sizeof(float), n_count = counts->bytes / sizeof(float);
    const str name = {sums->name.ptr, sums->name.len - strlen(sums_end)};
    if (name.len == 0 || n % n_count != 0) {
        return error_set(error, SL_ERR_FORMAT,
                         "tensor \"%.*s\" has %zu values, expected a multiple of the %zu of its "
                         "counts",
                         STR_ARG(sums->name), n, n_count);
    }
    bool any;
    sl_status status = check_counts(counts, n_count, &any, error);
    if (status != SL_OK || !any) {
        return status;
    }
    float *to = add_entry(m, name, n, error);
    if (!to) {
        return SL_ERR_MEMORY;
    }
    const size_t n_in = n / n_count;
    for (size_t i = 0; i < n && status == SL_OK; i++) {
        const float sum = float_at(sums, i), count = float_at(counts, i / n_in);
        status = check_sum(name, sum, i, error);
        to[i] = count > 0 ? sum / count : 1;
    }
    return status;
}

static sl_status read_texts(imatrix *m, const model_file *file, sl_error *error) {
    const meta_entry *texts;
    sl_status status =
        meta_get_u64(file, "imatrix.chunk_count", false, 0, UINT64_MAX, &m->chunks, error);
    if (status == SL_OK) {
        status = meta_get_u64(file, "imatrix.chunk_size", false, 0, UINT64_MAX, &m->n_ctx, error);
    }
    if (status == SL_OK) {
        status = meta_get_array(file, "imatrix.datasets", false, META_STRING, &texts, error);
    }
    size_t cursor = 0;
    for (uint64_t i = 0; status == SL_OK && texts && i < texts->count; i++) {
        add_text(m, meta_array_string(file, texts, &cursor));
    }
    return status;
}

static sl_status read_tables(imatrix *m, const model_file *file, sl_error *error) {
    str type = {0};
    sl_status status = meta_get_string(file, "general.type", false, &type, error);
    if (status == SL_OK && !str_is(type, "imatrix")) {
        status = error_set(error, SL_ERR_FORMAT,
                           "not an importance matrix: expected general.type \"imatrix\", found "
                           "\"%.*s\"",
                           STR_ARG(type));
    }
    status = status == SL_OK ? read_texts(m, file, error) : status;
    for (size_t i = 0; i < file->tensor_count && status == SL_OK; i++) {
        const tensor_entry *t = &file->tensors[i], *other;
        const bool sums = str_ends_with(t->name, sums_end);
        if (sums || str_ends_with(t->name, counts_end)) {
            status = check_tensor(t, error);
            if (status == SL_OK) {
                status = find_other(file, t, sums ? sums_end : counts_end,
                                    sums ? counts_end : sums_end, &other, error);
            }
            status = status == SL_OK && sums ? read_sums(m, t, other, error) : status;
        }
    }
    return status;
}

/* ---- .dat ----------------------------------------------------------------------------------- */

typedef struct reader {
    const uint8_t *bytes;
    size_t size, at; /* at <= size */
    sl_error *error;
} reader;

static sl_status read_i32(reader *r, const char *what, int64_t low, int64_t high, size_t *out) {
    int32_t value;
    if (r->size - r->at < sizeof value) {
        return error_set(r->error, SL_ERR_FORMAT,
                         "byte %zu: truncated: expected %s, found the end of the file", r->at,
                         what);
    }
    memcpy(&value, r->bytes + r->at, sizeof value);
    if (value < low || value > high) {
        return error_set(r->error, SL_ERR_FORMAT,
                         "byte %zu: expected %s of %" PRId64 " to %" PRId64 ", found %" PRId32,
                         r->at, what, low, high, value);
    }
    r->at += sizeof value;
    *out = (size_t)value;
    return SL_OK;
}

static sl_status read_bytes(reader *r, const char *what, size_t size, const uint8_t **out) {
    if (size > r->size - r->at) {
        return error_set(r->error, SL_ERR_FORMAT,
                         "byte %zu: truncated: expected %s of %zu bytes, found the end of the file "
                         "after %zu",
                         r->at, what, size, r->size - r->at);
    }
    *out = r->bytes + r->at;
    r->at += size;
    return SL_OK;
}

static sl_status read_string(reader *r, const char *what, int64_t low, int64_t high, str *out) {
    size_t length = 0;
    const uint8_t *bytes = NULL;
    sl_status status = read_i32(r, what, low, high, &length);
    status = status == SL_OK ? read_bytes(r, what, length, &bytes) : status;
    *out = (str){(const char *)bytes, status == SL_OK ? length : 0};
    return status;
}

static sl_status read_entry(imatrix *m, reader *r) {
    str name;
    size_t calls = 0, n = 0;
    const uint8_t *values = NULL;
    sl_status status = read_string(r, "a tensor's name", 1, LIMIT_TENSOR_NAME_BYTES, &name);
    status = status == SL_OK ? read_i32(r, "a number of calls", 0, INT32_MAX, &calls) : status;
    status = status == SL_OK ? read_i32(r, "a number of values", 1, INT32_MAX, &n) : status;
    status = status == SL_OK ? read_bytes(r, "values", n * sizeof(float), &values) : status;
    if (status != SL_OK) {
        return status;
    }
    float *to = add_entry(m, name, n, r->error);
    if (!to) {
        return SL_ERR_MEMORY;
    }
    memcpy(to, values, n * sizeof *to);
    for (size_t i = 0; i < n && status == SL_OK; i++) {
        status = check_sum(name, to[i], i, r->error);
        to[i] /= calls > 0 ? (float)calls : 1;
    }
    return status;
}

static sl_status read_dat(imatrix *m, const uint8_t *bytes, size_t size, sl_error *error) {
    enum { ENTRY_BYTES_LEAST = 17 };
    reader r = {.bytes = bytes, .size = size, .error = error};
    size_t n = 0, chunks = 0;
    int32_t first = 0;
    if (size >= sizeof first) {
        memcpy(&first, bytes, sizeof first);
    }
    if (first < 1 || (size_t)first > size / ENTRY_BYTES_LEAST) {
        return error_set(error, SL_ERR_FORMAT,
                         "not an importance matrix: expected \"GGUF\" or a number of entries, "
                         "found %" PRId32 " in %zu bytes",
                         first, size);
    }
    sl_status status = read_i32(&r, "a number of entries", 1, LIMIT_TENSORS, &n);
    for (size_t i = 0; i < n && status == SL_OK; i++) {
        status = read_entry(m, &r);
    }
    if (status == SL_OK && r.at < size) {
        status = read_i32(&r, "a number of chunks", 0, INT32_MAX, &chunks);
        m->chunks = chunks;
    }
    if (status == SL_OK && r.at < size) {
        str text = {0};
        status = read_string(&r, "a text's name", 0, INT32_MAX, &text);
        if (status == SL_OK) {
            add_text(m, text);
        }
    }
    if (status == SL_OK && r.at < size) {
        status = error_set(error, SL_ERR_FORMAT, "byte %zu: expected the end of the file", r.at);
    }
    return status;
}

/* ---- either --------------------------------------------------------------------------------- */

/* Copies the names out of the bytes, and indexes them. */
static sl_status keep_names(imatrix *m, sl_error *error) {
    size_t bytes = 0, first, twice;
    for (size_t i = 0; i < m->entries.count; i++) {
        bytes += entry_at(m, i)->name.len; /* at most the file's */
    }
    m->names = malloc(bytes);
    if (!m->names) {
        return error_memory(error, "names of tensors", bytes);
    }
    char *to = m->names;
    for (size_t i = 0; i < m->entries.count; i++) {
        str *name = &((entry *)m->entries.items)[i].name;
        memcpy(to, name->ptr, name->len);
        name->ptr = to;
        to += name->len;
    }
    const sl_status status = name_index_build(&m->index, m->entries.items, sizeof(entry),
                                              m->entries.count, &first, &twice, error);
    if (status == SL_OK && twice != NAME_INDEX_NONE) {
        return error_set(error, SL_ERR_FORMAT, "\"%.*s\" is there twice, as entry %zu and %zu",
                         STR_ARG(entry_at(m, twice)->name), first, twice);
    }
    return status;
}

sl_status imatrix_parse(const uint8_t *bytes, size_t size, imatrix **m, sl_error *error) {
    imatrix *made = calloc(1, sizeof *made);
    if (!made) {
        return error_memory(error, "an importance matrix", sizeof *made);
    }
    made->entries = array_new(sizeof(entry), LIMIT_TENSORS);
    made->values = array_new(sizeof(float), size / sizeof(float));
    sl_status status;
    if (gguf_detect(bytes, size)) {
        model_file file = {0};
        status = gguf_parse(bytes, size, &file, error);
        status = status == SL_OK ? read_tables(made, &file, error) : status;
        model_file_free(&file);
    } else {
        status = read_dat(made, bytes, size, error);
    }
    if (status == SL_OK && made->entries.count == 0) {
        status = error_set(error, SL_ERR_FORMAT, "the importance matrix has no entries");
    }
    status = status == SL_OK ? keep_names(made, error) : status;
    if (status != SL_OK) {
        imatrix_close(made);
        return status;
    }
    *m = made;
    return SL_OK;
}

sl_status imatrix_open(const char *path, imatrix **m, sl_error *error) {
    os_mapping mapping = {0};
    sl_status status = os_map(path, &mapping, error);
    if (status != SL_OK) {
        return status;
    }
    sl_error inner = {0};
    imatrix *made = NULL;
    status = imatrix_parse(mapping.bytes, mapping.size, &made, &inner);
    if (status == SL_OK && os_guard_faulted(mapping.bytes)) {
        imatrix_close(made);
        status = error_set(&inner, SL_ERR_FILE, "the file was cut short while it was read");
    }
    os_unmap(&mapping);
    if (status != SL_OK) {
        return error_set(error, status, "%s: %s", path, inner.message);
    }
    *m = made;
    return SL_OK;
}

const float *imatrix_find(const imatrix *m, str tensor_name, size_t n_in) {
    const size_t at = name_index_find(&m->index, m->entries.items, sizeof(entry), tensor_name);
    if (at == NAME_INDEX_NONE || entry_at(m, at)->n != n_in) {
        return NULL;
    }
    return (const float *)m->values.items + entry_at(m, at)->values;
}

void imatrix_get_info(const imatrix *m, imatrix_info *info) {
    *info = (imatrix_info){m->entries.count, m->chunks, m->n_ctx, m->texts};
}

str imatrix_entry(const imatrix *m, size_t index, size_t *n_values) {
    *n_values = entry_at(m, index)->n;
    return entry_at(m, index)->name;
}
