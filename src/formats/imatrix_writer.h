/* imatrix_writer.h - writes importance matrices; imatrix.h says what the files look like. */
#ifndef FORMATS_IMATRIX_WRITER_H
#define FORMATS_IMATRIX_WRITER_H

#include "base/str.h"
#include "sluice.h"

#include <stdint.h>

typedef struct imatrix_sums {
    str name;
    size_t n;           /* columns */
    const double *sums; /* of squares */
    uint64_t count;     /* rows, at least 1 */
} imatrix_sums;

/* Gives out the whole file in order. SL_ERR_RUNTIME if a sum is not finite as a float,
 * SL_ERR_ARGUMENT without entries, SL_ERR_CANCELLED if `write` returns false. */
SL_CHECK sl_status imatrix_write(const imatrix_sums *entries, size_t n,
                                 const sl_importance_file *file, sl_write_fn write, void *user,
                                 sl_error *error);

#endif
