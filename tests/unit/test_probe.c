/* Probes: every read loop reads every byte once, and the machine's limits are measured or refused.
 */
#include "cpu/cpu.h"
#include "kernels/probe.h"
#include "os/os.h"
#include "sluice.h"

#include "base/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The levels that this processor has, each with those below. */
static size_t levels(uint32_t *features) {
    static const uint32_t steps[] = {CPU_AVX2,        CPU_AVX_VNNI,    CPU_AVX512,
                                     CPU_AVX512_VNNI, CPU_AVX512_BF16, CPU_NEON,
                                     CPU_NEON_DOTPROD};
    size_t count = 1;
    features[0] = 0;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (cpu_features() & steps[i]) {
            features[count] = features[count - 1] | steps[i];
            count++;
        }
    }
    return count;
}

static void every_byte_is_read_once(void **state) {
    (void)state;
    enum { SIZE = 3 * 4096 };
    uint8_t *bytes = os_pages_allocate(SIZE);
    assert_non_null(bytes);
    uint64_t expected = 0;
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (uint8_t)(i * i * 31 + i / 256);
        expected ^= (uint64_t)bytes[i] << i % 8 * 8; /* xor of little-endian words */
    }
    uint32_t features[8];
    for (size_t level = levels(features); level-- > 0;) {
        probe_table table;
        probe_table_fill(&table, features[level]);
        for (size_t i = 0; i < PROBE_READS; i++) {
            assert_true(table.read[i](bytes, SIZE) == expected);
            assert_true(probe_read_name((probe_read)i)[0]);
        }
    }
    os_pages_free(bytes, SIZE);
}

/* Twice the rounds take about twice the time, so that the loop does run: at least 1.3 times in the
 * best of several tries. */
static void arithmetic_is_done_in_every_round(void **state) {
    (void)state;
    uint32_t features[8];
    for (size_t level = levels(features); level-- > 0;) {
        probe_table table;
        probe_table_fill(&table, features[level]);
        for (size_t format = 0; format < PROBE_FORMATS; format++) {
            const probe_arithmetic *a = &table.arithmetic[format];
            uint64_t best[2] = {UINT64_MAX, UINT64_MAX};
            for (int attempt = 0; attempt < 10; attempt++) {
                for (size_t twice = 0; twice < 2; twice++) {
                    const uint64_t start = os_now();
                    (void)a->run((size_t)100000 << twice);
                    const uint64_t time = os_now() - start;
                    best[twice] = time < best[twice] ? time : best[twice];
                }
            }
            assert_true(a->operations > 0 && a->instructions[0]);
            if ((double)best[1] < 1.3 * (double)best[0]) {
                fail_msg("%s: %llu ns, twice the rounds %llu ns", a->instructions,
                         (unsigned long long)best[0], (unsigned long long)best[1]);
            }
        }
    }
}

/* No core reads 1 TB/s, or does 2^14 operations in each of 6e9 cycles a second. */
static void the_machine_is_measured(void **state) {
    (void)state;
    const uint64_t memory = 64 << 20;
    sl_machine_limits all = {0}, one = {0};
    sl_error error = {0};
    assert_int_equal(sl_machine_measure(SL_MEASURE_ALL, 2, memory, &all, &error), SL_OK);
    assert_true(all.read_bytes > 1e6 && all.read_bytes < 1e12);
    const double rates[] = {all.int8_operations, all.bf16_operations, all.f32_operations};
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        assert_true(rates[i] > 1e6 && rates[i] < 2 * 6e9 * 16384);
    }
    assert_non_null(all.read_loop);
    assert_non_null(all.int8_instructions);
    assert_non_null(all.bf16_instructions);
    assert_non_null(all.f32_instructions);
    assert_int_equal(sl_machine_measure(SL_MEASURE_F32, 0, 0, &one, &error), SL_OK);
    assert_true(one.f32_operations > 0 && one.int8_operations == 0 && one.read_bytes == 0);
    assert_null(one.read_loop);
}

static void what_cannot_be_measured_is_refused(void **state) {
    (void)state;
    sl_machine_limits limits = {.read_bytes = 7};
    sl_error error = {0};
    assert_int_equal(sl_machine_measure(SL_MEASURE_READ, 1, (64 << 20) - 1, &limits, &error),
                     SL_ERR_MEMORY);
    assert_non_null(strstr(error.message, "64 MiB"));
    assert_non_null(strstr(error.message, "63 MiB"));
    assert_int_equal(sl_machine_measure(SL_MEASURE_INT8, 1025, 0, &limits, &error),
                     SL_ERR_ARGUMENT);
    assert_true(limits.read_bytes == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_read_once),
        cmocka_unit_test(arithmetic_is_done_in_every_round),
        cmocka_unit_test(the_machine_is_measured),
        cmocka_unit_test(what_cannot_be_measured_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
