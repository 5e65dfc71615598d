#include "formats/model_file.h"

#include "base/error.h"
#include "base/size.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are read as they lie");

static const struct {
    const char *name;
    size_t bytes;
} types[META_TYPE_LIMIT] = {
    [META_U8] = {"an 8-bit unsigned integer", 1},
    [META_I8] = {"an 8-bit integer", 1},
    [META_U16] = {"a 16-bit unsigned integer", 2},
    [META_I16] = {"a 16-bit integer", 2},
    [META_U32] = {"a 32-bit unsigned integer", 4},
    [META_I32] = {"a 32-bit integer", 4},
    [META_F32] = {"a 32-bit float", 4},
    [META_BOOL] = {"a bool", 1},
    [META_STRING] = {"a string", 0},
    [META_ARRAY] = {"an array", 0},
    [META_U64] = {"a 64-bit unsigned integer", 8},
    [META_I64] = {"a 64-bit integer", 8},
    [META_F64] = {"a 64-bit float", 8},
};

const char *meta_type_name(uint32_t type) {
    return type < META_TYPE_LIMIT ? types[type].name : "an unknown type";
}

size_t meta_type_bytes(uint32_t type) {
    return type < META_TYPE_LIMIT ? types[type].bytes : 0;
}

sl_status model_file_index(model_file *file, sl_error *error) {
    size_t first, twice;
    sl_status status = name_index_build(&file->meta_index, file->meta, sizeof *file->meta,
                                        file->meta_count, &first, &twice, error);
    if (status != SL_OK) {
        return status;
    }
    if (twice != NAME_INDEX_NONE) {
        const meta_entry *again = &file->meta[twice];
        return error_set(error, SL_ERR_FORMAT,
                         "byte %" PRIu64 ": metadata key \"%.*s\" is there twice, first at byte "
                         "%" PRIu64,
                         again->offset, STR_ARG(again->key), file->meta[first].offset);
    }
    status = name_index_build(&file->tensor_index, file->tensors, sizeof *file->tensors,
                              file->tensor_count, &first, &twice, error);
    if (status == SL_OK && twice != NAME_INDEX_NONE) {
        return error_set(error, SL_ERR_FORMAT,
                         "tensor \"%.*s\" is there twice, as number %zu and %zu",
                         STR_ARG(file->tensors[twice].name), first, twice);
    }
    return status;
}

void model_file_free(model_file *file) {
    name_index_free(&file->meta_index);
    name_index_free(&file->tensor_index);
    free(file->meta);
    free(file->tensors);
    while (file->words) {
        model_file_words *next = file->words->next;
        free(file->words);
        file->words = next;
    }
    *file = (model_file){0};
}

/* Pieces of some KiB, so that a vocabulary's words cost no header each. */
void *model_file_room(model_file *file, size_t bytes) {
    enum { PIECE = 16 << 10, ALIGN = 16 };
    model_file_words *piece = file->words;
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    bytes = size_round_up(bytes, ALIGN);
    if (!piece || piece->capacity - piece->used < bytes) {
        const size_t capacity = size_max(bytes, PIECE);
        const size_t header = size_round_up(sizeof *piece, ALIGN);
        piece = malloc(header + capacity);
        if (!piece) {
            return NULL;
        }
        *piece = (model_file_words){file->words, header, header + capacity};
        file->words = piece;
    }
    void *room = (uint8_t *)piece + piece->used;
    piece->used += bytes;
    return room;
}

size_t model_file_bytes(const model_file *file) {
    size_t words = 0;
    for (const model_file_words *piece = file->words; piece; piece = piece->next) {
        words += piece->capacity;
    }
    return words + file->meta_count * sizeof *file->meta +
           file->tensor_count * sizeof *file->tensors +
           file->meta_index.size * sizeof *file->meta_index.slots +
           file->tensor_index.size * sizeof *file->tensor_index.slots;
}

const meta_entry *meta_find(const model_file *file, const char *key) {
    const size_t at =
        name_index_find(&file->meta_index, file->meta, sizeof *file->meta, str_from(key));
    return at == NAME_INDEX_NONE ? NULL : &file->meta[at];
}

