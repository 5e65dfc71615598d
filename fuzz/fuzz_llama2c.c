/* Any bytes as a checkpoint of llama2.c and as its tokenizer: what is accepted is put into rows,
 * and read to the last byte. */
#include "engine/make_rows.h"
#include "formats/llama2c.h"
#include "models/dialect_llama2c.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_bin.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A result that is not used is not computed. */
static volatile uint64_t kept;

static void read_tensor(const model_file *file, const tensor_entry *t) {
    if (t->data < file->bytes || make_rows_source_bytes(t) > file->size - t->offset) {
        abort();
    }
    if (t->layout != TENSOR_PLANES) {
        kept += t->data[0] + (uint64_t)t->data[t->bytes - 1];
        return;
    }
    uint8_t *rows = malloc(t->bytes);
    if (rows) {
        make_rows_of_planes(t, 0, (size_t)(t->dims[1] * t->dims[2] * t->dims[3]), rows);
        kept += rows[t->bytes - 1];
    }
    free(rows);
}

static void read_model(const uint8_t *bytes, size_t size) {
    model_file file;
    sl_error error = {0};
    const sl_status status = dialect_llama2c_read(bytes, size, &file, &error);
    if (status != SL_OK) {
        if (!error.message[0]) {
            abort();
        }
        return;
    }
    for (size_t i = 0; i < file.tensor_count; i++) {
        read_tensor(&file, &file.tensors[i]);
    }
    model_file_free(&file);
}

static void read_words(const uint8_t *bytes, size_t size) {
    model_file file;
    sl_error error = {0};
    tables t = tables_new("tokenizer", NULL, 0, &error);
    tokenizer_bin_add(&t, bytes, size);
    const sl_status status = tables_finish(&t, &file);
    if ((status == SL_OK) != tokenizer_bin_detect(bytes, size)) {
        abort();
    }
    tokenizer *made;
    if (status == SL_OK) {
        if (tokenizer_create(&file, &made, &error) == SL_OK) {
            kept += tokenizer_count(made);
            tokenizer_free(made);
        }
        model_file_free(&file);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    read_model(bytes, size);
    read_words(bytes, size);
    return 0;
}
