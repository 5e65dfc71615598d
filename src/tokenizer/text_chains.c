#include "tokenizer/text_chains.h"

#include "base/error.h"

#include <stdlib.h>

typedef struct sorted {
    str text;
    uint32_t number;
} sorted;

static int by_length(size_t a, size_t b) {
    return a < b ? -1 : a > b;
}

static int by_text(const void *a, const void *b) {
    const str s = ((const sorted *)a)->text, t = ((const sorted *)b)->text;
    const size_t shorter = s.len < t.len ? s.len : t.len;
    const int order = shorter ? memcmp(s.ptr, t.ptr, shorter) : 0;
    return order ? order : by_length(s.len, t.len);
}

static int by_reversed_text(const void *a, const void *b) {
    const str s = ((const sorted *)a)->text, t = ((const sorted *)b)->text;
    for (size_t i = 1; i <= s.len && i <= t.len; i++) {
        const uint8_t x = (uint8_t)s.ptr[s.len - i], y = (uint8_t)t.ptr[t.len - i];
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return by_length(s.len, t.len);
}

static bool begins(str part, str text) {
    return part.len < text.len && memcmp(part.ptr, text.ptr, part.len) == 0;
}

static bool ends(str part, str text) {
    return part.len < text.len && memcmp(part.ptr, text.ptr + text.len - part.len, part.len) == 0;
}

/* What is part of others comes before them in this order, and in the chain of each. */
static void link_texts(sorted *order, const str *texts, size_t count, uint32_t *links,
                       int (*compare)(const void *, const void *), bool (*is_part)(str, str)) {
    qsort(order, count, sizeof *order, compare);
    for (size_t i = 0; i < count; i++) {
        uint32_t other = i > 0 ? order[i - 1].number : CHAIN_END;
        while (other != CHAIN_END && !is_part(texts[other], order[i].text)) {
            other = links[other];
        }
        links[order[i].number] = other;
    }
}

sl_status text_chains_build(text_chains *chains, const str *texts, size_t count, sl_error *error) {
    const size_t room = count ? count : 1;
    sorted *order = malloc(room * sizeof *order);
    chains->begins = malloc(room * sizeof *chains->begins);
    chains->ends = malloc(room * sizeof *chains->ends);
    if (!order || !chains->begins || !chains->ends) {
        free(order);
        return error_memory(error, "the vocabulary", room * (sizeof *order + 8));
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = (sorted){texts[i], (uint32_t)i};
    }
    link_texts(order, texts, count, chains->begins, by_text, begins);
    link_texts(order, texts, count, chains->ends, by_reversed_text, ends);
    free(order);
    return SL_OK;
}

void text_chains_free(text_chains *chains) {
    free(chains->begins);
    free(chains->ends);
    *chains = (text_chains){NULL, NULL};
}
