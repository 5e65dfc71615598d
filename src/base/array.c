#include "base/array.h"

#include "base/error.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

array array_new(size_t element_size, size_t ceiling) {
    return (array){.element_size = element_size, .ceiling = ceiling};
}

void array_free(array *a) {
    free(a->items);
    *a = array_new(a->element_size, a->ceiling);
}

sl_status array_reserve(array *a, size_t more, sl_error *error) {
    if (more <= a->capacity - a->count) {
        return SL_OK;
    }
    if (more > a->ceiling - a->count) {
        return error_set(error, SL_ERR_MEMORY, "a list would grow over its ceiling of %zu elements",
                         a->ceiling);
    }
    size_t capacity = size_max(a->count + more, a->capacity + a->capacity / 2);
    capacity = size_min(size_max(capacity, 16), a->ceiling);
    size_t bytes;
    if (!size_mul(capacity, a->element_size, &bytes)) {
        return error_memory(error, "a list", SIZE_MAX);
    }
    void *items = realloc(a->items, bytes);
    if (!items) {
        return error_memory(error, "a list", bytes);
    }
    a->items = items;
    a->capacity = capacity;
    return SL_OK;
}

sl_status array_push(array *a, const void *item, sl_error *error) {
    const sl_status status = array_reserve(a, 1, error);
    if (status == SL_OK) {
        memcpy((char *)a->items + a->count++ * a->element_size, item, a->element_size);
    }
    return status;
}
