/* reference.c - sl_reference: saved log probabilities, used where they lie in a mapped file. */
#include "base/error.h"
#include "formats/logits_file.h"
#include "os/os.h"

#include <stdlib.h>

struct sl_reference {
    os_mapping mapping;
    logits_file file;
};

sl_status sl_reference_open(const char *path, sl_reference **reference, sl_error *error) {
    sl_reference *r = calloc(1, sizeof *r);
    if (!r) {
        return error_memory(error, "a reference", sizeof *r);
    }
    sl_status status = os_map(path, &r->mapping, error);
    if (status == SL_OK) {
        sl_error inner = {0};
        status = logits_file_parse(r->mapping.bytes, r->mapping.size, &r->file, &inner);
        if (status != SL_OK) {
            error_set(error, status, "%s: %s", path, inner.message);
            os_unmap(&r->mapping);
        }
    }
    if (status != SL_OK) {
        free(r);
        return status;
    }
    *reference = r;
    return SL_OK;
}

void sl_reference_close(sl_reference *reference) {
    if (reference) {
        os_unmap(&reference->mapping);
        free(reference);
    }
}

void sl_reference_get_info(const sl_reference *reference, sl_reference_info *info) {
    *info = reference->file.info;
}

void sl_reference_tokens(const sl_reference *reference, size_t window, int32_t *tokens) {
    logits_file_tokens(&reference->file, window, tokens);
}

/* Files may be larger than memory, and nothing of them is needed twice: with the row that reaches
 * beyond a block, what was read of the block is given back. */
static void drop_behind(const sl_reference *r, size_t window, size_t index) {
    enum { BLOCK = 1 << 20 };
    const size_t begin = (size_t)(logits_file_row_at(&r->file, window, index) - r->mapping.bytes);
    const size_t end = begin + r->file.row_bytes;
    if (begin / BLOCK != end / BLOCK) {
        const size_t from = begin / BLOCK * BLOCK;
        os_pages_drop(r->mapping.bytes + from, end - from);
    }
}

sl_status sl_reference_read(const sl_reference *reference, size_t window, size_t index,
                            float *log_probabilities, sl_error *error) {
    const sl_status status =
        logits_file_row(&reference->file, window, index, log_probabilities, error);
    drop_behind(reference, window, index);
    if (os_guard_faulted(reference->mapping.bytes)) {
        return error_set(error, SL_ERR_RUNTIME, "the reference was cut short while it was read");
    }
    return status;
}
