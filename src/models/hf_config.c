#include "models/hf_config.h"

#include "base/limits.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const json_t *find(const hf_config *c, const char *name) {
    const json_t *value = json_object_get(c->root, name);
    return json_is_null(value) ? NULL : value;
}

static void refuse(hf_config *c, const char *name, const char *expected) {
    tables_fail(c->t, SL_ERR_FORMAT, "config.json: \"%s\" is expected to be %s", name, expected);
}

/* ---- settings ------------------------------------------------------------------------------- */

bool hf_has(const hf_config *c, const char *name) {
    return find(c, name) != NULL;
}

uint64_t hf_u64(hf_config *c, const char *name, uint64_t otherwise, uint64_t low, uint64_t high) {
    const json_t *value = find(c, name);
    if (!value) {
        return otherwise;
    }
    const json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (uint64_t)n < low || (uint64_t)n > high) {
        tables_fail(c->t, SL_ERR_FORMAT,
                    "config.json: \"%s\" is expected to be a whole number of %llu to %llu", name,
                    (unsigned long long)low, (unsigned long long)high);
        return low;
    }
    return (uint64_t)n;
}

static double number_of(hf_config *c, const json_t *value, const char *name, double otherwise) {
    if (!value || json_is_null(value)) {
        return otherwise;
    }
    const double n = json_number_value(value);
    if (!json_is_number(value) || !isfinite(n) || fabs(n) > 1e30) {
        refuse(c, name, "a number");
        return otherwise;
    }
    return n;
}

double hf_float(hf_config *c, const char *name, double otherwise) {
    return number_of(c, find(c, name), name, otherwise);
}

bool hf_bool(hf_config *c, const char *name, bool otherwise) {
    const json_t *value = find(c, name);
    if (value && !json_is_boolean(value)) {
        refuse(c, name, "true or false");
    }
    return value ? json_is_true(value) : otherwise;
}

str hf_string(hf_config *c, const char *name, const char *otherwise) {
    const json_t *value = find(c, name);
    if (value && !json_is_string(value)) {
        refuse(c, name, "a string");
    }
    return json_is_string(value) ? (str){json_string_value(value), json_string_length(value)}
                                 : str_from(otherwise);
}

void hf_only_bool(hf_config *c, const char *name, bool only) {
    if (hf_bool(c, name, only) != only) {
        tables_fail(c->t, SL_ERR_UNSUPPORTED, "config.json: \"%s\": %s is not supported for %s",
                    name, only ? "false" : "true", c->architecture);
    }
}

static bool is_listed(const char *known, const char *word) {
    char spaced[40];
    snprintf(spaced, sizeof spaced, " %s ", word);
    return strstr(known, spaced) != NULL;
}

const char *hf_activation(hf_config *c, const char *name, const char *otherwise,
                          const char *known) {
    static const char *const words[][2] = {
        /* transformers' ACT2FN; the second three differ by the rounding of their last bits only */
        {"gelu", "gelu"},           {"gelu_python", "gelu"},
        {"gelu_new", "gelu_tanh"},  {"gelu_pytorch_tanh", "gelu_tanh"},
        {"gelu_fast", "gelu_tanh"}, {"relu", "relu"},
        {"silu", "silu"},           {"swish", "silu"},
    };
    const str found = hf_string(c, name, otherwise);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_is(found, words[i][0]) && is_listed(known, words[i][1])) {
            return words[i][1];
        }
    }
    tables_fail(c->t, SL_ERR_UNSUPPORTED,
                "config.json: \"%s\": \"%.*s\" is not supported for %s; known:%s", name,
                STR_ARG(found), c->architecture, known);
    return "";
}

/* ---- keys ----------------------------------------------------------------------------------- */

static const char *key_of(hf_config *c, const char *name) {
    return tables_text(c->t, "%s.%s", c->architecture, name);
}

void hf_key_u64(hf_config *c, const char *name, uint64_t value) {
    tables_u64(c->t, key_of(c, name), value);
}

void hf_key_float(hf_config *c, const char *name, double value) {
    tables_float(c->t, key_of(c, name), (float)value);
}

void hf_key_bool(hf_config *c, const char *name, bool value) {
    tables_bool(c->t, key_of(c, name), value);
}

void hf_key_string(hf_config *c, const char *name, const char *value) {
    tables_string(c->t, key_of(c, name), str_from(value));
}

/* ---- rotary positions ----------------------------------------------------------------------- */

/* rope_parameters since transformers 5, rope_scaling before; NULL: neither. */
static const json_t *rotary_object(hf_config *c, const char *set) {
    const json_t *object = find(c, "rope_parameters");
    object = object ? object : find(c, "rope_scaling");
    if (object && !json_is_object(object)) {
        refuse(c, "rope_parameters", "an object");
        return NULL;
    }
    const json_t *inner = set ? json_object_get(object, set) : NULL;
    return json_is_object(inner) ? inner : object;
}

