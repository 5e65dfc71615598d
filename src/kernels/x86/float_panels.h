/* float_panels.h - panels of the float products, filled and multiplied, for a vector of any width.
 *
 * Included after vec_avx2.h or vec_avx512.h, which say what a `vec` is; float_tiles.h says what
 * panels are for. Everything here is static: each level's file has its own copy.
 *
 * The sixteen sums of a pair of rows are SHARES vectors. With each of them in turn a tile of
 * TILE_ROWS weight rows and FLOAT_GROUP activation rows is multiplied, whose sums and operands
 * just fit into the registers (12 sums of 16 in AVX2, 24 of 32 in AVX-512). So panels are
 *   weights      [tile][share][vector][row of the tile][VEC_WIDTH]
 *   activations  [share][vector][row of the group][VEC_WIDTH]
 */
#ifndef KERNELS_X86_FLOAT_PANELS_H
#define KERNELS_X86_FLOAT_PANELS_H

#include "kernels/x86/float_tiles.h"

enum {
    SHARES = FLOAT_SUMS / VEC_WIDTH,
    TILE_ROWS = FLOAT_ROWS / SHARES,
};

/* How a row in memory becomes steps of two vectors, each in shares. */
typedef struct panel_type {
    size_t bytes; /* of a value */
    size_t step;  /* values */
    vec (*read)(const uint8_t *step, size_t vector, size_t share);
} panel_type;

/* A step of n_row rows, a constant: row r's is at from[r] + at. `share` is the length of one in the
 * panel. */
X86_INLINE void fill_step(const panel_type type, const size_t n_row, const uint8_t *const *from,
                          size_t at, float *to, size_t share) {
    for (size_t r = 0; r < n_row; r++) {
        for (size_t v = 0; v < 2; v++) {
            for (size_t s = 0; s < SHARES; s++) {
                vec_store(to + s * share + (v * n_row + r) * VEC_WIDTH,
                          type.read(from[r] + at, v, s));
            }
        }
    }
}

/* n_row rows, a constant, from the first on; after the last of them it is repeated. */
X86_INLINE void fill_rows(const panel_type type, const bool is_x, const size_t n_row,
                          const float_rows *rows, size_t first, size_t n, float *to) {
    const size_t step_floats = 2 * n_row * VEC_WIDTH;
    const size_t share = (n + type.step - 1) / type.step * step_floats;
    const uint8_t *from[FLOAT_ROWS];
    for (size_t r = 0; r < n_row; r++) {
        from[r] = rows->at + (first + r < rows->count ? first + r : rows->count - 1) * rows->stride;
    }
    size_t at = 0;
    for (; n >= type.step; n -= type.step, at += type.step * type.bytes, to += step_floats) {
        fill_step(type, n_row, from, at, to, share);
    }
    if (n > 0) {
        uint8_t last[FLOAT_ROWS][2 * FLOAT_VECTOR];
        for (size_t r = 0; r < n_row; r++) {
            float_last_step(from[r] + at, n, type.bytes, is_x, last[r]);
            from[r] = last[r];
        }
        fill_step(type, n_row, from, 0, to, share);
    }
}

/* float_fill of weights */
X86_INLINE void fill_weights(const panel_type type, const float_rows *rows, size_t n,
                             uint8_t *panel) {
    float *to = (float *)(void *)panel;
    for (size_t r = 0; r < FLOAT_ROWS; r += TILE_ROWS) {
        fill_rows(type, false, TILE_ROWS, rows, r, n, to);
        to += (n + type.step - 1) / type.step * 2 * TILE_ROWS * FLOAT_SUMS;
    }
}

/* float_fill of activations */
X86_INLINE void fill_group(const panel_type type, const float_rows *rows, size_t n,
                           uint8_t *panel) {
    float *to = (float *)(void *)panel;
    switch (rows->count) {
    case 1:
        fill_rows(type, true, 1, rows, 0, n, to);
        break;
    case 2:
        fill_rows(type, true, 2, rows, 0, n, to);
        break;
    default:
        fill_rows(type, true, 3, rows, 0, n, to);
        break;
    }
}

/* What is done with a vector of each side: one fma, or what an instruction has instead. */
typedef vec panel_add(vec w, vec x, vec sum);

/* v, loaded into a register. Without it GCC loads it again for each use as an operand, and the
 * processor has fewer loads than products a cycle. */
X86_INLINE vec in_register(vec v) {
    __asm__("" : "+v"(v));
    return v;
}

