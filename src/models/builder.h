/* builder.h - what the files of the families share: reading hyper-parameters and asking for
 * tensors, with an error that sticks, so that a family's file reads as a description.
 */
#ifndef MODELS_BUILDER_H
#define MODELS_BUILDER_H

#include "formats/model_file.h"
#include "program/program.h"

/* After the first failure `status` is that failure and every call does nothing; the values it
 * returns then must only be handed to further calls. */
typedef struct builder {
    const model_file *file;
    program *p;
    str architecture;
    sl_status status;
    sl_error *error;
    float logit_cap; /* soft cap of the logits, set before them; 0: none */
} builder;

/* Hyper-parameter "<architecture>.<name>". `otherwise` where it is absent; BUILDER_REQUIRED refuses
 * absence. */
#define BUILDER_REQUIRED UINT64_MAX
uint64_t builder_u64(builder *b, const char *name, uint64_t otherwise, uint64_t low, uint64_t high);
float builder_float(builder *b, const char *name, bool required, float otherwise, double low,
                    double high);
/* "" where absent */
str builder_string(builder *b, const char *name);

/* The entry, or NULL. */
const meta_entry *builder_meta(builder *b, const char *name);

/* 0 or 1 for each layer, from integers or truths; all stay as they are where the key is absent. */
void builder_layer_flags(builder *b, const char *name, uint64_t *flags, size_t n_layer);

/* A truth value; `otherwise` where it is absent. */
bool builder_bool(builder *b, const char *name, bool otherwise);

/* Truth of a key that is not of an architecture, such as "sluice.rope_halves"; absent: false. */
bool builder_flag(builder *b, const char *key);

/* Sets the failure, if there is none yet. */
void builder_fail(builder *b, sl_status status, const char *format, ...) SL_PRINTF(3, 4);

/* Tensor "<prefix><name>", prefix "blk.<layer>." (layer < 0: none). Optional ones give NO_WEIGHT
 * where absent. */
weight_id builder_matrix(builder *b, int64_t layer, const char *name, size_t n_in, size_t n_out);
weight_id builder_optional_matrix(builder *b, int64_t layer, const char *name, size_t n_in,
                                  size_t n_out);
weight_id builder_vector(builder *b, int64_t layer, const char *name, size_t n);
weight_id builder_optional_vector(builder *b, int64_t layer, const char *name, size_t n);

/* The weights of an RMS norm; plus_one: the file's values w stand for 1 + w. */
weight_id builder_norm(builder *b, int64_t layer, const char *name, size_t n, bool plus_one);

slot_id builder_slot(builder *b, size_t width);
uint32_t builder_kv_slot(builder *b, size_t n_head_kv, size_t head_k, size_t head_v);
void builder_op(builder *b, const op *operation);

/* The operation LINEAR with one weight, out on a new slot of n_out columns. */
slot_id builder_linear(builder *b, uint32_t layer, slot_id in, op_linear linear, size_t n_out);

/* linear added to an existing slot. */
void builder_linear_add(builder *b, uint32_t layer, slot_id in, slot_id out, op_linear linear);

/* Says where heads lie in the columns of a slot: all q, all k, all v; or q, k, v of head 0, then of
 * head 1, and so on, for as many key heads as heads. */
void builder_columns(op_attention *attention);
void builder_interleaved_columns(op_attention *attention);

/* STORE_KV and ATTENTION of the columns of `heads`, out on a new slot. */
slot_id builder_attention(builder *b, uint32_t layer, slot_id heads, const op_attention *attention);

/* The rows whose logits are wanted, on a new slot. */
slot_id builder_select(builder *b, slot_id x, size_t width);

/* Logits of the selected hidden state, of n_embd columns: output.weight, or the embedding where
 * there is none, and output.bias where there is one. */
void builder_logits(builder *b, slot_id hidden, weight_id embedding, size_t n_embd, size_t n_vocab);

/* A model's end: rows whose logits are wanted, last norm, output matrix (the embedding's where
 * output.weight is absent). `last` holds prepare, norm and epsilon. */
void builder_output(builder *b, slot_id x, weight_id embedding, op_linear last, size_t n_vocab);

/* Number of rows of a two-dimensional tensor, 0 and a failure if it is missing. */
size_t builder_rows(builder *b, const char *name);

#endif
