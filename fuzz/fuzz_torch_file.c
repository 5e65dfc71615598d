/* Any bytes as what torch.save writes, pickles and zip archives of them: what is accepted is then
 * read to the last byte. */
#include "formats/torch_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A result that is not used is not computed. */
static volatile uint64_t kept;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    raw_tensors list = raw_tensors_new();
    sl_error error = {0};
    const sl_status status = torch_file_parse(bytes, size, &list, &error);
    if (status != SL_OK && !error.message[0]) {
        abort();
    }
    for (size_t i = 0; status == SL_OK && i < list.items.count; i++) {
        const raw_tensor *t = raw_tensor_at(&list, i);
        if (t->name.len == 0 ||
            (!t->scattered && (t->data < bytes || t->bytes > size - (size_t)(t->data - bytes)))) {
            abort();
        }
        for (size_t k = 0; k < t->bytes; k++) {
            kept += t->data[k];
        }
    }
    raw_tensors_free(&list);
    return 0;
}
