/* Loading reads a cold file in, unless it is told not to. */
#include "sluice.h"

#include "os/os.h"
#include "support/temp_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static size_t cold_bytes(const char *path, size_t *size) {
    os_mapping mapping;
    sl_error error;
    assert_int_equal(os_map(path, &mapping, &error), SL_OK);
    const size_t cold = os_mapping_cold_bytes(&mapping);
    *size = mapping.size;
    os_unmap(&mapping);
    return cold;
}

/* Drops the file from the page cache; false where it does not go, as from a tmpfs. */
static bool make_cold(const char *path) {
    const int fd = open(path, O_RDONLY);
    const bool told = fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
    close(fd);
    size_t size;
    return told && cold_bytes(path, &size) == size;
}

/* Bytes that are cold once the model is loaded. */
static size_t cold_when_loaded(const char *path, bool no_populate, size_t *size) {
    sl_model_options options;
    sl_model_options_init(&options);
    options.no_populate = no_populate;
    sl_model *model = NULL;
    sl_error error;
    assert_int_equal(sl_model_load(path, &options, &model, &error), SL_OK);
    const size_t cold = cold_bytes(path, size);
    sl_model_free(model);
    return cold;
}

static void weights_stay_on_the_disk_if_asked(void **state) {
    (void)state;
    gguf_tiny_options shape = gguf_tiny_defaults();
    shape.n_vocab = 131072; /* 32 values each, twice: 32 MiB */
    const temp_file file = temp_file_llama(&shape);
    size_t size;
    if (!make_cold(file.path)) {
        temp_file_remove(&file);
        print_message("the file does not leave the page cache: not tested\n");
        skip();
    }
    assert_true(cold_when_loaded(file.path, true, &size) > size / 2);
    assert_true(make_cold(file.path));
    assert_true(cold_when_loaded(file.path, false, &size) <= size / 64);
    temp_file_remove(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(weights_stay_on_the_disk_if_asked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
