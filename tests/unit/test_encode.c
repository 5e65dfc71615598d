/* test_encode.c - encoders that search: their error beside another program's, contents of every
 * kind, importance, and the same levels whatever the unit of the values is.
 */
#include "base/random.h"
#include "quant/encode.h"
#include "support/encode_draw.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WIDTH = 4096, ROWS = 16, SMALL = 1024 };

/* The errors are those of llama.cpp's quantizer (ggml_quantize_chunk of ggml 0.25.3) for the values
 * and weights that encode_draw_values and encode_draw_importance give, as tools/measure_encoders.py
 * prints them: root of the mean squared error, and of the mean weighted by importance where it had
 * that; of normal and of heavy-tailed values. */
static const struct {
    quant_type type;
    double normal, normal_weighted, heavy, heavy_weighted;
} peers[] = {
    {QUANT_Q4_0, 1.716336e-03, 1.415361e-03, 3.249071e-03, 2.810634e-03},
    {QUANT_Q4_1, 1.567337e-03, 1.088628e-03, 2.650637e-03, 1.894357e-03},
    {QUANT_Q5_0, 8.530802e-04, 7.072758e-04, 1.638931e-03, 1.437594e-03},
    {QUANT_Q5_1, 7.554830e-04, 5.292987e-04, 1.281049e-03, 9.245368e-04},
    {QUANT_Q8_0, 1.069589e-04, 1.070557e-04, 2.065765e-04, 2.070847e-04},
    {QUANT_Q2_K, 5.959350e-03, 3.845359e-03, 9.676569e-03, 6.187065e-03},
    {QUANT_Q3_K, 3.017457e-03, 2.357353e-03, 5.212048e-03, 4.300099e-03},
    {QUANT_Q4_K, 1.427618e-03, 1.111742e-03, 2.456702e-03, 1.956994e-03},
    {QUANT_Q5_K, 7.214153e-04, 5.866673e-04, 1.239001e-03, 1.046001e-03},
    {QUANT_Q6_K, 3.554770e-04, 2.919410e-04, 6.483181e-04, 5.511806e-04},
};

enum { TYPES = sizeof peers / sizeof peers[0] };

/* Root of the mean squared error, weighted if there are weights. */
static double error_of(const float *values, const float *back, const float *weights, size_t n) {
    double squares = 0, total = 0;
    for (size_t k = 0; k < n; k++) {
        const double off = (double)values[k] - (double)back[k];
        const double w = weights ? (double)weights[k % WIDTH] : 1;
        squares += w * off * off;
        total += w;
    }
    return sqrt(squares / total);
}

/* All rows encoded with the same importance, or none; the error counted with `weights`. */
static double rows_error(quant_type type, const float *values, const float *importance,
                         const float *weights) {
    float *back = malloc((size_t)WIDTH * ROWS * sizeof *back);
    for (size_t row = 0; row < ROWS; row++) {
        encode_decode(type, values + row * WIDTH, importance, back + row * WIDTH, WIDTH);
    }
    const double error = error_of(values, back, weights, (size_t)WIDTH * ROWS);
    free(back);
    return error;
}

static void errors_are_below_the_peers(void **state) {
    (void)state;
    const size_t n = (size_t)WIDTH * ROWS;
    float *even = encode_draw_values(encode_draw_normal, 1, n),
          *wild = encode_draw_values(encode_draw_heavy, 2, n);
    float *importance = encode_draw_importance(3, WIDTH);
    for (size_t i = 0; i < TYPES; i++) {
        const quant_type type = peers[i].type;
        const double ours[] = {
            rows_error(type, even, NULL, NULL), rows_error(type, even, importance, importance),
            rows_error(type, wild, NULL, NULL), rows_error(type, wild, importance, importance)};
        const double theirs[] = {peers[i].normal, peers[i].normal_weighted, peers[i].heavy,
                                 peers[i].heavy_weighted};
        print_message("%s: error over peer's %.4f, weighted %.4f; heavy tails %.4f, %.4f\n",
                      quant_name_of(type), ours[0] / theirs[0], ours[1] / theirs[1],
                      ours[2] / theirs[2], ours[3] / theirs[3]);
        for (int k = 0; k < 4; k++) {
            assert_true(ours[k] <= theirs[k]);
        }
    }
    free(importance);
    free(wild);
    free(even);
}

