/* parts.h - the files of x86/ by what they put into the table; levels.h names only whole levels.
 * Each function replaces the entries that its file is about. */
#ifndef KERNELS_X86_PARTS_H
#define KERNELS_X86_PARTS_H

#include "kernels/kernels.h"

void vector_fill_avx2(kernel_table *table);
void vector_fill_avx512(kernel_table *table);
void attention_fill_avx2(kernel_table *table);
void attention_fill_avx512(kernel_table *table);
void rows_fill_avx2(kernel_table *table);
void encode_fill_avx2(kernel_table *table);
void matmul32_fill_avx2(kernel_table *table);
void matmul256_fill_avx2(kernel_table *table);
void packed_fill_avx2(kernel_table *table);
void packed_fill_avxvnni(kernel_table *table);
void packed_fill_avx512(kernel_table *table);
void packed_fill_avx512vnni(kernel_table *table);
void matmul_float_fill_avx2(kernel_table *table);
void matmul_float_fill_avx512(kernel_table *table);
void matmul32_fill_avx512vnni(kernel_table *table);
void matmul256_fill_avx512vnni(kernel_table *table);

#endif
