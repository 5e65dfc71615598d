/* float_tiles.c - the tile loops of the float products: over weights, activations and stretches. */
#include "kernels/x86/float_tiles.h"

#include <assert.h>

enum {
    CHUNK = 64, /* weight rows and activation rows whose partial sums are kept at a time */
};

typedef struct workspace {
    float_partial partial[CHUNK / FLOAT_ROWS][CHUNK]; /* [weight rows][activation row] */
    uint8_t panel[1 << 16];
} workspace;

_Static_assert(sizeof(workspace) <= KERNEL_SCRATCH_BYTES, "it fits into the scratch");

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The operands of a product, as float_matmul has them; or a part of them. */
typedef struct operands {
    size_t n_out, n_row, n_in;
    const uint8_t *w;
    size_t w_stride;
    const uint8_t *x;
    size_t x_stride;
    float *y;
    size_t y_stride;
} operands;

/* A few activation rows: the weights are used as they come. The last group of rows begins
 * early enough to be full, and has some products computed twice. */
static void times_few(const float_kernel *kernel, const operands *o, workspace *work) {
    for (size_t r = 0; r < o->n_out; r += FLOAT_ROWS) {
        const size_t first = least(r, o->n_out - FLOAT_ROWS);
        for (size_t i = 0; i < o->n_row; i += kernel->group) {
            kernel->direct(o->w + first * o->w_stride, o->w_stride, o->n_in, o->x + i * o->x_stride,
                           o->x_stride, least(kernel->group, o->n_row - i), true,
                           &work->partial[0][i]);
        }
        for (size_t i = 0; i < o->n_row; i++) {
            kernel->finish(&work->partial[0][i], FLOAT_ROWS, o->y + i * o->y_stride + first);
        }
    }
}

/* Values k to k + n of at most CHUNK weight rows and CHUNK activation rows. */
static void add_stretch(const float_kernel *kernel, const operands *o, size_t k, size_t n,
                        workspace *work) {
    for (size_t r = 0; r < o->n_out; r += FLOAT_ROWS) {
        kernel->fill(o->w + r * o->w_stride + k * kernel->w_bytes, o->w_stride, o->n_out - r, n,
                     work->panel, kernel->panel_stride);
        for (size_t i = 0; i < o->n_row; i += kernel->group) {
            kernel->panel(work->panel, kernel->panel_stride, n,
                          o->x + i * o->x_stride + k * kernel->x_bytes, o->x_stride,
                          least(kernel->group, o->n_row - i), k == 0,
                          &work->partial[r / FLOAT_ROWS][i]);
        }
    }
}

static void times_chunk(const float_kernel *kernel, const operands *o, workspace *work) {
    for (size_t k = 0; k < o->n_in; k += kernel->stretch) {
        add_stretch(kernel, o, k, least(kernel->stretch, o->n_in - k), work);
    }
    for (size_t i = 0; i < o->n_row; i++) {
        for (size_t r = 0; r < o->n_out; r += FLOAT_ROWS) {
            kernel->finish(&work->partial[r / FLOAT_ROWS][i], least(FLOAT_ROWS, o->n_out - r),
                           o->y + i * o->y_stride + r);
        }
    }
}

void float_matmul(const float_kernel *kernel, size_t n_out, size_t n_row, size_t n_in,
                  const void *w, size_t w_stride, const void *x, size_t x_stride, float *y,
                  size_t y_stride, void *scratch) {
    assert(n_out > 0 && n_row > 0 && n_in > 0);
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0 && (uintptr_t)scratch % 64 == 0);
    assert(kernel->panel_stride * FLOAT_ROWS <= sizeof((workspace *)scratch)->panel);
    operands o = {n_out, n_row, n_in, w, w_stride, x, x_stride, y, y_stride};
    if (n_row <= kernel->few && n_out >= FLOAT_ROWS) {
        times_few(kernel, &o, scratch);
        return;
    }
    for (size_t i = 0; i < n_row; i += CHUNK) {
        o.n_row = least(CHUNK, n_row - i);
        o.x = (const uint8_t *)x + i * x_stride;
        for (size_t r = 0; r < n_out; r += CHUNK) {
            o.n_out = least(CHUNK, n_out - r);
            o.w = (const uint8_t *)w + r * w_stride;
            o.y = y + i * y_stride + r;
            times_chunk(kernel, &o, scratch);
        }
    }
}
