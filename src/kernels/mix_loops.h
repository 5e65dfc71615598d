/* mix_loops.h - kernel_mix for a vector of any width, in tiles of queries by vectors of columns.
 *
 * Included after a file that says what a `vec` is: VEC_WIDTH, vec_all, vec_load, vec_store,
 * vec_load_part, vec_store_part, vec_fma. The including file also defines MIX_INLINE (inline at
 * any price: the loops are worth nothing unless sizes are constants) and MIX_VECS, the vectors
 * that up to six queries keep sums for without running out of registers.
 *
 *                 MIX_VECS vectors of row k of values
 *               [ v0 | v1 ]           loaded (and converted) once for all queries of the tile
 *      w[0][k]  [ sums    ]           each weight is broadcast from memory
 *      w[1][k]  [ sums    ]           one fma for each vector of sums
 *        ...
 */
#ifndef KERNELS_MIX_LOOPS_H
#define KERNELS_MIX_LOOPS_H

#include "kernels/kernels.h"

#include <string.h>

enum { MIX_QUERIES = 6, MIX_WIDEST = 8, MIX_LINE = 64 };

_Static_assert(2 * MIX_VECS <= MIX_WIDEST, "a tile has room for what mix_wide takes");

/* A vector of values from VEC_WIDTH stored ones. */
typedef vec mix_load(const uint8_t *p);

typedef struct mix_operands {
    const float *weights;
    size_t w_stride;
    const uint8_t *values;
    size_t v_stride, ahead;
    float *out;
    size_t out_stride;
    size_t n_value;
    bool add;
} mix_operands;

/* queries by vectors, both constants, from column 0 of the operands. */
MIX_INLINE void mix_tile(mix_load *load, const size_t bytes, const size_t queries,
                         const size_t vectors, const mix_operands *o) {
    vec sum[MIX_QUERIES][MIX_WIDEST];
    for (size_t i = 0; i < queries; i++) {
        for (size_t j = 0; j < vectors; j++) {
            sum[i][j] = o->add ? vec_load(o->out + i * o->out_stride + j * VEC_WIDTH) : vec_all(0);
        }
    }
    const float *weight[MIX_QUERIES];
    for (size_t i = 0; i < queries; i++) {
        weight[i] = o->weights + i * o->w_stride;
    }
    const uint8_t *row = o->values;
    for (size_t k = 0; k < o->n_value; k++, row += o->v_stride) {
        for (size_t at = 0; at < vectors * VEC_WIDTH * bytes; at += MIX_LINE) {
            __builtin_prefetch((const void *)((uintptr_t)row + o->ahead + at));
        }
        vec v[MIX_WIDEST];
        for (size_t j = 0; j < vectors; j++) {
            v[j] = load(row + j * VEC_WIDTH * bytes);
        }
        for (size_t i = 0; i < queries; i++) {
            const vec w = vec_all(weight[i][k]);
            for (size_t j = 0; j < vectors; j++) {
                sum[i][j] = vec_fma(w, v[j], sum[i][j]);
            }
        }
    }
    for (size_t i = 0; i < queries; i++) {
        for (size_t j = 0; j < vectors; j++) {
            vec_store(o->out + i * o->out_stride + j * VEC_WIDTH, sum[i][j]);
        }
    }
}

/* The last n < VEC_WIDTH columns, which no usual head has: one query after the other. */
MIX_INLINE void mix_rest(mix_load *load, const size_t bytes, size_t queries, size_t n,
                         const mix_operands *o) {
    for (size_t i = 0; i < queries; i++) {
        float *out = o->out + i * o->out_stride;
        vec sum = o->add ? vec_load_part(out, n) : vec_all(0);
        for (size_t k = 0; k < o->n_value; k++) {
            uint8_t stored[VEC_WIDTH * sizeof(float)] = {0};
            memcpy(stored, o->values + k * o->v_stride, n * bytes);
            sum = vec_fma(vec_all(o->weights[i * o->w_stride + k]), load(stored), sum);
        }
        vec_store_part(out, sum, n);
    }
}

/* `vectors` vectors of columns, a constant, for all queries: they are shared out evenly over tiles
 * of MIX_QUERIES at most, because eight as 4 + 4 keep the units busier than 6 + 2. */
