/* float_neon.c - products of F32, F16 and BF16 weights.
 *
 * All three are sum16 of floats. F16 widens exactly. Of BF16, 32 values become sixteen floats, the
 * odd ones, and then sixteen more, the even ones: sum16 of those takes each pair's odd element
 * first and then its even one, which is BF16's order (kernels.h), in the mode that flushes
 * subnormals. At the end of a row weights are filled up with -0 and activations with +0: adding
 * their product, -0, changes no sum.
 *
 * One or two activation rows meet the weights as they are widened. For more of them both sides are
 * widened a stretch at a time: four weight rows become a panel, six activation rows a group, both
 *   float [4][n / 16][rows][4]     quarter of sum16; step; row; lane
 * and a panel meets a group in 24 vectors of partial sums, one quarter after the other. Partial
 * sums wait in scratch from stretch to stretch.
 */
#include "kernels/arm/neon.h"

#include "kernels/ref/ref.h"

#include <assert.h>
#include <string.h>

enum {
    OUT = 4,
    ROW = 6,
    FEW_ROWS = 3,  /* a group with no more than these is done at half the width */
    STRETCH = 512, /* values, and floats: a panel takes 8 KiB and a group 12 KiB */
    STEPS = STRETCH / 16,
    PANELS = 12,     /* weight rows kept at a time: 48 */
    GROUPS = 8,      /* activation rows kept at a time: 48 */
    DIRECT_ROWS = 2, /* activation rows up to which panels do not pay */
    UNIT_MAX = 8,    /* vectors that a type widens at once */
};

/* How a type becomes floats. */
typedef struct widening {
    size_t bytes;   /* of a value */
    size_t vectors; /* of floats from one unit: 4, or 8 */
    void (*widen)(const uint8_t *unit, float32x4_t *to);
} widening;

ARM_INLINE void widen_f32(const uint8_t *unit, float32x4_t *to) {
    for (size_t v = 0; v < 4; v++) {
        to[v] = vreinterpretq_f32_u8(vld1q_u8(unit + 16 * v));
    }
}

ARM_INLINE void widen_f16(const uint8_t *unit, float32x4_t *to) {
    for (size_t v = 0; v < 2; v++) {
        const float16x8_t h = vreinterpretq_f16_u8(vld1q_u8(unit + 16 * v));
        to[2 * v] = vcvt_f32_f16(vget_low_f16(h));
        to[2 * v + 1] = vcvt_high_f32_f16(h);
    }
}

ARM_INLINE void widen_bf16(const uint8_t *unit, float32x4_t *to) {
    for (size_t v = 0; v < 4; v++) {
        const uint32x4_t pairs = vreinterpretq_u32_u8(vld1q_u8(unit + 16 * v));
        to[v] = vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000)));
        to[4 + v] = vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
    }
}

#define WIDEN_F32 ((widening){4, 4, widen_f32})
#define WIDEN_F16 ((widening){2, 4, widen_f16})
#define WIDEN_BF16 ((widening){2, 8, widen_bf16})

ARM_INLINE size_t unit_values(const widening type) {
    return 4 * type.vectors;
}

/* One unit's bytes from the last n values of a row, fewer than a unit, and zeros of the sign behind
 * them. The odd element that BF16 lacks at an odd end counts as +0. Rare, hence not inlined. */
static __attribute__((noinline)) void pad_unit(const uint8_t *from, size_t n, size_t bytes,
                                               bool in_pairs, bool is_minus, uint8_t unit[64]) {
    memset(unit, 0, 64);
    for (size_t k = in_pairs ? (n + 1) / 2 * 2 : n; is_minus && (k + 1) * bytes <= 64; k++) {
        unit[(k + 1) * bytes - 1] = 0x80;
    }
    memcpy(unit, from, n * bytes);
}

