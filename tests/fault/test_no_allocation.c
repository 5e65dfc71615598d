/* Between the first and the last generated token nothing is allocated: neither from malloc and its
 * kin, nor from the system. The functions are replaced here by ones that count, and the list of
 * the process's mappings is compared, which shows growth by any other way. */
#include "sluice.h"

#include "support/gguf_family.h"
#include "support/quick.h"
#include "support/temp_file.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

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

/* The C library and the others must see them too. */
#define SEEN_BY_ALL __attribute__((visibility("default")))

static _Atomic bool counting;
static _Atomic size_t counted; /* calls while counting, on any thread */

/* ---- functions that count ------------------------------------------------------------------- */

#if REPLACES_MALLOC
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *pointer, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static void *(*real_sbrk)(intptr_t);
static int (*real_brk)(void *);

static void note(void) {
    if (atomic_load(&counting)) {
        atomic_fetch_add(&counted, 1);
    }
}

SEEN_BY_ALL void *malloc(size_t bytes) {
    note();
    return __libc_malloc(bytes);
}

SEEN_BY_ALL void *calloc(size_t count, size_t bytes) {
    note();
    return __libc_calloc(count, bytes);
}

SEEN_BY_ALL void *realloc(void *pointer, size_t bytes) {
    note();
    return __libc_realloc(pointer, bytes);
}

SEEN_BY_ALL void *aligned_alloc(size_t alignment, size_t bytes) {
    note();
    return __libc_memalign(alignment, bytes);
}

SEEN_BY_ALL int posix_memalign(void **out, size_t alignment, size_t bytes) {
    note();
    *out = __libc_memalign(alignment, bytes);
    return *out ? 0 : ENOMEM;
}

SEEN_BY_ALL void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    note();
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}

SEEN_BY_ALL void *mremap(void *old, size_t old_bytes, size_t bytes, int flags, ...) {
    note();
    return (void *)syscall(SYS_mremap, old, old_bytes, bytes, flags, NULL);
}

SEEN_BY_ALL void *sbrk(intptr_t more) {
    note();
    return real_sbrk(more);
}

SEEN_BY_ALL int brk(void *end) {
    note();
    return real_brk(end);
}

static void find_real_functions(void) {
    void *symbol = dlsym(RTLD_NEXT, "sbrk");
    memcpy(&real_sbrk, &symbol, sizeof symbol);
    symbol = dlsym(RTLD_NEXT, "brk");
    memcpy(&real_brk, &symbol, sizeof symbol);
}
#else
static void find_real_functions(void) {
}
#endif

/* ---- the process's mappings ----------------------------------------------------------------- */

enum { MAPS_BYTES = 1 << 18 };

/* Reads /proc/self/maps but for the line of the main thread's stack, which may grow. */
static size_t read_maps(char maps[MAPS_BYTES]) {
    size_t length = 0;
    ssize_t n;
    const int fd = open("/proc/self/maps", O_RDONLY);
    while (fd >= 0 && length < MAPS_BYTES - 1 &&
           (n = read(fd, maps + length, MAPS_BYTES - 1 - length)) > 0) {
        length += (size_t)n;
    }
    close(fd);
    maps[length] = 0;
    char *stack = strstr(maps, "[stack]");
    if (stack) {
        char *line = stack;
        while (line > maps && line[-1] != '\n') {
            line--;
        }
        memset(line, ' ', (size_t)(stack - line));
    }
    return length;
}

static char maps_before[MAPS_BYTES], maps_after[MAPS_BYTES];

/* ---- generating ----------------------------------------------------------------------------- */

typedef struct generator {
    sl_model *model;
    sl_session *session;
    sl_sampler *sampler;
    sl_decoder *decoder;
    sl_lookup *lookup;
    int32_t *tokens; /* room for all */
    size_t count, text_bytes;
    size_t evaluated; /* tokens whose logits are there: with a draft, as long as it is right */
    size_t drafted, accepted;
} generator;

static void require(sl_status status, const sl_error *error) {
    if (status != SL_OK) {
        fail_msg("%s", error->message);
    }
}

enum { DRAFT = 7 };

