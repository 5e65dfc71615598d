/* tokenizer_cases.h - vocabularies, texts and the tokens expected of them, for the tokenizer's
 * tests. Running out of memory aborts: this is for tests only. */
#ifndef SUPPORT_TOKENIZER_CASES_H
#define SUPPORT_TOKENIZER_CASES_H

#include "base/array.h"
#include "base/str.h"
#include "formats/model_file.h"
#include "tokenizer/tokenizer.h"

/* A whole file in memory, to be freed; NULL if it cannot be read. */
char *tokenizer_cases_read(const char *path, size_t *size);

/* A GGUF file and its tables. */
typedef struct tokenizer_file {
    char *bytes;
    model_file file;
} tokenizer_file;

/* False if the file is not there; what is there must parse. */
bool tokenizer_file_open(tokenizer_file *f, const char *path);
void tokenizer_file_close(tokenizer_file *f);

/* A value of a string key, in place of the one in the file. The metadata points to `storage`. */
typedef struct tokenizer_string {
    char bytes[72];
} tokenizer_string;
void tokenizer_file_set(tokenizer_file *f, const char *key, const char *value,
                        tokenizer_string *storage);

/* Texts between lines that hold the separator, and lines of ids. */
typedef struct tokenizer_cases {
    char *text_bytes, *id_bytes;
    str *texts;
    array *ids; /* of int32_t, one for each text */
    size_t count;
} tokenizer_cases;

/* False if a file is not there. As many lines of ids as texts are asserted. */
bool tokenizer_cases_open(tokenizer_cases *cases, const char *texts, const char *separator,
                          const char *ids);
void tokenizer_cases_close(tokenizer_cases *cases);

/* Asserts each case; prints what differs. Returns the number of ids compared. */
size_t tokenizer_cases_check(const tokenizer_cases *cases, const tokenizer *t);

/* Asserts that the pieces of a text's tokens put together, less the space that the tokenizer adds,
 * are the text, and that the decoder gives it too if it is valid UTF-8. Returns the number of
 * tokens. */
size_t tokenizer_round_trip(const tokenizer *t, str text, bool valid);

#endif
