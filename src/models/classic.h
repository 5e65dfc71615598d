/* classic.h - what the families of the first era share: layer norms, biases, as many key heads as
 * heads, and a feed-forward part of two matrices.
 *
 * Tensors are named without their ending: "attn_qkv" stands for attn_qkv.weight and attn_qkv.bias.
 * Errors stick in the builder.
 */
#ifndef MODELS_CLASSIC_H
#define MODELS_CLASSIC_H

#include "models/builder.h"

typedef struct classic_shape {
    size_t n_layer, n_embd, n_ff, n_vocab, n_head, head;
    float epsilon;
} classic_shape;

/* The hyper-parameters that all of them have, and the rows of token_embd.weight; the context goes
 * into the program. feed_forward_length is 4 * embedding_length where it is absent. */
classic_shape classic_read(builder *b);

/* rope.dimension_count, checked; a whole head where it is absent. */
size_t classic_n_rot(builder *b, const classic_shape *s);

/* The operation ANGLES by rope.freq_base and rope.scaling.*, on a slot of its own. */
slot_id classic_angles(builder *b, size_t n_rot);

/* The function between the matrices of the feed-forward part, by a key of any name: "gelu", which
 * is the exact one, "gelu_tanh", "relu"; `otherwise` where it is absent. */
prepare_kind classic_activation(builder *b, const char *key, prepare_kind otherwise);

/* Whether the file has a tensor; decides once for all layers whether a part exists, so that a
 * tensor that only some of them lack is an error. */
bool classic_has(const builder *b, const char *tensor);

/* EMBED of token_embd.weight, `width` columns, and position_embd.weight if there are n_position. */
slot_id classic_embed(builder *b, size_t width, size_t n_vocab, size_t n_position,
                      weight_id *embedding);

/* W in + bias, without a norm; layer < 0: none. */
op_linear classic_linear(builder *b, int64_t layer, const char *name, size_t n_in, size_t n_out,
                         bool bias);

/* One more matrix beside those that `linear` has. */
void classic_join(builder *b, op_linear *linear, int64_t layer, const char *name, size_t n_out,
                  bool bias);

/* Puts a layer norm before what `linear` does; not affine: without weights and bias. */
void classic_norm(builder *b, op_linear *linear, int64_t layer, const char *name, float epsilon,
                  bool affine);

/* The norm alone, for NORM and builder_output. */
op_linear classic_norm_alone(builder *b, int64_t layer, const char *name, const classic_shape *s,
                             bool affine);

/* x = norm(x), in place. */
void classic_norm_in_place(builder *b, uint32_t layer, slot_id x, op_linear norm);

/* Attention of a new cache slot, without rotation, its columns all q, all k, all v; or head by head
 * where the file says sluice.qkv_interleaved. */
op_attention classic_attention(builder *b, const classic_shape *s);

/* Refuses a number of key heads other than that of heads. */
void classic_no_groups(builder *b, const classic_shape *s);

#endif
