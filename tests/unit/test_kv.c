/* The cache of keys and values: pages, sharing, copies on write, and that none is ever lost. */
#include "engine/kv.h"

#include "base/random.h"
#include "ops/attention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = ATTENTION_PAGE, N_SEQ = 4, N_PAGE = 8 };

typedef struct fixture {
    program p;
    kv_cache *kv;
} fixture;

static fixture open_cache(size_t n_positions) {
    fixture f = {.p = program_new()};
    sl_error error;
    assert_int_equal(program_add_kv_slot(&f.p, &(kv_slot){2, 32, 64}, &error), 0);
    assert_int_equal(program_add_kv_slot(&f.p, &(kv_slot){1, 32, 32}, &error), 1);
    assert_int_equal(kv_create(&f.p, QUANT_F16, QUANT_Q8_0, n_positions, N_SEQ, &f.kv, &error),
                     SL_OK);
    return f;
}

static void close_cache(fixture *f) {
    kv_free(f->kv);
    program_free(&f->p);
}

static size_t pages_of(size_t positions) {
    return (positions + PAGE - 1) / PAGE;
}

static void append(fixture *f, size_t sequence, size_t n) {
    sl_error error;
    const size_t before = kv_length(f->kv, sequence);
    assert_int_equal(kv_append(f->kv, sequence, n, &error), SL_OK);
    assert_int_equal(kv_length(f->kv, sequence), before + n);
}

/* By filling what is left with sequence `idle`, which is empty, and emptying it again. */
static size_t free_pages(fixture *f, size_t idle) {
    size_t n = 0;
    assert_int_equal(kv_length(f->kv, idle), 0);
    while (kv_append(f->kv, idle, PAGE, NULL) == SL_OK) {
        n++;
    }
    kv_truncate(f->kv, idle, 0);
    return n;
}

static uint8_t *page_bytes(const fixture *f, size_t sequence, size_t page) {
    const kv_layout layout = kv_get_layout(f->kv);
    return layout.pool + kv_pages(f->kv, sequence)[page] * layout.page_bytes;
}

static void a_page_holds_all_layers(void **state) {
    (void)state;
    fixture f = open_cache(N_PAGE * PAGE);
    /* f16 takes 2 bytes a value, q8_0 34 bytes for 32. */
    const size_t first_k = 2 * PAGE * 64, first_v = 2 * PAGE * 68;
    const size_t second_k = PAGE * 64, second_v = PAGE * 34;
    const size_t all = first_k + first_v + second_k + second_v;
    assert_int_equal(kv_page_bytes(&f.p, QUANT_F16, QUANT_Q8_0), (all + 63) / 64 * 64);
    assert_int_equal(kv_get_layout(f.kv).page_bytes, (all + 63) / 64 * 64);
    size_t k, v;
    kv_slot_offsets(f.kv, 0, &k, &v);
    assert_int_equal(k, 0);
    assert_int_equal(v, first_k);
    kv_slot_offsets(f.kv, 1, &k, &v);
    assert_int_equal(k, first_k + first_v);
    assert_int_equal(v, first_k + first_v + second_k);
    assert_int_equal(kv_sequences(f.kv), N_SEQ);
    close_cache(&f);
}

static void heads_must_fit_blocks(void **state) {
    (void)state;
    program p = program_new();
    sl_error error;
    kv_cache *kv = NULL;
    assert_int_equal(program_add_kv_slot(&p, &(kv_slot){1, 48, 32}, &error), 0);
    assert_int_equal(kv_create(&p, QUANT_Q8_0, QUANT_F16, 64, 1, &kv, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "48"));
    assert_non_null(strstr(error.message, "32"));
    assert_null(kv);
    assert_int_equal(kv_create(&p, QUANT_F16, QUANT_Q4_0, 64, 1, &kv, &error), SL_OK);
    kv_free(kv);
    program_free(&p);
    kv_free(NULL);
}

static void pages_come_and_go(void **state) {
    (void)state;
    fixture f = open_cache(N_PAGE * PAGE - PAGE + 1); /* rounded up */
    assert_int_equal(free_pages(&f, 3), N_PAGE);
    append(&f, 0, 1);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 1);
    append(&f, 0, PAGE - 1);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 1);
    append(&f, 0, 1);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 2);
    append(&f, 0, 0);
    append(&f, 1, 3 * PAGE + 5);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 6);
    kv_truncate(f.kv, 0, PAGE + 1);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 6);
    kv_truncate(f.kv, 0, PAGE);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 5);
    kv_truncate(f.kv, 1, 0);
    kv_truncate(f.kv, 0, 0);
    assert_int_equal(free_pages(&f, 3), N_PAGE);
    close_cache(&f);
}

