/* vec_plain.h - a vector of floats without an instruction set: four lanes that any compiler knows.
 *
 * The words are those of kernels/x86/vec_avx2.h, as far as the encoders need them. Lanes never
 * meet, so the number of lanes does not show in the results. + - * / work on a vec as on floats.
 */
#ifndef QUANT_VEC_PLAIN_H
#define QUANT_VEC_PLAIN_H

#include <stdint.h>
#include <string.h>

enum { VEC_WIDTH = 4 };

typedef float vec __attribute__((vector_size(16)));
typedef int32_t vec_bits __attribute__((vector_size(16)));

static inline vec vec_all(float f) {
    return (vec){f, f, f, f};
}

static inline vec vec_load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec_store(float *p, vec v) {
    memcpy(p, &v, sizeof v);
}

static inline vec vec_choose(vec_bits mask, vec yes, vec no) {
    return (vec)((mask & (vec_bits)yes) | (~mask & (vec_bits)no));
}

/* a < b ? yes : no; `no` if one is NaN. */
static inline vec vec_if_less(vec a, vec b, vec yes, vec no) {
    return vec_choose(a < b, yes, no);
}

/* a > b ? a : b and a < b ? a : b, so b if one is NaN. */
static inline vec vec_max(vec a, vec b) {
    return vec_choose(a > b, a, b);
}

static inline vec vec_min(vec a, vec b) {
    return vec_choose(a < b, a, b);
}

static inline vec vec_magnitude(vec v) {
    return (vec)((vec_bits)v & 0x7fffffff);
}

/* To nearest even for |v| < 2^22: see nearest() in block32.c. Zero may be of either sign. */
static inline vec vec_nearest(vec v) {
    return (v + 0x1.8p23f) - 0x1.8p23f;
}

/* Lane j of row i becomes lane i of row j, VEC_WIDTH rows. */
static inline void vec_transpose(vec *rows) {
    const vec a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
    const vec b = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
    const vec c = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
    const vec d = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
    rows[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
    rows[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    rows[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
    rows[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

#endif
