/* shapes.h - the sizes of well-known models: enough of each to compute what it needs, and to make
 * one up whose speed is that of the real one (synthetic.h).
 */
#ifndef ENGINE_SHAPES_H
#define ENGINE_SHAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What some models of an architecture have and others lack. */
enum {
    SHAPE_OUTPUT = 1 << 0,       /* an output matrix of its own, not that of the embedding */
    SHAPE_LAST_NORM = 1 << 1,    /* a norm after the last layer */
    SHAPE_PROJECTED = 1 << 2,    /* an embedding narrower than the layers (n_word) */
    SHAPE_NORMED_HEADS = 1 << 3, /* norms of each head of q and k */
};

typedef struct model_shape {
    const char *name;
    const char *architecture; /* general.architecture of such a file */
    size_t n_layer, n_embd, n_ff, n_head, n_head_kv, n_vocab, n_ctx;
    unsigned parts;  /* SHAPE_* */
    size_t n_rot;    /* values of a head that are rotated; 0: all */
    float rope_base; /* 0: 10000 */
    size_t n_word;   /* width of the embedding; 0: n_embd */
    size_t head;     /* values of a head; 0: n_embd / n_head */
    size_t window;   /* keys that a token sees in layers that have one; 0: all */
} model_shape;

/* What a tensor is, as far as the choice of its type and of its values goes. */
typedef enum tensor_role {
    TENSOR_MATRIX = 0,
    TENSOR_NORM, /* a vector of factors */
    TENSOR_BIAS, /* a vector that is added */
    TENSOR_POSITIONS,
    TENSOR_EMBEDDING,
    TENSOR_OUTPUT,
    TENSOR_ATTENTION_QKV, /* queries, keys and values in one */
    TENSOR_ATTENTION_V,
    TENSOR_FFN_DOWN,
} tensor_role;

typedef struct shape_tensor {
    char name[64];
    tensor_role role;
    size_t layer;  /* SIZE_MAX: none */
    size_t n_in;   /* values of a row */
    size_t n_rows; /* 1: a vector */
} shape_tensor;

/* Values of a head. */
size_t shape_head(const model_shape *shape);

/* The index-th of the table, NULL behind its end. */
const model_shape *shape_at(size_t index);

/* By name; NULL if there is none. */
const model_shape *shape_find(const char *name);

/* Tensors of a model of that shape, and each of them. */
size_t shape_tensor_count(const model_shape *shape);
void shape_tensor_at(const model_shape *shape, size_t index, shape_tensor *tensor);

/* Of all tensors. */
uint64_t shape_parameters(const model_shape *shape);

#endif
