/* gguf.c - the layout, all integers little-endian, one after the other without padding:
 *
 *   "GGUF"  u32 version  count tensors  count entries
 *   entries times:  string key  u32 type  value
 *       string = count length, bytes;  array = u32 element type, count n, n values
 *   tensors times:  string name  u32 n_dims  n_dims * count  u32 type  u64 offset
 *   padding to general.alignment, then the data section, from which offsets count
 *
 * `count` is u32 in version 1 and u64 since. */
#include "formats/gguf.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Where the reader stands, and in what, for messages. */
typedef struct reader {
    const uint8_t *bytes;
    size_t size;
    size_t at;           /* <= size */
    size_t length_bytes; /* of a count: 4 or 8 */
    const char *table;   /* "metadata entry", "tensor"; NULL in the header */
    size_t number;       /* of the entry */
    str name;            /* of the entry, once read */
    sl_error *error;
} reader;

/* "byte 66: metadata entry 3 "general.name": MESSAGE" */
static sl_status fail(const reader *r, size_t at, sl_status status, const char *format, ...)
    SL_PRINTF(4, 5);

static sl_status fail(const reader *r, size_t at, sl_status status, const char *format, ...) {
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!r->table) {
        error_set(r->error, status, "byte %zu: %s", at, message);
    } else if (!r->name.ptr) {
        error_set(r->error, status, "byte %zu: %s %zu: %s", at, r->table, r->number, message);
    } else {
        error_set(r->error, status, "byte %zu: %s %zu \"%.*s\": %s", at, r->table, r->number,
                  STR_ARG(r->name), message);
    }
    return status;
}

/* ---- values --------------------------------------------------------------------------------- */

static sl_status read_bytes(reader *r, const char *what, size_t count, void *out) {
    if (count > r->size - r->at) {
        fail(r, r->at, SL_ERR_FORMAT,
             "truncated: expected %s of %zu bytes, found the end of the file after %zu", what,
             count, r->size - r->at);
        return SL_ERR_FORMAT;
    }
    memcpy(out, r->bytes + r->at, count);
    r->at += count;
    return SL_OK;
}

static sl_status read_u32(reader *r, const char *what, uint32_t *out) {
    return read_bytes(r, what, 4, out);
}

static sl_status read_u64(reader *r, const char *what, uint64_t *out) {
    return read_bytes(r, what, 8, out);
}

static sl_status read_count(reader *r, const char *what, uint64_t *out) {
    *out = 0;
    return read_bytes(r, what, r->length_bytes, out);
}

static sl_status read_string(reader *r, const char *what, uint64_t ceiling, str *out) {
    const size_t start = r->at;
    uint64_t length;
    const sl_status status = read_count(r, what, &length);
    if (status != SL_OK) {
        return status;
    }
    if (length > ceiling) {
        return fail(r, start, SL_ERR_FORMAT,
                    "expected %s of at most %" PRIu64 " bytes, found a length of %" PRIu64, what,
                    ceiling, length);
    }
    if (length > r->size - r->at) {
        return fail(r, start, SL_ERR_FORMAT,
                    "truncated: expected %s of %" PRIu64
                    " bytes, found the end of the file after %zu",
                    what, length, r->size - r->at);
    }
    *out = (str){(const char *)r->bytes + r->at, (size_t)length};
    r->at += (size_t)length;
    return SL_OK;
}

/* Reads the name of an entry; messages carry it from here on. */
static sl_status read_name(reader *r, const char *what, uint64_t ceiling) {
    const size_t start = r->at;
    str name;
    const sl_status status = read_string(r, what, ceiling, &name);
    if (status != SL_OK) {
        return status;
    }
    if (name.len == 0) {
        return fail(r, start, SL_ERR_FORMAT, "expected %s, found an empty one", what);
    }
    r->name = name;
    return SL_OK;
}

static void begin_entry(reader *r, const char *table, size_t number) {
    r->table = table;
    r->number = number;
    r->name = (str){0};
}

