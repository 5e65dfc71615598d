/* attention_avx512.c - attention's products in AVX-512: mix_loops.h with that vector. */
#include "kernels/x86/parts.h"
#include "kernels/x86/vec_avx512.h"

#define MIX_INLINE X86_INLINE
enum { MIX_VECS = 2 };

X86_INLINE vec mix_load_f16(const uint8_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

X86_INLINE vec mix_load_bf16(const uint8_t *p) {
    const __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

#include "kernels/mix_loops.h"

void attention_fill_avx512(kernel_table *table) {
    mix_fill(table);
}
