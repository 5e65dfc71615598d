/* random.h - the project's own random numbers: the same sequence for a seed on every platform.
 *
 * xoshiro256** 1.0 by Blackman and Vigna (https://prng.di.unimi.it), its four words of state
 * filled from the seed by splitmix64, as the authors recommend.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

typedef struct random_state {
    uint64_t s[4];
} random_state;

void random_seed(random_state *state, uint64_t seed);
uint64_t random_u64(random_state *state);

/* Uniform in [0, 1): the upper 53 bits times 2^-53. */
double random_unit(random_state *state);

#endif
