/* pretokenizer.h - cuts a text into the words within which byte-level BPE merges, by the regular
 * expressions that the vocabulary was made with.
 *
 * There are one or more patterns. The first cuts the text: what it matches is a piece, and so is
 * what lies between two matches. The next cuts each of these pieces, seeing nothing beyond its
 * ends, and so on; the pieces of the last are the words. No byte is lost.
 *
 *     text        it's 2024!
 *     \p{N}       it's |2|0|2|4|!
 *     GPT-2's     it|'s| |2|0|2|4|!
 */
#ifndef TOKENIZER_PRETOKENIZER_H
#define TOKENIZER_PRETOKENIZER_H

#include "base/str.h"
#include "sluice.h"

#define PRETOKENIZER_PATTERNS 16u

/* Patterns as a file names them. */
typedef struct pretokenizer_source {
    str patterns[PRETOKENIZER_PATTERNS]; /* in Oniguruma's syntax, see pattern.h */
    size_t count;                        /* at least 1 */
    /* From this number on, patterns see the bytes of the text and not its characters: they match
     * what a tokenizer.json applies behind its ByteLevel. count: none does. */
    size_t bytes_from;
} pretokenizer_source;

/* Read-only once made. */
typedef struct pretokenizer {
    void *codes[PRETOKENIZER_PATTERNS]; /* pcre2_code */
    size_t count;
    uint32_t match_limit; /* of PCRE2, for one match */
    bool whole_words;     /* a word that is a token is taken as it is, without merging */
    bool add_bos;         /* unless the metadata says otherwise */
} pretokenizer;

/* A piece that the pattern of this level is cutting. Positions count from its first byte. */
typedef struct pretokenizer_piece {
    str text;
    size_t at;               /* what is before has been given out */
    size_t from;             /* where the next match is looked for */
    size_t last_end;         /* of the match before; SIZE_MAX: none yet */
    size_t match, match_end; /* the next match, if `matched` */
    bool matched;
} pretokenizer_piece;

/* A cutting that is going on, for one thread. */
typedef struct pretokenizer_match {
    void *data;    /* pcre2_match_data */
    void *context; /* pcre2_match_context */
    pretokenizer_piece pieces[PRETOKENIZER_PATTERNS];
    size_t depth; /* of pieces that are not used up */
} pretokenizer_match;

/* By the name in tokenizer.ggml.pre; SL_ERR_UNSUPPORTED with the names known if it is none of
 * them. On failure *p is zeroed. */
SL_CHECK sl_status pretokenizer_create(pretokenizer *p, str name, sl_error *error);

/* The name of such patterns with or without whole words; NULL: they have none. Names differ in
 * whether BOS is added, too: a file that names patterns says so itself. */
const char *pretokenizer_name(const pretokenizer_source *source, bool whole_words);

/* By patterns of a file's own. They are not trusted: a match that takes very many steps fails.
 * SL_ERR_UNSUPPORTED for what PCRE2 does not take. On failure *p is zeroed. */
SL_CHECK sl_status pretokenizer_compile(pretokenizer *p, const pretokenizer_source *source,
                                        sl_error *error);
void pretokenizer_free(pretokenizer *p);
size_t pretokenizer_bytes(const pretokenizer *p);

SL_CHECK sl_status pretokenizer_match_create(pretokenizer_match *match, const pretokenizer *p,
                                             sl_error *error);
void pretokenizer_match_free(pretokenizer_match *match);

/* Begins to cut a text, which is well-formed UTF-8 and stays where it is meanwhile. */
void pretokenizer_begin(pretokenizer_match *match, str text);

/* The next word; of no bytes behind the last one. */
SL_CHECK sl_status pretokenizer_next(const pretokenizer *p, pretokenizer_match *match, str *word,
                                     sl_error *error);

#endif
