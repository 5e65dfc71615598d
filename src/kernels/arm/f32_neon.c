/* f32_neon.c - product of F32 weights, in tiles of weight rows by activation rows.
 *
 * A tile of 3 by 2 keeps 24 registers of partial sums and needs five for operands, out of 32.
 */
#include "kernels/arm/neon.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { TILE_OUT = 3, TILE_ROW = 2 };

/* What the last n % 16 elements add, and the final tree. */
static float finish(sum16 s, const uint8_t *w, const uint8_t *x, size_t from, size_t n) {
    float lanes[16];
    memcpy(lanes, &s, sizeof lanes);
    for (size_t k = from; k < n; k++) {
        float a, b;
        memcpy(&a, w + 4 * k, sizeof a);
        memcpy(&b, x + 4 * k, sizeof b);
        lanes[k - from] = fmaf(a, b, lanes[k - from]);
    }
    memcpy(&s, lanes, sizeof lanes);
    return sum16_tree(s);
}

/* n_out and n_row are constants. */
ARM_INLINE void tile(size_t n_out, size_t n_row, size_t n_in, const uint8_t *w, size_t w_stride,
                     const uint8_t *x, size_t x_stride, float *y, size_t y_stride) {
    sum16 s[TILE_ROW][TILE_OUT] = {0};
    const size_t whole = n_in / 16 * 16;
    for (size_t k = 0; k < whole; k += 16) {
        for (size_t v = 0; v < 4; v++) {
            const size_t at = 4 * k + 16 * v;
            for (size_t i = 0; i < n_row; i++) {
                const float32x4_t b = load_4(x + i * x_stride + at);
                for (size_t r = 0; r < n_out; r++) {
                    s[i][r].v[v] = vfmaq_f32(s[i][r].v[v], load_4(w + r * w_stride + at), b);
                }
            }
        }
    }
    for (size_t i = 0; i < n_row; i++) {
        for (size_t r = 0; r < n_out; r++) {
            y[i * y_stride + r] = finish(s[i][r], w + r * w_stride, x + i * x_stride, whole, n_in);
        }
    }
}

/* All weight rows by n_row activation rows, a constant. */
ARM_INLINE void strip(size_t n_out, size_t n_row, size_t n_in, const uint8_t *w, size_t w_stride,
                      const uint8_t *x, size_t x_stride, float *y, size_t y_stride) {
    size_t r = 0;
    for (; r + TILE_OUT <= n_out; r += TILE_OUT) {
        tile(TILE_OUT, n_row, n_in, w + r * w_stride, w_stride, x, x_stride, y + r, y_stride);
    }
    for (; r < n_out; r++) {
        tile(1, n_row, n_in, w + r * w_stride, w_stride, x, x_stride, y + r, y_stride);
    }
}

void neon_matmul_f32(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                     const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0);
    (void)scratch;
    const uint8_t *rows = x;
    size_t i = 0;
    for (; i + TILE_ROW <= n_row; i += TILE_ROW) {
        strip(n_out, TILE_ROW, n_in, w, w_stride, rows + i * x_stride, x_stride, y + i * y_stride,
              y_stride);
    }
    if (i < n_row) {
        strip(n_out, 1, n_in, w, w_stride, rows + i * x_stride, x_stride, y + i * y_stride,
              y_stride);
    }
}
