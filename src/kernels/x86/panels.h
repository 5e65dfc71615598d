/* panels.h - the tile loops that all integer products of x86 over rows of the file share.
 *
 * A vector's lanes are weight rows: 8 or 16 of them ("lanes"). One or two activation rows go
 * straight over the file's blocks. For more of them a stretch of the rows' blocks is first
 * rearranged into a panel, where the same bytes of all lanes lie together and meet a broadcast
 * piece of x. What a panel looks like is each kernel's affair.
 */
#ifndef KERNELS_X86_PANELS_H
#define KERNELS_X86_PANELS_H

#include "kernels/x86/q8_rows.h"

/* Rearranges `count` blocks of as many rows as there are lanes, and prefetches those that come
 * `next` (same stride; an address that need not be readable). */
typedef void panel_fill(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                        void *panel);

/* Adds to y[i * y_stride + lane] the products of a panel, whose first block is block `from` of its
 * rows, and n_row activation rows, 1 to `group`. from == 0: y counts as zero. Reads and writes only
 * the lanes in the mask. */
typedef void panel_times(const void *panel, size_t from, size_t count, const q8_rows *x,
                         size_t n_row, float *y, size_t y_stride, uint32_t mask);

/* y[0 .. lanes - 1] = rows of n_block blocks times one activation row. */
typedef void panel_one(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y);

typedef struct panel_kernel {
    size_t lanes;
    size_t group; /* activation rows that share a pass over a panel */
    size_t block_length;
    size_t block_bytes;
    size_t stretch;     /* most blocks of a panel */
    size_t panel_bytes; /* a multiple of 64 */
    panel_fill *fill;
    panel_times *times;
    panel_one *one;
} panel_kernel;

/* kernel_matmul by way of `kernel`. */
void panel_matmul(const panel_kernel *kernel, size_t n_out, size_t n_row, size_t n_in,
                  const void *w, size_t w_stride, const void *x, size_t x_stride, float *y,
                  size_t y_stride, void *scratch);

#endif
