/* fma16_ref.c - sixteen fused multiply-adds at once, in plain C.
 *
 * Without an instruction for it, fmaf() is a call per element. But a product of two floats is
 * exact in double, so (float)(a * b + c), computed in double, is the same number unless the sum is
 * rounded twice to harm: only if the first rounding ends in the middle between two floats, or if
 * the result is subnormal, where floats lie further apart. Both show in the bits of the sum, the
 * compiler can vectorize the loops, and sixteen of which one shows it are done again with fmaf().
 *
 * A file of its own, so that the loops are not taken apart where they would be inlined.
 */
#include "kernels/ref/ref.h"

/* sums[i] = a[i] * b[i] + c[i], rounded once, to double. */
static void sums_in_double(const float *a, const float *b, const float *c, double *sums) {
    for (int i = 0; i < SUM16; i++) {
        sums[i] = (double)a[i] * b[i] + c[i];
    }
}

/* Whether a sum may round to a subnormal float, zero, or the least normal one. */
static bool any_is_small(const double *sums) {
    const uint64_t least = 0x3810000000000000; /* 2^-126 */
    uint64_t bits[SUM16];
    memcpy(bits, sums, sizeof bits);
    uint64_t borrow = 0; /* into bit 63 */
    for (int i = 0; i < SUM16; i++) {
        borrow |= (bits[i] & INT64_MAX) - (least + 1);
    }
    return borrow >> 63;
}

/* Whether a sum lies in the middle between two floats, as far as its 53 bits tell. */
static bool any_is_middle(const double *sums) {
    const uint64_t beyond_float = 0x1fffffff, middle = 0x10000000; /* of the 29 bits beyond 24 */
    uint64_t bits[SUM16];
    memcpy(bits, sums, sizeof bits);
    uint64_t borrow = 0; /* into bit 63, from zero only */
    for (int i = 0; i < SUM16; i++) {
        borrow |= ((bits[i] & beyond_float) ^ middle) - 1;
    }
    return borrow >> 63;
}

void ref_fma16(const float *a, const float *b, float *s) {
    double sums[SUM16];
    sums_in_double(a, b, s, sums);
    if (any_is_small(sums) || any_is_middle(sums)) {
        for (int i = 0; i < SUM16; i++) {
            s[i] = fmaf(a[i], b[i], s[i]);
        }
        return;
    }
    for (int i = 0; i < SUM16; i++) {
        s[i] = (float)sums[i];
    }
}

/* A product of two bfloat16 has 16 bits. If the sum with a float does not fit into 53, then one of
 * the two is below 2^-28 of the other, which is a float: that is not the middle of two. So sums in
 * the middle are exact, and rounding them again does no harm. */
void ref_fma16_flushed(const float *a, const float *b, float *s) {
    double sums[SUM16];
    sums_in_double(a, b, s, sums);
    if (any_is_small(sums)) {
        for (int i = 0; i < SUM16; i++) {
            s[i] = ref_fma_flushed(a[i], b[i], s[i]);
        }
        return;
    }
    for (int i = 0; i < SUM16; i++) {
        s[i] = (float)sums[i];
    }
}
