#include "formats/tables.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

tables tables_new(const char *format, const uint8_t *bytes, size_t size, sl_error *error) {
    tables t = {
        .file = {.bytes = bytes, .size = size, .string_length_bytes = sizeof(uint64_t)},
        .meta = array_new(sizeof(meta_entry), LIMIT_METADATA),
        .tensors = array_new(sizeof(tensor_entry), LIMIT_TENSORS),
        .error = error,
    };
    snprintf(t.file.format, sizeof t.file.format, "%s", format);
    return t;
}

void tables_free(tables *t) {
    array_free(&t->meta);
    array_free(&t->tensors);
    model_file_free(&t->file);
}

void tables_fail(tables *t, sl_status status, const char *format, ...) {
    if (t->status != SL_OK) {
        return;
    }
    char text[sizeof t->error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    t->status = error_set(t->error, status, "%s", text);
}

/* ---- words ---------------------------------------------------------------------------------- */

void *tables_room(tables *t, size_t bytes) {
    void *room = t->status == SL_OK ? model_file_room(&t->file, bytes) : NULL;
    if (!room && t->status == SL_OK) {
        t->status = error_memory(t->error, "a model's tables", bytes);
    }
    return room;
}

static str copy_words(tables *t, str words) {
    char *room = tables_room(t, words.len + 1);
    if (!room) {
        return (str){"", 0};
    }
    memcpy(room, words.len ? words.ptr : "", words.len);
    room[words.len] = 0;
    return (str){room, words.len};
}

const char *tables_text(tables *t, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return copy_words(t, str_from(text)).ptr;
}

/* ---- metadata ------------------------------------------------------------------------------- */

/* Takes `data` as it is. */
static void add_meta(tables *t, const char *key, meta_type type, meta_type element, uint64_t count,
                     const void *data, size_t bytes) {
    const meta_entry entry = {
        .key = copy_words(t, str_from(key)),
        .type = type,
        .element_type = element,
        .count = count,
        .data = data,
        .data_bytes = bytes,
    };
    if (t->status == SL_OK) {
        t->status = array_push(&t->meta, &entry, t->error);
    }
}

static void add_numbers(tables *t, const char *key, meta_type type, meta_type element,
                        uint64_t count, const void *values, size_t bytes) {
    void *copy = tables_room(t, bytes + 1);
    if (copy) {
        memcpy(copy, count ? values : "", bytes);
        add_meta(t, key, type, element, count, copy, bytes);
    }
}

void tables_u64(tables *t, const char *key, uint64_t value) {
    if (value <= UINT32_MAX) {
        add_numbers(t, key, META_U32, META_U32, 1, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
    } else {
        add_numbers(t, key, META_U64, META_U64, 1, &value, sizeof value);
    }
}

void tables_float(tables *t, const char *key, float value) {
    add_numbers(t, key, META_F32, META_F32, 1, &value, sizeof value);
}

void tables_bool(tables *t, const char *key, bool value) {
    add_numbers(t, key, META_BOOL, META_BOOL, 1, &(uint8_t){value}, 1);
}

void tables_ints(tables *t, const char *key, const int32_t *values, size_t n) {
    add_numbers(t, key, META_ARRAY, META_I32, n, values, n * sizeof *values);
}

void tables_floats(tables *t, const char *key, const float *values, size_t n) {
    add_numbers(t, key, META_ARRAY, META_F32, n, values, n * sizeof *values);
}

static void add_strings(tables *t, const char *key, meta_type type, const str *values, size_t n) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (!size_add(bytes, sizeof(uint64_t) + values[i].len, &bytes)) {
            tables_fail(t, SL_ERR_MEMORY, "the strings of \"%s\" would not fit any memory", key);
            return;
        }
    }
    uint8_t *const copy = tables_room(t, bytes + 1);
    if (!copy) {
        return;
    }
    uint8_t *at = copy;
    for (size_t i = 0; i < n; i++) {
        const uint64_t length = values[i].len;
        memcpy(at, &length, sizeof length);
        memcpy(at + sizeof length, length ? values[i].ptr : "", values[i].len);
        at += sizeof length + values[i].len;
    }
    add_meta(t, key, type, META_STRING, n, copy, bytes);
}

void tables_string(tables *t, const char *key, str value) {
    add_strings(t, key, META_STRING, &value, 1);
}

void tables_strings(tables *t, const char *key, const str *values, size_t n) {
    add_strings(t, key, META_ARRAY, values, n);
}

/* ---- tensors -------------------------------------------------------------------------------- */