/* A vector of each row of a tile and of each of n_x activation rows. Where registers do not suffice
 * for the sums and both sides, each fma takes its weights from L1. */
X86_INLINE void multiply_vector(panel_add *add, const size_t n_x, const float *w, const float *x,
                                vec sum[TILE_ROWS][FLOAT_GROUP]) {
    if (VEC_COUNT > (TILE_ROWS + 1) * FLOAT_GROUP + 1) {
        vec xs[FLOAT_GROUP];
        for (size_t i = 0; i < n_x; i++) {
            xs[i] = vec_load(x + i * VEC_WIDTH);
        }
        for (size_t r = 0; r < TILE_ROWS; r++) {
            const vec ws = in_register(vec_load(w + r * VEC_WIDTH));
            for (size_t i = 0; i < n_x; i++) {
                sum[r][i] = add(ws, xs[i], sum[r][i]);
            }
        }
        return;
    }
    vec ws[TILE_ROWS];
    for (size_t r = 0; r < TILE_ROWS; r++) {
        ws[r] = vec_load(w + r * VEC_WIDTH);
    }
    for (size_t i = 0; i < n_x; i++) {
        const vec xs = vec_load(x + i * VEC_WIDTH);
        for (size_t r = 0; r < TILE_ROWS; r++) {
            sum[r][i] = add(ws[r], xs, sum[r][i]);
        }
    }
}

/* One share of the sums of a tile and n_x activation rows, a constant; `partial` is that of the
 * tile's first row. Two vectors a turn: with one, the turn costs more than it multiplies. The next
 * group's sums are asked for meanwhile, a line for each vector. */
X86_INLINE void multiply_tile(panel_add *add, const size_t n_x, const float *w, const float *x,
                              size_t vectors, bool first, float *partial) {
    const size_t next_row = FLOAT_ROWS * FLOAT_SUMS;
    vec sum[TILE_ROWS][FLOAT_GROUP];
    for (size_t r = 0; r < TILE_ROWS; r++) {
        for (size_t i = 0; i < n_x; i++) {
            sum[r][i] = first ? vec_all(0) : vec_load(partial + i * next_row + r * FLOAT_SUMS);
        }
    }
    uintptr_t soon = (uintptr_t)(partial + n_x * next_row);
    for (; vectors > 0; vectors -= 2) {
        for (size_t v = 0; v < 2; v++, w += TILE_ROWS * VEC_WIDTH, x += n_x * VEC_WIDTH) {
            __builtin_prefetch((const void *)soon);
            soon += FLOAT_VECTOR;
            multiply_vector(add, n_x, w, x, sum);
        }
    }
    for (size_t r = 0; r < TILE_ROWS; r++) {
        for (size_t i = 0; i < n_x; i++) {
            vec_store(partial + i * next_row + r * FLOAT_SUMS, sum[r][i]);
        }
    }
}

/* A whole panel of weights and a group of n_x activation rows, a constant. */
X86_INLINE void multiply_group(panel_add *add, const size_t n_x, const float *w, const float *x,
                               size_t vectors, bool first, float *partial) {
    for (size_t s = 0; s < SHARES; s++) {
        for (size_t tile = 0; tile < FLOAT_ROWS / TILE_ROWS; tile++) {
            multiply_tile(add, n_x, w + (tile * SHARES + s) * vectors * TILE_ROWS * VEC_WIDTH,
                          x + s * vectors * n_x * VEC_WIDTH, vectors, first,
                          partial + tile * TILE_ROWS * FLOAT_SUMS + s * VEC_WIDTH);
        }
    }
}

/* float_multiply */
X86_INLINE void multiply_by(panel_add *add, const uint8_t *w_panel, const uint8_t *x_panels,
                            size_t n_row, size_t vectors, bool first, float_partial *partial,
                            float_ahead *ahead) {
    const float *w = (const float *)(const void *)w_panel;
    const float *x = (const float *)(const void *)x_panels;
    for (size_t i = 0, group; i < n_row; i += group) {
        group = float_group(n_row - i);
        float_prefetch_share(ahead);
        switch (group) {
        case 1:
            multiply_group(add, 1, w, x, vectors, first, partial[i].s[0]);
            break;
        case 2:
            multiply_group(add, 2, w, x, vectors, first, partial[i].s[0]);
            break;
        default:
            multiply_group(add, 3, w, x, vectors, first, partial[i].s[0]);
            break;
        }
        x += group * vectors * FLOAT_SUMS;
    }
}

#endif
