/* kernels.h - the table of hot loops and what each must compute.
 *
 * kernels/ knows neither threads nor files nor models. ref/ holds the plain C of every entry: that
 * is the definition. x86/ and arm/ hold one file per instruction-set level, each of which does
 * nothing but replace entries of a table that was first filled with the plain ones. Every entry
 * gives the same bits as the plain one (tests/kernels holds them to it).
 *
 * The canonical order (bits are defined by it; ARCHITECTURE.md has it in short):
 *
 *   sum16   sixteen f32 partial sums s[0..15], element k goes to s[k mod 16] with one fma, k
 *           ascending; then s[i] += s[i + 8] for i < 8, then 4, 2, 1.
 *   F32,F16 y = sum16 of w[k] * x[k], x in f32.
 *   BF16    x rounded to bf16. s[i mod 16] for pairs i = (2i, 2i+1): first fma with the odd one,
 *           then with the even one; inputs and results that are subnormal become zero of their
 *           sign; a result counts as subnormal if it is so after rounding to 24 bits without a
 *           limit on the exponent (as x86 detects it; Arm does so before rounding). Final tree as
 *           above. (What VDPBF16PS does, measured.) The odd element that is missing at an odd end
 *           counts as 0 * 0; a pair that is missing changes nothing.
 *   Q*_0,_1 x as int8, one f32 scale dx per 32 values. Blocks left to right, acc = 0:
 *           i = exact int32 sum of q[k] * x8[k], q the signed value the format gives before its
 *           scale (Q4_0: nibble - 8); acc = fma(dw * dx, (float)i, acc). Formats with a minimum
 *           (Q4_1, Q5_1) then: acc = fma(mw * dx, (float)sum of x8[k], acc). IQ4_NL and MXFP4
 *           likewise, q being the level that the nibble stands for: of MXFP4 the doubled one, an
 *           integer, and dw half its scale.
 *   Q*_K    x as int8, one f32 scale dx per 256 values. Per block of 256:
 *           i = exact int32 sum over sub-blocks of scale * sum of q * x8;
 *           acc = fma(d * dx, (float)i, acc). With minimums (Q2_K, Q4_K, Q5_K): j = exact int32 sum
 *           of min * sum of x8; acc = fma(-(dmin * dx), (float)j, acc). Q3_K and Q6_K use q - 4
 *           and q - 32. IQ4_XS likewise, q being the nibble's level and scale less its 32.
 *   mix     attention's scores and values: one f32 sum each from +0, by fma, k ascending.
 *   dw, mw, d, dmin are the f16 (MXFP4: E8M0) values as f32; a product of two scales is rounded to
 *   f32 once.
 *
 *   A product whose sum is NaN is a NaN of any payload and sign.
 */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include "quant/encode.h"
#include "quant/quant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The form of a row of activations that meets a weight type. */
typedef enum kernel_row {
    KERNEL_ROW_F32 = 0, /* n floats */
    KERNEL_ROW_BF16,    /* n uint16_t */
    KERNEL_ROW_Q8_32,   /* int8 with a scale per 32 */
    KERNEL_ROW_Q8_256,  /* int8 with a scale per 256 */
    KERNEL_ROW_LIMIT,
} kernel_row;

/* Layout of a Q8 row of n values (n a multiple of its block), each part starting at a multiple of
 * 64 bytes:  int8_t value[n];  float scale[n / block];  int16_t sum[n / 16], each the sum of 16
 * values. value = nearest-even(x * (127 / amax)), amax = largest |x| of the block, scale =
 * amax / 127 (both computed in f32, as is the product). A block with a value that is not finite has
 * scale NaN and values 0; any other whose 127 / amax is infinite (amax 0 or below about 3.7e-37)
 * has scale 0 and values 0. Bytes between the parts are not written. */
static inline size_t kernel_q8_scales_at(size_t n) {
    return (n + 63) & ~(size_t)63;
}

static inline size_t kernel_q8_sums_at(size_t n, size_t block) {
    return kernel_q8_scales_at(n) + ((n / block * sizeof(float) + 63) & ~(size_t)63);
}

/* Bytes from one row to the next, a multiple of 64. n up to 2^40. */
size_t kernel_row_bytes(kernel_row form, size_t n);

/* The form that goes with a weight type. */
kernel_row kernel_row_of(quant_type type);

