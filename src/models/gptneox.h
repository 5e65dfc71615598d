/* gptneox.h - GPT-NeoX: Pythia, Dolly, RedPajama, and models of their shape. */
#ifndef MODELS_GPTNEOX_H
#define MODELS_GPTNEOX_H

#include "models/builder.h"

void gptneox_build(builder *b);

#endif
