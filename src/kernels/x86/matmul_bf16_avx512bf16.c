/* matmul_bf16_avx512bf16.c - products of BF16 weights by VDPBF16PS, which defines their order. */
#include "kernels/levels.h"
#include "kernels/x86/vec_avx512.h"

#include "kernels/x86/float_512.h"
#include "kernels/x86/float_panels.h"

X86_INLINE __m512 add(__m512 sum, __m512i w, __m512i x) {
    return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x);
}

/* Not _mm512_mask_dpbf16_ps, of whose mask GCC 12 may take eight lanes and leave out the others. */
X86_INLINE __m512 add_part(__m512 sum, __m512i w, __m512i x, size_t n) {
    return _mm512_mask_mov_ps(sum, lanes_512((n + 1) / 2), add(sum, w, x));
}

#define STEPS                                                                                      \
    ((steps_512){32, 64, load_512, add, load_part16_512, load_part16_512, add_part, false})

static void direct(float_eight w, size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                   float_partial *partial) {
    multiply_rows_512(STEPS, w, n, x, x_stride, n_row, partial);
}

static void in_order(const float_rows *w, size_t n, const uint8_t *x, float *y) {
    multiply_in_order_512(STEPS, w, n, x, y);
}

static void fours(const float_four *w, size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                  float *y, size_t y_stride) {
    multiply_fours_512(STEPS, w, n, x, x_stride, n_row, y, y_stride);
}

/* Panels have the pairs as they lie in memory. */
X86_INLINE vec read_pairs(const uint8_t *step, size_t vector, size_t share) {
    (void)share; /* there is one */
    return vec_load((const float *)(const void *)(step + 64 * vector));
}

#define PANEL ((panel_type){2, 64, read_pairs})

static void fill_w(const float_rows *rows, size_t n, uint8_t *panel) {
    fill_weights(PANEL, rows, n, panel);
}

static void fill_x(const float_rows *rows, size_t n, uint8_t *panel) {
    fill_group(PANEL, rows, n, panel);
}

X86_INLINE vec add_pairs(vec w, vec x, vec sum) {
    return add(sum, _mm512_castps_si512(w), _mm512_castps_si512(x));
}

static void multiply(const uint8_t *w_panel, const uint8_t *x_panels, size_t n_row, size_t vectors,
                     bool first, float_partial *partial, float_ahead *ahead) {
    multiply_by(add_pairs, w_panel, x_panels, n_row, vectors, first, partial, ahead);
}

static void finish(const float_partial *partial, size_t n_out, float *y) {
    finish_512(partial, n_out, y);
}

static void matmul_bf16(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const float_kernel kernel = {
        .few = FLOAT_FEW_512,
        .w_bytes = 2,
        .x_bytes = 2,
        .step = 64,
        .direct = direct,
        .in_order = in_order,
        .fours = fours,
        .fill_w = fill_w,
        .fill_x = fill_x,
        .multiply = multiply,
        .finish = finish,
    };
    float_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

void kernel_fill_avx512bf16(kernel_table *table) {
    table->name = "avx512 bf16";
    table->matmul[QUANT_BF16] = matmul_bf16;
}
