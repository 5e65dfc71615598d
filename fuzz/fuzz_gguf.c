/* Any bytes as a GGUF file: what is accepted is then read to the last byte. */
#include "formats/gguf.h"

#include "base/size.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A result that is not used is not computed. */
static volatile uint64_t kept;

static uint64_t read_value(const model_file *file, const meta_entry *entry) {
    uint64_t sum = 0;
    size_t cursor = 0;
    for (uint64_t i = 0; i < entry->count; i++) {
        if (entry->element_type == META_STRING) {
            const str text = meta_array_string(file, entry, &cursor);
            for (size_t c = 0; c < text.len; c++) {
                sum += (unsigned char)text.ptr[c];
            }
        } else if (entry->element_type == META_F32 || entry->element_type == META_F64) {
            sum += isnan(meta_array_float(entry, i)) != 0;
        } else {
            sum += (uint64_t)meta_array_int(entry, i);
        }
    }
    if (entry->element_type == META_STRING && cursor != entry->data_bytes) {
        abort();
    }
    return sum;
}

/* Each getter, whatever the type is; a failure must leave one line. */
static void try_getters(const model_file *file, const meta_entry *entry) {
    char *key = malloc(entry->key.len + 1);
    if (!key) {
        return;
    }
    memcpy(key, entry->key.ptr, entry->key.len);
    key[entry->key.len] = 0;
    /* A key with a NUL inside is another key, or none, to those who ask by C strings. */
    if (strlen(key) == entry->key.len && meta_find(file, key) != entry) {
        abort();
    }
    uint64_t numbers[8];
    float real;
    bool flag;
    str text;
    const meta_entry *array;
    sl_error error;
    const sl_status statuses[] = {
        meta_get_u64(file, key, false, 1, 1000, numbers, &error),
        meta_get_u64_layers(file, key, false, 0, UINT64_MAX, numbers, COUNT_OF(numbers), &error),
        meta_get_float(file, key, false, -1, 1, &real, &error),
        meta_get_bool(file, key, false, &flag, &error),
        meta_get_string(file, key, false, &text, &error),
        meta_get_array(file, key, false, META_F32, &array, &error),
        meta_get_array(file, key, false, META_I32, &array, &error),
        meta_get_array(file, key, false, META_STRING, &array, &error),
    };
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        kept += (uint64_t)statuses[i];
    }
    free(key);
}

static void check_tensor(const model_file *file, const tensor_entry *tensor) {
    if (tensor_find(file, tensor->name) != tensor || tensor->data != file->bytes + tensor->offset ||
        tensor->bytes == 0 || tensor->bytes > file->size - tensor->offset) {
        abort();
    }
    kept += tensor->data[0] + (uint64_t)tensor->data[tensor->bytes - 1];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    model_file file;
    sl_error error = {0};
    if (gguf_parse(bytes, size, &file, &error) != SL_OK) {
        if (!error.message[0]) {
            abort();
        }
        return 0;
    }
    for (size_t i = 0; i < file.meta_count; i++) {
        kept += read_value(&file, &file.meta[i]);
        try_getters(&file, &file.meta[i]);
    }
    for (size_t i = 0; i < file.tensor_count; i++) {
        check_tensor(&file, &file.tensors[i]);
    }
    model_file_free(&file);
    return 0;
}
