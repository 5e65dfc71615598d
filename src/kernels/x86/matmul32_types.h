/* matmul32_types.h - the table's products of the types of 32 values with 8-bit activations:
 * file_rows.h with each type as a constant, after LANES and rows_times_one.
 */
enum { BLOCK = 32 };

typedef blocks32 file_blocks;

#include "kernels/x86/file_rows.h"

static void matmul_q4_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS32_Q4_0, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_q4_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS32_Q4_1, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_q5_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS32_Q5_0, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_q5_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS32_Q5_1, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_q8_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS32_Q8_0, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_iq4_nl(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                          const void *x, size_t x_stride, float *y, size_t y_stride,
                          void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS32_IQ4_NL, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

static void matmul_mxfp4(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                         const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    rows_times_rows(BLOCKS32_MXFP4, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride);
}

/* Puts these products into the table. */
X86_INLINE void matmul32_fill_table(kernel_table *table) {
    table->matmul[QUANT_Q4_0] = matmul_q4_0;
    table->matmul[QUANT_Q4_1] = matmul_q4_1;
    table->matmul[QUANT_Q5_0] = matmul_q5_0;
    table->matmul[QUANT_Q5_1] = matmul_q5_1;
    table->matmul[QUANT_Q8_0] = matmul_q8_0;
    table->matmul[QUANT_IQ4_NL] = matmul_iq4_nl;
    table->matmul[QUANT_MXFP4] = matmul_mxfp4;
}
