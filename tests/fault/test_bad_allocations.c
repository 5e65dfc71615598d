/* Memory that runs out: the first allocation fails, then the second, until none does. Each failure
 * must be reported as such, leave nothing behind and nothing half-made.
 *
 * The parser of GGUF files and the sampler. */
#include "formats/gguf.h"
#include "sampling/sampling.h"

#include "base/size.h"
#include "support/gguf_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- a malloc that fails when told ---------------------------------------------------------- */

/* Sanitizers bring their own malloc, which must not be replaced. */
#if defined(__SANITIZE_ADDRESS__)
#define REPLACES_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REPLACES_MALLOC 0
#endif
#endif
#if !defined(REPLACES_MALLOC) && defined(__GLIBC__)
#define REPLACES_MALLOC 1
#endif

static bool counting;
static size_t made;      /* allocations since counting began */
static size_t fails_at;  /* the number of the one that fails */
static ptrdiff_t living; /* made and not freed */

#if REPLACES_MALLOC
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void __libc_free(void *pointer);

static bool fails(void) {
    return counting && made++ == fails_at;
}

static void *count(void *pointer) {
    living += counting && pointer != NULL;
    return pointer;
}

void *malloc(size_t bytes) {
    return fails() ? NULL : count(__libc_malloc(bytes));
}

void *calloc(size_t number, size_t bytes) {
    return fails() ? NULL : count(__libc_calloc(number, bytes));
}

void free(void *pointer) {
    living -= counting && pointer != NULL;
    __libc_free(pointer);
}
#endif

static void skip_if_malloc_stays(void) {
    if (!REPLACES_MALLOC) {
        print_message("not under this sanitizer or C library\n");
        skip();
    }
}

/* Runs `attempt` with ever later failures. It returns the status of what it tried, having freed
 * what that gave. */
static void expect_clean_failures(sl_status (*attempt)(const void *with, sl_error *error),
                                  const void *with, size_t least) {
    for (size_t i = 0;; i++) {
        sl_error error = {0};
        fails_at = i;
        made = 0;
        living = 0;
        counting = true;
        const sl_status status = attempt(with, &error);
        counting = false;
        assert_int_equal(living, 0);
        if (made <= i) {
            assert_int_equal(status, SL_OK);
            print_message("%zu allocations\n", made);
            assert_true(made >= least);
            return;
        }
        assert_int_equal(status, SL_ERR_MEMORY);
        assert_memory_equal(error.message, "out of memory: ", 15);
    }
}

/* ---- what is tried -------------------------------------------------------------------------- */

static sl_status try_parse(const void *with, sl_error *error) {
    const gguf_builder *b = with;
    model_file file = {.version = 77};
    const sl_status status = gguf_parse(b->image, b->image_bytes, &file, error);
    if (status == SL_OK) {
        model_file_free(&file);
    } else if (file.version != 77 || file.meta) {
        return SL_OK; /* half-made; not what the caller expects here */
    }
    return status;
}

static void parsing_survives_it(void **state) {
    (void)state;
    skip_if_malloc_stays();
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_string(&b, "general.architecture", "llama");
    gguf_builder_tensor_add(&b, "first", QUANT_F32, 1, (const uint64_t[]){8}, NULL);
    gguf_builder_tensor_add(&b, "second", QUANT_F32, 1, (const uint64_t[]){8}, NULL);
    gguf_builder_finish(&b);
    /* In reverse, so that they must be sorted. */
    gguf_builder_patch(&b, b.tensor[0].offset_at, 8, 32);
    gguf_builder_patch(&b, b.tensor[1].offset_at, 8, 0);
    /* Two tables, two indexes, the order. */
    expect_clean_failures(try_parse, &b, 5);
    gguf_builder_free(&b);
}

static sl_status try_sampler(const void *with, sl_error *error) {
    sl_sampler *sampler = NULL;
    const sl_status status = sl_sampler_create(1000, with, &sampler, error);
    if ((status == SL_OK) != (sampler != NULL)) {
        return SL_ERR_RUNTIME;
    }
    sl_sampler_free(sampler);
    return status;
}

static void sampling_survives_it(void **state) {
    (void)state;
    skip_if_malloc_stays();
    const sl_logit_bias bias = {1, 1};
    sl_sampler_options options;
    sl_sampler_options_init(&options);
    options.repeat_penalty = 1.5f;
    options.logit_bias = &bias;
    options.logit_bias_count = 1;
    /* Itself, logits, candidates, ring, counts, bias. */
    expect_clean_failures(try_sampler, &options, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing_survives_it),
        cmocka_unit_test(sampling_survives_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
