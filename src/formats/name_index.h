/* name_index.h - finds an entry of a table by its name.
 *
 * An open-addressing table of entry numbers, at most half full. Its hash is SipHash-1-3 under a key
 * made from all the names of the table, so that whoever writes a file cannot choose names that
 * collide: every change of a name changes the hash of them all.
 */
#ifndef FORMATS_NAME_INDEX_H
#define FORMATS_NAME_INDEX_H

#include "base/str.h"
#include "sluice.h"

#include <stdint.h>

/* The entries indexed are an array of structs that begin with their name, a str. */
typedef struct name_slot {
    uint32_t number; /* of the entry, + 1; 0: empty */
    uint32_t
        tag; /* of its name's hash: other names are seldom looked at, which are all over memory */
} name_slot;

typedef struct name_index {
    name_slot *slots;
    size_t size; /* a power of two, 0 for a table without entries */
    uint64_t key[2];
} name_index;

#define NAME_INDEX_NONE SIZE_MAX

/* Indexes `count` entries (under 2^31), `stride` bytes apart. *twice becomes the number of an entry
 * whose name an earlier one, *first, has as well, or NAME_INDEX_NONE. Entries with an empty name
 * are left out: there may be any number of them, and none is found. The caller frees *index, also
 * after a failure (SL_ERR_MEMORY). */
SL_CHECK sl_status name_index_build(name_index *index, const void *entries, size_t stride,
                                    size_t count, size_t *first, size_t *twice, sl_error *error);
void name_index_free(name_index *index);

/* The number of the entry of that name, or NAME_INDEX_NONE. `entries` as they were indexed. */
size_t name_index_find(const name_index *index, const void *entries, size_t stride, str name);

#endif
