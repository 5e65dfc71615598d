/* level_avx512.c - what AVX-512 without VNNI and BF16 adds. */
#include "kernels/levels.h"
#include "kernels/x86/parts.h"

void kernel_fill_avx512(kernel_table *table) {
    table->name = "avx512";
    vector_fill_avx512(table);
    attention_fill_avx512(table);
    matmul_float_fill_avx512(table);
    packed_fill_avx512(table);
}
