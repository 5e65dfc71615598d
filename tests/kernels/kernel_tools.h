/* kernel_tools.h - what the kernel tests stand on: memory against forbidden pages, seeded data of
 * every kind, comparison of bits, counting. No test library, so that it cross-compiles bare.
 */
#ifndef TESTS_KERNEL_TOOLS_H
#define TESTS_KERNEL_TOOLS_H

#include "base/random.h"
#include "kernels/kernels.h"
#include "quant/quant.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

/* ---- counting -----------------------------------------------------------------------------------
 */

static long passed, failed;

/* Counts; prints what failed, the first twenty times. */
__attribute__((format(printf, 2, 3))) static void check(bool is_right, const char *format, ...) {
    if (is_right) {
        passed++;
        return;
    }
    if (++failed > 20) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

/* 1, or 3 in a quick run, which takes every third of many sizes and rounds. Vectors, tiles and
 * lists of sizes are hardly multiples of three, so that each remainder is still met; where two
 * sizes vary they are taken along diagonals, so that each value of either is met. */
static size_t step = 1;

/* ---- memory between two forbidden pages ----------------------------------------------------- */

typedef struct guarded {
    uint8_t *start; /* a page boundary */
    size_t size;    /* a multiple of the page size */
} guarded;

static guarded guarded_new(size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size = (size + page - 1) / page * page;
    uint8_t *map = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + page, size, PROT_READ | PROT_WRITE) != 0) {
        printf("out of memory: %zu bytes\n", size);
        exit(1);
    }
    return (guarded){map + page, size};
}

/* Room for n bytes that touches the forbidden page behind (is_end) or in front; it and a page on
 * its free side are filled with 0xff, which is NaN in every float type. */
static void *guarded_place(const guarded *memory, size_t n, bool is_end) {
    enum { MARGIN = 4096 };
    if (n > memory->size) {
        printf("test asks for %zu of %zu bytes\n", n, memory->size);
        exit(1);
    }
    const size_t filled = n + MARGIN < memory->size ? n + MARGIN : memory->size;
    uint8_t *end = memory->start + memory->size;
    memset(is_end ? end - filled : memory->start, 0xff, filled);
    return is_end ? end - n : memory->start;
}

/* ---- bits ----------------------------------------------------------------------------------- */

