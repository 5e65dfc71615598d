/* float_panels_fma.h - panels of floats, made of any float type and multiplied by fma.
 *
 * Of bfloat16, a step has first a vector of the odd values, then one of the even values: so they
 * meet the sums as VDPBF16PS has it. Included after float_panels.h, and like it.
 */
#ifndef KERNELS_X86_FLOAT_PANELS_FMA_H
#define KERNELS_X86_FLOAT_PANELS_FMA_H

#include "kernels/x86/float_panels.h"

X86_INLINE vec read_f32(const uint8_t *step, size_t vector, size_t share) {
    const float *from = (const float *)(const void *)step;
    return vec_load(from + vector * FLOAT_SUMS + share * VEC_WIDTH);
}

X86_INLINE vec read_f16(const uint8_t *step, size_t vector, size_t share) {
    return vec_load_f16(step + 2 * (vector * FLOAT_SUMS + share * VEC_WIDTH));
}

X86_INLINE vec read_bf16(const uint8_t *step, size_t vector, size_t share) {
    const uint8_t *pairs = step + 4 * share * VEC_WIDTH;
    return vector == 0 ? vec_load_odd(pairs) : vec_load_even(pairs);
}

#define PANEL_F32 ((panel_type){4, 32, read_f32})
#define PANEL_F16 ((panel_type){2, 32, read_f16})
#define PANEL_BF16 ((panel_type){2, 32, read_bf16})

/* Not inlined, so that nothing moves out of the flush mode of multiply_flushed. */
static __attribute__((noinline)) void multiply_floats(const uint8_t *w_panel,
                                                      const uint8_t *x_panels, size_t n_row,
                                                      size_t vectors, bool first,
                                                      float_partial *partial, float_ahead *ahead) {
    multiply_by(vec_fma, w_panel, x_panels, n_row, vectors, first, partial, ahead);
}

static void multiply_flushed(const uint8_t *w_panel, const uint8_t *x_panels, size_t n_row,
                             size_t vectors, bool first, float_partial *partial,
                             float_ahead *ahead) {
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | FLOAT_FLUSH_MODE);
    multiply_floats(w_panel, x_panels, n_row, vectors, first, partial, ahead);
    _mm_setcsr(mode);
}

static void fill_w_f32(const float_rows *rows, size_t n, uint8_t *panel) {
    fill_weights(PANEL_F32, rows, n, panel);
}

static void fill_w_f16(const float_rows *rows, size_t n, uint8_t *panel) {
    fill_weights(PANEL_F16, rows, n, panel);
}

static void fill_w_bf16(const float_rows *rows, size_t n, uint8_t *panel) {
    fill_weights(PANEL_BF16, rows, n, panel);
}

static void fill_x_f32(const float_rows *rows, size_t n, uint8_t *panel) {
    fill_group(PANEL_F32, rows, n, panel);
}

static void fill_x_bf16(const float_rows *rows, size_t n, uint8_t *panel) {
    fill_group(PANEL_BF16, rows, n, panel);
}

#endif
