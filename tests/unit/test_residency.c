/* Weights that are packed in the background: every row is the file's at any moment, whoever reads
 * it meanwhile, and all of it may be freed before it is done. Where the processor's kernels take
 * rows in file order, nothing is packed, and that is what is checked. */
#include "engine/residency.h"

#include "cpu/cpu.h"
#include "formats/gguf.h"
#include "kernels/kernels.h"
#include "kernels/packed.h"
#include "models/models.h"
#include "os/os.h"
#include "support/temp_file.h"
#include "support/test_model.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { READERS = 3, VOCAB = 12001 };

/* A file of weights, mapped, and a copy of it. */
typedef struct world {
    temp_file on_disk;
    os_mapping mapping;
    model_file file;
    program p;
    uint8_t *copy;
    bool packs; /* this processor's kernels want its matrices packed */
} world;

static world make_world(quant_type type, bool tied) {
    world w = {.p = program_new()};
    sl_error error = {0};
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_embd = 512;
    options.n_head = 8;
    options.n_ff = 1024;
    options.n_vocab = VOCAB;
    options.tied = tied;
    options.type = type;
    w.on_disk = temp_file_llama(&options);
    if (os_map(w.on_disk.path, &w.mapping, &error) != SL_OK ||
        gguf_parse(w.mapping.bytes, w.mapping.size, &w.file, &error) != SL_OK ||
        model_build(&w.file, &w.p, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    w.copy = malloc(w.mapping.size);
    assert_non_null(w.copy);
    memcpy(w.copy, w.mapping.bytes, w.mapping.size);
    kernel_table kernels;
    kernel_table_fill(&kernels, cpu_features());
    w.packs = kernels.prefers_packed && kernels.matmul_packed[type];
    return w;
}

/* The embedding is the output matrix too, and takes several steps to pack. */
static world make(quant_type type) {
    return make_world(type, true);
}

static void unmake(world *w) {
    free(w->copy);
    program_free(&w->p);
    model_file_free(&w->file);
    os_unmap(&w->mapping);
    temp_file_remove(&w->on_disk);
}

static residency *open_weights(const world *w) {
    residency *r = NULL;
    sl_error error = {0};
    if (residency_create(&w->p, &w->file, &w->mapping, &r, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return r;
}

static void pack(residency *r) {
    sl_error error = {0};
    if (residency_pack(r, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
}

/* Whether every `step`-th row from `first` on of every matrix is what the file had. */
static bool rows_are_the_files(const world *w, residency *r, size_t first, size_t step) {
    uint8_t room[8192];
    for (weight_id id = 0; id < w->p.weights.count; id++) {
        const weight_ref *ref = program_weight(&w->p, id);
        const size_t bytes = quant_row_bytes(ref->type, ref->n_in);
        const size_t at =
            (size_t)(w->file.tensors[ref->tensor].data - w->mapping.bytes) + ref->offset;
        for (size_t row = first; !ref->vector && row < ref->n_out; row += step) {
            sl_error error;
            const void *found = residency_row(r, id, row, room, &error);
            if (!found || bytes > sizeof room ||
                memcmp(found, w->copy + at + row * ref->row_stride, bytes)) {
                return false;
            }
        }
    }
    return true;
}

static void every_row_is_packed(void **state) {
    (void)state;
    static const quant_type types[] = {QUANT_Q4_0, QUANT_Q5_1, QUANT_Q8_0, QUANT_Q4_K, QUANT_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        world w = make(types[i]);
        residency *r = open_weights(&w);
        const size_t before = residency_bytes(r);
        assert_int_equal(residency_packable_bytes(r) > 0, w.packs);
        assert_int_equal(residency_packed_bytes(r), 0);
        residency_wait(r); /* for nothing */
        pack(r);
        residency_wait(r);
        assert_true(rows_are_the_files(&w, r, 0, 1));
        for (size_t k = 0; k < w.p.ops.count; k++) {
            const op *o = program_op(&w.p, k);
            for (size_t j = 0; o->kind == OP_LINEAR && j < o->as.linear.n_weight; j++) {
                const weight_ref *ref = program_weight(&w.p, o->as.linear.weight[j]);
                size_t rows;
                const void *panels = residency_packed(r, o->as.linear.weight[j], &rows);
                assert_int_equal(rows, w.packs ? ref->n_out : 0);
                assert_int_equal(panels != NULL, w.packs);
            }
        }
        /* 12001 rows fill their last panel with 15 of zeros. */
        const size_t padding = 15 * quant_row_bytes(types[i], 512);
        const uint64_t packed = residency_packed_bytes(r);
        assert_true(!w.packs || (packed + padding <= residency_packable_bytes(r) &&
                                 residency_packing_bytes(r) > padding));
        assert_true(w.packs || packed == 0);
        assert_int_equal(residency_bytes(r), before + residency_packing_bytes(r));
        residency_free(r);
        unmake(&w);
    }
}

typedef struct reader {
    const world *w;
    residency *r;
    _Atomic bool *stop;
    size_t first;
    bool good;
} reader;

static void read_on(void *context) {
    reader *one = context;
    do {
        one->good &= rows_are_the_files(one->w, one->r, one->first, 61);
    } while (!atomic_load(one->stop));
}

static void rows_are_read_meanwhile(void **state) {
    (void)state;
    world w = make(QUANT_Q8_0);
    residency *r = open_weights(&w);
    _Atomic bool stop = false;
    reader readers[READERS];
    os_thread *threads[READERS];
    sl_error error;
    pack(r);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (reader){&w, r, &stop, i, true};
        assert_int_equal(os_thread_start(read_on, &readers[i], &threads[i], &error), SL_OK);
    }
    residency_wait(r);
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++) {
        os_thread_join(threads[i]);
        assert_true(readers[i].good);
    }
    residency_free(r);
    unmake(&w);
}

static void it_may_be_freed_before_it_is_done(void **state) {
    (void)state;
    world w = make(QUANT_Q8_0);
    for (size_t i = 0; i < 20; i++) {
        residency *r = open_weights(&w);
        pack(r);
        assert_true(rows_are_the_files(&w, r, i, 4999));
        residency_free(r);
    }
    unmake(&w);
}

/* In place of what is packed, and of an earlier placement; rows that products do not use, too. */
static void placed_rows_are_the_files(void **state) {
    (void)state;
    static const quant_type types[] = {QUANT_Q4_0, QUANT_F16, QUANT_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        world w = make(types[i]);
        residency *r = open_weights(&w);
        sl_error error = {0};
        pack(r);
        for (uint64_t room = placement_least_room(&w.p); room < 2 * w.mapping.size; room *= 3) {
            const placed_options options = {.room = room};
            if (residency_place(r, &options, &error) != SL_OK) {
                fail_msg("%s", error.message);
            }
            assert_true(residency_is_placed(r));
            assert_int_equal(residency_streamed_bytes(r) > 0, room < w.mapping.size);
            assert_true(rows_are_the_files(&w, r, 0, 1));
            assert_int_equal(residency_end(r, true, &error), SL_OK);
        }
        const placed_options none = {.room = 1000};
        assert_int_equal(residency_place(r, &none, &error), SL_ERR_MEMORY);
        assert_false(residency_is_placed(r));
        assert_int_equal(residency_streamed_bytes(r), 0);
        assert_true(rows_are_the_files(&w, r, 0, 1)); /* in the file */
        residency_free(r);
        unmake(&w);
    }
}

static sl_status run_token(executor *e, size_t position, sl_error *error) {
    const batch_row row = {.token = 7, .position = position, .output = ROW_LOGITS};
    return executor_run(e, &row, 1, NULL, NULL, error);
}

/* It is told to whoever asks for it, and spoils no other pass that goes on meanwhile. */
static void a_row_that_cannot_be_read(void **state) {
    (void)state;
    world w = make_world(QUANT_Q8_0, false); /* the embedding's rows are read one by one */
    residency *r = open_weights(&w);
    sl_error error = {0};
    const placed_options all = {.room = 2 * w.mapping.size};
    assert_int_equal(residency_place(r, &all, &error), SL_OK);
    assert_int_equal(residency_streamed_bytes(r), 0);
    executor *e = NULL;
    const executor_options options = test_options(8);
    assert_int_equal(executor_create(&w.p, r, &options, &e, &error), SL_OK);
    assert_int_equal(run_token(e, 0, &error), SL_OK);

    /* Open for writing only: the file is as it was, but cannot be read. */
    const int descriptor = w.mapping.parts[0].descriptor, good = dup(descriptor);
    const int bad = open(w.on_disk.path, O_WRONLY);
    assert_true(good >= 0 && bad >= 0 && dup2(bad, descriptor) == descriptor);
    residency_begin(r, true);
    assert_int_equal(run_token(e, 1, &error), SL_ERR_RUNTIME);
    assert_non_null(strstr(error.message, "the model file: reading 544 bytes at byte "));
    uint8_t room[8192];
    assert_null(residency_row(r, program_op(&w.p, 0)->as.embed.tokens, 3, room, &error));
    assert_non_null(strstr(error.message, "reading 544 bytes at byte "));
    assert_false(residency_failed(r));
    assert_int_equal(residency_end(r, true, &error), SL_OK);

    assert_int_equal(dup2(good, descriptor), descriptor);
    close(good);
    close(bad);
    assert_int_equal(kv_length(executor_kv(e), 0), 1);
    assert_int_equal(run_token(e, 1, &error), SL_OK);
    executor_free(e);
    residency_free(r);
    unmake(&w);
}

/* They are read as fast where they lie. */
static void floats_stay_in_the_file(void **state) {
    (void)state;
    world w = make(QUANT_F16);
    residency *r = open_weights(&w);
    assert_int_equal(residency_packable_bytes(r), 0);
    pack(r);
    residency_wait(r);
    assert_int_equal(residency_packed_bytes(r), 0);
    assert_true(rows_are_the_files(&w, r, 0, 1));
    residency_free(r);
    unmake(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_packed),
        cmocka_unit_test(rows_are_read_meanwhile),
        cmocka_unit_test(it_may_be_freed_before_it_is_done),
        cmocka_unit_test(floats_stay_in_the_file),
        cmocka_unit_test(placed_rows_are_the_files),
        cmocka_unit_test(a_row_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
