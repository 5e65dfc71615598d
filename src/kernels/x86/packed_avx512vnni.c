/* packed_avx512vnni.c - products of packed weights in AVX-512 with VNNI: packed_loops.h with its
 * words. */
#include "kernels/x86/words_avx512.h"

#include "kernels/x86/packed_loops.h"
#include "kernels/x86/parts.h"

void packed_fill_avx512vnni(kernel_table *table) {
    packed_fill_table(table);
    table->prefers_packed = true;
}
