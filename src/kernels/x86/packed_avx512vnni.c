/* packed_avx512vnni.c - products of packed weights in AVX-512 with VNNI: packed_loops.h with its
 * words. */
#include "kernels/x86/words_avx512.h"

X86_INLINE vec_int int_add_quads_8(vec_int sum, vec_int a, vec_int b) {
    return _mm512_dpbusd_epi32(sum, a, b);
}

X86_INLINE vec_int int_madd_16(vec_int sum, vec_int a, vec_int b) {
    return _mm512_dpwssd_epi32(sum, a, b);
}

#include "kernels/x86/words_vnni.h"

#include "kernels/x86/packed_loops.h"
#include "kernels/x86/parts.h"

void packed_fill_avx512vnni(kernel_table *table) {
    packed_fill_table(table);
    table->prefers_packed = true;
}
