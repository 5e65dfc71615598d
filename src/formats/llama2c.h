/* llama2c.h - reads checkpoints of llama2.c (versions 0, 1 and 2) from memory.
 *
 * They hold a LLaMA model's sizes and weights one after the other, without names; where a weight is
 * follows from the sizes. Version 0 has not even a magic number: a file is one only if its size is
 * to the byte what its header asks for. */
#ifndef FORMATS_LLAMA2C_H
#define FORMATS_LLAMA2C_H

#include "sluice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The weights of a layer, or of the model, in no particular order. */
typedef enum llama2c_part {
    LLAMA2C_EMBEDDING,
    LLAMA2C_ATTENTION_NORM, /* by layers, as all below down to W3 */
    LLAMA2C_WQ,
    LLAMA2C_WK,
    LLAMA2C_WV,
    LLAMA2C_WO,
    LLAMA2C_FEED_FORWARD_NORM,
    LLAMA2C_W1,
    LLAMA2C_W2,
    LLAMA2C_W3,
    LLAMA2C_FINAL_NORM,
    LLAMA2C_OUTPUT, /* absent if the embedding serves */
    LLAMA2C_PART_LIMIT,
} llama2c_part;

/* A weight: n_out rows of n_in values. As floats, or as int8 values, all of them, and behind them
 * one float scale for each `group` of values, counted over the whole weight. */
typedef struct llama2c_weight {
    const uint8_t *data; /* at any address */
    uint64_t bytes;
    uint64_t n_in, n_out;
    uint32_t group; /* 0: floats */
} llama2c_weight;

typedef struct llama2c_file {
    const uint8_t *bytes;
    size_t size;
    unsigned version;
    uint32_t n_embd, n_ff, n_layer, n_head, n_head_kv, n_vocab, n_ctx;
    uint32_t group;  /* version 2: values to a scale */
    bool has_output; /* a weight of its own for logits */
    uint64_t data_offset;
    /* of layer 0; the same part of the next layer is `stride` bytes on */
    struct {
        llama2c_weight weight;
        uint64_t stride;
    } parts[LLAMA2C_PART_LIMIT];
} llama2c_file;

/* Whether the bytes are such a file: version 1 or 2 by its first four bytes, version 0 by its
 * size. */
bool llama2c_detect(const uint8_t *bytes, size_t size);

/* Refused: sizes that are 0 or over their ceilings or do not divide each other, versions other than
 * 0 to 2, a size that is not exactly that of the header and all weights. Nothing is allocated. */
SL_CHECK sl_status llama2c_parse(const uint8_t *bytes, size_t size, llama2c_file *file,
                                 sl_error *error);

/* The weight of a part; layer 0 for those that are there once. `part` is not an absent
 * LLAMA2C_OUTPUT. */
llama2c_weight llama2c_weight_of(const llama2c_file *file, llama2c_part part, size_t layer);

#endif
