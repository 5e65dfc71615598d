/* Placement: every row has one place, what is kept fits the room together with the ring, kept and
 * streamed bytes take turns, and a room that is too small is refused. */
#include "engine/placement.h"

#include "base/size.h"
#include "engine/stream.h"
#include "formats/gguf.h"
#include "models/models.h"
#include "support/gguf_builder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct world {
    gguf_builder bytes;
    model_file file;
    program p;
} world;

static world make(quant_type type, bool tied) {
    world w = {.p = program_new()};
    sl_error error = {0};
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_embd = 512;
    options.n_head = 8;
    options.n_ff = 1024;
    options.n_vocab = 8009; /* neither a multiple of 16 nor of a slice */
    options.n_layer = 6;
    options.tied = tied;
    options.type = type;
    gguf_builder_init(&w.bytes, 3);
    gguf_builder_tiny_llama(&w.bytes, &options);
    gguf_builder_finish(&w.bytes);
    if (gguf_parse(w.bytes.image, w.bytes.image_bytes, &w.file, &error) != SL_OK ||
        model_build(&w.file, &w.p, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return w;
}

static void drop(world *w) {
    program_free(&w->p);
    model_file_free(&w->file);
    gguf_builder_free(&w->bytes);
}

/* What products read, counted without slices. */
static uint64_t bytes_of_products(const program *p) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        for (size_t k = 0; o->kind == OP_LINEAR && k < o->as.linear.n_weight; k++) {
            const weight_ref *ref = program_weight(p, o->as.linear.weight[k]);
            bytes += (uint64_t)ref->n_out * ref->row_stride;
        }
    }
    return bytes;
}

static void check(const world *w, const placement *l, uint64_t room) {
    const program *p = &w->p;
    const uint64_t all = bytes_of_products(p);
    uint64_t kept = 0, streamed = 0, end_of_kept = 0, worst = 0;
    size_t n_streamed = 0;
    assert_int_equal(l->matrix_bytes, all);
    assert_true(l->kept_bytes + (uint64_t)l->n_slot * l->slot_bytes <= room);
    for (size_t i = 0; i < l->n_slice; i++) {
        const placement_slice *s = &l->slices[i];
        const weight_ref *ref = program_weight(p, s->weight);
        const size_t rows = placement_rows(p, l, s), first = placement_first_row(l, s);
        const uint64_t bytes = (uint64_t)rows * ref->row_stride;
        const bool begins = i == 0 || l->slices[i - 1].weight != s->weight;
        const size_t before =
            begins ? 0 : placement_first_row(l, s - 1) + placement_rows(p, l, s - 1);
        assert_int_equal(first, before);
        assert_int_equal(first % 16, 0);
        if (i + 1 == l->n_slice || l->slices[i + 1].weight != s->weight) {
            assert_int_equal(first + rows, ref->n_out);
        }
        assert_true(bytes + 2 * PLACEMENT_PAGE <= l->slot_bytes);
        if (s->streamed) {
            assert_int_equal(s->place, n_streamed++);
            streamed += bytes;
        } else {
            assert_true(s->place >= end_of_kept);
            end_of_kept = s->place + bytes;
            kept += bytes;
        }
        /* Kept bytes run neither ahead of their share nor behind it by more than a slice or two. */
        const double share = (double)(all - l->streamed_bytes) / (double)all;
        const double off = fabs((double)kept - share * (double)(kept + streamed));
        worst = off > (double)worst ? (uint64_t)off : worst;
    }
    assert_int_equal(kept + streamed, all);
    assert_int_equal(streamed, l->streamed_bytes);
    assert_int_equal(n_streamed, l->n_streamed);
    assert_true(end_of_kept <= l->kept_bytes);
    assert_true(worst <= 2 * l->slot_bytes);
}

static void test_rooms(void **state) {
    (void)state;
    const quant_type types[] = {QUANT_F32, QUANT_F16, QUANT_Q4_0, QUANT_Q6_K};
    for (size_t t = 0; t < COUNT_OF(types); t++) {
        world w = make(types[t], t % 2 == 0);
        const uint64_t all = bytes_of_products(&w.p);
        uint64_t before = UINT64_MAX;
        for (unsigned percent = 20; percent <= 120; percent += 10) {
            placement l;
            const uint64_t room = all / 100 * percent;
            assert_int_equal(placement_make(&w.p, room, &l, NULL), SL_OK);
            check(&w, &l, room);
            /* More room, less from the disk; and little of the room is left unused. */
            assert_true(l.streamed_bytes <= before);
            before = l.streamed_bytes;
            if (percent >= 110) {
                assert_int_equal(l.n_slot, 4);
                assert_int_equal(l.streamed_bytes, 0);
            } else {
                assert_true(l.n_slot >= 4);
                assert_true(l.kept_bytes + (l.n_slot + 2) * l.slot_bytes >= room ||
                            l.streamed_bytes < 2 * l.slot_bytes);
            }
            placement_free(&l);
        }
        drop(&w);
    }
}