/* Bytes of scratch, 64-byte aligned, that a call of `matmul` may use; per thread. */
#define KERNEL_SCRATCH_BYTES ((size_t)1 << 20)

/* y[i * y_stride + r] = product of weight row r and activation row i, for r < n_out, i < n_row.
 *   w         n_out rows of n_in values, w_stride bytes apart, at any byte address
 *   x         n_row activation rows of the type's form, 64-byte aligned, x_stride bytes apart
 *   y         floats; y_stride in floats; nothing else in y is written
 *   n_in      a multiple of the type's block length (1 for floats), > 0; n_out, n_row > 0
 * Nothing outside the rows is read. */
typedef void kernel_matmul(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                           const void *x, size_t x_stride, float *y, size_t y_stride,
                           void *scratch);

/* out[i * out_stride + j] = sum over k of weights[i * w_stride + k] * values[k][j], i < n_query and
 * j < n: one sum each, which begins with what `out` holds if `add` is true and with +0 if not,
 * by fma, k ascending. Attention is made of it twice: queries by keys that lie dimension by
 * dimension, and weights by values that lie position by position.
 *   values    n_value rows of n values of the entry's type, v_stride bytes apart, at any address
 *   ahead     a hint: while a row is read, what lies so many bytes behind it is asked for, which
 *             need not be memory. Many requests at once would stall, and alone they would wait
 * The other strides are in floats. n_query, n_value, n > 0. Nothing outside the rows is read. */
typedef void kernel_mix(size_t n_query, size_t n_value, size_t n, const float *weights,
                        size_t w_stride, const void *values, size_t v_stride, size_t ahead,
                        float *out, size_t out_stride, bool add);

/* What softmax(scores) V has come to for some queries: a row of values for each, `stride` floats
 * apart, the largest score and the sum of weights. */
typedef struct kernel_mixture {
    float *values;
    size_t stride;
    float *max, *sum;
} kernel_mixture;

