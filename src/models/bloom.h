/* bloom.h - BLOOM in all sizes, and models of its shape. */
#ifndef MODELS_BLOOM_H
#define MODELS_BLOOM_H

#include "models/builder.h"

void bloom_build(builder *b);

#endif
