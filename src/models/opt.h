/* opt.h - OPT in all sizes, OPT-IML, Galactica. */
#ifndef MODELS_OPT_H
#define MODELS_OPT_H

#include "models/builder.h"

void opt_build(builder *b);

#endif
