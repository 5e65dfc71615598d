/* test_cpu.c - the mask of features. cpu_features() reads it once, so each case is a process. */
#include "cpu/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Exit status of a child that runs `is_right` with the mask set. */
static int with_mask(const char *mask, int is_right(void)) {
    const pid_t child = fork();
    if (child == 0) {
        setenv("SLUICE_CPU", mask, 1);
        _exit(is_right() ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static int is_plain(void) {
    return cpu_features() == 0 && !cpu_mask_error() && strcmp(cpu_features_text(), "plain") == 0;
}

static int is_at_most_avx2(void) {
    return (cpu_features() & ~(uint32_t)CPU_AVX2) == 0 && !cpu_mask_error();
}

static int is_at_most_avxvnni(void) {
    return (cpu_features() & ~(uint32_t)(CPU_AVX2 | CPU_AVX_VNNI)) == 0 && !cpu_mask_error();
}

static int is_at_most_avx512(void) {
    return (cpu_features() & ~(uint32_t)(CPU_AVX2 | CPU_AVX512)) == 0 && !cpu_mask_error();
}

#if defined(__aarch64__)
static int is_neon(void) {
    return cpu_features() == CPU_NEON && strcmp(cpu_features_text(), "neon") == 0;
}
#endif

static int is_at_most_dotprod(void) {
    return (cpu_features() & ~(uint32_t)(CPU_NEON | CPU_NEON_DOTPROD)) == 0 && !cpu_mask_error();
}

static int is_refused(void) {
    return cpu_mask_error() && strcmp(cpu_mask_error(), "turbo") == 0;
}

static int is_open(void) {
    return !cpu_mask_error();
}

static void masks_hide(void **state) {
    (void)state;
    assert_int_equal(with_mask("plain", is_plain), 0);
    assert_int_equal(with_mask("avx2", is_at_most_avx2), 0);
    assert_int_equal(with_mask("avxvnni", is_at_most_avxvnni), 0);
    assert_int_equal(with_mask("avx512", is_at_most_avx512), 0);
    assert_int_equal(with_mask("dotprod", is_at_most_dotprod), 0);
#if defined(__aarch64__)
    assert_int_equal(with_mask("neon", is_neon), 0);
#endif
    assert_int_equal(with_mask("turbo", is_refused), 0);
    assert_int_equal(with_mask("", is_open), 0);
}

/* Whatever runs the tests in 64 bits has these; the compiler's own detection agrees. */
static void detection_agrees_with_the_compiler(void **state) {
    (void)state;
    unsetenv("SLUICE_CPU");
#if defined(__x86_64__)
    __builtin_cpu_init();
    const uint32_t features = cpu_features();
    assert_int_equal(!!(features & CPU_AVX2),
                     __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    assert_int_equal(!!(features & CPU_AVX512),
                     __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
    assert_int_equal(!!(features & CPU_AVX512_VNNI), !!__builtin_cpu_supports("avx512vnni"));
    assert_int_equal(!!(features & CPU_AVX512_VBMI), !!__builtin_cpu_supports("avx512vbmi"));
    assert_int_equal(!!(features & CPU_AVX512_BF16), !!__builtin_cpu_supports("avx512bf16"));
#elif defined(__aarch64__)
    assert_true(cpu_features() & CPU_NEON);
#endif
    assert_true(strlen(cpu_features_text()) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_hide),
        cmocka_unit_test(detection_agrees_with_the_compiler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
