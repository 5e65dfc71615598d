/* gguf_family.h - models of the first era's families, with random weights, for gguf_builder.h.
 *
 * Here stands anew which tensors each has: what a family's file asks for is tested against it.
 */
#ifndef SUPPORT_GGUF_FAMILY_H
#define SUPPORT_GGUF_FAMILY_H

#include "support/gguf_builder.h"

/* "gptj", "gptneox", "gptneox-sequential", "opt", "opt-350m" (norms behind, embeddings half as
 * wide), "galactica" (neither biases nor weights of norms), "bloom"; NULL behind the last. */
const char *gguf_family_at(size_t index);

/* Adds a complete model with the tokenizer of gguf_builder_tiny_llama. Of the options, n_head_kv
 * and `tied` count for nothing. */
void gguf_builder_family(gguf_builder *b, const char *name, const gguf_tiny_options *options);

#endif
