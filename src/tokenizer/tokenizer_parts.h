/* tokenizer_parts.h - what a tokenizer is made of; for the files of this room. */
#ifndef TOKENIZER_TOKENIZER_PARTS_H
#define TOKENIZER_TOKENIZER_PARTS_H

#include "tokenizer/bpe.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/spm.h"
#include "tokenizer/tokenizer.h"

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
    bool sentencepiece; /* which of the two follows */
    spm spm;
    bpe bpe;
};

#endif
