/* Any bytes as a file of ggml's first formats, and what is made of it in GGUF's dialect: what is
 * accepted is then read to the last byte. */
#include "models/dialect_legacy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A result that is not used is not computed. */
static volatile uint64_t kept;

static void check_tensor(const model_file *file, const tensor_entry *tensor) {
    if (tensor_find(file, tensor->name) != tensor || tensor->data != file->bytes + tensor->offset ||
        tensor->bytes == 0 || tensor->bytes > file->size - tensor->offset) {
        abort();
    }
    kept += tensor->data[0] + (uint64_t)tensor->data[tensor->bytes - 1];
}

static void read_words(const model_file *file) {
    const meta_entry *tokens = meta_find(file, "tokenizer.ggml.tokens");
    const meta_entry *types = meta_find(file, "tokenizer.ggml.token_type");
    size_t cursor = 0;
    if (!tokens || !types || tokens->count != types->count) {
        abort();
    }
    for (uint64_t i = 0; i < tokens->count; i++) {
        const str text = meta_array_string(file, tokens, &cursor);
        kept += text.len ? (unsigned char)text.ptr[text.len - 1] : 0u;
        kept += (uint64_t)meta_array_int(types, i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    model_file file;
    sl_error error = {0};
    if (dialect_legacy_read(bytes, size, &file, &error) != SL_OK) {
        if (!error.message[0]) {
            abort();
        }
        return 0;
    }
    for (size_t i = 0; i < file.tensor_count; i++) {
        check_tensor(&file, &file.tensors[i]);
    }
    read_words(&file);
    model_file_free(&file);
    return 0;
}
