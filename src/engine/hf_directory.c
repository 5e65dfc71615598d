#include "engine/hf_directory.h"

#include "base/error.h"
#include "base/limits.h"
#include "engine/hf_tokenizer.h"
#include "formats/json_text.h"
#include "formats/safetensors.h"
#include "formats/torch_file.h"
#include "models/dialect_hf.h"

#include <stdio.h>
#include <stdlib.h>

/* In the order in which transformers looks for them. */
static const struct weights_kind {
    const char *file, *ending;
    bool is_index;
    const char *format; /* for people */
    sl_status (*parse)(const uint8_t *bytes, size_t size, raw_tensors *list, sl_error *error);
} kinds[] = {
    {"model.safetensors", ".safetensors", false, "Hugging Face safetensors", safetensors_parse},
    {"model.safetensors.index.json", ".safetensors", true, "Hugging Face safetensors",
     safetensors_parse},
    {"pytorch_model.bin", ".bin", false, "Hugging Face PyTorch", torch_file_parse},
    {"pytorch_model.bin.index.json", ".bin", true, "Hugging Face PyTorch", torch_file_parse},
};

/* ---- paths ---------------------------------------------------------------------------------- */

static char *path_of(const char *directory, const char *name) {
    const size_t bytes = strlen(directory) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path) {
        snprintf(path, bytes, "%s/%s", directory, name);
    }
    return path;
}

sl_status hf_place_of(const char *path, hf_place *place, sl_error *error) {
    *place = (hf_place){0};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length = strlen(path);
    if (!os_is_directory(path)) {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            if (strcmp(name, kinds[i].file) == 0) {
                place->weights = kinds[i].file;
            }
        }
        if (!place->weights) {
            return SL_OK;
        }
        length = slash ? (size_t)(slash - path) : 0;
    }
    place->directory = malloc(length + 2);
    if (!place->directory) {
        return error_memory(error, "a path", length + 2);
    }
    if (length == 0) { /* "model.safetensors" lies here, "/model.safetensors" in the root */
        strcpy(place->directory, slash ? "/" : ".");
    } else {
        memcpy(place->directory, path, length);
        place->directory[length] = 0;
    }
    return SL_OK;
}

/* ---- files ---------------------------------------------------------------------------------- */

static sl_status read_json(const char *directory, const char *name, json_t **out, sl_error *error) {
    *out = NULL;
    char *path = path_of(directory, name);
    if (!path) {
        return error_memory(error, "a path", 0);
    }
    uint8_t *bytes;
    size_t size;
    sl_status status = os_read_file(path, LIMIT_JSON_BYTES, &bytes, &size, error);
    free(path);
    if (status == SL_OK) {
        status = json_text_parse(bytes, size, name, out, error);
        free(bytes);
    }
    return status;
}

/* The kind of weights that is there, or that was asked for. */
static sl_status find_kind(const hf_place *place, const struct weights_kind **kind,
                           sl_error *error) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (place->weights && strcmp(place->weights, kinds[i].file) != 0) {
            continue;
        }
        char *path = path_of(place->directory, kinds[i].file);
        if (!path) {
            return error_memory(error, "a path", 0);
        }
        const bool there = os_exists(path);
        free(path);
        if (there) {
            *kind = &kinds[i];
            return SL_OK;
        }
    }
    return error_set(error, SL_ERR_FILE,
                     "there are no weights in the folder; looked for model.safetensors, "
                     "model.safetensors.index.json, pytorch_model.bin and "
                     "pytorch_model.bin.index.json");
}

/* ---- shards --------------------------------------------------------------------------------- */

typedef struct shards {
    const struct weights_kind *kind;
    json_t *index;      /* NULL: one file */
    const json_t *map;  /* names of tensors to names of files, in the index */
    const char **names; /* count of them, sorted, in `index` */
    size_t count;
} shards;

static int by_name(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* A file's name in an index may name nothing but a file beside it. */
static sl_status check_name(const shards *s, const char *name, sl_error *error) {
    const size_t length = strlen(name), ending = strlen(s->kind->ending);
    bool plain = length > ending && length < 256 && name[0] != '.' && !strchr(name, '/') &&
                 strcmp(name + length - ending, s->kind->ending) == 0;
    for (size_t i = 0; i < length; i++) {
        plain = plain && (unsigned char)name[i] >= 0x20;
    }
    return plain ? SL_OK
                 : error_set(error, SL_ERR_FORMAT,
                             "%s: \"%.200s\" is expected to be the name of a %s file in the same "
                             "folder",
                             s->kind->file, name, s->kind->ending);
}

static sl_status read_map(shards *s, sl_error *error) {
    s->map = json_object_get(s->index, "weight_map");
    const size_t n = json_object_size(s->map);
    if (n == 0 || n > LIMIT_TENSORS) {
        return error_set(error, SL_ERR_FORMAT,
                         "%s: expected an object \"weight_map\" of 1 to %u tensors", s->kind->file,
                         LIMIT_TENSORS);
    }
    s->names = malloc(n * sizeof *s->names);
    if (!s->names) {
        return error_memory(error, "a list of files", n * sizeof *s->names);
    }
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)s->map, key, value) {
        if (!json_is_string(value)) {
            return error_set(error, SL_ERR_FORMAT,
                             "%s: tensor \"%.200s\" is expected to be in a file", s->kind->file,
                             key);
        }
        const sl_status status = check_name(s, json_string_value(value), error);
        if (status != SL_OK) {
            return status;
        }
        s->names[count++] = json_string_value(value);
    }
    qsort(s->names, count, sizeof *s->names, by_name);
    for (size_t i = 0; i < count; i++) {
        if (s->count == 0 || strcmp(s->names[s->count - 1], s->names[i]) != 0) {
            s->names[s->count++] = s->names[i];
        }
    }
    if (s->count > LIMIT_MODEL_FILES) {
        return error_set(error, SL_ERR_FORMAT, "%s: %zu files, expected at most %u", s->kind->file,
                         s->count, LIMIT_MODEL_FILES);
    }
    return SL_OK;
}

