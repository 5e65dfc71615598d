/* fuzz_tokenizer.h - what both fuzzers of the tokenizers share: metadata made in memory, and what
 * must hold for any text. */
#ifndef FUZZ_TOKENIZER_H
#define FUZZ_TOKENIZER_H

#include "base/size.h"
#include "formats/gguf.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

#define FUZZ_KEYS 16u
#define FUZZ_ARRAY_BYTES 65536u

#define fuzz_require(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The rest of the input. */
typedef struct fuzz_input {
    const uint8_t *data;
    size_t size;
} fuzz_input;

static inline uint8_t fuzz_byte(fuzz_input *in) {
    if (in->size == 0) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

/* Values as they lie in a GGUF file. */
typedef struct fuzz_array {
    uint8_t bytes[FUZZ_ARRAY_BYTES];
    size_t size;
    uint64_t count;
} fuzz_array;

static inline void fuzz_put(fuzz_array *a, const void *data, size_t size) {
    fuzz_require(size <= sizeof a->bytes - a->size);
    memcpy(a->bytes + a->size, data, size);
    a->size += size;
}

static inline void fuzz_put_string(fuzz_array *a, const char *text, size_t length) {
    const uint64_t prefix = length;
    fuzz_put(a, &prefix, sizeof prefix);
    fuzz_put(a, text, length);
    a->count++;
}

static inline void fuzz_put_number(fuzz_array *a, const void *value) {
    fuzz_put(a, value, 4);
    a->count++;
}

typedef struct fuzz_file {
    model_file file;
    meta_entry meta[FUZZ_KEYS];
} fuzz_file;

static inline void fuzz_add(fuzz_file *f, const char *key, meta_type type, meta_type element_type,
                            const fuzz_array *value) {
    f->meta[f->file.meta_count++] = (meta_entry){.key = str_from(key),
                                                 .type = type,
                                                 .element_type = element_type,
                                                 .count = type == META_ARRAY ? value->count : 1,
                                                 .data = value->bytes,
                                                 .data_bytes = value->size};
}

/* U+2581 in a text is a space to SentencePiece: both are written as a space. Returns the length. */
static inline size_t fuzz_canonical(char *text, size_t size) {
    size_t length = 0;
    for (size_t i = 0; i < size; length++) {
        const bool mark = size - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
        text[length] = mark ? ' ' : text[i];
        i += mark ? 3 : 1;
    }
    return length;
}

typedef struct fuzz_text {
    char *bytes;
    size_t size, room;
} fuzz_text;

static inline void fuzz_append(fuzz_text *text, str part) {
    if (part.len > text->room - text->size) {
        text->room = 2 * (text->size + part.len);
        text->bytes = realloc(text->bytes, text->room);
        fuzz_require(text->bytes);
    }
    memcpy(text->bytes + text->size, part.ptr, part.len);
    text->size += part.len;
}

static inline void fuzz_compare(const tokenizer *t, fuzz_text *found, str text) {
    char *expected = malloc(text.len + 1);
    fuzz_require(expected);
    memcpy(expected, text.len ? text.ptr : "", text.len);
    size_t length = text.len;
    if (tokenizer_adds_space(t)) {
        length = fuzz_canonical(expected, length);
        found->size = fuzz_canonical(found->bytes, found->size);
    }
    fuzz_require(found->size == length && memcmp(found->bytes, expected, length) == 0);
    free(expected);
}

/* Encodes the text in every mode and holds what comes out against it. `lossless`: the vocabulary
 * has a token for every byte. */
static inline void fuzz_text_through(const tokenizer *t, str text, bool lossless) {
    for (unsigned flags = 0; flags < 4; flags++) {
        array ids = array_new(sizeof(int32_t), 1u << 24);
        sl_error error;
        const sl_status status = tokenizer_encode(t, text, flags, &ids, &error);
        fuzz_require(status == SL_OK || !lossless);
        fuzz_require(status == SL_OK || ids.count == 0);
        fuzz_text pieces = {malloc(1), 0, 1}, shown = {malloc(1), 0, 1};
        tokenizer_decoder *d;
        fuzz_require(tokenizer_decoder_create(t, true, &d, &error) == SL_OK);
        for (size_t i = 0; i < ids.count; i++) {
            const int32_t id = ((int32_t *)ids.items)[i];
            fuzz_require(id >= 0 && (size_t)id < tokenizer_count(t));
            str piece = tokenizer_piece(t, id, true);
            fuzz_append(&shown, tokenizer_decoder_add(d, id));
            fuzz_require(flags || !lossless || !tokenizer_is_control(t, id));
            if (i == 0 && tokenizer_adds_space(t) && piece.len > 0 && piece.ptr[0] == ' ') {
                piece.ptr++;
                piece.len--;
            }
            fuzz_append(&pieces, piece);
        }
        fuzz_append(&shown, tokenizer_decoder_finish(d));
        fuzz_require(utf8_valid_prefix(shown.bytes, shown.size) == shown.size);
        if (flags == 0 && lossless) {
            fuzz_compare(t, &pieces, text);
            if (utf8_valid_prefix(text.len ? text.ptr : "", text.len) == text.len) {
                fuzz_compare(t, &shown, text);
            }
        }
        tokenizer_decoder_free(d);
        free(pieces.bytes);
        free(shown.bytes);
        array_free(&ids);
    }
}

/* A whole GGUF file, as hostile as it likes. */
static inline void fuzz_whole_file(fuzz_input in, str text) {
    model_file file = {0};
    sl_error error;
    tokenizer *t = NULL;
    if (gguf_parse(in.data, in.size, &file, &error) == SL_OK) {
        if (tokenizer_create(&file, &t, &error) == SL_OK) {
            fuzz_text_through(t, text, false);
        } else {
            fuzz_require(!t && error.message[0]);
        }
    }
    tokenizer_free(t);
    model_file_free(&file);
}

#endif
