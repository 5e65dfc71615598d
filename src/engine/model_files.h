/* model_files.h - from what a user names to mapped bytes and tables in GGUF's dialect. */
#ifndef ENGINE_MODEL_FILES_H
#define ENGINE_MODEL_FILES_H

#include "formats/model_file.h"
#include "os/os.h"

/* Maps the file or files of a model of any kind that is known and reads their tables. Messages
 * begin with the path. On failure both are zeroed; on success they are for model_close. */
SL_CHECK sl_status model_open(const char *path, os_mapping *mapping, model_file *file,
                              sl_error *error);

/* Zeroed ones are allowed. */
void model_close(os_mapping *mapping, model_file *file);

#endif