static void a_full_pool_refuses_and_changes_nothing(void **state) {
    (void)state;
    fixture f = open_cache(N_PAGE * PAGE);
    sl_error error;
    append(&f, 0, 6 * PAGE);
    append(&f, 1, PAGE + 1); /* two pages: the pool is full */
    uint32_t pages[2];
    memcpy(pages, kv_pages(f.kv, 1), sizeof pages);
    assert_int_equal(kv_append(f.kv, 1, PAGE, &error), SL_ERR_MEMORY);
    assert_int_equal(error.status, SL_ERR_MEMORY);
    assert_int_equal(kv_length(f.kv, 1), PAGE + 1);
    assert_memory_equal(pages, kv_pages(f.kv, 1), sizeof pages);
    append(&f, 1, PAGE - 1); /* up to the end of its page */
    assert_int_equal(kv_append(f.kv, 1, 1, &error), SL_ERR_MEMORY);
    assert_int_equal(kv_append(f.kv, 0, 1, &error), SL_ERR_MEMORY);
    kv_truncate(f.kv, 0, 5 * PAGE);
    append(&f, 1, 1);
    close_cache(&f);
}

/* The page is full, but a shared one cannot be written to without a copy, for which there is no
 * room. */
static void a_copy_needs_room_too(void **state) {
    (void)state;
    fixture f = open_cache(2 * PAGE);
    append(&f, 0, PAGE + 3);
    kv_share(f.kv, 0, 1, PAGE + 3);
    assert_int_equal(kv_append(f.kv, 1, 1, NULL), SL_ERR_MEMORY);
    assert_int_equal(kv_append(f.kv, 0, 1, NULL), SL_ERR_MEMORY);
    assert_int_equal(kv_length(f.kv, 0), PAGE + 3);
    assert_int_equal(kv_length(f.kv, 1), PAGE + 3);
    assert_memory_equal(kv_pages(f.kv, 0), kv_pages(f.kv, 1), 2 * sizeof(uint32_t));
    kv_truncate(f.kv, 0, 0);
    append(&f, 1, 1); /* it is its own now */
    close_cache(&f);
}

static void a_shared_page_is_copied_on_write(void **state) {
    (void)state;
    fixture f = open_cache(N_PAGE * PAGE);
    const size_t bytes = kv_get_layout(f.kv).page_bytes;
    append(&f, 0, PAGE + 8);
    memset(page_bytes(&f, 0, 0), 0x11, bytes);
    memset(page_bytes(&f, 0, 1), 0x22, bytes);
    kv_share(f.kv, 0, 1, PAGE + 5);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 2);
    assert_memory_equal(kv_pages(f.kv, 0), kv_pages(f.kv, 1), 2 * sizeof(uint32_t));

    append(&f, 1, 1);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 3);
    assert_int_equal(kv_pages(f.kv, 0)[0], kv_pages(f.kv, 1)[0]);
    assert_int_not_equal(kv_pages(f.kv, 0)[1], kv_pages(f.kv, 1)[1]);
    assert_memory_equal(page_bytes(&f, 0, 1), page_bytes(&f, 1, 1), bytes);
    memset(page_bytes(&f, 1, 1), 0x33, bytes);
    assert_int_equal(page_bytes(&f, 0, 1)[bytes - 1], 0x22);

    /* Nobody shares sequence 0's last page now: it is written in place. */
    const uint32_t mine = kv_pages(f.kv, 0)[1];
    append(&f, 0, 1);
    assert_int_equal(kv_pages(f.kv, 0)[1], mine);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 3);

    /* Cut into the shared page: writing there copies it. */
    kv_truncate(f.kv, 1, 4);
    append(&f, 1, 1);
    assert_int_not_equal(kv_pages(f.kv, 0)[0], kv_pages(f.kv, 1)[0]);
    assert_int_equal(page_bytes(&f, 1, 0)[0], 0x11);
    close_cache(&f);
}

