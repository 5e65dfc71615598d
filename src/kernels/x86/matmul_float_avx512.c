/* matmul_float_avx512.c - products of F32, F16 and BF16 weights in AVX-512.
 *
 * BF16 as VDPBF16PS does it, for processors that lack it: the odd values, then the even ones, each
 * by one fma that takes and gives zero for subnormals. That mode is on only while partial sums are
 * added to; the final tree keeps subnormals.
 */
#include "kernels/x86/vec_avx512.h"

#include "kernels/x86/float_512.h"
#include "kernels/x86/float_panels_fma.h"
#include "kernels/x86/parts.h"

/* ---- F32 and F16 ----------------------------------------------------------------------------- */

X86_INLINE __m512 add_f32(__m512 sum, __m512i w, __m512i x) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_castsi512_ps(x), sum);
}

X86_INLINE __m512 add_part_f32(__m512 sum, __m512i w, __m512i x, size_t n) {
    return _mm512_mask3_fmadd_ps(_mm512_castsi512_ps(w), _mm512_castsi512_ps(x), sum, lanes_512(n));
}

X86_INLINE __m512i load_f16(const uint8_t *w) {
    return _mm512_castps_si512(_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)w)));
}

X86_INLINE __m512i load_part_f16(const uint8_t *w, size_t n) {
    return _mm512_castps_si512(_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes_512(n), w)));
}

#define STEPS_F32                                                                                  \
    ((steps_512){16, 64, load_512, add_f32, load_part32_512, load_part32_512, add_part_f32, false})
#define STEPS_F16                                                                                  \
    ((steps_512){16, 32, load_f16, add_f32, load_part_f16, load_part32_512, add_part_f32, false})

static void direct_f32(float_eight w, size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                       float_partial *partial) {
    multiply_rows_512(STEPS_F32, w, n, x, x_stride, n_row, partial);
}

static void direct_f16(float_eight w, size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                       float_partial *partial) {
    multiply_rows_512(STEPS_F16, w, n, x, x_stride, n_row, partial);
}

static void in_order_f16(const float_rows *w, size_t n, const uint8_t *x, float *y) {
    multiply_in_order_512(STEPS_F16, w, n, x, y);
}

static void fours_f32(const float_four *w, size_t n, const uint8_t *x, size_t x_stride,
                      size_t n_row, float *y, size_t y_stride) {
    multiply_fours_512(STEPS_F32, w, n, x, x_stride, n_row, y, y_stride);
}

static void fours_f16(const float_four *w, size_t n, const uint8_t *x, size_t x_stride,
                      size_t n_row, float *y, size_t y_stride) {
    multiply_fours_512(STEPS_F16, w, n, x, x_stride, n_row, y, y_stride);
}

/* ---- BF16 ------------------------------------------------------------------------------------ */

X86_INLINE __m512 odd_bf16(__m512i v) {
    return _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000)));
}

X86_INLINE __m512 even_bf16(__m512i v) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
}

X86_INLINE __m512 add_bf16(__m512 sum, __m512i w, __m512i x) {
    sum = _mm512_fmadd_ps(odd_bf16(w), odd_bf16(x), sum);
    return _mm512_fmadd_ps(even_bf16(w), even_bf16(x), sum);
}

X86_INLINE __m512 add_part_bf16(__m512 sum, __m512i w, __m512i x, size_t n) {
    const __mmask16 lanes = lanes_512((n + 1) / 2);
    sum = _mm512_mask3_fmadd_ps(odd_bf16(w), odd_bf16(x), sum, lanes);
    return _mm512_mask3_fmadd_ps(even_bf16(w), even_bf16(x), sum, lanes);
}

#define STEPS_BF16                                                                                 \
    ((steps_512){32, 64, load_512, add_bf16, load_part16_512, load_part16_512, add_part_bf16, true})

static void direct_bf16(float_eight w, size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                        float_partial *partial) {
    multiply_rows_512(STEPS_BF16, w, n, x, x_stride, n_row, partial);
}

static void fours_bf16(const float_four *w, size_t n, const uint8_t *x, size_t x_stride,
                       size_t n_row, float *y, size_t y_stride) {
    multiply_fours_512(STEPS_BF16, w, n, x, x_stride, n_row, y, y_stride);
}

/* ---- the types ------------------------------------------------------------------------------- */

static void finish(const float_partial *partial, size_t n_out, float *y) {
    finish_512(partial, n_out, y);
}

enum {
    FEW_FLOATS = FLOAT_FEW_512,
    FEW_BF16 = FLOAT_FEW_512,
};

#include "kernels/x86/float_types.h"

void matmul_float_fill_avx512(kernel_table *table) {
    table->matmul[QUANT_F32] = matmul_f32;
    table->matmul[QUANT_F16] = matmul_f16;
    table->matmul[QUANT_BF16] = matmul_bf16;
}
