#include "formats/gguf_split.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "formats/gguf.h"

#include <stdio.h>
#include <stdlib.h>

enum { SUFFIX = sizeof "-00001-of-00003.gguf" - 1 };

sl_status gguf_split_count(const model_file *file, size_t *count, sl_error *error) {
    uint64_t number = 0, files = 1;
    sl_status status =
        meta_get_u64(file, "split.count", false, 0, LIMIT_MODEL_FILES, &files, error);
    if (status == SL_OK && files > 1) {
        status = meta_get_u64(file, "split.no", true, 0, files - 1, &number, error);
    }
    *count = files > 1 ? (size_t)files : 1;
    return status;
}

bool gguf_split_name(const char *path, size_t number, size_t count, char *out) {
    const size_t length = strlen(path);
    if (length < SUFFIX) {
        return false;
    }
    const char *end = path + length - SUFFIX;
    char expected[40];
    snprintf(expected, sizeof expected, "-of-%05zu.gguf", count);
    for (size_t i = 1; i <= 5; i++) {
        if (end[i] < '0' || end[i] > '9') {
            return false;
        }
    }
    if (end[0] != '-' || strcmp(end + 6, expected) != 0) {
        return false;
    }
    memcpy(out, path, length + 1);
    char *digit = out + length - SUFFIX + 5;
    for (size_t i = 0; i < 5; i++) {
        *digit-- = (char)('0' + number % 10);
        number /= 10;
    }
    return true;
}

/* Parses one file and moves its tensors to where they are in all bytes. */
static sl_status parse_shard(const uint8_t *bytes, const gguf_shard *shard, size_t number,
                             size_t count, model_file *file, sl_error *error) {
    sl_error inner;
    sl_status status = gguf_parse(bytes + shard->start, shard->size, file, &inner);
    if (status == SL_OK) {
        uint64_t found = 0;
        size_t files = 0;
        status = gguf_split_count(file, &files, &inner);
        status = status == SL_OK
                     ? meta_get_u64(file, "split.no", true, number, number, &found, &inner)
                     : status;
        if (status == SL_OK && files != count) {
            status =
                error_set(&inner, SL_ERR_FORMAT,
                          "metadata \"split.count\": expected %zu, as in the others, found %zu",
                          count, files);
        }
        if (status != SL_OK) {
            model_file_free(file);
        }
    }
    if (status != SL_OK) {
        return error_set(error, status, "file %zu of %zu: %s", number + 1, count, inner.message);
    }
    for (size_t i = 0; i < file->tensor_count; i++) {
        file->tensors[i].offset += shard->start;
    }
    return SL_OK;
}

/* Moves all tensors into the first file's table. */
static sl_status join(model_file *files, size_t count, sl_error *error) {
    size_t all = 0;
    for (size_t i = 0; i < count; i++) {
        all += files[i].tensor_count;
    }
    uint64_t expected = all;
    sl_status status =
        meta_get_u64(&files[0], "split.tensors.count", false, 0, UINT64_MAX, &expected, error);
    if (status != SL_OK) {
        return status;
    }
    if (expected != all || all > LIMIT_TENSORS) {
        return error_set(error, SL_ERR_FORMAT,
                         "metadata \"split.tensors.count\" is %llu, but the %zu files have %zu "
                         "tensors",
                         (unsigned long long)expected, count, all);
    }
    tensor_entry *tensors = calloc(all + 1, sizeof *tensors);
    if (!tensors) {
        return error_memory(error, "the table of tensors", all * sizeof *tensors);
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < files[i].tensor_count; k++) {
            tensors[at++] = files[i].tensors[k];
        }
    }
    free(files[0].tensors);
    files[0].tensors = tensors;
    files[0].tensor_count = all;
    name_index_free(&files[0].meta_index);
    name_index_free(&files[0].tensor_index);
    return model_file_index(&files[0], error);
}

sl_status gguf_split_parse(const uint8_t *bytes, size_t size, const gguf_shard *shards,
                           size_t count, model_file *file, sl_error *error) {
    model_file *files = calloc(count, sizeof *files);
    if (!files) {
        return error_memory(error, "the tables of several files", count * sizeof *files);
    }
    sl_status status = SL_OK;
    for (size_t i = 0; i < count && status == SL_OK; i++) {
        status = parse_shard(bytes, &shards[i], i, count, &files[i], error);
    }
    status = status == SL_OK ? join(files, count, error) : status;
    if (status == SL_OK) {
        *file = files[0];
        file->bytes = bytes;
        file->size = size;
        files[0] = (model_file){0};
    }
    for (size_t i = 0; i < count; i++) {
        model_file_free(&files[i]);
    }
    free(files);
    return status;
}
