/* legacy_ggml.h - reads the model files of ggml's first year, from memory: "ggml" without a version
 * (GPT-2, GPT-J, GPT-NeoX, LLaMA), GGMF and GGJT versions 1 to 3 (LLaMA).
 *
 * Such a file has no table of contents and does not say which architecture it holds: the layouts
 * are tried one after the other, and the first tensor's name decides. What comes of it are tables
 * under the file's own names; models/dialect_legacy.h translates them. */
#ifndef FORMATS_LEGACY_GGML_H
#define FORMATS_LEGACY_GGML_H

#include "base/str.h"
#include "quant/quant.h"
#include "sluice.h"

#include <stdint.h>

typedef enum legacy_kind { LEGACY_GPT2, LEGACY_GPTJ, LEGACY_GPTNEOX, LEGACY_LLAMA } legacy_kind;

typedef struct legacy_tensor {
    str name;
    quant_type type;
    size_t n_dims;       /* 1 or 2 */
    uint64_t dims[2];    /* dims[0]: values of a row */
    const uint8_t *data; /* at any address; all of it is inside the file */
    size_t bytes;
} legacy_tensor;

typedef struct legacy_file {
    const uint8_t *bytes;
    size_t size;
    legacy_kind kind;
    const char *name;      /* of the kind: "GPT-J" */
    const char *container; /* "ggml", "ggmf v1", "ggjt v3" */
    const char *type;      /* "f16", as the header's number says: a label, no more */
    /* 0 where the kind has none, and in a LLaMA file of a vocabulary alone maybe all but n_vocab.
     * With tensors, n_embd is a multiple of n_head. */
    uint32_t n_vocab, n_ctx, n_embd, n_head, n_layer, n_rot;
    bool parallel_residual; /* GPT-NeoX */
    str *tokens;            /* n_vocab, any bytes */
    float *scores;          /* n_vocab; NULL: the container has none */
    legacy_tensor *tensors; /* in the file's order */
    size_t tensor_count;    /* 0: a vocabulary alone */
    size_t data_offset;     /* of the first tensor's record */
} legacy_file;

/* Whether the bytes begin as one of these files does, or as one of their relatives that
 * legacy_ggml_parse refuses by name: adapters, sessions. */
bool legacy_ggml_detect(const uint8_t *bytes, size_t size);

/* Reads all tables. Refused, with the byte, what was expected and what was found: layouts that are
 * none of the four (MPT, Replit, Whisper, adapters and sessions by their names), hyper-parameters
 * and token lengths over their ceilings, records with other than 1 or 2 dimensions, types that are
 * not known, names that are empty, over LIMIT_LEGACY_NAME_BYTES or not printable, data past the
 * end, a last record that is cut short; and weights quantized in a form that was given up in May
 * 2023. Names are not compared with each other.
 * On success the caller frees *file with legacy_ggml_free and keeps the bytes until then. */
SL_CHECK sl_status legacy_ggml_parse(const uint8_t *bytes, size_t size, legacy_file *file,
                                     sl_error *error);
void legacy_ggml_free(legacy_file *file);

#endif
