/* quant.h - block formats of weights: how values are laid out in bytes, decoded and encoded.
 *
 * quant/ is plain C and the definition: kernels are faster ways to the same values. Layouts are
 * those of GGUF (ggml's ggml-common.h documents them; numbers of types as in gguf.md). A row of n
 * values is n / block_length blocks one after the other; blocks may lie at any byte address.
 */
#ifndef QUANT_QUANT_H
#define QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* GGUF's numbers. */
typedef enum quant_type {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q4_1 = 3,
    QUANT_Q5_0 = 6,
    QUANT_Q5_1 = 7,
    QUANT_Q8_0 = 8,
    QUANT_Q2_K = 10,
    QUANT_Q3_K = 11,
    QUANT_Q4_K = 12,
    QUANT_Q5_K = 13,
    QUANT_Q6_K = 14,
    QUANT_IQ4_NL = 20,
    QUANT_IQ4_XS = 23,
    QUANT_BF16 = 30,
    QUANT_MXFP4 = 39,
    QUANT_TYPE_LIMIT = 40, /* tables indexed by type have this many entries */
} quant_type;

typedef struct quant_format {
    const char *name;    /* "Q4_K"; NULL: no such type here */
    size_t block_length; /* values */
    size_t block_bytes;
    /* Decodes n values (a multiple of block_length) to floats. */
    void (*decode)(const void *blocks, float *values, size_t n);
    /* Encodes n values; NULL where encoding is not to be had yet. Round to nearest even; values
     * that are not finite give blocks that decode to values that are not finite. */
    void (*encode)(const float *values, void *blocks, size_t n);
} quant_format;

/* NULL if the number names no type that we know. */
const quant_format *quant_format_of(uint32_t type);

/* The name by which GGUF knows a number, also where we cannot read it ("IQ2_XXS"); NULL: none. */
const char *quant_name_of(uint32_t type);

/* Bytes of a row of n values, n a multiple of the block length. No overflow for n < 2^56. */
size_t quant_row_bytes(quant_type type, size_t n);

/* IEEE 754 half and bfloat16, exactly; to-narrow rounds to nearest even, keeps NaN a quiet NaN. */
float quant_f16_to_f32(uint16_t h);
uint16_t quant_f32_to_f16(float f);
float quant_bf16_to_f32(uint16_t h);
uint16_t quant_f32_to_bf16(float f);

#endif
