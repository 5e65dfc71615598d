/* probe_i8mm.c - the limit of int8 by SMMLA. */
#include "kernels/arm/probe_sums.h"
#include "kernels/probe.h"

ARM_INLINE int32x4_t product(int32x4_t sum, int8x16_t a, int8x16_t b) {
    return vmmlaq_s32(sum, a, b);
}

static uint64_t run_int8(size_t rounds) {
    return probe_sums(product, rounds);
}

void probe_fill_i8mm(probe_table *table) {
    table->arithmetic[PROBE_INT8] = (probe_arithmetic){"neon i8mm", SUMS * 32 * 2, run_int8};
}
