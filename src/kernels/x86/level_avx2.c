/* level_avx2.c - what AVX2 adds. */
#include "kernels/levels.h"
#include "kernels/x86/parts.h"

void kernel_fill_avx2(kernel_table *table) {
    table->name = "avx2";
    vector_fill_avx2(table);
    attention_fill_avx2(table);
    rows_fill_avx2(table);
    encode_fill_avx2(table);
    matmul_float_fill_avx2(table);
    matmul32_fill_avx2(table);
    matmul256_fill_avx2(table);
    packed_fill_avx2(table);
}
