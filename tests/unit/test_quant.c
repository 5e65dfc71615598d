/* test_quant.c - block formats: decoders against files made by the gguf package, encoders against
 * their definition, halves against arithmetic.
 */
#include "base/random.h"
#include "quant/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static random_state rng;

static float random_bits_float(void) {
    const uint32_t bits = (uint32_t)random_u64(&rng);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static bool same_bits(const void *a, const void *b, size_t n) {
    return memcmp(a, b, n) == 0;
}

/* ---- halves --------------------------------------------------------------------------------- */

/* The value of a half by its definition. */
static double half_value(uint16_t h) {
    const int exponent = h >> 10 & 31, fraction = h & 0x3ff;
    const double sign = h & 0x8000 ? -1 : 1;
    if (exponent == 31) {
        return fraction ? NAN : sign * INFINITY;
    }
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static void every_half_decodes(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = quant_f16_to_f32((uint16_t)h);
        const double value = half_value((uint16_t)h);
        assert_true(isnan(value) ? isnan(f) : f == value && !signbit(f) == !signbit(value));
        /* Back again it is the same, NaN included but for being made quiet. */
        const uint16_t quiet = isnan(value) ? 0x200 : 0;
        assert_int_equal(quant_f32_to_f16(f), h | quiet);
    }
}

static double bf16_value(uint16_t h) {
    return quant_bf16_to_f32(h);
}

/* h is the nearest to f of all numbers of its format, ties to the even one. `beyond` is the number
 * that would follow the largest if the format had it. */
static void assert_nearest(float f, uint16_t h, double value_of(uint16_t), double beyond) {
    const uint16_t magnitude = h & 0x7fff;
    const double a = fabs(f), here = isinf(value_of(magnitude)) ? beyond : value_of(magnitude);
    assert_true((h & 0x8000) == (signbit(f) ? 0x8000 : 0));
    if (isinf(f)) {
        assert_true(isinf(value_of(h)));
        return;
    }
    if (magnitude > 0) {
        const double middle = (value_of(magnitude - 1) + here) / 2;
        assert_true(a > middle || (a == middle && magnitude % 2 == 0));
    }
    if (!isinf(value_of(magnitude))) {
        const double next = value_of(magnitude + 1);
        const double middle = (here + (isinf(next) ? beyond : next)) / 2;
        assert_true(a < middle || (a == middle && magnitude % 2 == 0));
    }
}

static void floats_round_to_nearest_even(void **state) {
    (void)state;
    random_seed(&rng, 1);
    for (int i = 0; i < 2000000; i++) {
        float f = random_bits_float();
        if (i % 2) { /* within the range of halves, often on a tie */
            f = (float)ldexp(2 * random_unit(&rng) - 1, (int)(random_u64(&rng) % 44) - 26);
            uint32_t bits;
            memcpy(&bits, &f, sizeof bits);
            bits &= i % 4 == 1 ? 0xfffff000 : 0xffff8000;
            memcpy(&f, &bits, sizeof f);
        }
        if (isnan(f)) {
            assert_true(isnan(quant_f16_to_f32(quant_f32_to_f16(f))));
            assert_true(isnan(quant_bf16_to_f32(quant_f32_to_bf16(f))));
            continue;
        }
        assert_nearest(f, quant_f32_to_f16(f), half_value, 0x1p16);
        assert_nearest(f, quant_f32_to_bf16(f), bf16_value, 0x1p128);
    }
    assert_int_equal(quant_f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(quant_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(quant_f32_to_f16(0x1p-25f), 0);
    assert_int_equal(quant_f32_to_f16(0x1.000002p-25f), 1);
}

/* ---- decoders ------------------------------------------------------------------------------- */

static const uint32_t all_types[] = {
    QUANT_F32,  QUANT_F16,    QUANT_BF16,   QUANT_Q4_0,  QUANT_Q4_1, QUANT_Q5_0,
    QUANT_Q5_1, QUANT_Q8_0,   QUANT_Q2_K,   QUANT_Q3_K,  QUANT_Q4_K, QUANT_Q5_K,
    QUANT_Q6_K, QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_MXFP4,
};

enum { TYPES = sizeof all_types / sizeof all_types[0] };

static uint8_t *read_golden(const char *name, const char *suffix, size_t *size) {
    char path[512];
    snprintf(path, sizeof path, "%s/quant/%s.%s", TEST_GOLDEN, name, suffix);
    FILE *file = fopen(path, "rb");
    if (!file) {
        return NULL;
    }
    enum { MOST = 1 << 20 };
    uint8_t *bytes = malloc(MOST);
    *size = fread(bytes, 1, MOST, file);
    fclose(file);
    return bytes;
}

static void decoders_give_the_golden_values(void **state) {
    (void)state;
    int read = 0;
    for (int i = 0; i < TYPES; i++) {
        const quant_format *format = quant_format_of(all_types[i]);
        size_t block_bytes, value_bytes;
        uint8_t *blocks = read_golden(format->name, "bin", &block_bytes);
        uint8_t *values = read_golden(format->name, "f32", &value_bytes);
        if (blocks && values) {
            const size_t n = value_bytes / sizeof(float);
            assert_true(n > 0);
            assert_int_equal(quant_row_bytes(all_types[i], n), block_bytes);
            float *decoded = malloc(value_bytes);
            uint8_t *moved = malloc(block_bytes + 1); /* blocks lie at any address */
            memcpy(moved + 1, blocks, block_bytes);
            format->decode(moved + 1, decoded, n);
            assert_true(same_bits(decoded, values, value_bytes));
            free(moved);
            free(decoded);
            read++;
        }
        free(blocks);
        free(values);
    }
    print_message("%d types have golden files\n", read);
    if (read == 0) {
        skip();
    }
    assert_int_equal(read, TYPES - 1); /* F32 needs none */
}

static void tables_agree_with_themselves(void **state) {
    (void)state;
    for (uint32_t type = 0; type < 100; type++) {
        const quant_format *format = quant_format_of(type);
        if (format) {
            assert_string_equal(format->name, quant_name_of(type));
            assert_int_equal(quant_row_bytes(type, 512),
                             512 / format->block_length * format->block_bytes);
        }
    }
    assert_null(quant_format_of(4));
    assert_null(quant_format_of(16));
    assert_null(quant_format_of(UINT32_MAX));
    assert_string_equal(quant_name_of(16), "IQ2_XXS");
    assert_string_equal(quant_name_of(39), "MXFP4");
    assert_null(quant_name_of(4));
    assert_null(quant_name_of(1000));
}

/* Every scale of MXFP4 with every level, by the words of OCP's specification; for the gguf package,
 * which the golden file is from, 255 is no NaN. */
static void every_mxfp4_value_decodes(void **state) {
    (void)state;
    static const float e2m1[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    for (int e = 0; e < 256; e++) {
        uint8_t block[17] = {(uint8_t)e};
        float values[32];
        for (int j = 0; j < 16; j++) {
            block[1 + j] = (uint8_t)(j | (15 - j) << 4);
        }
        quant_format_of(QUANT_MXFP4)->decode(block, values, 32);
        for (int j = 0; j < 32; j++) {
            const int nibble = j < 16 ? j : 31 - j;
            const double magnitude = ldexp((double)e2m1[nibble % 8], e - 127);
            const double value = nibble < 8 ? magnitude : -magnitude;
            const bool is_beyond = magnitude > (double)__FLT_MAX__;
            if (e == 255) {
                assert_true(isnan(values[j]));
            } else {
                assert_true(is_beyond ? isinf(values[j]) : (double)values[j] == value);
            }
        }
    }
}

/* ---- encoders ------------------------------------------------------------------------------- */

static void encode_decode(uint32_t type, const float *values, float *back, size_t n) {
    uint8_t blocks[4096];
    assert_true(quant_row_bytes(type, n) <= sizeof blocks);
    quant_format_of(type)->encode(values, blocks, n);
    quant_format_of(type)->decode(blocks, back, n);
}

/* Where the levels can hold the values exactly, they do. */
static void whole_numbers_survive(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        int low, high;
    } ranges[] = {
        {QUANT_Q4_0, -8, 7},  {QUANT_Q5_0, -16, 15},   {QUANT_Q4_1, 3, 18},
        {QUANT_Q5_1, -9, 22}, {QUANT_Q8_0, -127, 127},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        float values[64], back[64];
        for (int k = 0; k < 64; k++) {
            values[k] = (float)(ranges[i].low + k * 37 % (ranges[i].high - ranges[i].low + 1));
        }
        for (int start = 0; start < 64; start += 32) { /* both ends in each block */
            values[start + 5] = (float)ranges[i].low;
            values[start + 20] = (float)ranges[i].high;
        }
        encode_decode(ranges[i].type, values, back, 64);
        assert_true(same_bits(values, back, sizeof values));
    }
}

/* The error is at most half a step and what the rounding of scale and minimum to f16 costs: 2^-11
 * of the value (and of the minimum). A value at the end that has no level of its own (Q4_0, Q5_0:
 * the positive one) may be a whole step off. */
static void encoders_err_by_half_a_step(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        double levels, steps;
    } rules[] = {
        {QUANT_Q4_0, 8, 1},    {QUANT_Q5_0, 16, 1},    {QUANT_Q4_1, 15, 0.5},
        {QUANT_Q5_1, 31, 0.5}, {QUANT_Q8_0, 127, 0.5},
    };
    random_seed(&rng, 2);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const bool is_ranged = rules[i].type == QUANT_Q4_1 || rules[i].type == QUANT_Q5_1;
        for (int round = 0; round < 1000; round++) {
            float x[32], back[32];
            double amax = 0, low = INFINITY, high = -INFINITY;
            for (int k = 0; k < 32; k++) {
                x[k] = (float)(2 * random_unit(&rng) - 1);
                amax = fmax(amax, fabs(x[k]));
                low = fmin(low, x[k]);
                high = fmax(high, x[k]);
            }
            encode_decode(rules[i].type, x, back, 32);
            const double step = (is_ranged ? high - low : amax) / rules[i].levels;
            for (int k = 0; k < 32; k++) {
                const bool is_end = fabs(x[k]) > amax - step;
                const double most = (is_end ? rules[i].steps : 0.5) * step * (1 + 1e-6);
                assert_true(fabs(back[k] - x[k]) <= most + 4 * amax * 0x1p-11);
            }
        }
    }
}

static void ties_go_to_even(void **state) {
    (void)state;
    float x[32] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f}, back[32];
    const float expected[] = {127, 0, 2, 2, 0, -2, -2};
    encode_decode(QUANT_Q8_0, x, back, 32);
    for (int k = 0; k < 7; k++) {
        assert_true(back[k] == expected[k]);
    }
    float y[32] = {-8, 0.5f, 1.5f, -2.5f, 7.5f};
    const float expected_y[] = {-8, 0, 2, -2, 7};
    encode_decode(QUANT_Q4_0, y, back, 32);
    for (int k = 0; k < 5; k++) {
        assert_true(back[k] == expected_y[k]);
    }
}

