/* kernels.c - fills the table of kernels for a set of features, and the layout of rows. */
#include "kernels/kernels.h"

#include "cpu/cpu.h"
#include "kernels/levels.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static size_t round_up_64(size_t n) {
    return (n + 63) & ~(size_t)63;
}

/* An odd number of cache lines: rows a multiple of 4096 bytes apart would take each other's places
 * in a cache. */
static size_t odd_lines(size_t n) {
    return round_up_64(n) | 64;
}

size_t kernel_row_bytes(kernel_row form, size_t n) {
    switch (form) {
    case KERNEL_ROW_F32:
        return odd_lines(n * sizeof(float));
    case KERNEL_ROW_BF16:
        return odd_lines(n * sizeof(uint16_t));
    case KERNEL_ROW_Q8_32:
        return kernel_q8_sums_at(n, 32) + round_up_64(n / 16 * sizeof(int16_t));
    case KERNEL_ROW_Q8_256:
        return kernel_q8_sums_at(n, 256) + round_up_64(n / 16 * sizeof(int16_t));
    case KERNEL_ROW_LIMIT:
        break;
    }
    return 0;
}

kernel_row kernel_row_of(quant_type type) {
    switch (type) {
    case QUANT_Q4_0:
    case QUANT_Q4_1:
    case QUANT_Q5_0:
    case QUANT_Q5_1:
    case QUANT_Q8_0:
    case QUANT_IQ4_NL:
    case QUANT_MXFP4:
        return KERNEL_ROW_Q8_32;
    case QUANT_Q2_K:
    case QUANT_Q3_K:
    case QUANT_Q4_K:
    case QUANT_Q5_K:
    case QUANT_Q6_K:
    case QUANT_IQ4_XS:
        return KERNEL_ROW_Q8_256;
    case QUANT_BF16:
        return KERNEL_ROW_BF16;
    case QUANT_F32:
    case QUANT_F16:
    case QUANT_TYPE_LIMIT:
        break;
    }
    return KERNEL_ROW_F32;
}

#if defined(__x86_64__)

static void fill_levels(kernel_table *table, uint32_t features) {
    if (features & CPU_AVX2) {
        kernel_fill_avx2(table);
    }
    if (features & CPU_AVX_VNNI) {
        kernel_fill_avxvnni(table);
    }
    if (features & CPU_AVX512) {
        kernel_fill_avx512(table);
    }
    if (features & CPU_AVX512_VNNI) {
        kernel_fill_avx512vnni(table);
    }
    if (features & CPU_AVX512_BF16) {
        kernel_fill_avx512bf16(table);
    }
}

#elif defined(__aarch64__)

static void fill_levels(kernel_table *table, uint32_t features) {
    if (features & CPU_NEON) {
        kernel_fill_neon(table);
    }
    if (features & CPU_NEON_DOTPROD) {
        kernel_fill_dotprod(table);
    }
    if (features & CPU_NEON_I8MM) {
        kernel_fill_i8mm(table);
    }
}

#else

static void fill_levels(kernel_table *table, uint32_t features) {
    (void)table;
    (void)features;
}

#endif

void kernel_table_fill(kernel_table *table, uint32_t features) {
    kernel_fill_ref(table);
    fill_levels(table, features);
}

uint64_t kernel_set_float_mode(void) {
    uint64_t before = 0;
#if defined(__x86_64__)
    before = _mm_getcsr();
    _mm_setcsr(0x1f80); /* all exceptions masked, nearest even, subnormals kept */
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
#endif
    return before;
}

void kernel_restore_float_mode(uint64_t mode) {
#if defined(__x86_64__)
    _mm_setcsr((unsigned)mode);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#else
    (void)mode;
#endif
}
