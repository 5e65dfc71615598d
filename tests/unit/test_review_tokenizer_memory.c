/* What a tokenizer holds: tokenizer_bytes, which the memory budget counts, against malloc's books,
 * and how much a hostile vocabulary may ask for. */
#include "support/gguf_builder.h"
#include "support/tokenizer_cases.h"

#include "formats/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_BOOKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_BOOKS 0
#endif
#endif
#if !defined(HAS_BOOKS) && defined(__GLIBC__) &&                                                   \
    (__GLIBC__ > 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ >= 33))
#define HAS_BOOKS 1
#endif

#if HAS_BOOKS

#include <malloc.h>

static size_t in_use(void) {
    const struct mallinfo2 books = mallinfo2();
    return books.uordblks + books.hblkhd;
}

static void check_books(const char *path) {
    tokenizer_file f;
    if (!tokenizer_file_open(&f, path)) {
        print_message("%s is not there: not tested\n", path);
        return;
    }
    const size_t before = in_use();
    tokenizer *t = NULL;
    sl_error error;
    assert_int_equal(tokenizer_create(&f.file, &t, &error), SL_OK);
    const size_t held = in_use() - before, counted = tokenizer_bytes(t);
    print_message("%s: %zu bytes held, %zu counted\n", path, held, counted);
    /* Headers of blocks and rounding to pages come on top. */
    assert_true(held <= counted + counted / 16 + (64 << 10));
    tokenizer_free(t);
    tokenizer_file_close(&f);
}

static void bytes_counted_are_bytes_held(void **state) {
    (void)state;
    check_books(TEST_GOLDEN "/tokenizer/spm.gguf");
    check_books(TEST_GOLDEN "/tokenizer/bpe.gguf");
    check_books(TEST_SHARED "/tokenizers/ggml-vocab-llama-spm.gguf");
    check_books(TEST_SHARED "/tokenizers/ggml-vocab-gpt-2.gguf");
}

#else

static void bytes_counted_are_bytes_held(void **state) {
    (void)state;
    print_message("needs glibc 2.33 without sanitizers: not tested\n");
    skip();
}

#endif

/* "a", "aa", ... up to `count` letters: n - 1 ways to cut each into two others, so that the pairs
 * grow with the square of the file. */
static sl_status make_runs(size_t count, sl_error *error) {
    char **texts = calloc(count + 1, sizeof *texts);
    float *scores = calloc(count + 1, sizeof *scores);
    assert_true(texts && scores);
    texts[0] = strdup("<unk>");
    for (size_t i = 1; i <= count; i++) {
        texts[i] = calloc(1, i + 1);
        memset(texts[i], 'a', i);
    }
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_string(&b, "tokenizer.ggml.model", "llama");
    gguf_builder_u32(&b, "tokenizer.ggml.unknown_token_id", 0);
    gguf_builder_strings(&b, "tokenizer.ggml.tokens", (const char *const *)texts, count + 1);
    gguf_builder_array(&b, "tokenizer.ggml.scores", META_F32, scores, count + 1);
    gguf_builder_finish(&b);
    model_file file;
    assert_int_equal(gguf_parse(b.image, b.image_bytes, &file, error), SL_OK);
    tokenizer *t = NULL;
    const sl_status status = tokenizer_create(&file, &t, error);
    assert_true((status == SL_OK) == (t != NULL));
    tokenizer_free(t);
    model_file_free(&file);
    gguf_builder_free(&b);
    for (size_t i = 0; i <= count; i++) {
        free(texts[i]);
    }
    free(texts);
    free(scores);
    return status;
}

static void cuts_have_a_ceiling(void **state) {
    (void)state;
    sl_error error = {0};
    assert_int_equal(make_runs(300, &error), SL_OK);
    assert_int_equal(make_runs(5800, &error), SL_ERR_FORMAT); /* 5800 * 5799 / 2 of them */
    assert_non_null(strstr(error.message, "expected at most 16777216"));
    assert_non_null(strstr(error.message, "found 16817100"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_counted_are_bytes_held),
                                       cmocka_unit_test(cuts_have_a_ceiling)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