/* Bytes of the tensor's values; false, with the failure set, if it cannot be. */
static bool measure(tables *t, const char *name, quant_type type, size_t n_dims,
                    const uint64_t *dims, size_t *bytes) {
    const quant_format *format = quant_format_of(type);
    if (!format || n_dims < 1 || n_dims > 4) {
        tables_fail(t, SL_ERR_FORMAT, "tensor \"%s\" has %zu dimensions, expected 1 to 4", name,
                    n_dims);
        return false;
    }
    size_t rows = 1;
    for (size_t i = 0; i < n_dims; i++) {
        if (dims[i] == 0 || dims[i] > SIZE_MAX / 2 ||
            (i > 0 && !size_mul(rows, (size_t)dims[i], &rows))) {
            tables_fail(t, SL_ERR_FORMAT, "tensor \"%s\": dimension %zu is %llu", name, i,
                        (unsigned long long)dims[i]);
            return false;
        }
    }
    if (dims[0] % format->block_length != 0) {
        tables_fail(t, SL_ERR_FORMAT,
                    "tensor \"%s\": rows of %llu values, expected a multiple of %zu for %s", name,
                    (unsigned long long)dims[0], format->block_length, format->name);
        return false;
    }
    const size_t blocks = (size_t)dims[0] / format->block_length;
    if (!size_mul(blocks, format->block_bytes, bytes) || !size_mul(*bytes, rows, bytes)) {
        tables_fail(t, SL_ERR_FORMAT, "tensor \"%s\" is larger than any memory", name);
        return false;
    }
    return true;
}

/* `bytes`: in the file; the entry's own are those of its type. */
static tensor_entry *add_tensor(tables *t, const char *name, tensor_entry entry, size_t n_dims,
                                const uint64_t *dims, size_t bytes) {
    const model_file *file = &t->file;
    const uintptr_t offset = (uintptr_t)entry.data - (uintptr_t)file->bytes;
    if (file->bytes && (offset > file->size || bytes > file->size - offset)) {
        tables_fail(t, SL_ERR_FORMAT, "tensor \"%s\": %zu bytes at byte %llu, but the file has %zu",
                    name, bytes, (unsigned long long)offset, file->size);
        return NULL;
    }
    entry.name = copy_words(t, str_from(name));
    entry.n_dims = n_dims;
    entry.offset = file->bytes ? offset : 0;
    for (size_t i = 0; i < 4; i++) {
        entry.dims[i] = i < n_dims ? dims[i] : 1;
    }
    if (t->status == SL_OK) {
        t->status = array_push(&t->tensors, &entry, t->error);
    }
    return t->status == SL_OK ? (tensor_entry *)t->tensors.items + t->tensors.count - 1 : NULL;
}

tensor_entry *tables_tensor(tables *t, const char *name, quant_type type, size_t n_dims,
                            const uint64_t *dims, const uint8_t *data) {
    size_t bytes;
    if (t->status != SL_OK || !measure(t, name, type, n_dims, dims, &bytes)) {
        return NULL;
    }
    const tensor_entry entry = {.type = type, .data = data, .bytes = bytes};
    return add_tensor(t, name, entry, n_dims, dims, bytes);
}

tensor_entry *tables_planes(tables *t, const char *name, size_t n_dims, const uint64_t *dims,
                            uint32_t group, const uint8_t *data) {
    size_t float_bytes, bytes;
    if (t->status != SL_OK || !measure(t, name, QUANT_F32, n_dims, dims, &float_bytes)) {
        return NULL;
    }
    const size_t values = float_bytes / sizeof(float);
    if (group == 0 || values % group != 0) {
        tables_fail(t, SL_ERR_FORMAT, "tensor \"%s\": %zu values, expected a multiple of %u", name,
                    values, group);
        return NULL;
    }
    const size_t block = quant_format_of(QUANT_Q8_0)->block_length;
    const quant_type type = group % block == 0 && dims[0] % block == 0 ? QUANT_Q8_0 : QUANT_F32;
    if (!measure(t, name, type, n_dims, dims, &bytes)) {
        return NULL;
    }
    const tensor_entry entry = {
        .type = type, .layout = TENSOR_PLANES, .group = group, .data = data, .bytes = bytes};
    return add_tensor(t, name, entry, n_dims, dims, values + values / group * sizeof(float));
}

const tensor_entry *tables_find_tensor(const tables *t, const char *name) {
    const tensor_entry *all = t->tensors.items;
    for (size_t i = 0; i < t->tensors.count; i++) {
        if (str_is(all[i].name, name)) {
            return &all[i];
        }
    }
    return NULL;
}

/* ---- the end -------------------------------------------------------------------------------- */

sl_status tables_finish(tables *t, model_file *out) {
    t->file.meta = t->meta.items;
    t->file.meta_count = t->meta.count;
    t->file.tensors = t->tensors.items;
    t->file.tensor_count = t->tensors.count;
    t->meta = array_new(sizeof(meta_entry), 0);
    t->tensors = array_new(sizeof(tensor_entry), 0);
    if (t->status == SL_OK) {
        t->status = model_file_index(&t->file, t->error);
    }
    if (t->status != SL_OK) {
        tables_free(t);
        return t->status;
    }
    *out = t->file;
    t->file = (model_file){0};
    return SL_OK;
}
