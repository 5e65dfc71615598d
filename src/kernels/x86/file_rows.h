/* file_rows.h - products with weight rows as the file has them, of which as many are multiplied
 * together as a vector has lanes, by one activation row after the other. Products with many
 * activation rows are packed.h's affair.
 *
 * A file that includes this has defined LANES, BLOCK (values of a block), the struct file_blocks,
 * which describes a type's blocks, and rows_times_one: y[0 .. LANES - 1] = rows of n_block blocks,
 * `stride` bytes apart, times one activation row.
 */
#ifndef KERNELS_X86_FILE_ROWS_H
#define KERNELS_X86_FILE_ROWS_H

#include "kernels/x86/q8_rows.h"

/* Row number l of them, which begins at w + l * stride, gives y[first + l] for l < count. */
typedef struct file_rows {
    const uint8_t *w;
    size_t stride, first, count;
} file_rows;

/* The rows from r on. The last ones of a matrix begin early enough to be as many as there are
 * lanes, some of them being computed twice; of a matrix with fewer rows all lanes take row r, and
 * one of them counts, so that its rows are computed one at a time: *next is where to go on. */
static inline file_rows file_rows_at(const void *w, size_t stride, size_t n_out, size_t r,
                                     size_t *next) {
    const bool whole = n_out >= LANES;
    const size_t first = whole && r + LANES > n_out ? n_out - LANES : r;
    *next = first + (whole ? LANES : 1);
    return (file_rows){(const uint8_t *)w + first * stride, whole ? stride : 0, first,
                       whole ? LANES : 1};
}

/* kernel_matmul for one type, a constant. */
X86_INLINE void rows_times_rows(const file_blocks type, size_t n_out, size_t n_row, size_t n_in,
                                const void *w, size_t w_stride, const void *x, size_t x_stride,
                                float *y, size_t y_stride) {
    const q8_rows rows = q8_rows_view(x, x_stride, n_in, BLOCK);
    for (size_t r = 0, next; r < n_out; r = next) {
        const file_rows lanes = file_rows_at(w, w_stride, n_out, r, &next);
        for (size_t i = 0; i < n_row; i++) {
            float out[LANES];
            const q8_rows row = q8_rows_from(&rows, i);
            rows_times_one(type, lanes.w, lanes.stride, n_in / BLOCK, &row, out);
            memcpy(y + i * y_stride + lanes.first, out, lanes.count * sizeof *y);
        }
    }
}

#endif
