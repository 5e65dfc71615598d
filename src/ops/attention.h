/* attention.h - softmax(cap(scale q K^T)) V over paged keys and values.
 *
 * A query times `scale`, rounded, is what meets the keys. A score is one sum, which begins with +0
 * and takes the head's dimensions by fma, ascending. Where there is a cap, it then goes through
 * soft_cap (kernels.h). With `alibi` it then becomes fma(slope, key's position - p, score); the
 * difference is exact up to 2^24 and beyond that rounded as add_ramp does from the first key of a
 * part that the row sees. The keys that a row at position p sees,
 * [max(0, p + 1 - window), p], are cut into parts at absolute multiples of ATTENTION_PART. Within a
 * part: m = largest score, weights kernel_weight(score - m), l = their sum16, o = sum of weight *
 * value, keys left to right by fma from +0. Beginning with M = -inf, L = 0, O = 0, parts are merged
 * left to right: with M' the larger of M and m, a = exp(M - M'), b = exp(m - M'):
 * O = fma(b, o, a * O), L = fma(b, l, a * L). The result is O * (1 / L). So the bits depend on the
 * row alone, not on the other rows, on pages, or on threads.
 * Source of the merging: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
 *
 * In page p, head h, there are keys at pool + p * page_bytes + k_offset + h * ATTENTION_PAGE * row
 * bytes, and values likewise at v_offset:
 *
 *   keys of F32, F16, BF16     value d of position i at [d][i]: lanes of a vector are positions,
 *                              so that scores need neither trees nor transposition
 *   keys of the block types    [i][blocks of a row]
 *   values of all types        [i][d]: lanes are dimensions
 *
 * Work is cut into items of (block of rows, key head), the latest rows first because they see the
 * most. Where there are too few of them for the team, each is cut further into chunks of parts:
 * what a part comes to is kept in shared memory, and whoever finishes an item's last chunk merges
 * its parts, in order.
 */
#ifndef OPS_ATTENTION_H
#define OPS_ATTENTION_H

#include "kernels/kernels.h"
#include "ops/team.h"

enum {
    ATTENTION_PAGE = 32,     /* positions of a page of the cache */
    ATTENTION_PART = 256,    /* a multiple of the page */
    ATTENTION_QUERIES = 192, /* most queries taken together, where a row's group is no larger */
};

/* A row of the batch: where it stands, and its sequence's pages by position / ATTENTION_PAGE. */
typedef struct attention_row {
    size_t position;
    size_t sequence;
    const uint32_t *pages;
} attention_row;

/* A run of rows of one sequence at consecutive positions. */
typedef struct attention_block {
    size_t first, count;
} attention_block;

/* Room for what parts come to, used by all members at once. */
typedef struct attention_shared {
    float *parts; /* 64-byte aligned */
    size_t n_float;
    _Atomic uint32_t *finished; /* chunks of each item; zeros between runs */
    size_t n_item;
} attention_shared;

typedef struct attention_args {
    const kernel_table *kernels;
    const attention_row *rows;
    const attention_block *blocks;
    size_t n_block;
    const float *q; /* [row][q_stride], head h at h * q_step */
    size_t q_stride, q_step;
    float *out; /* [row][out_stride], head h at h * head_v */
    size_t out_stride;
    size_t n_head, n_head_kv, head_k, head_v, window;
    float scale;
    float soft_cap; /* 0: none */
    bool alibi;
    quant_type type_k, type_v;
    const uint8_t *pool;
    size_t page_bytes, k_offset, v_offset;
    size_t n_member;
    attention_shared shared;
} attention_args;

/* The slope of a head's bias: 2^(-8 (h + 1) / n) for the first n heads, n the largest power of two
 * up to n_head; the others have every second slope of 2n heads, from the first on. Source: Press,
 * Smith and Lewis, "Train Short, Test Long", 2021, and its authors' code for other numbers. */
float attention_slope(size_t n_head, size_t head);

/* Most rows of a block for heads that share keys by `group`. */
size_t attention_rows_most(size_t group);

/* Rows of a block that give n rows enough items for a team; up to `most`. */
size_t attention_rows_for(size_t n, size_t n_head, size_t n_head_kv, size_t n_member, size_t most);

/* Bytes of a member's scratch, 64-byte aligned. */
size_t attention_scratch_bytes(size_t n_head, size_t n_head_kv, size_t head_k, size_t head_v);

/* Floats that let a few rows be shared out by their parts, up to n_position keys each; SIZE_MAX if
 * that overflows. */
size_t attention_shared_floats(size_t n_position, size_t n_head, size_t head_v);

/* Cuts n rows into blocks of at most `most`; room for n blocks. Returns their number. */
size_t attention_cut(const attention_row *rows, size_t n, size_t most, attention_block *blocks);

/* Puts a position's keys (or values), n_head heads of `head` values that begin `step` floats apart,
 * where a page keeps them; rows is the first byte of the slot's keys (or values) in the page. */
void attention_store_keys(quant_type type, const float *keys, size_t step, size_t n_head,
                          size_t head, uint8_t *rows, size_t in_page);
void attention_store_values(quant_type type, const float *values, size_t step, size_t n_head,
                            size_t head, uint8_t *rows, size_t in_page);

/* By all members: items taken from *counter. */
void attention_run(const attention_args *args, void *scratch, _Atomic size_t *counter);

#endif
