/* Files without a name: what is written comes back, what is not there is an error. */
#include "os/os.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 70001 };

static void what_is_written_comes_back(void **state) {
    (void)state;
    sl_error error;
    os_scratch *scratch = NULL;
    static uint8_t written[SIZE], read[SIZE];
    for (size_t i = 0; i < SIZE; i++) {
        written[i] = (uint8_t)(i * 7 + i / 256);
    }
    assert_int_equal(os_scratch_open("/tmp", &scratch, &error), SL_OK);
    /* The second range lies behind a hole, far beyond what fits 32 bits. */
    const uint64_t offsets[] = {0, (uint64_t)1 << 33};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(os_scratch_write(scratch, offsets[i], written, SIZE - i), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        memset(read, 0, SIZE);
        assert_int_equal(os_scratch_read(scratch, offsets[i], read, SIZE - i), 0);
        assert_memory_equal(read, written, SIZE - i);
    }
    assert_int_equal(os_scratch_read(scratch, 1000, read, 100), 0);
    assert_memory_equal(read, written + 1000, 100);
    os_scratch_close(scratch);
    os_scratch_close(NULL);
}

static void what_is_not_there(void **state) {
    (void)state;
    sl_error error;
    os_scratch *scratch = NULL;
    uint8_t bytes[100] = {0};
    assert_int_equal(os_scratch_open("/tmp", &scratch, &error), SL_OK);
    assert_int_equal(os_scratch_read(scratch, 0, bytes, 1), EIO);
    assert_int_equal(os_scratch_write(scratch, 0, bytes, 100), 0);
    assert_int_equal(os_scratch_read(scratch, 1, bytes, 100), EIO); /* one byte too few */
    assert_int_equal(os_scratch_read(scratch, 0, bytes, 0), 0);
    assert_int_equal(os_scratch_write(scratch, INT64_MAX, bytes, 1), EFBIG);
    assert_int_equal(os_scratch_write(scratch, UINT64_MAX, bytes, 100), EFBIG);
    assert_int_equal(os_scratch_read(scratch, UINT64_MAX, bytes, 100), EFBIG);
    os_scratch_close(scratch);
}

static void what_is_given_back_is_zeros(void **state) {
    (void)state;
    sl_error error;
    os_scratch *scratch = NULL;
    uint8_t bytes[100], zeros[100] = {0};
    memset(bytes, 7, sizeof bytes);
    assert_int_equal(os_scratch_open("/tmp", &scratch, &error), SL_OK);
    for (uint64_t at = 0; at <= 8192; at += 4096) {
        assert_int_equal(os_scratch_write(scratch, at, bytes, sizeof bytes), 0);
    }
    os_scratch_discard(scratch, 4096, 4096);
    os_scratch_discard(scratch, UINT64_MAX, 1);
    os_scratch_discard(scratch, INT64_MAX, INT64_MAX);
    uint8_t read[100];
    for (uint64_t at = 0; at <= 8192; at += 4096) {
        assert_int_equal(os_scratch_read(scratch, at, read, sizeof read), 0);
        assert_memory_equal(read, at == 4096 ? zeros : bytes, sizeof read);
    }
    os_scratch_close(scratch);
}

/* It has no name from the first moment on, or none any more. */
static void a_folder_stays_empty(void **state) {
    (void)state;
    sl_error error;
    os_scratch *scratch = NULL;
    char folder[] = "/tmp/sluice-scratch-XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_int_equal(os_scratch_open(folder, &scratch, &error), SL_OK);
    assert_int_equal(os_scratch_write(scratch, 0, "abc", 3), 0);
    assert_int_equal(rmdir(folder), 0); /* which fails for one that is not empty */
    os_scratch *second = NULL;
    assert_int_equal(os_scratch_open(folder, &second, &error), SL_ERR_FILE);
    assert_null(second);
    assert_non_null(strstr(error.message, folder));
    assert_non_null(strstr(error.message, "No such file or directory"));
    char read[3];
    assert_int_equal(os_scratch_read(scratch, 0, read, 3), 0);
    assert_memory_equal(read, "abc", 3);
    os_scratch_close(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(what_is_not_there),
        cmocka_unit_test(what_is_given_back_is_zeros),
        cmocka_unit_test(a_folder_stays_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
