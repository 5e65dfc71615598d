/* pretokenizer_names.h - the pre-tokenizers that have a name in tokenizer.ggml.pre, each with the
 * patterns of the tokenizer.json published with its models. */
#ifndef TOKENIZER_PRETOKENIZER_NAMES_H
#define TOKENIZER_PRETOKENIZER_NAMES_H

#include "tokenizer/pretokenizer.h"

/* GPT-2's pattern, in encoder.py of openai/gpt-2; ByteLevel of tokenizer.json applies it too. */
#define PATTERN_GPT2                                                                               \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* What the pre-tokenizers Digits and Punctuation of tokenizer.json cut out. */
#define PATTERN_DIGIT "\\p{N}"
#define PATTERN_DIGITS "\\p{N}+"
#define PATTERN_MARK "[\\p{P}!-/:-@\\[-`{-~]"
#define PATTERN_MARKS "[\\p{P}!-/:-@\\[-`{-~]+"

/* Digits once ByteLevel has written bytes as characters: five of those that stand for a byte are
 * numbers, the superscripts 1 to 3 and three fractions, and cut characters in two. */
#define PATTERN_BYTE_DIGITS "[0-9\\xb2\\xb3\\xb9\\xbc-\\xbe]+"
#define PATTERN_BYTE_DIGIT "[0-9\\xb2\\xb3\\xb9\\xbc-\\xbe]"

typedef struct pretokenizer_set {
    const char *patterns[6]; /* NULL behind the last */
    size_t bytes_from;       /* as in pretokenizer_source; 0: none sees bytes */
} pretokenizer_set;

typedef struct pretokenizer_named {
    const char *name;
    const pretokenizer_set *set;
    bool whole_words, add_bos;
} pretokenizer_named;

/* Names of one set stand together; the first is the one that pretokenizer_name gives, and that is
 * listed where a name is unknown. */
extern const pretokenizer_named pretokenizer_names[];
extern const size_t pretokenizer_name_count;

#endif
