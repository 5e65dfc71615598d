/* encode_draw.h - values like those of weights, for tests of encoders; the same for a seed as those
 * of tools/measure_encoders.py. */
#ifndef SUPPORT_ENCODE_DRAW_H
#define SUPPORT_ENCODE_DRAW_H

#include "base/random.h"
#include "quant/quant.h"

extern random_state encode_draw_state;

double encode_draw_normal(void);
double encode_draw_heavy(void);

/* n values of standard deviation 0.02 or so, for the caller to free; seeds the state. */
float *encode_draw_values(double draw(void), uint64_t seed, size_t n);

/* n weights of columns, for the caller to free; seeds the state. */
float *encode_draw_importance(uint64_t seed, size_t n);

/* n values to blocks and back; importance may be NULL. */
void encode_decode(quant_type type, const float *values, const float *importance, float *back,
                   size_t n);

#endif
