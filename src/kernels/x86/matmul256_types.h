/* matmul256_types.h - the table's products of the types of 256 values with 8-bit activations:
 * panels.h with each type as a constant.
 *
 * A file that includes this has defined LANES, GROUP and STRETCH, the struct `panel`, and for its
 * vectors fill_panel, panel_times_group and rows_times_one (panels.h says what these do).
 */
#include "kernels/x86/panels.h"

static void fill_q2_k(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS256_Q2_K, w, stride, count, next, to);
}

static void times_q2_k(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS256_Q2_K, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q2_k(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS256_Q2_K, w, stride, n_block, x, y);
}

static void matmul_q2_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         256,       BLOCKS256_Q2_K_BYTES,
                                        STRETCH, sizeof(panel), fill_q2_k, times_q2_k,
                                        one_q2_k};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q3_k(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS256_Q3_K, w, stride, count, next, to);
}

static void times_q3_k(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS256_Q3_K, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q3_k(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS256_Q3_K, w, stride, n_block, x, y);
}

static void matmul_q3_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         256,       BLOCKS256_Q3_K_BYTES,
                                        STRETCH, sizeof(panel), fill_q3_k, times_q3_k,
                                        one_q3_k};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q4_k(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS256_Q4_K, w, stride, count, next, to);
}

static void times_q4_k(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS256_Q4_K, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q4_k(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS256_Q4_K, w, stride, n_block, x, y);
}

static void matmul_q4_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         256,       BLOCKS256_Q4_K_BYTES,
                                        STRETCH, sizeof(panel), fill_q4_k, times_q4_k,
                                        one_q4_k};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q5_k(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS256_Q5_K, w, stride, count, next, to);
}

static void times_q5_k(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS256_Q5_K, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q5_k(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS256_Q5_K, w, stride, n_block, x, y);
}

static void matmul_q5_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         256,       BLOCKS256_Q5_K_BYTES,
                                        STRETCH, sizeof(panel), fill_q5_k, times_q5_k,
                                        one_q5_k};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q6_k(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS256_Q6_K, w, stride, count, next, to);
}

static void times_q6_k(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS256_Q6_K, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q6_k(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS256_Q6_K, w, stride, n_block, x, y);
}

static void matmul_q6_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         256,       BLOCKS256_Q6_K_BYTES,
                                        STRETCH, sizeof(panel), fill_q6_k, times_q6_k,
                                        one_q6_k};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_iq4_xs(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                        void *to) {
    fill_panel(BLOCKS256_IQ4_XS, w, stride, count, next, to);
}

static void times_iq4_xs(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                         float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS256_IQ4_XS, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_iq4_xs(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x,
                       float *y) {
    rows_times_one(BLOCKS256_IQ4_XS, w, stride, n_block, x, y);
}

static void matmul_iq4_xs(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                          const void *x, size_t x_stride, float *y, size_t y_stride,
                          void *scratch) {
    static const panel_kernel kernel = {
        LANES,       GROUP,        256,       BLOCKS256_IQ4_XS_BYTES, STRETCH, sizeof(panel),
        fill_iq4_xs, times_iq4_xs, one_iq4_xs};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
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
