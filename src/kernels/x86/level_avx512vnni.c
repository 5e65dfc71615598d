/* level_avx512vnni.c - what AVX-512 VNNI adds: the integer products. */
#include "kernels/levels.h"
#include "kernels/x86/parts.h"

void kernel_fill_avx512vnni(kernel_table *table) {
    table->name = "avx512 vnni";
    matmul32_fill_avx512vnni(table);
    matmul256_fill_avx512vnni(table);
    packed_fill_avx512vnni(table);
}
