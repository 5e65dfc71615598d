/* float_tiles.c - the tile loops of the float products: over weights, activations and stretches. */
#include "kernels/x86/float_tiles.h"

#include <assert.h>

enum {
    CHUNK_W = 128,    /* weight rows whose partial sums are kept at a time, */
    CHUNK_X = 96,     /* and activation rows */
    ROW_VECTORS = 32, /* of a row in a panel, at most */
    ROW_BYTES = ROW_VECTORS * FLOAT_VECTOR,
    FEW_BYTES = 640 << 10, /* of activations that stay in L2 beside weights, which pass through */
    /* Of many activation rows that meet weights as they lie, as measured on Zen 4: */
    MOST_GROUPS = 4,         /* at a time, */
    MANY_BYTES = 400 << 10,  /* if they are no more than this, */
    GROUP_BYTES = 544 << 10, /* and one with four weight rows than this; else panels are faster */
};

typedef struct workspace {
    float_partial partial[CHUNK_W / FLOAT_ROWS][CHUNK_X]; /* [weight rows][activation row] */
    uint8_t w_panel[FLOAT_ROWS * ROW_BYTES];
    uint8_t x_panels[CHUNK_X * ROW_BYTES];
} workspace;

_Static_assert(sizeof(workspace) <= KERNEL_SCRATCH_BYTES, "it fits into the scratch");

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The operands of a product, as float_matmul has them; or a part of them. */
typedef struct operands {
    size_t n_in;
    float_rows w, x;
    float *y;
    size_t y_stride;
} operands;

/* `count` rows from row `first` on, without the values before the k-th. */
static float_rows part_of(const float_rows *rows, size_t first, size_t count, size_t k_bytes) {
    if (count == 0) { /* there may be no address to count from */
        return (float_rows){0};
    }
    return (float_rows){rows->at + first * rows->stride + k_bytes, rows->stride, count};
}

/* Eight weight rows and all activation rows; products of number r go to y + at[r]. */
static void times_eight(const float_kernel *kernel, const operands *o, float_eight w,
                        const size_t *at, workspace *work) {
    kernel->direct(w, o->n_in, o->x.at, o->x.stride, o->x.count, work->partial[0]);
    for (size_t i = 0; i < o->x.count; i++) {
        float y[FLOAT_ROWS];
        kernel->finish(&work->partial[0][i], FLOAT_ROWS, y);
        for (size_t r = 0; r < FLOAT_ROWS; r++) {
            o->y[i * o->y_stride + at[r]] = y[r];
        }
    }
}

/* A few activation rows: the weights are used as they come, two rows of each quarter at a time.
 * What is left behind whole eights is computed with rows before it, a second time. */
static void times_few(const float_kernel *kernel, const operands *o, workspace *work) {
    const size_t stride = o->w.stride, eights = o->w.count / FLOAT_ROWS, quarter = 2 * eights;
    size_t at[FLOAT_ROWS];
    for (size_t r = 0; r < quarter; r += 2) {
        for (size_t k = 0; k < FLOAT_ROWS; k++) {
            at[k] = r + k % 4 * quarter + k / 4;
        }
        const float_eight w = {o->w.at + r * stride, quarter * stride, stride, 2 * stride};
        times_eight(kernel, o, w, at, work);
    }
    if (o->w.count % FLOAT_ROWS > 0) {
        const size_t first = o->w.count - FLOAT_ROWS;
        for (size_t k = 0; k < FLOAT_ROWS; k++) {
            at[k] = first + k;
        }
        const float_eight w = {o->w.at + first * stride, stride, 4 * stride, 0};
        times_eight(kernel, o, w, at, work);
    }
}

/* More of them, as many at a time as stay in L2, in parts of the same size but for a row, so
 * that none has fewer than three. The first part finds no weights in a cache. The last four rows of
 * weights may be computed a second time. */
static void times_many(const float_kernel *kernel, const operands *o) {
    const size_t count = o->x.count, stride = o->w.stride;
    const size_t fit = MANY_BYTES / o->x.stride / FLOAT_SIX;
    const size_t groups = fit == 0 ? 1 : least(fit, MOST_GROUPS);
    size_t parts = (count + groups * FLOAT_SIX - 1) / (groups * FLOAT_SIX);
    for (size_t i = 0, n; i < count; i += n, parts--) {
        n = (count - i + parts - 1) / parts;
        for (size_t k = 0; k < o->w.count; k += 4) {
            const size_t r = least(k, o->w.count - 4);
            const float_four w = {o->w.at + r * stride, stride, i == 0 ? 4 * stride : 0};
            kernel->fours(&w, o->n_in, o->x.at + i * o->x.stride, o->x.stride, n,
                          o->y + i * o->y_stride + r, o->y_stride);
        }
    }
}

/* Whether many activation rows are best met as they lie, too. */
static bool many_fit(const float_kernel *kernel, const operands *o) {
    return kernel->fours && o->x.count > 2 &&
           least(FLOAT_SIX, o->x.count) * o->x.stride + 4 * o->w.stride <= GROUP_BYTES;
}

