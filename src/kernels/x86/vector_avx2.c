/* vector_avx2.c - the loops over float vectors in AVX2: vector_loops.h with that vector. */
#include "kernels/x86/vec_avx2.h"

#include "kernels/x86/parts.h"
#include "kernels/x86/vector_loops.h"

void vector_fill_avx2(kernel_table *table) {
    vector_loops_fill(table);
}