/* The slices of the output matrix are the last of a pass, and only they are of no use without
 * logits. */
static void test_output(void **state) {
    (void)state;
    world w = make(QUANT_Q8_0, true);
    placement l;
    assert_int_equal(placement_make(&w.p, bytes_of_products(&w.p) / 2, &l, NULL), SL_OK);
    const weight_id output = program_op(&w.p, w.p.ops.count - 1)->as.linear.weight[0];
    size_t n = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < l.n_slice; i++) {
        if (l.slices[i].streamed && l.slices[i].weight == output) {
            assert_int_equal(l.slices[i].place, l.n_streamed - l.n_output + n++);
            bytes += (uint64_t)placement_rows(&w.p, &l, &l.slices[i]) *
                     program_weight(&w.p, output)->row_stride;
        }
    }
    assert_true(n > 0);
    assert_int_equal(n, l.n_output);
    assert_int_equal(bytes, l.output_bytes);
    placement_free(&l);
    drop(&w);
}

/* A program of nothing but products of square matrices of floats, which are in no file. */
static world squares(size_t count, size_t side) {
    world w = {.p = program_new()};
    sl_error error = {0};
    const slot_id x = program_add_slot(&w.p, side, &error);
    const slot_id y = program_add_slot(&w.p, side, &error);
    for (uint32_t i = 0; i < count; i++) {
        const weight_ref ref = {.tensor = i,
                                .type = QUANT_F32,
                                .n_in = side,
                                .n_out = side,
                                .row_stride = side * sizeof(float)};
        const op product = {.kind = OP_LINEAR,
                            .in = x,
                            .out = y,
                            .as.linear = {.n_in = side,
                                          .n_weight = 1,
                                          .weight = {program_add_weight(&w.p, &ref, &error)}}};
        assert_int_equal(program_add_op(&w.p, &product, &error), SL_OK);
    }
    return w;
}

/* What lists take is foreseen, also where a large model meets little room. */
static void test_lists(void **state) {
    (void)state;
    world w = squares(100, 12000); /* of 16 rows: 750 KiB */
    const uint64_t all = bytes_of_products(&w.p);
    for (uint64_t room = placement_least_room(&w.p); room < all; room *= 3) {
        placement l;
        sl_error error = {0};
        assert_int_equal(placement_make(&w.p, room, &l, &error), SL_OK);
        check(&w, &l, room);
        assert_true(placement_bytes(&l) + l.n_streamed * sizeof(stream_read) <=
                    placement_list_bytes(all));
        placement_free(&l);
    }
    program_free(&w.p);
}

/* A ring has no more slots than there can be reads under way, however small its slices are. */
static void test_small_matrices(void **state) {
    (void)state;
    world w = squares(2000, 64);
    sl_error error = {0};
    for (uint64_t room = 1 << 20; room < bytes_of_products(&w.p); room += 3 << 20) {
        placement l;
        assert_int_equal(placement_make(&w.p, room, &l, &error), SL_OK);
        check(&w, &l, room);
        assert_true(l.n_slot >= 4 && l.n_slot <= PLACEMENT_MOST_SLOTS);
        assert_true(l.streamed_bytes > 0);
        placement_free(&l);
    }
    program_free(&w.p);
}

static void test_too_small(void **state) {
    (void)state;
    world w = make(QUANT_F16, false);
    sl_error error = {0};
    placement l;
    assert_int_equal(placement_make(&w.p, 100 << 10, &l, &error), SL_ERR_MEMORY);
    assert_string_equal(error.message,
                        "weights that are read from the file as they are used need at least 288 "
                        "KiB of memory, but 100 KiB are left for them");
    drop(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rooms),     cmocka_unit_test(test_output),
        cmocka_unit_test(test_lists),     cmocka_unit_test(test_small_matrices),
        cmocka_unit_test(test_too_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
