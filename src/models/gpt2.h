/* gpt2.h - GPT-2 in all sizes, and models of its shape. */
#ifndef MODELS_GPT2_H
#define MODELS_GPT2_H

#include "models/builder.h"

void gpt2_build(builder *b);

#endif
