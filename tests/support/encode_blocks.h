/* encode_blocks.h - floats to blocks of any type, for tests that need weights of real shape.
 *
 * Types that quant_format encodes are encoded by it. For the types of 256 values, which it only
 * decodes, there are plain encoders here: each group's step is its range over the number of levels,
 * steps are rounded to the block's integer scales, values to the nearest level. No search for
 * better scales: what a test compares lies in the blocks once they are made.
 */
#ifndef SUPPORT_ENCODE_BLOCKS_H
#define SUPPORT_ENCODE_BLOCKS_H

#include "quant/quant.h"

/* n finite values, a multiple of the type's block length, into quant_row_bytes(type, n) bytes. */
void encode_blocks(quant_type type, const float *values, void *blocks, size_t n);

#endif
