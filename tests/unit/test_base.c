/* Arrays with a ceiling, errors, random numbers. */
#include "base/array.h"
#include "base/error.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void array_stops_at_its_ceiling(void **state) {
    (void)state;
    array a = array_new(sizeof(int), 20);
    sl_error error = {0};
    for (int i = 0; i < 20; i++) {
        assert_int_equal(array_push(&a, &i, &error), SL_OK);
    }
    const int last = 20;
    assert_int_equal(array_push(&a, &last, &error), SL_ERR_MEMORY);
    assert_int_equal(a.count, 20);
    assert_int_equal(((int *)a.items)[19], 19);
    assert_int_equal(array_reserve(&a, SIZE_MAX, &error), SL_ERR_MEMORY);
    array_free(&a);
}

static void errors_hold_no_control_characters(void **state) {
    (void)state;
    sl_error error;
    assert_int_equal(error_set(&error, SL_ERR_FORMAT, "name %s", "a\n\x1b[31m"), SL_ERR_FORMAT);
    assert_string_equal(error.message, "name a??[31m");
}

/* First outputs of xoshiro256** seeded with splitmix64(0), as other implementations print them
 * (Rust's rand_xoshiro: Xoshiro256StarStar::seed_from_u64(0)). */
static void random_numbers_are_the_published_ones(void **state) {
    (void)state;
    random_state r;
    random_seed(&r, 0);
    assert_true(random_u64(&r) == 0x99ec5f36cb75f2b4u);
    assert_true(random_u64(&r) == 0xbf6e1f784956452au);
    for (int i = 0; i < 1000; i++) {
        const double u = random_unit(&r);
        assert_true(u >= 0 && u < 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(array_stops_at_its_ceiling),
        cmocka_unit_test(errors_hold_no_control_characters),
        cmocka_unit_test(random_numbers_are_the_published_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