/* A model and a session, within a budget; 0: what there is. */
static sl_status open_within(generator *g, const char *path, size_t room, uint64_t budget,
                             sl_error *error) {
    const sl_model_options how = {.memory_budget = budget};
    const sl_session_options options = {
        .threads = 2, .n_ctx = room, .n_batch = 16, .n_logits = DRAFT + 1};
    sl_status status = sl_model_load(path, &how, &g->model, error);
    if (status == SL_OK && (status = sl_session_create(g->model, &options, &g->session, error))) {
        sl_model_free(g->model);
    }
    return status;
}

/* The same within the least budget, by what refusals ask for: weights are read for each token. */
static void open_within_the_least(generator *g, const char *path, size_t room) {
    sl_error error;
    sl_model_info info;
    uint64_t budget = 1;
    while (open_within(g, path, room, budget << 20, &error) != SL_OK) {
        const char *needs = strstr(error.message, "needs ");
        const uint64_t more = needs ? strtoull(needs + 6, NULL, 10) : 0;
        assert_true(more > budget);
        budget = more;
    }
    sl_model_get_info(g->model, &info);
    assert_true(info.streamed_bytes > 0);
}

static generator start(const char *path, const char *prompt, size_t room, bool streamed) {
    generator g = {0};
    sl_error error;
    sl_model_info info;
    if (streamed) {
        open_within_the_least(&g, path, room);
    } else {
        require(open_within(&g, path, room, 0, &error), &error);
    }
    sl_model_get_info(g.model, &info);
    sl_sampler_options sampling;
    sl_sampler_options_init(&sampling);
    sampling.repeat_penalty = 1.1f;
    sampling.n_ctx = room;
    require(sl_sampler_create(info.n_vocab, &sampling, &g.sampler, &error), &error);
    require(sl_decoder_create(g.model, false, &g.decoder, &error), &error);
    sl_lookup_options drafting;
    sl_lookup_options_init(&drafting);
    drafting.n_ctx = room;
    drafting.n_draft = DRAFT;
    drafting.row_cost = 0; /* to the full length */
    require(sl_lookup_create(&drafting, &g.lookup, &error), &error);
    int32_t *tokens;
    require(
        sl_tokenize(g.model, prompt, strlen(prompt), SL_TOKENIZE_BOS, &tokens, &g.count, &error),
        &error);
    assert_true(g.count > 0 && g.count < room);
    g.tokens = calloc(room, sizeof *g.tokens);
    memcpy(g.tokens, tokens, g.count * sizeof *tokens);
    sl_free(tokens);
    for (size_t i = 0; i < g.count; i++) {
        sl_sampler_accept(g.sampler, g.tokens[i]);
        sl_lookup_accept(g.lookup, g.tokens[i]);
    }
    require(sl_session_eval(g.session, g.tokens, g.count, NULL, NULL, &error), &error);
    return g;
}

static void step(generator *g) {
    sl_error error;
    const char *text;
    int32_t token;
    require(sl_sampler_sample(g->sampler, sl_session_logits(g->session), &token, &error), &error);
    sl_sampler_accept(g->sampler, token);
    g->text_bytes += sl_decoder_add(g->decoder, token, &text);
    g->tokens[g->count++] = token;
    require(sl_session_eval(g->session, g->tokens, g->count, NULL, NULL, &error), &error);
}

/* The same with a draft behind the text in each evaluation. */
static void step_with_lookup(generator *g) {
    sl_error error;
    const char *text;
    int32_t token;
    if (g->count > g->evaluated) {
        const size_t n = sl_lookup_draft(g->lookup, g->tokens + g->count, DRAFT);
        require(
            sl_session_eval_last(g->session, g->tokens, g->count + n, n + 1, NULL, NULL, &error),
            &error);
        sl_lookup_timed(g->lookup, n + 1, 1);
        g->evaluated = g->count + n;
        g->drafted += n;
    }
    const float *logits = sl_session_logits_at(g->session, g->count - 1);
    require(sl_sampler_sample(g->sampler, logits, &token, &error), &error);
    sl_sampler_accept(g->sampler, token);
    sl_lookup_accept(g->lookup, token);
    g->text_bytes += sl_decoder_add(g->decoder, token, &text);
    if (g->count < g->evaluated && g->tokens[g->count] == token) {
        g->accepted++;
    } else {
        g->evaluated = g->count;
    }
    g->tokens[g->count++] = token;
}

