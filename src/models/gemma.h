/* gemma.h - Gemma 2 and the text models of Gemma 3. */
#ifndef MODELS_GEMMA_H
#define MODELS_GEMMA_H

#include "models/builder.h"

void gemma2_build(builder *b);
void gemma3_build(builder *b);

#endif
