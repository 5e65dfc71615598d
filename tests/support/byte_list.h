/* byte_list.h - bytes that are put together one after the other, for tests of readers; and torch
 * files and zip archives made of them. Running out of memory aborts.
 */
#ifndef SUPPORT_BYTE_LIST_H
#define SUPPORT_BYTE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct byte_list {
    uint8_t *data;
    size_t count, capacity;
} byte_list;

void byte_list_free(byte_list *b);
void byte_list_add(byte_list *b, const void *bytes, size_t size);
void byte_list_text(byte_list *b, const char *text);               /* without its NUL */
void byte_list_number(byte_list *b, uint64_t value, size_t bytes); /* little-endian */

/* ---- pickles: a piece each ------------------------------------------------------------------ */

void pickle_put_string(byte_list *b, const char *text);
void pickle_put_int(byte_list *b, uint32_t value);
void pickle_put_global(byte_list *b, const char *module, const char *name);
/* A tuple of numbers, ended by UINT32_MAX. */
void pickle_put_tuple(byte_list *b, const uint32_t *values);
/* The persistent id of a storage, and the call that makes a tensor of it. */
void pickle_put_storage(byte_list *b, const char *type, const char *key, uint32_t count);
void pickle_put_tensor(byte_list *b, const char *type, const char *key, uint32_t count,
                       uint32_t offset, const uint32_t *sizes, const uint32_t *strides);

/* ---- zip archives --------------------------------------------------------------------------- */

typedef struct zip_entry_made {
    const char *name;
    const void *data;
    size_t size;
} zip_entry_made;

/* Stored entries one after the other, directory and end records; `wide`: with 64-bit ones, and all
 * sizes in extra fields. */
void zip_put(byte_list *b, const zip_entry_made *entries, size_t count, bool wide);

#endif