typedef struct kernel_table {
    const char *name; /* highest level in it: "plain", "avx512 vnni", "neon" */

    /* Indexed by quant_type; NULL where the type does not exist. */
    kernel_matmul *matmul[QUANT_TYPE_LIMIT];

    /* The same products of a packed matrix (packed.h): w is where the panel of the first row
     * begins, w_stride the bytes of a row, a sixteenth of a panel's. NULL where there is none. */
    kernel_matmul *matmul_packed[QUANT_TYPE_LIMIT];

    /* Whether packed weights are faster than rows in file order, so that packing them pays. */
    bool prefers_packed; /* asked through kernel_packs */

    /* Turns n floats, at any address of a float, into one row of a form (KERNEL_ROW_F32 copies;
     * KERNEL_ROW_BF16 rounds as quant_f32_to_bf16, which keeps subnormals). Alignment as above. */
    void (*make_row[KERNEL_ROW_LIMIT])(const float *x, size_t n, void *row);

    /* Decodes n values of a type in which keys and values are kept, or a row of an embedding.
     * Indexed by quant_type; equal to quant_format.decode. */
    void (*decode[QUANT_TYPE_LIMIT])(const void *blocks, float *values, size_t n);

    /* quant_encode of a type; NULL where quant_encodes says no. */
    quant_encoder *encode[QUANT_TYPE_LIMIT];

    /* sum16 of a[k] * b[k], n of them (any n, also < 16). */
    float (*dot)(const float *a, const float *b, size_t n);

    /* sum16 of 1 * a[k]... that is: s[k mod 16] += a[k] with plain additions, then the tree. */
    float (*sum)(const float *a, size_t n);

    /* Largest of n > 0 values, NaN if there is one; a zero result is +0. */
    float (*max)(const float *a, size_t n);

    /* Indexed by quant_type: F32, F16 and BF16; NULL for the others. */
    kernel_mix *mix[QUANT_TYPE_LIMIT];

    /* n > 0 scores to weights. *max as max gives it; if that is NaN, all is. Else x[k] =
     * kernel_weight(x[k] - *max) and *sum = their sum, both in the order of sum. */
    void (*soften)(float *x, size_t n, float *max, float *sum);

    /* total = total and part together, for each of n_query queries with n values. With M the
     * larger max (part's if they do not compare), a = kernel_exp(total max - M), b =
     * kernel_exp(part max - M): values = fma(b, part's, a * total's), sum likewise, max = M. */
    void (*merge)(size_t n_query, size_t n, const kernel_mixture *part,
                  const kernel_mixture *total);

    /* y[k] *= a. */
    void (*scale)(float a, float *y, size_t n);

    /* y[k] += x[k]. */
    void (*add)(const float *x, float *y, size_t n);

    /* x[k] = exp(x[k] - shift) by kernel_exp, the definition in ref/. */
    void (*exp_shifted)(float *x, float shift, size_t n);

    /* y[k] = silu(gate[k]) * up[k], silu(v) = v / (1 + exp(-v)). y may be gate or up. */
    void (*silu_mul)(const float *gate, const float *up, float *y, size_t n);

    /* x[k] = 0.5 v (1 + tanh(sqrt(2/pi) (v + 0.044715 v^3))), GPT-2's. In which order this and
     * the following round stands at each function of ref/vector_ref.c. */
    void (*gelu_tanh)(float *x, size_t n);

    /* y[k] = the same of gate[k], times up[k]. y may be gate or up. */
    void (*gelu_tanh_mul)(const float *gate, const float *up, float *y, size_t n);

    /* x[k] = cap * tanh(x[k] / cap), cap > 0: Gemma 2's. */
    void (*soft_cap)(float cap, float *x, size_t n);

    /* x[k] = 0.5 v (1 + erf(v / sqrt(2))), the exact GELU. */
    void (*gelu_erf)(float *x, size_t n);

    /* x[k] = 0 where x[k] < 0; -0 and NaN stay. */
    void (*relu)(float *x, size_t n);

    /* x[k] = fma(slope, first + k, x[k]), where first + k is rounded; n up to 2^24. Attention's
     * bias by distance. */
    void (*add_ramp)(float *x, float slope, float first, size_t n);

    /* y = x / sqrt(mean(x^2) + epsilon) * weight; mean by dot. y may be x. */
    void (*rms_norm)(const float *x, const float *weight, float epsilon, float *y, size_t n);

    /* y = (x - mean) / sqrt(variance + epsilon) * weight + bias, two passes, sums by sum and dot
     * order. y may be x. weight may be NULL for ones, bias for zeros. */
    void (*layer_norm)(const float *x, const float *weight, const float *bias, float epsilon,
                       float *y, size_t n);

    /* Rotates n_pair pairs (x[2i], x[2i+1]) by the angle whose cosine and sine are cs[2i],
     * cs[2i+1]: a' = fma(a, c, -(b * s)), b' = fma(a, s, b * c), where the inner product is
     * rounded first. */
    void (*rope_pairs)(float *x, const float *cs, size_t n_pair);

    /* The same for pairs (x[i], x[n_pair + i]); cs as above, neighbours. */
    void (*rope_halves)(float *x, const float *cs, size_t n_pair);
} kernel_table;

/* Whether this type's weights are better packed. */
static inline bool kernel_packs(const kernel_table *k, quant_type type) {
    return k->prefers_packed && k->matmul_packed[type];
}

/* Fills a table with the best entries for `features` (CPU_* bits). */
void kernel_table_fill(kernel_table *table, uint32_t features);

/* ---- scalar mathematics, the same bits everywhere (ref/math.c) ------------------------------ */

/* Ours, because the system's differ between machines. Error bounds stand in ref/math.c and are
 * tested. kernel_exp: 0 below -103.98, inf above 88.73, subnormal results between; NaN stays. */
float kernel_exp(float x);
/* For x <= 0, and NaN, which stays: kernel_exp of the larger of x and -87, a normal number. */
float kernel_weight(float x);
float kernel_tanh(float x);
float kernel_erf(float x);
/* In double precision, for the tables of angles: |x| up to 2^40 for sin and cos, beyond it NaN. */
double kernel_sin(double x);
double kernel_cos(double x);
/* base > 0; NaN for others. */
double kernel_pow(double base, double exponent);
/* Natural logarithm of a finite x > 0; NaN for others. */
double kernel_log(double x);

/* Sets this thread's floating-point mode: round to nearest even, subnormals kept. Returns what it
 * was, for kernel_restore_float_mode on the same thread: a caller's mode is the caller's. */
uint64_t kernel_set_float_mode(void);
void kernel_restore_float_mode(uint64_t mode);

#endif
