/* matmul_float_avx2.c - products of F32, F16 and BF16 weights in AVX2.
 *
 * Here are the products with a few activation rows; float_panels.h has those with many. The sixteen
 * partial sums of a pair of rows are two vectors. To leave registers for more pairs, one pass goes
 * over the first eight of every sixteen sums and another over the rest, except with one activation
 * row, where memory is the limit and both are taken along.
 *
 * BF16 as VDPBF16PS does it: the odd values, then the even ones, each by one fma that takes and
 * gives zero for subnormals. That mode is on only while partial sums are added to; the final tree
 * keeps subnormals.
 */
#include "kernels/x86/vec_avx2.h"

#include "kernels/x86/float_panels_fma.h"
#include "kernels/x86/parts.h"

/* A half step takes 32 bytes of activations, 8 floats or 16 bfloat16, and as many weights. */
typedef struct steps {
    size_t values;  /* in a half step */
    size_t w_bytes; /* of weights in a half step */
    size_t w_value; /* bytes of one weight */
    __m256i (*load)(const void *w);
    __m256 (*add)(__m256 sum, __m256i w, __m256i x);
} steps;

/* The first `bytes` of 32, the others zero. */
static inline __m256i load_some(const uint8_t *p, size_t bytes) {
    _Alignas(32) uint8_t whole[32] = {0};
    memcpy(whole, p, bytes);
    return _mm256_load_si256((const __m256i *)(const void *)whole);
}

/* All bits of the first n lanes. */
X86_INLINE __m256 first_lanes(size_t n) {
    const __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), at));
}

/* Sums number `half` * 8 and on of one pair, from n values that are less than a half step. */
X86_INLINE __m256 add_some(const steps type, __m256 sum, const uint8_t *w, const uint8_t *x,
                           size_t n) {
    _Alignas(32) uint8_t w_whole[32] = {0};
    memcpy(w_whole, w, n * type.w_value);
    const __m256i xs = load_some(x, n * (32 / type.values));
    const size_t lanes = (n * 8 + type.values - 1) / type.values;
    return _mm256_blendv_ps(sum, type.add(sum, type.load(w_whole), xs), first_lanes(lanes));
}

/* The values after the last whole step, for one pair and one half. */
X86_INLINE __m256 add_tail(const steps type, __m256 sum, const uint8_t *w, const uint8_t *x,
                           size_t n, size_t half) {
    const size_t before = half * type.values;
    if (n <= before) {
        return sum;
    }
    w += half * type.w_bytes;
    x += half * 32;
    if (n - before < type.values) {
        return add_some(type, sum, w, x, n - before);
    }
    return type.add(sum, type.load(w), _mm256_load_si256((const __m256i *)(const void *)x));
}

/* float_direct for rows 4 `part` to 4 `part` + 3 and n_x activation rows, and for `halves` of the
 * sums from half `from` on; these are constants. */
X86_INLINE void multiply(const steps type, const size_t n_x, const size_t from, const size_t halves,
                         float_eight rows, size_t part, size_t n, const uint8_t *x, size_t x_stride,
                         float_partial *partial) {
    enum { ROWS = 4 };
    __m256 sum[2][ROWS][3];
    const uint8_t *w = rows.at + part * rows.half;
    for (size_t h = 0; h < halves; h++) {
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t i = 0; i < n_x; i++) {
                sum[h][r][i] = _mm256_setzero_ps();
            }
        }
    }
    for (; n >= 2 * type.values; n -= 2 * type.values, w += 2 * type.w_bytes, x += 64) {
        for (size_t h = 0; h < halves; h++) {
            __m256i xs[3];
            for (size_t i = 0; i < n_x; i++) {
                const uint8_t *p = x + i * x_stride + 32 * (from + h);
                xs[i] = _mm256_load_si256((const __m256i *)(const void *)p);
            }
            for (size_t r = 0; r < ROWS; r++) {
                const __m256i ws = type.load(w + r * rows.stride + (from + h) * type.w_bytes);
                if (from + h == 0) {
                    float_fetch(w + r * rows.stride, rows.ahead);
                }
                for (size_t i = 0; i < n_x; i++) {
                    sum[h][r][i] = type.add(sum[h][r][i], ws, xs[i]);
                }
            }
        }
    }
    for (size_t h = 0; h < halves; h++) {
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t i = 0; i < n_x; i++) {
                sum[h][r][i] = add_tail(type, sum[h][r][i], w + r * rows.stride, x + i * x_stride,
                                        n, from + h);
                _mm256_store_ps(partial[i].s[ROWS * part + r] + 8 * (from + h), sum[h][r][i]);
            }
        }
    }
}

/* All sums of n_x activation rows, a constant: one half of them after the other, so that with three
 * activation rows sums and operands are just sixteen vectors. */
