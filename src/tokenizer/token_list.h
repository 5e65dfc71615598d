/* token_list.h - tokens as readers of vocabularies find them, in any order, until they become the
 * arrays of GGUF's dialect. */
#ifndef TOKENIZER_TOKEN_LIST_H
#define TOKENIZER_TOKEN_LIST_H

#include "base/array.h"
#include "formats/tables.h"
#include "tokenizer/vocabulary.h"

typedef struct token_entry {
    str text; /* not owned; NULL pointer: no such id */
    float score;
    uint8_t type; /* of token_type */
} token_entry;

typedef struct token_list {
    array entries; /* of token_entry, by id */
} token_list;

/* For ids below the ceiling, which stands in proportion to the file, so that a small one cannot ask
 * for much memory; LIMIT_VOCABULARY holds in any case. */
token_list token_list_new(size_t ceiling);
void token_list_free(token_list *list);

/* Adds a token. SL_ERR_FORMAT for an id beyond the ceiling, or one that is there with another text;
 * one that is there with this text takes the type. Texts stay where they are until the list is put
 * into tables. */
SL_CHECK sl_status token_list_add(token_list *list, size_t id, str text, token_type type,
                                  float score, sl_error *error);
static inline size_t token_list_count(const token_list *list) {
    return list->entries.count;
}

/* Writes tokenizer.ggml.tokens and token_type, and scores if asked. Ids that were never named, and
 * ids up to at_least (a model may have more rows than its vocabulary has tokens), become unused
 * tokens "[PAD7]". */
void token_list_put(const token_list *list, size_t at_least, bool scores, tables *t);

#endif