static double required(hf_config *c, const json_t *object, const char *name) {
    const double n = number_of(c, json_object_get(object, name), name, 0);
    if (!(n > 0)) {
        refuse(c, name, "a number above 0, as this kind of rotary scaling needs it");
    }
    return n;
}

/* A list of factors of longrope, as a key. */
static void key_factors(hf_config *c, const json_t *object, const char *name, const char *key) {
    const json_t *list = json_object_get(object, name);
    const size_t n = json_array_size(list);
    if (n == 0 || n > LIMIT_HEAD_SIZE) {
        refuse(c, name, "a list of a factor for each rotary pair");
        return;
    }
    float *factors = tables_room(c->t, n * sizeof *factors);
    for (size_t i = 0; factors && i < n; i++) {
        const double factor = number_of(c, json_array_get(list, i), name, 0);
        if (!(factor > 0)) {
            refuse(c, name, "a list of numbers above 0");
            return;
        }
        factors[i] = (float)factor;
    }
    if (factors) {
        tables_floats(c->t, key, factors, n);
    }
}

/* The short factors hold up to the old context, the long ones beyond; both with a factor for cos
 * and sin, sqrt(1 + ln(new / old) / ln(old)) unless the config has its own. */
static void key_longrope(hf_config *c, const json_t *object) {
    key_factors(c, object, "short_factor", "sluice.rope_factors_short");
    key_factors(c, object, "long_factor", "sluice.rope_factors_long");
    const json_t *inner = json_object_get(object, "original_max_position_embeddings");
    const double context = hf_float(c, "max_position_embeddings", 4096);
    double old = hf_float(c, "original_max_position_embeddings", 0);
    old = old > 0 ? old : number_of(c, inner, "original_max_position_embeddings", context);
    if (!(old >= 2) || old > LIMIT_CONTEXT || old != floor(old)) {
        refuse(c, "original_max_position_embeddings", "a number of positions");
        return;
    }
    hf_key_string(c, "rope.scaling.type", "longrope");
    hf_key_u64(c, "rope.scaling.original_context_length", (uint64_t)old);
    const double factor = number_of(c, json_object_get(object, "factor"), "factor", context / old);
    const double usual = factor <= 1 ? 1 : sqrt(1 + kernel_log(factor) / kernel_log(old));
    hf_key_float(
        c, "rope.scaling.attn_factor",
        number_of(c, json_object_get(object, "attention_factor"), "attention_factor", usual));
}

static void key_scaling(hf_config *c, const json_t *object, const char *known) {
    const json_t *type = json_object_get(object, "rope_type");
    type = type ? type : json_object_get(object, "type");
    const char *word = json_is_string(type) ? json_string_value(type) : "default";
    word = strcmp(word, "su") == 0 ? "longrope" : word; /* its name at first */
    if (strcmp(word, "default") == 0) {
        return;
    }
    if (!is_listed(known, word)) {
        tables_fail(c->t, SL_ERR_UNSUPPORTED,
                    "config.json: rotary scaling of type \"%.40s\" is not supported for %s; "
                    "known: default%s",
                    word, c->architecture, known);
        return;
    }
    if (strcmp(word, "longrope") == 0) {
        key_longrope(c, object);
        return;
    }
    hf_key_string(c, "rope.scaling.type", word);
    hf_key_float(c, "rope.scaling.factor", required(c, object, "factor"));
    if (strcmp(word, "llama3") == 0) {
        const double old = required(c, object, "original_max_position_embeddings");
        hf_key_float(c, "rope.scaling.low_freq_factor", required(c, object, "low_freq_factor"));
        hf_key_float(c, "rope.scaling.high_freq_factor", required(c, object, "high_freq_factor"));
        if (old >= 1 && old <= LIMIT_CONTEXT) {
            hf_key_u64(c, "rope.scaling.original_context_length", (uint64_t)old);
        } else {
            refuse(c, "original_max_position_embeddings", "a number of positions");
        }
    }
}

void hf_rotary(hf_config *c, const char *set, double base, const char *known) {
    const json_t *object = rotary_object(c, set);
    const double theta = hf_float(c, "rope_theta", base);
    hf_key_float(c, "rope.freq_base",
                 number_of(c, json_object_get(object, "rope_theta"), "rope_theta", theta));
    if (object) {
        key_scaling(c, object, known);
    }
}

double hf_local_base(hf_config *c, const char *set, const char *old, double otherwise) {
    const json_t *object = json_object_get(find(c, "rope_parameters"), set);
    if (json_is_object(object)) {
        key_scaling(c, object, " ");
    }
    return number_of(c, json_object_get(object, "rope_theta"), "rope_theta",
                     hf_float(c, old, otherwise));
}

double hf_partial_rotary(hf_config *c, const char *name, double otherwise) {
    const json_t *inner = json_object_get(rotary_object(c, NULL), "partial_rotary_factor");
    const double share = number_of(c, inner, "partial_rotary_factor", hf_float(c, name, otherwise));
    if (!(share > 0 && share <= 1)) {
        refuse(c, name, "above 0 and at most 1");
        return 1;
    }
    return share;
}