X86_INLINE void multiply_halves(const steps type, const size_t n_x, float_eight w, size_t n,
                                const uint8_t *x, size_t x_stride, float_partial *partial) {
    multiply(type, n_x, 0, 1, w, 0, n, x, x_stride, partial);
    multiply(type, n_x, 1, 1, w, 0, n, x, x_stride, partial);
    multiply(type, n_x, 0, 1, w, 1, n, x, x_stride, partial);
    multiply(type, n_x, 1, 1, w, 1, n, x, x_stride, partial);
}

/* float_direct. */
X86_INLINE void multiply_rows(const steps type, float_eight w, size_t n, const uint8_t *x,
                              size_t x_stride, size_t n_row, float_partial *partial) {
    for (size_t i = 0; i < n_row; i += 3) {
        const uint8_t *at = x + i * x_stride;
        switch (n_row - i) {
        case 1:
            multiply(type, 1, 0, 2, w, 0, n, at, x_stride, partial + i);
            multiply(type, 1, 0, 2, w, 1, n, at, x_stride, partial + i);
            break;
        case 2:
            multiply_halves(type, 2, w, n, at, x_stride, partial + i);
            break;
        default:
            multiply_halves(type, 3, w, n, at, x_stride, partial + i);
            break;
        }
    }
}

/* ---- the final tree -----------------------------------------------------------------------------
 */

X86_INLINE __m256 tree8(const float *s) {
    return _mm256_add_ps(_mm256_load_ps(s), _mm256_load_ps(s + 8));
}

X86_INLINE __m256 tree4(__m256 a, __m256 b) {
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

X86_INLINE __m256 tree2(__m256 a, __m256 b) {
    return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xee));
}

X86_INLINE __m256 tree1(__m256 a, __m256 b) {
    return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
}

/* float_finish: row r's sums become lane r. */
static void finish(const float_partial *partial, size_t n_out, float *y) {
    __m256 t[4];
    for (size_t d = 0; d < 4; d++) {
        t[d] = tree4(tree8(partial->s[d]), tree8(partial->s[d + 4]));
    }
    const __m256 all = tree1(tree2(t[0], t[1]), tree2(t[2], t[3]));
    if (n_out == FLOAT_ROWS) {
        _mm256_storeu_ps(y, all);
        return;
    }
    _Alignas(32) float some[FLOAT_ROWS];
    _mm256_store_ps(some, all);
    memcpy(y, some, n_out * sizeof *y);
}

/* ---- F32 and F16 ----------------------------------------------------------------------------- */

X86_INLINE __m256i load_whole(const void *w) {
    return _mm256_loadu_si256((const __m256i *)w);
}

X86_INLINE __m256i load_f16(const void *w) {
    return _mm256_castps_si256(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)w)));
}

X86_INLINE __m256 add_f32(__m256 sum, __m256i w, __m256i x) {
    return _mm256_fmadd_ps(_mm256_castsi256_ps(w), _mm256_castsi256_ps(x), sum);
}

static void direct_f32(float_eight w, size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                       float_partial *partial) {
    const steps type = {8, 32, 4, load_whole, add_f32};
    multiply_rows(type, w, n, x, x_stride, n_row, partial);
}

static void direct_f16(float_eight w, size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                       float_partial *partial) {
    const steps type = {8, 16, 2, load_f16, add_f32};
    multiply_rows(type, w, n, x, x_stride, n_row, partial);
}

/* ---- BF16 ------------------------------------------------------------------------------------ */

X86_INLINE __m256 odd_bf16(__m256i v) {
    return _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32((int)0xffff0000)));
}

X86_INLINE __m256 even_bf16(__m256i v) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}

X86_INLINE __m256 add_bf16(__m256 sum, __m256i w, __m256i x) {
    sum = _mm256_fmadd_ps(odd_bf16(w), odd_bf16(x), sum);
    return _mm256_fmadd_ps(even_bf16(w), even_bf16(x), sum);
}

/* Not inlined, so that nothing moves out of the caller's flush mode. */
static __attribute__((noinline)) void direct_flushed(float_eight w, size_t n, const uint8_t *x,
                                                     size_t x_stride, size_t n_row,
                                                     float_partial *partial) {
    const steps type = {16, 32, 2, load_whole, add_bf16};
    multiply_rows(type, w, n, x, x_stride, n_row, partial);
}

static void direct_bf16(float_eight w, size_t n, const uint8_t *x, size_t x_stride, size_t n_row,
                        float_partial *partial) {
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | FLOAT_FLUSH_MODE);
    direct_flushed(w, n, x, x_stride, n_row, partial);
    _mm_setcsr(mode);
}

/* ---- the types ------------------------------------------------------------------------------- */

/* FEW_...: as measured on Zen 3 with weights larger than the caches. */
enum { FEW_FLOATS = 9, FEW_BF16 = 12 };

#define in_order_f16 NULL
#define fours_f32 NULL
#define fours_f16 NULL
#define fours_bf16 NULL

#include "kernels/x86/float_types.h"

void matmul_float_fill_avx2(kernel_table *table) {
    table->matmul[QUANT_F32] = matmul_f32;
    table->matmul[QUANT_F16] = matmul_f16;
    table->matmul[QUANT_BF16] = matmul_bf16;
}
