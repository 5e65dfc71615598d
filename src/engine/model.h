/* model.h - what an sl_model is inside. */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "engine/residency.h"
#include "formats/model_file.h"
#include "os/os.h"
#include "program/program.h"
#include "tokenizer/tokenizer.h"

#include <stdatomic.h>

struct sl_model {
    os_mapping mapping;
    model_file file;
    tokenizer *words;
    program computation;
    residency *weights; /* NULL: vocabulary only */
    uint64_t memory_budget;
    uint64_t reserved;              /* of it, by the caller for itself */
    _Atomic uint64_t session_bytes; /* what the open sessions have taken of it */
    char *architecture, *name;
    double load_seconds;
};

/* What the model takes of the budget by itself: mapped file, tokenizer with what it works with,
 * tables, and the process. */
uint64_t model_memory(const sl_model *model);

/* Maps a file of any format that is known and reads its tables. On failure both are zeroed. */
SL_CHECK sl_status model_open(const char *path, os_mapping *mapping, model_file *file,
                              sl_error *error);

#endif
