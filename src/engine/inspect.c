/* inspect.c - sl_file: a model file's tables for looking at; and the machine. */
#include "engine/inspect.h"
#include "base/bytes.h"
#include "base/error.h"
#include "cpu/cpu.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

sl_status sl_file_open(const char *path, sl_file **file, sl_error *error) {
    sl_file *f = calloc(1, sizeof *f);
    if (!f) {
        return error_memory(error, "a file", sizeof *f);
    }
    const sl_status status = model_open(path, &f->mapping, &f->tables, error);
    if (status != SL_OK) {
        free(f);
        return status;
    }
    f->walk_entry = SIZE_MAX;
    *file = f;
    return SL_OK;
}

void sl_file_close(sl_file *file) {
    if (file) {
        model_close(&file->mapping, &file->tables);
        free(file);
    }
}

/* Without what lies between the files of a mapping. */
static uint64_t bytes_of_files(const os_mapping *mapping) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < mapping->n_part; i++) {
        bytes += mapping->parts[i].size;
    }
    return bytes;
}

void sl_file_get_info(const sl_file *file, sl_file_info *info) {
    *info = (sl_file_info){
        .format = file->tables.format,
        .file_bytes = bytes_of_files(&file->mapping),
        .data_offset = file->tables.data_offset,
        .metadata_count = file->tables.meta_count,
        .tensor_count = file->tables.tensor_count,
    };
}

static sl_value_type public_type(meta_type type) {
    switch (type) {
    case META_U8:
    case META_U16:
    case META_U32:
    case META_U64:
        return SL_VALUE_UINT;
    case META_I8:
    case META_I16:
    case META_I32:
    case META_I64:
        return SL_VALUE_INT;
    case META_F32:
    case META_F64:
        return SL_VALUE_FLOAT;
    case META_BOOL:
        return SL_VALUE_BOOL;
    case META_STRING:
        return SL_VALUE_STRING;
    case META_ARRAY:
        return SL_VALUE_ARRAY;
    case META_TYPE_LIMIT:
        break;
    }
    return SL_VALUE_UINT;
}

void sl_file_metadata(const sl_file *file, size_t index, sl_metadata *metadata) {
    const meta_entry *entry = &file->tables.meta[index];
    *metadata = (sl_metadata){
        .key = entry->key.ptr,
        .key_length = entry->key.len,
        .type = public_type(entry->type),
        .element_type = public_type(entry->element_type),
        .count = entry->count,
    };
}

static void read_number(const uint8_t *at, meta_type type, sl_value *value) {
    const size_t bytes = meta_type_bytes(type);
    const uint64_t raw = bytes_number(at, bytes);
    value->u = raw;
    const unsigned unused = 64 - 8 * (unsigned)bytes;
    value->i = (int64_t)(raw << unused) >> unused;
    if (type == META_F32) {
        const uint32_t bits = (uint32_t)raw;
        float f;
        memcpy(&f, &bits, sizeof f);
        value->f = (double)f;
    } else if (type == META_F64) {
        memcpy(&value->f, &raw, sizeof value->f);
    }
}

/* Strings have no index: a walk that goes on where it stood is cheap, others begin again. */
static str walk_to(sl_file *file, size_t index, uint64_t element) {
    const meta_entry *entry = &file->tables.meta[index];
    if (file->walk_entry != index || file->walk_element > element) {
        file->walk_entry = index;
        file->walk_element = 0;
        file->walk_cursor = 0;
    }
    str s = {"", 0};
    while (file->walk_element <= element) {
        s = meta_array_string(&file->tables, entry, &file->walk_cursor);
        file->walk_element++;
    }
    return s;
}

void sl_file_value(sl_file *file, size_t index, uint64_t element, sl_value *value) {
    const meta_entry *entry = &file->tables.meta[index];
    assert(element < entry->count);
    *value = (sl_value){.type = public_type(entry->element_type)};
    if (entry->element_type == META_STRING) {
        const str s = walk_to(file, index, element);
        value->string = s.ptr;
        value->string_length = s.len;
    } else {
        read_number(entry->data + element * meta_type_bytes(entry->element_type),
                    entry->element_type, value);
    }
}

void sl_file_tensor(const sl_file *file, size_t index, sl_tensor_info *tensor) {
    const tensor_entry *entry = &file->tables.tensors[index];
    *tensor = (sl_tensor_info){
        .name = entry->name.ptr,
        .name_length = entry->name.len,
        .type = quant_format_of(entry->type)->name,
        .n_dims = entry->n_dims,
        .offset = entry->offset,
        .bytes = entry->bytes,
    };
    memcpy(tensor->dims, entry->dims, sizeof tensor->dims);
}

void sl_machine_get_info(sl_machine_info *info) {
    *info = (sl_machine_info){
        .memory_total = os_memory_total(),
        .memory_available = os_memory_available(),
        .cores = os_core_count(),
        .cpu_features = cpu_features_text(),
    };
}

uint64_t sl_peak_memory(void) {
    return os_memory_peak();
}
