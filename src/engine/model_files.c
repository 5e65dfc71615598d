#include "engine/model_files.h"

#include "base/error.h"
#include "base/size.h"
#include "engine/hf_directory.h"
#include "formats/gguf.h"
#include "formats/gguf_split.h"
#include "formats/legacy_ggml.h"
#include "formats/llama2c.h"
#include "formats/safetensors.h"
#include "formats/torch_file.h"
#include "models/dialect_legacy.h"
#include "models/dialect_llama2c.h"

#include <stdlib.h>
#include <string.h>

/* For weights that lie alone. */
static sl_status refuse_weights(const uint8_t *bytes, size_t size, model_file *file,
                                sl_error *error) {
    (void)bytes, (void)size, (void)file;
    return error_set(error, SL_ERR_FORMAT,
                     "holds weights but not what model they are of; expected the folder with "
                     "config.json and model.safetensors or pytorch_model.bin, or one of these");
}

/* Readers of single files. The first that knows the beginning of one reads it; llama2.c's oldest
 * files are known by their size alone and come last. */
static const struct {
    bool (*detect)(const uint8_t *bytes, size_t size);
    sl_status (*parse)(const uint8_t *bytes, size_t size, model_file *file, sl_error *error);
} readers[] = {
    {gguf_detect, gguf_parse},
    {safetensors_detect, refuse_weights},
    {torch_file_detect, refuse_weights},
    {legacy_ggml_detect, dialect_legacy_read},
    {llama2c_detect, dialect_llama2c_read},
};

static sl_status parse(const os_mapping *mapping, model_file *file, sl_error *error) {
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        if (readers[i].detect(mapping->bytes, mapping->size)) {
            return readers[i].parse(mapping->bytes, mapping->size, file, error);
        }
    }
    return error_set(error, SL_ERR_FORMAT,
                     "is no model file that is known; expected GGUF, which begins with the bytes "
                     "'GGUF', one of ggml's first formats ('lmgg', 'fmgg', 'tjgg'), a llama2.c "
                     "checkpoint, of exactly the size that its header asks for, or a Hugging "
                     "Face folder");
}

/* ---- models in several files ----------------------------------------------------------------- */

static void free_paths(char **paths, size_t count) {
    for (size_t i = 0; paths && i < count; i++) {
        free(paths[i]);
    }
    free(paths);
}

/* The names of all files of the split model that `path` is one of. */
static sl_status name_shards(const char *path, size_t count, char ***out, sl_error *error) {
    char **paths = calloc(count, sizeof *paths);
    sl_status status = paths ? SL_OK : error_memory(error, "names of files", count);
    for (size_t i = 0; i < count && status == SL_OK; i++) {
        paths[i] = malloc(strlen(path) + 1);
        if (!paths[i]) {
            status = error_memory(error, "names of files", strlen(path) + 1);
        } else if (!gguf_split_name(path, i + 1, count, paths[i])) {
            status = error_set(error, SL_ERR_FORMAT,
                               "%s: is one of the %zu files of a model: expected a name that ends "
                               "in -00001-of-%05zu.gguf or so, by which to find the others",
                               path, count, count);
        } else if (!os_exists(paths[i])) {
            status = error_set(error, SL_ERR_FILE, "%s: is missing: file %zu of the %zu of a model",
                               paths[i], i + 1, count);
        }
    }
    if (status != SL_OK) {
        free_paths(paths, count);
        return status;
    }
    *out = paths;
    return SL_OK;
}

static sl_status parse_shards(const os_mapping *mapping, model_file *file, sl_error *error) {
    gguf_shard *shards = malloc(mapping->n_part * sizeof *shards);
    if (!shards) {
        return error_memory(error, "the list of files", mapping->n_part * sizeof *shards);
    }
    for (size_t i = 0; i < mapping->n_part; i++) {
        shards[i] = (gguf_shard){mapping->parts[i].start, mapping->parts[i].size};
    }
    const sl_status status =
        gguf_split_parse(mapping->bytes, mapping->size, shards, mapping->n_part, file, error);
    free(shards);
    return status;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Says what is wrong with the file, and gives everything back. */
static sl_status refuse(const char *path, os_mapping *mapping, model_file *file, sl_status status,
                        const sl_error *inner, sl_error *error) {
    model_close(mapping, file);
    return error_set(error, status, "%s: %s", path, inner->message);
}

/* The end of both ways: a file that shrank meanwhile was not what was read. */
static sl_status check_faults(const os_mapping *mapping, sl_status status, sl_error *inner) {
    return os_guard_faulted(mapping->bytes)
               ? error_set(inner, SL_ERR_FILE, "was cut short while it was read")
               : status;
}

static sl_status open_shards(const char *path, size_t count, os_mapping *mapping, model_file *file,
                             sl_error *error) {
    char **paths;
    sl_status status = name_shards(path, count, &paths, error);
    if (status != SL_OK) {
        return status;
    }
    status = os_map_files((const char *const *)paths, count, mapping, error);
    free_paths(paths, count);
    if (status != SL_OK) {
        return status;
    }
    sl_error inner = {0};
    status = check_faults(mapping, parse_shards(mapping, file, &inner), &inner);
    return status == SL_OK ? SL_OK : refuse(path, mapping, file, status, &inner, error);
}

/* What the system refused names its path already. */
static sl_status open_directory(const char *path, const hf_place *place, os_mapping *mapping,
                                model_file *file, sl_error *error) {
    sl_error inner = {0};
    sl_status status = hf_directory_open(place, mapping, file, &inner);
    if (mapping->bytes) {
        status = check_faults(mapping, status, &inner);
    }
    if (status == SL_OK) {
        return SL_OK;
    }
    if (strncmp(inner.message, path, strlen(path)) != 0) {
        return refuse(path, mapping, file, status, &inner, error);
    }
    model_close(mapping, file);
    return error_set(error, status, "%s", inner.message);
}

sl_status model_open(const char *path, os_mapping *mapping, model_file *file, sl_error *error) {
    *file = (model_file){0};
    *mapping = (os_mapping){0};
    hf_place place;
    sl_status status = hf_place_of(path, &place, error);
    if (status == SL_OK && place.directory) {
        status = open_directory(path, &place, mapping, file, error);
        free(place.directory);
        return status;
    }
    sl_error inner = {0};
    status = status == SL_OK ? os_map(path, mapping, error) : status;
    if (status != SL_OK) {
        return status;
    }
    size_t count = 1;
    status = parse(mapping, file, &inner);
    if (status == SL_OK && gguf_detect(mapping->bytes, mapping->size)) {
        status = gguf_split_count(file, &count, &inner);
    }
    status = check_faults(mapping, status, &inner);
    if (status != SL_OK) {
        return refuse(path, mapping, file, status, &inner, error);
    }
    if (count > 1) {
        model_close(mapping, file);
        return open_shards(path, count, mapping, file, error);
    }
    return SL_OK;
}

void model_close(os_mapping *mapping, model_file *file) {
    model_file_free(file);
    os_unmap(mapping);
}
