/* phi3.c - Phi-3: LLaMA's layers from fused matrices, and rotations for long contexts.
 *
 *   x = embedding[token]
 *   per layer:  q, k, v = Wqkv n                          n = rms_norm(x)
 *               x += Wo attention(rope(q), rope(k), v)
 *               gate, up = Wup n                          n = rms_norm(x)
 *               x += Wdown (silu(gate) * up)
 *   logits = Wout rms_norm(x)
 *
 * Rotary pairs are (i, i + n_rot / 2), n_rot less than a head's size in some. Models for contexts
 * of 128k have two sets of factors that divide the frequencies; rotary.h says which one holds.
 */
#include "models/phi3.h"

#include "base/limits.h"
#include "models/gated.h"
#include "models/rotary.h"

void phi3_build(builder *b) {
    const gated_shape s = gated_read(b);
    uint64_t windows[LIMIT_LAYERS];
    gated_windows(b, 0, 0, windows, s.n_layer);
    weight_id embedding;
    const slot_id x = gated_embed(b, &s, 0, &embedding);
    gated_layer l = gated_plain_layer(&s);
    l.rope_halves = true;
    l.fused = true;
    l.angles = rotary_angles_long(b, &(rotary){s.n_rot, "rope.freq_base", 10000, true});
    for (size_t layer = 0; layer < s.n_layer && b->status == SL_OK; layer++) {
        l.window = windows[layer];
        gated_add_layer(b, &s, &l, (uint32_t)layer, x);
    }
    gated_output(b, &s, x, embedding, 0);
}
