/* encode.h - rows of weights encoded for files: the levels are searched for, not just rounded.
 *
 * quant_format.encode rounds to nearest, fast enough for keys and values while they are made. Here
 * time is spent to come closer to the values, or to what the columns are worth.
 */
#ifndef QUANT_ENCODE_H
#define QUANT_ENCODE_H

#include "quant/quant.h"

/* Whether values can be encoded as this type. */
bool quant_encodes(quant_type type);

/* Encodes n values (a multiple of the block length) so that the sum of importance[k] * (values[k] -
 * decoded[k])^2 is small. `importance`: n weights, none negative, for instance the mean squares of
 * the activations that the columns meet; NULL: all alike. In a block where all are zero, or one is
 * not finite, all count alike. Values that are not finite give blocks that decode to values that
 * are not finite; finite ones stay finite, at most as large as the scales of the type can make
 * them. A block depends on its own values and weights only. Needs quant_encodes(type); no
 * allocation; any number of threads. kernel_table.encode gives the same bytes, faster. */
void quant_encode(quant_type type, const float *values, const float *importance, void *blocks,
                  size_t n);

/* The function that does this for a type; NULL: none. */
typedef void quant_encoder(const float *values, const float *importance, void *blocks, size_t n);
quant_encoder *quant_encoder_of(quant_type type);

#endif
