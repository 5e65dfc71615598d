/* attention.h - softmax(scale q K^T) V over paged keys and values.
 *
 * The keys that a row at position p sees, [max(0, p + 1 - window), p], are cut into parts at
 * absolute multiples of ATTENTION_PART. Within a part: scores by sum16, m = largest, weights
 * exp(score - m), l = their sum16, o = sum of weight * value, keys left to right by fma. Parts are
 * merged left to right: with M the larger m, a = exp(M_old - M), b = exp(m - M):
 * O = fma(b, o, a * O), L = fma(b, l, a * L). The result is O * (1 / L). So the bits depend on the
 * row alone, not on the other rows, on pages, or on threads.
 * Source of the merging: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
 */
#ifndef OPS_ATTENTION_H
#define OPS_ATTENTION_H

#include "kernels/kernels.h"
#include "ops/team.h"

enum {
    ATTENTION_PAGE = 32,  /* positions of a page of the cache */
    ATTENTION_PART = 256, /* a multiple of the page */
    ATTENTION_ROWS = 16,  /* most rows of a sequence taken together */
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

typedef struct attention_args {
    const kernel_table *kernels;
    const attention_row *rows;
    const attention_block *blocks;
    size_t n_block;
    const float *q; /* [row][q_stride], head h at h * head_k */
    size_t q_stride;
    float *out; /* [row][out_stride], head h at h * head_v */
    size_t out_stride;
    size_t n_head, n_head_kv, head_k, head_v, window;
    float scale;
    quant_type type_k, type_v;
    /* In page p, head h: keys at pool + p * page_bytes + k_offset + h * ATTENTION_PAGE * row bytes,
     * one row of head_k (head_v) values for each position. */
    const uint8_t *pool;
    size_t page_bytes, k_offset, v_offset;
} attention_args;

/* Bytes of a member's scratch, 64-byte aligned. */
size_t attention_scratch_bytes(size_t n_head, size_t n_head_kv, size_t head_k, size_t head_v);

/* Cuts n rows into blocks; room for n blocks. Returns their number. */
size_t attention_cut(const attention_row *rows, size_t n, attention_block *blocks);

/* By all members: (block, key head) pairs taken from *counter. kernel_scratch as for matmul. */
void attention_run(const attention_args *args, void *scratch, void *kernel_scratch,
                   _Atomic size_t *counter);

#endif
