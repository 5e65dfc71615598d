/* int_neon.c - products of quantized weights without the dot product instruction. */
#include "kernels/arm/neon.h"

/* Two products of bytes fit into 16 bits: 2 * 128 * 127 < 2^15. */
ARM_INLINE int32x4_t dot_16(int32x4_t sum, int8x16_t a, int8x16_t b) {
    const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
    return vpadalq_s16(sum, vmlal_high_s8(low, a, b));
}

/* What SDOT does with four values of an activation row in all lanes. */
ARM_INLINE int32x4_t dot_4(int32x4_t sum, int8x16_t w, int32x4_t x_words) {
    const int8x16_t x = vreinterpretq_s8_s32(x_words);
    const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
    return vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(w, x)));
}

/* first and second += eight values of four weight rows (0 to 3 in w0, 4 to 7 in w1), times those of
 * the first and the second activation row in x. */
ARM_INLINE void dot_8(int32x4_t *first, int32x4_t *second, int8x16_t w0, int8x16_t w1,
                      int8x16_t x) {
    const int32x4_t words = vreinterpretq_s32_s8(x);
    *first = dot_4(*first, w0, vdupq_laneq_s32(words, 0));
    *first = dot_4(*first, w1, vdupq_laneq_s32(words, 1));
    *second = dot_4(*second, w0, vdupq_laneq_s32(words, 2));
    *second = dot_4(*second, w1, vdupq_laneq_s32(words, 3));
    keep_order();
}

#include "kernels/arm/int_cells_4x1.h"

#include "kernels/arm/int_products.h"

void int_fill_neon(kernel_table *table) {
    int_products_fill(table);
}
