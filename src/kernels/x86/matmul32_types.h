/* matmul32_types.h - the table's products of the types of 32 values with 8-bit activations, with
 * each type as a constant.
 *
 * A file that includes this has defined LANES, the weight rows that its vectors hold, and
 * rows_times_one: y[0 .. LANES - 1] = rows of n_block blocks, `stride` bytes apart, times one
 * activation row. Products with many activation rows are packed.h's affair.
 */
#include "kernels/x86/file_rows.h"

/* kernel_matmul for rows as the file has them. */
X86_INLINE void rows_times_rows(const blocks32 type, size_t n_out, size_t n_row, size_t n_in,
                                const void *w, size_t w_stride, const void *x, size_t x_stride,
                                float *y, size_t y_stride) {
    const q8_rows rows = q8_rows_view(x, x_stride, n_in, 32);
    for (size_t r = 0, next; r < n_out; r = next) {
        const file_rows lanes = file_rows_at(w, w_stride, n_out, r, LANES, &next);
        for (size_t i = 0; i < n_row; i++) {
            float out[LANES];
            const q8_rows row = q8_rows_from(&rows, i);
            rows_times_one(type, lanes.w, lanes.stride, n_in / 32, &row, out);
            memcpy(y + i * y_stride + lanes.first, out, lanes.count * sizeof *y);
        }
    }
}

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