static void odd_values_are_encoded_safely(void **state) {
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < TYPES; i++) {
        const quant_format *format = quant_format_of(all_types[i]);
        if (!format->encode) {
            continue;
        }
        for (size_t j = 0; j < sizeof odd / sizeof odd[0]; j++) {
            float x[64] = {1, 2, 3}, back[64];
            x[17] = odd[j];
            encode_decode(all_types[i], x, back, 64);
            assert_false(isfinite(back[17]));
            assert_true(back[40] == 0); /* the next block is its own */
        }
        float zeros[32] = {0}, tiny[32] = {1e-40f, -1e-42f, 1e-38f}, back[32];
        encode_decode(all_types[i], zeros, back, 32);
        for (int k = 0; k < 32; k++) {
            assert_true(back[k] == 0);
        }
        encode_decode(all_types[i], tiny, back, 32);
        for (int k = 0; k < 32; k++) {
            assert_true(fabsf(back[k]) <= 1.1e-38f);
        }
        float any[64];
        for (int round = 0; round < 2000; round++) { /* for the sanitizers */
            for (int k = 0; k < 64; k++) {
                any[k] = round % 2 ? random_bits_float() : random_bits_float() * 1e-30f;
            }
            uint8_t blocks[64 * 4];
            format->encode(any, blocks, 64);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_decodes),
        cmocka_unit_test(floats_round_to_nearest_even),
        cmocka_unit_test(decoders_give_the_golden_values),
        cmocka_unit_test(tables_agree_with_themselves),
        cmocka_unit_test(every_mxfp4_value_decodes),
        cmocka_unit_test(whole_numbers_survive),
        cmocka_unit_test(encoders_err_by_half_a_step),
        cmocka_unit_test(ties_go_to_even),
        cmocka_unit_test(odd_values_are_encoded_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
