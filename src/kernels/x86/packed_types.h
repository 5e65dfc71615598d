/* packed_types.h - the table's products of packed weights: packed_loops.h, which includes this,
 * with each type and each number of rows as constants, for code of their own.
 */

X86_INLINE void rows32_times(const packed32 type, const packed_blocks *w, const packed_group *x,
                             size_t n_row, float *y, size_t y_stride) {
    if (n_row == ROWS) {
        panel32_times(type, w, x, ROWS, y, y_stride);
    } else if (n_row == 1) {
        panels32_times(type, w, x, y, y_stride);
    } else if (n_row == 2) {
        panel32_times(type, w, x, 2, y, y_stride);
    } else {
        panel32_times(type, w, x, ROWS / 2, y, y_stride);
    }
}

X86_INLINE void rows256_times(const packed256 type, const packed_blocks *w, const packed_group *x,
                              size_t n_row, float *y, size_t y_stride) {
    if (n_row == ROWS) {
        panel256_times(type, w, x, ROWS, y, y_stride);
    } else if (n_row == 1) {
        panel256_times(type, w, x, 1, y, y_stride);
    } else if (n_row == 2) {
        panel256_times(type, w, x, 2, y, y_stride);
    } else {
        panel256_times(type, w, x, ROWS / 2, y, y_stride);
    }
}

static void times_q4_0(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows32_times(PACKED_Q4_0, w, x, n_row, y, y_stride);
}

static void packed_q4_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 32,
        .block_bytes = BLOCKS32_Q4_0_BYTES,
        .offset = 8,
        .times = times_q4_0,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_q4_1(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows32_times(PACKED_Q4_1, w, x, n_row, y, y_stride);
}

static void packed_q4_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 32,
        .block_bytes = BLOCKS32_Q4_1_BYTES,
        .times = times_q4_1,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_q5_0(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows32_times(PACKED_Q5_0, w, x, n_row, y, y_stride);
}

static void expand_q5_0(const packed_blocks *w, uint8_t *to) {
    expand32(PACKED_Q5_0, w, to);
}

