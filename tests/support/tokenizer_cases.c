#include "support/tokenizer_cases.h"

#include "formats/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

char *tokenizer_cases_read(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        return NULL;
    }
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size) {
        abort();
    }
    bytes[*size] = 0;
    fclose(file);
    return bytes;
}

bool tokenizer_file_open(tokenizer_file *f, const char *path) {
    size_t size;
    *f = (tokenizer_file){.bytes = tokenizer_cases_read(path, &size)};
    sl_error error;
    if (f->bytes && gguf_parse((const uint8_t *)f->bytes, size, &f->file, &error) != SL_OK) {
        fail_msg("%s: %s", path, error.message);
    }
    return f->bytes;
}

void tokenizer_file_close(tokenizer_file *f) {
    model_file_free(&f->file);
    free(f->bytes);
}

void tokenizer_file_set(tokenizer_file *f, const char *key, const char *value,
                        tokenizer_string *storage) {
    const uint64_t length = strlen(value);
    assert_true(length + sizeof length <= sizeof storage->bytes);
    memcpy(storage->bytes, &length, sizeof length);
    memcpy(storage->bytes + sizeof length, value, length);
    for (size_t i = 0; i < f->file.meta_count; i++) {
        meta_entry *entry = &f->file.meta[i];
        if (str_is(entry->key, key)) {
            assert_int_equal(entry->type, META_STRING);
            entry->data = (const uint8_t *)storage->bytes;
            entry->data_bytes = sizeof length + length;
            return;
        }
    }
    fail_msg("no metadata %s", key);
}

static size_t split(char *bytes, size_t size, const char *separator, str **out) {
    const size_t width = strlen(separator);
    size_t count = 1;
    for (const char *at = bytes; (at = memmem(at, size - (size_t)(at - bytes), separator, width));
         at += width) {
        count++;
    }
    *out = calloc(count, sizeof **out);
    char *at = bytes, *end = bytes + size;
    for (size_t i = 0; i < count; i++) {
        char *next = memmem(at, (size_t)(end - at), separator, width);
        (*out)[i] = (str){at, (size_t)((next ? next : end) - at)};
        at = next ? next + width : end;
    }
    return count;
}

static array parse_ids(str line) {
    array ids = array_new(sizeof(int32_t), 1u << 20);
    char *at = (char *)line.ptr, *after;
    while (at < line.ptr + line.len) {
        const int32_t id = (int32_t)strtol(at, &after, 10);
        if (after == at || after > line.ptr + line.len) {
            break;
        }
        assert_int_equal(array_push(&ids, &id, NULL), SL_OK);
        at = after;
    }
    return ids;
}

bool tokenizer_cases_open(tokenizer_cases *cases, const char *texts, const char *separator,
                          const char *ids) {
    size_t text_size, id_size;
    *cases = (tokenizer_cases){.text_bytes = tokenizer_cases_read(texts, &text_size),
                               .id_bytes = tokenizer_cases_read(ids, &id_size)};
    if (!cases->text_bytes || !cases->id_bytes) {
        tokenizer_cases_close(cases);
        return false;
    }
    str *lines;
    cases->count = split(cases->text_bytes, text_size, separator, &cases->texts);
    const size_t count = split(cases->id_bytes, id_size, "\n", &lines);
    /* A separator or a newline at the very end has nothing behind it. */
    cases->count -= cases->texts[cases->count - 1].len == 0 && cases->count == count;
    assert_int_equal(cases->count, count - 1);
    cases->ids = calloc(cases->count, sizeof *cases->ids);
    for (size_t i = 0; i < cases->count; i++) {
        cases->ids[i] = parse_ids(lines[i]);
    }
    free(lines);
    return true;
}

void tokenizer_cases_close(tokenizer_cases *cases) {
    for (size_t i = 0; i < cases->count && cases->ids; i++) {
        array_free(&cases->ids[i]);
    }
    free(cases->ids);
    free(cases->texts);
    free(cases->text_bytes);
    free(cases->id_bytes);
    *cases = (tokenizer_cases){0};
}

size_t tokenizer_cases_check(const tokenizer_cases *cases, const tokenizer *t) {
    size_t compared = 0, wrong = 0;
    for (size_t i = 0; i < cases->count; i++) {
        const str text = cases->texts[i];
        const array *expected = &cases->ids[i];
        array ids = array_new(sizeof(int32_t), 1u << 20);
        sl_error error;
        if (tokenizer_encode(t, text, 0, &ids, &error) != SL_OK) {
            fail_msg("%s", error.message);
        }
        const int32_t *a = ids.items, *b = expected->items;
        size_t same = 0;
        while (same < ids.count && same < expected->count && a[same] == b[same]) {
            same++;
        }
        if (same < ids.count || same < expected->count) {
            print_error("text %zu \"%.*s\": %zu tokens, expected %zu; the first that differs is "
                        "number %zu\n",
                        i, STR_ARG(text), ids.count, expected->count, same);
            wrong++;
        }
        compared += expected->count;
        array_free(&ids);
    }
    assert_int_equal(wrong, 0);
    return compared;
}

/* Compares `part` with what comes next in the text. */
static void advance(str text, size_t *at, str part) {
    if (part.len > text.len - *at || memcmp(text.ptr + *at, part.ptr, part.len) != 0) {
        fail_msg("differs from the text's \"%.*s\" from byte %zu on: \"%.*s\"",
                 STR_ARG(((str){text.ptr + *at, text.len - *at})), *at, STR_ARG(part));
    }
    *at += part.len;
}

size_t tokenizer_round_trip(const tokenizer *t, str text, bool valid) {
    array ids = array_new(sizeof(int32_t), 1u << 30);
    sl_error error;
    tokenizer_decoder *decoder;
    if (tokenizer_encode(t, text, 0, &ids, &error) != SL_OK ||
        tokenizer_decoder_create(t, true, &decoder, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    size_t at = 0, decoded = 0;
    for (size_t i = 0; i < ids.count; i++) {
        const int32_t id = ((int32_t *)ids.items)[i];
        str piece = tokenizer_piece(t, id, true);
        if (i == 0 && tokenizer_adds_space(t)) {
            assert_true(piece.len > 0 && piece.ptr[0] == ' ');
            piece.ptr++;
            piece.len--;
        }
        advance(text, &at, piece);
        const str shown = tokenizer_decoder_add(decoder, id);
        if (valid) {
            advance(text, &decoded, shown);
        }
    }
    assert_int_equal(at, text.len);
    assert_true(tokenizer_decoder_finish(decoder).len == 0 || !valid);
    assert_true(decoded == text.len || !valid);
    const size_t count = ids.count;
    tokenizer_decoder_free(decoder);
    array_free(&ids);
    return count;
}