static void a_full_shared_page_is_not_copied(void **state) {
    (void)state;
    fixture f = open_cache(N_PAGE * PAGE);
    append(&f, 0, 2 * PAGE);
    kv_share(f.kv, 0, 1, PAGE);
    kv_share(f.kv, 0, 2, 2 * PAGE);
    append(&f, 1, 1);
    append(&f, 2, 1);
    assert_int_equal(kv_pages(f.kv, 0)[0], kv_pages(f.kv, 1)[0]);
    assert_int_equal(kv_pages(f.kv, 0)[1], kv_pages(f.kv, 2)[1]);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 4);
    kv_share(f.kv, 0, 2, 0); /* what it had is dropped */
    assert_int_equal(kv_length(f.kv, 2), 0);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 3);
    /* Sharing anew with one whose pages one holds already. */
    kv_share(f.kv, 0, 1, 2 * PAGE);
    kv_share(f.kv, 1, 0, PAGE + 1);
    assert_int_equal(free_pages(&f, 3), N_PAGE - 2);
    close_cache(&f);
}

/* What the pool must hold, by a slow model that knows nothing of pages: each sequence is a list of
 * numbers, and each position's first byte in the pool must be its number. */
typedef struct shadow {
    uint8_t value[N_SEQ][N_PAGE * PAGE];
    size_t length[N_SEQ];
} shadow;

/* Where a byte of the position lies: row `position % PAGE` of the first key head, 64 bytes each. */
static uint8_t *position_byte(const fixture *f, size_t sequence, size_t position) {
    return page_bytes(f, sequence, position / PAGE) + position % PAGE * 64;
}

static void check_shadow(const fixture *f, const shadow *s) {
    for (size_t q = 0; q < N_SEQ; q++) {
        assert_int_equal(kv_length(f->kv, q), s->length[q]);
        for (size_t i = 0; i < s->length[q]; i++) {
            assert_int_equal(*position_byte(f, q, i), s->value[q][i]);
        }
    }
}

static void random_step(fixture *f, shadow *s, random_state *r) {
    const size_t q = random_u64(r) % N_SEQ, other = (q + 1 + random_u64(r) % (N_SEQ - 1)) % N_SEQ;
    const size_t cut = random_u64(r) % (s->length[q] + 1);
    switch (random_u64(r) % 4) {
    case 0:
        kv_truncate(f->kv, q, cut);
        s->length[q] = cut;
        break;
    case 1:
        kv_share(f->kv, q, other, cut);
        memcpy(s->value[other], s->value[q], cut);
        s->length[other] = cut;
        break;
    default: {
        const size_t n = random_u64(r) % (2 * PAGE);
        if (kv_append(f->kv, q, n, NULL) == SL_OK) {
            for (size_t i = s->length[q]; i < s->length[q] + n; i++) {
                *position_byte(f, q, i) = s->value[q][i] = (uint8_t)random_u64(r);
            }
            s->length[q] += n;
        }
        break;
    }
    }
}

static void nothing_is_lost_or_mixed_up(void **state) {
    (void)state;
    random_state r;
    random_seed(&r, 11);
    fixture f = open_cache(N_PAGE * PAGE);
    static shadow s;
    for (int step = 0; step < 3000; step++) {
        random_step(&f, &s, &r);
        check_shadow(&f, &s);
    }
    for (size_t q = 0; q < N_SEQ; q++) {
        kv_truncate(f.kv, q, 0);
    }
    assert_int_equal(free_pages(&f, 0), N_PAGE);
    append(&f, 2, N_PAGE * PAGE);
    bool seen[N_PAGE] = {false};
    for (size_t i = 0; i < pages_of(kv_length(f.kv, 2)); i++) {
        const uint32_t page = kv_pages(f.kv, 2)[i];
        assert_true(page < N_PAGE && !seen[page]);
        seen[page] = true;
    }
    close_cache(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_holds_all_layers),
        cmocka_unit_test(heads_must_fit_blocks),
        cmocka_unit_test(pages_come_and_go),
        cmocka_unit_test(a_full_pool_refuses_and_changes_nothing),
        cmocka_unit_test(a_copy_needs_room_too),
        cmocka_unit_test(a_shared_page_is_copied_on_write),
        cmocka_unit_test(a_full_shared_page_is_not_copied),
        cmocka_unit_test(nothing_is_lost_or_mixed_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