static void stop(generator *g) {
    sl_lookup_free(g->lookup);
    sl_decoder_free(g->decoder);
    sl_sampler_free(g->sampler);
    sl_session_free(g->session);
    sl_model_free(g->model);
    free(g->tokens);
}

enum { STEPS = 100, QUICK_STEPS = 40, ROOM = 192 };

static void generate_with(void (*next)(generator *g), const char *path, bool streamed) {
    static const char prompt[] = "it was the best of times, it was the worst of times";
    generator g = start(path, prompt, ROOM, streamed);
    next(&g);
    read_maps(maps_before);
    atomic_store(&counted, 0);
    atomic_store(&counting, true);
    const size_t steps = quick_or(QUICK_STEPS, STEPS);
    for (size_t i = 0; i < steps; i++) {
        next(&g);
    }
    atomic_store(&counting, false);
    read_maps(maps_after);
    assert_int_equal(atomic_load(&counted), 0);
    assert_string_equal(maps_before, maps_after);
    if (next == step_with_lookup) {
        assert_true(g.drafted > steps / 4);
        print_message("%zu drafted, %zu accepted\n", g.drafted, g.accepted);
    } else {
        sl_session_info info;
        sl_session_get_info(g.session, &info);
        assert_int_equal(info.position, g.count);
    }
    print_message("%zu tokens, %zu bytes of text\n", g.count, g.text_bytes);
    stop(&g);
}

static void generate_without_allocating(const char *path, bool streamed) {
    generate_with(step, path, streamed);
    generate_with(step_with_lookup, path, streamed);
}

static void skip_if_malloc_stays(void) {
    if (!REPLACES_MALLOC) {
        print_message("not under this sanitizer or C library\n");
        skip();
    }
}

static void tiny_models_allocate_nothing(void **state) {
    (void)state;
    skip_if_malloc_stays();
    static const quant_type types[] = {QUANT_F32, QUANT_Q8_0};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        gguf_tiny_options options = gguf_tiny_defaults();
        options.n_ctx = 256;
        options.type = types[i];
        const temp_file file = temp_file_llama(&options);
        generate_without_allocating(file.path, false);
        temp_file_remove(&file);
    }
}

static void families_allocate_nothing(void **state) {
    (void)state;
    skip_if_malloc_stays();
    for (size_t i = 0; gguf_family_at(i); i++) {
        gguf_tiny_options options = gguf_tiny_defaults();
        options.n_ctx = 256;
        const temp_file file = temp_file_family(gguf_family_at(i), &options);
        generate_with(step, file.path, false);
        temp_file_remove(&file);
    }
}

/* Norms of heads and results, caps, windows, rotations for long contexts. */
static void families_of_today_allocate_nothing(void **state) {
    (void)state;
    skip_if_malloc_stays();
    static const char *const names[] = {"qwen2", "qwen3", "gemma2", "gemma3", "phi3-longrope"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/families/%s/model.gguf", TEST_GOLDEN, names[i]);
        print_message("%s: ", names[i]);
        generate_with(step, path, false);
    }
}

/* Sessions of a group that compute pass by pass, share, go to the spill file and come back. */
static void move_about(sl_session *s[2], const int32_t *tokens, size_t count) {
    sl_error error;
    sl_session_place place;
    const sl_session_content contents[] = {{s[0], tokens, count}, {s[1], tokens, count - 3}};
    require(sl_session_step_group(contents, 2, NULL, NULL, &error), &error);
    require(sl_session_suspend(s[0], &error), &error);
    require(sl_session_step_group(&contents[1], 1, NULL, NULL, &error), &error);
    require(sl_session_settle(s[0], true, &place, &error), &error);
    require(sl_session_resume(s[0], &error), &error);
    require(sl_session_settle(s[0], true, &place, &error), &error);
    sl_session_cut(s[1], 0);
    require(sl_session_share(s[0], s[1], count - 9, &error), &error);
}

