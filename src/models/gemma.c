/* gemma.c - Gemma 2 and 3: norms on both sides of a layer, windows in most layers.
 *
 *   x = embedding[token] * sqrt(n_embd)
 *   per layer:  q, k, v = Wq n, Wk n, Wv n                     n = rms_norm(x)
 *               x += rms_norm(Wo attention(rope(q), rope(k), v))
 *               x += rms_norm(Wdown (gelu(Wgate n) * Wup n))   n = rms_norm(x)
 *   logits = cap(Wout rms_norm(x)), Wout the embedding unless the file has its own
 *
 * In GGUF, norm weights already are 1 + w (sluice.norm_plus_one: they are w). Rotary pairs are
 * (i, i + n_rot / 2).
 *
 * Gemma 2: every other layer, the first among them, sees a window only; scores and logits go
 * through soft caps.
 * Gemma 3: all layers but every sixth see a window and have rotary frequencies of their own, never
 * scaled; each head of q and k is normed before the rotation.
 */
#include "models/gemma.h"

#include "base/limits.h"
#include "models/gated.h"
#include "models/rotary.h"

#include <math.h>
#include <stdio.h>

enum { GEMMA2_27B_LAYERS = 46, GEMMA3_27B_LAYERS = 62 };

/* Scores are divided by the square root of a number that GGUF's converters do not write: the size
 * of a head, but in the models of 27 billion parameters n_embd / n_head. Those are told by their
 * number of layers, as llama.cpp does. attention.scale says the factor itself. */
static float usual_scale(uint64_t divisor) {
    return 1.0f / sqrtf((float)divisor);
}

static float attention_scale(builder *b, const gated_shape *s, size_t n_layer_27b) {
    const float usual = usual_scale(s->n_layer == n_layer_27b ? s->n_embd / s->n_head : s->head_k);
    return builder_float(b, "attention.scale", false, usual, 1e-6, 1e6);
}

/* What the layers of both have. */
static void begin(builder *b, gated_window window, size_t n_layer_27b, gated_model *m) {
    gated_begin(b, window, true, m);
    m->layer.rope_halves = true;
    m->layer.sandwich = true;
    m->layer.activation = PREPARE_GELU_MUL;
    m->layer.scale = attention_scale(b, &m->s, n_layer_27b);
}

void gemma2_build(builder *b) {
    gated_model m;
    begin(b, (gated_window){4096, 2}, GEMMA2_27B_LAYERS, &m);
    m.layer.soft_cap = builder_float(b, "attn_logit_softcapping", false, 50, 0, 1e6);
    const slot_id all = rotary_angles(b, &(rotary){m.s.n_rot, "rope.freq_base", 10000, true});
    gated_end(b, &m, (const slot_id[]){all, all},
              builder_float(b, "final_logit_softcapping", false, 30, 0, 1e6));
}

void gemma3_build(builder *b) {
    gated_model m;
    begin(b, (gated_window){BUILDER_REQUIRED, 6}, GEMMA3_27B_LAYERS, &m);
    m.layer.norms_heads = true;
    const slot_id local =
        rotary_angles(b, &(rotary){m.s.n_rot, "rope.freq_base_swa", 10000, false});
    const slot_id all = rotary_angles(b, &(rotary){m.s.n_rot, "rope.freq_base", 1e6f, true});
    gated_end(b, &m, (const slot_id[]){local, all},
              builder_float(b, "final_logit_softcapping", false, 0, 0, 1e6));
}

static uint64_t count_of(const model_file *file, const char *architecture, const char *name,
                         uint64_t otherwise, uint64_t most) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", architecture, name);
    uint64_t count = otherwise;
    /* What is no such number is told of where the model is built. */
    return meta_get_u64(file, key, false, 1, most, &count, NULL) == SL_OK ? count : otherwise;
}

bool gemma_scale_is_own(const model_file *file) {
    str name;
    if (meta_get_string(file, "general.architecture", true, &name, NULL) != SL_OK ||
        (!str_is(name, "gemma2") && !str_is(name, "gemma3"))) {
        return false;
    }
    const bool second = str_is(name, "gemma2");
    const char *const a = second ? "gemma2" : "gemma3";
    const uint64_t n_embd = count_of(file, a, "embedding_length", 1, LIMIT_EMBEDDING);
    const uint64_t n_head = count_of(file, a, "attention.head_count", 1, LIMIT_HEADS);
    const uint64_t even = n_embd > n_head ? n_embd / n_head : 1;
    const uint64_t head = count_of(file, a, "attention.key_length", even, LIMIT_HEAD_SIZE);
    const uint64_t n_layer = count_of(file, a, "block_count", 1, LIMIT_LAYERS);
    const bool is_27b = n_layer == (second ? GEMMA2_27B_LAYERS : GEMMA3_27B_LAYERS);
    const float usual = usual_scale(is_27b ? even : head);
    float scale = usual;
    const char *const key = second ? "gemma2.attention.scale" : "gemma3.attention.scale";
    return meta_get_float(file, key, false, 1e-6, 1e6, &scale, NULL) == SL_OK &&
           fabsf(scale - usual) > 1e-4f * usual;
}
