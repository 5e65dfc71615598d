#include "formats/name_index.h"

#include "base/error.h"

#include <stdlib.h>

static uint64_t rotate_left(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
}

/* SipHash-1-3 of Aumasson and Bernstein (https://131002.net/siphash): one round a word, three at
 * the end; what hash tables use. */
static uint64_t sip_hash(const uint64_t key[2], str text) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    size_t left = text.len;
    for (const char *at = text.ptr; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)text.len << 56;
    for (size_t i = 0; i < left; i++) {
        last |= (uint64_t)(unsigned char)text.ptr[text.len - left + i] << (8 * i);
    }
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static str name_at(const void *entries, size_t stride, size_t number) {
    str name;
    memcpy(&name, (const char *)entries + number * stride, sizeof name);
    return name;
}

/* A key that nobody knows before all names are there. */
static void make_key(uint64_t key[2], const void *entries, size_t stride, size_t count) {
    key[0] = 0x736c75696365206eu;
    key[1] = count;
    for (size_t i = 0; i < count; i++) {
        const uint64_t hash = sip_hash(key, name_at(entries, stride, i));
        key[1] = rotate_left(key[0], 29) ^ hash;
        key[0] = hash;
    }
}

/* The slot that holds the name, or the empty one where it would go. */
static size_t find_slot(const name_index *index, const void *entries, size_t stride, str name,
                        uint32_t *tag) {
    const uint64_t hash = sip_hash(index->key, name);
    size_t slot = (size_t)hash & (index->size - 1);
    *tag = (uint32_t)(hash >> 32);
    while (index->slots[slot].number &&
           (index->slots[slot].tag != *tag ||
            !str_equal(name_at(entries, stride, index->slots[slot].number - 1), name))) {
        slot = (slot + 1) & (index->size - 1);
    }
    return slot;
}

sl_status name_index_build(name_index *index, const void *entries, size_t stride, size_t count,
                           size_t *first, size_t *twice, sl_error *error) {
    *index = (name_index){0};
    *twice = NAME_INDEX_NONE;
    if (count == 0) {
        return SL_OK;
    }
    size_t size = 16;
    while (size < 2 * count) {
        size *= 2;
    }
    index->slots = calloc(size, sizeof *index->slots);
    if (!index->slots) {
        return error_memory(error, "an index of names", size * sizeof *index->slots);
    }
    index->size = size;
    make_key(index->key, entries, stride, count);
    for (size_t i = 0; i < count; i++) {
        const str name = name_at(entries, stride, i);
        if (name.len == 0) {
            continue;
        }
        uint32_t tag;
        const size_t slot = find_slot(index, entries, stride, name, &tag);
        if (index->slots[slot].number) {
            *first = index->slots[slot].number - 1;
            *twice = i;
            return SL_OK;
        }
        index->slots[slot] = (name_slot){(uint32_t)(i + 1), tag};
    }
    return SL_OK;
}

void name_index_free(name_index *index) {
    free(index->slots);
    *index = (name_index){0};
}

size_t name_index_find(const name_index *index, const void *entries, size_t stride, str name) {
    if (index->size == 0 || name.len == 0) {
        return NAME_INDEX_NONE;
    }
    uint32_t tag;
    const uint32_t found = index->slots[find_slot(index, entries, stride, name, &tag)].number;
    return found ? found - 1 : NAME_INDEX_NONE;
}
