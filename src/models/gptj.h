/* gptj.h - GPT-J, and models of its shape. */
#ifndef MODELS_GPTJ_H
#define MODELS_GPTJ_H

#include "models/builder.h"

void gptj_build(builder *b);

#endif
