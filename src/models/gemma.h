/* gemma.h - Gemma 2 and the text models of Gemma 3. */
#ifndef MODELS_GEMMA_H
#define MODELS_GEMMA_H

#include "models/builder.h"

void gemma2_build(builder *b);
void gemma3_build(builder *b);

/* Whether a file's attention.scale is another than llama.cpp computes for lack of reading it. False
 * for files of other architectures, and without that key. */
bool gemma_scale_is_own(const model_file *file);

#endif
