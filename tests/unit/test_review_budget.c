/* The memory budget belongs to the model: its sessions share it, and give back what they took. */
#include "sluice.h"

#include "support/temp_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static sl_status open_session(sl_model *model, size_t n_ctx, sl_session **session,
                              sl_error *error) {
    sl_session_options options;
    sl_session_options_init(&options);
    options.n_ctx = n_ctx;
    options.threads = 1;
    options.type_k = SL_KV_F32;
    options.type_v = SL_KV_F32;
    return sl_session_create(model, &options, session, error);
}

static void sessions_share_the_budget(void **state) {
    (void)state;
    const gguf_tiny_options shape = gguf_tiny_defaults();
    temp_file file = temp_file_llama(&shape);
    sl_model_options options;
    sl_model_options_init(&options);
    options.memory_budget = 256 << 20;
    sl_model *model = NULL;
    sl_error error = {0};
    assert_int_equal(sl_model_load(file.path, &options, &model, &error), SL_OK);

    /* 256 bytes a position: 128 MiB of the budget, twice that is too much. */
    enum { POSITIONS = 1 << 19 };
    sl_session *first = NULL, *second = NULL, *small = NULL;
    assert_int_equal(open_session(model, POSITIONS, &first, &error), SL_OK);
    sl_session_info info;
    sl_session_get_info(first, &info);
    assert_true(info.kv_bytes == 128 << 20);
    assert_int_equal(open_session(model, POSITIONS, &second, &error), SL_ERR_MEMORY);
    assert_null(second);
    char others[40];
    snprintf(others, sizeof others, ", other sessions %llu",
             (unsigned long long)(info.kv_bytes + info.buffer_bytes + (1 << 20) - 1) >> 20);
    assert_non_null(strstr(error.message, others));
    assert_non_null(strstr(error.message, "the budget is 256 MiB"));
    assert_null(strstr(error.message, "-c")); /* options are the command's business */
    assert_int_equal(open_session(model, 64, &small, &error), SL_OK);

    sl_session_free(first);
    assert_int_equal(open_session(model, POSITIONS, &second, &error), SL_OK);
    sl_session_free(second);
    sl_session_free(small);
    sl_model_free(model);
    temp_file_remove(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sessions_share_the_budget)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
