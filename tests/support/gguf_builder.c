#include "support/gguf_builder.h"

#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>

static void *must(void *pointer) {
    if (!pointer) {
        fputs("gguf_builder: out of memory\n", stderr);
        abort();
    }
    return pointer;
}

void gguf_builder_put(gguf_builder_bytes *bytes, const void *data, size_t count) {
    if (count > bytes->capacity - bytes->count) {
        bytes->capacity = size_max(bytes->count + count, 2 * bytes->capacity);
        bytes->data = must(realloc(bytes->data, bytes->capacity));
    }
    if (count && data) {
        memcpy(bytes->data + bytes->count, data, count);
    } else if (count) {
        memset(bytes->data + bytes->count, 0, count);
    }
    bytes->count += count;
}

static void put_u32(gguf_builder_bytes *bytes, uint32_t value) {
    gguf_builder_put(bytes, &value, sizeof value);
}

static void put_u64(gguf_builder_bytes *bytes, uint64_t value) {
    gguf_builder_put(bytes, &value, sizeof value);
}

static void put_count(const gguf_builder *b, gguf_builder_bytes *bytes, uint64_t value) {
    gguf_builder_put(bytes, &value, b->version == 1 ? 4 : 8);
}

static void put_string(const gguf_builder *b, gguf_builder_bytes *bytes, const char *text,
                       size_t length) {
    put_count(b, bytes, length);
    gguf_builder_put(bytes, text, length);
}

void gguf_builder_init(gguf_builder *b, unsigned version) {
    *b = (gguf_builder){.version = version, .alignment = 32, .pad_last_tensor = true};
}

static void free_meta(gguf_builder_meta *meta) {
    free(meta->key);
    free(meta->value.data);
}

static void free_tensor(gguf_builder_tensor *tensor) {
    free(tensor->name);
    free(tensor->data.data);
}

void gguf_builder_free(gguf_builder *b) {
    for (size_t i = 0; i < b->meta_count; i++) {
        free_meta(&b->meta[i]);
    }
    for (size_t i = 0; i < b->tensor_count; i++) {
        free_tensor(&b->tensor[i]);
    }
    free(b->meta);
    free(b->tensor);
    free(b->image);
    *b = (gguf_builder){0};
}

/* ---- metadata ------------------------------------------------------------------------------- */

static gguf_builder_bytes *add_meta(gguf_builder *b, const char *key, uint32_t type) {
    b->meta = must(realloc(b->meta, (b->meta_count + 1) * sizeof *b->meta));
    gguf_builder_meta *meta = &b->meta[b->meta_count++];
    *meta = (gguf_builder_meta){.key = must(strdup(key)), .key_bytes = strlen(key), .type = type};
    return &meta->value;
}

void gguf_builder_raw(gguf_builder *b, const char *key, uint32_t type, const void *bytes,
                      size_t count) {
    gguf_builder_put(add_meta(b, key, type), bytes, count);
}

void gguf_builder_u32(gguf_builder *b, const char *key, uint32_t value) {
    gguf_builder_raw(b, key, META_U32, &value, sizeof value);
}

void gguf_builder_u64(gguf_builder *b, const char *key, uint64_t value) {
    gguf_builder_raw(b, key, META_U64, &value, sizeof value);
}

void gguf_builder_f32(gguf_builder *b, const char *key, float value) {
    gguf_builder_raw(b, key, META_F32, &value, sizeof value);
}

void gguf_builder_bool(gguf_builder *b, const char *key, bool value) {
    const uint8_t byte = value;
    gguf_builder_raw(b, key, META_BOOL, &byte, 1);
}

void gguf_builder_string(gguf_builder *b, const char *key, const char *value) {
    put_string(b, add_meta(b, key, META_STRING), value, strlen(value));
}

void gguf_builder_array(gguf_builder *b, const char *key, meta_type type, const void *values,
                        size_t count) {
    gguf_builder_bytes *value = add_meta(b, key, META_ARRAY);
    put_u32(value, type);
    put_count(b, value, count);
    gguf_builder_put(value, values, count * meta_type_bytes(type));
}

void gguf_builder_strings(gguf_builder *b, const char *key, const char *const *values,
                          size_t count) {
    gguf_builder_bytes *value = add_meta(b, key, META_ARRAY);
    put_u32(value, META_STRING);
    put_count(b, value, count);
    for (size_t i = 0; i < count; i++) {
        put_string(b, value, values[i], strlen(values[i]));
    }
}

bool gguf_builder_remove(gguf_builder *b, const char *key) {
    size_t kept = 0;
    for (size_t i = 0; i < b->meta_count; i++) {
        if (strcmp(b->meta[i].key, key) == 0) {
            free_meta(&b->meta[i]);
        } else {
            b->meta[kept++] = b->meta[i];
        }
    }
    const bool found = kept < b->meta_count;
    b->meta_count = kept;
    return found;
}

gguf_builder_meta *gguf_builder_find(gguf_builder *b, const char *key) {
    for (size_t i = 0; i < b->meta_count; i++) {
        if (strcmp(b->meta[i].key, key) == 0) {
            return &b->meta[i];
        }
    }
    return NULL;
}

