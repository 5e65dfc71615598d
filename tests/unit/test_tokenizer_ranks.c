/* Byte-level vocabularies that list no merges: the ids are those of the merges they were made by,
 * in order of their ids. */
#include "support/tokenizer_cases.h"

#include "base/random.h"
#include "formats/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define KEY(name) "tokenizer.ggml." name
#define GOLDEN TEST_GOLDEN "/tokenizer/"
#define TOKENIZERS TEST_SHARED "/tokenizers/"

/* The tokens of a vocabulary, all of type normal but the last, and the key instead of merges. */
static tokenizer *create(const model_file *source, sl_status expected) {
    const meta_entry *tokens;
    model_file file;
    tokenizer *t = NULL;
    sl_error error = {0};
    assert_int_equal(meta_get_array(source, KEY("tokens"), true, META_STRING, &tokens, NULL),
                     SL_OK);
    const size_t count = (size_t)tokens->count;
    str *texts = malloc(count * sizeof *texts);
    int32_t *types = malloc(count * sizeof *types);
    size_t cursor = 0;
    for (size_t i = 0; i < count; i++) {
        texts[i] = meta_array_string(source, tokens, &cursor);
        types[i] = i + 1 < count ? 1 : 3;
    }
    tables made = tables_new("test", NULL, 0, &error);
    tables_string(&made, KEY("model"), str_from("gpt2"));
    tables_string(&made, KEY("pre"), str_from("gpt-2"));
    tables_strings(&made, KEY("tokens"), texts, count);
    tables_ints(&made, KEY("token_type"), types, count);
    tables_bool(&made, "sluice.tokenizer.ranks", true);
    assert_int_equal(tables_finish(&made, &file), SL_OK);
    const clock_t start = clock();
    assert_int_equal(tokenizer_create(&file, &t, &error), expected);
    print_message("%zu tokens, %.0f ms %s\n", count,
                  (double)(clock() - start) * 1e3 / CLOCKS_PER_SEC, error.message);
    model_file_free(&file);
    free(texts);
    free(types);
    return t;
}

static bool check(const char *path, const char *texts, const char *separator, const char *ids) {
    tokenizer_file f;
    tokenizer_cases cases;
    if (!tokenizer_file_open(&f, path)) {
        return false;
    }
    tokenizer *t = create(&f.file, SL_OK);
    tokenizer_file_close(&f);
    assert_true(tokenizer_cases_open(&cases, texts, separator, ids));
    print_message("%s: %zu ids\n", ids, tokenizer_cases_check(&cases, t));
    tokenizer_cases_close(&cases);
    tokenizer_free(t);
    return true;
}

static void ids_are_those_of_the_merges(void **state) {
    (void)state;
    assert_true(
        check(GOLDEN "cuts.gguf", GOLDEN "cuts.txt", "\n__text__\n", GOLDEN "cuts-gpt-2.ids"));
}

static void gpt2_gives_the_published_ids(void **state) {
    (void)state;
    if (!check(TOKENIZERS "ggml-vocab-gpt-2.gguf", TOKENIZERS "ggml-vocab-gpt-2.gguf.inp",
               "\n__ggml_vocab_test__\n", TOKENIZERS "ggml-vocab-gpt-2.gguf.out")) {
        print_message("no files of gpt-2: not tested\n");
        skip();
    }
}

/* The same text with the merges of the file, all of War and Peace. */
static void a_long_text_gives_the_same_as_with_merges(void **state) {
    (void)state;
    tokenizer_file f;
    size_t size;
    char *text = tokenizer_cases_read(TEST_SHARED "/text/war-and-peace.txt", &size);
    if (!text || !tokenizer_file_open(&f, TOKENIZERS "ggml-vocab-gpt-2.gguf")) {
        free(text);
        print_message("no shared files: not tested\n");
        skip();
    }
    tokenizer *t[2] = {create(&f.file, SL_OK), NULL};
    array ids[2];
    assert_int_equal(tokenizer_create(&f.file, &t[1], NULL), SL_OK);
    tokenizer_file_close(&f);
    for (size_t i = 0; i < 2; i++) {
        ids[i] = array_new(sizeof(int32_t), 1u << 24);
        assert_int_equal(tokenizer_encode(t[i], (str){text, size}, 0, &ids[i], NULL), SL_OK);
    }
    assert_int_equal(ids[0].count, ids[1].count);
    assert_memory_equal(ids[0].items, ids[1].items, ids[0].count * sizeof(int32_t));
    for (size_t i = 0; i < 2; i++) {
        array_free(&ids[i]);
        tokenizer_free(t[i]);
    }
    free(text);
}

/* Tokens "a", "aa", "aaa", ...: n (n - 1) / 2 pairs, and every one begins and ends every longer. */
static void hostile_vocabularies_take_no_time(void **state) {
    (void)state;
    enum { COUNT = 7000 };
    static char letters[COUNT];
    static str texts[COUNT];
    memset(letters, 'a', sizeof letters);
    for (size_t i = 0; i < COUNT; i++) {
        texts[i] = (str){letters, i + 1};
    }
    sl_error error;
    model_file file;
    for (size_t count = 1000; count <= COUNT; count *= 7) {
        tables made = tables_new("test", NULL, 0, &error);
        tables_strings(&made, KEY("tokens"), texts, count);
        assert_int_equal(tables_finish(&made, &file), SL_OK);
        /* One more pair than the ceiling allows is refused: 7000 letters have 24.5 million. */
        tokenizer_free(create(&file, count < COUNT ? SL_OK : SL_ERR_FORMAT));
        model_file_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_merges),
        cmocka_unit_test(gpt2_gives_the_published_ids),
        cmocka_unit_test(a_long_text_gives_the_same_as_with_merges),
        cmocka_unit_test(hostile_vocabularies_take_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
