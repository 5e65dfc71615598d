/* hf_directory.h - a model as Hugging Face keeps it: a folder of config.json, weights and a
 * vocabulary.
 *
 *   config.json                    what the model is (models/dialect_hf.h)
 *   model.safetensors              weights, or model.safetensors.index.json and the shards it names
 *   pytorch_model.bin              the same, where there is no safetensors; with an index, too
 *   tokenizer.json ...             the vocabulary (hf_tokenizer.h)
 */
#ifndef ENGINE_HF_DIRECTORY_H
#define ENGINE_HF_DIRECTORY_H

#include "formats/model_file.h"
#include "os/os.h"

typedef struct hf_place {
    char *directory;     /* from malloc; NULL: the path is none of a folder or its weights */
    const char *weights; /* the file of weights that the path names; NULL: whichever is there */
} hf_place;

/* Whether a path means such a folder: it is a directory, or the file model.safetensors,
 * pytorch_model.bin or one of their indexes in one. The caller frees place->directory. */
SL_CHECK sl_status hf_place_of(const char *path, hf_place *place, sl_error *error);

/* Maps all weights and reads all tables. Messages name the file, not the folder. On failure
 * *mapping may be mapped and *file is zeroed. */
SL_CHECK sl_status hf_directory_open(const hf_place *place, os_mapping *mapping, model_file *file,
                                     sl_error *error);

#endif
