#include "tokenizer/text_chains.h"

#include "base/error.h"
#include "tokenizer/text_order.h"

#include <stdlib.h>

static bool begins(str part, str text) {
    return part.len < text.len && memcmp(part.ptr, text.ptr, part.len) == 0;
}

static bool ends(str part, str text) {
    return part.len < text.len && memcmp(part.ptr, text.ptr + text.len - part.len, part.len) == 0;
}

/* What is part of others comes before them in this order, and in the chain of each. */
static void link_texts(const uint32_t *order, const str *texts, size_t count, uint32_t *links,
                       bool (*is_part)(str, str)) {
    for (size_t i = 0; i < count; i++) {
        uint32_t other = i > 0 ? order[i - 1] : CHAIN_END;
        while (other != CHAIN_END && !is_part(texts[other], texts[order[i]])) {
            other = links[other];
        }
        links[order[i]] = other;
    }
}

sl_status text_chains_build(text_chains *chains, const str *texts, size_t count, sl_error *error) {
    const size_t room = count ? count : 1;
    uint32_t *order = malloc(room * sizeof *order);
    chains->begins = malloc(room * sizeof *chains->begins);
    chains->ends = malloc(room * sizeof *chains->ends);
    chains->lengths = malloc(room * sizeof *chains->lengths);
    if (!order || !chains->begins || !chains->ends || !chains->lengths) {
        free(order);
        return error_memory(error, "the vocabulary", room * 4 * sizeof *order);
    }
    for (size_t i = 0; i < count; i++) {
        chains->lengths[i] = (uint32_t)texts[i].len;
    }
    sl_status status = text_order(texts, count, false, order, error);
    if (status == SL_OK) {
        link_texts(order, texts, count, chains->begins, begins);
        status = text_order(texts, count, true, order, error);
    }
    if (status == SL_OK) {
        link_texts(order, texts, count, chains->ends, ends);
    }
    free(order);
    return status;
}

void text_chains_free(text_chains *chains) {
    free(chains->begins);
    free(chains->ends);
    free(chains->lengths);
    *chains = (text_chains){NULL, NULL, NULL};
}
