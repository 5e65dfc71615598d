#include "models/rotary.h"

#include "base/error.h"
#include "base/limits.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

static const double two_pi = 6.283185307179586476925286766559;

/* ---- divisors ------------------------------------------------------------------------------- */

static void divide(builder *b, const char *name, double *frequency, float factor) {
    if (b->status == SL_OK && (!(factor > 0) || !isfinite(factor))) {
        builder_fail(b, SL_ERR_FORMAT, "'%s' holds %g, expected positive numbers", name,
                     (double)factor);
    }
    *frequency /= (double)factor;
}

static void divide_by_tensor(builder *b, const char *name, double *frequency, size_t n_pair) {
    const tensor_entry *t = tensor_find(b->file, str_from(name));
    if (t->type != QUANT_F32 || t->bytes != n_pair * sizeof(float) || t->dims[0] != n_pair) {
        builder_fail(b, SL_ERR_FORMAT,
                     "tensor '%s' has shape [%llu, %llu] and type %s, expected [%zu] and F32", name,
                     (unsigned long long)t->dims[0], (unsigned long long)t->dims[1],
                     quant_format_of(t->type)->name, n_pair);
        return;
    }
    b->p->n_table++;
    for (size_t i = 0; i < n_pair; i++) {
        float factor;
        quant_format_of(QUANT_F32)->decode(t->data + i * sizeof factor, &factor, 1);
        divide(b, name, &frequency[i], factor);
    }
}

static void divide_by_array(builder *b, const char *key, const meta_entry *list, double *frequency,
                            size_t n_pair) {
    if (list->count != n_pair) {
        builder_fail(b, SL_ERR_FORMAT, "'%s' has %llu numbers, expected %zu", key,
                     (unsigned long long)list->count, n_pair);
        return;
    }
    for (size_t i = 0; i < n_pair; i++) {
        divide(b, key, &frequency[i], meta_array_float(list, i));
    }
}

/* ---- scaling -------------------------------------------------------------------------------- */

/* Llama 3's scaling as its authors published it (llama-models, apply_scaling): wave lengths longer
 * than the old context over `low` are stretched by `factor`, those shorter than it over `high` are
 * left alone, and between the two there is a linear blend. */
static void scale_like_llama3(builder *b, double *frequency, size_t n_pair, double factor) {
    const double low = builder_float(b, "rope.scaling.low_freq_factor", false, 1, 1e-6, 1e6);
    const double high = builder_float(b, "rope.scaling.high_freq_factor", false, 4, 1e-6, 1e6);
    const double old_context =
        (double)builder_u64(b, "rope.scaling.original_context_length", 8192, 1, LIMIT_CONTEXT);
    if (b->status == SL_OK && high <= low) {
        builder_fail(b, SL_ERR_FORMAT,
                     "rope.scaling.high_freq_factor is %g, expected more than low_freq_factor %g",
                     high, low);
    }
    for (size_t i = 0; i < n_pair; i++) {
        const double wave = two_pi / frequency[i];
        if (wave > old_context / low) {
            frequency[i] /= factor;
        } else if (wave >= old_context / high) {
            const double smooth = (old_context / wave - low) / (high - low);
            frequency[i] = (1 - smooth) * frequency[i] / factor + smooth * frequency[i];
        }
    }
}

static void scale_frequencies(builder *b, double *frequency, size_t n_pair) {
    const str type = builder_string(b, "rope.scaling.type");
    /* scale_linear is the key that early files used. */
    const float old_factor = builder_float(b, "rope.scale_linear", false, 1, 1e-6, 1e6);
    const float factor = builder_float(b, "rope.scaling.factor", false, old_factor, 1e-6, 1e6);
    if (type.len == 0 || str_is(type, "linear")) { /* a factor of no type is linear: llama.cpp */
        for (size_t i = 0; i < n_pair; i++) {
            frequency[i] /= (double)factor;
        }
    } else if (str_is(type, "llama3")) {
        scale_like_llama3(b, frequency, n_pair, (double)factor);
    } else if (type.len != 0 && !str_is(type, "none")) {
        builder_fail(b, SL_ERR_UNSUPPORTED,
                     "rope.scaling.type '%.*s' is not supported; known: none, linear, llama3",
                     STR_ARG(type));
    }
    if (tensor_find(b->file, str_from("rope_freqs.weight"))) {
        divide_by_tensor(b, "rope_freqs.weight", frequency, n_pair);
    }
}

