/* neon.c - what NEON, which every 64-bit ARM processor has, adds. */
#include "kernels/arm/neon.h"

#include "kernels/levels.h"

void kernel_fill_neon(kernel_table *table) {
    table->name = "neon";
    float_fill_neon(table);
    int_fill_neon(table);
    rows_fill_neon(table);
    vector_fill_neon(table);
    attention_fill_neon(table);
}
