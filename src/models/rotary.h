/* rotary.h - frequencies of rotary positions, from a file's hyper-parameters and factors. */
#ifndef MODELS_ROTARY_H
#define MODELS_ROTARY_H

#include "models/builder.h"

typedef struct rotary {
    size_t n_rot;         /* values rotated, two to a pair */
    const char *base_key; /* "rope.freq_base" */
    float base;           /* where the file does not say */
    bool scaled;          /* by rope.scaling.* and rope_freqs.weight */
} rotary;

/* The operation ANGLES, on a slot of its own. */
slot_id rotary_angles(builder *b, const rotary *r);

/* The same for a file with factors for short and for long contexts ("longrope"): tensors
 * rope_factors_short.weight and rope_factors_long.weight, or arrays sluice.rope_factors_short and
 * _long, each a divisor for each pair. Long ones hold where sequences may become longer than
 * rope.scaling.original_context_length, as llama.cpp has it; cosines and sines are multiplied by
 * rope.scaling.attn_factor. A file with neither is rotary_angles' own. */
slot_id rotary_angles_long(builder *b, const rotary *r);

#endif
