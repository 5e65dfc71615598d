#include "engine/tokenizer_files.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "os/os.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/tokenizer_bin.h"
#include "tokenizer/tokenizer_json.h"

#include <stdlib.h>

/* Readers of tokenizers' files. The first that knows the bytes reads them. */
static const struct {
    bool (*detect)(const uint8_t *bytes, size_t size);
    void (*add)(tables *t, const uint8_t *bytes, size_t size);
} readers[] = {
    {tokenizer_json_detect, tokenizer_json_add},
    {sentencepiece_detect, sentencepiece_add},
    {tokenizer_bin_detect, tokenizer_bin_add},
};

static void add_bytes(const uint8_t *bytes, size_t size, tables *t) {
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        if (readers[i].detect(bytes, size)) {
            readers[i].add(t, bytes, size);
            return;
        }
    }
    tables_fail(t, SL_ERR_FORMAT,
                "is no tokenizer's file that is known; expected a tokenizer.json, a "
                "tokenizer.model of SentencePiece or a tokenizer.bin of llama2.c");
}

void model_attach_tokenizer(const char *path, tables *t) {
    if (t->status != SL_OK) {
        return;
    }
    uint8_t *bytes;
    size_t size;
    sl_error error;
    const sl_status status = os_read_file(path, LIMIT_TOKENIZER_BYTES, &bytes, &size, &error);
    if (status != SL_OK) {
        tables_fail(t, status, "%s", error.message);
        return;
    }
    add_bytes(bytes, size, t);
    free(bytes);
    if (t->status != SL_OK && t->error) {
        error = *t->error;
        error_set(t->error, t->status, "%s: %s", path, error.message);
    }
}

static sl_status from_file(const char *path, tokenizer **out, sl_error *error) {
    tables t = tables_new("tokenizer", NULL, 0, error);
    model_attach_tokenizer(path, &t);
    model_file words;
    sl_status status = tables_finish(&t, &words);
    if (status != SL_OK) {
        return status;
    }
    sl_error inner;
    status = tokenizer_create(&words, out, &inner);
    model_file_free(&words);
    return status == SL_OK ? SL_OK : error_set(error, status, "%s: %s", path, inner.message);
}

/* The path of `name` in the folder of `beside`, from malloc; NULL if memory is out. */
static char *path_beside(const char *beside, const char *name) {
    const char *slash = strrchr(beside, '/');
    const size_t folder = slash ? (size_t)(slash - beside) + 1 : 0;
    const size_t length = strlen(name);
    char *path = malloc(folder + length + 1);
    if (path) {
        memcpy(path, beside, folder);
        memcpy(path + folder, name, length + 1);
    }
    return path;
}

sl_status model_tokenizer(const char *named, const char *model_path, const model_file *file,
                          tokenizer **out, sl_error *error) {
    *out = NULL;
    if (named) {
        return from_file(named, out, error);
    }
    /* A GGUF, whose words are all its own, has a tokenizer or is refused. */
    if (meta_find(file, "tokenizer.ggml.model") || !file->words) {
        sl_error inner;
        const sl_status status = tokenizer_create(file, out, &inner);
        return status == SL_OK ? SL_OK
                               : error_set(error, status, "%s: %s", model_path, inner.message);
    }
    char *path = path_beside(model_path, "tokenizer.bin");
    if (!path) {
        return error_memory(error, "a path", strlen(model_path));
    }
    const sl_status status = os_exists(path) ? from_file(path, out, error) : SL_OK;
    free(path);
    return status;
}
