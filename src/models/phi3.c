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

#include "models/gated.h"
#include "models/rotary.h"

void phi3_build(builder *b) {
    gated_model m;
    gated_begin(b, (gated_window){0}, false, &m);
    m.layer.rope_halves = true;
    m.layer.fused = true;
    const slot_id angles =
        rotary_angles_long(b, &(rotary){m.s.n_rot, "rope.freq_base", 10000, true});
    gated_end(b, &m, (const slot_id[]){angles, angles}, 0);
}
