/* models.h - from a model file's tables to a program, one file per architecture family.
 *
 * models/ knows names of hyper-parameters and tensors and the shape of each architecture; it
 * knows nothing of threads, memory or HTTP. Adding an architecture is one file with a build
 * function, one line in the table of models.c, and one parity fixture.
 */
#ifndef MODELS_MODELS_H
#define MODELS_MODELS_H

#include "formats/model_file.h"
#include "program/program.h"

/* Reads general.architecture and builds the finished program of the file. Tensors of wrong type or
 * shape, missing ones, and hyper-parameters out of range are SL_ERR_FORMAT; an architecture or a
 * variant that is not known here is SL_ERR_UNSUPPORTED with its name. On success the caller frees
 * *out with program_free. */
SL_CHECK sl_status model_build(const model_file *file, program *out, sl_error *error);

#endif
