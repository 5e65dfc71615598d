/* Memory that runs out: the first allocation fails, then the second, until making a tokenizer, a
 * decoder and the tokens of a text needs no more of them. Each failure must be said and leave
 * nothing behind. */
#include "support/tokenizer_cases.h"

#include "base/size.h"
#include "formats/tables.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/tokenizer_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN TEST_GOLDEN "/tokenizer/"
#define FAMILIES TEST_GOLDEN "/families/"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);

static long allowed = -1; /* allocations before one fails; -1: none does */
static long held;         /* blocks */

static bool fails(void) {
    if (allowed < 0) {
        return false;
    }
    return allowed-- == 0;
}

SL_API void *malloc(size_t size) {
    void *block = fails() ? NULL : __libc_malloc(size);
    held += block != NULL;
    return block;
}

SL_API void *calloc(size_t count, size_t size) {
    void *block = fails() ? NULL : __libc_calloc(count, size);
    held += block != NULL;
    return block;
}

SL_API void *realloc(void *old, size_t size) {
    void *block = fails() ? NULL : __libc_realloc(old, size);
    held += block != NULL && old == NULL;
    return block;
}

SL_API void free(void *block) {
    held -= block != NULL;
    __libc_free(block);
}

/* Everything once. */
static sl_status use(const model_file *file, str text, sl_error *error) {
    tokenizer *t = NULL;
    tokenizer_decoder *d = NULL;
    array ids = array_new(sizeof(int32_t), 1u << 24);
    sl_status status = tokenizer_create(file, &t, error);
    if (status == SL_OK) {
        status = tokenizer_encode(t, text, SL_TOKENIZE_SPECIAL, &ids, error);
    }
    if (status == SL_OK) {
        status = tokenizer_decoder_create(t, true, &d, error);
    }
    for (size_t i = 0; status == SL_OK && i < ids.count; i++) {
        const long before = held;
        (void)tokenizer_decoder_add(d, ((int32_t *)ids.items)[i]);
        assert_true(held == before);
    }
    tokenizer_decoder_free(d);
    array_free(&ids);
    tokenizer_free(t);
    return status;
}

/* The same from a file of another kind, read first. */
static sl_status use_read(str bytes, str text, sl_error *error) {
    model_file file = {0};
    tables t = tables_new("test", NULL, 0, error);
    if (tokenizer_json_detect((const uint8_t *)bytes.ptr, bytes.len)) {
        tokenizer_json_add(&t, (const uint8_t *)bytes.ptr, bytes.len);
    } else {
        sentencepiece_add(&t, (const uint8_t *)bytes.ptr, bytes.len);
    }
    sl_status status = tables_finish(&t, &file);
    status = status == SL_OK ? use(&file, text, error) : status;
    model_file_free(&file);
    return status;
}

static void exhaust_reader(const char *name) {
    size_t size;
    char *bytes = tokenizer_cases_read(name, &size);
    assert_non_null(bytes);
    const str text = str_from("<s> the  king\u00e9e\u0301 1234\n<|endoftext|>");
    long count = 0, failures = 0;
    for (bool again = true; again; count++) {
        sl_error error = {0};
        const long before = held;
        allowed = count;
        const sl_status status = use_read((str){bytes, size}, text, &error);
        again = allowed < 0; /* one has failed */
        allowed = -1;
        assert_true(held == before);
        assert_true(status == SL_OK || (again && error.message[0]));
        failures += status != SL_OK;
    }
    print_message("%s: %ld allocations, %ld of them necessary\n", name, count - 1, failures);
    assert_true(failures >= 20 && failures > count / 2);
    free(bytes);
}

static void exhaust(const char *name) {
    tokenizer_file f;
    assert_true(tokenizer_file_open(&f, name));
    char text[20000];
    memset(text, 'a', sizeof text); /* long enough for the queue and the cache */
    memcpy(text + 17000, "<|endoftext|> <sep> the king's 1234", 35);
    long count = 0, failures = 0;
    for (bool again = true; again; count++) {
        sl_error error = {0};
        const long before = held;
        allowed = count;
        const sl_status status = use(&f.file, (str){text, sizeof text}, &error);
        again = allowed < 0; /* one has failed */
        allowed = -1;
        assert_true(held == before);
        assert_true(status == SL_OK || (again && error.message[0]));
        failures += status != SL_OK;
    }
    print_message("%s: %ld allocations, %ld of them necessary\n", name, count - 1, failures);
    /* The cache, what sorting takes and the machine code of PCRE2 are optional. */
    assert_true(failures >= 20 && failures > count / 2);
    tokenizer_file_close(&f);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    exhaust(GOLDEN "spm.gguf");
    exhaust(GOLDEN "bpe.gguf");
    exhaust(GOLDEN "wordpiece.gguf");
    exhaust_reader(GOLDEN "unk.model");
    exhaust_reader(FAMILIES "gptneox-parallel/hf/tokenizer.json");
    exhaust_reader(FAMILIES "phi3/hf/tokenizer.json");
}

#else

static void every_allocation_may_fail(void **state) {
    (void)state;
    print_message("needs glibc without sanitizers: not tested\n");
    skip();
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
