/* synthetic.h - models of a known shape whose weights are made up in memory.
 *
 * Every weight is its own touched memory, so that speed and memory are those of a real model of
 * that shape; what it says is noise. Such a model has no tokenizer.
 */
#ifndef ENGINE_SYNTHETIC_H
#define ENGINE_SYNTHETIC_H

#include "base/random.h"
#include "engine/model.h"
#include "engine/shapes.h"

typedef struct synthetic_type {
    const char *name; /* "q4_k_m" */
    quant_type main;
    bool mixed; /* as llama.cpp's mix of that name: some matrices have other types */
} synthetic_type;

/* The index-th type, largest models first; NULL behind the end. */
const synthetic_type *synthetic_type_at(size_t index);

/* By name, in letters of either case; NULL if there is none. */
const synthetic_type *synthetic_type_find(const char *name);

/* The type of one tensor. Matrices whose rows do not divide into the blocks of the type get the one
 * that llama.cpp puts in its place. */
quant_type synthetic_tensor_type(const model_shape *shape, const synthetic_type *type,
                                 const shape_tensor *tensor);

/* Bytes of all weights. */
uint64_t synthetic_bytes(const model_shape *shape, const synthetic_type *type);

/* n values (a multiple of the block length) of mean 0 and about that standard deviation, at any
 * address. */
void synthetic_fill(quant_type type, float deviation, random_state *random, uint8_t *blocks,
                    size_t n);

/* Fills every tensor of the model's file, whose data point into pages of its own, with `threads`
 * threads. The values depend on the seed alone. */
SL_CHECK sl_status synthetic_fill_all(model_file *file, const model_shape *shape, uint64_t seed,
                                      size_t threads, sl_progress_fn progress, void *user,
                                      sl_error *error);

/* By their names; an unknown one is SL_ERR_ARGUMENT and lists all. */
SL_CHECK sl_status synthetic_find(const char *shape, const char *type,
                                  const model_shape **found_shape,
                                  const synthetic_type **found_type, sl_error *error);

/* Gives an empty model the tables that a file of that shape would have, without any data: enough
 * for model_build. */
SL_CHECK sl_status synthetic_tables(sl_model *model, const model_shape *shape,
                                    const synthetic_type *type, sl_error *error);

/* What sl_model_synthesize does, for shapes of one's own too. */
SL_CHECK sl_status synthetic_create(const model_shape *shape, const synthetic_type *type,
                                    uint64_t seed, const sl_model_options *options,
                                    sl_model **model, sl_error *error);

#endif
