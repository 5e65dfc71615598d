/* test_encode_codebook.c - the encoders of IQ4_NL, IQ4_XS and MXFP4: their error beside another
 * program's and beside what trying everything finds, contents of every kind.
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

enum { WIDTH = 4096, ROWS = 16 };

/* The errors of llama.cpp's quantizer (ggml_quantize_chunk of ggml 0.25.3) for the values and
 * weights that encode_draw_values and encode_draw_importance give, as tools/measure_encoders.py
 * prints them: root of the mean squared error, and of the mean weighted by importance where it had
 * that; of normal and of heavy-tailed values. */
static const struct {
    quant_type type;
    double normal, normal_weighted, heavy, heavy_weighted;
} peers[] = {
    {QUANT_IQ4_NL, 1.521727e-03, 1.258801e-03, 2.630903e-03, 2.184325e-03},
    {QUANT_IQ4_XS, 1.534418e-03, 1.276453e-03, 2.656461e-03, 2.227055e-03},
    {QUANT_MXFP4, 2.271899e-03, 2.241948e-03, 3.717210e-03, 3.536343e-03},
};

enum { TYPES = sizeof peers / sizeof peers[0] };

/* Not fmax and fmin: gcc 12 for ARM breaks down (internal error) over vectors of those. */
static double larger(double a, double b) {
    return b > a ? b : a;
}

static double smaller(double a, double b) {
    return b < a ? b : a;
}

static double squares_of(const float *values, const float *back, const float *weights, size_t n) {
    double squares = 0;
    for (size_t k = 0; k < n; k++) {
        const double off = (double)values[k] - (double)back[k];
        squares += (weights ? (double)weights[k] : 1) * off * off;
    }
    return squares;
}

/* Root of the mean over all rows. */
static double rows_error(quant_type type, const float *values, const float *importance) {
    float *back = malloc(WIDTH * sizeof *back);
    double squares = 0, total = 0;
    for (size_t row = 0; row < ROWS; row++) {
        encode_decode(type, values + row * WIDTH, importance, back, WIDTH);
        squares += squares_of(values + row * WIDTH, back, importance, WIDTH);
        for (size_t k = 0; k < WIDTH; k++) {
            total += importance ? (double)importance[k] : 1;
        }
    }
    free(back);
    return sqrt(squares / total);
}

static void errors_are_below_the_peers(void **state) {
    (void)state;
    const size_t n = (size_t)WIDTH * ROWS;
    float *even = encode_draw_values(encode_draw_normal, 1, n),
          *wild = encode_draw_values(encode_draw_heavy, 2, n);
    float *importance = encode_draw_importance(3, WIDTH);
    for (size_t i = 0; i < TYPES; i++) {
        const quant_type type = peers[i].type;
        const double ours[] = {rows_error(type, even, NULL), rows_error(type, even, importance),
                               rows_error(type, wild, NULL), rows_error(type, wild, importance)};
        const double theirs[] = {peers[i].normal, peers[i].normal_weighted, peers[i].heavy,
                                 peers[i].heavy_weighted};
        print_message("%s: error over peer's %.4f, weighted %.4f; heavy tails %.4f, %.4f\n",
                      quant_name_of(type), ours[0] / theirs[0], ours[1] / theirs[1],
                      ours[2] / theirs[2], ours[3] / theirs[3]);
        for (int k = 0; k < 4; k++) {
            assert_true(ours[k] <= 0.98 * theirs[k]);
        }
    }
    free(importance);
    free(wild);
    free(even);
}

/* ---- beside trying everything --------------------------------------------------------------- */

static const int iq4_levels[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};
static const int mxfp4_levels[] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* The least error of 32 values with a scale. */
static double least_error(const float *x, const float *w, const int *levels, double scale) {
    double total = 0;
    for (int k = 0; k < 32; k++) {
        double least = INFINITY;
        for (int j = 0; j < 16; j++) {
            const double off = (double)x[k] - scale * levels[j];
            least = smaller(least, off * off);
        }
        total += (w ? (double)w[k] : 1) * least;
    }
    return total;
}

/* The nibbles are those of the levels nearest for the scale that is stored. */
static void levels_are_the_nearest(void **state) {
    (void)state;
    enum { N = 256 * 16 };
    float *values = encode_draw_values(encode_draw_heavy, 11, N), back[N];
    uint8_t blocks[N];
    quant_encode(QUANT_IQ4_NL, values, NULL, blocks, N);
    quant_format_of(QUANT_IQ4_NL)->decode(blocks, back, N);
    for (size_t k = 0; k < N; k += 32) {
        const uint8_t *block = blocks + k / 32 * 18;
        const double d = (double)quant_f16_to_f32((uint16_t)(block[0] | block[1] << 8));
        const double least = least_error(values + k, NULL, iq4_levels, d);
        assert_true(squares_of(values + k, back + k, NULL, 32) <= least * (1 + 1e-5));
    }
    quant_encode(QUANT_MXFP4, values, NULL, blocks, N);
    quant_format_of(QUANT_MXFP4)->decode(blocks, back, N);
    for (size_t k = 0; k < N; k += 32) {
        const double d = ldexp(1, blocks[k / 32 * 17] - 128);
        const double least = least_error(values + k, NULL, mxfp4_levels, d);
        assert_true(squares_of(values + k, back + k, NULL, 32) <= least * (1 + 1e-5));
    }
    free(values);
}