/* Importance moves the error to where it counts little. */
static void importance_pays(void **state) {
    (void)state;
    float *values = encode_draw_values(encode_draw_heavy, 4, (size_t)WIDTH * ROWS);
    float *importance = encode_draw_importance(5, WIDTH);
    for (size_t i = 0; i < TYPES; i++) {
        const quant_type type = peers[i].type;
        const double with = rows_error(type, values, importance, importance);
        const double without = rows_error(type, values, NULL, importance);
        print_message("%s: importance takes the weighted error to %.4f\n", quant_name_of(type),
                      with / without);
        assert_true(with < (type == QUANT_Q8_0 ? 1.001 : 0.97) * without);
        assert_true(rows_error(type, values, importance, NULL) >=
                    rows_error(type, values, NULL, NULL));
    }
    free(importance);
    free(values);
}

/* Importance that tells nothing counts as none; it is never in the way of finite values. */
static void importance_may_be_of_any_size(void **state) {
    (void)state;
    float *values = encode_draw_values(encode_draw_heavy, 6, SMALL), back[SMALL], plain[SMALL];
    static const float sizes[] = {0, 1, 1e-40f, 1e-30f, 1e30f, 3e38f, INFINITY, NAN};
    for (size_t i = 0; i < TYPES; i++) {
        const quant_type type = peers[i].type;
        encode_decode(type, values, NULL, plain, SMALL);
        const double alike = error_of(values, plain, NULL, SMALL);
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            float importance[SMALL];
            for (size_t k = 0; k < SMALL; k++) {
                importance[k] = sizes[s];
            }
            encode_decode(type, values, importance, back, SMALL);
            assert_true(error_of(values, back, NULL, SMALL) < 1.05 * alike);
            for (size_t k = 0; k < SMALL; k++) { /* some columns alone */
                importance[k] = k % 5 ? 0 : sizes[s];
            }
            encode_decode(type, values, importance, back, SMALL);
            assert_true(error_of(values, back, NULL, SMALL) < 0.03);
        }
    }
    free(values);
}

/* What a type can hold it keeps, nearly: decoded, encoded and decoded again, values differ by a
 * small part of what encoding cost at first. */
static void what_fits_is_kept(void **state) {
    (void)state;
    float *values = encode_draw_values(encode_draw_normal, 7, WIDTH), once[WIDTH], twice[WIDTH];
    for (size_t i = 0; i < TYPES; i++) {
        const quant_type type = peers[i].type;
        encode_decode(type, values, NULL, once, WIDTH);
        encode_decode(type, once, NULL, twice, WIDTH);
        const double first = error_of(values, once, NULL, WIDTH);
        const double second = error_of(once, twice, NULL, WIDTH);
        print_message("%s: encoding again costs %.4f of the first time\n", quant_name_of(type),
                      second / first);
        assert_true(second < 0.3 * first);
    }
    free(values);
}

static double largest_of(const float *values, size_t n) {
    double largest = 0;
    for (size_t k = 0; k < n; k++) {
        const double size = fabs((double)values[k]);
        largest = size > largest ? size : largest; /* gcc 12 for ARM fails over fmax here */
    }
    return largest;
}

static void zeros_stay_zeros(void **state) {
    (void)state;
    float values[SMALL] = {0}, back[SMALL];
    for (size_t i = 0; i < TYPES; i++) {
        encode_decode(peers[i].type, values, NULL, back, SMALL);
        assert_true(largest_of(back, SMALL) == 0);
        for (size_t k = 0; k < SMALL; k++) {
            values[k] = k % 2 ? -0.0f : 0.0f;
        }
        encode_decode(peers[i].type, values, values, back, SMALL);
        assert_true(largest_of(back, SMALL) == 0);
    }
}

