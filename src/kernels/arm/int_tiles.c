/* int_tiles.c - the tile loops of the integer products: over chunks, stretches, panels, groups. */
#include "kernels/arm/int_tiles.h"

#include <assert.h>
#include <string.h>

/* Panels and groups that are kept at a time; together they lie in the L2 cache. */
enum { PANELS = 8, GROUPS = 16 };

/* Part of a product: n_out rows of w, n_row rows of x, and where their products go. */
typedef struct part {
    const uint8_t *w;
    size_t w_stride;
    size_t n_out;
    int_rows x;
    size_t n_row;
    float *y;
    size_t y_stride;
} part;

static size_t at_most(size_t n, size_t most) {
    return n < most ? n : most;
}

/* The rows of x from row i on, at most `most`. */
static part part_from_row(const part *p, size_t i, size_t most) {
    part rest = *p;
    rest.x.base += i * p->x.stride;
    rest.n_row = at_most(p->n_row - i, most);
    rest.y += i * p->y_stride;
    return rest;
}

static part part_from_out(const part *p, size_t r, size_t most) {
    part rest = *p;
    rest.w += r * p->w_stride;
    rest.n_out = at_most(p->n_out - r, most);
    rest.y += r;
    return rest;
}

/* Where the first `most` rows of w begin; the last row stands in for those that are missing. */
static void row_starts(const part *p, size_t most, const uint8_t **rows) {
    for (size_t r = 0; r < most; r++) {
        rows[r] = p->w + (r < p->n_out ? r : p->n_out - 1) * p->w_stride;
    }
}

/* ---- without panels -------------------------------------------------------------------------- */

static void straight(const int_kernel *kernel, const part *all, size_t n_block) {
    for (size_t r = 0; r < all->n_out; r += INT_DIRECT_OUT) {
        const part p = part_from_out(all, r, INT_DIRECT_OUT);
        const uint8_t *rows[INT_DIRECT_OUT];
        float tile[INT_DIRECT_ROW][INT_DIRECT_OUT];
        row_starts(&p, INT_DIRECT_OUT, rows);
        kernel->direct(rows, n_block, &p.x, p.n_row, tile);
        for (size_t i = 0; i < p.n_row; i++) {
            memcpy(p.y + i * p.y_stride, tile[i], p.n_out * sizeof(float));
        }
    }
}

/* ---- with panels ----------------------------------------------------------------------------- */

/* Some blocks of all rows, and the memory in which both sides are rearranged. */
typedef struct stretch {
    size_t from, count;
    size_t panel_bytes, group_bytes;
    uint8_t *panels, *groups;
} stretch;

static void fill_panels(const int_kernel *kernel, const part *all, const stretch *s) {
    uint8_t *panel = s->panels;
    for (size_t r = 0; r < all->n_out; r += INT_OUT, panel += s->panel_bytes) {
        const part p = part_from_out(all, r, INT_OUT);
        const uint8_t *rows[INT_OUT];
        row_starts(&p, INT_OUT, rows);
        for (size_t k = 0; k < INT_OUT; k++) {
            rows[k] += s->from * kernel->block_bytes;
        }
        kernel->fill(rows, s->count, panel);
    }
}

static void pack_groups(const int_kernel *kernel, const part *all, const stretch *s) {
    uint8_t *group = s->groups;
    for (size_t i = 0; i < all->n_row; i += INT_ROW, group += s->group_bytes) {
        const part p = part_from_row(all, i, INT_ROW);
        kernel->pack(&p.x, p.n_row, s->from, s->count, group);
    }
}

/* One panel by one group. y holds what the stretches before gave. */
static void panel_by_group(const int_kernel *kernel, const part *p, const stretch *s,
                           const uint8_t *panel, const uint8_t *group) {
    float tile[INT_ROW][INT_OUT] = {{0}};
    if (s->from > 0) {
        for (size_t i = 0; i < p->n_row; i++) {
            memcpy(tile[i], p->y + i * p->y_stride, p->n_out * sizeof(float));
        }
    }
    kernel->times(panel, group, s->count, p->n_row, tile);
    for (size_t i = 0; i < p->n_row; i++) {
        memcpy(p->y + i * p->y_stride, tile[i], p->n_out * sizeof(float));
    }
}

static void panels_by_groups(const int_kernel *kernel, const part *all, const stretch *s) {
    const uint8_t *panel = s->panels;
    for (size_t r = 0; r < all->n_out; r += INT_OUT, panel += s->panel_bytes) {
        const part rows = part_from_out(all, r, INT_OUT);
        const uint8_t *group = s->groups;
        for (size_t i = 0; i < all->n_row; i += INT_ROW, group += s->group_bytes) {
            const part p = part_from_row(&rows, i, INT_ROW);
            panel_by_group(kernel, &p, s, panel, group);
        }
    }
}

/* At most PANELS panels' weight rows, by all rows of x. */
static void chunk(const int_kernel *kernel, const part *all, size_t n_block, uint8_t *scratch) {
    const size_t most = INT_STRETCH / kernel->block_length;
    stretch s = {0, 0, most * kernel->panel_bytes, most * kernel->group_bytes, scratch, scratch};
    s.groups += PANELS * s.panel_bytes;
    assert(PANELS * s.panel_bytes + GROUPS * s.group_bytes <= KERNEL_SCRATCH_BYTES);
    for (; s.from < n_block; s.from += s.count) {
        s.count = at_most(n_block - s.from, most);
        fill_panels(kernel, all, &s);
        for (size_t i = 0; i < all->n_row; i += GROUPS * INT_ROW) {
            const part p = part_from_row(all, i, GROUPS * INT_ROW);
            pack_groups(kernel, &p, &s);
            panels_by_groups(kernel, &p, &s);
        }
    }
}

void int_matmul(const int_kernel *kernel, size_t n_out, size_t n_row, size_t n_in, const void *w,
                size_t w_stride, const void *x, size_t x_stride, float *y, size_t y_stride,
                void *scratch) {
    assert(n_out > 0 && n_row > 0 && n_in > 0 && n_in % kernel->block_length == 0);
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0 && (uintptr_t)scratch % 64 == 0);
    const int_rows rows = {x, x_stride, kernel_q8_scales_at(n_in),
                           kernel_q8_sums_at(n_in, kernel->block_length)};
    const part all = {w, w_stride, n_out, rows, n_row, y, y_stride};
    const size_t n_block = n_in / kernel->block_length;
    if (n_row <= INT_DIRECT_ROW) {
        straight(kernel, &all, n_block);
        return;
    }
    for (size_t r = 0; r < n_out; r += PANELS * INT_OUT) {
        const part p = part_from_out(&all, r, PANELS * INT_OUT);
        chunk(kernel, &p, n_block, scratch);
    }
}