ARM_INLINE void widen_last(const widening type, const uint8_t *from, size_t n, bool is_minus,
                           float32x4_t *to) {
    uint8_t unit[64];
    pad_unit(from, n, type.bytes, type.vectors == 8, is_minus, unit);
    type.widen(unit, to);
}

/* ---- one activation row at a time ------------------------------------------------------------ */

/* sum, the four vectors of a sum16, += a * b. */
ARM_INLINE void add_unit(const widening type, const float32x4_t *a, const float32x4_t *b,
                         float32x4_t *sum) {
    for (size_t v = 0; v < type.vectors; v++) {
        sum[v % 4] = vfmaq_f32(sum[v % 4], a[v], b[v]);
    }
}

/* y[0 .. count - 1], count a constant. */
ARM_INLINE void direct_rows(const widening w_type, const widening x_type, const size_t count,
                            size_t n, const uint8_t *w, size_t w_stride, const uint8_t *x,
                            float *y) {
    const size_t unit = unit_values(w_type);
    float32x4_t sum[4 * OUT], a[UNIT_MAX], b[UNIT_MAX];
    for (size_t v = 0; v < 4 * count; v++) {
        sum[v] = vdupq_n_f32(0);
    }
    size_t k = 0;
    for (; k + unit <= n; k += unit) {
        x_type.widen(x + k * x_type.bytes, b);
        for (size_t r = 0; r < count; r++) {
            w_type.widen(w + r * w_stride + k * w_type.bytes, a);
            add_unit(w_type, a, b, sum + 4 * r);
            keep_order();
        }
    }
    if (k < n) {
        widen_last(x_type, x + k * x_type.bytes, n - k, false, b);
        for (size_t r = 0; r < count; r++) {
            widen_last(w_type, w + r * w_stride + k * w_type.bytes, n - k, true, a);
            add_unit(w_type, a, b, sum + 4 * r);
        }
    }
    for (size_t r = 0; r < count; r++) {
        y[r] = tree16(sum + 4 * r);
    }
}

/* What a call of kernel_matmul is given. */
typedef struct product {
    size_t n_out, n_row, n_in;
    const uint8_t *w;
    size_t w_stride;
    const uint8_t *x;
    size_t x_stride;
    float *y;
    size_t y_stride;
    uint8_t *scratch;
} product;

ARM_INLINE void direct(const widening w_type, const widening x_type, const product *p) {
    for (size_t i = 0; i < p->n_row; i++) {
        const uint8_t *x = p->x + i * p->x_stride;
        float *y = p->y + i * p->y_stride;
        size_t r = 0;
        for (; r + OUT <= p->n_out; r += OUT) {
            direct_rows(w_type, x_type, OUT, p->n_in, p->w + r * p->w_stride, p->w_stride, x,
                        y + r);
        }
        for (; r < p->n_out; r++) {
            direct_rows(w_type, x_type, 1, p->n_in, p->w + r * p->w_stride, p->w_stride, x, y + r);
        }
    }
}

/* ---- panels and groups ----------------------------------------------------------------------- */

typedef float panel[4][STEPS][OUT][4];
typedef float group[4][STEPS][ROW][4];
typedef float partial[4][ROW][OUT][4]; /* of one panel and one group */

typedef struct workplace {
    panel panels[PANELS];
    group groups[GROUPS];
    partial partials[PANELS][GROUPS];
} workplace;

_Static_assert(sizeof(workplace) <= KERNEL_SCRATCH_BYTES, "the scratch is too small");

static size_t at_most(size_t n, size_t most) {
    return n < most ? n : most;
}

/* Row r of `rows` in a panel or a group: n values from byte address `from` on. */
ARM_INLINE void widen_row(const widening type, const uint8_t *from, size_t n, bool is_minus,
                          float *to, const size_t rows, size_t r) {
    const size_t unit = unit_values(type);
    size_t step = 0;
    for (size_t k = 0; k < n; k += unit, step += type.vectors / 4) {
        float32x4_t v[UNIT_MAX];
        if (k + unit <= n) {
            type.widen(from + k * type.bytes, v);
        } else {
            widen_last(type, from + k * type.bytes, n - k, is_minus, v);
        }
        for (size_t j = 0; j < type.vectors; j++) {
            vst1q_f32(to + ((j % 4 * STEPS + step + j / 4) * rows + r) * 4, v[j]);
        }
    }
}

