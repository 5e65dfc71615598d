/* Any bytes as a saved reference: what is accepted is read to the last row. */
#include "formats/logits_file.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void read_window(const logits_file *f, size_t window, int32_t *tokens, float *values) {
    sl_error error = {0};
    logits_file_tokens(f, window, tokens);
    for (size_t i = 0; i < f->info.n_ctx; i++) {
        if (tokens[i] < 0 || (size_t)tokens[i] >= f->info.n_vocab) {
            abort();
        }
    }
    for (size_t i = 0; i < sl_reference_scored(f->info.n_ctx); i++) {
        if (logits_file_row(f, window, i, values, &error) != SL_OK) {
            if (!error.message[0]) {
                abort();
            }
            continue;
        }
        for (size_t k = 0; k < f->info.n_vocab; k++) {
            if (!isfinite(values[k])) {
                abort();
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    logits_file f;
    sl_error error = {0};
    if (logits_file_parse(bytes, size, &f, &error) != SL_OK) {
        if (!error.message[0]) {
            abort();
        }
        return 0;
    }
    int32_t *tokens = malloc(f.info.n_ctx * sizeof *tokens);
    float *values = malloc(f.info.n_vocab * sizeof *values);
    for (size_t i = 0; tokens && values && i < f.info.n_window; i++) {
        read_window(&f, i, tokens, values);
    }
    free(tokens);
    free(values);
    return 0;
}
