/* attention_avx2.c - attention's products in AVX2: mix_loops.h with that vector. */
#include "kernels/x86/parts.h"
#include "kernels/x86/vec_avx2.h"

#define MIX_INLINE X86_INLINE
enum { MIX_VECS = 2 };

X86_INLINE vec mix_load_f16(const uint8_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

X86_INLINE vec mix_load_bf16(const uint8_t *p) {
    const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

#include "kernels/mix_loops.h"

void attention_fill_avx2(kernel_table *table) {
    mix_fill(table);
}
