/* file_rows.h - which weight rows, as the file has them, are multiplied together: as many as a
 * vector has lanes.
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
                                     size_t lanes, size_t *next) {
    const bool whole = n_out >= lanes;
    const size_t first = whole && r + lanes > n_out ? n_out - lanes : r;
    *next = first + (whole ? lanes : 1);
    return (file_rows){(const uint8_t *)w + first * stride, whole ? stride : 0, first,
                       whole ? lanes : 1};
}

#endif
