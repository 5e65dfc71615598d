/* Several files in one range of addresses: every byte in its place, whichever way it is read, and
 * the file named that changes or ends. */
#include "base/random.h"
#include "base/size.h"
#include "os/reader.h"
#include "support/temp_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_FILE = 3 };

/* The middle one ends at a page. */
static const size_t sizes[N_FILE] = {70001, 131072, 5};

typedef struct world {
    temp_file files[N_FILE];
    uint8_t *contents[N_FILE];
    os_mapping mapping;
} world;

static int set_up(void **state) {
    world *w = calloc(1, sizeof *w);
    const char *paths[N_FILE];
    sl_error error;
    random_state random;
    random_seed(&random, 11);
    for (size_t i = 0; i < N_FILE; i++) {
        w->contents[i] = malloc(sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++) {
            w->contents[i][k] = (uint8_t)random_u64(&random);
        }
        w->files[i] = temp_file_write(w->contents[i], sizes[i]);
        paths[i] = w->files[i].path;
    }
    if (os_map_files(paths, N_FILE, &w->mapping, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    world *w = *state;
    os_unmap(&w->mapping);
    for (size_t i = 0; i < N_FILE; i++) {
        free(w->contents[i]);
        temp_file_remove(&w->files[i]);
    }
    free(w);
    return 0;
}

static void each_file_has_its_place(void **state) {
    const world *w = *state;
    size_t end = 0;
    assert_int_equal(w->mapping.n_part, N_FILE);
    for (size_t i = 0; i < N_FILE; i++) {
        const os_part *part = &w->mapping.parts[i];
        assert_true(part->start >= end && part->start % OS_READER_ALIGN == 0);
        assert_int_equal(part->size, sizes[i]);
        end = part->start + part->size;
        assert_memory_equal(w->mapping.bytes + part->start, w->contents[i], sizes[i]);
        assert_ptr_equal(os_mapping_part(&w->mapping, part->start), part);
        assert_ptr_equal(os_mapping_part(&w->mapping, end - 1), part);
    }
    assert_int_equal(w->mapping.size, end);
    assert_true(os_mapping_cold_bytes(&w->mapping) <= w->mapping.size);
    assert_int_equal(os_mapping_populate(&w->mapping, 2, NULL, NULL, NULL), SL_OK);
}

/* Where the page cache's large pieces can be large pages, with zeros before them. */
static void large_files_begin_as_large_pages_do(void **state) {
    enum { LARGE = 2 << 20 };
    const world *w = *state;
    const char *paths[N_FILE];
    os_mapping mapping;
    sl_error error;
    assert_int_equal((uintptr_t)w->mapping.bytes % LARGE, 0);
    for (size_t i = 0; i < N_FILE; i++) {
        paths[i] = w->files[i].path;
    }
    assert_int_equal(truncate(paths[1], 1 << 30), 0); /* of which no more takes any room */
    if (os_map_files(paths, N_FILE, &mapping, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    const os_part *parts = mapping.parts;
    assert_int_equal((uintptr_t)mapping.bytes % LARGE, 0);
    assert_int_equal(parts[1].start, LARGE);
    assert_int_equal(parts[2].start, LARGE + (1 << 30));
    for (size_t at = sizes[0]; at < LARGE; at++) {
        assert_int_equal(mapping.bytes[at], 0);
    }
    assert_memory_equal(mapping.bytes + parts[1].start, w->contents[1], sizes[1]);
    assert_memory_equal(mapping.bytes + parts[2].start, w->contents[2], sizes[2]);
    os_unmap(&mapping);
}

/* Random stretches of each file, by whichever means. */
static void read_all_over(const world *w, bool no_uring, bool no_direct) {
    enum { DEPTH = 4, MOST = 20000, ROUNDS = 200 };
    const size_t slot = size_round_up(MOST, OS_READER_ALIGN) + OS_READER_ALIGN;
    uint8_t *const buffers = os_pages_allocate(DEPTH * slot);
    const os_reader_options options = {DEPTH, buffers, DEPTH * slot, no_uring, no_direct};
    os_reader *reader;
    sl_error error;
    random_state random;
    random_seed(&random, 12);
    if (os_reader_open(&w->mapping, &options, &reader, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        const size_t file = random_u64(&random) % N_FILE;
        const size_t from = random_u64(&random) % sizes[file];
        const size_t size = 1 + random_u64(&random) % size_min(MOST - 1, sizes[file] - from);
        const uint64_t offset = w->mapping.parts[file].start + from;
        uint8_t *const to = buffers + round % DEPTH * slot;
        size_t tag;
        os_reader_start(reader, round, offset, size, to);
        if (os_reader_wait(reader, &tag, &error) != SL_OK) {
            fail_msg("%s", error.message);
        }
        assert_int_equal(tag, round);
        assert_memory_equal(to + offset % OS_READER_ALIGN, w->contents[file] + from, size);
        assert_int_equal(os_mapping_read(&w->mapping, offset, size, to, &error), SL_OK);
        assert_memory_equal(to, w->contents[file] + from, size);
    }
    os_reader_close(reader);
    os_pages_free(buffers, DEPTH * slot);
}

static void reads_meet_their_file(void **state) {
    for (int means = 0; means < 4; means++) {
        read_all_over(*state, means & 1, means & 2);
    }
}

static void expect_named(const world *w, size_t file, sl_status status, const sl_error *error,
                         const char *words) {
    const char *name = strrchr(w->files[file].path, '/') + 1;
    assert_int_equal(status, SL_ERR_FILE);
    if (strncmp(error->message, name, strlen(name)) != 0 || !strstr(error->message, words)) {
        fail_msg("'%s' does not begin with %s and say '%s'", error->message, name, words);
    }
}

static void the_file_that_changes_is_named(void **state) {
    world *w = *state;
    sl_error error;
    uint8_t byte[8];
    assert_int_equal(os_mapping_check(&w->mapping, &error), SL_OK);
    assert_int_equal(truncate(w->files[1].path, 100), 0);
    expect_named(w, 1, os_mapping_check(&w->mapping, &error), &error, "has 100 bytes now");
    expect_named(w, 1,
                 os_mapping_read(&w->mapping, w->mapping.parts[1].start + 96, 8, byte, &error),
                 &error, "at byte 96");
}

static void what_is_no_file_is_refused(void **state) {
    const world *w = *state;
    os_mapping mapping;
    sl_error error;
    const char *paths[] = {w->files[0].path, "/"};
    assert_int_equal(os_map_files(paths, 2, &mapping, &error), SL_ERR_FILE);
    assert_non_null(strstr(error.message, "is a directory"));
    assert_int_equal(os_map_files(paths, 0, &mapping, &error), SL_ERR_FORMAT);
    assert_true(os_is_directory("/") && os_exists("/") && !os_is_directory(paths[0]));
    assert_false(os_exists("/no/such/thing"));
}

static void a_whole_file_is_read(void **state) {
    const world *w = *state;
    uint8_t *bytes = NULL;
    size_t size = 0;
    sl_error error;
    assert_int_equal(os_read_file(w->files[0].path, sizes[0], &bytes, &size, &error), SL_OK);
    assert_int_equal(size, sizes[0]);
    assert_memory_equal(bytes, w->contents[0], size);
    assert_int_equal(bytes[size], 0);
    free(bytes);
    assert_int_equal(os_read_file(w->files[0].path, sizes[0] - 1, &bytes, &size, &error),
                     SL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "expected at most 70000"));
    assert_int_equal(os_read_file("/no/such/thing", 1, &bytes, &size, &error), SL_ERR_FILE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_file_has_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_files_begin_as_large_pages_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_meet_their_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_file_that_changes_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_whole_file_is_read, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
