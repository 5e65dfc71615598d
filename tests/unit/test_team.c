/* Threads that walk together: each run on every member, barriers that hold, items taken once. */
#include "ops/team.h"

#include "base/random.h"
#include "os/os.h"

#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MEMBERS = 8, ROUNDS = 40, ITEMS = 257 };

typedef struct job {
    team *owner;
    size_t size;
    size_t runs[MEMBERS];           /* by member: how often it was called */
    size_t stage[MEMBERS];          /* plain on purpose: the barrier must order it */
    _Atomic size_t counter[ROUNDS]; /* one for each round */
    _Atomic unsigned taken[ITEMS];  /* by item, all rounds together */
    _Atomic size_t wrong;
} job;

static team *make_team(size_t size) {
    sl_error error;
    team *t;
    if (team_create(size, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(team_size(t), size);
    return t;
}

static void walk(void *context, size_t member) {
    job *j = context;
    j->runs[member]++;
    for (size_t round = 0; round < ROUNDS; round++) {
        j->stage[member] = round;
        size_t begin, end;
        while (team_take(&j->counter[round], 3, ITEMS, &begin, &end)) {
            for (size_t i = begin; i < end; i++) {
                atomic_fetch_add(&j->taken[i], 1);
            }
        }
        team_barrier(j->owner);
        for (size_t m = 0; m < j->size; m++) {
            if (j->stage[m] != round) {
                atomic_fetch_add(&j->wrong, 1);
            }
        }
        team_barrier(j->owner);
    }
}

static void every_size_of_team(void **state) {
    (void)state;
    static job j;
    for (size_t size = 1; size <= MEMBERS; size++) {
        memset(&j, 0, sizeof j);
        j.size = size;
        j.owner = make_team(size);
        const unsigned runs = 6;
        for (unsigned i = 0; i < runs; i++) {
            memset(j.counter, 0, sizeof j.counter);
            team_run(j.owner, walk, &j);
        }
        team_free(j.owner);
        assert_int_equal(atomic_load(&j.wrong), 0);
        for (size_t m = 0; m < MEMBERS; m++) {
            assert_int_equal(j.runs[m], m < size ? runs : 0);
        }
        for (size_t i = 0; i < ITEMS; i++) {
            assert_int_equal(atomic_load(&j.taken[i]), runs * ROUNDS);
        }
    }
}

static void count_member(void *context, size_t member) {
    ((size_t *)context)[member]++;
}

typedef struct near_job {
    size_t size, total;
    _Atomic size_t counters[MEMBERS];
    _Atomic unsigned taken[ITEMS];
} near_job;

static void walk_near(void *context, size_t member) {
    near_job *j = context;
    size_t item;
    while (team_take_near(j->counters, member, j->size, j->total, &item)) {
        atomic_fetch_add(&j->taken[item], 1);
    }
}

/* Whatever the members and however few the items: each is taken once. */
static void what_is_near_is_taken_once(void **state) {
    (void)state;
    for (size_t size = 1; size <= MEMBERS; size++) {
        team *t = make_team(size);
        for (size_t total = 0; total <= ITEMS; total += total < 20 ? 1 : 79) {
            near_job j = {.size = size, .total = total};
            team_run(t, walk_near, &j);
            for (size_t i = 0; i < ITEMS; i++) {
                assert_int_equal(j.taken[i], i < total ? 1 : 0);
            }
        }
        team_free(t);
    }
}

static void own_items_come_first_and_in_order(void **state) {
    (void)state;
    static const size_t expected[] = {3, 4, 5, 6, 7, 8, 9, 0, 1, 2}; /* member 1 of 3 */
    near_job j = {.size = 3, .total = 10};
    for (size_t i = 0, item; i < 10; i++) {
        assert_true(team_take_near(j.counters, 1, j.size, j.total, &item));
        assert_int_equal(item, expected[i]);
    }
    size_t item;
    assert_false(team_take_near(j.counters, 1, j.size, j.total, &item));
    assert_false(team_take_near(j.counters, 0, j.size, j.total, &item));
}

static void many_short_runs(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 5};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t calls[MEMBERS] = {0};
        team *t = make_team(sizes[i]);
        for (int run = 0; run < 2000; run++) {
            team_run(t, count_member, calls);
        }
        team_free(t);
        for (size_t m = 0; m < MEMBERS; m++) {
            assert_int_equal(calls[m], m < sizes[i] ? 2000 : 0);
        }
    }
}

