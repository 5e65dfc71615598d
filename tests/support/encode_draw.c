#include "support/encode_draw.h"

#include "quant/encode.h"

#include <math.h>
#include <stdlib.h>

random_state encode_draw_state;

/* Box and Muller. */
double encode_draw_normal(void) {
    const double u = 1.0 - random_unit(&encode_draw_state), v = random_unit(&encode_draw_state);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* Student's t with four degrees of freedom: a normal over the root of a mean of four squares. */
double encode_draw_heavy(void) {
    const double n = encode_draw_normal();
    double squares = 0;
    for (int k = 0; k < 4; k++) {
        const double other = encode_draw_normal();
        squares += other * other;
    }
    return n / sqrt(squares / 4);
}

float *encode_draw_values(double draw(void), uint64_t seed, size_t n) {
    float *values = malloc(n * sizeof *values);
    random_seed(&encode_draw_state, seed);
    for (size_t k = 0; k < n; k++) {
        values[k] = (float)(0.02 * draw());
    }
    return values;
}

/* Few columns count for much, as activations have it. */
float *encode_draw_importance(uint64_t seed, size_t n) {
    float *importance = malloc(n * sizeof *importance);
    random_seed(&encode_draw_state, seed);
    for (size_t k = 0; k < n; k++) {
        importance[k] = (float)pow(fabs(encode_draw_normal()), 3);
    }
    return importance;
}

void encode_decode(quant_type type, const float *values, const float *importance, float *back,
                   size_t n) {
    uint8_t *blocks = malloc(quant_row_bytes(type, n));
    quant_encode(type, values, importance, blocks, n);
    quant_format_of(type)->decode(blocks, back, n);
    free(blocks);
}
