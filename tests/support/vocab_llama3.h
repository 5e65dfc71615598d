/* vocab_llama3.h - the vocabulary of Llama 3 as GGUF metadata, from the two files it is published
 * as: encoder.json (the 128,000 tokens) and vocab.bpe (the merges). */
#ifndef SUPPORT_VOCAB_LLAMA3_H
#define SUPPORT_VOCAB_LLAMA3_H

#include "support/gguf_builder.h"

/* Adds the tokenizer ("gpt2", "llama-bpe") with its 256 special tokens from 128,000 on. False, and
 * nothing added, if a file is missing or not what it should be. */
bool vocab_llama3_add(gguf_builder *b, const char *folder);

#endif
