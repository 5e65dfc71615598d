/* vocabulary.h - reads and checks the vocabulary's tables in a model file's metadata. Needed only
 * while a tokenizer is made. */
#ifndef TOKENIZER_VOCABULARY_H
#define TOKENIZER_VOCABULARY_H

#include "formats/model_file.h"

/* GGUF's numbers (llama.cpp's enum). */
typedef enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
} token_type;

typedef struct vocabulary {
    const model_file *file;
    size_t count;
    str *texts;                /* may be empty */
    char *text_bytes;          /* theirs: a copy, for a mapped file may change underneath */
    uint8_t *types;            /* of token_type */
    bool *ends;                /* tokens that end a generation */
    name_index index;          /* over the texts */
    int32_t bos, eos, unknown; /* -1: none */
    bool add_bos, add_eos;
} vocabulary;

/* What the kind of tokenizer says where the metadata is silent. */
typedef struct vocabulary_defaults {
    bool sentencepiece; /* <unk>, <s>, </s> are tokens 0, 1, 2, and <0x0A> is a byte */
    bool wordpiece;     /* [CLS] and [SEP] begin and end a text, [UNK] is unknown */
    bool add_bos, add_eos;
} vocabulary_defaults;

/* The caller frees *v in any case, and keeps the file until then. Tokens are at most
 * LIMIT_TOKEN_BYTES long, no two alike. Empty ones are allowed (llama.cpp allows them): they are
 * never matched and give nothing. */
SL_CHECK sl_status vocabulary_read(vocabulary *v, const model_file *file,
                                   const vocabulary_defaults *defaults, sl_error *error);
void vocabulary_free(vocabulary *v);

/* The token of that text, or -1. */
int64_t vocabulary_find(const vocabulary *v, str text);

/* Whether plain text may become this token by merging: only normal and unused ones. */
static inline bool vocabulary_is_plain(const vocabulary *v, size_t token) {
    return v->types[token] == TOKEN_NORMAL || v->types[token] == TOKEN_UNUSED;
}

/* The value of "<0x0A>"; -1 if the text is not of this form. */
int vocabulary_byte_value(str text);

#endif
