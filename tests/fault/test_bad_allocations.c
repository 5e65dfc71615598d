/* Memory that runs out: the first allocation fails, then the second, until none does. Each failure
 * must be reported as such, leave nothing behind and nothing half-made. The same with pages from
 * the system and with threads.
 *
 * The parser of GGUF files, the sampler, drafts, and all that a user of a model makes. */
#include "formats/gguf.h"
#include "sampling/lookup.h"
#include "sampling/sampling.h"

#include "base/size.h"
#include "support/legacy_builder.h"
#include "support/temp_file.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a malloc that fails when told ---------------------------------------------------------- */

/* Sanitizers bring their own malloc, which must not be replaced. */
#if defined(__SANITIZE_ADDRESS__)
#define REPLACES_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REPLACES_MALLOC 0
#endif
#endif
#if !defined(REPLACES_MALLOC) && defined(__GLIBC__)
#define REPLACES_MALLOC 1
#elif !defined(REPLACES_MALLOC)
#define REPLACES_MALLOC 0
#endif

typedef enum resource { MEMORY, PAGES, THREADS } resource;

static _Thread_local bool counting; /* only what the testing thread asks for */
static resource failing;            /* what runs out */
static size_t made;                 /* of that, since counting began */
static size_t fails_at;             /* the number of the one that fails */
static size_t n_living;             /* memory and mappings made and not given back */

#if REPLACES_MALLOC
/* The C library and the others must see them too. */
#define SEEN_BY_ALL __attribute__((visibility("default")))

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *pointer, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *pointer);

static void *living[4096];

static int (*real_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static bool fails(resource kind) {
    return counting && failing == kind && made++ == fails_at;
}

static void *note(void *pointer) {
    if (counting && pointer) {
        if (n_living == COUNT_OF(living)) {
            abort();
        }
        living[n_living++] = pointer;
    }
    return pointer;
}

static void forget(const void *pointer) {
    for (size_t i = n_living; pointer && i > 0; i--) {
        if (living[i - 1] == pointer) {
            living[i - 1] = living[--n_living];
            return;
        }
    }
}

SEEN_BY_ALL void *malloc(size_t bytes) {
    return fails(MEMORY) ? NULL : note(__libc_malloc(bytes));
}

SEEN_BY_ALL void *calloc(size_t number, size_t bytes) {
    return fails(MEMORY) ? NULL : note(__libc_calloc(number, bytes));
}

SEEN_BY_ALL void *realloc(void *pointer, size_t bytes) {
    if (fails(MEMORY)) {
        return NULL;
    }
    if (counting) {
        forget(pointer);
    }
    return note(__libc_realloc(pointer, bytes));
}

SEEN_BY_ALL void *aligned_alloc(size_t alignment, size_t bytes) {
    return fails(MEMORY) ? NULL : note(__libc_memalign(alignment, bytes));
}

SEEN_BY_ALL void free(void *pointer) {
    if (counting) {
        forget(pointer);
    }
    __libc_free(pointer);
}

/* PCRE2's compiler keeps a piece of executable memory for later; that is not ours to count. */
SEEN_BY_ALL void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    const bool ours = !(protection & PROT_EXEC);
    if (ours && fails(PAGES)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *pages = (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
    if (flags & MAP_FIXED) {
        return pages; /* in place of pages that are counted already */
    }
    return ours && pages != MAP_FAILED ? note(pages) : pages;
}

SEEN_BY_ALL int munmap(void *pages, size_t bytes) {
    if (counting) {
        forget(pages);
    }
    return (int)syscall(SYS_munmap, pages, bytes);
}

/* What the C library allocates for a thread it may keep for the next one. */
SEEN_BY_ALL int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                               void *(*run)(void *), void *argument) {
    if (fails(THREADS)) {
        return EAGAIN;
    }
    const bool before = counting;
    counting = false;
    const int result = real_pthread_create(thread, attributes, run, argument);
    counting = before;
    return result;
}

static void find_real_functions(void) {
    void *symbol = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&real_pthread_create, &symbol, sizeof symbol);
}
#else
static void find_real_functions(void) {
}
#endif

