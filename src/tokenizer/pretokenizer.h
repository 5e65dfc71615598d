/* pretokenizer.h - cuts a text into the words within which byte-level BPE merges, by the regular
 * expression that the vocabulary was made with. */
#ifndef TOKENIZER_PRETOKENIZER_H
#define TOKENIZER_PRETOKENIZER_H

#include "base/str.h"
#include "sluice.h"

/* Read-only once made. */
typedef struct pretokenizer {
    void *code;       /* pcre2_code; NULL: none */
    bool whole_words; /* a word that is a token is taken as it is, without merging */
    bool add_bos;     /* unless the metadata says otherwise */
} pretokenizer;

/* Room for matching, for one thread. */
typedef struct pretokenizer_match {
    void *data;    /* pcre2_match_data */
    void *context; /* pcre2_match_context */
} pretokenizer_match;

/* By the name in tokenizer.ggml.pre; SL_ERR_UNSUPPORTED with the names known if it is none of
 * them. On failure *p is zeroed. */
SL_CHECK sl_status pretokenizer_create(pretokenizer *p, str name, sl_error *error);
void pretokenizer_free(pretokenizer *p);
size_t pretokenizer_bytes(const pretokenizer *p);

SL_CHECK sl_status pretokenizer_match_create(pretokenizer_match *match, const pretokenizer *p,
                                             sl_error *error);
void pretokenizer_match_free(pretokenizer_match *match);

/* Length (at least 1) of the word at text[at], at < text.len; the text is well-formed UTF-8. */
SL_CHECK sl_status pretokenizer_next(const pretokenizer *p, const pretokenizer_match *match,
                                     str text, size_t at, size_t *length, sl_error *error);

#endif