const tensor_entry *tensor_find(const model_file *file, str name) {
    const size_t at =
        name_index_find(&file->tensor_index, file->tensors, sizeof *file->tensors, name);
    return at == NAME_INDEX_NONE ? NULL : &file->tensors[at];
}

/* ---- elements ------------------------------------------------------------------------------- */

static bool is_integer(meta_type type) {
    return type <= META_I32 || type == META_U64 || type == META_I64;
}

static bool is_float(meta_type type) {
    return type == META_F32 || type == META_F64;
}

static double read_float(meta_type type, const uint8_t *data) {
    float narrow;
    double wide;
    if (type == META_F32) {
        memcpy(&narrow, data, sizeof narrow);
        return narrow;
    }
    assert(type == META_F64);
    memcpy(&wide, data, sizeof wide);
    return wide;
}

/* The value's bits, sign-extended to 64. */
static uint64_t read_integer(meta_type type, const uint8_t *data) {
    const size_t bytes = types[type].bytes;
    assert(is_integer(type) || type == META_BOOL);
    uint64_t bits = 0;
    memcpy(&bits, data, bytes);
    const bool is_signed = type == META_I8 || type == META_I16 || type == META_I32;
    if (is_signed && bits >> (8 * bytes - 1)) {
        bits |= ~(uint64_t)0 << (8 * bytes);
    }
    return bits;
}

float meta_array_float(const meta_entry *array, uint64_t index) {
    assert(index < array->count && is_float(array->element_type));
    return (float)read_float(array->element_type,
                             array->data + index * types[array->element_type].bytes);
}

int64_t meta_array_int(const meta_entry *array, uint64_t index) {
    assert(index < array->count);
    return (int64_t)read_integer(array->element_type,
                                 array->data + index * types[array->element_type].bytes);
}

str meta_array_string(const model_file *file, const meta_entry *array, size_t *cursor) {
    assert(array->element_type == META_STRING && *cursor <= array->data_bytes);
    const size_t left = array->data_bytes - *cursor;
    if (left < file->string_length_bytes) {
        return (str){"", 0};
    }
    uint64_t length = 0;
    memcpy(&length, array->data + *cursor, file->string_length_bytes);
    length = length < left - file->string_length_bytes ? length : left - file->string_length_bytes;
    const str text = {(const char *)array->data + *cursor + file->string_length_bytes,
                      (size_t)length};
    *cursor += file->string_length_bytes + text.len;
    return text;
}

/* ---- typed reading -------------------------------------------------------------------------- */

static sl_status missing(const char *key, bool required, sl_error *error) {
    return required ? error_set(error, SL_ERR_FORMAT, "metadata key \"%s\" is missing", key)
                    : SL_OK;
}

static sl_status wrong_type(const meta_entry *entry, const char *expected, sl_error *error) {
    if (entry->type != META_ARRAY) {
        return error_set(error, SL_ERR_FORMAT,
                         "byte %" PRIu64 ": metadata \"%.*s\": expected %s, found %s",
                         entry->offset, STR_ARG(entry->key), expected, meta_type_name(entry->type));
    }
    return error_set(error, SL_ERR_FORMAT,
                     "byte %" PRIu64 ": metadata \"%.*s\": expected %s, found an array of %" PRIu64
                     ", each %s",
                     entry->offset, STR_ARG(entry->key), expected, entry->count,
                     meta_type_name(entry->element_type));
}

static sl_status out_of_range(const meta_entry *entry, uint64_t low, uint64_t high, uint64_t index,
                              sl_error *error) {
    const uint64_t bits =
        read_integer(entry->element_type, entry->data + index * types[entry->element_type].bytes);
    char found[32];
    if (entry->element_type == META_U64) {
        snprintf(found, sizeof found, "%" PRIu64, bits);
    } else {
        snprintf(found, sizeof found, "%" PRId64, (int64_t)bits);
    }
    return error_set(error, SL_ERR_FORMAT,
                     "byte %" PRIu64 ": metadata \"%.*s\": expected %" PRIu64 " to %" PRIu64
                     ", found %s",
                     entry->offset, STR_ARG(entry->key), low, high, found);
}