static void skip_if_malloc_stays(void) {
    if (!REPLACES_MALLOC) {
        print_message("not under this sanitizer or C library\n");
        skip();
    }
}

/* What is tried: frees what it made, and returns how making it went. */
typedef sl_status attempt_fn(const void *with, sl_error *error);

typedef struct expectation {
    attempt_fn *attempt;
    const void *with;
    resource kind;
    size_t least;     /* fewer would mean that the counting is broken */
    size_t tolerated; /* as many failures may go well, since there is another way */
    const char *says; /* in each message */
} expectation;

/* Runs the attempt with ever later failures. */
static void expect_clean_failures(const expectation *e) {
    size_t went_well = 0;
    for (size_t i = 0;; i++) {
        sl_error error = {0};
        failing = e->kind;
        fails_at = i;
        made = 0;
        n_living = 0;
        counting = true;
        const sl_status status = e->attempt(e->with, &error);
        counting = false;
        if (n_living != 0) {
            fail_msg("%zu things are left behind after failure %zu: %s", n_living, i,
                     error.message);
        }
        if (made <= i) {
            assert_int_equal(status, SL_OK);
            print_message("%zu, without %zu of which it goes too\n", made, went_well);
            assert_true(made >= e->least);
            assert_true(went_well <= e->tolerated);
            return;
        }
        if (status == SL_OK) {
            went_well++;
        } else if (status != SL_ERR_MEMORY || error.status != status ||
                   !strstr(error.message, e->says)) {
            fail_msg("failure %zu: status %d, \"%s\"", i, (int)status, error.message);
        }
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
    expect_clean_failures(&(expectation){try_parse, &b, MEMORY, 5, 0, "out of memory: "});
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
    expect_clean_failures(&(expectation){try_sampler, &options, MEMORY, 6, 0, "out of memory: "});
}

static sl_status try_lookup(const void *with, sl_error *error) {
    sl_lookup *lookup = NULL;
    const sl_status status = sl_lookup_create(with, &lookup, error);
    if ((status == SL_OK) != (lookup != NULL)) {
        return SL_ERR_RUNTIME;
    }
    sl_lookup_free(lookup);
    return status;
}

static void drafting_survives_it(void **state) {
    (void)state;
    skip_if_malloc_stays();
    const sl_lookup_options options = {.n_ctx = 100, .n_draft = 4};
    /* Itself, tokens, places before, and an index for each length of sequence. */
    expect_clean_failures(
        &(expectation){try_lookup, &options, MEMORY, 3 + LOOKUP_GRAM, 0, "out of memory: "});
}

/* A model, a text's tokens, a session, a sampler, a decoder, and the first token computed. */
typedef struct made_things {
    sl_model *model;
    int32_t *tokens;
    sl_session *session;
    sl_sampler *sampler;
    sl_decoder *decoder;
} made_things;

static void give_back(made_things *t) {
    sl_decoder_free(t->decoder);
    sl_sampler_free(t->sampler);
    sl_session_free(t->session);
    sl_free(t->tokens);
    sl_model_free(t->model);
}

static sl_status make_things(const char *path, made_things *t, sl_error *error) {
    static const char text[] = "some words, and more than one";
    size_t count = 0;
    sl_status status = sl_model_load(path, NULL, &t->model, error);
    if (status != SL_OK ||
        (status = sl_tokenize(t->model, text, sizeof text - 1, SL_TOKENIZE_BOS, &t->tokens, &count,
                              error)) != SL_OK ||
        (status = sl_session_create(t->model, &(sl_session_options){.threads = 3}, &t->session,
                                    error)) != SL_OK ||
        (status = sl_sampler_create(257, NULL, &t->sampler, error)) != SL_OK ||
        (status = sl_decoder_create(t->model, false, &t->decoder, error)) != SL_OK) {
        return status;
    }
    status = sl_session_eval(t->session, t->tokens, count, NULL, NULL, error);
    int32_t token;
    const char *shown;
    if (status == SL_OK) {
        status = sl_sampler_sample(t->sampler, sl_session_logits(t->session), &token, error);
        sl_decoder_add(t->decoder, token, &shown);
    }
    return status;
}

static sl_status try_engine(const void *with, sl_error *error) {
    made_things t = {0};
    const sl_status status = make_things(with, &t, error);
    if (status != SL_OK && t.decoder) {
        return SL_ERR_RUNTIME; /* computing allocates nothing, so it cannot fail */
    }
    give_back(&t);
    return status;
}

static sl_status try_vocabulary(const void *with, sl_error *error) {
    sl_model *model = NULL;
    const sl_model_options options = {.vocabulary_only = true};
    const sl_status status = sl_model_load(with, &options, &model, error);
    if (status != SL_OK && model) {
        return SL_ERR_RUNTIME;
    }
    sl_model_free(model);
    return status;
}

static sl_status try_file(const void *with, sl_error *error) {
    sl_file *file = NULL;
    const sl_status status = sl_file_open(with, &file, error);
    if (status != SL_OK && file) {
        return SL_ERR_RUNTIME;
    }
    sl_file_close(file);
    return status;
}

static temp_file small_model(void) {
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_vocab = 300;     /* some merges, too */
    options.type = QUANT_Q8_0; /* rearranged, on most processors */
    return temp_file_llama(&options);
}

static void the_engine_survives_it(void **state) {
    (void)state;
    skip_if_malloc_stays();
    const temp_file file = small_model();
    /* PCRE2's translation to machine code is a wish. */
    expect_clean_failures(&(expectation){try_engine, file.path, MEMORY, 60, 12, "out of memory: "});
    expect_clean_failures(
        &(expectation){try_vocabulary, file.path, MEMORY, 20, 12, "out of memory: "});
    expect_clean_failures(&(expectation){try_file, file.path, MEMORY, 4, 0, "out of memory: "});
    temp_file_remove(&file);
}

/* Other formats: tables made of words, weights put into rows. */
static void other_formats_survive_it(void **state) {
    (void)state;
    skip_if_malloc_stays();
    gguf_builder model;
    legacy_builder old;
    gguf_builder_bytes checkpoint;
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_vocab = 300;
    gguf_builder_init(&model, 3);
    gguf_builder_tiny_llama(&model, &options);
    legacy_llama(&old, &model, LEGACY_GGJT, 3, 0);
    llama2c_write(&checkpoint, &model, 2, 32);
    const temp_file files[] = {temp_file_write(old.image.data, old.image.count),
                               temp_file_write(checkpoint.data, checkpoint.count)};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        const char *const path = files[i].path;
        /* The C library sorts words faster if it gets memory for it. */
        const size_t tolerated = i == 0 ? 1 : 0;
        expect_clean_failures(
            &(expectation){try_file, path, MEMORY, 6, tolerated, "out of memory: "});
    }
    expect_clean_failures(
        &(expectation){try_vocabulary, files[0].path, MEMORY, 20, 4, "out of memory: "});
    expect_clean_failures(
        &(expectation){try_engine, files[0].path, MEMORY, 60, 16, "out of memory: "});
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        temp_file_remove(&files[i]);
    }
    free(checkpoint.data);
    legacy_free(&old);
    gguf_builder_free(&model);
}

static void the_engine_survives_a_lack_of_pages(void **state) {
    (void)state;
    skip_if_malloc_stays();
    const temp_file file = small_model();
    /* The file, activations, keys and values; weights to rearrange may stay as they are. */
    expect_clean_failures(&(expectation){try_engine, file.path, PAGES, 3, 1, "emory"});
    expect_clean_failures(&(expectation){try_file, file.path, PAGES, 1, 0, "cannot be mapped: "});
    temp_file_remove(&file);
}

static void the_engine_survives_a_lack_of_threads(void **state) {
    (void)state;
    skip_if_malloc_stays();
    const temp_file file = small_model();
    expect_clean_failures(
        &(expectation){try_engine, file.path, THREADS, 2, 1, "cannot start a thread: "});
    temp_file_remove(&file);
}

int main(void) {
    find_real_functions();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing_survives_it),
        cmocka_unit_test(sampling_survives_it),
        cmocka_unit_test(drafting_survives_it),
        cmocka_unit_test(the_engine_survives_it),
        cmocka_unit_test(other_formats_survive_it),
        cmocka_unit_test(the_engine_survives_a_lack_of_pages),
        cmocka_unit_test(the_engine_survives_a_lack_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