/* ---- sets ----------------------------------------------------------------------------------- */

/* base^(-2i / n_rot) of each pair, from malloc; NULL after a failure. */
static double *frequencies(builder *b, const rotary *r) {
    const double base = (double)builder_float(b, r->base_key, false, r->base, 1e-3, 1e12);
    const size_t n_pair = r->n_rot / 2;
    if (b->status != SL_OK) {
        return NULL;
    }
    double *frequency = malloc(n_pair * sizeof *frequency);
    if (!frequency) {
        b->status = error_memory(b->error, "rotary frequencies", n_pair * sizeof *frequency);
        return NULL;
    }
    for (size_t i = 0; i < n_pair; i++) {
        frequency[i] = kernel_pow(base, -2.0 * (double)i / (double)r->n_rot);
    }
    return frequency;
}

static uint32_t add_set(builder *b, const rotary *r, double *frequency) {
    const uint32_t set = program_add_angle_set(b->p, r->n_rot / 2, frequency, b->error);
    if (set == UINT32_MAX) {
        b->status = SL_ERR_MEMORY;
    }
    return set;
}

static slot_id add_op(builder *b, const rotary *r, op_angles angles) {
    const slot_id out = builder_slot(b, r->n_rot);
    builder_op(b, &(op){.kind = OP_ANGLES,
                        .layer = UINT32_MAX,
                        .in = NO_SLOT,
                        .out = out,
                        .as.angles = angles});
    return out;
}

slot_id rotary_angles(builder *b, const rotary *r) {
    double *frequency = frequencies(b, r);
    if (!frequency) {
        return NO_SLOT;
    }
    if (r->scaled) {
        scale_frequencies(b, frequency, r->n_rot / 2);
    }
    return add_op(b, r, (op_angles){.set = add_set(b, r, frequency)});
}

/* ---- short and long ------------------------------------------------------------------------- */

/* Where factors of one length are: at most one of the two. */
typedef struct factors {
    const char *tensor, *key;
    const meta_entry *array;
    bool exist;
} factors;

static factors find_factors(builder *b, const char *tensor, const char *key) {
    factors f = {.tensor = tensor, .key = key};
    f.exist = tensor_find(b->file, str_from(tensor)) != NULL;
    if (!f.exist && b->status == SL_OK) {
        b->status = meta_get_array(b->file, key, false, META_F32, &f.array, b->error);
        f.exist = f.array != NULL;
    }
    return f;
}

static uint32_t divided_set(builder *b, const rotary *r, const factors *f) {
    double *frequency = frequencies(b, r);
    if (!frequency) {
        return UINT32_MAX;
    }
    if (f->array) {
        divide_by_array(b, f->key, f->array, frequency, r->n_rot / 2);
    } else {
        divide_by_tensor(b, f->tensor, frequency, r->n_rot / 2);
    }
    return add_set(b, r, frequency);
}

slot_id rotary_angles_long(builder *b, const rotary *r) {
    const factors of_short =
        find_factors(b, "rope_factors_short.weight", "sluice.rope_factors_short");
    const factors of_long = find_factors(b, "rope_factors_long.weight", "sluice.rope_factors_long");
    if (!of_short.exist && !of_long.exist) {
        return rotary_angles(b, r);
    }
    if (!of_short.exist || !of_long.exist) {
        builder_fail(b, SL_ERR_FORMAT, "tensor '%s' is missing, though there is '%s'",
                     of_short.exist ? of_long.tensor : of_short.tensor,
                     of_short.exist ? of_short.tensor : of_long.tensor);
    }
    op_angles angles = {
        .long_from = builder_u64(b, "rope.scaling.original_context_length", b->p->n_ctx_train, 1,
                                 LIMIT_CONTEXT),
        .magnitude = builder_float(b, "rope.scaling.attn_factor", false, 1, 1e-3, 1e3),
    };
    if (b->status == SL_OK) {
        angles.set = divided_set(b, r, &of_short);
        angles.long_set = divided_set(b, r, &of_long);
    }
    return add_op(b, r, angles);
}
