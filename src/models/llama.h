/* llama.h - LLaMA 1 to 3.x, Mistral, Qwen 2 and 3, and models of their shape. */
#ifndef MODELS_LLAMA_H
#define MODELS_LLAMA_H

#include "models/builder.h"

void llama_build(builder *b);
void qwen2_build(builder *b);
void qwen3_build(builder *b);

#endif