static void teams_that_never_run(void **state) {
    (void)state;
    for (size_t size = 1; size <= MEMBERS; size++) {
        team_free(make_team(size));
    }
    team_free(NULL);
}

/* A member that comes late to a barrier finds the others asleep. */
static void late_member(void *context, size_t member) {
    job *j = context;
    for (int round = 0; round < 3; round++) {
        if (member == (size_t)round % j->size) {
            const uint64_t until = os_now() + 20 * 1000 * 1000;
            while (os_now() < until) {
                os_relax();
            }
        }
        j->stage[member]++;
        team_barrier(j->owner);
        for (size_t m = 0; m < j->size; m++) {
            if (j->stage[m] != (size_t)round + 1) {
                atomic_fetch_add(&j->wrong, 1);
            }
        }
        team_barrier(j->owner);
    }
}

static void sleepers_are_woken(void **state) {
    (void)state;
    static job j;
    memset(&j, 0, sizeof j);
    j.size = 4;
    j.owner = make_team(4);
    for (int i = 0; i < 5; i++) {
        memset(j.stage, 0, sizeof j.stage);
        team_run(j.owner, late_member, &j);
    }
    team_free(j.owner);
    assert_int_equal(atomic_load(&j.wrong), 0);
}

static void only_barriers(void *context, size_t member) {
    (void)member;
    for (int i = 0; i < 500; i++) {
        team_barrier(context);
    }
}

/* More members than cores: each barrier costs some wake-ups, not the time slices that a barrier
 * would which only spins. 500 barriers of eight members with time slices of 3 ms on two cores would
 * be 500 * 3 * 3 ms = 4.5 s at the least; wake-ups take some 10 to 100 us each. The bound leaves
 * room for a machine that is busy with other things. */
static void more_members_than_cores(void **state) {
    (void)state;
    team *t = make_team(MEMBERS);
    const uint64_t start = os_now();
    team_run(t, only_barriers, t);
    const double seconds = (double)(os_now() - start) * 1e-9;
    team_free(t);
    print_message("500 barriers of %d members on %zu cores: %.3f s\n", MEMBERS, os_core_count(),
                  seconds);
    assert_true(seconds < 20);
}

/* As arithmetic has it; fegetround asks a unit that nothing here computes with. */
static bool rounds_upward(void) {
    const volatile float one = 1, little = 1e-10f;
    const volatile float sum = one + little; /* now, and not when it suits the compiler */
    return sum > one;
}

static void check_rounding(void *context, size_t member) {
    ((int *)context)[member] = rounds_upward();
}

/* Whatever the caller has set, members compute in one mode, and the caller gets its own back. */
static void the_callers_float_mode_is_its_own(void **state) {
    (void)state;
    team *t = make_team(3);
    int modes[3] = {-1, -1, -1};
    assert_int_equal(fesetround(FE_UPWARD), 0);
    team_run(t, check_rounding, modes);
    const bool after = rounds_upward();
    fesetround(FE_TONEAREST);
    team_free(t);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(modes[i], false);
    }
    assert_true(after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_of_team),
        cmocka_unit_test(what_is_near_is_taken_once),
        cmocka_unit_test(own_items_come_first_and_in_order),
        cmocka_unit_test(many_short_runs),
        cmocka_unit_test(teams_that_never_run),
        cmocka_unit_test(sleepers_are_woken),
        cmocka_unit_test(more_members_than_cores),
        cmocka_unit_test(the_callers_float_mode_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
