/* gguf_habit.h - where a tensor's values go when a model is written as other programs' GGUF files
 * have it.
 *
 * Inside, keys that begin with "sluice." say where a file's tensors lie otherwise than GGUF's habit
 * has them (docs/dialects.md), and the programs cope. Files for others must not have such keys:
 * what the keys say is done to the tensors instead.
 */
#ifndef MODELS_GGUF_HABIT_H
#define MODELS_GGUF_HABIT_H

#include "formats/model_file.h"

/* For a matrix its rows, for a vector its values. */
typedef enum habit_order {
    HABIT_AS_IT_IS,
    HABIT_PAIRS,    /* a head's halves become neighbouring pairs */
    HABIT_GATHERED, /* q, k, v of each head become all q, all k, all v */
} habit_order;

typedef struct gguf_habit {
    habit_order order;
    size_t n_head, head; /* heads in the tensor (for GATHERED: of q), values of one */
    bool plus_one;       /* 1 is added to each value */
} gguf_habit;

/* SL_ERR_UNSUPPORTED where the file's keys of our own say what GGUF has no word for, and it is not
 * what other programs take for granted: without them the file would be another model. */
SL_CHECK sl_status gguf_habit_check(const model_file *file, sl_error *error);

/* What becomes of one tensor of the file. SL_ERR_FORMAT if its shape does not have the heads that
 * the file speaks of. */
SL_CHECK sl_status gguf_habit_of(const model_file *file, const tensor_entry *tensor,
                                 gguf_habit *out, sl_error *error);

/* The row (or value) of the source that comes to be number `row`. */
size_t gguf_habit_source(const gguf_habit *habit, size_t row);

#endif
