/* int_dotprod.c - products of quantized weights by SDOT (Armv8.2 and later). */
#include "kernels/arm/neon.h"

#include "kernels/levels.h"

ARM_INLINE int32x4_t dot_16(int32x4_t sum, int8x16_t a, int8x16_t b) {
    return vdotq_s32(sum, a, b);
}

/* first and second += eight values of four weight rows (0 to 3 in w0, 4 to 7 in w1), times those of
 * the first and the second activation row in x. */
ARM_INLINE void dot_8(int32x4_t *first, int32x4_t *second, int8x16_t w0, int8x16_t w1,
                      int8x16_t x) {
    *first = vdotq_laneq_s32(*first, w0, x, 0);
    *second = vdotq_laneq_s32(*second, w0, x, 2);
    *first = vdotq_laneq_s32(*first, w1, x, 1);
    *second = vdotq_laneq_s32(*second, w1, x, 3);
}

#include "kernels/arm/int_cells_4x1.h"

#include "kernels/arm/int_products.h"

void kernel_fill_dotprod(kernel_table *table) {
    table->name = "neon dotprod";
    int_products_fill(table);
}
