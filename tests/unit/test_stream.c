/* Reads that go on meanwhile, and passes over them: every byte as the file has it, whichever means
 * of reading there are; reads that only some passes want; passes that are broken off; a file that
 * ends too early. */
#include "engine/stream.h"

#include "base/random.h"
#include "base/size.h"
#include "support/temp_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    FILE_BYTES = 3000001, /* no multiple of anything */
    N_READ = 57,
    N_OPTIONAL = 5,
    N_SLOT = 4,
    SLOT = 25 * OS_READER_ALIGN,
    MEMBERS = 3,
};

typedef struct world {
    temp_file on_disk;
    os_mapping mapping;
    uint8_t *copy, *slots;
    stream_read reads[N_READ];
    os_reader_options options;
} world;

/* Reads of all lengths up to a slot's, at any offset, the last one up to the file's end. */
static void make(world *w, bool no_uring, bool no_direct) {
    random_state random;
    sl_error error = {0};
    random_seed(&random, 7);
    *w = (world){.copy = malloc(FILE_BYTES), .slots = os_pages_allocate((size_t)N_SLOT * SLOT)};
    assert_non_null(w->copy);
    assert_non_null(w->slots);
    for (size_t i = 0; i < FILE_BYTES; i++) {
        w->copy[i] = (uint8_t)random_u64(&random);
    }
    w->on_disk = temp_file_write(w->copy, FILE_BYTES);
    if (os_map(w->on_disk.path, &w->mapping, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    for (size_t i = 0; i < N_READ; i++) {
        const size_t size = 1 + (size_t)(random_u64(&random) % (SLOT - 2 * OS_READER_ALIGN));
        const size_t room = FILE_BYTES - size;
        w->reads[i] = (stream_read){
            .offset = i + 1 == N_READ ? room : (size_t)(random_u64(&random) % room),
            .size = size,
            .units = 1 + i % 7,
        };
    }
    w->options = (os_reader_options){
        .depth = N_SLOT,
        .buffers = w->slots,
        .n_buffer = (size_t)N_SLOT * SLOT,
        .no_uring = no_uring,
        .no_direct = no_direct,
    };
}

static void unmake(world *w) {
    os_unmap(&w->mapping);
    os_pages_free(w->slots, (size_t)N_SLOT * SLOT);
    temp_file_remove(&w->on_disk);
    free(w->copy);
}

static stream *open_stream(world *w) {
    os_reader *reader;
    stream *s = NULL;
    sl_error error = {0};
    const stream_plan plan = {
        .reads = w->reads,
        .n_read = N_READ,
        .n_optional = N_OPTIONAL,
        .slots = w->slots,
        .n_slot = N_SLOT,
        .slot_bytes = SLOT,
    };
    if (os_reader_open(&w->mapping, &w->options, &reader, &error) != SL_OK ||
        stream_create(&plan, reader, &s, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return s;
}

/* ---- passes --------------------------------------------------------------------------------- */

typedef struct member {
    const world *w;
    stream *s;
    _Atomic size_t *next;
    size_t end; /* reads of the pass */
    bool good;
} member;

/* As the members of a team do it: units are taken in order, each by one of them. */
static void take_units(void *context) {
    member *m = context;
    for (;;) {
        size_t unit = atomic_fetch_add(m->next, 1), read = 0;
        while (read < m->end && unit >= m->w->reads[read].units) {
            unit -= m->w->reads[read++].units;
        }
        if (read >= m->end) {
            return;
        }
        const stream_read *r = &m->w->reads[read];
        const uint8_t *bytes = stream_acquire(m->s, read);
        m->good &= memcmp(bytes, m->w->copy + r->offset, r->size) == 0;
        stream_release(m->s, read, 1);
    }
}

/* Uses the first `end` reads; whether all bytes were right. */
static bool use_reads(const world *w, stream *s, size_t end) {
    _Atomic size_t next = 0;
    member members[MEMBERS];
    os_thread *threads[MEMBERS];
    bool good = true;
    for (size_t i = 0; i < MEMBERS; i++) {
        members[i] = (member){w, s, &next, end, true};
        assert_int_equal(os_thread_start(take_units, &members[i], &threads[i], NULL), SL_OK);
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        os_thread_join(threads[i]);
        good &= members[i].good;
    }
    return good;
}

static void check_passes(world *w) {
    stream *s = open_stream(w);
    for (size_t pass = 0; pass < 12; pass++) {
        const bool optional = pass % 3 != 1;
        stream_begin(s, optional);
        assert_true(use_reads(w, s, optional ? N_READ : N_READ - N_OPTIONAL));
        assert_int_equal(stream_end(s, true, NULL), SL_OK);
        /* Broken off anywhere, also before anything is read. */
        if (pass % 4 == 3) {
            stream_begin(s, optional);
            assert_true(use_reads(w, s, pass * 4 % N_READ));
            assert_int_equal(stream_end(s, false, NULL), SL_OK);
        }
    }
    stream_free(s);
    stream_free(open_stream(w)); /* with reads under way */
}

static void by_all_means(void **state) {
    (void)state;
    for (unsigned means = 0; means < 4; means++) {
        world w;
        make(&w, means & 1, means & 2);
        check_passes(&w);
        unmake(&w);
    }
}

static void the_means_are_said(void **state) {
    (void)state;
    world w;
    os_reader *reader;
    make(&w, true, true);
    assert_int_equal(os_reader_open(&w.mapping, &w.options, &reader, NULL), SL_OK);
    assert_string_equal(os_reader_how(reader), "threads (io_uring: not wanted), through the page "
                                               "cache (direct: not wanted)");
    os_reader_close(reader);
    unmake(&w);
}

/* The file is cut in the middle of the pass's reads: an error with the place, once for each pass;
 * when the bytes are back, so are the passes. */
static void a_file_that_ends_early(void **state) {
    (void)state;
    for (unsigned means = 0; means < 4; means++) {
        world w;
        sl_error error = {0};
        make(&w, means & 1, means & 2);
        assert_int_equal(truncate(w.on_disk.path, 1000000), 0);
        stream *s = open_stream(&w);
        for (size_t pass = 0; pass < 3; pass++) {
            stream_begin(s, true);
            (void)use_reads(&w, s, N_READ); /* does not wait for ever */
            assert_true(stream_failed(s));
            assert_int_equal(stream_end(s, pass != 1, &error), SL_ERR_FILE);
            assert_ptr_equal(strstr(error.message, "ends at byte "), error.message);
            assert_non_null(strstr(error.message, ", expected 3000001 bytes"));
        }
        const int file = open(w.on_disk.path, O_WRONLY | O_TRUNC);
        assert_int_equal(write(file, w.copy, FILE_BYTES), FILE_BYTES);
        close(file);
        stream_begin(s, true); /* reads of it were begun while the file was short */
        (void)use_reads(&w, s, N_READ);
        (void)!stream_end(s, true, NULL);
        stream_begin(s, true);
        assert_true(use_reads(&w, s, N_READ));
        assert_int_equal(stream_end(s, true, NULL), SL_OK);
        stream_free(s);
        unmake(&w);
    }
}

/* Two that compute at once take turns. */
typedef struct passer {
    const world *w;
    stream *s;
    bool good;
} passer;

static void pass_ten_times(void *context) {
    passer *p = context;
    for (size_t i = 0; i < 10; i++) {
        _Atomic size_t next = 0;
        const bool optional = i % 2;
        member m = {p->w, p->s, &next, optional ? N_READ : N_READ - N_OPTIONAL, true};
        stream_begin(p->s, optional);
        take_units(&m);
        p->good &= m.good && stream_end(p->s, true, NULL) == SL_OK;
    }
}

static void passes_take_turns(void **state) {
    (void)state;
    world w;
    make(&w, false, false);
    stream *s = open_stream(&w);
    passer both[2] = {{&w, s, true}, {&w, s, true}};
    os_thread *thread;
    assert_int_equal(os_thread_start(pass_ten_times, &both[0], &thread, NULL), SL_OK);
    pass_ten_times(&both[1]);
    os_thread_join(thread);
    assert_true(both[0].good && both[1].good);
    stream_free(s);
    unmake(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_all_means),
        cmocka_unit_test(the_means_are_said),
        cmocka_unit_test(a_file_that_ends_early),
        cmocka_unit_test(passes_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
