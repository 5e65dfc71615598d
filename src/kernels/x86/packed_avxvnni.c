/* packed_avxvnni.c - products of packed weights in AVX2 with VNNI, in the encoding of VEX:
 * packed_loops.h with its words. */
#include "kernels/x86/words_avx2.h"

X86_INLINE vec_int int_add_quads_8(vec_int sum, vec_int a, vec_int b) {
    return _mm256_dpbusd_avx_epi32(sum, a, b);
}

X86_INLINE vec_int int_madd_16(vec_int sum, vec_int a, vec_int b) {
    return _mm256_dpwssd_avx_epi32(sum, a, b);
}

#include "kernels/x86/words_vnni.h"

#include "kernels/x86/packed_loops.h"
#include "kernels/x86/parts.h"

void packed_fill_avxvnni(kernel_table *table) {
    packed_fill_table(table);
    table->prefers_packed = true;
}