/* No scale of hundreds leaves much less than the one that was found. */
static void scales_are_near_the_best(void **state) {
    (void)state;
    enum { N = 32 * 200, STEPS = 400 };
    float *values = encode_draw_values(encode_draw_heavy, 12, N),
          *importance = encode_draw_importance(13, N), back[N];
    for (int weighted = 0; weighted < 2; weighted++) {
        const float *w = weighted ? importance : NULL;
        double best = 0, best_exponent = 0;
        for (size_t k = 0; k < N; k += 32) {
            double largest = 0, least = INFINITY, least_exponent = INFINITY;
            for (size_t j = k; j < k + 32; j++) {
                largest = larger(largest, fabs((double)values[j]));
            }
            for (int s = 1; s <= STEPS; s++) {
                const double scale = largest / 80 * s / STEPS;
                for (int sign = -1; sign <= 1; sign += 2) {
                    const float *weights = w ? w + k : NULL;
                    least =
                        smaller(least, least_error(values + k, weights, iq4_levels, sign * scale));
                }
            }
            for (int e = -30; e < 10; e++) {
                least_exponent = smaller(least_exponent, least_error(values + k, w ? w + k : NULL,
                                                                     mxfp4_levels, ldexp(1, e)));
            }
            best += least;
            best_exponent += least_exponent;
        }
        encode_decode(QUANT_IQ4_NL, values, w, back, N);
        const double ours = squares_of(values, back, w, N);
        encode_decode(QUANT_MXFP4, values, w, back, N);
        const double ours_exponent = squares_of(values, back, w, N);
        print_message("squared error over the best: IQ4_NL %.4f, MXFP4 %.4f%s\n", ours / best,
                      ours_exponent / best_exponent, weighted ? " (weighted)" : "");
        assert_true(ours <= 1.05 * best);
        assert_true(ours_exponent <= 1.03 * best_exponent);
    }
    free(importance);
    free(values);
}

/* What MXFP4 holds it keeps. */
static void mxfp4_is_kept(void **state) {
    (void)state;
    random_seed(&encode_draw_state, 14);
    for (int round = 0; round < 5000; round++) {
        uint8_t block[17];
        float once[32], twice[32];
        for (size_t i = 0; i < sizeof block; i++) {
            block[i] = (uint8_t)random_u64(&encode_draw_state);
        }
        block[0] = (uint8_t)(round % 253);
        quant_format_of(QUANT_MXFP4)->decode(block, once, 32);
        encode_decode(QUANT_MXFP4, once, NULL, twice, 32);
        for (int k = 0; k < 32; k++) {
            assert_true(once[k] == twice[k]);
        }
    }
}

/* ---- contents of every kind ----------------------------------------------------------------- */

/* A block of 32 is encoded alike wherever it stands, and however many are with it. */
static void blocks_do_not_meet(void **state) {
    (void)state;
    enum { MOST = 19 };
    static const quant_type types[] = {QUANT_IQ4_NL, QUANT_MXFP4};
    float *values = encode_draw_values(encode_draw_heavy, 15, 32 * MOST),
          *importance = encode_draw_importance(16, 32 * MOST);
    for (int t = 0; t < 2; t++) {
        const size_t bytes = quant_format_of(types[t])->block_bytes;
        for (size_t count = 1; count <= MOST; count++) {
            for (int weighted = 0; weighted < 2; weighted++) {
                uint8_t *all = malloc(bytes * count), one[34];
                quant_encode(types[t], values, weighted ? importance : NULL, all, 32 * count);
                for (size_t b = 0; b < count; b++) {
                    quant_encode(types[t], values + 32 * b, weighted ? importance + 32 * b : NULL,
                                 one, 32);
                    assert_memory_equal(one, all + bytes * b, bytes);
                }
                free(all);
            }
        }
    }
    free(importance);
    free(values);
}

