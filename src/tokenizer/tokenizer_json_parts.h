/* tokenizer_json_parts.h - what the readers of a Hugging Face tokenizer's files find, for the files
 * that read them. */
#ifndef TOKENIZER_TOKENIZER_JSON_PARTS_H
#define TOKENIZER_TOKENIZER_JSON_PARTS_H

#include "tokenizer/json_pull.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/token_list.h"
#include "tokenizer/tokenizer_json.h"

/* A token that is named by its text in one file and has its id in another. */
typedef struct json_special {
    str text;   /* NULL pointer: not named */
    int64_t id; /* -1: not known */
} json_special;

/* The longest pattern that is read. */
#define JSON_PATTERN_BYTES 8192u

typedef struct json_added {
    str text;
    uint32_t id;
    bool special, strip_left, strip_right;
} json_added;

typedef enum json_model { JSON_MODEL_NONE, JSON_MODEL_BPE, JSON_MODEL_WORDPIECE } json_model;

typedef struct tokenizer_json {
    /* model */
    json_model model;
    token_list tokens;
    array merges; /* of str: "a b" */
    array joined; /* of char, for merges that were pairs: a merge without a pointer lies here */
    bool byte_fallback, fuse_unknown, ignore_merges, has_vocabulary;
    /* added_tokens */
    array added; /* of json_added */
    /* normalizer */
    str normal_form;
    bool marks_spaces; /* " " becomes U+2581 */
    bool prepends;     /* U+2581 is put before */
    bool bert, clean, ideographs, lower_case;
    int strip_accents; /* -1: as lower_case */
    /* pre_tokenizer */
    pretokenizer_source cuts;
    char pattern_room[PRETOKENIZER_PATTERNS][2 * JSON_PATTERN_BYTES]; /* texts of some of them */
    size_t pattern_count;
    bool bytes; /* ByteLevel is among them */
    bool add_prefix_space, bert_words;
    bool metaspace, cut_spaces, space_at_start;
    bool splits_at_space; /* where there are none any more */
    /* post_processor */
    bool has_template;
    json_special before, behind;
    /* of all files */
    json_special bos, eos, unknown, padding;
    int add_bos, add_eos; /* -1: not said */
    str chat_template;
    array ends; /* of int32_t */
} tokenizer_json;

/* Each reads the value of the key of its name, which may be null. */
void json_read_normalizer(json_pull *j, tokenizer_json *found);
void json_read_pre_tokenizer(json_pull *j, tokenizer_json *found);
void json_read_post_processor(json_pull *j, tokenizer_json *found);
void json_read_model(json_pull *j, tokenizer_json *found);
void json_read_added_tokens(json_pull *j, tokenizer_json *found);

/* An object of texts and ids: {"the": 5, ...}. */
void json_read_vocabulary(json_pull *j, tokenizer_json *found);

#endif
