/* The tokenizers against their references: ids made by sentencepiece and Hugging Face's tokenizers
 * (tools/make_tokenizer_golden.py), the .inp and .out files of llama.cpp, and whole texts there and
 * back. */
#include "support/gguf_builder.h"
#include "support/quick.h"
#include "support/tokenizer_cases.h"
#include "support/vocab_llama3.h"

#include "base/random.h"
#include "base/size.h"
#include "formats/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define GOLDEN TEST_GOLDEN "/tokenizer/"
#define TOKENIZERS TEST_SHARED "/tokenizers/"

static tokenizer *create(const model_file *file) {
    tokenizer *t = NULL;
    sl_error error;
    if (tokenizer_create(file, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return t;
}

/* ---- ids that reference libraries give ------------------------------------------------------ */

static void check_texts(const char *name, const char *pre, const char *texts, const char *ids) {
    char path[512], texts_path[512], ids_path[512];
    tokenizer_file f;
    tokenizer_string storage;
    tokenizer_cases cases;
    snprintf(path, sizeof path, GOLDEN "%s.gguf", name);
    snprintf(texts_path, sizeof texts_path, GOLDEN "%s.txt", texts);
    snprintf(ids_path, sizeof ids_path, GOLDEN "%s.ids", ids);
    assert_true(tokenizer_file_open(&f, path));
    if (pre) {
        tokenizer_file_set(&f, "tokenizer.ggml.pre", pre, &storage);
    }
    assert_true(tokenizer_cases_open(&cases, texts_path, "\n__text__\n", ids_path));
    tokenizer *t = create(&f.file);
    tokenizer_file_close(&f); /* the tokenizer holds what it needs */
    print_message("%s: %zu ids\n", ids, tokenizer_cases_check(&cases, t));
    tokenizer_cases_close(&cases);
    tokenizer_free(t);
}

static void check_golden(const char *name, const char *pre, const char *ids) {
    check_texts(name, pre, "texts", ids);
}

static void words_are_cut_into_the_pieces_of_the_references(void **state) {
    (void)state;
    check_texts("wordpiece", NULL, "cuts", "wordpiece");
    check_texts("wordpiece-cased", NULL, "cuts", "wordpiece-cased");
}

/* A vocabulary whose merges join anything, so that each cut shows. */
static void every_pre_tokenizer_cuts_as_published(void **state) {
    (void)state;
    static const char *const names[][2] = {
        {"gpt-2", NULL},
        {"starcoder", NULL},
        {"llama-bpe", NULL},
        {"dbrx", NULL},
        {"qwen2", NULL},
        {"qwen35", NULL},
        {"minicpm5", NULL},
        {"laguna", NULL},
        {"seed-coder", NULL},
        {"bailingmoe", NULL},
        {"gpt-4o", NULL},
        {"tekken", NULL},
        {"bloom", NULL},
        {"viking", NULL},
        {"falcon", NULL},
        {"deepseek-llm", NULL},
        {"deepseek-coder", NULL},
        {"deepseek-v3", NULL},
        {"command-r", "starcoder"},
        {"refact", "starcoder"},
        {"olmo", "gpt-2"},
        {"gpt-neox", "gpt-2"},
        {"mpt", "gpt-2"},
        {"phi-2", "gpt-2"},
        {"smaug-bpe", "dbrx"},
        {"chatglm-bpe", "dbrx"},
        {"poro-chat", "bloom"},
        {"jais", "gpt-2"},
        {"exaone", "starcoder"},
        {"minerva-7b", "starcoder"},
        {"stablelm2", "qwen2"},
        {"codeshell", "starcoder"},
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char ids[64];
        snprintf(ids, sizeof ids, "cuts-%s", names[i][1] ? names[i][1] : names[i][0]);
        check_texts("cuts", names[i][0], "cuts", ids);
    }
}

static void small_vocabularies_give_the_ids_of_the_references(void **state) {
    (void)state;
    check_golden("spm", NULL, "spm");
    check_golden("unk", NULL, "unk");
    check_golden("bpe", "gpt-2", "bpe-gpt-2");
    check_golden("bpe", "default", "bpe-gpt-2");
    check_golden("bpe", "starcoder", "bpe-starcoder");
    check_golden("bpe", "llama-bpe", "bpe-llama-bpe");
    check_golden("bpe", "llama3", "bpe-llama-bpe");
    check_golden("bpe", "llama-v3", "bpe-llama-bpe");
    check_golden("bpe", "qwen2", "bpe-qwen2");
}

/* ---- published vocabularies ----------------------------------------------------------------- */

static const char *const published[] = {"llama-spm", "gpt-2", "starcoder", "llama-bpe"};

/* NULL if its files are not there. */
static tokenizer *open_published(const char *name) {
    char path[512];
    tokenizer *t = NULL;
    if (strcmp(name, "llama-bpe") == 0) {
        gguf_builder b;
        model_file file = {0};
        gguf_builder_init(&b, 3);
        if (vocab_llama3_add(&b, TOKENIZERS "llama3")) {
            gguf_builder_finish(&b);
            assert_int_equal(gguf_parse(b.image, b.image_bytes, &file, NULL), SL_OK);
            t = create(&file);
        }
        model_file_free(&file);
        gguf_builder_free(&b);
        return t;
    }
    tokenizer_file f;
    snprintf(path, sizeof path, TOKENIZERS "ggml-vocab-%s.gguf", name);
    if (tokenizer_file_open(&f, path)) {
        t = create(&f.file);
        tokenizer_file_close(&f);
    }
    return t;
}

static void published_vocabularies_give_the_published_ids(void **state) {
    (void)state;
    size_t checked = 0;
    for (size_t i = 0; i < COUNT_OF(published); i++) {
        char texts[512], ids[512];
        snprintf(texts, sizeof texts, TOKENIZERS "ggml-vocab-%s.gguf.inp", published[i]);
        snprintf(ids, sizeof ids, TOKENIZERS "ggml-vocab-%s.gguf.out", published[i]);
        tokenizer_cases cases;
        tokenizer *t = open_published(published[i]);
        if (!t || !tokenizer_cases_open(&cases, texts, "\n__ggml_vocab_test__\n", ids)) {
            print_message("no files of %s: not tested\n", published[i]);
            tokenizer_free(t);
            continue;
        }
        print_message("%s: %zu ids of %zu texts\n", published[i], tokenizer_cases_check(&cases, t),
                      cases.count);
        tokenizer_cases_close(&cases);
        tokenizer_free(t);
        checked++;
    }
    if (checked == 0) {
        skip();
    }
}

/* Where the last line within `size` bytes ends. */
static size_t end_of_line(const char *text, size_t size) {
    while (size > 0 && text[size - 1] != '\n') {
        size--;
    }
    return size;
}

static void whole_texts_come_back(void **state) {
    (void)state;
    static const char *const paths[] = {TEST_SHARED "/text/tinyshakespeare.txt",
                                        TEST_SHARED "/text/war-and-peace.txt"};
    const size_t most = quick_or(1u << 17, SIZE_MAX);
    size_t checked = 0;
    for (size_t i = 0; i < COUNT_OF(published); i++) {
        tokenizer *t = open_published(published[i]);
        for (size_t k = 0; t && k < COUNT_OF(paths); k++) {
            size_t size;
            char *text = tokenizer_cases_read(paths[k], &size);
            if (text) {
                size = size <= most ? size : end_of_line(text, most);
                print_message("%s: %zu bytes, %zu tokens\n", published[i], size,
                              tokenizer_round_trip(t, (str){text, size}, true));
                checked++;
            }
            free(text);
        }
        tokenizer_free(t);
    }
    if (checked == 0) {
        print_message("no shared vocabularies or texts: not tested\n");
        skip();
    }
}

/* ---- any text ------------------------------------------------------------------------------- */

static const struct {
    const char *file, *pre;
} small[] = {{"spm", NULL},           {"bpe", "gpt-2"},   {"bpe", "llama-bpe"},
             {"bpe", "starcoder"},    {"bpe", "qwen2"},   {"cuts", "falcon"},
             {"cuts", "gpt-4o"},      {"cuts", "bloom"},  {"cuts", "deepseek-llm"},
             {"cuts", "deepseek-v3"}, {"wordpiece", NULL}};

/* All but WordPiece give a text back. */
#define LOSSLESS (COUNT_OF(small) - 1)

static tokenizer *open_small(size_t i) {
    char path[512];
    tokenizer_file f;
    tokenizer_string storage;
    snprintf(path, sizeof path, GOLDEN "%s.gguf", small[i].file);
    assert_true(tokenizer_file_open(&f, path));
    if (small[i].pre) {
        tokenizer_file_set(&f, "tokenizer.ggml.pre", small[i].pre, &storage);
    }
    tokenizer *t = create(&f.file);
    tokenizer_file_close(&f);
    return t;
}

static size_t put_character(char *out, uint32_t code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    const size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6) {
        out[i] = (char)(0x80 | (code & 0x3f));
    }
    out[0] = (char)((0xf00u >> length & 0xf0) | code);
    return length;
}

/* Characters of all planes but surrogates and U+2581, which SentencePiece takes for a space. */
static size_t random_text(random_state *r, char *out, size_t count) {
    size_t length = 0;
    const unsigned bits = 7 + (unsigned)(random_u64(r) % 14);
    while (count-- > 0) {
        uint32_t code = (uint32_t)(random_u64(r) >> (64 - bits));
        code = code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || code == 0x2581 ? ' ' : code;
        length += put_character(out + length, code);
    }
    return length;
}

static void random_text_comes_back(void **state) {
    (void)state;
    random_state r;
    random_seed(&r, 11);
    char text[4 * 200];
    for (size_t i = 0; i < LOSSLESS; i++) {
        tokenizer *t = open_small(i);
        for (size_t k = 0; k < quick_or(150, 1500); k++) {
            const size_t length = random_text(&r, text, random_u64(&r) % 200);
            tokenizer_round_trip(t, (str){text, length}, true);
        }
        tokenizer_free(t);
    }
}

static void random_bytes_come_back(void **state) {
    (void)state;
    random_state r;
    random_seed(&r, 12);
    for (size_t i = 0; i < LOSSLESS; i++) {
        tokenizer *t = open_small(i);
        for (size_t k = 0; k < quick_or(150, 1500); k++) {
            const size_t length = random_u64(&r) % 200;
            char *text = malloc(length); /* its size exactly, so that reading past it shows */
            for (size_t at = 0; at < length; at++) {
                /* Mostly bytes that begin or go on characters. */
                const uint64_t byte = random_u64(&r);
                text[at] = (char)(byte & 0x300 ? byte | 0x80 : byte & 0x7f);
            }
            if (length < 3 || !memmem(text, length, "\xe2\x96\x81", 3)) {
                tokenizer_round_trip(t, (str){text, length}, false);
            }
            free(text);
        }
        tokenizer_free(t);
    }
}

/* ---- time ----------------------------------------------------------------------------------- */

/* A quadratic step over so much would take minutes, so the bound is generous: the tests run in
 * sanitized builds and on busy machines too. */
static void no_text_takes_long(void **state) {
    (void)state;
    static const char *const units[] = {"a",          " ",
                                        "\n",         "0",
                                        "ab",         "a1",
                                        "a ",         "!",
                                        "'s",         "\t",
                                        "\r\n",       "e\u0301",
                                        "\u0301",     " \n",
                                        "\u4e0d",     "x                               ",
                                        "\U0001f600", "<s>",
                                        "\xff",       "\xe2\x96",
                                        "aab",        "etaoinshrdlu",
                                        "thou"};
    const size_t size = quick_or(1u << 16, 1u << 18);
    char *text = malloc(size);
    for (size_t i = 0; i < COUNT_OF(small); i++) {
        tokenizer *t = open_small(i);
        for (size_t k = 0; k < COUNT_OF(units); k++) {
            const size_t width = strlen(units[k]);
            for (size_t at = 0; at < size; at++) {
                text[at] = units[k][at % width];
            }
            array ids = array_new(sizeof(int32_t), 1u << 24);
            const clock_t start = clock();
            assert_int_equal(tokenizer_encode(t, (str){text, size}, 0, &ids, NULL), SL_OK);
            const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
            if (seconds > 5) {
                fail_msg("%zu KiB of \"%s\" took %.1f s", size >> 10, units[k], seconds);
            }
            array_free(&ids);
        }
        tokenizer_free(t);
    }
    free(text);
}

/* PCRE2 must not run out of stack or steps where one branch tries a whole run in vain. */
static void long_runs_before_every_branch(void **state) {
    (void)state;
    const size_t size = quick_or(1u << 18, 1u << 20);
    char *text = malloc(size);
    for (size_t i = 0; i < LOSSLESS; i++) {
        tokenizer *t = open_small(i);
        for (const char *c = " \n\ta1!'"; *c; c++) {
            memset(text, *c, size);
            text[size - 1] = 'x';
            tokenizer_round_trip(t, (str){text, size}, true);
        }
        tokenizer_free(t);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_cut_into_the_pieces_of_the_references),
        cmocka_unit_test(every_pre_tokenizer_cuts_as_published),
        cmocka_unit_test(small_vocabularies_give_the_ids_of_the_references),
        cmocka_unit_test(published_vocabularies_give_the_published_ids),
        cmocka_unit_test(whole_texts_come_back),
        cmocka_unit_test(random_text_comes_back),
        cmocka_unit_test(random_bytes_come_back),
        cmocka_unit_test(no_text_takes_long),
        cmocka_unit_test(long_runs_before_every_branch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