MIX_INLINE void mix_columns(mix_load *load, const size_t bytes, size_t n_query,
                            const size_t vectors, mix_operands o) {
    for (size_t left = n_query, count; left > 0; left -= count) {
        const size_t tiles = (left + MIX_QUERIES - 1) / MIX_QUERIES;
        count = (left + tiles - 1) / tiles;
        switch (count) {
        case 1:
            mix_tile(load, bytes, 1, vectors, &o);
            break;
        case 2:
            mix_tile(load, bytes, 2, vectors, &o);
            break;
        case 3:
            mix_tile(load, bytes, 3, vectors, &o);
            break;
        case 4:
            mix_tile(load, bytes, 4, vectors, &o);
            break;
        case 5:
            mix_tile(load, bytes, 5, vectors, &o);
            break;
        default:
            mix_tile(load, bytes, MIX_QUERIES, vectors, &o);
            break;
        }
        o.weights += count * o.w_stride;
        o.out += count * o.out_stride;
    }
}

/* All columns that fill `vectors` vectors, a constant, for 1 to 3 queries; returns how many. Few
 * queries take more vectors at once: a sum waits for its last fma, so there must be many. */
MIX_INLINE size_t mix_wide(mix_load *load, const size_t bytes, size_t n_query, const size_t vectors,
                           size_t n, const mix_operands *o) {
    const size_t step = vectors * VEC_WIDTH;
    size_t at = 0;
    for (; at + step <= n; at += step) {
        mix_operands here = *o;
        here.values += at * bytes;
        here.out += at;
        if (n_query == 1) {
            mix_tile(load, bytes, 1, vectors, &here);
        } else if (n_query == 2) {
            mix_tile(load, bytes, 2, vectors, &here);
        } else {
            mix_tile(load, bytes, 3, vectors, &here);
        }
    }
    return at;
}

/* The columns from left to right, in ever narrower tiles. */
MIX_INLINE void mix_with(mix_load *load, const size_t bytes, size_t n_query, size_t n_value,
                         size_t n, const float *weights, size_t w_stride, const void *values,
                         size_t v_stride, size_t ahead, float *out, size_t out_stride, bool add) {
    const mix_operands o = {weights, w_stride,   values,  v_stride, ahead,
                            out,     out_stride, n_value, add};
    size_t at = 0;
    if (n_query == 1) {
        at = mix_wide(load, bytes, 1, MIX_WIDEST, n, &o);
    }
    if (n_query <= 3) {
        mix_operands rest = o;
        rest.values += at * bytes;
        rest.out += at;
        at += mix_wide(load, bytes, n_query, 2 * MIX_VECS, n - at, &rest);
    }
    for (mix_operands here = o; at < n;) {
        here.values = o.values + at * bytes;
        here.out = o.out + at;
        if (n - at >= MIX_VECS * VEC_WIDTH) {
            mix_columns(load, bytes, n_query, MIX_VECS, here);
            at += MIX_VECS * VEC_WIDTH;
        } else if (n - at >= VEC_WIDTH) {
            mix_columns(load, bytes, n_query, 1, here);
            at += VEC_WIDTH;
        } else {
            mix_rest(load, bytes, n_query, n - at, &here);
            at = n;
        }
    }
}

static vec mix_load_f32(const uint8_t *p) {
    return vec_load((const float *)(const void *)p);
}

static void mix_f32(size_t n_query, size_t n_value, size_t n, const float *weights, size_t w_stride,
                    const void *values, size_t v_stride, size_t ahead, float *out,
                    size_t out_stride, bool add) {
    mix_with(mix_load_f32, sizeof(float), n_query, n_value, n, weights, w_stride, values, v_stride,
             ahead, out, out_stride, add);
}

static void mix_f16(size_t n_query, size_t n_value, size_t n, const float *weights, size_t w_stride,
                    const void *values, size_t v_stride, size_t ahead, float *out,
                    size_t out_stride, bool add) {
    mix_with(mix_load_f16, sizeof(uint16_t), n_query, n_value, n, weights, w_stride, values,
             v_stride, ahead, out, out_stride, add);
}

static void mix_bf16(size_t n_query, size_t n_value, size_t n, const float *weights,
                     size_t w_stride, const void *values, size_t v_stride, size_t ahead, float *out,
                     size_t out_stride, bool add) {
    mix_with(mix_load_bf16, sizeof(uint16_t), n_query, n_value, n, weights, w_stride, values,
             v_stride, ahead, out, out_stride, add);
}

static void mix_fill(kernel_table *table) {
    table->mix[QUANT_F32] = mix_f32;
    table->mix[QUANT_F16] = mix_f16;
    table->mix[QUANT_BF16] = mix_bf16;
}

#endif
