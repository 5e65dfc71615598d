/* tokenizer_parts.h - what a tokenizer is made of; for the files of this room. */
#ifndef TOKENIZER_TOKENIZER_PARTS_H
#define TOKENIZER_TOKENIZER_PARTS_H

#include "tokenizer/bpe.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/spm.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/wordpiece.h"

typedef enum tokenizer_kind { TOKENIZER_SPM, TOKENIZER_BPE, TOKENIZER_WORDPIECE } tokenizer_kind;

/* White space that a special token takes with it. */
typedef enum strip_side { STRIP_LEFT = 1, STRIP_RIGHT = 2 } strip_side;

struct tokenizer {
    size_t count;
    uint8_t *types; /* of token_type */
    bool *ends;
    str *pieces; /* the bytes of each token, in piece_bytes */
    char *piece_bytes;
    size_t piece_total, longest_piece;
    int32_t bos, eos; /* -1: none */
    bool add_bos, add_eos;
    special_tokens user_defined; /* always matched */
    special_tokens all_special;  /* matched with SL_TOKENIZE_SPECIAL */
    /* What files of other formats than GGUF ask for (translated.c): */
    normalizer normalizer; /* of byte-level BPE */
    uint8_t *strips;       /* of each token, of strip_side; NULL: none */
    bool literal; /* user-defined tokens are matched before spaces become marks or are added */
    bool space_at_start; /* a space is put before the whole text only */
    bool space_if_none;  /* and only before a text that does not begin with one */
    merge_table merges;
    tokenizer_kind kind; /* which of these is in use; the others are zeroed */
    spm spm;
    bpe bpe;
    wordpiece wordpiece;
};

/* Reads the keys that translations of other formats write, whose names begin with "sluice.": into a
 * tokenizer whose kind is known, before its parts are built. */
SL_CHECK sl_status translated_read(tokenizer *t, const vocabulary *v, sl_error *error);

/* For byte-level BPE: the patterns of sluice.tokenizer.patterns, if there are any. */
SL_CHECK sl_status translated_patterns(pretokenizer *p, const model_file *file, bool *found,
                                       sl_error *error);

#endif
