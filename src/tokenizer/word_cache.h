/* word_cache.h - the tokens of words met before in the same text; most words of a long text are. */
#ifndef TOKENIZER_WORD_CACHE_H
#define TOKENIZER_WORD_CACHE_H

#include "base/str.h"

#include <stdint.h>

#define WORD_CACHE_KEY_BYTES 22u
#define WORD_CACHE_TOKENS 10u
#define WORD_CACHE_ENTRIES 8192u /* 512 KiB: about what the second-level cache holds */

/* One cache line. */
typedef struct word_cache_entry {
    uint8_t length; /* of the key; 0: empty */
    uint8_t count;
    char key[WORD_CACHE_KEY_BYTES]; /* padded with zeros */
    uint32_t tokens[WORD_CACHE_TOKENS];
} word_cache_entry;

/* Where a word of 1 to WORD_CACHE_KEY_BYTES bytes is, or would be; *hit says which. A new word
 * replaces the one that is there. On a miss the entry is cleared and its key set: the caller fills
 * in the tokens and then `length`. */
static inline word_cache_entry *word_cache_find(word_cache_entry *entries, str word, bool *hit) {
    char key[24] = {0};
    uint64_t words[3];
    memcpy(key, word.ptr, word.len);
    memcpy(words, key, sizeof words);
    uint64_t hash = (words[0] ^ word.len) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ hash >> 32 ^ words[1]) * 0xff51afd7ed558ccdu;
    hash = (hash ^ hash >> 32 ^ words[2]) * 0xc4ceb9fe1a85ec53u;
    word_cache_entry *entry = &entries[hash >> 32 & (WORD_CACHE_ENTRIES - 1)];
    *hit = entry->length == word.len && memcmp(entry->key, key, sizeof entry->key) == 0;
    if (!*hit) {
        entry->length = 0;
        memcpy(entry->key, key, sizeof entry->key);
    }
    return entry;
}

#endif
