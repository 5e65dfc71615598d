#include "tokenizer/encoder.h"

#include "base/error.h"

sl_status encoder_put(encoder *e, const uint32_t *tokens, size_t count) {
    if (count > e->out->capacity - e->out->count) {
        const sl_status status = array_reserve(e->out, count, e->error);
        if (status != SL_OK) {
            return status;
        }
    }
    uint32_t *out = (uint32_t *)e->out->items + e->out->count;
    for (size_t i = 0; i < count; i++) {
        out[i] = tokens[i];
    }
    e->out->count += count;
    e->after_unknown = false;
    return SL_OK;
}

sl_status encoder_push(encoder *e, uint32_t symbol) {
    if (e->symbols.count == e->symbols.ceiling) {
        return error_set(
            e->error, SL_ERR_MEMORY,
            "a word of over %zu characters needs more memory than there is to merge it",
            e->symbols.ceiling);
    }
    if (e->symbols.count == e->symbols.capacity) {
        return array_push(&e->symbols, &symbol, e->error);
    }
    ((uint32_t *)e->symbols.items)[e->symbols.count++] = symbol;
    return SL_OK;
}

static bool fits_cache(const encoder *e, str word) {
    return e->cache && word.len > 1 && word.len <= WORD_CACHE_KEY_BYTES;
}

sl_status encoder_recall(encoder *e, str word, bool *done) {
    *done = false;
    if (!fits_cache(e, word)) {
        return SL_OK;
    }
    const word_cache_entry *entry = word_cache_find(e->cache, word, done);
    return *done ? encoder_put(e, entry->tokens, entry->count) : SL_OK;
}

static void remember(encoder *e, str word, const uint32_t *tokens, size_t count) {
    if (fits_cache(e, word) && count <= WORD_CACHE_TOKENS) {
        bool hit;
        word_cache_entry *entry = word_cache_find(e->cache, word, &hit);
        for (size_t i = 0; i < count; i++) {
            entry->tokens[i] = tokens[i];
        }
        entry->count = (uint8_t)count;
        entry->length = (uint8_t)word.len;
    }
}

sl_status encoder_put_word(encoder *e, str word, uint32_t token) {
    remember(e, word, &token, 1);
    return encoder_put(e, &token, 1);
}

sl_status encoder_finish_word(encoder *e, str word, encoder_odd_fn odd, const void *part) {
    uint32_t *symbols = e->symbols.items;
    size_t count = e->symbols.count;
    e->symbols.count = 0;
    sl_status status = merge_word(e->merges, &e->queue, symbols, &count, e->error);
    size_t known = 0;
    for (size_t i = 0; i < count && status == SL_OK; i = ++known) {
        while (known < count && symbols[known] < e->vocabulary) {
            known++;
        }
        status = known > i ? encoder_put(e, symbols + i, known - i) : SL_OK;
        if (known == count) {
            break;
        }
        status = status == SL_OK ? odd(e, part, symbols[known]) : status;
        word.len = 0; /* the cache holds tokens only */
    }
    if (status == SL_OK) {
        remember(e, word, symbols, count);
    }
    return status;
}
