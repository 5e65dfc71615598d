/* llama.h - LLaMA 1 to 3.x, Mistral, and models of their shape. */
#ifndef MODELS_LLAMA_H
#define MODELS_LLAMA_H

#include "models/builder.h"

void llama_build(builder *b);

#endif