static void units_do_not_matter(void **state) {
    (void)state;
    float *values = encode_draw_values(encode_draw_normal, 17, 256), scaled[256], back[256],
          scaled_back[256];
    for (size_t i = 0; i < TYPES; i++) {
        const int most = peers[i].type == QUANT_MXFP4 ? 100 : 12; /* no f16 scale beyond */
        for (int k = 0; k < 256; k++) {                           /* and none subnormal */
            values[k] *= i == 0 ? 64 : 1;
        }
        encode_decode(peers[i].type, values, NULL, back, 256);
        for (int e = 0; e <= most; e += 4) {
            for (int k = 0; k < 256; k++) {
                scaled[k] = ldexpf(values[k], e);
            }
            encode_decode(peers[i].type, scaled, NULL, scaled_back, 256);
            for (int k = 0; k < 256; k++) {
                assert_true(scaled_back[k] == ldexpf(back[k], e));
            }
        }
    }
    free(values);
}

static void odd_values_show(void **state) {
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < TYPES; i++) {
        const size_t length = quant_format_of(peers[i].type)->block_length;
        for (size_t j = 0; j < sizeof odd / sizeof odd[0]; j++) {
            float x[512] = {1, 2, 3}, back[512];
            x[17] = odd[j];
            encode_decode(peers[i].type, x, NULL, back, 2 * length);
            for (size_t k = 0; k < length; k++) {
                assert_false(isfinite(back[k]));
            }
            for (size_t k = length; k < 2 * length; k++) {
                assert_true(back[k] == 0);
            }
        }
    }
}

/* As small as f16 scales can follow, and below. */
static void small_values_stay_small(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int exponent = -40; exponent < -8; exponent++) {
            float x[256], back[256];
            random_seed(&encode_draw_state, 19);
            for (int k = 0; k < 256; k++) {
                x[k] = (float)ldexp(2 * random_unit(&encode_draw_state) - 1, exponent);
            }
            encode_decode(peers[i].type, x, NULL, back, 256);
            for (int k = 0; k < 256; k++) {
                assert_true((double)fabsf(back[k]) <= ldexp(1.2, exponent) + 0x1p-22);
            }
            /* Steps of a unit are fine enough from here on. */
            const float none[256] = {0};
            const double share = squares_of(x, back, NULL, 256) / squares_of(x, none, NULL, 256);
            assert_true(share <= (exponent >= -16 ? 0.02 : 1.0));
        }
    }
}

static void extremes_stay_finite(void **state) {
    (void)state;
    static const float sizes[] = {0, 1e-45f, 1e-40f, 1e-38f, 1e-20f, 1e4f, 1e20f, 3.4e38f};
    for (size_t i = 0; i < TYPES; i++) {
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            float x[256], back[256];
            for (int k = 0; k < 256; k++) {
                x[k] = sizes[j] * ((float)(k % 7 - 3) / 3);
            }
            encode_decode(peers[i].type, x, NULL, back, 256);
            for (int k = 0; k < 256; k++) {
                assert_true(isfinite(back[k]));
                assert_true(fabsf(back[k]) <= 1.2f * sizes[j] + 1e-9f || sizes[j] > 1e38f);
            }
        }
    }
}

/* Importance that tells nothing counts as none; any bits are safe. */
static void importance_may_be_anything(void **state) {
    (void)state;
    static const float sizes[] = {0, 1, 1e-40f, 1e-30f, 1e30f, 3e38f, INFINITY, NAN};
    float *values = encode_draw_values(encode_draw_heavy, 18, 1024), weights[1024], back[1024];
    for (size_t i = 0; i < TYPES; i++) {
        encode_decode(peers[i].type, values, NULL, back, 1024);
        const double alike = squares_of(values, back, NULL, 1024);
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            for (size_t k = 0; k < 1024; k++) {
                weights[k] = sizes[s];
            }
            encode_decode(peers[i].type, values, weights, back, 1024);
            assert_true(squares_of(values, back, NULL, 1024) < 1.05 * alike);
        }
        for (int round = 0; round < 2000; round++) { /* for the sanitizers */
            float any[256], importance[256];
            for (int k = 0; k < 256; k++) {
                const uint32_t bits = (uint32_t)random_u64(&encode_draw_state),
                               more = (uint32_t)random_u64(&encode_draw_state);
                memcpy(&any[k], &bits, sizeof bits);
                memcpy(&importance[k], &more, sizeof more);
            }
            encode_decode(peers[i].type, any, round % 2 ? importance : NULL, back, 256);
        }
    }
    free(values);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_below_the_peers),
        cmocka_unit_test(levels_are_the_nearest),
        cmocka_unit_test(scales_are_near_the_best),
        cmocka_unit_test(mxfp4_is_kept),
        cmocka_unit_test(blocks_do_not_meet),
        cmocka_unit_test(units_do_not_matter),
        cmocka_unit_test(odd_values_show),
        cmocka_unit_test(small_values_stay_small),
        cmocka_unit_test(extremes_stay_finite),
        cmocka_unit_test(importance_may_be_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
