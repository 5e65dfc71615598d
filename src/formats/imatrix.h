/* imatrix.h - reads importance matrices: how large the inputs of a model's matrices are, column by
 * column, as gathered from a text; to be weighed by when weights are encoded.
 *
 * Two kinds are read, both as llama.cpp's llama-imatrix has written them:
 *
 *   GGUF   general.type = "imatrix", imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size;
 *          for a tensor NAME of the model the tensors NAME.in_sum2, F32 [n_in, m], and NAME.counts,
 *          F32 [1, m]: the sum of the squares of each column's inputs, and over how many rows;
 *          m is 1, or the number of matrices (experts) that the tensor holds
 *   .dat   i32 n;  n times: i32 length, name, i32 calls, i32 n_values, n_values f32, which are mean
 *          squares times `calls` (0: times 1);  then maybe i32 chunks;  then maybe i32 length, the
 *          name of the text. Little-endian, without padding
 */
#ifndef FORMATS_IMATRIX_H
#define FORMATS_IMATRIX_H

#include "base/str.h"
#include "sluice.h"

#include <stdint.h>

/* Read-only once made: any number of threads may ask one. */
typedef struct imatrix imatrix;

/* Reads a file of either kind. What is wrong is refused with the name of the entry or the byte
 * offset: sums that are negative or not finite, counts that are no whole numbers, sums without
 * counts and counts without sums, an entry that is there twice, none at all, truncation, bytes left
 * over. An entry that no row was counted in is as if it were not there. On success the caller ends
 * with imatrix_close. */
SL_CHECK sl_status imatrix_open(const char *path, imatrix **m, sl_error *error);

/* The same from memory, which need not outlive the call. */
SL_CHECK sl_status imatrix_parse(const uint8_t *bytes, size_t size, imatrix **m, sl_error *error);

/* The mean squares of what the columns of a tensor meet, n_in of them, finite and not negative,
 * valid until the matrix is closed. NULL if there is no entry of that name, or none of n_in values.
 * A tensor of several matrices has n_in times their number, one behind the other; those that no row
 * was counted in are all 1. */
const float *imatrix_find(const imatrix *m, str tensor_name, size_t n_in);

typedef struct imatrix_info {
    size_t n_entry;
    uint64_t chunks;   /* of the text; 0: not said */
    uint64_t n_ctx;    /* tokens of a chunk; 0: not said */
    const char *texts; /* names of the texts, ", " between them, "" if not said; NUL-terminated,
                          cut to 255 bytes; any bytes */
} imatrix_info;

/* The text belongs to the matrix. */
void imatrix_get_info(const imatrix *m, imatrix_info *info);

/* Entry number `index`, in the file's order: its name, and how many values it has. */
str imatrix_entry(const imatrix *m, size_t index, size_t *n_values);

/* NULL is allowed. */
void imatrix_close(imatrix *m);

#endif
