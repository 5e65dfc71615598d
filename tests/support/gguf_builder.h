/* gguf_builder.h - makes GGUF bytes in memory for tests: good files, and by patching what it made,
 * bad ones.
 *
 *   gguf_builder b;
 *   gguf_builder_init(&b, 3);
 *   gguf_builder_string(&b, "general.architecture", "llama");
 *   gguf_builder_tensor_add(&b, "output_norm.weight", QUANT_F32, 1, (uint64_t[]){32}, data);
 *   gguf_builder_finish(&b);              b.image, b.image_bytes are the file
 *   gguf_builder_patch(&b, b.tensor[0].type_at, 4, 99);                        a lie
 *   gguf_builder_free(&b);
 *
 * Entries may be changed or removed until finish, and finish may be called again. Adding the same
 * name twice puts it there twice. Running out of memory aborts: this is for tests only.
 */
#ifndef SUPPORT_GGUF_BUILDER_H
#define SUPPORT_GGUF_BUILDER_H

#include "base/random.h"
#include "formats/model_file.h"

typedef struct gguf_builder_bytes {
    uint8_t *data;
    size_t count;
    size_t capacity;
} gguf_builder_bytes;

typedef struct gguf_builder_meta {
    char *key;
    size_t key_bytes;
    uint32_t type;
    gguf_builder_bytes value;         /* as it will lie in the file, behind the type */
    size_t key_at, type_at, value_at; /* in the image; key_at is that of the key's length */
} gguf_builder_meta;

typedef struct gguf_builder_tensor {
    char *name;
    size_t name_bytes;
    uint32_t type;
    uint32_t n_dims;
    uint64_t dims[8];
    gguf_builder_bytes data;
    size_t name_at, n_dims_at, dims_at, type_at, offset_at, data_at; /* in the image */
} gguf_builder_tensor;

typedef struct gguf_builder {
    unsigned version;
    size_t alignment;     /* 32; of what finish writes, whatever the metadata says */
    bool pad_last_tensor; /* true */
    gguf_builder_meta *meta;
    size_t meta_count;
    gguf_builder_tensor *tensor;
    size_t tensor_count;
    uint8_t *image;
    size_t image_bytes;
    size_t tensor_count_at, meta_count_at; /* in the image */
} gguf_builder;

void gguf_builder_init(gguf_builder *b, unsigned version);
void gguf_builder_free(gguf_builder *b);

/* ---- metadata ------------------------------------------------------------------------------- */

/* A value of any type as raw bytes, which need not fit the type. */
void gguf_builder_raw(gguf_builder *b, const char *key, uint32_t type, const void *bytes,
                      size_t count);
void gguf_builder_u32(gguf_builder *b, const char *key, uint32_t value);
void gguf_builder_u64(gguf_builder *b, const char *key, uint64_t value);
void gguf_builder_f32(gguf_builder *b, const char *key, float value);
void gguf_builder_bool(gguf_builder *b, const char *key, bool value);
void gguf_builder_string(gguf_builder *b, const char *key, const char *value);
/* An array of `count` numbers of a type, as they lie in memory. */
void gguf_builder_array(gguf_builder *b, const char *key, meta_type type, const void *values,
                        size_t count);
void gguf_builder_strings(gguf_builder *b, const char *key, const char *const *values,
                          size_t count);

/* Removes every entry of that key; false if there was none. */
bool gguf_builder_remove(gguf_builder *b, const char *key);
/* The first entry of that key, or NULL; valid until the next one is added. */
gguf_builder_meta *gguf_builder_find(gguf_builder *b, const char *key);

/* ---- tensors -------------------------------------------------------------------------------- */

/* Copies the data, of which the type and the shape give the size; NULL: zeros. */
void gguf_builder_tensor_add(gguf_builder *b, const char *name, quant_type type, uint32_t n_dims,
                             const uint64_t *dims, const void *data);
/* The same with any type, shape and number of data bytes. */
void gguf_builder_tensor_raw(gguf_builder *b, const char *name, uint32_t type, uint32_t n_dims,
                             const uint64_t *dims, const void *data, size_t bytes);
bool gguf_builder_tensor_remove(gguf_builder *b, const char *name);
gguf_builder_tensor *gguf_builder_tensor_find(gguf_builder *b, const char *name);

/* ---- the image ------------------------------------------------------------------------------ */

/* Writes everything into b->image and fills in the *_at fields. */
void gguf_builder_finish(gguf_builder *b);
/* Overwrites `width` (1 to 8) bytes of the image, little-endian. */
void gguf_builder_patch(gguf_builder *b, size_t at, size_t width, uint64_t value);
/* Appends to a value by hand. */
void gguf_builder_put(gguf_builder_bytes *bytes, const void *data, size_t count);

/* ---- a whole model -------------------------------------------------------------------------- */

typedef struct gguf_tiny_options {
    size_t n_layer, n_embd, n_head, n_head_kv, n_ff, n_ctx;
    size_t n_vocab;  /* at least 257: the bytes and "<|end|>"; further ones are pairs of letters,
                        each with its merge */
    quant_type type; /* of all weights but the norms, which are F32 */
    bool tied;       /* no output.weight */
    uint64_t seed;
} gguf_tiny_options;

/* Two layers of 32 values, four heads on two, F32, untied. */
gguf_tiny_options gguf_tiny_defaults(void);

/* Parts of one, for other families: a byte-level tokenizer of n_vocab tokens, as above; a matrix of
 * random weights of standard deviation 0.1; a vector of floats around `middle`. */
void gguf_builder_vocabulary(gguf_builder *b, size_t n_vocab);
void gguf_builder_matrix(gguf_builder *b, const char *name, quant_type type, size_t n_in,
                         size_t n_out, random_state *r);
void gguf_builder_vector(gguf_builder *b, const char *name, size_t n, float middle,
                         random_state *r);

/* Adds a complete llama model with a byte-level "gpt2" tokenizer to a builder. Its weights are
 * random: floats of standard deviation 0.1, or random blocks whose values are of that order. */
void gguf_builder_tiny_llama(gguf_builder *b, const gguf_tiny_options *options);

#endif
