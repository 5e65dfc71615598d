/* probe.c - the plain loops, and the choice of a level. */
#include "kernels/probe.h"

#include "cpu/cpu.h"
#define PROBE_VECTOR 16
#include "kernels/probe_reads.h"

#include <string.h>

/* Independent sums, so many that each may wait for its last addition. */
enum { SUMS = 32 };

/* The barrier in each loop makes the compiler believe that the operands change. */
static uint64_t run_int8(size_t rounds) {
    int8_t a[SUMS], b[SUMS];
    int32_t sum[SUMS];
    for (int i = 0; i < SUMS; i++) {
        a[i] = (int8_t)(i - 16);
        b[i] = (int8_t)(3 * i - 40);
        sum[i] = i;
    }
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : : "r"(a), "r"(b) : "memory");
        for (int i = 0; i < SUMS; i++) {
            sum[i] = (int32_t)((uint32_t)sum[i] + (uint32_t)(a[i] * b[i]));
        }
    }
    uint64_t all = 0;
    for (int i = 0; i < SUMS; i++) {
        all += (uint64_t)sum[i];
    }
    return all;
}

static uint64_t run_f32(size_t rounds) {
    float sum[SUMS];
    for (int i = 0; i < SUMS; i++) {
        sum[i] = (float)i;
    }
    float factor = 0.5f;
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : : "r"(&factor) : "memory");
        for (int i = 0; i < SUMS; i++) {
            sum[i] = sum[i] * factor + factor;
        }
    }
    uint64_t all = 0;
    for (int i = 0; i < SUMS; i++) {
        all += (uint64_t)sum[i];
    }
    return all;
}

static void fill_plain(probe_table *table) {
    memset(table, 0, sizeof *table);
    probe_fill_reads(table);
    table->arithmetic[PROBE_INT8] = (probe_arithmetic){"plain", 2.0 * SUMS, run_int8};
    table->arithmetic[PROBE_F32] = (probe_arithmetic){"plain", 2.0 * SUMS, run_f32};
}

#if defined(__x86_64__)

static void fill_levels(probe_table *table, uint32_t features) {
    if (features & CPU_AVX2) {
        probe_fill_avx2(table);
    }
    if (features & CPU_AVX_VNNI) {
        probe_fill_avxvnni(table);
    }
    if (features & CPU_AVX512) {
        probe_fill_avx512(table);
    }
    if (features & CPU_AVX512_VNNI) {
        probe_fill_avx512vnni(table);
    }
    if (features & CPU_AVX512_BF16) {
        probe_fill_avx512bf16(table);
    }
}

#elif defined(__aarch64__)

static void fill_levels(probe_table *table, uint32_t features) {
    if (features & CPU_NEON) {
        probe_fill_neon(table);
    }
    if (features & CPU_NEON_DOTPROD) {
        probe_fill_dotprod(table);
    }
    if (features & CPU_NEON_I8MM) {
        probe_fill_i8mm(table);
    }
}

#else

static void fill_levels(probe_table *table, uint32_t features) {
    (void)table;
    (void)features;
}

#endif

void probe_table_fill(probe_table *table, uint32_t features) {
    fill_plain(table);
    fill_levels(table, features);
    if (!table->arithmetic[PROBE_BF16].run) {
        table->arithmetic[PROBE_BF16] = table->arithmetic[PROBE_F32];
    }
}

const char *probe_read_name(probe_read read) {
    static const char *const names[PROBE_READS] = {"one stream", "one stream with prefetch",
                                                   "four streams"};
    return names[read];
}
