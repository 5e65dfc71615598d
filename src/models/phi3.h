/* phi3.h - Phi-3 and Phi-4, the dense ones, and models of their shape. */
#ifndef MODELS_PHI3_H
#define MODELS_PHI3_H

#include "models/builder.h"

void phi3_build(builder *b);

#endif
