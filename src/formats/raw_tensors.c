#include "formats/raw_tensors.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <stdlib.h>

raw_tensors raw_tensors_new(void) {
    return (raw_tensors){.items = array_new(sizeof(raw_tensor), LIMIT_TENSORS)};
}

void raw_tensors_free(raw_tensors *list) {
    for (size_t i = 0; i < list->items.count; i++) {
        free((void *)(uintptr_t)raw_tensor_at(list, i)->name.ptr);
    }
    array_free(&list->items);
}

sl_status raw_tensors_add(raw_tensors *list, const raw_tensor *tensor, sl_error *error) {
    const str name = tensor->name;
    if (name.len == 0 || name.len > LIMIT_RAW_NAME_BYTES) {
        return error_set(error, SL_ERR_FORMAT,
                         "tensor %zu has a name of %zu bytes, expected 1 to %u", list->items.count,
                         name.len, LIMIT_RAW_NAME_BYTES);
    }
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f) {
            return error_set(error, SL_ERR_FORMAT,
                             "tensor \"%.*s\": the name has a control character", STR_ARG(name));
        }
    }
    char *copy = malloc(name.len + 1);
    if (!copy) {
        return error_memory(error, "a tensor's name", name.len + 1);
    }
    memcpy(copy, name.ptr, name.len);
    copy[name.len] = 0;
    raw_tensor added = *tensor;
    added.name.ptr = copy;
    const sl_status status = array_push(&list->items, &added, error);
    if (status != SL_OK) {
        free(copy);
    }
    return status;
}

bool raw_tensor_count(const raw_tensor *tensor, uint64_t *count) {
    *count = 1;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        if (!u64_mul(*count, tensor->dims[i], count)) {
            return false;
        }
    }
    return true;
}
