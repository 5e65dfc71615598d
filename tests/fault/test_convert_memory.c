/* Converting and quantizing take some MiB of memory, whatever the model's size: a source of 640 MB,
 * all of it a hole in the file, passes through a process that is never larger than 100 MiB, pages
 * of the file included. Each conversion is a process of its own, which runs this program anew,
 * since a forked one would begin with its parent's memory. */
#include "sluice.h"

#include "base/size.h"
#include "formats/gguf_writer.h"
#include "formats/tables.h"
#include "support/self_run.h"
#include "support/temp_file.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20, MOST_MIB = 100, LAYERS = 8 };

static const struct {
    const char *type; /* "": each as it is */
    const char *threads;
} cases[] = {{"", "2"}, {"f32", "1"}, {"q8_0", "2"}, {"q4_0", "2"}, {"q4_0", "8"}};

static bool count_bytes(void *user, const void *bytes, size_t size) {
    (void)bytes;
    *(uint64_t *)user += size;
    return true;
}

static void hear(void *user, size_t index, const sl_converted_tensor *tensor) {
    (void)user;
    (void)index;
    (void)tensor;
}

/* Prints the bytes that came out and the peak. */
static int run_as_child(const char *path, const char *type, const char *threads) {
    sl_error error;
    sl_conversion *conversion;
    sl_convert_options options;
    uint64_t count = 0;
    sl_convert_options_init(&options);
    options.type = *type ? type : NULL;
    options.pure = true;
    options.threads = strtoull(threads, NULL, 10);
    options.tensor = hear;
    options.user = &count;
    if (sl_conversion_open(path, &options, &conversion, &error) != SL_OK ||
        sl_conversion_write(conversion, 0, count_bytes, &count, &error) != SL_OK ||
        count != sl_conversion_bytes(conversion, 0)) {
        printf("failed: %s\n", error.message);
        return 1;
    }
    sl_conversion_close(conversion);
    printf("%" PRIu64 " %" PRIu64 "\n", count, sl_peak_memory());
    return 0;
}

/* A header, and behind it nothing that the disk would have to hold. */
static temp_file make_sparse_model(void) {
    sl_error error = {0};
    model_file file, none = {0};
    gguf_tensor tensors[1 + LAYERS];
    char names[LAYERS][32];
    uint64_t data = 0;
    tables t = tables_new("", NULL, 0, &error);
    tables_string(&t, "general.architecture", str_from("llama"));
    assert_int_equal(tables_finish(&t, &file), SL_OK);
    tensors[0] = (gguf_tensor){str_from("token_embd.weight"), QUANT_F16, 2, {4096, 32000, 1, 1}};
    for (size_t i = 0; i < LAYERS; i++) {
        snprintf(names[i], sizeof names[i], "blk.%zu.ffn_down.weight", i);
        tensors[1 + i] = (gguf_tensor){str_from(names[i]), QUANT_F16, 2, {11008, 2200, 1, 1}};
    }
    for (size_t i = 0; i < COUNT_OF(tensors); i++) {
        data += gguf_padded_bytes(&tensors[i]);
    }
    assert_true(data > 600 * (uint64_t)MIB);
    array header = array_new(1, MIB);
    assert_int_equal(
        gguf_write_header(&file, &none, NULL, tensors, COUNT_OF(tensors), &header, &error), SL_OK);
    const temp_file made = temp_file_write(header.items, header.count);
    assert_int_equal(truncate(made.path, (off_t)(header.count + data)), 0);
    array_free(&header);
    model_file_free(&file);
    return made;
}

static void little_memory_is_enough(void **state) {
    (void)state;
    self_run_skip_if_sanitized();
    const temp_file file = make_sparse_model();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *const arguments[] = {"test_convert_memory", file.path, cases[i].type,
                                         cases[i].threads, NULL};
        char line[256];
        self_run(arguments, line, sizeof line);
        print_message("%s on %s threads: %s", cases[i].type, cases[i].threads, line);
        char *peak;
        assert_true(strtoull(line, &peak, 10) > 150 * (uint64_t)MIB);
        assert_true(strtoull(peak, NULL, 10) < MOST_MIB * (uint64_t)MIB);
    }
    temp_file_remove(&file);
}

int main(int argc, char **argv) {
    if (argc == 4) {
        return run_as_child(argv[1], argv[2], argv[3]);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(little_memory_is_enough)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
