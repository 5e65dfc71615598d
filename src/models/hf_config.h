/* hf_config.h - for the files of Hugging Face's dialect: what config.json says, with transformers'
 * defaults, and keys of GGUF in return. Failures stick in the tables.
 */
#ifndef MODELS_HF_CONFIG_H
#define MODELS_HF_CONFIG_H

#include "formats/tables.h"

#include <jansson.h>

/* What a config.json says that decides which tensors there are. */
enum {
    HF_UNTIED = 1, /* an output matrix of its own */
    HF_ATTENTION_BIAS = 2,
    HF_FEED_FORWARD_BIAS = 4,
    HF_NORM = 8, /* norms have weights */
    HF_FINAL_NORM = 16,
    HF_PROJECTIONS = 32, /* embeddings are narrower than the model */
    HF_HEAD_NORMS = 64,  /* queries and keys have norms, head by head */
};

typedef struct hf_config {
    tables *t;
    const json_t *root; /* the object of the text model's settings */
    const char *architecture;
    unsigned features; /* of HF_UNTIED and so on; the family's function sets them */
    uint64_t n_layer;
} hf_config;

/* A setting, or `otherwise` where it is absent or null. Other types, and numbers outside of
 * [low, high], are refused. */
uint64_t hf_u64(hf_config *c, const char *name, uint64_t otherwise, uint64_t low, uint64_t high);
double hf_float(hf_config *c, const char *name, double otherwise);
bool hf_bool(hf_config *c, const char *name, bool otherwise);
str hf_string(hf_config *c, const char *name, const char *otherwise);
bool hf_has(const hf_config *c, const char *name); /* and is not null */

/* Refuses the model unless the setting is `only`, which is also the default. */
void hf_only_bool(hf_config *c, const char *name, bool only);

/* The activation's name in this dialect, "gelu", "gelu_tanh", "relu" or "silu", or "" and a
 * failure where it is none of those in `known`, a list of these words with a space around each. */
const char *hf_activation(hf_config *c, const char *name, const char *otherwise, const char *known);

/* "<architecture>.<name>" */
void hf_key_u64(hf_config *c, const char *name, uint64_t value);
void hf_key_float(hf_config *c, const char *name, double value);
void hf_key_bool(hf_config *c, const char *name, bool value);
void hf_key_string(hf_config *c, const char *name, const char *value);

/* Rotary positions: base, and scaling where the config has any of the types in `known` (as in
 * hf_activation, of linear, llama3 and longrope). `set` names the object inside rope_parameters
 * that holds them where there is one for each kind of layer; NULL: none. */
void hf_rotary(hf_config *c, const char *set, double base, const char *known);

/* The base of the layers of another kind, which are not scaled: in the object `set` of
 * rope_parameters, or in the setting `old`. */
double hf_local_base(hf_config *c, const char *set, const char *old, double otherwise);

/* The share of a head's values that is rotated. */
double hf_partial_rotary(hf_config *c, const char *name, double otherwise);

/* Sets or clears a feature. */
static inline void hf_feature(hf_config *c, unsigned feature, bool on) {
    c->features = on ? c->features | feature : c->features & ~feature;
}

#endif
