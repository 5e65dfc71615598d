#include "formats/imatrix_writer.h"

#include "base/error.h"
#include "base/size.h"
#include "formats/gguf_writer.h"
#include "formats/tables.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* With an error that sticks. */
typedef struct writer {
    sl_write_fn write;
    void *user;
    sl_status status;
    sl_error *error;
} writer;

static void put(writer *w, const void *bytes, size_t size) {
    if (w->status == SL_OK && size > 0 && !w->write(w->user, bytes, size)) {
        w->status = error_set(w->error, SL_ERR_CANCELLED, "writing failed");
    }
}

static void put_i32(writer *w, uint64_t value) {
    const uint32_t narrow = value < INT32_MAX ? (uint32_t)value : INT32_MAX;
    put(w, &narrow, sizeof narrow);
}

static void put_string(writer *w, str text) {
    put_i32(w, text.len);
    put(w, text.ptr, text.len);
}

/* The sums times a factor. */
static void put_sums(writer *w, const imatrix_sums *e, double factor) {
    float some[256];
    for (size_t begin = 0; begin < e->n; begin += COUNT_OF(some)) {
        const size_t n = size_min(e->n - begin, COUNT_OF(some));
        for (size_t i = 0; i < n; i++) {
            some[i] = (float)(e->sums[begin + i] * factor);
        }
        put(w, some, n * sizeof *some);
    }
}

static sl_status check(const imatrix_sums *entries, size_t n, sl_error *error) {
    if (n == 0) {
        return error_set(error, SL_ERR_ARGUMENT, "no matrix has met a token: nothing to write");
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < entries[i].n; k++) {
            if (!(entries[i].sums[k] <= (double)FLT_MAX)) {
                return error_set(error, SL_ERR_RUNTIME,
                                 "tensor \"%.*s\": the inputs of column %zu are not finite",
                                 STR_ARG(entries[i].name), k);
            }
        }
    }
    return SL_OK;
}

/* ---- .dat ----------------------------------------------------------------------------------- */

static void write_dat(writer *w, const imatrix_sums *entries, size_t n,
                      const sl_importance_file *file) {
    put_i32(w, n);
    for (size_t i = 0; i < n; i++) {
        const imatrix_sums *e = &entries[i];
        const uint64_t calls = (e->count + file->n_ctx - 1) / file->n_ctx;
        put_string(w, e->name);
        put_i32(w, calls);
        put_i32(w, e->n);
        put_sums(w, e, (double)calls / (double)e->count);
    }
    put_i32(w, file->chunks);
    put_string(w, str_base_name(str_from(file->text ? file->text : "")));
}

/* ---- GGUF ----------------------------------------------------------------------------------- */

static void put_padding(writer *w, size_t size) {
    static const uint8_t zeros[GGUF_ALIGNMENT];
    put(w, zeros, (GGUF_ALIGNMENT - size % GGUF_ALIGNMENT) % GGUF_ALIGNMENT);
}

static void write_data(writer *w, const imatrix_sums *entries, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float count = (float)entries[i].count;
        put_sums(w, &entries[i], 1);
        put_padding(w, entries[i].n * sizeof(float));
        put(w, &count, sizeof count);
        put_padding(w, sizeof count);
    }
}

static gguf_tensor tensor_of(tables *words, str name, const char *end, size_t n) {
    const char *text = tables_text(words, "%.*s%s", STR_ARG(name), end);
    return (gguf_tensor){str_from(text), QUANT_F32, 1, {n, 1, 1, 1}};
}

/* The metadata, and memory for the tensors' names. */
static sl_status make_tables(const imatrix_sums *entries, size_t n, const sl_importance_file *file,
                             gguf_tensor *tensors, model_file *out, sl_error *error) {
    tables t = tables_new("", NULL, 0, error);
    const str text = str_base_name(str_from(file->text ? file->text : ""));
    tables_string(&t, "general.type", str_from("imatrix"));
    tables_strings(&t, "imatrix.datasets", &text, file->text ? 1 : 0);
    tables_u64(&t, "imatrix.chunk_count", file->chunks);
    tables_u64(&t, "imatrix.chunk_size", file->n_ctx);
    for (size_t i = 0; i < n; i++) {
        tensors[2 * i] = tensor_of(&t, entries[i].name, ".in_sum2", entries[i].n);
        tensors[2 * i + 1] = tensor_of(&t, entries[i].name, ".counts", 1);
    }
    return tables_finish(&t, out);
}

static void write_gguf(writer *w, const imatrix_sums *entries, size_t n,
                       const sl_importance_file *file) {
    enum { HEADER_MOST = 1 << 30 };
    gguf_tensor *tensors = calloc(2 * n, sizeof *tensors);
    model_file meta = {0};
    const model_file more = {0};
    array header = array_new(1, HEADER_MOST);
    w->status = tensors ? make_tables(entries, n, file, tensors, &meta, w->error)
                        : error_memory(w->error, "a list of tensors", 2 * n * sizeof *tensors);
    if (w->status == SL_OK) {
        w->status = gguf_write_header(&meta, &more, NULL, tensors, 2 * n, &header, w->error);
    }
    put(w, header.items, header.count);
    write_data(w, entries, n);
    array_free(&header);
    model_file_free(&meta);
    free(tensors);
}

sl_status imatrix_write(const imatrix_sums *entries, size_t n, const sl_importance_file *file,
                        sl_write_fn write, void *user, sl_error *error) {
    writer w = {.write = write, .user = user, .status = check(entries, n, error), .error = error};
    if (w.status == SL_OK && file->dat) {
        write_dat(&w, entries, n, file);
    } else if (w.status == SL_OK) {
        write_gguf(&w, entries, n, file);
    }
    return w.status;
}
