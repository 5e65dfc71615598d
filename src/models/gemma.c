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

/* Scores are divided by the square root of a number that GGUF's converters do not write: the size
 * of a head, but in the models of 27 billion parameters n_embd / n_head. Those are told by their
 * number of layers, as llama.cpp does. attention.scale says the factor itself. */
static float attention_scale(builder *b, const gated_shape *s, size_t n_layer_27b) {
    const size_t divisor = s->n_layer == n_layer_27b ? s->n_embd / s->n_head : s->head_k;
    return builder_float(b, "attention.scale", false, 1.0f / sqrtf((float)divisor), 1e-6, 1e6);
}

/* The layers of both: those with a window turn by angles[0], the others by angles[1]. */
static void build(builder *b, const gated_shape *s, gated_layer l, const uint64_t *windows,
                  const slot_id angles[2], slot_id x) {
    l.rope_halves = true;
    l.sandwich = true;
    l.activation = PREPARE_GELU_MUL;
    for (size_t layer = 0; layer < s->n_layer && b->status == SL_OK; layer++) {
        l.window = windows[layer];
        l.angles = angles[windows[layer] == 0];
        gated_add_layer(b, s, &l, (uint32_t)layer, x);
    }
}

void gemma2_build(builder *b) {
    const gated_shape s = gated_read(b);
    uint64_t windows[LIMIT_LAYERS];
    gated_windows(b, 4096, 2, windows, s.n_layer);
    weight_id embedding;
    const slot_id x = gated_embed(b, &s, sqrtf((float)s.n_embd), &embedding);
    gated_layer l = gated_plain_layer(&s);
    l.scale = attention_scale(b, &s, 46);
    l.soft_cap = builder_float(b, "attn_logit_softcapping", false, 50, 0, 1e6);
    const slot_id all = rotary_angles(b, &(rotary){s.n_rot, "rope.freq_base", 10000, true});
    build(b, &s, l, windows, (const slot_id[]){all, all}, x);
    gated_output(b, &s, x, embedding,
                 builder_float(b, "final_logit_softcapping", false, 30, 0, 1e6));
}

void gemma3_build(builder *b) {
    const gated_shape s = gated_read(b);
    uint64_t windows[LIMIT_LAYERS];
    gated_windows(b, BUILDER_REQUIRED, 6, windows, s.n_layer);
    weight_id embedding;
    const slot_id x = gated_embed(b, &s, sqrtf((float)s.n_embd), &embedding);
    gated_layer l = gated_plain_layer(&s);
    l.scale = attention_scale(b, &s, 62);
    l.norms_heads = true;
    const slot_id local = rotary_angles(b, &(rotary){s.n_rot, "rope.freq_base_swa", 10000, false});
    const slot_id all = rotary_angles(b, &(rotary){s.n_rot, "rope.freq_base", 1e6f, true});
    build(b, &s, l, windows, (const slot_id[]){local, all}, x);
    gated_output(b, &s, x, embedding,
                 builder_float(b, "final_logit_softcapping", false, 0, 0, 1e6));
}
