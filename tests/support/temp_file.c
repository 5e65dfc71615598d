#include "support/temp_file.h"

#include "base/random.h"
#include "base/size.h"
#include "support/gguf_family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

temp_file temp_file_write(const void *bytes, size_t size) {
    temp_file file;
    const char *folder = getenv("TMPDIR");
    snprintf(file.path, sizeof file.path, "%s/sluice-test-XXXXXX", folder ? folder : "/tmp");
    const int fd = mkstemp(file.path);
    if (fd < 0) {
        perror(file.path);
        abort();
    }
    for (size_t done = 0; done < size;) {
        const ssize_t n = write(fd, (const char *)bytes + done, size - done);
        if (n <= 0) {
            perror(file.path);
            unlink(file.path);
            abort();
        }
        done += (size_t)n;
    }
    close(fd);
    return file;
}

void temp_file_remove(const temp_file *file) {
    unlink(file->path);
}

temp_file temp_file_llama(const gguf_tiny_options *options) {
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_tiny_llama(&b, options);
    gguf_builder_finish(&b);
    const temp_file file = temp_file_write(b.image, b.image_bytes);
    gguf_builder_free(&b);
    return file;
}

temp_file temp_file_family(const char *family, const gguf_tiny_options *options) {
    gguf_builder b;
    gguf_builder_init(&b, 3);
    gguf_builder_family(&b, family, options);
    gguf_builder_finish(&b);
    const temp_file file = temp_file_write(b.image, b.image_bytes);
    gguf_builder_free(&b);
    return file;
}

/* ---- gpt2 ----------------------------------------------------------------------------------- */

enum { EMBD = 32, INNER = 64, HEADS = 4, LAYERS = 2, POSITIONS = 64, TOKENS = 257 };

/* Values around `middle`; n_out 0: a vector. */
static void add_floats(gguf_builder *b, quant_type type, const char *name, size_t n_in,
                       size_t n_out, double middle, random_state *r) {
    const size_t count = n_in * (n_out ? n_out : 1);
    float *values = malloc(count * sizeof *values);
    const quant_format *format = quant_format_of(n_out ? type : QUANT_F32);
    void *bytes = malloc(count * sizeof *values);
    if (!values || !bytes) {
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(middle + 0.4 * (random_unit(r) - 0.5));
    }
    format->encode(values, bytes, count);
    gguf_builder_tensor_add(b, name, n_out ? type : QUANT_F32, n_out ? 2 : 1,
                            (const uint64_t[]){n_in, n_out}, bytes);
    free(values);
    free(bytes);
}

static void add_gpt2_layer(gguf_builder *b, quant_type type, int layer, random_state *r) {
    static const struct {
        const char *name;
        size_t n_in, n_out; /* n_in 0: a norm */
    } parts[] = {{"attn_norm", 0, EMBD}, {"attn_qkv", EMBD, 3 * EMBD}, {"attn_output", EMBD, EMBD},
                 {"ffn_norm", 0, EMBD},  {"ffn_up", EMBD, INNER},      {"ffn_down", INNER, EMBD}};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.%s.weight", layer, parts[i].name);
        if (parts[i].n_in) {
            add_floats(b, type, name, parts[i].n_in, parts[i].n_out, 0, r);
        } else {
            add_floats(b, type, name, parts[i].n_out, 0, 1, r);
        }
        snprintf(name, sizeof name, "blk.%d.%s.bias", layer, parts[i].name);
        add_floats(b, type, name, parts[i].n_out, 0, 0, r);
    }
}

void gguf_builder_tiny_gpt2(gguf_builder *b, quant_type type) {
    const gguf_tiny_options options = gguf_tiny_defaults();
    random_state r;
    random_seed(&r, 5);
    gguf_builder_tiny_llama(b, &options);
    char name[64];
    while (b->tensor_count > 0) {
        snprintf(name, sizeof name, "%s", b->tensor[0].name);
        gguf_builder_tensor_remove(b, name);
    }
    for (size_t i = b->meta_count; i > 0; i--) {
        snprintf(name, sizeof name, "%s", b->meta[i - 1].key);
        if (strncmp(name, "llama.", 6) == 0 || strcmp(name, "general.architecture") == 0) {
            gguf_builder_remove(b, name);
        }
    }
    gguf_builder_string(b, "general.architecture", "gpt2");
    gguf_builder_u32(b, "gpt2.context_length", POSITIONS);
    gguf_builder_u32(b, "gpt2.embedding_length", EMBD);
    gguf_builder_u32(b, "gpt2.block_count", LAYERS);
    gguf_builder_u32(b, "gpt2.feed_forward_length", INNER);
    gguf_builder_u32(b, "gpt2.attention.head_count", HEADS);
    gguf_builder_f32(b, "gpt2.attention.layer_norm_epsilon", 1e-5f);
    add_floats(b, type, "token_embd.weight", EMBD, TOKENS, 0, &r);
    add_floats(b, type, "position_embd.weight", EMBD, POSITIONS, 0, &r);
    for (int layer = 0; layer < LAYERS; layer++) {
        add_gpt2_layer(b, type, layer, &r);
    }
    add_floats(b, type, "output_norm.weight", EMBD, 0, 1, &r);
    add_floats(b, type, "output_norm.bias", EMBD, 0, 0, &r);
}
