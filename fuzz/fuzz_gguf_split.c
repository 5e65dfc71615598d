/* Any bytes as a GGUF model in several files. The first byte is their number, from 1 to 4, and two
 * for each give its length in the rest. */
#include "formats/gguf_split.h"

#include "base/size.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MOST = 4 };

/* A result that is not used is not computed. */
static volatile uint64_t kept;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size < 1 + 2 * MOST) {
        return 0;
    }
    gguf_shard shards[MOST];
    const size_t count = bytes[0] % MOST + 1;
    const uint8_t *content = bytes + 1 + 2 * MOST;
    const size_t all = size - 1 - 2 * MOST;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t length = bytes[1 + 2 * i] + 256u * bytes[2 + 2 * i];
        shards[i] = (gguf_shard){at, size_min(length, all - at)};
        at += shards[i].size;
    }
    model_file file;
    sl_error error = {0};
    if (gguf_split_parse(content, all, shards, count, &file, &error) != SL_OK) {
        if (!error.message[0]) {
            abort();
        }
        return 0;
    }
    for (size_t i = 0; i < file.tensor_count; i++) {
        const tensor_entry *t = &file.tensors[i];
        if (tensor_find(&file, t->name) != t || t->data != content + t->offset ||
            t->bytes > all - t->offset) {
            abort();
        }
        kept += t->data[0] + (uint64_t)t->data[t->bytes - 1];
    }
    model_file_free(&file);
    return 0;
}
