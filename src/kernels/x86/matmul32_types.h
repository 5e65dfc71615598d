/* matmul32_types.h - the table's products of the types of 32 values with 8-bit activations:
 * panels.h with each type as a constant.
 *
 * A file that includes this has defined LANES, GROUP and STRETCH, the struct `panel`, and for its
 * vectors fill_panel, panel_times_group and rows_times_one (panels.h says what these do).
 */
#include "kernels/x86/panels.h"

static void fill_q4_0(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS32_Q4_0, w, stride, count, next, to);
}

static void times_q4_0(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS32_Q4_0, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q4_0(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS32_Q4_0, w, stride, n_block, x, y);
}

static void matmul_q4_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         32,        BLOCKS32_Q4_0_BYTES,
                                        STRETCH, sizeof(panel), fill_q4_0, times_q4_0,
                                        one_q4_0};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q4_1(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS32_Q4_1, w, stride, count, next, to);
}

static void times_q4_1(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS32_Q4_1, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q4_1(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS32_Q4_1, w, stride, n_block, x, y);
}

static void matmul_q4_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         32,        BLOCKS32_Q4_1_BYTES,
                                        STRETCH, sizeof(panel), fill_q4_1, times_q4_1,
                                        one_q4_1};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q5_0(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS32_Q5_0, w, stride, count, next, to);
}

static void times_q5_0(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS32_Q5_0, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q5_0(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS32_Q5_0, w, stride, n_block, x, y);
}

static void matmul_q5_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         32,        BLOCKS32_Q5_0_BYTES,
                                        STRETCH, sizeof(panel), fill_q5_0, times_q5_0,
                                        one_q5_0};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q5_1(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS32_Q5_1, w, stride, count, next, to);
}

static void times_q5_1(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS32_Q5_1, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q5_1(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS32_Q5_1, w, stride, n_block, x, y);
}

static void matmul_q5_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         32,        BLOCKS32_Q5_1_BYTES,
                                        STRETCH, sizeof(panel), fill_q5_1, times_q5_1,
                                        one_q5_1};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q8_0(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                      void *to) {
    fill_panel(BLOCKS32_Q8_0, w, stride, count, next, to);
}

static void times_q8_0(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                       float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS32_Q8_0, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_q8_0(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS32_Q8_0, w, stride, n_block, x, y);
}

static void matmul_q8_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,   GROUP,         32,        BLOCKS32_Q8_0_BYTES,
                                        STRETCH, sizeof(panel), fill_q8_0, times_q8_0,
                                        one_q8_0};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_iq4_nl(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                        void *to) {
    fill_panel(BLOCKS32_IQ4_NL, w, stride, count, next, to);
}

static void times_iq4_nl(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                         float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS32_IQ4_NL, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_iq4_nl(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x,
                       float *y) {
    rows_times_one(BLOCKS32_IQ4_NL, w, stride, n_block, x, y);
}

static void matmul_iq4_nl(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                          const void *x, size_t x_stride, float *y, size_t y_stride,
                          void *scratch) {
    static const panel_kernel kernel = {
        LANES,       GROUP,        32,        BLOCKS32_IQ4_NL_BYTES, STRETCH, sizeof(panel),
        fill_iq4_nl, times_iq4_nl, one_iq4_nl};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_mxfp4(const uint8_t *w, size_t stride, size_t count, const uint8_t *next,
                       void *to) {
    fill_panel(BLOCKS32_MXFP4, w, stride, count, next, to);
}

static void times_mxfp4(const void *w, size_t from, size_t count, const q8_rows *x, size_t n_row,
                        float *y, size_t y_stride, uint32_t mask) {
    panel_times_group(BLOCKS32_MXFP4, w, from, count, x, n_row, y, y_stride, lanes_mask(mask));
}

static void one_mxfp4(const uint8_t *w, size_t stride, size_t n_block, const q8_rows *x, float *y) {
    rows_times_one(BLOCKS32_MXFP4, w, stride, n_block, x, y);
}

static void matmul_mxfp4(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                         const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const panel_kernel kernel = {LANES,    GROUP,         32,         BLOCKS32_MXFP4_BYTES,
                                        STRETCH,  sizeof(panel), fill_mxfp4, times_mxfp4,
                                        one_mxfp4};
    panel_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
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
