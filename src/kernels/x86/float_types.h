/* float_types.h - the table's products of F32, F16 and BF16 weights by fma: float_tiles.h with each
 * type's facts.
 *
 * A file that includes this, after float_panels_fma.h, has defined FEW_FLOATS and FEW_BF16, up to
 * how many activation rows `direct` is the fastest; direct_f32, direct_f16, direct_bf16;
 * in_order_f16, fours_f32, fours_f16, fours_bf16, or NULL by these names; and finish.
 */
static void matmul_f32(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                       const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const float_kernel kernel = {
        .few = FEW_FLOATS,
        .w_bytes = 4,
        .x_bytes = 4,
        .step = 32,
        .direct = direct_f32,
        .fours = fours_f32,
        .fill_w = fill_w_f32,
        .fill_x = fill_x_f32,
        .multiply = multiply_floats,
        .finish = finish,
    };
    float_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void matmul_f16(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                       const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const float_kernel kernel = {
        .few = FEW_FLOATS,
        .w_bytes = 2,
        .x_bytes = 4,
        .step = 32,
        .direct = direct_f16,
        .in_order = in_order_f16,
        .fours = fours_f16,
        .fill_w = fill_w_f16,
        .fill_x = fill_x_f32,
        .multiply = multiply_floats,
        .finish = finish,
    };
    float_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}

static void matmul_bf16(size_t n_out, size_t n_row, size_t n_in, const void *w, size_t w_stride,
                        const void *x, size_t x_stride, float *y, size_t y_stride, void *scratch) {
    static const float_kernel kernel = {
        .few = FEW_BF16,
        .w_bytes = 2,
        .x_bytes = 2,
        .step = 32,
        .direct = direct_bf16,
        .fours = fours_bf16,
        .fill_w = fill_w_bf16,
        .fill_x = fill_x_bf16,
        .multiply = multiply_flushed,
        .finish = finish,
    };
    float_matmul(&kernel, n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride, scratch);
}