static uint32_t float_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float bits_float(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static bool same_float(float a, float b) {
    return float_bits(a) == float_bits(b) || (isnan(a) && isnan(b));
}

/* Index of the first difference; n: none. */
static size_t first_difference(const float *a, const float *b, size_t n) {
    size_t k = 0;
    while (k < n && same_float(a[k], b[k])) {
        k++;
    }
    return k;
}

/* ---- seeded data ---------------------------------------------------------------------------- */

static random_state rng;

static size_t pick(size_t n) {
    return (size_t)(random_u64(&rng) % n);
}

static double normal(void) {
    const double u = 1.0 - random_unit(&rng), v = random_unit(&rng);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* What a stretch of floats is like. All but ORDINARY are there to break something. */
typedef enum kind {
    ORDINARY,
    ZEROS, /* of both signs */
    TINY,  /* around the least normal number, its square root and below */
    HUGE_SIZED,
    HALVES,   /* multiples of 0.5 up to 127, that often: ties when they become int8 */
    ANY_BITS, /* NaN and infinities too */
    KINDS,
} kind;

static float random_float(kind k) {
    const uint32_t bits = (uint32_t)random_u64(&rng);
    static const uint32_t tiny_exponents[] = {0, 0, 1, 2, 3, 24, 40, 60, 62, 63, 64, 65};
    switch (k) {
    case ORDINARY:
        return (float)normal();
    case ZEROS:
        return bits_float(bits & 0x80000000);
    case TINY:
        return bits_float((bits & 0x807fffff) | tiny_exponents[pick(12)] << 23);
    case HUGE_SIZED:
        return bits_float((bits & 0x807fffff) | (uint32_t)(150 + pick(105)) << 23);
    case HALVES:
        return pick(16) ? 0.5f * (float)((int)pick(509) - 254) : 127;
    case ANY_BITS:
    case KINDS:
        break;
    }
    return bits_float(bits);
}

static void random_floats(kind k, float *values, size_t n) {
    const bool is_minus_zero = k == ZEROS && pick(3) == 0;
    for (size_t i = 0; i < n; i++) {
        values[i] = is_minus_zero ? -0.0f : random_float(k);
    }
}

/* Mostly ordinary, so that a sum stays finite, with a stretch of some other kind in it. */
static void random_mixture(float *values, size_t n) {
    random_floats(ORDINARY, values, n);
    const size_t at = pick(n), length = 1 + pick(n - at);
    random_floats((kind)pick(KINDS), values + at, pick(3) ? length : 1);
}

/* Where the scales of a block lie: f16, or E8M0 (MXFP4). */
static const struct {
    size_t count;
    size_t at[2];
} scales_of[QUANT_TYPE_LIMIT] = {
    [QUANT_Q4_0] = {1, {0}},    [QUANT_Q4_1] = {2, {0, 2}}, [QUANT_Q5_0] = {1, {0}},
    [QUANT_Q5_1] = {2, {0, 2}}, [QUANT_Q8_0] = {1, {0}},    [QUANT_Q2_K] = {2, {80, 82}},
    [QUANT_Q3_K] = {1, {108}},  [QUANT_Q4_K] = {2, {0, 2}}, [QUANT_Q5_K] = {2, {0, 2}},
    [QUANT_Q6_K] = {1, {208}},  [QUANT_IQ4_NL] = {1, {0}},  [QUANT_IQ4_XS] = {1, {0}},
    [QUANT_MXFP4] = {1, {0}},
};

static uint16_t random_scale(kind k) {
    const uint16_t bits = (uint16_t)random_u64(&rng);
    switch (k) {
    case ORDINARY:
        return quant_f32_to_f16((float)(0.01 * normal()));
    case ZEROS:
        return bits & 0x8000;
    case TINY:
        return bits & 0x83ff; /* subnormal */
    case HUGE_SIZED:
        return (bits & 0x83ff) | 0x7800; /* 32768 to 65504 */
    case HALVES:
    case ANY_BITS:
    case KINDS:
        break;
    }
    return bits;
}

static uint8_t random_e8m0(kind k) {
    const uint8_t bits = (uint8_t)random_u64(&rng);
    switch (k) {
    case ORDINARY:
        return (uint8_t)(120 + pick(4));
    case ZEROS:
    case TINY:
        return (uint8_t)pick(4); /* subnormal below 2 */
    case HUGE_SIZED:
        return (uint8_t)(250 + pick(5));
    case HALVES:
    case ANY_BITS:
    case KINDS:
        break;
    }
    return pick(16) ? bits : 255; /* NaN */
}

/* One block of a quantized type: all bits random, or all quants at an end of their range, under
 * scales of some kind. */
static void random_block(quant_type type, kind k, uint8_t *block) {
    const size_t bytes = quant_format_of(type)->block_bytes;
    const size_t flavour = pick(8);
    for (size_t i = 0; i < bytes; i++) {
        block[i] = (uint8_t)random_u64(&rng);
    }
    if (flavour < 3) {
        static const uint8_t ends[] = {0x00, 0xff, 0x80};
        memset(block, ends[flavour], bytes);
    }
    for (size_t i = 0; i < scales_of[type].count; i++) {
        const bool is_e8m0 = type == QUANT_MXFP4;
        const uint16_t scale = is_e8m0 ? random_e8m0(k) : random_scale(k);
        memcpy(block + scales_of[type].at[i], &scale, is_e8m0 ? 1 : sizeof scale);
    }
}

/* A row of n weights of any type, most of it ordinary unless k says otherwise. */
static void random_weights(quant_type type, kind k, void *row, size_t n) {
    const quant_format *format = quant_format_of(type);
    uint8_t *to = row;
    for (size_t i = 0; i < n; i += format->block_length, to += format->block_bytes) {
        const kind here = k == ORDINARY || pick(4) ? ORDINARY : k;
        if (scales_of[type].count > 0) {
            random_block(type, here, to);
        } else {
            const float value = random_float(here);
            format->encode(&value, to, 1);
        }
    }
}

#endif
