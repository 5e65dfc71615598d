/* A model's file is cut short while it is mapped: the call that meets it fails, says so, and so do
 * all later ones on that model; the process and its other models live. Each case is a process of
 * its own, since it changes what signals do. */
#include "sluice.h"

#include "base/size.h"
#include "support/temp_file.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The sanitizer has a handler of its own, behind which the default one cannot be seen. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_HANDLER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_HANDLER 1
#endif
#endif
#ifndef HAS_HANDLER
#define HAS_HANDLER 0
#endif

enum { VOCAB = 257, PAGE = 4096 };

/* ---- children ------------------------------------------------------------------------------- */

/* In a child: says what is wrong and ends it. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Runs body(with) in a child; its wait status. */
static int run_child(void (*body)(const void *with), const void *with) {
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        body(with);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect_success(void (*body)(const void *with), const void *with) {
    const int status = run_child(body, with);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- a model and a session on it ------------------------------------------------------------ */

typedef struct client {
    sl_model *model;
    sl_session *session;
} client;

static const int32_t text[] = {7, 3, 1, 200, 256, 0, 99, 5, 42, 17};

static client start(const char *path) {
    client u;
    sl_error error;
    const sl_session_options options = {.threads = 2, .n_batch = 4};
    sl_model_options how;
    sl_model_options_init(&how);
    how.no_rearrange = true; /* or nothing of the file would be read any more */
    REQUIRE(sl_model_load(path, &how, &u.model, &error) == SL_OK);
    REQUIRE(sl_session_create(u.model, &options, &u.session, &error) == SL_OK);
    return u;
}

static void stop(client *u) {
    sl_session_free(u->session);
    sl_model_free(u->model);
}

static void eval_good(client *u, size_t count, float logits[VOCAB]) {
    sl_error error;
    REQUIRE(sl_session_eval(u->session, text, count, NULL, NULL, &error) == SL_OK);
    memcpy(logits, sl_session_logits(u->session), VOCAB * sizeof *logits);
}

static void expect_cut_short(sl_session *session, size_t count) {
    sl_error error = {0};
    REQUIRE(sl_session_eval(session, text, count, NULL, NULL, &error) == SL_ERR_RUNTIME);
    REQUIRE(error.status == SL_ERR_RUNTIME);
    REQUIRE(strstr(error.message, "cut short") || strstr(error.message, "bytes now, expected"));
    REQUIRE(!strchr(error.message, '\n'));
    REQUIRE(sl_session_logits(session) == NULL);
}

static size_t file_size(const char *path) {
    struct stat status;
    REQUIRE(stat(path, &status) == 0);
    return (size_t)status.st_size;
}

static temp_file tiny_file(quant_type type, uint64_t seed) {
    gguf_tiny_options options = gguf_tiny_defaults();
    options.type = type;
    options.seed = seed;
    return temp_file_llama(&options);
}

/* ---- cuts ----------------------------------------------------------------------------------- */

typedef struct cut {
    const char *name;
    const char *path, *other_path;
    /* New size: `numerator` of `denominator` parts, less `less` bytes. */
    size_t numerator, denominator, less;
} cut;

static void cut_between_load_and_eval(const void *with) {
    const cut *c = with;
    sl_guard_mappings();
    client u = start(c->path), other = start(c->other_path);
    float before[VOCAB], after[VOCAB], of_other[VOCAB], of_other_later[VOCAB];
    eval_good(&u, 4, before);
    eval_good(&other, 4, of_other);
    const size_t size = file_size(c->path) * c->numerator / c->denominator - c->less;
    REQUIRE(truncate(c->path, (off_t)size) == 0);

    expect_cut_short(u.session, 6);
    expect_cut_short(u.session, 6);
    expect_cut_short(u.session, 1);
    sl_session *later;
    sl_error error;
    REQUIRE(sl_session_create(u.model, NULL, &later, &error) == SL_OK);
    expect_cut_short(later, COUNT_OF(text));
    sl_session_free(later);

    /* Words are not in the file's pages. */
    int32_t *tokens;
    size_t count;
    REQUIRE(sl_tokenize(u.model, "ab c", 4, 0, &tokens, &count, &error) == SL_OK);
    REQUIRE(count == 4 && tokens[0] == 'a' && tokens[1] == 'b' && tokens[3] == 'c');
    sl_free(tokens);

    eval_good(&other, 5, of_other_later);
    eval_good(&other, 4, of_other_later);
    REQUIRE(memcmp(of_other, of_other_later, sizeof of_other) == 0);
    client fresh = start(c->other_path);
    eval_good(&fresh, 4, after);
    REQUIRE(memcmp(of_other, after, sizeof after) == 0);
    stop(&fresh);
    stop(&u);
    stop(&other);
}

static void a_file_cut_short(void **state) {
    (void)state;
    static const cut cuts[] = {
        {.name = "a page less", .numerator = 1, .denominator = 1, .less = PAGE},
        {.name = "half", .numerator = 1, .denominator = 2},
        {.name = "a tenth", .numerator = 1, .denominator = 10},
        {.name = "one byte", .numerator = 1, .denominator = 1000000, .less = (size_t)-1},
        {.name = "nothing", .numerator = 0, .denominator = 1},
    };
    static const quant_type types[] = {QUANT_F32, QUANT_Q8_0};
    for (size_t i = 0; i < COUNT_OF(cuts) * COUNT_OF(types); i++) {
        cut c = cuts[i / COUNT_OF(types)];
        const temp_file file = tiny_file(types[i % COUNT_OF(types)], 1);
        const temp_file other = tiny_file(types[i % COUNT_OF(types)], 2);
        c.path = file.path;
        c.other_path = other.path;
        print_message("%s, %s\n", c.name, quant_format_of(types[i % COUNT_OF(types)])->name);
        expect_success(cut_between_load_and_eval, &c);
        temp_file_remove(&file);
        temp_file_remove(&other);
    }
}

/* ---- while computing ------------------------------------------------------------------------ */

typedef struct cutter {
    const char *path;
    size_t calls, cut_at;
} cutter;

static bool cut_now(void *user, const char *what, uint64_t done, uint64_t total) {
    cutter *c = user;
    (void)what;
    (void)done;
    (void)total;
    if (c->calls++ == c->cut_at) {
        REQUIRE(truncate(c->path, 0) == 0);
    }
    return true;
}

static void cut_while_computing(const void *with) {
    cutter c = *(const cutter *)with;
    sl_error error;
    sl_guard_mappings();
    client u = start(c.path);
    REQUIRE(sl_session_eval(u.session, text, COUNT_OF(text), cut_now, &c, &error) ==
            SL_ERR_RUNTIME);
    REQUIRE(strstr(error.message, "cut short") || strstr(error.message, "bytes now, expected"));
    sl_session_info info;
    sl_session_get_info(u.session, &info);
    REQUIRE(info.position == 0);
    expect_cut_short(u.session, 3);
    stop(&u);
}

static void a_file_cut_short_while_computing(void **state) {
    (void)state;
    static const size_t moments[] = {0, 1, 5, 17, 30};
    for (size_t i = 0; i < COUNT_OF(moments); i++) {
        const temp_file file = tiny_file(QUANT_F32, 1);
        const cutter c = {.path = file.path, .cut_at = moments[i]};
        expect_success(cut_while_computing, &c);
        temp_file_remove(&file);
    }
}

typedef struct all_cutter {
    const char *path;
    size_t count;
} all_cutter;

static bool cut_after_third(void *user, size_t index, const float *logits) {
    all_cutter *c = user;
    REQUIRE(isfinite(logits[0]));
    c->count++;
    if (index == 2) {
        REQUIRE(truncate(c->path, 0) == 0);
    }
    return true;
}

static void cut_among_all_logits(const void *with) {
    all_cutter c = {.path = with};
    sl_error error;
    sl_guard_mappings();
    client u = start(c.path);
    REQUIRE(sl_session_eval_all(u.session, text, COUNT_OF(text), cut_after_third, &c, &error) ==
            SL_ERR_RUNTIME);
    REQUIRE(c.count == 3);
    stop(&u);
}

static void a_file_cut_short_among_all_logits(void **state) {
    (void)state;
    const temp_file file = tiny_file(QUANT_F32, 1);
    expect_success(cut_among_all_logits, file.path);
    temp_file_remove(&file);
}

/* ---- while loading -------------------------------------------------------------------------- */

static void load_what_shrinks(const void *with) {
    const char *path = with;
    cutter c = {.path = path};
    sl_error error = {0};
    sl_model *model = NULL;
    const sl_model_options options = {.progress = cut_now, .user = &c};
    const int fd = open(path, O_RDONLY);
    REQUIRE(fd >= 0 && fsync(fd) == 0);
    REQUIRE(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    close(fd);
    sl_guard_mappings();
    const sl_status status = sl_model_load(path, &options, &model, &error);
    if (c.calls == 0) { /* the pages stayed, so nothing was read and nobody was told */
        REQUIRE(status == SL_OK);
        sl_model_free(model);
        _exit(77);
    }
    if (status == SL_OK) { /* all was read before the cut: the first eval finds out */
        sl_session *session;
        REQUIRE(sl_session_create(model, NULL, &session, &error) == SL_OK);
        expect_cut_short(session, 3);
        sl_session_free(session);
        sl_model_free(model);
        _exit(0);
    }
    REQUIRE(status == SL_ERR_FILE && model == NULL);
    REQUIRE(strstr(error.message, path) == error.message && strstr(error.message, "cut short"));
}

static void a_file_cut_short_while_loading(void **state) {
    (void)state;
    const gguf_tiny_options options = gguf_tiny_defaults();
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_tiny_llama(&b, &options);
    /* More than is read ahead with the tables. */
    gguf_builder_tensor_add(&b, "unused", QUANT_F32, 1, (const uint64_t[]){16 << 20}, NULL);
    gguf_builder_finish(&b);
    const temp_file file = temp_file_write(b.image, b.image_bytes);
    gguf_builder_free(&b);
    const int status = run_child(load_what_shrinks, file.path);
    temp_file_remove(&file);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("the file's pages cannot be dropped here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- a reference ---------------------------------------------------------------------------- */

/* One window of three tokens, whose row has a vocabulary of some pages. */
enum { WORDS = 64 * PAGE };

static temp_file reference_file(void) {
    const sl_reference_info info = {3, WORDS, 1};
    const size_t front = SL_REFERENCE_HEAD_BYTES + 3 * sizeof(int32_t);
    const size_t size = front + sl_reference_row_bytes(WORDS);
    uint8_t *bytes = calloc(1, size);
    float *logits = calloc(WORDS, sizeof *logits), *row = malloc(sl_reference_row_bytes(WORDS));
    assert_true(bytes && logits && row);
    sl_reference_make_head(&info, bytes);
    sl_reference_make_row(logits, WORDS, log(WORDS), row);
    memcpy(bytes + front, row, sl_reference_row_bytes(WORDS));
    const temp_file file = temp_file_write(bytes, size);
    free(bytes);
    free(logits);
    free(row);
    return file;
}

static void cut_a_reference(const void *with) {
    static float values[WORDS];
    sl_reference *reference;
    sl_error error = {0};
    sl_guard_mappings();
    REQUIRE(sl_reference_open(with, &reference, &error) == SL_OK);
    REQUIRE(sl_reference_read(reference, 0, 0, values, &error) == SL_OK);
    REQUIRE(fabs((double)values[WORDS - 1] + log(WORDS)) < 1e-5);
    REQUIRE(truncate(with, PAGE) == 0);
    REQUIRE(sl_reference_read(reference, 0, 0, values, &error) == SL_ERR_RUNTIME);
    REQUIRE(strstr(error.message, "the reference was cut short"));
    sl_reference_close(reference);
}

static void a_reference_cut_short(void **state) {
    (void)state;
    const temp_file file = reference_file();
    expect_success(cut_a_reference, file.path);
    temp_file_remove(&file);
}

/* ---- other faults --------------------------------------------------------------------------- */

static sigjmp_buf back;
static volatile sig_atomic_t handled;
static void *volatile fault_at;

static void plain_handler(int number) {
    handled = number;
    siglongjmp(back, 1);
}

static void informed_handler(int number, siginfo_t *info, void *context) {
    (void)context;
    handled = info->si_addr == fault_at ? number : -1;
    siglongjmp(back, 1);
}

/* A page behind the end of a file that has nothing to do with models. */
static const volatile uint8_t *page_behind_an_end(const char *path) {
    const int fd = open(path, O_RDONLY);
    REQUIRE(fd >= 0);
    void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    REQUIRE(page != MAP_FAILED);
    close(fd);
    REQUIRE(truncate(path, 0) == 0);
    fault_at = page;
    return page;
}

typedef struct stranger {
    const char *model_path, *path;
    bool informed, ignored, sent;
} stranger;

static void fault_elsewhere(const void *with) {
    const stranger *s = with;
    struct sigaction action = {.sa_handler = plain_handler};
    if (s->informed) {
        action.sa_sigaction = informed_handler;
        action.sa_flags = SA_SIGINFO;
    }
    REQUIRE(sigaction(SIGBUS, &action, NULL) == 0);
    sl_guard_mappings();
    sl_guard_mappings(); /* once is enough, twice does no harm */
    client u = start(s->model_path);
    float before[VOCAB], after[VOCAB];
    eval_good(&u, 4, before);
    const volatile uint8_t *page = page_behind_an_end(s->path);
    if (sigsetjmp(back, 1) == 0) {
        (void)page[5 - 5];
        REQUIRE(!"the fault was swallowed");
    }
    REQUIRE(handled == SIGBUS);
    eval_good(&u, 5, after);
    eval_good(&u, 4, after);
    REQUIRE(memcmp(before, after, sizeof after) == 0); /* the model is none the worse */
    stop(&u);
}

static void faults_elsewhere_reach_their_handler(void **state) {
    (void)state;
    for (int informed = 0; informed < 2; informed++) {
        const temp_file model = tiny_file(QUANT_F32, 1);
        const temp_file file = temp_file_write("some bytes", 10);
        const stranger s = {.model_path = model.path, .path = file.path, .informed = informed};
        expect_success(fault_elsewhere, &s);
        temp_file_remove(&model);
        temp_file_remove(&file);
    }
}

static void die_elsewhere(const void *with) {
    const stranger *s = with;
    REQUIRE(signal(SIGBUS, s->ignored ? SIG_IGN : SIG_DFL) != SIG_ERR);
    sl_guard_mappings();
    client u = start(s->model_path);
    if (s->sent) {
        kill(getpid(), SIGBUS);
    } else {
        (void)*page_behind_an_end(s->path);
    }
    stop(&u);
}

static void faults_that_nobody_handles_end_the_process(void **state) {
    (void)state;
    if (HAS_HANDLER) {
        print_message("not under this sanitizer\n");
        skip();
    }
    for (int i = 0; i < 4; i++) {
        const temp_file model = tiny_file(QUANT_F32, 1);
        const temp_file file = temp_file_write("some bytes", 10);
        const stranger s = {
            .model_path = model.path, .path = file.path, .ignored = i & 1, .sent = i & 2};
        const int status = run_child(die_elsewhere, &s);
        temp_file_remove(&model);
        temp_file_remove(&file);
        if (s.ignored && s.sent) { /* only a signal that is sent can be ignored */
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        } else {
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), SIGBUS);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_short),
        cmocka_unit_test(a_file_cut_short_while_computing),
        cmocka_unit_test(a_file_cut_short_among_all_logits),
        cmocka_unit_test(a_file_cut_short_while_loading),
        cmocka_unit_test(a_reference_cut_short),
        cmocka_unit_test(faults_elsewhere_reach_their_handler),
        cmocka_unit_test(faults_that_nobody_handles_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
