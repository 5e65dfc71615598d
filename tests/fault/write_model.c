/* write_model.c - writes a small model of random weights, for tests that need one in a file:
 * write_model FILE LAYERS WIDTH */
#include "support/gguf_builder.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    gguf_tiny_options options = gguf_tiny_defaults();
    const long layers = argc == 4 ? atol(argv[2]) : 0, width = argc == 4 ? atol(argv[3]) : 0;
    if (layers < 1 || width < 64 || width % 64 != 0) {
        fputs("usage: write_model FILE LAYERS WIDTH\n", stderr);
        return 2;
    }
    options.n_layer = (size_t)layers;
    options.n_embd = (size_t)width;
    options.n_ff = 4 * (size_t)width;
    options.n_ctx = 256;
    options.type = QUANT_F16;
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_tiny_llama(&b, &options);
    gguf_builder_finish(&b);
    FILE *f = fopen(argv[1], "wb");
    const bool written = f && fwrite(b.image, 1, b.image_bytes, f) == b.image_bytes;
    gguf_builder_free(&b);
    if (!f || fclose(f) != 0 || !written) {
        perror(argv[1]);
        return 1;
    }
    return 0;
}
