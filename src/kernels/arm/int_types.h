/* int_types.h - the table's products of quantized weights: int_products.h, which includes this,
 * with each type as a constant.
 */

static void times_plain_32(const void *panel, const void *group, size_t count, size_t n_row,
                           float (*tile)[INT_OUT]) {
    times_32(false, panel, group, count, n_row, tile);
}

static void times_min_32(const void *panel, const void *group, size_t count, size_t n_row,
                         float (*tile)[INT_OUT]) {
    times_32(true, panel, group, count, n_row, tile);
}

static void fill_q4_0(const uint8_t *const *w, size_t count, void *panel) {
    fill_32(BLOCKS32_Q4_0, w, count, panel);
}

static void direct_q4_0(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_32(BLOCKS32_Q4_0, w, n_block, x, n_row, tile);
}

static void matmul_q4_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {32,        Q4_0_BYTES, sizeof(panel_32), sizeof(group_32),
                                      fill_q4_0, pack_32,    times_plain_32,   direct_q4_0};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q4_1(const uint8_t *const *w, size_t count, void *panel) {
    fill_32(BLOCKS32_Q4_1, w, count, panel);
}

static void direct_q4_1(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_32(BLOCKS32_Q4_1, w, n_block, x, n_row, tile);
}

static void matmul_q4_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {32,        Q4_1_BYTES, sizeof(panel_32), sizeof(group_32),
                                      fill_q4_1, pack_32,    times_min_32,     direct_q4_1};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q5_0(const uint8_t *const *w, size_t count, void *panel) {
    fill_32(BLOCKS32_Q5_0, w, count, panel);
}

static void direct_q5_0(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_32(BLOCKS32_Q5_0, w, n_block, x, n_row, tile);
}

static void matmul_q5_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {32,        Q5_0_BYTES, sizeof(panel_32), sizeof(group_32),
                                      fill_q5_0, pack_32,    times_plain_32,   direct_q5_0};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q5_1(const uint8_t *const *w, size_t count, void *panel) {
    fill_32(BLOCKS32_Q5_1, w, count, panel);
}

static void direct_q5_1(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_32(BLOCKS32_Q5_1, w, n_block, x, n_row, tile);
}

static void matmul_q5_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {32,        Q5_1_BYTES, sizeof(panel_32), sizeof(group_32),
                                      fill_q5_1, pack_32,    times_min_32,     direct_q5_1};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q8_0(const uint8_t *const *w, size_t count, void *panel) {
    fill_32(BLOCKS32_Q8_0, w, count, panel);
}

static void direct_q8_0(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_32(BLOCKS32_Q8_0, w, n_block, x, n_row, tile);
}

static void matmul_q8_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {32,        Q8_0_BYTES, sizeof(panel_32), sizeof(group_32),
                                      fill_q8_0, pack_32,    times_plain_32,   direct_q8_0};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_iq4_nl(const uint8_t *const *w, size_t count, void *panel) {
    fill_32(BLOCKS32_IQ4_NL, w, count, panel);
}

static void direct_iq4_nl(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                          float (*tile)[INT_DIRECT_OUT]) {
    direct_32(BLOCKS32_IQ4_NL, w, n_block, x, n_row, tile);
}

