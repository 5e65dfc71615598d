/* panels.c - the tile loops of the integer products: over lanes, stretches, groups of activations.
 */
#include "kernels/x86/panels.h"

#include <assert.h>

enum {
    PANELS_BYTES =
        160 << 10, /* of panels kept at a time: they and activations share the L2 cache */
    FEW = 2,       /* activation rows for which filling a panel costs more than it gains */
};

/* As many successive weight rows as there are lanes, and which of them count. The last group of a
 * tile begins early enough to be full; the rows that it shares with the group before are computed
 * twice and not stored. */
typedef struct lane_group {
    size_t first;
    uint32_t mask;
} lane_group;

static lane_group lane_group_of(size_t r, size_t n_out, size_t lanes) {
    const uint32_t all = (1u << lanes) - 1;
    if (n_out < lanes) {
        return (lane_group){0, (1u << n_out) - 1};
    }
    const size_t first = r + lanes <= n_out ? r : n_out - lanes;
    return (lane_group){first, all << (r - first) & all};
}

/* The part of a matrix that a stretch is about. */
typedef struct stretch {
    const uint8_t *w;
    size_t w_stride;
    size_t n_out;
    size_t from; /* blocks */
    size_t count;
} stretch;

/* Copies the blocks of fewer rows than there are lanes, the last row several times. */
static stretch copy_rows(const panel_kernel *kernel, const stretch *s, uint8_t *to) {
    const size_t bytes = s->count * kernel->block_bytes;
    for (size_t l = 0; l < kernel->lanes; l++) {
        memcpy(to + l * bytes, s->w + (l < s->n_out ? l : s->n_out - 1) * s->w_stride, bytes);
    }
    return (stretch){to, bytes, s->n_out, s->from, s->count};
}

static void fill_panels(const panel_kernel *kernel, const stretch *s, uint8_t *panels) {
    for (size_t r = 0; r < s->n_out; r += kernel->lanes, panels += kernel->panel_bytes) {
        const size_t first = lane_group_of(r, s->n_out, kernel->lanes).first;
        const bool last = r + kernel->lanes >= s->n_out;
        const uint8_t *next = last ? s->w + s->count * kernel->block_bytes
                                   : s->w + (first + kernel->lanes) * s->w_stride;
        kernel->fill(s->w + first * s->w_stride, s->w_stride, s->count, next, panels);
    }
}

/* All panels of a stretch are filled together: a few rows of activations then stay in L1 while the
 * panels, which are in L2, go past them. */
static void stretch_times_rows(const panel_kernel *kernel, const stretch *s, const q8_rows *x,
                               size_t n_row, float *y, size_t y_stride, uint8_t *panels) {
    fill_panels(kernel, s, panels);
    for (size_t i = 0; i < n_row; i += kernel->group) {
        const q8_rows group = q8_rows_from(x, i);
        const size_t in_group = n_row - i < kernel->group ? n_row - i : kernel->group;
        const uint8_t *panel = panels;
        for (size_t r = 0; r < s->n_out; r += kernel->lanes, panel += kernel->panel_bytes) {
            const lane_group lanes = lane_group_of(r, s->n_out, kernel->lanes);
            kernel->times(panel, s->from, s->count, &group, in_group,
                          y + i * y_stride + lanes.first, y_stride, lanes.mask);
        }
    }
}

static void rows_times_rows(const panel_kernel *kernel, size_t n_out, size_t n_row, size_t n_block,
                            const uint8_t *w, size_t w_stride, const q8_rows *x, float *y,
                            size_t y_stride, uint8_t *scratch) {
    const size_t copy_bytes = kernel->lanes * kernel->stretch * kernel->block_bytes;
    uint8_t *panels = scratch + (copy_bytes + 63) / 64 * 64;
    for (size_t from = 0; from < n_block; from += kernel->stretch) {
        const size_t left = n_block - from;
        stretch s = {w + from * kernel->block_bytes, w_stride, n_out, from,
                     left < kernel->stretch ? left : kernel->stretch};
        if (n_out < kernel->lanes) {
            s = copy_rows(kernel, &s, scratch);
        }
        stretch_times_rows(kernel, &s, x, n_row, y, y_stride, panels);
    }
}

void panel_matmul(const panel_kernel *kernel, size_t n_out, size_t n_row, size_t n_in,
                  const void *w, size_t w_stride, const void *x, size_t x_stride, float *y,
                  size_t y_stride, void *scratch) {
    assert(n_out > 0 && n_row > 0 && n_in > 0 && n_in % kernel->block_length == 0);
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0 && (uintptr_t)scratch % 64 == 0);
    const q8_rows rows = q8_rows_view(x, x_stride, n_in, kernel->block_length);
    const size_t n_block = n_in / kernel->block_length;
    const uint8_t *w_bytes = w;
    if (n_row <= FEW && n_out >= kernel->lanes) {
        for (size_t r = 0; r < n_out; r += kernel->lanes) {
            const size_t first = lane_group_of(r, n_out, kernel->lanes).first;
            for (size_t i = 0; i < n_row; i++) {
                const q8_rows row = q8_rows_from(&rows, i);
                kernel->one(w_bytes + first * w_stride, w_stride, n_block, &row,
                            y + i * y_stride + first);
            }
        }
        return;
    }
    const size_t at_once = PANELS_BYTES / kernel->panel_bytes * kernel->lanes;
    for (size_t r = 0; r < n_out; r += at_once) {
        const size_t count = n_out - r < at_once ? n_out - r : at_once;
        rows_times_rows(kernel, count, n_row, n_block, w_bytes + r * w_stride, w_stride, &rows,
                        y + r, y_stride, scratch);
    }
}