static sl_status find_shards(const hf_place *place, shards *s, sl_error *error) {
    sl_status status = find_kind(place, &s->kind, error);
    if (status != SL_OK) {
        return status;
    }
    if (s->kind->is_index) {
        status = read_json(place->directory, s->kind->file, &s->index, error);
        return status == SL_OK ? read_map(s, error) : status;
    }
    s->names = malloc(sizeof *s->names);
    if (!s->names) {
        return error_memory(error, "a list of files", sizeof *s->names);
    }
    s->names[s->count++] = s->kind->file;
    return SL_OK;
}

static void free_shards(shards *s) {
    json_decref(s->index);
    free(s->names);
}

/* All missing ones would be too long a line: the first is named, and how many there are. */
static sl_status check_there(const shards *s, char *const *paths, sl_error *error) {
    size_t missing = 0, first = 0;
    for (size_t i = s->count; i-- > 0;) {
        if (!os_exists(paths[i])) {
            missing++;
            first = i;
        }
    }
    return missing == 0 ? SL_OK
                        : error_set(error, SL_ERR_FILE,
                                    "%s names %zu files, of which %zu are missing, \"%s\" first",
                                    s->kind->file, s->count, missing, s->names[first]);
}

static sl_status map_shards(const hf_place *place, const shards *s, os_mapping *mapping,
                            sl_error *error) {
    char **paths = calloc(s->count, sizeof *paths);
    bool whole = paths != NULL;
    for (size_t i = 0; whole && i < s->count; i++) {
        paths[i] = path_of(place->directory, s->names[i]);
        whole = paths[i] != NULL;
    }
    sl_status status = whole ? check_there(s, paths, error) : error_memory(error, "paths", 0);
    if (status == SL_OK) {
        status = os_map_files((const char *const *)paths, s->count, mapping, error);
    }
    for (size_t i = 0; paths && i < s->count; i++) {
        free(paths[i]);
    }
    free(paths);
    return status;
}

/* Each tensor of shard number `part` must be one that the index looks for there. */
static sl_status check_index(const shards *s, size_t part, const raw_tensors *list, size_t first,
                             sl_error *error) {
    for (size_t i = first; s->map && i < list->items.count; i++) {
        const char *name = raw_tensor_at(list, i)->name.ptr;
        const char *file = json_string_value(json_object_get(s->map, name));
        if (!file || strcmp(file, s->names[part]) != 0) {
            return error_set(error, SL_ERR_FORMAT,
                             "%s has tensor \"%.200s\", which %s expects in %s", s->names[part],
                             name, s->kind->file, file ? file : "no file");
        }
    }
    return SL_OK;
}

static sl_status read_tensors(const shards *s, const os_mapping *mapping, raw_tensors *list,
                              sl_error *error) {
    for (size_t i = 0; i < s->count; i++) {
        const size_t first = list->items.count;
        sl_error inner = {0};
        sl_status status = s->kind->parse(mapping->bytes + mapping->parts[i].start,
                                          mapping->parts[i].size, list, &inner);
        if (status != SL_OK) {
            return error_set(error, status, "%s: %s", s->names[i], inner.message);
        }
        status = check_index(s, i, list, first, error);
        if (status != SL_OK) {
            return status;
        }
    }
    if (s->map && list->items.count < json_object_size(s->map)) {
        return error_set(error, SL_ERR_FORMAT,
                         "%s lists %zu tensors, but the files have %zu of them", s->kind->file,
                         json_object_size(s->map), list->items.count);
    }
    return SL_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static sl_status make_tables(const hf_place *place, const shards *s, const json_t *config,
                             const raw_tensors *list, const os_mapping *mapping, model_file *file,
                             sl_error *error) {
    tables t = tables_new(s->kind->format, mapping->bytes, mapping->size, error);
    dialect_hf_translate(&t, config, list);
    hf_tokenizer_read(&t, place->directory);
    return tables_finish(&t, file);
}

sl_status hf_directory_open(const hf_place *place, os_mapping *mapping, model_file *file,
                            sl_error *error) {
    json_t *config;
    shards s = {0};
    raw_tensors list = raw_tensors_new();
    sl_status status = read_json(place->directory, "config.json", &config, error);
    if (status == SL_OK) {
        status = find_shards(place, &s, error);
    }
    if (status == SL_OK) {
        status = map_shards(place, &s, mapping, error);
    }
    if (status == SL_OK) {
        status = read_tensors(&s, mapping, &list, error);
    }
    if (status == SL_OK) {
        status = make_tables(place, &s, config, &list, mapping, file, error);
    }
    raw_tensors_free(&list);
    free_shards(&s);
    json_decref(config);
    return status;
}