static sl_status get_integer(const meta_entry *entry, uint64_t index, uint64_t low, uint64_t high,
                             uint64_t *out, sl_error *error) {
    const meta_type type = entry->element_type;
    const uint64_t value = read_integer(type, entry->data + index * types[type].bytes);
    const bool negative = type != META_U64 && (int64_t)value < 0;
    if (negative || value < low || value > high) {
        return out_of_range(entry, low, high, index, error);
    }
    *out = value;
    return SL_OK;
}

sl_status meta_get_u64(const model_file *file, const char *key, bool required, uint64_t low,
                       uint64_t high, uint64_t *out, sl_error *error) {
    const meta_entry *entry = meta_find(file, key);
    if (!entry) {
        return missing(key, required, error);
    }
    if (!is_integer(entry->element_type) || entry->count != 1) {
        return wrong_type(entry, "an integer", error);
    }
    return get_integer(entry, 0, low, high, out, error);
}

sl_status meta_get_u64_layers(const model_file *file, const char *key, bool required, uint64_t low,
                              uint64_t high, uint64_t *out, size_t n_layer, sl_error *error) {
    const meta_entry *entry = meta_find(file, key);
    if (!entry) {
        return missing(key, required, error);
    }
    const bool for_all = entry->type != META_ARRAY;
    if (!is_integer(entry->element_type) || (!for_all && entry->count != n_layer)) {
        char expected[64];
        snprintf(expected, sizeof expected, "an integer or an array of %zu", n_layer);
        return wrong_type(entry, expected, error);
    }
    uint64_t ignored;
    for (uint64_t i = 0; i < entry->count; i++) {
        const sl_status status = get_integer(entry, i, low, high, &ignored, error);
        if (status != SL_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < n_layer; i++) {
        out[i] = (uint64_t)meta_array_int(entry, for_all ? 0 : i);
    }
    return SL_OK;
}

sl_status meta_get_float(const model_file *file, const char *key, bool required, double low,
                         double high, float *out, sl_error *error) {
    const meta_entry *entry = meta_find(file, key);
    if (!entry) {
        return missing(key, required, error);
    }
    if (!is_float(entry->element_type) || entry->count != 1) {
        return wrong_type(entry, "a float", error);
    }
    const double value = read_float(entry->element_type, entry->data);
    if (!(value >= low && value <= high)) {
        return error_set(error, SL_ERR_FORMAT,
                         "byte %" PRIu64 ": metadata \"%.*s\": expected %g to %g, found %g",
                         entry->offset, STR_ARG(entry->key), low, high, value);
    }
    *out = (float)value;
    return SL_OK;
}

sl_status meta_get_bool(const model_file *file, const char *key, bool required, bool *out,
                        sl_error *error) {
    const meta_entry *entry = meta_find(file, key);
    if (!entry) {
        return missing(key, required, error);
    }
    if (entry->element_type != META_BOOL || entry->count != 1) {
        return wrong_type(entry, "a bool", error);
    }
    *out = entry->data[0] != 0;
    return SL_OK;
}

sl_status meta_get_string(const model_file *file, const char *key, bool required, str *out,
                          sl_error *error) {
    const meta_entry *entry = meta_find(file, key);
    if (!entry) {
        return missing(key, required, error);
    }
    if (entry->type != META_STRING) {
        return wrong_type(entry, "a string", error);
    }
    size_t cursor = 0;
    *out = meta_array_string(file, entry, &cursor);
    return SL_OK;
}

sl_status meta_get_array(const model_file *file, const char *key, bool required,
                         meta_type element_type, const meta_entry **out, sl_error *error) {
    const meta_entry *entry = meta_find(file, key);
    if (!entry) {
        const sl_status status = missing(key, required, error);
        if (status == SL_OK) {
            *out = NULL;
        }
        return status;
    }
    const bool either_sign = element_type == META_I32 && entry->element_type == META_U32;
    if (entry->type != META_ARRAY || (entry->element_type != element_type && !either_sign)) {
        char expected[64];
        snprintf(expected, sizeof expected, "an array whose elements are each %s",
                 meta_type_name(element_type));
        return wrong_type(entry, expected, error);
    }
    *out = entry;
    return SL_OK;
}
