#include "formats/safetensors.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "formats/json_text.h"

#include <inttypes.h>
#include <stdlib.h>

enum { LENGTH_BYTES = 8, HEADER_LIMIT = 100000000 };

static const struct {
    const char *name;
    size_t bits; /* of one element */
    raw_type type;
} types[] = {
    {"F32", 32, RAW_F32},      {"F16", 16, RAW_F16},      {"BF16", 16, RAW_BF16},
    {"BOOL", 8, RAW_OTHER},    {"U8", 8, RAW_OTHER},      {"I8", 8, RAW_OTHER},
    {"F8_E5M2", 8, RAW_OTHER}, {"F8_E4M3", 8, RAW_OTHER}, {"F8_E8M0", 8, RAW_OTHER},
    {"I16", 16, RAW_OTHER},    {"U16", 16, RAW_OTHER},    {"I32", 32, RAW_OTHER},
    {"U32", 32, RAW_OTHER},    {"I64", 64, RAW_OTHER},    {"U64", 64, RAW_OTHER},
    {"F64", 64, RAW_OTHER},    {"C64", 64, RAW_OTHER},
};

bool safetensors_detect(const uint8_t *bytes, size_t size) {
    return size > LENGTH_BYTES && bytes[LENGTH_BYTES] == '{' &&
           bytes_number(bytes, LENGTH_BYTES) <= size - LENGTH_BYTES &&
           bytes_number(bytes, LENGTH_BYTES) <= HEADER_LIMIT;
}

/* ---- one tensor ----------------------------------------------------------------------------- */

static sl_status wrong(sl_error *error, str name, const char *what) {
    return error_set(error, SL_ERR_FORMAT, "tensor \"%.*s\": %s", STR_ARG(name), what);
}

/* A JSON integer that is not negative. */
static bool read_count(const json_t *value, uint64_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static sl_status read_shape(const json_t *shape, raw_tensor *t, sl_error *error) {
    if (!json_is_array(shape) || json_array_size(shape) > RAW_MAX_DIMS) {
        return error_set(error, SL_ERR_FORMAT,
                         "tensor \"%.*s\": shape is expected to be a list of at most %d numbers",
                         STR_ARG(t->name), RAW_MAX_DIMS);
    }
    t->n_dims = json_array_size(shape);
    for (size_t i = 0; i < t->n_dims; i++) {
        if (!read_count(json_array_get(shape, i), &t->dims[i])) {
            return wrong(error, t->name, "shape is expected to hold numbers of 0 and above");
        }
    }
    return SL_OK;
}

/* data: the bytes behind the header, data_size of them. */
static sl_status read_tensor(const json_t *entry, raw_tensor *t, const uint8_t *data,
                             size_t data_size, sl_error *error) {
    const str dtype = json_text_string(json_object_get(entry, "dtype"));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_object(entry) || !dtype.ptr || json_array_size(offsets) != 2 ||
        json_object_size(entry) != 3) {
        return wrong(error, t->name,
                     "expected an object of dtype, shape and data_offsets, a pair of numbers");
    }
    size_t kind = 0;
    while (kind < COUNT_OF(types) && !str_is(dtype, types[kind].name)) {
        kind++;
    }
    if (kind == COUNT_OF(types)) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "tensor \"%.*s\": the dtype \"%.*s\" is not known", STR_ARG(t->name),
                         STR_ARG(dtype));
    }
    t->type = types[kind].type;
    t->type_name = types[kind].name;
    sl_status status = read_shape(json_object_get(entry, "shape"), t, error);
    if (status != SL_OK) {
        return status;
    }
    uint64_t begin, end, bytes;
    if (!read_count(json_array_get(offsets, 0), &begin) ||
        !read_count(json_array_get(offsets, 1), &end) || begin > end || end > data_size) {
        return error_set(error, SL_ERR_FORMAT,
                         "tensor \"%.*s\": data_offsets are expected to be a range within the %zu "
                         "bytes of data",
                         STR_ARG(t->name), data_size);
    }
    if (!raw_tensor_count(t, &bytes) || !u64_mul(bytes, types[kind].bits / 8, &bytes) ||
        bytes != end - begin) {
        return error_set(error, SL_ERR_FORMAT,
                         "tensor \"%.*s\": data_offsets span %" PRIu64
                         " bytes, which is not what its shape and dtype %s need",
                         STR_ARG(t->name), end - begin, t->type_name);
    }
    t->data = data + begin;
    t->bytes = (size_t)bytes;
    return SL_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int by_place(const void *left, const void *right) {
    const raw_tensor *a = left, *b = right;
    if (a->data != b->data) {
        return a->data < b->data ? -1 : 1;
    }
    return a->bytes != b->bytes ? (a->bytes < b->bytes ? -1 : 1) : 0;
}