static void matmul_iq4_nl(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                          const void *x, size_t x_stride, float *y, size_t y_stride,
                          void *scratch) {
    static const int_kernel kernel = {32,          IQ4_NL_BYTES, sizeof(panel_32), sizeof(group_32),
                                      fill_iq4_nl, pack_32,      times_plain_32,   direct_iq4_nl};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_mxfp4(const uint8_t *const *w, size_t count, void *panel) {
    fill_32(BLOCKS32_MXFP4, w, count, panel);
}

static void direct_mxfp4(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                         float (*tile)[INT_DIRECT_OUT]) {
    direct_32(BLOCKS32_MXFP4, w, n_block, x, n_row, tile);
}

static void matmul_mxfp4(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                         const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {32,         MXFP4_BYTES, sizeof(panel_32), sizeof(group_32),
                                      fill_mxfp4, pack_32,     times_plain_32,   direct_mxfp4};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q2_k(const uint8_t *const *w, size_t count, void *panel) {
    fill_256(BLOCKS256_Q2_K, w, count, panel);
}

static void pack_q2_k(const int_rows *x, size_t n_row, size_t from, size_t count, void *group) {
    pack_256(BLOCKS256_Q2_K, x, n_row, from, count, group);
}

static void times_q2_k(const void *panel, const void *group, size_t count, size_t n_row,
                       float (*tile)[INT_OUT]) {
    times_256(BLOCKS256_Q2_K, panel, group, count, n_row, tile);
}

static void direct_q2_k(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_256(BLOCKS256_Q2_K, w, n_block, x, n_row, tile);
}

static void matmul_q2_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {256,       Q2_K_BYTES, sizeof(panel_256), sizeof(group_256),
                                      fill_q2_k, pack_q2_k,  times_q2_k,        direct_q2_k};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q3_k(const uint8_t *const *w, size_t count, void *panel) {
    fill_256(BLOCKS256_Q3_K, w, count, panel);
}

static void pack_q3_k(const int_rows *x, size_t n_row, size_t from, size_t count, void *group) {
    pack_256(BLOCKS256_Q3_K, x, n_row, from, count, group);
}

static void times_q3_k(const void *panel, const void *group, size_t count, size_t n_row,
                       float (*tile)[INT_OUT]) {
    times_256(BLOCKS256_Q3_K, panel, group, count, n_row, tile);
}

static void direct_q3_k(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_256(BLOCKS256_Q3_K, w, n_block, x, n_row, tile);
}

static void matmul_q3_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {256,       Q3_K_BYTES, sizeof(panel_256), sizeof(group_256),
                                      fill_q3_k, pack_q3_k,  times_q3_k,        direct_q3_k};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q4_k(const uint8_t *const *w, size_t count, void *panel) {
    fill_256(BLOCKS256_Q4_K, w, count, panel);
}

static void pack_q4_k(const int_rows *x, size_t n_row, size_t from, size_t count, void *group) {
    pack_256(BLOCKS256_Q4_K, x, n_row, from, count, group);
}

static void times_q4_k(const void *panel, const void *group, size_t count, size_t n_row,
                       float (*tile)[INT_OUT]) {
    times_256(BLOCKS256_Q4_K, panel, group, count, n_row, tile);
}

static void direct_q4_k(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_256(BLOCKS256_Q4_K, w, n_block, x, n_row, tile);
}

static void matmul_q4_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {256,       Q4_K_BYTES, sizeof(panel_256), sizeof(group_256),
                                      fill_q4_k, pack_q4_k,  times_q4_k,        direct_q4_k};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q5_k(const uint8_t *const *w, size_t count, void *panel) {
    fill_256(BLOCKS256_Q5_K, w, count, panel);
}

static void direct_q5_k(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_256(BLOCKS256_Q5_K, w, n_block, x, n_row, tile);
}

/* Panels are those of Q4_K. */
static void matmul_q5_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {256,       Q5_K_BYTES, sizeof(panel_256), sizeof(group_256),
                                      fill_q5_k, pack_q4_k,  times_q4_k,        direct_q5_k};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_q6_k(const uint8_t *const *w, size_t count, void *panel) {
    fill_256(BLOCKS256_Q6_K, w, count, panel);
}

static void pack_q6_k(const int_rows *x, size_t n_row, size_t from, size_t count, void *group) {
    pack_256(BLOCKS256_Q6_K, x, n_row, from, count, group);
}

static void times_q6_k(const void *panel, const void *group, size_t count, size_t n_row,
                       float (*tile)[INT_OUT]) {
    times_256(BLOCKS256_Q6_K, panel, group, count, n_row, tile);
}

static void direct_q6_k(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                        float (*tile)[INT_DIRECT_OUT]) {
    direct_256(BLOCKS256_Q6_K, w, n_block, x, n_row, tile);
}

static void matmul_q6_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const int_kernel kernel = {256,       Q6_K_BYTES, sizeof(panel_256), sizeof(group_256),
                                      fill_q6_k, pack_q6_k,  times_q6_k,        direct_q6_k};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void fill_iq4_xs(const uint8_t *const *w, size_t count, void *panel) {
    fill_256(BLOCKS256_IQ4_XS, w, count, panel);
}

static void pack_iq4_xs(const int_rows *x, size_t n_row, size_t from, size_t count, void *group) {
    pack_256(BLOCKS256_IQ4_XS, x, n_row, from, count, group);
}

static void times_iq4_xs(const void *panel, const void *group, size_t count, size_t n_row,
                         float (*tile)[INT_OUT]) {
    times_256(BLOCKS256_IQ4_XS, panel, group, count, n_row, tile);
}

static void direct_iq4_xs(const uint8_t *const *w, size_t n_block, const int_rows *x, size_t n_row,
                          float (*tile)[INT_DIRECT_OUT]) {
    direct_256(BLOCKS256_IQ4_XS, w, n_block, x, n_row, tile);
}

static void matmul_iq4_xs(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                          const void *x, size_t x_stride, float *y, size_t y_stride,
                          void *scratch) {
    static const int_kernel kernel = {
        256,         IQ4_XS_BYTES, sizeof(panel_256), sizeof(group_256),
        fill_iq4_xs, pack_iq4_xs,  times_iq4_xs,      direct_iq4_xs};
    int_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void int_products_fill(kernel_table *table) {
    table->matmul[QUANT_Q4_0] = matmul_q4_0;
    table->matmul[QUANT_Q4_1] = matmul_q4_1;
    table->matmul[QUANT_Q5_0] = matmul_q5_0;
    table->matmul[QUANT_Q5_1] = matmul_q5_1;
    table->matmul[QUANT_Q8_0] = matmul_q8_0;
    table->matmul[QUANT_IQ4_NL] = matmul_iq4_nl;
    table->matmul[QUANT_MXFP4] = matmul_mxfp4;
    table->matmul[QUANT_Q2_K] = matmul_q2_k;
    table->matmul[QUANT_Q3_K] = matmul_q3_k;
    table->matmul[QUANT_Q4_K] = matmul_q4_k;
    table->matmul[QUANT_Q5_K] = matmul_q5_k;
    table->matmul[QUANT_Q6_K] = matmul_q6_k;
    table->matmul[QUANT_IQ4_XS] = matmul_iq4_xs;
}
