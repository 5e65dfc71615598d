/* levels.h - what each instruction-set level gives the table. Private to kernels/.
 *
 * Each function replaces entries of a table that all lesser levels have filled before, and sets
 * `name`. Files that need compiler flags end in the level's name (cmake/library.cmake).
 */
#ifndef KERNELS_LEVELS_H
#define KERNELS_LEVELS_H

#include "kernels/kernels.h"

void kernel_fill_ref(kernel_table *table);

#if defined(__x86_64__)
void kernel_fill_avx2(kernel_table *table);
void kernel_fill_avxvnni(kernel_table *table);
void kernel_fill_avx512(kernel_table *table);
void kernel_fill_avx512vnni(kernel_table *table);
void kernel_fill_avx512bf16(kernel_table *table);
#elif defined(__aarch64__)
void kernel_fill_neon(kernel_table *table);
void kernel_fill_dotprod(kernel_table *table);
void kernel_fill_i8mm(kernel_table *table);
#endif

#endif