static void moving_about_allocates_nothing(void **state) {
    (void)state;
    skip_if_malloc_stays();
    gguf_tiny_options shape = gguf_tiny_defaults();
    shape.n_ctx = 256;
    const temp_file file = temp_file_llama(&shape);
    const sl_session_options options = {.threads = 2, .n_batch = 64, .spill_directory = "/tmp"};
    sl_error error;
    sl_model *model;
    sl_session *sessions[2];
    int32_t tokens[256];
    for (size_t i = 0; i < 256; i++) {
        tokens[i] = (int32_t)(i * 31 % shape.n_vocab);
    }
    require(sl_model_load(file.path, NULL, &model, &error), &error);
    require(sl_session_create_group(model, &options, 2, sessions, &error), &error);
    sl_model_wait(model);
    move_about(sessions, tokens, 50);
    read_maps(maps_before);
    atomic_store(&counted, 0);
    atomic_store(&counting, true);
    for (size_t count = 60; count < 250; count += quick_or(60, 20)) {
        move_about(sessions, tokens, count);
    }
    atomic_store(&counting, false);
    read_maps(maps_after);
    assert_int_equal(atomic_load(&counted), 0);
    assert_string_equal(maps_before, maps_after);
    sl_session_free(sessions[0]);
    sl_session_free(sessions[1]);
    sl_model_free(model);
    temp_file_remove(&file);
}

/* Several sessions of a group, in contexts long enough for their attention to be cut into parts. */
enum { GROUP = 3, LONG_ROOM = 640, LONG_PROMPT = 500 };

static void generate_together(const sl_session_content *contents, int32_t *tokens[GROUP],
                              sl_sampler *sampler, size_t steps, size_t counts[GROUP]) {
    sl_error error;
    for (size_t i = 0; i < steps; i++) {
        sl_session_content now[GROUP];
        for (size_t k = 0; k < GROUP; k++) {
            require(sl_sampler_sample(sampler, sl_session_logits(contents[k].session),
                                      &tokens[k][counts[k]++], &error),
                    &error);
            now[k] = (sl_session_content){contents[k].session, tokens[k], counts[k]};
        }
        require(sl_session_eval_group(now, GROUP, NULL, NULL, &error), &error);
    }
}

static void a_group_allocates_nothing(void **state) {
    (void)state;
    skip_if_malloc_stays();
    gguf_tiny_options shape = gguf_tiny_defaults();
    shape.n_ctx = LONG_ROOM;
    shape.type = QUANT_Q8_0;
    const temp_file file = temp_file_llama(&shape);
    const sl_session_options options = {.threads = 2, .n_batch = 64};
    sl_error error;
    sl_model *model;
    sl_sampler *sampler;
    sl_session *sessions[GROUP];
    sl_session_content contents[GROUP];
    static int32_t room[GROUP][LONG_ROOM];
    int32_t *tokens[GROUP];
    size_t counts[GROUP];
    require(sl_model_load(file.path, NULL, &model, &error), &error);
    require(sl_session_create_group(model, &options, GROUP, sessions, &error), &error);
    require(sl_sampler_create(shape.n_vocab, NULL, &sampler, &error), &error);
    for (size_t k = 0; k < GROUP; k++) {
        counts[k] = LONG_PROMPT - 150 * k;
        tokens[k] = room[k];
        for (size_t i = 0; i < counts[k]; i++) {
            tokens[k][i] = (int32_t)((i * 31 + k) % shape.n_vocab);
        }
        contents[k] = (sl_session_content){sessions[k], tokens[k], counts[k]};
    }
    sl_model_wait(model);
    require(sl_session_eval_group(contents, GROUP, NULL, NULL, &error), &error);
    generate_together(contents, tokens, sampler, 1, counts);
    read_maps(maps_before);
    atomic_store(&counted, 0);
    atomic_store(&counting, true);
    generate_together(contents, tokens, sampler, quick_or(QUICK_STEPS, STEPS), counts);
    atomic_store(&counting, false);
    read_maps(maps_after);
    assert_int_equal(atomic_load(&counted), 0);
    assert_string_equal(maps_before, maps_after);
    for (size_t k = 0; k < GROUP; k++) {
        sl_session_free(sessions[k]);
    }
    sl_sampler_free(sampler);
    sl_model_free(model);
    temp_file_remove(&file);
}

