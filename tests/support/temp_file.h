/* temp_file.h - files on disk for tests, and whole tiny models among them. What fails here aborts:
 * this is for tests only. */
#ifndef SUPPORT_TEMP_FILE_H
#define SUPPORT_TEMP_FILE_H

#include "support/gguf_builder.h"

typedef struct temp_file {
    char path[256];
} temp_file;

/* A new file in TMPDIR (or /tmp) with these bytes. */
temp_file temp_file_write(const void *bytes, size_t size);
void temp_file_remove(const temp_file *file);

/* A tiny llama model in a file of its own. */
temp_file temp_file_llama(const gguf_tiny_options *options);

/* A model of one of gguf_family.h's variants. */
temp_file temp_file_family(const char *family, const gguf_tiny_options *options);

/* Adds a tiny gpt2 model with the tokenizer of gguf_builder_tiny_llama: 2 layers of 32 values, four
 * heads, 64 wide inside, 64 positions, 257 tokens; all weights of the type, vectors F32. */
void gguf_builder_tiny_gpt2(gguf_builder *b, quant_type type);

#endif
