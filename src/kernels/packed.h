/* packed.h - rows of weights rearranged sixteen at a time, so that kernels need no shuffles.
 *
 * In a file a row's blocks follow each other. A "panel" holds sixteen rows instead, block after
 * block; within a block each field's bytes of all sixteen rows lie together, in units:
 *
 *   file,  row r, block b:      scale | 4 bytes | 4 bytes | ...
 *   panel, block b:             scale[16] | 4 bytes[16] | 4 bytes[16] | ...
 *
 * A scale (f16) is a unit of 2 bytes, that of MXFP4 one of 1, and so are the two bytes behind the
 * scale of IQ4_XS one of 2; all else are units of 4. So a panel has as many bytes as its rows, and
 * one vector of 64 bytes holds the same four bytes of sixteen rows.
 *
 * Units lie in the order in which a product of one row first reads them, since processors ask ahead
 * for what follows what is read, and a product that reads here and there waits for each of its
 * lines. Types of 32 values have the file's order. Of types of 256 a panel's block holds, with
 * bytes of a file's block as names (quant/blocks.h), and a:b for units of both in turn:
 *
 *   Q2_K   0..79, d, dmin
 *   Q3_K   scales 96..107, 32..63:0..31 (low and high bits), 64..95, d
 *   Q4_K   scales 4..15, 16..143, d, dmin
 *   Q5_K   scales 4..15, 48..79:16..47 (low and high bits), 80..175, d, dmin
 *   Q6_K   scales 192..207, 0..31:128..159, 32..63, 64..95:160..191, 96..127 (low:high bits), d
 *   IQ4_XS the file's order
 *
 * One field is also turned: in the word of fifth bits of Q5_0 and Q5_1, where the bit of value
 * 4 t + j is bit 4 t + j in the file, it is bit t of byte j in a panel, beside the nibble that it
 * belongs to.
 *
 * A matrix is its panels one after the other; rows that are missing in the last one are zero bytes.
 */
#ifndef KERNELS_PACKED_H
#define KERNELS_PACKED_H

#include "quant/quant.h"

enum { PACKED_ROWS = 16 };

/* Whether there is such a layout for the type: the quantized ones. */
bool packed_exists(quant_type type);

/* Bytes of a packed matrix. Its address should be a multiple of 64. */
size_t packed_bytes(quant_type type, size_t n_out, size_t n_in);

/* Rearranges `count` rows of n_in values, w_stride bytes apart, into successive panels at `to`. */
void packed_fill(quant_type type, size_t count, size_t n_in, const void *w, size_t w_stride,
                 void *to);

/* The reverse, for one row of n_in values of a packed matrix, as the file had it. */
void packed_row(quant_type type, size_t n_in, const void *packed, size_t row, void *to);

#endif