/* A constant costs what f16 scales cost, which are multiples of 2^-24; one value among zeros
 * likewise, and zeros stay near. */
static void constants_and_single_values(void **state) {
    (void)state;
    float values[SMALL], back[SMALL];
    static const float sizes[] = {1, -1, 0.3f, -0.7f, 1e-3f, -333};
    for (size_t i = 0; i < TYPES; i++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            const double size = fabs((double)sizes[s]), least = 0x1p-16;
            for (size_t k = 0; k < SMALL; k++) {
                values[k] = sizes[s];
            }
            encode_decode(peers[i].type, values, NULL, back, SMALL);
            assert_true(error_of(values, back, NULL, SMALL) < 0x1p-10 * size + least);
            for (size_t at = 0; at < SMALL; at += 37) {
                memset(values, 0, sizeof values);
                values[at] = sizes[s];
                encode_decode(peers[i].type, values, NULL, back, SMALL);
                assert_true(fabs((double)back[at] - (double)sizes[s]) < 0x1p-9 * size + least);
                assert_true(error_of(values, back, NULL, SMALL) < 0x1p-9 * size + least);
            }
        }
    }
}

/* An outlier takes nothing from other blocks, and what it takes from its own is bounded. */
static void outliers_stay_in_their_block(void **state) {
    (void)state;
    float *values = encode_draw_values(encode_draw_normal, 8, SMALL), back[SMALL], with[SMALL];
    for (size_t i = 0; i < TYPES; i++) {
        const quant_type type = peers[i].type;
        const size_t block = quant_format_of(type)->block_length;
        encode_decode(type, values, NULL, back, SMALL);
        const float was = values[block + 5];
        values[block + 5] = 40;
        encode_decode(type, values, NULL, with, SMALL);
        assert_memory_equal(back, with, block * sizeof *back);
        assert_memory_equal(back + 2 * block, with + 2 * block, (SMALL - 2 * block) * sizeof *back);
        assert_true(fabs((double)with[block + 5] - 40) < 0.1);
        values[block + 5] = was;
    }
    free(values);
}

static bool all_finite(const float *values, size_t n) {
    for (size_t k = 0; k < n; k++) {
        if (!isfinite(values[k])) {
            return false;
        }
    }
    return true;
}

/* Values of every size that a float has give finite values back, none larger than about what
 * there was. */
static void finite_values_stay_finite(void **state) {
    (void)state;
    float values[SMALL], back[SMALL];
    random_seed(&encode_draw_state, 9);
    for (int exponent = -149; exponent < 128; exponent++) {
        for (size_t k = 0; k < SMALL; k++) {
            values[k] = (float)ldexp(2 * random_unit(&encode_draw_state) - 1, exponent);
        }
        values[77] = ldexpf(1, exponent);
        for (size_t i = 0; i < TYPES; i++) {
            encode_decode(peers[i].type, values, NULL, back, SMALL);
            assert_true(all_finite(back, SMALL));
            /* f16 scales are multiples of 2^-24. */
            assert_true(largest_of(back, SMALL) <= 1.2 * largest_of(values, SMALL) + 0x1p-22);
            if (exponent >= 30) { /* beyond what the scale can reach: as far as it goes */
                assert_true(largest_of(back, SMALL) >= 65504);
            }
        }
    }
    for (int round = 0; round < 200; round++) { /* all sizes together */
        for (size_t k = 0; k < SMALL; k++) {
            const uint32_t bits = (uint32_t)random_u64(&encode_draw_state);
            memcpy(&values[k], &bits, sizeof bits);
            values[k] = isfinite(values[k]) ? values[k] : 1;
        }
        for (size_t i = 0; i < TYPES; i++) {
            encode_decode(peers[i].type, values, round % 2 ? values : NULL, back, SMALL);
            assert_true(all_finite(back, SMALL));
        }
    }
}

