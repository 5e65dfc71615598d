/* gguf_words.h - what GGUF has keys or tensors for and a file of another kind says otherwise.
 *
 *   merges of byte-level vocabularies that list none    from the order of their tokens
 *   scores of vocabularies of characters with merges    from the order of the merges
 *   factors of rotary pairs that are settings           as tensors
 */
#ifndef MODELS_GGUF_WORDS_H
#define MODELS_GGUF_WORDS_H

#include "formats/tables.h"

/* Adds to `more` what is to be written beside, or in place of, what the file has. The tensors'
 * data are the file's. Failures stick in `more`. */
void gguf_words_add(const model_file *file, tables *more);

#endif
