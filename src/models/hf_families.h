/* hf_families.h - Hugging Face's families: their settings, and their tensors' names. */
#ifndef MODELS_HF_FAMILIES_H
#define MODELS_HF_FAMILIES_H

#include "models/hf_config.h"

enum {
    HF_CONV1D = 1,     /* the file has [n_in][n_out], as Conv1D's weight is */
    HF_LEFT_OUT = 2,   /* where its feature is off it may be there all the same, and is not used */
    HF_OTHER_NAME = 8, /* another name for what the rule before it has */
    HF_SKIP_TWO = 4,   /* the first two rows are not used: OPT's positions begin at 2 */
};

/* A tensor that each model (each layer) has if all features in `needs` are on, and else has not. */
typedef struct hf_tensor_rule {
    const char *name; /* behind the prefix and, in a layer, its number */
    const char *gguf; /* NULL: a buffer that is not used and may be there or not */
    unsigned needs, flags;
} hf_tensor_rule;

typedef struct hf_family {
    const char *model_type;   /* in config.json */
    const char *architecture; /* in GGUF's dialect */
    void (*keys)(hf_config *c);
    const char *prefixes[4]; /* of all names but the output's, by the class that saved it; NULL ends
                                 them. The first one that fits is taken off. */
    const char *layers;      /* "h." in "h.12.attn.bias" */
    const hf_tensor_rule *model, *layer; /* each ends with a NULL name; at most 32 */
    const char *left_out[3]; /* beginnings of names that are no part of the text model; NULL ends */
} hf_family;

/* NULL if it is not known; `names` (may be NULL) becomes those that are. */
const hf_family *hf_family_find(str model_type, const char **names);

#endif
