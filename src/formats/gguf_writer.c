#include "formats/gguf_writer.h"

#include "base/size.h"

#include <stdio.h>

/* With an error that sticks. */
typedef struct writer {
    array *out;
    sl_status status;
    sl_error *error;
} writer;

static void put(writer *w, const void *bytes, size_t size) {
    if (w->status == SL_OK) {
        w->status = array_reserve(w->out, size, w->error);
    }
    if (w->status == SL_OK && size > 0) {
        memcpy((uint8_t *)w->out->items + w->out->count, bytes, size);
        w->out->count += size;
    }
}

static void put_u32(writer *w, uint32_t value) {
    put(w, &value, sizeof value);
}

static void put_u64(writer *w, uint64_t value) {
    put(w, &value, sizeof value);
}

static void put_string(writer *w, str text) {
    put_u64(w, text.len);
    put(w, text.ptr, text.len);
}

/* ---- metadata ------------------------------------------------------------------------------- */

/* `more` has what is said anew; NULL: nothing. */
static bool is_kept(const meta_entry *entry, const model_file *more) {
    for (size_t i = 0; more && i < more->meta_count; i++) {
        if (str_equal(entry->key, more->meta[i].key)) {
            return false;
        }
    }
    return !str_is(entry->key, "general.alignment") && !str_begins_with(entry->key, "sluice.") &&
           !str_begins_with(entry->key, "split.");
}

/* Strings have lengths of 64 bits, whatever the source's have. */
static void put_value(writer *w, const model_file *file, const meta_entry *entry) {
    if (entry->element_type != META_STRING) {
        put(w, entry->data, entry->data_bytes);
        return;
    }
    size_t cursor = 0;
    for (uint64_t i = 0; i < entry->count; i++) {
        put_string(w, meta_array_string(file, entry, &cursor));
    }
}

static void put_entry(writer *w, const model_file *file, const meta_entry *entry) {
    put_string(w, entry->key);
    put_u32(w, entry->type);
    if (entry->type == META_ARRAY) {
        put_u32(w, entry->element_type);
        put_u64(w, entry->count);
    }
    put_value(w, file, entry);
}

static void put_number(writer *w, const char *key, meta_type type, const void *value) {
    put_string(w, str_from(key));
    put_u32(w, type);
    put(w, value, meta_type_bytes(type));
}

/* The types are those that the usual readers insist on. */
static void put_split(writer *w, const gguf_split *split) {
    put_number(w, "split.no", META_U16, &split->number);
    put_number(w, "split.count", META_U16, &split->count);
    put_number(w, "split.tensors.count", META_I32, &(int32_t){(int32_t)split->n_tensor});
}

/* Puts a file's metadata, or without a writer only counts it. */
static uint64_t put_kept(writer *w, const model_file *file, const model_file *more) {
    uint64_t count = 0;
    for (size_t i = 0; i < file->meta_count; i++) {
        if (is_kept(&file->meta[i], more)) {
            count++;
            if (w) {
                put_entry(w, file, &file->meta[i]);
            }
        }
    }
    return count;
}

/* ---- the header ----------------------------------------------------------------------------- */

uint64_t gguf_padded_bytes(const gguf_tensor *tensor) {
    const uint64_t rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    return size_round_up(quant_row_bytes(tensor->type, (size_t)tensor->dims[0]) * (size_t)rows,
                         GGUF_ALIGNMENT);
}

static void put_tensors(writer *w, const gguf_tensor *tensors, size_t n) {
    uint64_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        put_string(w, tensors[i].name);
        put_u32(w, (uint32_t)tensors[i].n_dims);
        put(w, tensors[i].dims, tensors[i].n_dims * sizeof *tensors[i].dims);
        put_u32(w, tensors[i].type);
        put_u64(w, offset);
        offset += gguf_padded_bytes(&tensors[i]);
    }
}

sl_status gguf_write_header(const model_file *file, const model_file *more, const gguf_split *split,
                            const gguf_tensor *tensors, size_t n, array *out, sl_error *error) {
    static const uint8_t zeros[GGUF_ALIGNMENT];
    enum { VERSION = 3, SPLIT_KEYS = 3 };
    writer w = {.out = out, .error = error};
    const size_t start = out->count;
    const bool whole = !split || split->number == 0;
    const uint64_t n_meta = whole ? put_kept(NULL, file, more) + put_kept(NULL, more, NULL) : 0;
    put(&w, "GGUF", 4);
    put_u32(&w, VERSION);
    put_u64(&w, n);
    put_u64(&w, n_meta + (split ? SPLIT_KEYS : 0));
    if (whole) {
        put_kept(&w, file, more);
        put_kept(&w, more, NULL);
    }
    if (split) {
        put_split(&w, split);
    }
    put_tensors(&w, tensors, n);
    put(&w, zeros, (GGUF_ALIGNMENT - (out->count - start) % GGUF_ALIGNMENT) % GGUF_ALIGNMENT);
    return w.status;
}
