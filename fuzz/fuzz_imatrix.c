/* Any bytes as an importance matrix: what is accepted has values that can be used. */
#include "formats/imatrix.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    imatrix *m = NULL;
    sl_error error = {0};
    if (imatrix_parse(bytes, size, &m, &error) != SL_OK) {
        if (m || !error.message[0]) {
            abort();
        }
        return 0;
    }
    imatrix_info info;
    imatrix_get_info(m, &info);
    for (size_t i = 0; i < info.n_entry; i++) {
        size_t n;
        const str name = imatrix_entry(m, i, &n);
        const float *values = imatrix_find(m, name, n);
        if (!values || name.len == 0) {
            abort();
        }
        for (size_t k = 0; k < n; k++) {
            if (!(values[k] >= 0) || isinf(values[k])) {
                abort();
            }
        }
    }
    imatrix_close(m);
    return 0;
}
