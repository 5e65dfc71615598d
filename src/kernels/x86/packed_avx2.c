/* packed_avx2.c - products of packed weights in AVX2: packed_loops.h with its words. */
#include "kernels/x86/words_avx2.h"
#include "kernels/x86/words_madd.h"

#include "kernels/x86/packed_loops.h"
#include "kernels/x86/parts.h"

void packed_fill_avx2(kernel_table *table) {
    packed_fill_table(table);
    table->prefers_packed = true;
}
