#include "support/byte_list.h"

#include <stdlib.h>
#include <string.h>

void byte_list_free(byte_list *b) {
    free(b->data);
    *b = (byte_list){0};
}

void byte_list_add(byte_list *b, const void *bytes, size_t size) {
    if (size > b->capacity - b->count) {
        b->capacity = 2 * (b->count + size);
        b->data = realloc(b->data, b->capacity);
        if (!b->data) {
            abort();
        }
    }
    if (size > 0) {
        memcpy(b->data + b->count, bytes, size);
    }
    b->count += size;
}

void byte_list_text(byte_list *b, const char *text) {
    byte_list_add(b, text, strlen(text));
}

void byte_list_number(byte_list *b, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        byte_list_add(b, &(uint8_t){i < 8 ? (uint8_t)(value >> (8 * i)) : 0}, 1);
    }
}

/* ---- pickles -------------------------------------------------------------------------------- */

void pickle_put_string(byte_list *b, const char *text) {
    byte_list_text(b, "X");
    byte_list_number(b, strlen(text), 4);
    byte_list_text(b, text);
}

void pickle_put_int(byte_list *b, uint32_t value) {
    byte_list_text(b, "J");
    byte_list_number(b, value, 4);
}

void pickle_put_global(byte_list *b, const char *module, const char *name) {
    byte_list_text(b, "c");
    byte_list_text(b, module);
    byte_list_text(b, "\n");
    byte_list_text(b, name);
    byte_list_text(b, "\n");
}

void pickle_put_tuple(byte_list *b, const uint32_t *values) {
    byte_list_text(b, "(");
    for (; *values != UINT32_MAX; values++) {
        pickle_put_int(b, *values);
    }
    byte_list_text(b, "t");
}

void pickle_put_storage(byte_list *b, const char *type, const char *key, uint32_t count) {
    byte_list_text(b, "(");
    pickle_put_string(b, "storage");
    pickle_put_global(b, "torch", type);
    pickle_put_string(b, key);
    pickle_put_string(b, "cpu");
    pickle_put_int(b, count);
    byte_list_text(b, "tQ");
}

void pickle_put_tensor(byte_list *b, const char *type, const char *key, uint32_t count,
                       uint32_t offset, const uint32_t *sizes, const uint32_t *strides) {
    pickle_put_global(b, "torch._utils", "_rebuild_tensor_v2");
    byte_list_text(b, "(");
    pickle_put_storage(b, type, key, count);
    pickle_put_int(b, offset);
    pickle_put_tuple(b, sizes);
    pickle_put_tuple(b, strides);
    byte_list_text(b, "\x89");
    pickle_put_global(b, "collections", "OrderedDict");
    byte_list_text(b, ")RtR");
}

/* ---- zip archives --------------------------------------------------------------------------- */

/* The fields that both headers share, from flags to the extra fields' length. */
static void put_shared(byte_list *b, const zip_entry_made *e, bool wide, size_t extra) {
    byte_list_number(b, 0, 2); /* flags */
    byte_list_number(b, 0, 2); /* stored */
    byte_list_number(b, 0, 4); /* time and date */
    byte_list_number(b, 0, 4); /* checksum */
    byte_list_number(b, wide ? UINT32_MAX : e->size, 4);
    byte_list_number(b, wide ? UINT32_MAX : e->size, 4);
    byte_list_number(b, strlen(e->name), 2);
    byte_list_number(b, extra, 2);
}

static void put_central(byte_list *b, const zip_entry_made *e, uint64_t begin, bool wide) {
    byte_list_text(b, "PK\1\2");
    byte_list_number(b, 45, 2);
    byte_list_number(b, 45, 2);
    put_shared(b, e, wide, wide ? 28 : 0);
    byte_list_number(b, 0, 2); /* comment */
    byte_list_number(b, 0, 2); /* disk */
    byte_list_number(b, 0, 6); /* attributes */
    byte_list_number(b, wide ? UINT32_MAX : begin, 4);
    byte_list_text(b, e->name);
    if (wide) {
        byte_list_number(b, 1, 2);
        byte_list_number(b, 24, 2);
        byte_list_number(b, e->size, 8);
        byte_list_number(b, e->size, 8);
        byte_list_number(b, begin, 8);
    }
}

void zip_put(byte_list *b, const zip_entry_made *entries, size_t count, bool wide) {
    uint64_t begin[16];
    for (size_t i = 0; i < count; i++) {
        begin[i] = b->count;
        byte_list_text(b, "PK\3\4");
        byte_list_number(b, 45, 2);
        put_shared(b, &entries[i], false, 0);
        byte_list_text(b, entries[i].name);
        byte_list_add(b, entries[i].data, entries[i].size);
    }
    const uint64_t directory = b->count;
    for (size_t i = 0; i < count; i++) {
        put_central(b, &entries[i], begin[i], wide);
    }
    const uint64_t size = b->count - directory, end = b->count;
    if (wide) {
        byte_list_text(b, "PK\6\6");
        byte_list_number(b, 44, 8);
        byte_list_number(b, 45, 2);
        byte_list_number(b, 45, 2);
        byte_list_number(b, 0, 8);
        byte_list_number(b, count, 8);
        byte_list_number(b, count, 8);
        byte_list_number(b, size, 8);
        byte_list_number(b, directory, 8);
        byte_list_text(b, "PK\6\7");
        byte_list_number(b, 0, 4);
        byte_list_number(b, end, 8);
        byte_list_number(b, 1, 4);
    }
    byte_list_text(b, "PK\5\6");
    byte_list_number(b, 0, 4);
    byte_list_number(b, wide ? UINT16_MAX : count, 2);
    byte_list_number(b, wide ? UINT16_MAX : count, 2);
    byte_list_number(b, wide ? UINT32_MAX : size, 4);
    byte_list_number(b, wide ? UINT32_MAX : directory, 4);
    byte_list_number(b, 0, 2);
}
