#include "tokenizer/special_tokens.h"

#include "base/error.h"
#include "tokenizer/merges.h"

#include <stdlib.h>

typedef struct build_node {
    uint32_t parent;
    uint32_t depth;
    uint8_t byte;
} build_node;

static size_t edge_slot(const special_tokens *special, uint32_t node, uint8_t byte) {
    size_t slot = merge_scramble((uint64_t)node << 8 | byte) & special->edge_mask;
    while (special->edges[slot].child &&
           (special->edges[slot].node != node || special->edges[slot].byte != byte)) {
        slot = (slot + 1) & special->edge_mask;
    }
    return slot;
}

/* The state after one more byte. */
static uint32_t step(const special_tokens *special, uint32_t node, uint8_t byte) {
    while (node) {
        const uint32_t child = special->edges[edge_slot(special, node, byte)].child;
        if (child) {
            return child;
        }
        node = special->fail[node];
    }
    return special->root[byte];
}

/* ---- building ------------------------------------------------------------------------------- */

/* The text backwards, with U+2581 as a space if asked; returns its length. */
static size_t reverse(const special_source *source, char *out) {
    size_t length = 0;
    for (size_t i = source->text.len; i > 0;) {
        if (source->space && i >= 3 && memcmp(source->text.ptr + i - 3, "\xe2\x96\x81", 3) == 0) {
            out[length++] = ' ';
            i -= 3;
        } else {
            out[length++] = source->text.ptr[--i];
        }
    }
    return length;
}

static void insert(special_tokens *special, build_node *build, const char *backwards, size_t length,
                   uint32_t token) {
    uint32_t node = 0;
    for (size_t i = 0; i < length; i++) {
        const uint8_t byte = (uint8_t)backwards[i];
        special_edge *edge = &special->edges[edge_slot(special, node, byte)];
        if (!edge->child) {
            const uint32_t child = (uint32_t)special->nodes++;
            *edge = (special_edge){node, child, byte};
            build[child] = (build_node){node, (uint32_t)i + 1, byte};
        }
        node = edge->child;
    }
    if (length > 0 && special->longest[node] == 0) {
        special->patterns[special->count++] = (special_pattern){token, (uint32_t)length};
        special->longest[node] = (uint32_t)special->count;
    }
}

/* Nodes by depth, so that a node's suffix, which is shorter, is finished before it. */
static void order_by_depth(const build_node *build, size_t nodes, uint32_t *counts, size_t depths,
                           uint32_t *order) {
    for (size_t i = 1; i < nodes; i++) {
        counts[build[i].depth]++;
    }
    uint32_t before = 0;
    for (size_t depth = 0; depth < depths; depth++) {
        const uint32_t here = counts[depth];
        counts[depth] = before;
        before += here;
    }
    for (size_t i = 1; i < nodes; i++) {
        order[counts[build[i].depth]++] = (uint32_t)i;
    }
}

static void link_suffixes(special_tokens *special, const build_node *build, const uint32_t *order) {
    for (size_t i = 0; i + 1 < special->nodes; i++) {
        const uint32_t node = order[i];
        const build_node *b = &build[node];
        if (b->depth == 1) {
            special->root[b->byte] = node;
        } else {
            special->fail[node] = step(special, special->fail[b->parent], b->byte);
        }
        if (special->longest[node] == 0) {
            special->longest[node] = special->longest[special->fail[node]];
        }
    }
}

static sl_status allocate(special_tokens *special, size_t count, size_t bytes, sl_error *error) {
    size_t slots = 16;
    while (slots < 2 * (bytes + 1)) {
        slots *= 2;
    }
    special->edge_mask = slots - 1;
    special->edges = calloc(slots, sizeof *special->edges);
    special->patterns = calloc(count, sizeof *special->patterns);
    special->fail = calloc(bytes + 1, sizeof *special->fail);
    special->longest = calloc(bytes + 1, sizeof *special->longest);
    special->nodes = 1;
    if (!special->edges || !special->patterns || !special->fail || !special->longest) {
        return error_memory(error, "special tokens", slots * sizeof *special->edges);
    }
    return SL_OK;
}

static sl_status build(special_tokens *special, const special_source *sources, size_t count,
                       size_t bytes, size_t longest, sl_error *error) {
    const sl_status status = allocate(special, count, bytes, error);
    if (status != SL_OK) {
        return status;
    }
    build_node *nodes = malloc((bytes + 1) * sizeof *nodes);
    uint32_t *order = malloc((bytes + 1) * sizeof *order);
    uint32_t *counts = calloc(longest + 1, sizeof *counts);
    char *backwards = malloc(longest + 1);
    const bool enough = nodes && order && counts && backwards;
    if (enough) {
        for (size_t i = 0; i < count; i++) {
            const size_t length = reverse(&sources[i], backwards);
            insert(special, nodes, backwards, length, sources[i].token);
        }
        order_by_depth(nodes, special->nodes, counts, longest + 1, order);
        link_suffixes(special, nodes, order);
    }
    free(nodes);
    free(order);
    free(counts);
    free(backwards);
    return enough ? SL_OK : error_memory(error, "special tokens", bytes * sizeof *nodes);
}

sl_status special_tokens_build(special_tokens *special, const special_source *sources, size_t count,
                               sl_error *error) {
    *special = (special_tokens){0};
    size_t bytes = 0, longest = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += sources[i].text.len;
        longest = sources[i].text.len > longest ? sources[i].text.len : longest;
        if (bytes > SPECIAL_LIMIT_BYTES) {
            return error_set(error, SL_ERR_FORMAT,
                             "the vocabulary's control and user-defined tokens hold more than %u "
                             "bytes",
                             SPECIAL_LIMIT_BYTES);
        }
    }
    if (bytes == 0) {
        return SL_OK;
    }
    const sl_status status = build(special, sources, count, bytes, longest, error);
    if (status != SL_OK) {
        special_tokens_free(special);
    }
    return status;
}

void special_tokens_free(special_tokens *special) {
    free(special->patterns);
    free(special->fail);
    free(special->longest);
    free(special->edges);
    *special = (special_tokens){0};
}

size_t special_tokens_bytes(const special_tokens *special) {
    return special->nodes == 0
               ? 0
               : special->count * sizeof *special->patterns +
                     special->nodes * (sizeof *special->fail + sizeof *special->longest) +
                     (special->edge_mask + 1) * sizeof *special->edges;
}

/* ---- finding -------------------------------------------------------------------------------- */

sl_status special_tokens_find(const special_tokens *special, str text, bool space, array *matches,
                              sl_error *error) {
    if (special->count == 0) {
        return SL_OK;
    }
    const size_t in_front = space ? 1 : 0;
    uint32_t node = 0;
    for (size_t i = text.len + in_front; i-- > 0;) {
        const uint8_t byte = i < in_front ? ' ' : (uint8_t)text.ptr[i - in_front];
        node = step(special, node, byte);
        if (special->longest[node]) {
            const special_match match = {(uint32_t)i, special->longest[node] - 1};
            const sl_status status = array_push(matches, &match, error);
            if (status != SL_OK) {
                return status;
            }
        }
    }
    return SL_OK;
}
