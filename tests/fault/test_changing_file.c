/* A model's file is written to, cut or removed while it is in use, by a model that is mapped and by
 * one whose weights are read for each pass: what can be wrong is refused with a clear line. */
#include "sluice.h"

#include "base/size.h"
#include "support/temp_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const int32_t text[] = {7, 3, 1, 200, 256, 0, 99, 5, 42, 17};

typedef struct user {
    temp_file file;
    sl_model *model;
    sl_session *session;
} user;

static sl_status open_within(user *u, uint64_t budget, sl_error *error) {
    const sl_model_options how = {.memory_budget = budget};
    const sl_session_options options = {.threads = 2, .n_batch = 4};
    sl_status status = sl_model_load(u->file.path, &how, &u->model, error);
    if (status == SL_OK && (status = sl_session_create(u->model, &options, &u->session, error))) {
        sl_model_free(u->model);
    }
    return status;
}

/* After its first tokens. */
static user start(bool streamed) {
    user u;
    sl_error error;
    sl_model_info info;
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_embd = 256;
    options.n_ff = 1024;
    options.type = QUANT_F16;
    u.file = temp_file_llama(&options);
    uint64_t budget = streamed ? 1 : 0;
    while (open_within(&u, budget << 20, &error) != SL_OK) {
        const char *needs = strstr(error.message, "needs ");
        assert_non_null(needs);
        budget = strtoull(needs + 6, NULL, 10);
    }
    sl_model_get_info(u.model, &info);
    assert_int_equal(info.streamed_bytes > 0, streamed);
    assert_int_equal(sl_session_eval(u.session, text, 4, NULL, NULL, &error), SL_OK);
    return u;
}

static void stop(user *u) {
    sl_session_free(u->session);
    sl_model_free(u->model);
    temp_file_remove(&u->file);
}

/* Twice: it stays wrong. */
static void expect_refusal(user *u, const char *line) {
    for (size_t count = 8; count <= 10; count += 2) {
        sl_error error = {0};
        assert_int_equal(sl_session_eval(u->session, text, count, NULL, NULL, &error),
                         SL_ERR_RUNTIME);
        if (!strstr(error.message, line)) {
            fail_msg("'%s', expected '%s'", error.message, line);
        }
        assert_null(sl_session_logits(u->session));
    }
}

/* One byte of the weights, in place: neither size nor pages change. */
static void a_file_that_is_written_to(void **state) {
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++) {
        user u = start(streamed);
        usleep(20000); /* file systems tell times apart by ticks */
        const int fd = open(u.file.path, O_WRONLY);
        assert_int_equal(pwrite(fd, "x", 1, 300000), 1);
        close(fd);
        expect_refusal(&u, "the model file: was changed while in use");
        stop(&u);
    }
}

static void a_streamed_file_that_is_cut(void **state) {
    (void)state;
    for (int means = 0; means < 2; means++) {
        setenv("SLUICE_IO", means ? "threads buffered" : "", 1);
        user u = start(true);
        assert_int_equal(truncate(u.file.path, 300001), 0);
        expect_refusal(&u, "the model file: ");
        stop(&u);
    }
    unsetenv("SLUICE_IO");
}

/* What is open stays. */
static void a_file_that_is_removed(void **state) {
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++) {
        user u = start(streamed);
        sl_error error;
        assert_int_equal(unlink(u.file.path), 0);
        for (size_t count = 5; count <= 10; count++) {
            assert_int_equal(sl_session_eval(u.session, text, count, NULL, NULL, &error), SL_OK);
        }
        stop(&u);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_written_to),
        cmocka_unit_test(a_streamed_file_that_is_cut),
        cmocka_unit_test(a_file_that_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