static void the_starter_model_allocates_nothing(void **state) {
    (void)state;
    skip_if_malloc_stays();
    const char *path = TEST_MODELS "/sluice-starter.gguf";
    if (access(path, R_OK) != 0) {
        print_message("%s is not there\n", path);
        skip();
    }
    generate_without_allocating(path, false);
}

static void a_streamed_model_allocates_nothing(void **state) {
    (void)state;
    skip_if_malloc_stays();
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_ctx = 256;
    options.n_embd = 256;
    options.n_ff = 1024;
    options.n_layer = 3;
    options.type = QUANT_F16;
    const temp_file file = temp_file_llama(&options);
    generate_without_allocating(file.path, true);
    setenv("SLUICE_IO", "threads", 1);
    generate_without_allocating(file.path, true);
    unsetenv("SLUICE_IO");
    temp_file_remove(&file);
}

/* ---- the counters count --------------------------------------------------------------------- */

#if REPLACES_MALLOC
static void *volatile sink;

static void by_malloc(void) {
    sink = malloc(10);
    free(sink);
}

static void by_calloc(void) {
    sink = calloc(3, 10);
    free(sink);
}

static void by_realloc(void) {
    sink = realloc(NULL, 10);
    free(sink);
}

static void by_aligned_alloc(void) {
    sink = aligned_alloc(64, 64);
    free(sink);
}

static void by_posix_memalign(void) {
    void *pointer;
    if (posix_memalign(&pointer, 64, 64) == 0) {
        sink = pointer;
        free(sink);
    }
}

static void by_strdup(void) {
    sink = strdup("inside the C library");
    free(sink);
}

static void by_mmap(void) {
    sink = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(sink, 4096);
}

static void by_mremap(void) {
    sink = mremap(NULL, 0, 0, 0);
}

static void by_sbrk(void) {
    sink = sbrk(0);
}

static void by_brk(void) {
    sink = sbrk(0);
    atomic_store(&counted, 0);
    (void)!brk(sink);
}

static void (*const ways[])(void) = {by_malloc,         by_calloc, by_realloc, by_aligned_alloc,
                                     by_posix_memalign, by_strdup, by_mmap,    by_mremap,
                                     by_sbrk,           by_brk};

static void an_allocation_in_between_is_counted(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        atomic_store(&counted, 0);
        ways[i]();
        assert_int_equal(atomic_load(&counted), 0);
        atomic_store(&counting, true);
        ways[i]();
        atomic_store(&counting, false);
        if (atomic_load(&counted) != 1) {
            fail_msg("way %zu was counted %zu times", i, atomic_load(&counted));
        }
    }
}

/* As code might that goes past the C library. */
static void a_mapping_by_system_call_is_seen(void **state) {
    (void)state;
    read_maps(maps_before);
    void *pages = (void *)syscall(SYS_mmap, NULL, (size_t)4096, PROT_READ,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, (off_t)0);
    read_maps(maps_after);
    munmap(pages, 4096);
    assert_string_not_equal(maps_before, maps_after);
    read_maps(maps_after);
    assert_string_equal(maps_before, maps_after);
}
#else
static void an_allocation_in_between_is_counted(void **state) {
    (void)state;
    skip_if_malloc_stays();
}

static void a_mapping_by_system_call_is_seen(void **state) {
    (void)state;
    skip_if_malloc_stays();
}
#endif

int main(void) {
    find_real_functions();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_in_between_is_counted),
        cmocka_unit_test(a_mapping_by_system_call_is_seen),
        cmocka_unit_test(tiny_models_allocate_nothing),
        cmocka_unit_test(families_allocate_nothing),
        cmocka_unit_test(families_of_today_allocate_nothing),
        cmocka_unit_test(a_group_allocates_nothing),
        cmocka_unit_test(moving_about_allocates_nothing),
        cmocka_unit_test(the_starter_model_allocates_nothing),
        cmocka_unit_test(a_streamed_model_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
