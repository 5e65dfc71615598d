/* llama.c - the LLaMA family: RMS norm, rotary positions, grouped-query attention, gated SiLU.
 *
 *   x = embedding[token]
 *   per layer:  q, k, v = Wq n, Wk n, Wv n          n = rms_norm(x)
 *               x += Wo attention(rope(q), rope(k), v)
 *               x += Wdown (silu(Wgate n) * Wup n)  n = rms_norm(x)
 *   logits = Wout rms_norm(x)
 *
 * Qwen 2 adds biases to q, k and v; Qwen 3 norms each head of q and k before the rotation instead.
 *
 * In GGUF the rows of LLaMA's Wq and Wk lie so that rotary pairs are neighbours (2i, 2i + 1);
 * Qwen's pairs are (i, i + n_rot / 2), as are LLaMA's where sluice.rope_halves says so.
 */
#include "models/llama.h"

#include "models/gated.h"
#include "models/rotary.h"

static void build(builder *b, bool rope_halves, bool norms_heads) {
    gated_model m;
    gated_begin(b, (gated_window){0}, false, &m);
    m.layer.rope_halves = rope_halves;
    m.layer.norms_heads = norms_heads;
    const slot_id angles = rotary_angles(b, &(rotary){m.s.n_rot, "rope.freq_base", 10000, true});
    gated_end(b, &m, (const slot_id[]){angles, angles}, 0);
}

void llama_build(builder *b) {
    build(b, builder_flag(b, "sluice.rope_halves"), false);
}

void qwen2_build(builder *b) {
    build(b, true, false);
}

void qwen3_build(builder *b) {
    build(b, true, true);
}