static void what_is_not_finite_shows(void **state) {
    (void)state;
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    float *values = encode_draw_values(encode_draw_normal, 10, SMALL), back[SMALL];
    for (size_t i = 0; i < TYPES; i++) {
        const size_t block = quant_format_of(peers[i].type)->block_length;
        for (size_t k = 0; k < 3 * SMALL; k += 53) {
            const size_t at = k % SMALL, first = at - at % block;
            const float was = values[at];
            values[at] = bad[k / SMALL];
            encode_decode(peers[i].type, values, k % 2 ? back : NULL, back, SMALL);
            assert_false(isfinite(back[at]));
            assert_true(all_finite(back, first));
            assert_true(all_finite(back + first + block, SMALL - first - block));
            values[at] = was;
        }
    }
    free(values);
}

/* Values in another unit have the same levels, as long as the scales are normal f16. */
static void units_do_not_matter(void **state) {
    (void)state;
    float *values = encode_draw_values(encode_draw_heavy, 11, SMALL), other[SMALL], back[SMALL],
          back_other[SMALL];
    float *importance = encode_draw_importance(12, WIDTH);
    for (size_t k = 0; k < SMALL; k++) {
        values[k] *= 64;
    }
    for (size_t i = 0; i < TYPES; i++) {
        for (int shift = -1; shift <= 9; shift += 2) {
            for (size_t k = 0; k < SMALL; k++) {
                other[k] = ldexpf(values[k], shift);
            }
            encode_decode(peers[i].type, values, shift % 3 ? importance : NULL, back, SMALL);
            encode_decode(peers[i].type, other, shift % 3 ? importance : NULL, back_other, SMALL);
            for (size_t k = 0; k < SMALL; k++) {
                assert_true(back_other[k] == ldexpf(back[k], shift));
            }
        }
    }
    free(importance);
    free(values);
}

/* A row is its blocks; none looks at another. */
static void rows_are_their_blocks(void **state) {
    (void)state;
    float *values = encode_draw_values(encode_draw_heavy, 13, SMALL), whole[SMALL], parts[SMALL];
    float *importance = encode_draw_importance(14, WIDTH);
    for (size_t i = 0; i < TYPES; i++) {
        const size_t block = quant_format_of(peers[i].type)->block_length;
        encode_decode(peers[i].type, values, importance, whole, SMALL);
        for (size_t k = 0; k < SMALL; k += block) {
            encode_decode(peers[i].type, values + k, importance + k, parts + k, block);
        }
        assert_memory_equal(whole, parts, sizeof whole);
    }
    free(importance);
    free(values);
}

static void encodable_types(void **state) {
    (void)state;
    for (size_t i = 0; i < TYPES; i++) {
        assert_true(quant_encodes(peers[i].type));
        assert_true(quant_encoder_of(peers[i].type) != NULL);
    }
    assert_true(quant_encodes(QUANT_F32) && quant_encodes(QUANT_F16) && quant_encodes(QUANT_BF16));
    assert_false(quant_encodes((quant_type)4));
    assert_false(quant_encodes((quant_type)1000));
    assert_null(quant_encoder_of((quant_type)15));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodable_types),
        cmocka_unit_test(errors_are_below_the_peers),
        cmocka_unit_test(importance_pays),
        cmocka_unit_test(importance_may_be_of_any_size),
        cmocka_unit_test(what_fits_is_kept),
        cmocka_unit_test(zeros_stay_zeros),
        cmocka_unit_test(constants_and_single_values),
        cmocka_unit_test(outliers_stay_in_their_block),
        cmocka_unit_test(finite_values_stay_finite),
        cmocka_unit_test(what_is_not_finite_shows),
        cmocka_unit_test(units_do_not_matter),
        cmocka_unit_test(rows_are_their_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