/* Values k to k + n - 1 of `count` rows, `rows` (a constant) at a time; the last one stands in for
 * those that are missing. */
ARM_INLINE void widen_rows(const widening type, const uint8_t *from, size_t stride, size_t count,
                           size_t k, size_t n, bool is_minus, float *to, const size_t rows) {
    for (size_t first = 0; first < count; first += rows, to += 4 * STEPS * rows * 4) {
        for (size_t r = 0; r < rows; r++) {
            const size_t row = at_most(first + r, count - 1);
            widen_row(type, from + row * stride + k * type.bytes, n, is_minus, to, rows, r);
        }
    }
}

/* A panel by the first n_row rows, a constant, of a group. */
ARM_INLINE void panel_by_rows(panel *w, group *x, const size_t n_row, size_t steps, bool is_first,
                              partial *to) {
    for (size_t q = 0; q < 4; q++) {
        float32x4_t sum[ROW][OUT];
        for (size_t i = 0; i < n_row; i++) {
            for (size_t r = 0; r < OUT; r++) {
                sum[i][r] = is_first ? vdupq_n_f32(0) : vld1q_f32((*to)[q][i][r]);
            }
        }
        for (size_t s = 0; s < steps; s++) {
            float32x4_t a[OUT];
            for (size_t r = 0; r < OUT; r++) {
                a[r] = vld1q_f32((*w)[q][s][r]);
            }
            for (size_t i = 0; i < n_row; i++) {
                const float32x4_t b = vld1q_f32((*x)[q][s][i]);
                for (size_t r = 0; r < OUT; r++) {
                    sum[i][r] = vfmaq_f32(sum[i][r], a[r], b);
                }
                keep_order();
            }
        }
        for (size_t i = 0; i < n_row; i++) {
            for (size_t r = 0; r < OUT; r++) {
                vst1q_f32((*to)[q][i][r], sum[i][r]);
            }
        }
    }
}

static void panel_by_group(panel *w, group *x, size_t n_row, size_t steps, bool is_first,
                           partial *to) {
    if (n_row > FEW_ROWS) {
        panel_by_rows(w, x, ROW, steps, is_first, to);
    } else {
        panel_by_rows(w, x, FEW_ROWS, steps, is_first, to);
    }
}

static void finish(partial *from, size_t n_out, size_t n_row, float *y, size_t y_stride) {
    for (size_t i = 0; i < n_row; i++) {
        for (size_t r = 0; r < n_out; r++) {
            float32x4_t sum[4];
            for (size_t q = 0; q < 4; q++) {
                sum[q] = vld1q_f32((*from)[q][i][r]);
            }
            y[i * y_stride + r] = tree16(sum);
        }
    }
}

/* At most PANELS panels by at most GROUPS groups, whole rows. */
ARM_INLINE void chunk(const widening w_type, const widening x_type, const product *p) {
    workplace *at = (workplace *)(void *)p->scratch;
    for (size_t k = 0; k < p->n_in; k += STRETCH) {
        const size_t n = at_most(p->n_in - k, STRETCH), unit = unit_values(w_type);
        const size_t steps = (n + unit - 1) / unit * (w_type.vectors / 4);
        widen_rows(w_type, p->w, p->w_stride, p->n_out, k, n, true, &at->panels[0][0][0][0][0],
                   OUT);
        widen_rows(x_type, p->x, p->x_stride, p->n_row, k, n, false, &at->groups[0][0][0][0][0],
                   ROW);
        for (size_t r = 0; r * OUT < p->n_out; r++) {
            for (size_t i = 0; i * ROW < p->n_row; i++) {
                panel_by_group(&at->panels[r], &at->groups[i], p->n_row - i * ROW, steps, k == 0,
                               &at->partials[r][i]);
            }
        }
    }
    for (size_t r = 0; r * OUT < p->n_out; r++) {
        for (size_t i = 0; i * ROW < p->n_row; i++) {
            finish(&at->partials[r][i], at_most(p->n_out - r * OUT, OUT),
                   at_most(p->n_row - i * ROW, ROW), p->y + i * ROW * p->y_stride + r * OUT,
                   p->y_stride);
        }
    }
}

