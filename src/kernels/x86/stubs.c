/* stubs.c - levels without entries, so that the table links before they are written. Delete with
 * the real ones at hand. */
#include "kernels/levels.h"

__attribute__((weak)) void kernel_fill_avx2(kernel_table *table) {
    (void)table;
}

__attribute__((weak)) void kernel_fill_avx512(kernel_table *table) {
    (void)table;
}

__attribute__((weak)) void kernel_fill_avx512vnni(kernel_table *table) {
    (void)table;
}

__attribute__((weak)) void kernel_fill_avx512bf16(kernel_table *table) {
    (void)table;
}
