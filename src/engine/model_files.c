#include "engine/model_files.h"

#include "base/error.h"
#include "base/size.h"
#include "formats/gguf.h"

/* Readers of single files. The first that knows the beginning of one reads it. */
static const struct {
    bool (*detect)(const uint8_t *bytes, size_t size);
    sl_status (*parse)(const uint8_t *bytes, size_t size, model_file *file, sl_error *error);
} readers[] = {
    {gguf_detect, gguf_parse},
};

/* Maps and guards. */
static sl_status map(const char *const *paths, size_t n, os_mapping *mapping, sl_error *error) {
    const sl_status status = os_map_files(paths, n, mapping, error);
    if (status == SL_OK) {
        os_guard_add(mapping->bytes, mapping->size);
    }
    return status;
}

static sl_status parse(const os_mapping *mapping, model_file *file, sl_error *error) {
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        if (readers[i].detect(mapping->bytes, mapping->size)) {
            return readers[i].parse(mapping->bytes, mapping->size, file, error);
        }
    }
    return error_set(error, SL_ERR_FORMAT,
                     "is no model file that is known; expected GGUF, which begins with the bytes "
                     "'GGUF'");
}

sl_status model_open(const char *path, os_mapping *mapping, model_file *file, sl_error *error) {
    *file = (model_file){0};
    *mapping = (os_mapping){0};
    sl_error inner;
    sl_status status = map(&path, 1, mapping, error);
    if (status != SL_OK) {
        return status;
    }
    status = parse(mapping, file, &inner);
    if (os_guard_faulted(mapping->bytes)) {
        status = error_set(&inner, SL_ERR_FILE, "was cut short while it was read");
    }
    if (status != SL_OK) {
        model_close(mapping, file);
        return error_set(error, status, "%s: %s", path, inner.message);
    }
    return SL_OK;
}

void model_close(os_mapping *mapping, model_file *file) {
    model_file_free(file);
    if (mapping->bytes) {
        os_guard_remove(mapping->bytes);
        os_unmap(mapping);
    }
}
