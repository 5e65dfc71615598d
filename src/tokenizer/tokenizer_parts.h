/* tokenizer_parts.h - what a tokenizer is made of; for the files of this room. */
#ifndef TOKENIZER_TOKENIZER_PARTS_H
#define TOKENIZER_TOKENIZER_PARTS_H

#include "tokenizer/bpe.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/spm.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/wordpiece.h"

typedef enum tokenizer_kind { TOKENIZER_SPM, TOKENIZER_BPE, TOKENIZER_WORDPIECE } tokenizer_kind;

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
    merge_table merges;
    tokenizer_kind kind; /* which of these is in use; the others are zeroed */
    spm spm;
    bpe bpe;
    wordpiece wordpiece;
};

#endif
