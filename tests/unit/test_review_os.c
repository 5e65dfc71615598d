/* What os/ finds out of the page cache, for those whom the kernel does not tell. */
#include "os/os.h"

#include "support/temp_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static size_t cold_bytes(const char *path) {
    os_mapping mapping;
    sl_error error;
    if (os_map(path, &mapping, &error) != SL_OK) {
        return SIZE_MAX;
    }
    const size_t cold = os_mapping_cold_bytes(&mapping);
    os_unmap(&mapping);
    return cold;
}

/* To a user who neither owns a file nor may write it, mincore calls every page of it present. A
 * large file would load without a word. */
static void strangers_files_count_as_cold(void **state) {
    (void)state;
    static const char bytes[3 * 4096 + 5];
    const temp_file file = temp_file_write(bytes, sizeof bytes);
    assert_int_equal(cold_bytes(file.path), 0); /* just written */
    if (geteuid() != 0) {
        temp_file_remove(&file);
        print_message("needs root, to become somebody else: not tested\n");
        skip();
    }
    assert_int_equal(chmod(file.path, 0444), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(setuid(65534) != 0 ? 2 : cold_bytes(file.path) != sizeof bytes);
    }
    int status;
    assert_true(waitpid(child, &status, 0) == child);
    temp_file_remove(&file);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(strangers_files_count_as_cold)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