/* ---- header --------------------------------------------------------------------------------- */

bool gguf_detect(const uint8_t *bytes, size_t size) {
    return size >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

static sl_status read_version(reader *r, unsigned *version) {
    if (!gguf_detect(r->bytes, r->size)) {
        return fail(r, 0, SL_ERR_FORMAT, "expected \"GGUF\", found %s",
                    r->size < 4 ? "the end of the file" : "other bytes: not a GGUF file");
    }
    r->at = 4;
    uint32_t found;
    const sl_status status = read_u32(r, "a version", &found);
    if (status != SL_OK) {
        return status;
    }
    const uint32_t swapped = __builtin_bswap32(found);
    if (found > 3 && swapped >= 1 && swapped <= 3) {
        return fail(r, 4, SL_ERR_UNSUPPORTED,
                    "a big-endian GGUF file (version %u), expected a little-endian one", swapped);
    }
    if (found < 1 || found > 3) {
        return fail(r, 4, SL_ERR_UNSUPPORTED, "expected GGUF version 1, 2 or 3, found %u", found);
    }
    *version = found;
    return SL_OK;
}

/* A count in the header: at most `ceiling`, and no more than the rest of the file has room for. */
static sl_status read_table_count(reader *r, const char *what, size_t ceiling, size_t entry_bytes,
                                  size_t *out) {
    const size_t start = r->at;
    uint64_t count;
    const sl_status status = read_count(r, what, &count);
    if (status != SL_OK) {
        return status;
    }
    if (count > ceiling) {
        return fail(r, start, SL_ERR_FORMAT, "expected %s of at most %zu, found %" PRIu64, what,
                    ceiling, count);
    }
    if (count > (r->size - r->at) / entry_bytes) {
        return fail(r, start, SL_ERR_FORMAT,
                    "truncated: %s is %" PRIu64
                    ", each takes at least %zu bytes, found the end of the file after %zu",
                    what, count, entry_bytes, r->size - r->at);
    }
    *out = (size_t)count;
    return SL_OK;
}

static sl_status read_header(reader *r, model_file *file) {
    sl_status status = read_version(r, &file->version);
    if (status != SL_OK) {
        return status;
    }
    r->length_bytes = file->version == 1 ? 4 : 8;
    file->string_length_bytes = r->length_bytes;
    snprintf(file->format, sizeof file->format, "GGUF v%u", file->version);
    /* Name of one byte, number of dimensions, one dimension, type, offset. */
    const size_t tensor_bytes = r->length_bytes + 1 + 4 + r->length_bytes + 4 + 8;
    /* Key of one byte, type, value of one byte. */
    const size_t entry_bytes = r->length_bytes + 1 + 4 + 1;
    status = read_table_count(r, "the number of tensors", LIMIT_TENSORS, tensor_bytes,
                              &file->tensor_count);
    if (status == SL_OK) {
        status = read_table_count(r, "the number of metadata entries", LIMIT_METADATA, entry_bytes,
                                  &file->meta_count);
    }
    return status;
}

/* ---- metadata ------------------------------------------------------------------------------- */

static sl_status skip_strings(reader *r, uint64_t count) {
    str ignored;
    for (uint64_t i = 0; i < count; i++) {
        const sl_status status = read_string(r, "a string", UINT64_MAX, &ignored);
        if (status != SL_OK) {
            return status;
        }
    }
    return SL_OK;
}

/* Checks and steps over `count` values of one type, which is no array. */
static sl_status skip_values(reader *r, meta_type type, uint64_t count) {
    const size_t left = r->size - r->at;
    const size_t least = type == META_STRING ? r->length_bytes : meta_type_bytes(type);
    if (count > left / least) {
        return fail(r, r->at, SL_ERR_FORMAT,
                    "truncated: expected %" PRIu64
                    " value(s), each %s, found the end of the file after %zu bytes",
                    count, meta_type_name(type), left);
    }
    if (type == META_STRING) {
        return skip_strings(r, count);
    }
    const size_t bytes = (size_t)count * least;
    if (type == META_BOOL) {
        for (size_t i = 0; i < bytes; i++) {
            if (r->bytes[r->at + i] > 1) {
                return fail(r, r->at + i, SL_ERR_FORMAT, "expected a bool of 0 or 1, found %u",
                            r->bytes[r->at + i]);
            }
        }
    }
    r->at += bytes;
    return SL_OK;
}

static sl_status read_array_header(reader *r, meta_entry *entry) {
    const size_t start = r->at;
    uint32_t type;
    sl_status status = read_u32(r, "the type of an array's elements", &type);
    if (status != SL_OK) {
        return status;
    }
    if (type == META_ARRAY) {
        return fail(r, start, SL_ERR_UNSUPPORTED,
                    "expected an array of simple values, found an array of arrays");
    }
    if (type >= META_TYPE_LIMIT) {
        return fail(r, start, SL_ERR_FORMAT, "expected an element type of 0 to %d, found %u",
                    META_TYPE_LIMIT - 1, type);
    }
    entry->element_type = (meta_type)type;
    return read_count(r, "the number of an array's elements", &entry->count);
}

static sl_status read_meta_entry(reader *r, meta_entry *entry) {
    *entry = (meta_entry){.offset = r->at, .count = 1};
    sl_status status = read_name(r, "a key", LIMIT_NAME_BYTES);
    if (status != SL_OK) {
        return status;
    }
    entry->key = r->name;
    const size_t type_at = r->at;
    uint32_t type;
    status = read_u32(r, "a value's type", &type);
    if (status != SL_OK) {
        return status;
    }
    if (type >= META_TYPE_LIMIT) {
        return fail(r, type_at, SL_ERR_FORMAT, "expected a value type of 0 to %d, found %u",
                    META_TYPE_LIMIT - 1, type);
    }
    entry->type = entry->element_type = (meta_type)type;
    if (type == META_ARRAY) {
        status = read_array_header(r, entry);
        if (status != SL_OK) {
            return status;
        }
    }
    const size_t start = r->at;
    status = skip_values(r, entry->element_type, entry->count);
    entry->data = r->bytes + start;
    entry->data_bytes = r->at - start;
    return status;
}

static sl_status read_metadata(reader *r, model_file *file) {
    if (file->meta_count == 0) {
        return SL_OK;
    }
    file->meta = calloc(file->meta_count, sizeof *file->meta);
    if (!file->meta) {
        return error_memory(r->error, "the table of metadata",
                            file->meta_count * sizeof *file->meta);
    }
    for (size_t i = 0; i < file->meta_count; i++) {
        begin_entry(r, "metadata entry", i);
        const sl_status status = read_meta_entry(r, &file->meta[i]);
        if (status != SL_OK) {
            return status;
        }
    }
    return SL_OK;
}

/* ---- tensors -------------------------------------------------------------------------------- */

static sl_status read_dims(reader *r, tensor_entry *tensor) {
    size_t start = r->at;
    uint32_t n_dims;
    sl_status status = read_u32(r, "the number of dimensions", &n_dims);
    if (status != SL_OK) {
        return status;
    }
    if (n_dims < 1 || n_dims > 4) {
        return fail(r, start, SL_ERR_FORMAT, "expected 1 to 4 dimensions, found %u", n_dims);
    }
    tensor->n_dims = n_dims;
    for (size_t i = 0; i < 4; i++) {
        tensor->dims[i] = 1;
    }
    for (size_t i = 0; i < n_dims; i++) {
        start = r->at;
        status = read_count(r, "a dimension", &tensor->dims[i]);
        if (status != SL_OK) {
            return status;
        }
        if (tensor->dims[i] == 0) {
            return fail(r, start, SL_ERR_FORMAT,
                        "expected dimensions over 0, found 0 as number %zu", i);
        }
    }
    return SL_OK;
}

static sl_status read_tensor_type(reader *r, tensor_entry *tensor) {
    const size_t start = r->at;
    uint32_t type;
    const sl_status status = read_u32(r, "a tensor's type", &type);
    if (status != SL_OK) {
        return status;
    }
    const char *name = quant_name_of(type);
    if (!quant_format_of(type)) {
        return fail(r, start, SL_ERR_UNSUPPORTED,
                    "expected a tensor type known here, found %u (%s)", type,
                    name ? name : "without a name");
    }
    tensor->type = (quant_type)type;
    return SL_OK;
}

/* Bytes of the tensor from its type and shape, checked for overflow. */
static sl_status measure_tensor(const reader *r, size_t at, tensor_entry *tensor) {
    const quant_format *format = quant_format_of(tensor->type);
    const uint64_t *dims = tensor->dims;
    if (dims[0] % format->block_length != 0) {
        return fail(r, at, SL_ERR_FORMAT,
                    "expected rows of a multiple of %zu values (%s), found %" PRIu64,
                    format->block_length, format->name, dims[0]);
    }
    uint64_t values, bytes;
    if (!u64_mul(dims[0] / format->block_length, format->block_bytes, &bytes) ||
        !u64_mul(bytes, dims[1], &bytes) || !u64_mul(bytes, dims[2], &bytes) ||
        !u64_mul(bytes, dims[3], &bytes) || !u64_mul(dims[0], dims[1], &values) ||
        !u64_mul(values, dims[2], &values) || !u64_mul(values, dims[3], &values) ||
        bytes > SIZE_MAX) {
        return fail(r, at, SL_ERR_FORMAT,
                    "expected a size under 2^64, found %" PRIu64 " x %" PRIu64 " x %" PRIu64
                    " x %" PRIu64 " values (%s)",
                    dims[0], dims[1], dims[2], dims[3], format->name);
    }
    tensor->bytes = (size_t)bytes;
    return SL_OK;
}

/* Leaves in `offset` what the file says: from the start of the data section. */
static sl_status read_tensor_entry(reader *r, tensor_entry *tensor) {
    *tensor = (tensor_entry){0};
    const size_t start = r->at;
    sl_status status = read_name(r, "a name", LIMIT_TENSOR_NAME_BYTES);
    if (status != SL_OK) {
        return status;
    }
    tensor->name = r->name;
    status = read_dims(r, tensor);
    if (status == SL_OK) {
        status = read_tensor_type(r, tensor);
    }
    if (status == SL_OK) {
        status = measure_tensor(r, start, tensor);
    }
    if (status == SL_OK) {
        status = read_u64(r, "an offset", &tensor->offset);
    }
    return status;
}

static sl_status read_tensors(reader *r, model_file *file) {
    if (file->tensor_count == 0) {
        return SL_OK;
    }
    file->tensors = calloc(file->tensor_count, sizeof *file->tensors);
    if (!file->tensors) {
        return error_memory(r->error, "the table of tensors",
                            file->tensor_count * sizeof *file->tensors);
    }
    for (size_t i = 0; i < file->tensor_count; i++) {
        begin_entry(r, "tensor", i);
        const sl_status status = read_tensor_entry(r, &file->tensors[i]);
        if (status != SL_OK) {
            return status;
        }
    }
    return SL_OK;
}

/* ---- the data section ----------------------------------------------------------------------- */

static sl_status read_alignment(const model_file *file, uint64_t *alignment, sl_error *error) {
    *alignment = 32;
    const sl_status status =
        meta_get_u64(file, "general.alignment", false, 8, 65536, alignment, error);
    if (status == SL_OK && (*alignment & (*alignment - 1)) != 0) {
        return error_set(
            error, SL_ERR_FORMAT,
            "byte %" PRIu64
            ": metadata \"general.alignment\": expected a power of two, found %" PRIu64,
            meta_find(file, "general.alignment")->offset, *alignment);
    }
    return status;
}

static sl_status place_tensor(const model_file *file, uint64_t alignment, tensor_entry *tensor,
                              sl_error *error) {
    if (tensor->offset % alignment != 0) {
        return error_set(error, SL_ERR_FORMAT,
                         "tensor \"%.*s\": expected an offset that is a multiple of %" PRIu64
                         ", found %" PRIu64,
                         STR_ARG(tensor->name), alignment, tensor->offset);
    }
    const uint64_t section = file->data_offset < file->size ? file->size - file->data_offset : 0;
    if (tensor->offset > section || tensor->bytes > section - tensor->offset) {
        return error_set(
            error, SL_ERR_FORMAT,
            "tensor \"%.*s\": expected %zu bytes at offset %" PRIu64 " of the data at byte %" PRIu64
            ", found the end of the file at byte %zu: the file is cut short",
            STR_ARG(tensor->name), tensor->bytes, tensor->offset, file->data_offset, file->size);
    }
    tensor->offset += file->data_offset;
    tensor->data = file->bytes + tensor->offset;
    return SL_OK;
}

/* In order of data; tensors are never empty, so two at one place overlap whatever their order. */
static int compare_places(const void *a, const void *b) {
    const tensor_entry *left = *(const tensor_entry *const *)a;
    const tensor_entry *right = *(const tensor_entry *const *)b;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

static sl_status check_overlaps(const model_file *file, sl_error *error) {
    const size_t count = file->tensor_count;
    bool ascending = true;
    for (size_t i = 1; i < count; i++) {
        const tensor_entry *before = &file->tensors[i - 1];
        ascending = ascending && before->offset + before->bytes <= file->tensors[i].offset;
    }
    if (ascending) {
        return SL_OK;
    }
    const tensor_entry **sorted = malloc(count * sizeof *sorted);
    if (!sorted) {
        return error_memory(error, "the order of tensors", count * sizeof *sorted);
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &file->tensors[i];
    }
    qsort(sorted, count, sizeof *sorted, compare_places);
    sl_status status = SL_OK;
    for (size_t i = 1; i < count && status == SL_OK; i++) {
        const tensor_entry *before = sorted[i - 1];
        const tensor_entry *after = sorted[i];
        if (before->offset + before->bytes > after->offset) {
            status = error_set(error, SL_ERR_FORMAT,
                               "tensor \"%.*s\" (%zu bytes at byte %" PRIu64
                               ") overlaps tensor \"%.*s\" at byte %" PRIu64,
                               STR_ARG(before->name), before->bytes, before->offset,
                               STR_ARG(after->name), after->offset);
        }
    }
    free(sorted);
    return status;
}

static sl_status place_tensors(model_file *file, size_t tables_end, sl_error *error) {
    uint64_t alignment;
    sl_status status = read_alignment(file, &alignment, error);
    if (status != SL_OK) {
        return status;
    }
    file->data_offset = size_round_up(tables_end, (size_t)alignment);
    for (size_t i = 0; i < file->tensor_count && status == SL_OK; i++) {
        status = place_tensor(file, alignment, &file->tensors[i], error);
    }
    return status == SL_OK ? check_overlaps(file, error) : status;
}

sl_status gguf_parse(const uint8_t *bytes, size_t size, model_file *file, sl_error *error) {
    reader r = {.bytes = bytes, .size = size, .error = error};
    model_file parsed = {.bytes = bytes, .size = size};
    sl_status status = read_header(&r, &parsed);
    if (status == SL_OK) {
        status = read_metadata(&r, &parsed);
    }
    if (status == SL_OK) {
        status = read_tensors(&r, &parsed);
    }
    if (status == SL_OK) {
        status = model_file_index(&parsed, error);
    }
    if (status == SL_OK) {
        status = place_tensors(&parsed, r.at, error);
    }
    if (status != SL_OK) {
        model_file_free(&parsed);
        return status;
    }
    *file = parsed;
    return SL_OK;
}
