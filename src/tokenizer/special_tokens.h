/* special_tokens.h - finds the tokens that are matched in a text as they are written, before
 * anything else looks at it: control tokens such as "<|im_end|>", and user-defined ones. */
#ifndef TOKENIZER_SPECIAL_TOKENS_H
#define TOKENIZER_SPECIAL_TOKENS_H

#include "base/array.h"
#include "base/str.h"

#include <stdint.h>

/* The text of all special tokens together; known vocabularies hold under 100 KB. */
#define SPECIAL_LIMIT_BYTES (4u << 20)

typedef struct special_edge {
    uint32_t node, child; /* child 0: an empty slot */
    uint8_t byte;
} special_edge;

typedef struct special_pattern {
    uint32_t token;
    uint32_t length;
} special_pattern;

/* An automaton after Aho and Corasick over the patterns read backwards, so that walking a text from
 * its end gives for every position the longest pattern that begins there, in linear time whatever
 * the patterns. Node 0 is the root. Read-only once built; zeroed, it matches nothing. */
typedef struct special_tokens {
    special_pattern *patterns;
    size_t count;
    uint32_t *fail;    /* per node: the node of its longest proper suffix */
    uint32_t *longest; /* per node: the longest pattern that ends it, + 1; 0: none */
    size_t nodes;
    special_edge *edges; /* open addressing, at most half full */
    size_t edge_mask;
    uint32_t root[256];
} special_tokens;

/* Patterns are added and then built. `space`: a user-defined piece of SentencePiece, in which
 * U+2581 means a space. Empty ones, and ones that are there already, are ignored. */
typedef struct special_source {
    str text;
    uint32_t token;
    bool space;
} special_source;

/* On failure *special is zeroed. SL_ERR_FORMAT if they are over SPECIAL_LIMIT_BYTES. */
SL_CHECK sl_status special_tokens_build(special_tokens *special, const special_source *sources,
                                        size_t count, sl_error *error);
void special_tokens_free(special_tokens *special);
size_t special_tokens_bytes(const special_tokens *special);

typedef struct special_match {
    uint32_t start;
    uint32_t pattern;
} special_match;

/* Appends to `matches` (of special_match), from the end of the text to its beginning, the longest
 * pattern at each position where there is one. With `space` the text is taken to have one more
 * space in front; position 0 is then that space, and 1 the text's first byte. */
SL_CHECK sl_status special_tokens_find(const special_tokens *special, str text, bool space,
                                       array *matches, sl_error *error);

#endif