/* n values of some rows, as lines to prefetch. */
static float_lines lines_of(const float_rows *rows, size_t n, size_t bytes) {
    const size_t per_row = (n * bytes + 63) / 64;
    return (float_lines){rows->at, rows->stride, per_row, 0, per_row * rows->count};
}

/* The part of a chunk that panels hold: values k to k + n of its rows. */
typedef struct stretch {
    size_t k, n;
    float_rows w, x;
} stretch;

static stretch stretch_at(const float_kernel *kernel, const operands *o, size_t k) {
    const size_t most = ROW_VECTORS / 2 * kernel->step;
    return (stretch){k, least(most, o->n_in - k),
                     part_of(&o->w, 0, o->w.count, k * kernel->w_bytes),
                     part_of(&o->x, 0, o->x.count, k * kernel->x_bytes)};
}

/* Adds the products of a stretch of at most CHUNK_W weight rows and CHUNK_X activation rows. `next`
 * is the one after it, or has no rows. */
static void add_stretch(const float_kernel *kernel, const operands *o, const stretch *now,
                        const stretch *next, workspace *work) {
    const size_t vectors = (now->n + kernel->step - 1) / kernel->step * 2;
    for (size_t i = 0, group; i < now->x.count; i += group) {
        group = float_group(now->x.count - i);
        const float_rows x = part_of(&now->x, i, group, 0);
        kernel->fill_x(&x, now->n, work->x_panels + i * vectors * FLOAT_VECTOR);
    }
    const size_t panels = (now->w.count + FLOAT_ROWS - 1) / FLOAT_ROWS;
    const size_t groups = now->x.count / FLOAT_GROUP + 1;
    float_ahead ahead = {.x = lines_of(&next->x, next->n, kernel->x_bytes)};
    ahead.x_share = ahead.x.lines / (panels * groups) + 1;
    for (size_t r = 0; r < now->w.count; r += FLOAT_ROWS) {
        const float_rows w = part_of(&now->w, r, least(FLOAT_ROWS, now->w.count - r), 0);
        const bool is_last = r + FLOAT_ROWS >= now->w.count;
        const stretch *after = is_last ? next : now;
        const size_t first = is_last ? 0 : r + FLOAT_ROWS;
        const float_rows w_next =
            part_of(&after->w, first, least(FLOAT_ROWS, after->w.count - first), 0);
        ahead.w = lines_of(&w_next, after->n, kernel->w_bytes);
        ahead.w_share = ahead.w.lines / groups + 1;
        float_partial *partial = work->partial[r / FLOAT_ROWS];
        kernel->fill_w(&w, now->n, work->w_panel);
        kernel->multiply(work->w_panel, work->x_panels, now->x.count, vectors, now->k == 0, partial,
                         &ahead);
        for (size_t i = 0; i < now->x.count && now->k + now->n == o->n_in; i++) {
            kernel->finish(&partial[i], w.count, o->y + i * o->y_stride + r);
        }
    }
}

/* A chunk of rows of both; `after` is the chunk after it, or has no rows. */
static void times_chunk(const float_kernel *kernel, const operands *o, const operands *after,
                        workspace *work) {
    stretch now = stretch_at(kernel, o, 0);
    while (now.n > 0) {
        const size_t k = now.k + now.n;
        const stretch next = k < o->n_in ? stretch_at(kernel, o, k) : stretch_at(kernel, after, 0);
        add_stretch(kernel, o, &now, &next, work);
        now = k < o->n_in ? next : (stretch){0};
    }
}

/* The chunk whose first activation row is i and whose first weight row is r, or none. */
static operands chunk_at(const operands *all, size_t i, size_t r) {
    return (operands){all->n_in, part_of(&all->w, r, least(CHUNK_W, all->w.count - r), 0),
                      part_of(&all->x, i, least(CHUNK_X, all->x.count - i), 0),
                      all->y + i * all->y_stride + r, all->y_stride};
}

void float_matmul(const float_kernel *kernel, size_t n_out, size_t n_row, size_t n_in,
                  const void *w, size_t w_stride, const void *x, size_t x_stride, float *y,
                  size_t y_stride, void *scratch) {
    assert(n_out > 0 && n_row > 0 && n_in > 0 && kernel->few <= CHUNK_X);
    assert((uintptr_t)x % 64 == 0 && x_stride % 64 == 0 && (uintptr_t)scratch % 64 == 0);
    const operands all = {n_in, {w, w_stride, n_out}, {x, x_stride, n_row}, y, y_stride};
    if (n_row == 1 && kernel->in_order) {
        kernel->in_order(&all.w, n_in, x, y);
        return;
    }
    if (n_out >= FLOAT_ROWS && n_row <= least(kernel->few, FEW_BYTES / x_stride)) {
        times_few(kernel, &all, scratch);
        return;
    }
    if (n_out >= FLOAT_ROWS && many_fit(kernel, &all)) {
        times_many(kernel, &all);
        return;
    }
    size_t i = 0, r = 0;
    while (i < n_row) {
        const operands chunk = chunk_at(&all, i, r);
        r += CHUNK_W;
        if (r >= n_out) {
            r = 0;
            i += CHUNK_X;
        }
        const operands after = i < n_row ? chunk_at(&all, i, r) : (operands){0};
        times_chunk(kernel, &chunk, &after, scratch);
    }
}
