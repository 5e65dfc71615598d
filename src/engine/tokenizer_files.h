/* tokenizer_files.h - where a model's tokenizer comes from: the model's own tables, a file that the
 * caller names, or one beside the model. */
#ifndef ENGINE_TOKENIZER_FILES_H
#define ENGINE_TOKENIZER_FILES_H

#include "formats/tables.h"
#include "tokenizer/tokenizer.h"

/* Reads a tokenizer's file of any kind that is known and adds what it says (tokenizer.ggml.*) to a
 * model's tables. What is wrong becomes the tables' failure, beginning with the path. */
void model_attach_tokenizer(const char *path, tables *t);

/* Makes a model's tokenizer: of the file at `named`, if that is not NULL; else of the model's
 * tables; else of a tokenizer.bin that lies beside `model_path`. *out is NULL where there is none
 * of these. */
SL_CHECK sl_status model_tokenizer(const char *named, const char *model_path,
                                   const model_file *file, tokenizer **out, sl_error *error);

#endif
