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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_counted_are_bytes_held)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