ARM_INLINE void multiply(const widening w_type, const widening x_type, const product *p) {
    if (p->n_row <= DIRECT_ROWS) {
        direct(w_type, x_type, p);
        return;
    }
    for (size_t r = 0; r < p->n_out; r += PANELS * OUT) {
        for (size_t i = 0; i < p->n_row; i += GROUPS * ROW) {
            product part = *p;
            part.w += r * p->w_stride;
            part.x += i * p->x_stride;
            part.y += i * p->y_stride + r;
            part.n_out = at_most(p->n_out - r, PANELS * OUT);
            part.n_row = at_most(p->n_row - i, GROUPS * ROW);
            chunk(w_type, x_type, &part);
        }
    }
}

/* ---- BF16's mode ----------------------------------------------------------------------------- */

enum {
    FPCR_FLUSH = 1 << 24,    /* subnormal operands and results become zero */
    FPSR_UNDERFLOW = 1 << 3, /* stays set from the first result that did */
};

static uint64_t read_fpcr(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode) : : "memory");
    return mode;
}

static void write_fpcr(uint64_t mode) {
    __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory");
}

static uint64_t read_fpsr(void) {
    uint64_t status;
    __asm__ volatile("mrs %0, fpsr" : "=r"(status) : : "memory");
    return status;
}

static void write_fpsr(uint64_t status) {
    __asm__ volatile("msr fpsr, %0" : : "r"(status) : "memory");
}

/* Not inlined, so that no arithmetic moves out of the caller's mode. */
static __attribute__((noinline)) void multiply_bf16(const product *p) {
    multiply(WIDEN_BF16, WIDEN_BF16, p);
}

/* Whether a result was flushed to zero. */
static bool multiply_flushed(const product *p) {
    const uint64_t mode = read_fpcr(), status = read_fpsr();
    write_fpsr(status & ~(uint64_t)FPSR_UNDERFLOW);
    write_fpcr(mode | FPCR_FLUSH);
    multiply_bf16(p);
    const bool is_flushed = read_fpsr() & FPSR_UNDERFLOW;
    write_fpcr(mode);
    write_fpsr(status);
    return is_flushed;
}

/* ---- the entries ----------------------------------------------------------------------------- */

static void matmul_f32(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                       const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0 && (uintptr_t)scratch % 64 == 0);
    const product p = {n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch};
    multiply(WIDEN_F32, WIDEN_F32, &p);
}

static void matmul_f16(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                       const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0 && (uintptr_t)scratch % 64 == 0);
    const product p = {n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch};
    multiply(WIDEN_F16, WIDEN_F32, &p);
}

/* The processor looks for subnormal results before it rounds; the order of BF16 is defined by one
 * that looks after it, so that a sum just below 2^-126 may be kept. Flushed results, which weights
 * of no model bring about, are therefore left to plain C. */
static void matmul_bf16(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0 && (uintptr_t)scratch % 64 == 0);
    const product p = {n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch};
    if (multiply_flushed(&p)) {
        ref_matmul_bf16(n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
    }
}

void float_fill_neon(kernel_table *table) {
    table->matmul[QUANT_F32] = matmul_f32;
    table->matmul[QUANT_F16] = matmul_f16;
    table->matmul[QUANT_BF16] = matmul_bf16;
}
