/* wordpiece.h - BERT's tokenizer ("bert"): a text becomes words by simple rules, and a word becomes
 * the longest token that begins it, the longest that goes on there, and so on to its end.
 *
 * What comes before, as in BERT's own tokenizer, a character at a time:
 *   control characters and U+FFFD are left out (so are bytes that are no characters), any white
 *   space is a space; an ideograph is a word; with `lower_case` a letter loses its accents (is
 *   decomposed, its nonspacing marks are left out) and becomes small; then spaces end words, and
 *   each punctuation mark is one.
 * A word with no such way to its end, or of over WORDPIECE_CHARACTERS, is one unknown token.
 *
 * GGUF does not say whether a vocabulary is of small letters only: it is taken to be if no token
 * has a capital (sluice.tokenizer.lowercase says otherwise). Tokens that go on with a word are
 * written "##ing"; or, as GGUF's writers do it, "ing", and those that begin one have U+2581 before.
 */
#ifndef TOKENIZER_WORDPIECE_H
#define TOKENIZER_WORDPIECE_H

#include "base/str.h"
#include "tokenizer/encoder.h"
#include "tokenizer/vocabulary.h"

#define WORDPIECE_CHARACTERS 100u

typedef struct wordpiece_word {
    str text; /* first: name_index reads it there; in the tokenizer's pieces */
    uint32_t token;
} wordpiece_word;

/* Tokens by the text that they match. */
typedef struct wordpiece_words {
    wordpiece_word *words;
    size_t count;
    name_index index;
} wordpiece_words;

/* Read-only once built. */
typedef struct wordpiece {
    wordpiece_words begin, inner; /* of words, and inside of them */
    size_t longest;               /* text, in bytes */
    uint32_t unknown;
    bool marked; /* U+2581 begins a word; otherwise "##" goes on with one */
    bool clean, ideographs, strip_accents, lower_case;
} wordpiece;

/* Whether tokens that begin a word are marked with U+2581 in this vocabulary. */
bool wordpiece_is_marked(const vocabulary *v);

/* Writes the bytes that a token stands for, with the space before it if it begins a word; `out` has
 * room for one byte more than the text. Returns how many. */
size_t wordpiece_decode_text(str text, bool marked, char *out);

/* Fills a zeroed *w; pieces[i]: the bytes of token i as decoded, which outlive *w. SL_ERR_FORMAT
 * without an unknown token. The caller frees *w in any case. */
SL_CHECK sl_status wordpiece_build(wordpiece *w, const vocabulary *v, const str *pieces,
                                   sl_error *error);
void wordpiece_free(wordpiece *w);
size_t wordpiece_bytes(const wordpiece *w);

/* Appends the tokens of a text without special tokens. */
SL_CHECK sl_status wordpiece_encode(const wordpiece *w, encoder *e, str text);

#endif
