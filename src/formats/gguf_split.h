/* gguf_split.h - a GGUF model in several files: the usual writers name them
 * NAME-00001-of-00003.gguf and so on. The first has all metadata; each has the table and the data
 * of its own tensors, and three keys: split.no (from 0), split.count, split.tensors.count (of all
 * together). */
#ifndef FORMATS_GGUF_SPLIT_H
#define FORMATS_GGUF_SPLIT_H

#include "formats/model_file.h"

/* Where one of the files is in the bytes that hold them all. */
typedef struct gguf_shard {
    size_t start, size;
} gguf_shard;

/* Whether the file is one of several; *count becomes split.count, or 1. SL_ERR_FORMAT if what it
 * says of that makes no sense. */
SL_CHECK sl_status gguf_split_count(const model_file *file, size_t *count, sl_error *error);

/* The name of file `number` (from 1) of the model of which `path` names any one; `out` has room for
 * as many bytes as the path, and a 0. False if the path does not end as it should for `count`
 * files. */
bool gguf_split_name(const char *path, size_t number, size_t count, char *out);

/* Parses all files, which lie in `bytes` one behind the other in their order, and makes one of
 * them. Refuses what gguf_parse refuses in any of them, numbers and counts that are not those
 * expected, and a tensor that is there twice. On success *file is for model_file_free. */
SL_CHECK sl_status gguf_split_parse(const uint8_t *bytes, size_t size, const gguf_shard *shards,
                                    size_t count, model_file *file, sl_error *error);

#endif