static void expanded_times_q5_0(const packed_blocks *w, const packed_group *x, size_t n_row,
                                float *y, size_t y_stride) {
    panel32_times(expanded32(PACKED_Q5_0), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_q5_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 32,
        .block_bytes = BLOCKS32_Q5_0_BYTES,
        .expanded_bytes = EXPANDED32_BYTES,
        .offset = 16,
        .times = times_q5_0,
        .expand = expand_q5_0,
        .expanded_times = expanded_times_q5_0,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_q5_1(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows32_times(PACKED_Q5_1, w, x, n_row, y, y_stride);
}

static void expand_q5_1(const packed_blocks *w, uint8_t *to) {
    expand32(PACKED_Q5_1, w, to);
}

static void expanded_times_q5_1(const packed_blocks *w, const packed_group *x, size_t n_row,
                                float *y, size_t y_stride) {
    panel32_times(expanded32(PACKED_Q5_1), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_q5_1(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 32,
        .block_bytes = BLOCKS32_Q5_1_BYTES,
        .expanded_bytes = EXPANDED32_BYTES,
        .times = times_q5_1,
        .expand = expand_q5_1,
        .expanded_times = expanded_times_q5_1,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_q8_0(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows32_times(PACKED_Q8_0, w, x, n_row, y, y_stride);
}

static void packed_q8_0(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 32,
        .block_bytes = BLOCKS32_Q8_0_BYTES,
        .offset = SIGNED_OFFSET,
        .times = times_q8_0,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_iq4_nl(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                         size_t y_stride) {
    rows32_times(PACKED_IQ4_NL, w, x, n_row, y, y_stride);
}

static void expand_iq4_nl(const packed_blocks *w, uint8_t *to) {
    expand32(PACKED_IQ4_NL, w, to);
}

static void expanded_times_iq4_nl(const packed_blocks *w, const packed_group *x, size_t n_row,
                                  float *y, size_t y_stride) {
    panel32_times(expanded32(PACKED_IQ4_NL), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_iq4_nl(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                          const void *x, size_t x_stride, float *y, size_t y_stride,
                          void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 32,
        .block_bytes = BLOCKS32_IQ4_NL_BYTES,
        .expanded_bytes = EXPANDED32_BYTES,
        .offset = SIGNED_OFFSET,
        .times = times_iq4_nl,
        .expand = expand_iq4_nl,
        .expanded_times = expanded_times_iq4_nl,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_mxfp4(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                        size_t y_stride) {
    rows32_times(PACKED_MXFP4, w, x, n_row, y, y_stride);
}

static void expand_mxfp4(const packed_blocks *w, uint8_t *to) {
    expand32(PACKED_MXFP4, w, to);
}

static void expanded_times_mxfp4(const packed_blocks *w, const packed_group *x, size_t n_row,
                                 float *y, size_t y_stride) {
    panel32_times(expanded32(PACKED_MXFP4), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_mxfp4(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                         const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 32,
        .block_bytes = BLOCKS32_MXFP4_BYTES,
        .expanded_bytes = EXPANDED32_BYTES,
        .offset = 12,
        .times = times_mxfp4,
        .expand = expand_mxfp4,
        .expanded_times = expanded_times_mxfp4,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_q2_k(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows256_times(PACKED_Q2_K, w, x, n_row, y, y_stride);
}

static void expand_q2_k(const packed_blocks *w, uint8_t *to) {
    expand256(PACKED_Q2_K, w, to);
}

static void expanded_times_q2_k(const packed_blocks *w, const packed_group *x, size_t n_row,
                                float *y, size_t y_stride) {
    panel256_times(expanded256(PACKED_Q2_K), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_q2_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 256,
        .block_bytes = BLOCKS256_Q2_K_BYTES,
        .expanded_bytes = EXPANDED256_BYTES,
        .group = 16,
        .times = times_q2_k,
        .expand = expand_q2_k,
        .expanded_times = expanded_times_q2_k,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_q3_k(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows256_times(PACKED_Q3_K, w, x, n_row, y, y_stride);
}

static void expand_q3_k(const packed_blocks *w, uint8_t *to) {
    expand256(PACKED_Q3_K, w, to);
}

static void expanded_times_q3_k(const packed_blocks *w, const packed_group *x, size_t n_row,
                                float *y, size_t y_stride) {
    panel256_times(expanded256(PACKED_Q3_K), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_q3_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 256,
        .block_bytes = BLOCKS256_Q3_K_BYTES,
        .expanded_bytes = EXPANDED256_BYTES,
        .group = 16,
        .times = times_q3_k,
        .expand = expand_q3_k,
        .expanded_times = expanded_times_q3_k,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_q4_k(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows256_times(PACKED_Q4_K, w, x, n_row, y, y_stride);
}

static void expand_q4_k(const packed_blocks *w, uint8_t *to) {
    expand256(PACKED_Q4_K, w, to);
}

static void expanded_times_q4_k(const packed_blocks *w, const packed_group *x, size_t n_row,
                                float *y, size_t y_stride) {
    panel256_times(expanded256(PACKED_Q4_K), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_q4_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 256,
        .block_bytes = BLOCKS256_Q4_K_BYTES,
        .expanded_bytes = EXPANDED256_BYTES,
        .group = 32,
        .times = times_q4_k,
        .expand = expand_q4_k,
        .expanded_times = expanded_times_q4_k,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_q5_k(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows256_times(PACKED_Q5_K, w, x, n_row, y, y_stride);
}

static void expand_q5_k(const packed_blocks *w, uint8_t *to) {
    expand256(PACKED_Q5_K, w, to);
}

static void expanded_times_q5_k(const packed_blocks *w, const packed_group *x, size_t n_row,
                                float *y, size_t y_stride) {
    panel256_times(expanded256(PACKED_Q5_K), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_q5_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 256,
        .block_bytes = BLOCKS256_Q5_K_BYTES,
        .expanded_bytes = EXPANDED256_BYTES,
        .group = 32,
        .times = times_q5_k,
        .expand = expand_q5_k,
        .expanded_times = expanded_times_q5_k,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_q6_k(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                       size_t y_stride) {
    rows256_times(PACKED_Q6_K, w, x, n_row, y, y_stride);
}

static void expand_q6_k(const packed_blocks *w, uint8_t *to) {
    expand256(PACKED_Q6_K, w, to);
}

static void expanded_times_q6_k(const packed_blocks *w, const packed_group *x, size_t n_row,
                                float *y, size_t y_stride) {
    panel256_times(expanded256(PACKED_Q6_K), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_q6_k(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 256,
        .block_bytes = BLOCKS256_Q6_K_BYTES,
        .expanded_bytes = EXPANDED256_BYTES,
        .group = 16,
        .times = times_q6_k,
        .expand = expand_q6_k,
        .expanded_times = expanded_times_q6_k,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void times_iq4_xs(const packed_blocks *w, const packed_group *x, size_t n_row, float *y,
                         size_t y_stride) {
    rows256_times(PACKED_IQ4_XS, w, x, n_row, y, y_stride);
}

static void expand_iq4_xs(const packed_blocks *w, uint8_t *to) {
    expand256(PACKED_IQ4_XS, w, to);
}

static void expanded_times_iq4_xs(const packed_blocks *w, const packed_group *x, size_t n_row,
                                  float *y, size_t y_stride) {
    panel256_times(expanded256(PACKED_IQ4_XS), w, x, ROWS, y, y_stride);
    (void)n_row;
}

static void packed_iq4_xs(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                          const void *x, size_t x_stride, float *y, size_t y_stride,
                          void *scratch) {
    static const packed_kernel kernel = {
        .rows = ROWS,
        .block_length = 256,
        .block_bytes = BLOCKS256_IQ4_XS_BYTES,
        .expanded_bytes = EXPANDED256_BYTES,
        .group = 32,
        .times = times_iq4_xs,
        .expand = expand_iq4_xs,
        .expanded_times = expanded_times_iq4_xs,
    };
    packed_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

/* Puts these products into the table. */
X86_INLINE void packed_fill_table(kernel_table *table) {
    table->matmul_packed[QUANT_Q4_0] = packed_q4_0;
    table->matmul_packed[QUANT_Q4_1] = packed_q4_1;
    table->matmul_packed[QUANT_Q5_0] = packed_q5_0;
    table->matmul_packed[QUANT_Q5_1] = packed_q5_1;
    table->matmul_packed[QUANT_Q8_0] = packed_q8_0;
    table->matmul_packed[QUANT_IQ4_NL] = packed_iq4_nl;
    table->matmul_packed[QUANT_MXFP4] = packed_mxfp4;
    table->matmul_packed[QUANT_Q2_K] = packed_q2_k;
    table->matmul_packed[QUANT_Q3_K] = packed_q3_k;
    table->matmul_packed[QUANT_Q4_K] = packed_q4_k;
    table->matmul_packed[QUANT_Q5_K] = packed_q5_k;
    table->matmul_packed[QUANT_Q6_K] = packed_q6_k;
    table->matmul_packed[QUANT_IQ4_XS] = packed_iq4_xs;
}