/* ---- tensors -------------------------------------------------------------------------------- */

void gguf_builder_tensor_raw(gguf_builder *b, const char *name, uint32_t type, uint32_t n_dims,
                             const uint64_t *dims, const void *data, size_t bytes) {
    b->tensor = must(realloc(b->tensor, (b->tensor_count + 1) * sizeof *b->tensor));
    gguf_builder_tensor *tensor = &b->tensor[b->tensor_count++];
    *tensor = (gguf_builder_tensor){
        .name = must(strdup(name)), .name_bytes = strlen(name), .type = type, .n_dims = n_dims};
    memcpy(tensor->dims, dims, size_min(n_dims, COUNT_OF(tensor->dims)) * sizeof *dims);
    gguf_builder_put(&tensor->data, data, bytes);
}

static size_t shape_bytes(quant_type type, uint32_t n_dims, const uint64_t *dims) {
    size_t bytes = quant_row_bytes(type, dims[0]);
    for (uint32_t i = 1; i < n_dims; i++) {
        bytes *= dims[i];
    }
    return bytes;
}

void gguf_builder_tensor_add(gguf_builder *b, const char *name, quant_type type, uint32_t n_dims,
                             const uint64_t *dims, const void *data) {
    gguf_builder_tensor_raw(b, name, type, n_dims, dims, data, shape_bytes(type, n_dims, dims));
}

bool gguf_builder_tensor_remove(gguf_builder *b, const char *name) {
    size_t kept = 0;
    for (size_t i = 0; i < b->tensor_count; i++) {
        if (strcmp(b->tensor[i].name, name) == 0) {
            free_tensor(&b->tensor[i]);
        } else {
            b->tensor[kept++] = b->tensor[i];
        }
    }
    const bool found = kept < b->tensor_count;
    b->tensor_count = kept;
    return found;
}

gguf_builder_tensor *gguf_builder_tensor_find(gguf_builder *b, const char *name) {
    for (size_t i = 0; i < b->tensor_count; i++) {
        if (strcmp(b->tensor[i].name, name) == 0) {
            return &b->tensor[i];
        }
    }
    return NULL;
}

/* ---- the image ------------------------------------------------------------------------------ */

static void write_meta(const gguf_builder *b, gguf_builder_bytes *out, gguf_builder_meta *meta) {
    meta->key_at = out->count;
    put_string(b, out, meta->key, meta->key_bytes);
    meta->type_at = out->count;
    put_u32(out, meta->type);
    meta->value_at = out->count;
    gguf_builder_put(out, meta->value.data, meta->value.count);
}

static void write_tensor(const gguf_builder *b, gguf_builder_bytes *out,
                         gguf_builder_tensor *tensor, uint64_t offset) {
    tensor->name_at = out->count;
    put_string(b, out, tensor->name, tensor->name_bytes);
    tensor->n_dims_at = out->count;
    put_u32(out, tensor->n_dims);
    tensor->dims_at = out->count;
    for (size_t i = 0; i < size_min(tensor->n_dims, COUNT_OF(tensor->dims)); i++) {
        put_count(b, out, tensor->dims[i]);
    }
    tensor->type_at = out->count;
    put_u32(out, tensor->type);
    tensor->offset_at = out->count;
    put_u64(out, offset);
}

static void pad(const gguf_builder *b, gguf_builder_bytes *out) {
    gguf_builder_put(out, NULL, size_round_up(out->count, b->alignment) - out->count);
}

void gguf_builder_finish(gguf_builder *b) {
    gguf_builder_bytes out = {0};
    gguf_builder_put(&out, "GGUF", 4);
    put_u32(&out, b->version);
    b->tensor_count_at = out.count;
    put_count(b, &out, b->tensor_count);
    b->meta_count_at = out.count;
    put_count(b, &out, b->meta_count);
    for (size_t i = 0; i < b->meta_count; i++) {
        write_meta(b, &out, &b->meta[i]);
    }
    uint64_t offset = 0;
    for (size_t i = 0; i < b->tensor_count; i++) {
        write_tensor(b, &out, &b->tensor[i], offset);
        offset += size_round_up(b->tensor[i].data.count, b->alignment);
    }
    for (size_t i = 0; i < b->tensor_count; i++) {
        pad(b, &out);
        b->tensor[i].data_at = out.count;
        gguf_builder_put(&out, b->tensor[i].data.data, b->tensor[i].data.count);
    }
    if (b->pad_last_tensor) {
        pad(b, &out);
    }
    free(b->image);
    /* Exactly as large as the file, so that a sanitizer sees a read behind it. */
    b->image = must(realloc(out.data, out.count));
    b->image_bytes = out.count;
}

void gguf_builder_patch(gguf_builder *b, size_t at, size_t width, uint64_t value) {
    if (width > b->image_bytes || at > b->image_bytes - width) {
        fputs("gguf_builder: a patch outside the image\n", stderr);
        abort();
    }
    memcpy(b->image + at, &value, width);
}
