/* normalizer.h - what is done to a text before byte-level BPE cuts it, where the vocabulary's maker
 * did so: one of Unicode's normal forms, and a space put before. */
#ifndef TOKENIZER_NORMALIZER_H
#define TOKENIZER_NORMALIZER_H

#include "base/array.h"
#include "base/str.h"
#include "formats/model_file.h"

/* Zeroed does nothing. */
typedef struct normalizer {
    int form;       /* utf8proc's options; 0: the text stays as it is */
    bool add_space; /* before a text that does not begin with one */
} normalizer;

/* From sluice.tokenizer.normal_form ("NFC", "NFD", "NFKC", "NFKD") and
 * sluice.tokenizer.prefix_space. */
SL_CHECK sl_status normalizer_read(normalizer *n, const model_file *file, sl_error *error);

/* *out becomes the text, or what was made of it in `buffer`, an array of char that is emptied
 * before. Bytes that are no characters stay as they are. SL_ERR_MEMORY over the buffer's
 * ceiling. */
SL_CHECK sl_status normalizer_apply(const normalizer *n, str text, array *buffer, str *out,
                                    sl_error *error);

#endif
