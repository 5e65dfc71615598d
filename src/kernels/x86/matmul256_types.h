/* matmul256_types.h - the table's products of the types of 256 values with 8-bit activations:
 * file_rows.h with each type as a constant, after LANES and rows_times_one.
 */
enum { BLOCK = 256 };

typedef blocks256 file_blocks;

#include "kernels/x86/file_rows.h"

static void matmul_q2_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS256_Q2_K, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_q3_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS256_Q3_K, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_q4_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS256_Q4_K, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_q5_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS256_Q5_K, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_q6_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS256_Q6_K, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_iq4_xs(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                          const void *x, size_t x_stride, float *y, size_t y_stride,
                          void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS256_IQ4_XS, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

/* Puts these products into the table. */
X86_INLINE void matmul256_fill_table(kernel_table *table) {
    table->matmul[QUANT_Q2_K] = matmul_q2_k;
    table->matmul[QUANT_Q3_K] = matmul_q3_k;
    table->matmul[QUANT_Q4_K] = matmul_q4_k;
    table->matmul[QUANT_Q5_K] = matmul_q5_k;
    table->matmul[QUANT_Q6_K] = matmul_q6_k;
    table->matmul[QUANT_IQ4_XS] = matmul_iq4_xs;
}