/* The specification wants every byte of the data in exactly one tensor. */
static sl_status check_cover(const raw_tensor *t, size_t count, const uint8_t *data,
                             size_t data_size, sl_error *error) {
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t begin = (size_t)(t[i].data - data);
        if (begin != end) {
            return error_set(
                error, SL_ERR_FORMAT,
                "tensor \"%.*s\" begins at byte %zu of the data, expected %zu, where the one "
                "before it ends: they %s",
                STR_ARG(t[i].name), begin, end,
                begin < end ? "overlap" : "leave a hole, which the format does not allow");
        }
        end += t[i].bytes;
    }
    if (end != data_size) {
        return error_set(error, SL_ERR_FORMAT,
                         "the tensors end at byte %zu of the data, expected its end at %zu", end,
                         data_size);
    }
    return SL_OK;
}

static sl_status check_metadata(const json_t *metadata, sl_error *error) {
    if (!json_is_object(metadata)) {
        return error_set(error, SL_ERR_FORMAT, "__metadata__ is expected to be an object");
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
        if (!json_is_string(value)) {
            return error_set(error, SL_ERR_FORMAT, "__metadata__: \"%.100s\" is no string", key);
        }
    }
    return SL_OK;
}

static sl_status read_header(json_t *root, const uint8_t *data, size_t data_size, raw_tensors *list,
                             sl_error *error) {
    const size_t first = list->items.count;
    sl_status status = SL_OK;
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        if (strcmp(key, "__metadata__") == 0) {
            status = check_metadata(value, error);
        } else {
            raw_tensor t = {.name = str_from(key)};
            status = read_tensor(value, &t, data, data_size, error);
            status = status == SL_OK ? raw_tensors_add(list, &t, error) : status;
        }
        if (status != SL_OK) {
            return status;
        }
    }
    const size_t count = list->items.count - first;
    raw_tensor *added = count > 0 ? (raw_tensor *)list->items.items + first : NULL;
    if (count > 0) {
        qsort(added, count, sizeof *added, by_place);
    }
    return check_cover(added, count, data, data_size, error);
}

sl_status safetensors_parse(const uint8_t *bytes, size_t size, raw_tensors *list, sl_error *error) {
    if (size < LENGTH_BYTES) {
        return error_set(error, SL_ERR_FORMAT,
                         "a safetensors file begins with a length of 8 bytes, found %zu bytes",
                         size);
    }
    const uint64_t length = bytes_number(bytes, LENGTH_BYTES);
    if (length > HEADER_LIMIT || length > size - LENGTH_BYTES) {
        return error_set(error, SL_ERR_FORMAT,
                         "the header is said to have %" PRIu64
                         " bytes, expected at most %d and the %zu that follow",
                         length, HEADER_LIMIT, size - LENGTH_BYTES);
    }
    json_t *root;
    sl_status status =
        json_text_parse(bytes + LENGTH_BYTES, (size_t)length, "the header", &root, error);
    if (status != SL_OK) {
        return status;
    }
    if (!json_is_object(root)) {
        status = error_set(error, SL_ERR_FORMAT, "the header is expected to be a JSON object");
    } else {
        status = read_header(root, bytes + LENGTH_BYTES + length,
                             size - LENGTH_BYTES - (size_t)length, list, error);
    }
    json_decref(root);
    return status;
}
