/* type_mix.h - which type each tensor of a file gets: the mixes such as Q4_K_M, and exceptions.
 *
 * The mixes are llama.cpp's, so that a name means the same file everywhere: docs/quantize.md has
 * them as a table, and tests/golden/mixes what llama-quantize itself chooses.
 */
#ifndef ENGINE_TYPE_MIX_H
#define ENGINE_TYPE_MIX_H

#include "formats/gguf_writer.h"
#include "formats/model_file.h"

typedef struct type_mix type_mix;

/* In any letter case; SL_ERR_ARGUMENT with all names if there is none of that name. */
SL_CHECK sl_status type_mix_find(const char *name, const type_mix **mix, sl_error *error);

/* general.file_type of a file of this mix (ggml's numbers). */
uint32_t type_mix_file_type(const type_mix *mix);

/* Whether its main type has blocks, and so loses more than the rounding of floats. */
bool type_mix_quantizes(const type_mix *mix);

/* Whether most users want an importance matrix for it: its blocks are small and no tensor is spared
 * where it would hurt. */
bool type_mix_wants_importance(const type_mix *mix);

/* What was asked for. Texts may be NULL. */
typedef struct type_wishes {
    const type_mix *mix; /* NULL: every tensor keeps its type */
    const char *output;  /* type of the output matrix, also where that is the embedding's */
    const char *embedding;
    const char *const *overrides; /* "PATTERN=TYPE": a PCRE2 pattern, looked for in the name; the
                                     last one that is found wins */
    size_t n_override;
    bool leave_output;   /* the output matrix keeps its type */
    bool pure;           /* all matrices get the mix's main type */
    bool has_importance; /* a matrix of it is there: some mixes spare fewer tensors then */
} type_wishes;

typedef struct type_choice {
    quant_type type;
    quant_type wanted; /* not `type` where the blocks of this one do not divide the rows */
} type_choice;

/* Chooses for all n tensors, whose `type` is what they are now, of a model with the metadata of
 * `file`. Overrides that are found in no name are told to `notice` (may be NULL). Whether a type
 * can be encoded is the caller's to ask. */
SL_CHECK sl_status type_mix_choose(const model_file *file, const type_wishes *wishes,
                                   const gguf_tensor *tensors, size_t n, type_choice *choices,
                                   sl_notice_fn notice, void *user, sl_error *error);

#endif
