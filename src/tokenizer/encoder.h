/* encoder.h - one call of tokenizer_encode: what it works with, and what both kinds of tokenizer
 * share in it. */
#ifndef TOKENIZER_ENCODER_H
#define TOKENIZER_ENCODER_H

#include "base/array.h"
#include "base/str.h"
#include "tokenizer/merges.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/word_cache.h"

/* From this many bytes of text on, a cache of words repays its set-up. */
#define ENCODER_CACHE_FROM 16384u

/* What is planned for without looking at a text: symbols of one word, special tokens. */
#define ENCODER_SYMBOLS 16384u
#define ENCODER_MATCHES 65536u

/* And of text that is normalized before it is cut, which takes up to three times this. */
#define ENCODER_NORMAL_BYTES (1u << 20)

/* What a symbol of a word takes, with its node of the queue; and a special token. Twice, as a block
 * that grows may leave its old place behind in malloc's heap. */
#define ENCODER_SYMBOL_BYTES (2 * (sizeof(uint32_t) + sizeof(merge_node)))
#define ENCODER_MATCH_BYTES (2 * sizeof(special_match))

typedef struct encoder {
    const merge_table *merges;
    size_t vocabulary; /* symbols from here on are no tokens */
    array *out;        /* of int32_t */
    array normalized;  /* of char: see normalizer_apply */
    array symbols;     /* of uint32_t: the word at hand */
    merge_queue queue;
    word_cache_entry *cache; /* NULL: none */
    pretokenizer_match match;
    bool after_unknown; /* the last token put out stands for unknown characters */
    sl_error *error;
} encoder;

/* Appends tokens to the output. */
SL_CHECK sl_status encoder_put(encoder *e, const uint32_t *tokens, size_t count);

/* Appends a symbol to the word at hand. */
SL_CHECK sl_status encoder_push(encoder *e, uint32_t symbol);

/* What to put out for a symbol that is no token. */
typedef sl_status (*encoder_odd_fn)(encoder *e, const void *part, uint32_t symbol);

/* If the cache knows the word, puts its tokens out and says so in *done. */
SL_CHECK sl_status encoder_recall(encoder *e, str word, bool *done);

/* Merges the symbols of the word at hand, puts out what they become and begins a new word. `word`
 * is the text they came from, by which the result is remembered; empty: it is not. */
SL_CHECK sl_status encoder_finish_word(encoder *e, str word, encoder_odd_fn odd, const void *part);

/* Puts out a word that is one token, and remembers it. */
SL_CHECK sl_status encoder_put_word(encoder *e, str word, uint32_t token);

#endif
