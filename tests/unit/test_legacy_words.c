/* Vocabularies that models were published with, as ggml's first formats held them: the tokens of
 * texts are those that are expected of the GGUF, though the merges, and in LLaMA's oldest files the
 * scores, are not there. */
#include "models/dialect_legacy.h"

#include "support/legacy_builder.h"
#include "support/tokenizer_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOKENIZERS TEST_SHARED "/tokenizers/"

typedef struct published {
    tokenizer_file file;
    tokenizer_cases cases;
    const meta_entry *tokens, *scores, *types;
} published;

/* Skips the test where the files are not there. */
static published open_published(const char *vocabulary, const char *texts, const char *ids) {
    published p = {0};
    if (!tokenizer_file_open(&p.file, vocabulary)) {
        print_message("skipped: %s is not there\n", vocabulary);
        skip();
    }
    assert_true(tokenizer_cases_open(&p.cases, texts, "\n__ggml_vocab_test__\n", ids));
    p.tokens = meta_find(&p.file.file, "tokenizer.ggml.tokens");
    p.scores = meta_find(&p.file.file, "tokenizer.ggml.scores");
    p.types = meta_find(&p.file.file, "tokenizer.ggml.token_type");
    return p;
}

static void close_published(published *p) {
    tokenizer_cases_close(&p->cases);
    tokenizer_file_close(&p->file);
}

/* The tokens of all texts, by what the file of old says. */
static void check(const published *p, legacy_builder *b) {
    sl_error error = {0};
    model_file file;
    tokenizer *t = NULL;
    if (dialect_legacy_read(b->image.data, b->image.count, &file, &error) != SL_OK ||
        tokenizer_create(&file, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    print_message("%zu ids\n", tokenizer_cases_check(&p->cases, t));
    tokenizer_free(t);
    model_file_free(&file);
    legacy_free(b);
}

/* As LLaMA's writer had it: control tokens empty, bytes as themselves, spaces as spaces. */
static void put_piece(legacy_builder *b, const published *p, uint64_t i, str text, bool scored) {
    const int64_t type = meta_array_int(p->types, i);
    const float score = meta_array_float(p->scores, i);
    char out[256];
    size_t length = 0;
    if (type == 2) {
        memcpy(out, " \xe2\x81\x87 ", length = 5);
    } else if (type == 6) {
        out[length++] = (char)strtol(text.ptr + 3, NULL, 16);
    }
    for (size_t at = 0; type == 1 && at < text.len;) {
        const bool mark = text.len - at >= 3 && memcmp(text.ptr + at, "\xe2\x96\x81", 3) == 0;
        assert_true(length < sizeof out);
        out[length++] = mark ? ' ' : text.ptr[at];
        at += mark ? 3 : 1;
    }
    legacy_token(b, out, length, scored ? &score : NULL);
}

static void llama(void **state) {
    (void)state;
    published p = open_published(TOKENIZERS "ggml-vocab-llama-spm.gguf",
                                 TOKENIZERS "ggml-vocab-llama-spm.gguf.inp",
                                 TOKENIZERS "ggml-vocab-llama-spm.gguf.out");
    const uint32_t sizes[] = {(uint32_t)p.tokens->count, 0, 0, 1, 0, 0, 0};
    for (int container = 0; container < 3; container++) {
        static const uint32_t magic[] = {LEGACY_GGML, LEGACY_GGMF, LEGACY_GGJT};
        legacy_builder b = {0};
        size_t cursor = 0;
        legacy_u32(&b, magic[container]);
        if (container > 0) {
            legacy_u32(&b, 1);
        }
        gguf_builder_put(&b.image, sizes, sizeof sizes);
        for (uint64_t i = 0; i < p.tokens->count; i++) {
            put_piece(&b, &p, i, meta_array_string(&p.file.file, p.tokens, &cursor), container > 0);
        }
        check(&p, &b);
    }
    close_published(&p);
}

/* The bytes that a token's characters stand for: those that print stand for themselves, the others,
 * in order, for the code points from 256 on. */
static size_t raw_bytes(str text, char out[512]) {
    int byte_of[512];
    int next = 256;
    for (int byte = 0; byte < 256; byte++) {
        const bool prints =
            (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        byte_of[prints ? byte : next++] = byte;
    }
    size_t length = 0;
    for (size_t at = 0; at < text.len && length < 512;) {
        const unsigned char first = (unsigned char)text.ptr[at];
        const int code = first < 0x80 ? first : (first & 0x1f) << 6 | (text.ptr[at + 1] & 0x3f);
        out[length++] = (char)byte_of[code];
        at += first < 0x80 ? 1 : 2;
    }
    return length;
}

static void gpt2(void **state) {
    (void)state;
    published p =
        open_published(TOKENIZERS "ggml-vocab-gpt-2.gguf", TOKENIZERS "ggml-vocab-gpt-2.gguf.inp",
                       TOKENIZERS "ggml-vocab-gpt-2.gguf.out");
    const uint32_t count = (uint32_t)p.tokens->count;
    const uint32_t header[] = {LEGACY_GGML, count, 1024, 768, 12, 12, 1, count};
    legacy_builder b = {0};
    size_t cursor = 0;
    gguf_builder_put(&b.image, header, sizeof header);
    for (uint64_t i = 0; i < count; i++) {
        char out[512];
        const size_t length = raw_bytes(meta_array_string(&p.file.file, p.tokens, &cursor), out);
        legacy_token(&b, out, length, NULL);
    }
    check(&p, &b);
    close_published(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama),
        cmocka_unit_test(gpt2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
