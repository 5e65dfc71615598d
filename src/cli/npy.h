/* npy.h - arrays in NumPy's file format 1.0
 * (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): a magic number, a
 * padded line of text that describes the array, the numbers in C order. */
#ifndef CLI_NPY_H
#define CLI_NPY_H

#include "cli/whole_file.h"

#include <stdbool.h>
#include <stddef.h>

/* Head of a little-endian float32 array [rows, columns]. Returns as whole_file_write. */
bool npy_write_head(whole_file *w, size_t rows, size_t columns);

/* One row. */
bool npy_write_row(whole_file *w, const float *row, size_t columns);

#endif
