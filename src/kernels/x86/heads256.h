/* heads256.h - the small integer scales of the types of 256 values, in 128-bit vectors.
 *
 * A block has sixteen groups of 16 values. `scale` and `min` hold one signed byte per group, in
 * order; types whose groups are of 32 values give each twice. Types without minimums have an
 * offset instead (q - 4, q - 32): their `min` is the scale again, so that
 *   sum of scale * (sum of byte * x8)  -  offset * sum of min * (sum of x8)
 * is the block's integer.
 */
#ifndef KERNELS_X86_HEADS256_H
#define KERNELS_X86_HEADS256_H

#include "kernels/x86/q8_rows.h"
#include "quant/blocks.h"

#include <immintrin.h>

typedef struct head256 {
    __m128i scale;
    __m128i min;
} head256;

/* Low four bits scale, high four minimum. */
X86_INLINE head256 head_q2_k(const uint8_t *block) {
    const __m128i v = _mm_loadu_si128((const __m128i *)block);
    const __m128i mask = _mm_set1_epi8(15);
    return (head256){_mm_and_si128(v, mask), _mm_and_si128(_mm_srli_epi16(v, 4), mask)};
}

/* Twelve bytes at 96: low nibbles of scales g and g + 8 in byte g, two high bits of scale g in byte
 * 8 + g % 4. The load begins two bytes early, lest it ends beyond the block. */
X86_INLINE head256 head_q3_k(const uint8_t *block) {
    const __m128i v = _mm_loadu_si128((const __m128i *)(block + 94));
    const __m128i low_at = _mm_setr_epi8(2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 9);
    const __m128i high_at =
        _mm_setr_epi8(10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13);
    __m128i low = _mm_srlv_epi64(_mm_shuffle_epi8(v, low_at), _mm_set_epi64x(4, 0));
    __m128i high = _mm_srlv_epi32(_mm_shuffle_epi8(v, high_at), _mm_setr_epi32(0, 2, 4, 6));
    low = _mm_and_si128(low, _mm_set1_epi8(15));
    high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
    const __m128i scale = _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
    return (head256){scale, scale};
}

/* Twelve bytes a[4] b[4] c[4] at 4: scales 0..3 and minimums 0..3 are the low six bits of a and b;
 * scales 4..7 are the low nibbles of c, minimums 4..7 the high ones, with the two high bits of a
 * and b on top. */
X86_INLINE head256 head_q4_k(const uint8_t *block) {
    const __m128i v = _mm_loadu_si128((const __m128i *)block);
    const __m128i low_at = _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i high_at = _mm_setr_epi8(-1, -1, -1, -1, 4, 5, 6, 7, -1, -1, -1, -1, 8, 9, 10, 11);
    __m128i low = _mm_srlv_epi32(_mm_shuffle_epi8(v, low_at), _mm_setr_epi32(0, 0, 0, 4));
    low = _mm_and_si128(low, _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f));
    const __m128i high =
        _mm_and_si128(_mm_srli_epi16(_mm_shuffle_epi8(v, high_at), 2), _mm_set1_epi8(0x30));
    const __m128i all = _mm_or_si128(low, high);
    return (head256){_mm_unpacklo_epi8(all, all), _mm_unpackhi_epi8(all, all)};
}

X86_INLINE head256 head_q6_k(const uint8_t *block) {
    const __m128i scale = _mm_loadu_si128((const __m128i *)(block + 192));
    return (head256){scale, scale};
}

X86_INLINE head256 head_iq4_xs(const uint8_t *block) {
    const __m128i all = _mm_cvtsi64_si128((long long)block_iq4_xs_scales(block));
    const __m128i scale = _mm_sub_epi8(_mm_unpacklo_epi8(all, all), _mm_set1_epi8(32));
    return (head256){scale, scale};
}

/* As 16-bit numbers, those of even groups in the low half, of odd groups in the high half: where
 * the halves of a vector of 32 values need them. */
X86_INLINE __m256i head_even_odd(__m128i scale) {
    const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(scale, order));
}

#endif
