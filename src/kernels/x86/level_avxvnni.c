/* level_avxvnni.c - what VNNI adds to AVX2 where there is no AVX-512: packed integer products. */
#include "kernels/levels.h"
#include "kernels/x86/parts.h"

void kernel_fill_avxvnni(kernel_table *table) {
    table->name = "avx2 vnni";
    packed_fill_avxvnni(table);
}
