/* bpe_ranks.c - merges for a byte-level vocabulary that lists none, as legacy ggml files do: two
 * neighbours merge if their bytes together are a token, and the lowest id goes first. GPT-2's ids
 * grow in the order of its merges, so these are its own. */
#include "base/error.h"
#include "base/limits.h"
#include "tokenizer/bpe.h"
#include "tokenizer/text_chains.h"

#include <stdlib.h>

typedef struct ranks {
    bpe *b;
    merge_table *merges;
    const vocabulary *v;
    uint32_t *tokens; /* those that plain text may become */
    str *texts;       /* their bytes */
    size_t count;
    text_chains chains;
    uint32_t *left_at; /* by length: the token of that much of the text at hand */
    sl_error *error;
} ranks;

static sl_status collect(ranks *r, const str *pieces) {
    const size_t count = r->v->count;
    r->tokens = malloc(count * sizeof *r->tokens);
    r->texts = malloc(count * sizeof *r->texts);
    r->left_at = malloc((LIMIT_TOKEN_BYTES + 1) * sizeof *r->left_at);
    char *scratch = malloc(LIMIT_TOKEN_BYTES);
    if (!r->tokens || !r->texts || !r->left_at || !scratch) {
        free(scratch);
        return error_memory(r->error, "the vocabulary", count * sizeof *r->texts);
    }
    memset(r->left_at, 0xff, (LIMIT_TOKEN_BYTES + 1) * sizeof *r->left_at);
    for (size_t i = 0; i < count; i++) {
        size_t length;
        if (vocabulary_is_plain(r->v, i) && pieces[i].len > 0 &&
            bpe_decode_text(r->v->texts[i], scratch, &length)) {
            r->tokens[r->count] = (uint32_t)i;
            r->texts[r->count++] = pieces[i];
        }
    }
    free(scratch);
    return SL_OK;
}

/* All cuts of one text into two others; added if there is a table, and counted. */
static size_t cut(ranks *r, size_t number, bool adding) {
    const str text = r->texts[number];
    size_t found = 0;
    for (uint32_t i = r->chains.begins[number]; i != CHAIN_END; i = r->chains.begins[i]) {
        r->left_at[r->chains.lengths[i]] = r->tokens[i];
    }
    for (uint32_t i = r->chains.ends[number]; i != CHAIN_END; i = r->chains.ends[i]) {
        const size_t at = text.len - r->chains.lengths[i];
        if (r->left_at[at] == MERGE_NONE) {
            continue;
        }
        found++;
        if (adding) {
            const uint32_t result = r->tokens[number];
            const uint8_t first = (uint8_t)text.ptr[at - 1], second = (uint8_t)text.ptr[at];
            r->b->seams[first][second / 64] |= (uint64_t)1 << second % 64;
            merge_table_add(r->merges, (merge_pair){r->left_at[at], r->tokens[i], result, result});
        }
    }
    for (uint32_t i = r->chains.begins[number]; i != CHAIN_END; i = r->chains.begins[i]) {
        r->left_at[r->chains.lengths[i]] = MERGE_NONE;
    }
    return found;
}

static sl_status add(ranks *r) {
    size_t pairs = 0;
    for (size_t i = 0; i < r->count; i++) {
        pairs += cut(r, i, false);
        if (pairs > LIMIT_MERGES) {
            return error_set(r->error, SL_ERR_FORMAT,
                             "the vocabulary lists no merges, and there are more than %u ways to "
                             "cut a token into two others",
                             LIMIT_MERGES);
        }
    }
    const sl_status status =
        merge_table_init(r->merges, pairs, r->v->count, r->v->index.key[0], r->error);
    for (size_t i = 0; i < r->count && status == SL_OK; i++) {
        (void)cut(r, i, true);
    }
    merge_table_finish(r->merges);
    return status;
}

sl_status bpe_add_ranks(bpe *b, merge_table *merges, const vocabulary *v, const str *pieces,
                        sl_error *error) {
    ranks r = {.b = b, .merges = merges, .v = v, .error = error};
    sl_status status = collect(&r, pieces);
    status = status == SL_OK ? text_chains_build(&r.chains, r.texts, r.count, error) : status;
    status = status == SL_OK ? add(&r) : status;
    text_chains_free(&r.chains);
    free(r.tokens);
    free(r.texts);
    free(r.left_at);
    return status;
}
