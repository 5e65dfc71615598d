/* legacy_builder.h - makes files of ggml's first formats and of llama2.c in memory for tests, from
 * models that a gguf_builder holds: the same weights under the names of that time, written down
 * here a second time from the formats' descriptions. */
#ifndef SUPPORT_LEGACY_BUILDER_H
#define SUPPORT_LEGACY_BUILDER_H

#include "support/gguf_builder.h"

#define LEGACY_GGML 0x67676d6cu
#define LEGACY_GGMF 0x67676d66u
#define LEGACY_GGJT 0x67676a74u

/* A file as it grows, and where its parts begin. */
typedef struct legacy_builder {
    gguf_builder_bytes image;
    size_t words_at, tensors_at;
    size_t record_at[64]; /* of the first 64 tensors */
    size_t n_record;
} legacy_builder;

void legacy_free(legacy_builder *b);

void legacy_u32(legacy_builder *b, uint32_t value);
void legacy_token(legacy_builder *b, const char *text, size_t length, const float *score);

/* align: pad to 32 bytes of the file before the data, as GGJT does. */
void legacy_tensor_add(legacy_builder *b, const char *name, uint32_t type, uint32_t n_dims,
                       const uint32_t *dims, const void *data, size_t bytes, bool align);

/* The model of gguf_builder_tiny_llama with at least 262 tokens: <unk>, <s>, </s>, the bytes, "he",
 * " the" and so on. version is that of the container, 0 for LEGACY_GGML; ftype is in the header. */
void legacy_llama(legacy_builder *b, const gguf_builder *model, uint32_t magic, uint32_t version,
                  uint32_t ftype);

/* The model of gguf_builder_tiny_gpt2 and its 257 tokens, the last of them "<|endoftext|>".
 * columns: as the writer from Hugging Face's files left the matrices. */
void legacy_gpt2(legacy_builder *b, const gguf_builder *model, uint32_t ftype, bool columns);

/* A GPT-J or a GPT-NeoX of one layer, 32 values, two heads, 300 tokens; zeros. */
void legacy_gptj(legacy_builder *b, quant_type type, uint32_t ftype);
void legacy_gptneox(legacy_builder *b, quant_type type, uint32_t ftype, bool parallel);

/* The model of gguf_builder_tiny_llama, F32, as a checkpoint of llama2.c. Version 2 has int8 values
 * in groups of `group`. */
void llama2c_write(gguf_builder_bytes *image, const gguf_builder *model, unsigned version,
                   uint32_t group);

/* A tokenizer.bin of `count` tokens: <unk>, <s>, </s>, the bytes, "he", " the" and so on. */
void llama2c_tokenizer(gguf_builder_bytes *image, size_t count);

#endif
