/* model.h - what an sl_model is inside. */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "engine/model_files.h"
#include "engine/residency.h"
#include "formats/model_file.h"
#include "os/os.h"
#include "program/program.h"
#include "tokenizer/tokenizer.h"

#include <stdatomic.h>

struct sl_model {
    os_mapping mapping; /* of the files; none if the model is synthetic */
    void *pages;        /* weights that are in no file, or not in rows there: page_bytes */
    size_t page_bytes;
    model_file file;
    tokenizer *words; /* NULL: none */
    program computation;
    residency *weights; /* NULL: vocabulary only */
    uint64_t memory_budget;
    uint64_t reserved;              /* of it, by the caller for itself */
    _Atomic uint64_t session_bytes; /* what the open sessions have taken of it */
    _Atomic uint32_t placing;       /* 1: a session is making room for itself */
    bool file_order;                /* weights are not to be rearranged */
    char *architecture, *name;
    _Atomic double load_seconds;
};

/* An empty one, with its budget; NULL if memory is out. Freed with sl_model_free. */
sl_model *model_new(const sl_model_options *options);

/* Begins to rearrange the weights where that pays and is wanted. Where there is no room for it in
 * the budget, or no memory or thread, says so: they stay as they are, and only speed depends on it.
 */
void model_rearrange(sl_model *model, const sl_model_options *options);

/* Says what is known to be slower or left out than it might be. */
void model_notify(const sl_model *model, const sl_model_options *options);

/* What the model takes of the budget by itself: weights, tokenizer with what it works with, tables,
 * and the process. */
uint64_t model_memory(const sl_model *model);

/* Bytes that opening the model takes before any weight is in memory. */
uint64_t model_opening_memory(const sl_model *model);

/* The least that the model can do with if it reads its weights from the file for each pass;
 * UINT64_MAX if they are in no file. */
uint64_t model_least_memory(const sl_model *model);

/* Whether all weights are in memory, or will be, as they fit beside nothing else. */
bool model_is_whole(const sl_model *model);

/* Places the weights in what the budget leaves beside `session` bytes, in place of all that held
 * them before: what does not fit is read from the file for each pass. Refused with the number where
 * not even that can be done. No session may be open; other threads may ask of the model and its
 * tokenizer meanwhile. */
SL_CHECK sl_status model_place(sl_model *model, uint64_t session, const sl_session_options *options,
                               sl_error *error);

/* The name of the type that holds most bytes, of all tensors of a file. Static storage. */
const char *model_main_type(const model_file *file);

/* For a refusal: what the caller has reserved, "" if that is below 1 MiB. */
const char *model_reserved_text(const sl_model *model, char text[64]);

#endif
