/* linear.h - out = W prepare(in) + bias for a batch of rows, split over a team. */
#ifndef OPS_LINEAR_H
#define OPS_LINEAR_H

#include "kernels/kernels.h"
#include "ops/team.h"

/* What is done to an input row before it meets the weights. */
typedef enum prepare_kind {
    PREPARE_NONE,
    PREPARE_RMS_NORM,
    PREPARE_LAYER_NORM,
    PREPARE_SILU_MUL, /* in holds gate and up side by side: silu(gate) * up */
    PREPARE_GELU,     /* GPT-2's, by tanh */
    PREPARE_GELU_ERF, /* the exact one */
    PREPARE_RELU,
    PREPARE_GELU_MUL, /* in as for SILU_MUL: gelu_tanh(gate) * up */
} prepare_kind;

enum { LINEAR_MAX_PARTS = 3 };

/* Where some rows of a matrix are. */
typedef struct linear_rows {
    const void *weights; /* the first of them; in panels (kernels/packed.h) or not */
    size_t row_stride;   /* bytes */
    bool packed;
} linear_rows;

/* Who knows where weights are. Rows stay where acquire says until they are released; both may be
 * called by several members at once. */
typedef struct linear_source {
    /* May wait. Rows [first, first + count) lie within one slice of the matrix. */
    linear_rows (*acquire)(void *context, uint32_t matrix, size_t first, size_t count);
    void (*release)(void *context, uint32_t matrix, size_t first, size_t count);
    void *context;
} linear_source;

/* One of the matrices side by side. */
typedef struct linear_part {
    quant_type type;
    uint32_t matrix; /* the source's name for it */
    size_t n_out;
    size_t slice_rows; /* of the slices that it is kept in, a multiple of 16 */
    const float *bias; /* n_out, or NULL */
} linear_part;

typedef struct linear_args {
    const kernel_table *kernels;
    linear_source source;
    const float *in; /* n_row rows, in_stride floats apart; 2 n_in wide for those with MUL */
    size_t in_stride, n_row, n_in;
    prepare_kind prepare;
    const float *norm_weight, *norm_bias; /* n_in; NULL where unused; LAYER_NORM: ones, zeros */
    float epsilon;
    size_t n_part;
    linear_part part[LINEAR_MAX_PARTS];
    float *out; /* n_row rows, out_stride floats apart; parts side by side */
    size_t out_stride;
    bool accumulate;              /* out += instead of = */
    float cap;                    /* out = cap * tanh(out / cap); 0: no cap */
    void *rows[KERNEL_ROW_LIMIT]; /* where prepared rows go, for the forms that the parts need */
    double *squares; /* n_in sums, to which the prepared rows' squares are added; or NULL */
    float *kept;     /* room for these rows, n_in apart; NULL if nobody wants squares */
} linear_args;

/* What a member brings: nobody else uses it during the call. */
typedef struct linear_scratch {
    float *row;    /* room for the widest prepared row */
    float *tile;   /* LINEAR_TILE_OUT * n_row floats, LINEAR_TILE_ONE if n_row is one */
    void *panels;  /* LINEAR_PANEL_ROWS rows of the widest quantized matrix; a multiple of 64 */
    void *kernels; /* KERNEL_SCRATCH_BYTES */
    void *rows[KERNEL_ROW_LIMIT]; /* one prepared row of each form, for a batch of one */
} linear_scratch;

enum {
    LINEAR_TILE_OUT = 256,  /* most columns computed at a time, */
    LINEAR_TILE_ONE = 4096, /* and with one row of activations */
    LINEAR_PANEL_ROWS = 64, /* of them, packed at a time where they are in file order */
};

#define LINEAR_COUNTERS(members) (1 + (members))

/* Applies `prepare` to one row: n_in floats to out, which may be `in` for a norm only. */
void linear_prepare_row(const linear_args *args, const float *in, float *out);

/* By all members, with LINEAR_COUNTERS(members) counters that began at 0. Returns when nothing is
 * left to be taken; others may still be at what they took. `in` and `out` do not overlap. */
void linear_run(const linear_args *args, const linear_scratch *scratch, team *members,
                size_t member, _Atomic size_t *counters);

#endif
