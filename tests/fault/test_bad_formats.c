/* Files of the formats before GGUF with bits that flipped, or cut short: each is refused with one
 * line, or opens and computes. The seed is printed. */
#include "sluice.h"

#include "base/random.h"
#include "base/size.h"
#include "support/temp_file.h"
#include "support/test_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {
    "gpt2-f16.bin",        "gptj-q4_0.bin",        "gptneox-parallel-f16.bin",
    "llama-ggml-f16.bin",  "llama-ggjt3-q8_0.bin", "llama2c-version0.bin",
    "llama2c-version2.bin"};

enum { FLIPS = 60, CUTS = 30, HEADS = 600 };

/* Returns whether it was accepted. */
static bool open_and_compute(const uint8_t *bytes, size_t size) {
    static const int32_t tokens[] = {1, 2, 3};
    const temp_file file = temp_file_write(bytes, size);
    sl_error error = {0};
    sl_model *model = NULL;
    sl_session *session = NULL;
    const sl_session_options wanted = {.n_ctx = 8, .n_batch = 8, .threads = 1};
    sl_status status = sl_model_load(file.path, NULL, &model, &error);
    if (status == SL_OK) {
        status = sl_session_create(model, &wanted, &session, &error);
    }
    if (status == SL_OK) {
        status = sl_session_eval(session, tokens, COUNT_OF(tokens), NULL, NULL, &error);
    }
    assert_int_equal(status == SL_OK, error.message[0] == 0);
    assert_null(strchr(error.message, '\n'));
    sl_session_free(session);
    sl_model_free(model);
    temp_file_remove(&file);
    return status == SL_OK;
}

static void flipped(void **state) {
    (void)state;
    const uint64_t seed = 20230520;
    random_state random;
    random_seed(&random, seed);
    size_t accepted = 0, refused = 0;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[512];
        size_t size;
        snprintf(path, sizeof path, TEST_GOLDEN "/legacy/%s", names[i]);
        uint8_t *bytes = test_read_file(path, &size);
        for (size_t k = 0; k < FLIPS; k++) {
            /* Half of them in the header and the first words. */
            const size_t at = random_u64(&random) % (k % 2 == 0 ? size_min(HEADS, size) : size);
            const uint8_t bit = (uint8_t)(1u << random_u64(&random) % 8);
            bytes[at] ^= bit;
            const bool taken = open_and_compute(bytes, size);
            accepted += taken;
            refused += !taken;
            bytes[at] ^= bit;
        }
        free(bytes);
    }
    print_message("seed %llu: %zu accepted, %zu refused\n", (unsigned long long)seed, accepted,
                  refused);
    assert_true(accepted > 0 && refused > 0);
}

static void cut_short(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[512];
        size_t size;
        snprintf(path, sizeof path, TEST_GOLDEN "/legacy/%s", names[i]);
        uint8_t *bytes = test_read_file(path, &size);
        for (size_t k = 0; k < CUTS; k++) {
            assert_false(open_and_compute(bytes, 4 + (size - 5) * k / CUTS));
        }
        assert_false(open_and_compute(bytes, size - 1));
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped),
        cmocka_unit_test(cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
