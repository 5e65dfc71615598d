#include "support/gguf_family.h"

#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct family {
    const char *name, *architecture;
    bool one_qkv;     /* one matrix for q, k and v */
    bool attn_bias;   /* biases of attention's matrices */
    bool ffn_bias;    /* of the others */
    bool affine;      /* norms have weights and biases */
    bool second_norm; /* ffn_norm */
    bool positions;   /* learned */
    bool embd_norm;   /* behind the embedding */
    bool last_norm;   /* at the end */
    bool narrow;      /* embeddings half as wide */
    bool output;      /* a matrix of its own */
    bool output_bias;
} family;

static const family families[] = {
    {.name = "gptj",
     .architecture = "gptj",
     .ffn_bias = true,
     .affine = true,
     .last_norm = true,
     .output = true,
     .output_bias = true},
    {.name = "gptneox",
     .architecture = "gptneox",
     .one_qkv = true,
     .attn_bias = true,
     .ffn_bias = true,
     .affine = true,
     .second_norm = true,
     .last_norm = true,
     .output = true},
    {.name = "gptneox-sequential",
     .architecture = "gptneox",
     .one_qkv = true,
     .attn_bias = true,
     .ffn_bias = true,
     .affine = true,
     .second_norm = true,
     .last_norm = true,
     .output = true},
    {.name = "opt",
     .architecture = "opt",
     .attn_bias = true,
     .ffn_bias = true,
     .affine = true,
     .second_norm = true,
     .positions = true,
     .last_norm = true},
    {.name = "opt-350m",
     .architecture = "opt",
     .attn_bias = true,
     .ffn_bias = true,
     .affine = true,
     .second_norm = true,
     .positions = true,
     .narrow = true},
    {.name = "galactica",
     .architecture = "opt",
     .second_norm = true,
     .positions = true,
     .last_norm = true},
    {.name = "bloom",
     .architecture = "bloom",
     .one_qkv = true,
     .attn_bias = true,
     .ffn_bias = true,
     .affine = true,
     .second_norm = true,
     .embd_norm = true,
     .last_norm = true},
};

const char *gguf_family_at(size_t index) {
    return index < COUNT_OF(families) ? families[index].name : NULL;
}

static const family *find(const char *name) {
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        if (strcmp(families[i].name, name) == 0) {
            return &families[i];
        }
    }
    abort();
}

/* ---- hyper-parameters ----------------------------------------------------------------------- */

static void put_u32(gguf_builder *b, const family *f, const char *name, size_t value) {
    char key[64];
    snprintf(key, sizeof key, "%s.%s", f->architecture, name);
    gguf_builder_u32(b, key, (uint32_t)value);
}

static void add_keys(gguf_builder *b, const family *f, const gguf_tiny_options *o) {
    char key[64];
    gguf_builder_string(b, "general.architecture", f->architecture);
    gguf_builder_string(b, "general.name", f->name);
    put_u32(b, f, "context_length", o->n_ctx);
    put_u32(b, f, "embedding_length", o->n_embd);
    put_u32(b, f, "block_count", o->n_layer);
    put_u32(b, f, "feed_forward_length", o->n_ff);
    put_u32(b, f, "attention.head_count", o->n_head);
    snprintf(key, sizeof key, "%s.attention.layer_norm_epsilon", f->architecture);
    gguf_builder_f32(b, key, 1e-5f);
    if (strcmp(f->architecture, "gptj") == 0 || strcmp(f->architecture, "gptneox") == 0) {
        put_u32(b, f, "rope.dimension_count", o->n_embd / o->n_head / 2);
    }
    if (strcmp(f->architecture, "gptneox") == 0) {
        gguf_builder_bool(b, "gptneox.use_parallel_residual", strcmp(f->name, "gptneox") == 0);
    }
    if (strcmp(f->architecture, "opt") == 0) {
        gguf_builder_bool(b, "opt.normalize_before", f->last_norm);
        gguf_builder_string(b, "opt.activation", f->affine ? "relu" : "gelu");
    }
    if (f->narrow) {
        put_u32(b, f, "word_embedding_length", o->n_embd / 2);
    }
}

/* ---- tensors -------------------------------------------------------------------------------- */

typedef struct writer {
    gguf_builder *b;
    const family *f;
    const gguf_tiny_options *o;
    random_state r;
} writer;

static void matrix(writer *w, const char *name, size_t n_in, size_t n_out, bool bias) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    gguf_builder_matrix(w->b, full, w->o->type, n_in, n_out, &w->r);
    if (bias) {
        snprintf(full, sizeof full, "%s.bias", name);
        gguf_builder_vector(w->b, full, n_out, 0, &w->r);
    }
}

static void norm(writer *w, const char *name) {
    char full[96];
    if (w->f->affine) {
        snprintf(full, sizeof full, "%s.weight", name);
        gguf_builder_vector(w->b, full, w->o->n_embd, 1, &w->r);
        snprintf(full, sizeof full, "%s.bias", name);
        gguf_builder_vector(w->b, full, w->o->n_embd, 0, &w->r);
    }
}

static void layer_matrix(writer *w, size_t layer, const char *name, size_t n_in, size_t n_out,
                         bool bias) {
    char full[64];
    snprintf(full, sizeof full, "blk.%zu.%s", layer, name);
    matrix(w, full, n_in, n_out, bias);
}

static void layer_norm(writer *w, size_t layer, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "blk.%zu.%s", layer, name);
    norm(w, full);
}

static void add_layer(writer *w, size_t layer) {
    const size_t n = w->o->n_embd;
    const bool bias = w->f->attn_bias;
    layer_norm(w, layer, "attn_norm");
    if (w->f->one_qkv) {
        layer_matrix(w, layer, "attn_qkv", n, 3 * n, bias);
    } else {
        layer_matrix(w, layer, "attn_q", n, n, bias);
        layer_matrix(w, layer, "attn_k", n, n, bias);
        layer_matrix(w, layer, "attn_v", n, n, bias);
    }
    layer_matrix(w, layer, "attn_output", n, n, bias);
    if (w->f->second_norm) {
        layer_norm(w, layer, "ffn_norm");
    }
    layer_matrix(w, layer, "ffn_up", n, w->o->n_ff, w->f->ffn_bias);
    layer_matrix(w, layer, "ffn_down", w->o->n_ff, n, w->f->ffn_bias);
}

void gguf_builder_family(gguf_builder *b, const char *name, const gguf_tiny_options *options) {
    writer w = {.b = b, .f = find(name), .o = options};
    random_seed(&w.r, options->seed);
    const size_t n = options->n_embd, word = w.f->narrow ? n / 2 : n;
    add_keys(b, w.f, options);
    gguf_builder_vocabulary(b, options->n_vocab);
    matrix(&w, "token_embd", word, options->n_vocab, false);
    if (w.f->positions) {
        matrix(&w, "position_embd", n, options->n_ctx, false);
    }
    if (w.f->narrow) {
        matrix(&w, "project_in", word, n, false);
        matrix(&w, "project_out", n, word, false);
    }
    if (w.f->embd_norm) {
        norm(&w, "token_embd_norm");
    }
    for (size_t layer = 0; layer < options->n_layer; layer++) {
        add_layer(&w, layer);
    }
    if (w.f->last_norm) {
        norm(&w, "output_norm");
    }
    if (w.f->output) {
        matrix(&w, "output", word, options->n_vocab, w.f->output_bias);
    }
}
