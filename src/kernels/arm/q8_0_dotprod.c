/* q8_0_dotprod.c - product of Q8_0 weights with the dot product instruction (Armv8.2 and later). */
#include "kernels/arm/q8_0_tile.h"

ARM_INLINE int32x4_t dot_32(const int8_t *a, const int8_t *b) {
    const int32x4_t first = vdotq_s32(vdupq_n_s32(0), vld1q_s8(a), vld1q_s8(b));
    return vdotq_s32(first, vld1q_s8(a + 16), vld1q_s8(b + 16));
}

void dotprod_matmul_q8_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                         const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    q8_0_matmul(dot_32, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}
