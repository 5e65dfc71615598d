/* type_mix.c - type_mix.h: the table of mixes, and walking it.
 *
 * Some tensors are worth more bits than others: the output matrix, what makes values of the
 * attention, what leaves the feed-forward part, and of these the first and last layers most. A mix
 * is a main type and rules for such groups; the first rule that fits a tensor counts.
 */
#include "engine/type_mix.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "engine/type_overrides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum tensor_group {
    OTHER,
    OUTPUT,
    EMBEDDING,
    VALUES, /* also of tensors that make queries, keys and values in one */
    KEYS,
    JOINED, /* what takes the heads' results together */
    DOWN,
} tensor_group;

/* `i` of `n` are the layer and the number of layers; for VALUES, of those that have such a tensor.
 */
typedef enum rule_case {
    ALWAYS,
    IF_SHARED,         /* at least 4 heads share a key head */
    IF_FIRST_TWO,      /* i < 2 */
    IF_FIRST_FOUR,     /* i < 4 */
    IF_SIXTEENTH,      /* i < n / 16 */
    IF_EIGHTH,         /* i < n / 8 */
    IF_EIGHTH_KNOWN,   /* and there is an importance matrix */
    IF_EIGHTH_UNKNOWN, /* and there is none */
    IF_MANY,           /* the first and last eighth, and every third between */
} rule_case;

/* Models for which a rule is meant. */
enum { FALCON = 1, EIGHT_EXPERTS = 2, USUAL = 4, ANY = 7, NO_FALCON = EIGHT_EXPERTS | USUAL };

typedef struct mix_rule {
    tensor_group group;
    rule_case when;
    quant_type type;
    unsigned models;
} mix_rule;

struct type_mix {
    const char *name;
    uint32_t file_type;
    quant_type type;
    bool experts_only; /* the others, MXFP4's, are Q8_0 */
    bool wants_importance;
    const mix_rule rules[8]; /* ended by one without models */
};

/* clang-format off */
static const type_mix mixes[] = {
    {.name = "f32", .file_type = 0, .type = QUANT_F32},
    {.name = "f16", .file_type = 1, .type = QUANT_F16},
    {.name = "bf16", .file_type = 32, .type = QUANT_BF16},
    {.name = "q8_0", .file_type = 7, .type = QUANT_Q8_0},
    {.name = "q4_0", .file_type = 2, .type = QUANT_Q4_0,
     .rules = {{DOWN, IF_EIGHTH_KNOWN, QUANT_Q4_1, ANY}}},
    {.name = "q4_1", .file_type = 3, .type = QUANT_Q4_1},
    {.name = "q5_0", .file_type = 8, .type = QUANT_Q5_0,
     .rules = {{DOWN, IF_EIGHTH_KNOWN, QUANT_Q5_1, ANY}}},
    {.name = "q5_1", .file_type = 9, .type = QUANT_Q5_1},
    {.name = "q2_k", .file_type = 10, .type = QUANT_Q2_K,
     .rules = {{VALUES, IF_SHARED, QUANT_Q4_K, ANY},
               {VALUES, ALWAYS, QUANT_Q3_K, ANY},
               {DOWN, ALWAYS, QUANT_Q3_K, ANY},
               {JOINED, ALWAYS, QUANT_Q3_K, USUAL},
               {JOINED, ALWAYS, QUANT_Q5_K, EIGHT_EXPERTS}}},
    {.name = "q2_k_s", .file_type = 21, .type = QUANT_Q2_K, .wants_importance = true,
     .rules = {{VALUES, IF_SHARED, QUANT_Q4_K, ANY},
               {DOWN, IF_EIGHTH, QUANT_Q4_K, ANY}}},
    {.name = "q3_k_s", .file_type = 11, .type = QUANT_Q3_K,
     .rules = {{JOINED, ALWAYS, QUANT_Q5_K, EIGHT_EXPERTS}}},
    {.name = "q3_k_m", .file_type = 12, .type = QUANT_Q3_K,
     .rules = {{VALUES, IF_FIRST_TWO, QUANT_Q5_K, ANY},
               {VALUES, ALWAYS, QUANT_Q4_K, ANY},
               {DOWN, IF_SIXTEENTH, QUANT_Q5_K, ANY},
               {DOWN, ALWAYS, QUANT_Q4_K, NO_FALCON},
               {DOWN, IF_MANY, QUANT_Q4_K, FALCON},
               {JOINED, ALWAYS, QUANT_Q4_K, USUAL},
               {JOINED, ALWAYS, QUANT_Q5_K, EIGHT_EXPERTS}}},
    {.name = "q3_k_l", .file_type = 13, .type = QUANT_Q3_K,
     .rules = {{VALUES, ALWAYS, QUANT_Q5_K, ANY},
               {DOWN, ALWAYS, QUANT_Q5_K, NO_FALCON},
               {DOWN, ALWAYS, QUANT_Q4_K, FALCON},
               {JOINED, ALWAYS, QUANT_Q5_K, USUAL},
               {JOINED, ALWAYS, QUANT_Q4_K, FALCON}}},
    {.name = "q4_k_s", .file_type = 14, .type = QUANT_Q4_K,
     .rules = {{VALUES, IF_FIRST_FOUR, QUANT_Q5_K, ANY},
               {DOWN, IF_EIGHTH, QUANT_Q5_K, NO_FALCON},
               {JOINED, ALWAYS, QUANT_Q5_K, EIGHT_EXPERTS}}},
    {.name = "q4_k_m", .file_type = 15, .type = QUANT_Q4_K,
     .rules = {{VALUES, IF_MANY, QUANT_Q6_K, ANY},
               {DOWN, IF_MANY, QUANT_Q6_K, NO_FALCON},
               {DOWN, IF_SIXTEENTH, QUANT_Q6_K, FALCON},
               {DOWN, IF_MANY, QUANT_Q5_K, FALCON},
               {JOINED, ALWAYS, QUANT_Q5_K, EIGHT_EXPERTS}}},
    {.name = "q5_k_s", .file_type = 16, .type = QUANT_Q5_K},
    {.name = "q5_k_m", .file_type = 17, .type = QUANT_Q5_K,
     .rules = {{VALUES, IF_MANY, QUANT_Q6_K, ANY},
               {DOWN, IF_MANY, QUANT_Q6_K, ANY}}},
    {.name = "q6_k", .file_type = 18, .type = QUANT_Q6_K},
    {.name = "iq4_nl", .file_type = 25, .type = QUANT_IQ4_NL,
     .rules = {{VALUES, IF_SHARED, QUANT_Q5_K, ANY},
               {DOWN, IF_EIGHTH_UNKNOWN, QUANT_Q5_K, ANY},
               {JOINED, ALWAYS, QUANT_Q5_K, EIGHT_EXPERTS}}},
    {.name = "iq4_xs", .file_type = 30, .type = QUANT_IQ4_XS,
     .rules = {{VALUES, IF_SHARED, QUANT_Q5_K, ANY},
               {DOWN, IF_EIGHTH_UNKNOWN, QUANT_Q5_K, ANY},
               {JOINED, ALWAYS, QUANT_Q5_K, EIGHT_EXPERTS}}},
    {.name = "mxfp4", .file_type = 38, .type = QUANT_MXFP4},
    {.name = "mxfp4_moe", .file_type = 38, .type = QUANT_MXFP4, .experts_only = true},
};

static const struct {
    const char *name, *means;
} other_names[] = {
    {"q3_k", "q3_k_m"},
    {"q4_k", "q4_k_m"},
    {"q5_k", "q5_k_m"},
};

/* What a type gives way to where its blocks do not divide the rows; where these do not either, and
 * for the other types, it is F16. */
static const struct {
    quant_type type, instead;
} fallbacks[] = {
    {QUANT_Q2_K, QUANT_Q4_0}, {QUANT_Q3_K, QUANT_Q4_0}, {QUANT_Q4_K, QUANT_Q5_0},
    {QUANT_Q5_K, QUANT_Q5_1}, {QUANT_Q6_K, QUANT_Q8_0}, {QUANT_IQ4_XS, QUANT_IQ4_NL},
};

/* Parts of the names of matrices that stay as they are: routers, positions, and such as are small
 * and do much. */
static const char *const kept_names[] = {
    "_norm.weight",          "ffn_gate_inp.weight",   "ffn_gate_tid2eid.weight",
    "altup",                 "laurel",                "per_layer_model_proj",
    "position_embd",         "token_types.weight",    "ssm_conv1d",
    "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight",
    "time_mix_first.weight", "time_mix_w0.weight",    "time_mix_w1.weight",
    "time_mix_w2.weight",    "time_mix_v0.weight",    "time_mix_v1.weight",
    "time_mix_v2.weight",    "time_mix_a0.weight",    "time_mix_a1.weight",
    "time_mix_a2.weight",    "time_mix_g1.weight",    "time_mix_g2.weight",
    "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",     "sam.pos_embd",          "sam.neck.",
    "sam.net_",              ".rel_pos",              ".patch_embd",
    ".patch_merger",
};

/* In this order, as the first part that is found counts. */
static const struct {
    const char *part;
    tensor_group group;
} group_names[] = {
    {"attn_qkv.weight", VALUES}, {"attn_kv_b.weight", VALUES}, {"attn_v.weight", VALUES},
    {"attn_k.weight", KEYS},     {"attn_output.weight", JOINED}, {"ffn_up", OTHER},
    {"ffn_gate", OTHER},         {"ffn_down", DOWN},
};
/* clang-format on */

/* ---- names ---------------------------------------------------------------------------------- */

static bool contains(str name, const char *part) {
    const size_t length = strlen(part);
    for (size_t i = 0; i + length <= name.len; i++) {
        if (memcmp(name.ptr + i, part, length) == 0) {
            return true;
        }
    }
    return false;
}

static tensor_group group_of(str name) {
    if (str_is(name, "output.weight")) {
        return OUTPUT;
    }
    if (str_is(name, "token_embd.weight") || str_is(name, "per_layer_token_embd.weight")) {
        return EMBEDDING;
    }
    for (size_t i = 0; i < COUNT_OF(group_names); i++) {
        if (contains(name, group_names[i].part)) {
            return group_names[i].group;
        }
    }
    return OTHER;
}

/* "blk.7.": 7; 0 for tensors outside of layers. */
static size_t layer_of(str name) {
    size_t layer = 0, at = sizeof "blk." - 1;
    if (!str_begins_with(name, "blk.")) {
        return 0;
    }
    while (at < name.len && name.ptr[at] >= '0' && name.ptr[at] <= '9' && layer < LIMIT_LAYERS) {
        layer = layer * 10 + (size_t)(name.ptr[at++] - '0');
    }
    return layer < LIMIT_LAYERS ? layer : LIMIT_LAYERS - 1;
}

/* Whether a mix has a say in the tensor's type. */
static bool is_quantized(const gguf_tensor *t) {
    if (t->n_dims < 2 || !str_ends_with(t->name, "weight")) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(kept_names); i++) {
        if (contains(t->name, kept_names[i])) {
            return false;
        }
    }
    return true;
}

sl_status type_mix_find(const char *name, const type_mix **mix, sl_error *error) {
    const char *wanted = name;
    for (size_t i = 0; i < COUNT_OF(other_names); i++) {
        wanted = strcasecmp(name, other_names[i].name) == 0 ? other_names[i].means : wanted;
    }
    char known[256] = "";
    for (size_t i = 0; i < COUNT_OF(mixes); i++) {
        if (strcasecmp(wanted, mixes[i].name) == 0) {
            *mix = &mixes[i];
            return SL_OK;
        }
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", mixes[i].name);
    }
    return error_set(error, SL_ERR_ARGUMENT, "no type is named '%.40s'; known: %s", name, known);
}

uint32_t type_mix_file_type(const type_mix *mix) {
    return mix->file_type;
}

bool type_mix_quantizes(const type_mix *mix) {
    return quant_format_of(mix->type)->block_length > 1;
}

bool type_mix_wants_importance(const type_mix *mix) {
    return mix->wants_importance;
}

/* ---- the model ------------------------------------------------------------------------------ */

/* What the rules ask for. */
typedef struct model_facts {
    unsigned kind; /* FALCON, EIGHT_EXPERTS or USUAL */
    bool shared;   /* at least 4 heads share a key head */
    bool seventy;  /* of LLaMA 2's size of 70 B: eight heads share one of values, which is cheap */
    bool tied;     /* the embedding is the output matrix, too */
    size_t n_layer;
    size_t n_values;                    /* tensors of the group VALUES */
    size_t values_before[LIMIT_LAYERS]; /* of them, those of lower layers */
} model_facts;

/* A number of the model, or of its first layer; `otherwise` where there is no such number. */
static uint64_t number_of(const model_file *file, str architecture, const char *key,
                          uint64_t otherwise) {
    char name[128];
    snprintf(name, sizeof name, "%.*s.%s", STR_ARG(architecture), key);
    const meta_entry *entry = meta_find(file, name);
    if (!entry || entry->count == 0 || entry->element_type == META_F32 ||
        entry->element_type == META_F64 || meta_type_bytes(entry->element_type) == 0) {
        return otherwise;
    }
    const int64_t value = meta_array_int(entry, 0);
    return value > 0 ? (uint64_t)value : 0;
}

static void count_values(const gguf_tensor *tensors, size_t n, model_facts *facts) {
    for (size_t i = 0; i < n; i++) {
        if (group_of(tensors[i].name) == VALUES) {
            facts->values_before[layer_of(tensors[i].name)]++;
        }
    }
    for (size_t i = 0; i < LIMIT_LAYERS; i++) {
        const size_t here = facts->values_before[i];
        facts->values_before[i] = facts->n_values;
        facts->n_values += here;
    }
}

static void find_facts(const model_file *file, const gguf_tensor *tensors, size_t n,
                       model_facts *facts) {
    str name = {0};
    sl_error ignored;
    if (meta_get_string(file, "general.architecture", false, &name, &ignored) != SL_OK) {
        name = (str){0};
    }
    const uint64_t n_layer = number_of(file, name, "block_count", 0);
    const uint64_t heads = number_of(file, name, "attention.head_count", 0);
    const uint64_t key_heads = number_of(file, name, "attention.head_count_kv", heads);
    const uint64_t experts = number_of(file, name, "expert_count", 0);
    facts->n_layer = n_layer < LIMIT_LAYERS ? (size_t)n_layer : LIMIT_LAYERS;
    facts->shared = key_heads > 0 && heads / key_heads >= 4;
    facts->seventy =
        n_layer == 80 && ((str_is(name, "llama") && heads != key_heads) || str_is(name, "qwen2"));
    facts->kind = str_is(name, "falcon") ? FALCON : experts == 8 ? EIGHT_EXPERTS : USUAL;
    facts->tied = true;
    for (size_t i = 0; i < n; i++) {
        facts->tied = facts->tied && !str_is(tensors[i].name, "output.weight");
    }
    count_values(tensors, n, facts);
}

/* ---- choosing ------------------------------------------------------------------------------- */

static bool is_case(rule_case when, size_t i, size_t n, bool shared, bool importance) {
    switch (when) {
    case ALWAYS:
        return true;
    case IF_SHARED:
        return shared;
    case IF_FIRST_TWO:
        return i < 2;
    case IF_FIRST_FOUR:
        return i < 4;
    case IF_SIXTEENTH:
        return i < n / 16;
    case IF_EIGHTH:
        return i < n / 8;
    case IF_EIGHTH_KNOWN:
        return i < n / 8 && importance;
    case IF_EIGHTH_UNKNOWN:
        return i < n / 8 && !importance;
    case IF_MANY:
        return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    }
    return false;
}

/* The output matrix comes last of all and is read once a token: its bits buy most. */
static quant_type output_type(const type_mix *mix, const model_facts *facts, uint64_t row) {
    if (mix->experts_only || facts->kind == FALCON ||
        row % quant_format_of(mix->type)->block_length != 0) {
        return QUANT_Q8_0;
    }
    return mix->type == QUANT_Q8_0 ? QUANT_Q8_0 : QUANT_Q6_K;
}

static quant_type type_by_rules(const type_mix *mix, const model_facts *facts, const gguf_tensor *t,
                                tensor_group group, bool importance) {
    const size_t layer = layer_of(t->name);
    const size_t i = group == VALUES ? facts->values_before[layer] : layer;
    const size_t n = group == VALUES ? facts->n_values : facts->n_layer;
    if (mix->experts_only) {
        return t->dims[2] > 1 ? mix->type : QUANT_Q8_0;
    }
    if ((group == VALUES || group == KEYS) && facts->kind == EIGHT_EXPERTS) {
        return QUANT_Q8_0; /* small beside the experts */
    }
    quant_type type = mix->type;
    for (const mix_rule *rule = mix->rules; rule->models; rule++) {
        if (rule->group == group && (rule->models & facts->kind) &&
            is_case(rule->when, i, n, facts->shared, importance)) {
            type = rule->type;
            break;
        }
    }
    const bool raised = group == VALUES && facts->seventy;
    return raised && (type == QUANT_Q3_K || type == QUANT_Q4_K) ? QUANT_Q5_K : type;
}

static quant_type fitting(quant_type type, uint64_t row) {
    for (size_t i = 0; i < COUNT_OF(fallbacks); i++) {
        if (type == fallbacks[i].type && row % quant_format_of(type)->block_length != 0) {
            type = fallbacks[i].instead;
            break;
        }
    }
    return row % quant_format_of(type)->block_length == 0 ? type : QUANT_F16;
}

/* Names of types are looked up once. */
typedef struct chooser {
    const type_wishes *wishes;
    model_facts facts;
    type_overrides overrides;
    quant_type output, embedding;
} chooser;

/* What a matrix of the mix shall be, whatever its shape. */
static sl_status want(chooser *c, const gguf_tensor *t, quant_type *type, sl_error *error) {
    const type_wishes *w = c->wishes;
    const tensor_group group = group_of(t->name);
    const bool last = group == OUTPUT || (group == EMBEDDING && c->facts.tied);
    bool applied = false;
    *type = w->mix->type;
    if (group == EMBEDDING && w->embedding) {
        *type = c->embedding;
        return SL_OK;
    }
    if (last && w->output) {
        *type = c->output;
        return SL_OK;
    }
    const sl_status status = type_overrides_apply(&c->overrides, t->name, type, &applied, error);
    const bool quantizes = quant_format_of(*type)->block_length > 1;
    if (status == SL_OK && !applied && !w->pure && quantizes) {
        *type = last ? output_type(w->mix, &c->facts, t->dims[0])
                     : type_by_rules(w->mix, &c->facts, t, group, w->has_importance);
    }
    return status;
}

/* Vectors and positions stay floats: other programs want them so, and they are small. */
static sl_status choose(chooser *c, const gguf_tensor *t, type_choice *choice, sl_error *error) {
    const type_mix *mix = c->wishes->mix;
    *choice = (type_choice){t->type, t->type};
    if (t->n_dims == 1 || str_is(t->name, "position_embd.weight")) {
        *choice = (type_choice){QUANT_F32, QUANT_F32};
        return SL_OK;
    }
    if (!mix || (c->wishes->leave_output && str_is(t->name, "output.weight"))) {
        return SL_OK;
    }
    if (!is_quantized(t)) {
        if (mix->type == QUANT_F32) {
            *choice = (type_choice){QUANT_F32, QUANT_F32};
        }
        return SL_OK;
    }
    const sl_status status = want(c, t, &choice->wanted, error);
    choice->type = fitting(choice->wanted, t->dims[0]);
    return status;
}

static sl_status find_type(const char *name, const char *what, quant_type *type, sl_error *error) {
    return !name || type_by_name(name, type)
               ? SL_OK
               : error_set(error, SL_ERR_ARGUMENT, "%s: no type is named '%.40s'", what, name);
}

static void tell_unused(const type_overrides *o, sl_notice_fn notice, void *user) {
    for (size_t i = 0; notice && i < o->count; i++) {
        char line[320];
        if (!o->items[i].found) {
            snprintf(line, sizeof line, "'%.200s' is found in no name of a matrix",
                     o->items[i].text);
            notice(user, line);
        }
    }
}

sl_status type_mix_choose(const model_file *file, const type_wishes *wishes,
                          const gguf_tensor *tensors, size_t n, type_choice *choices,
                          sl_notice_fn notice, void *user, sl_error *error) {
    chooser *c = calloc(1, sizeof *c);
    if (!c) {
        return error_memory(error, "the choice of types", sizeof *c);
    }
    c->wishes = wishes;
    find_facts(file, tensors, n, &c->facts);
    sl_status status = find_type(wishes->output, "the output matrix", &c->output, error);
    status = status == SL_OK ? find_type(wishes->embedding, "the embedding", &c->embedding, error)
                             : status;
    status = status == SL_OK
                 ? type_overrides_open(wishes->overrides, wishes->n_override, &c->overrides, error)
                 : status;
    for (size_t i = 0; i < n && status == SL_OK; i++) {
        status = choose(c, &tensors[i], &choices[i], error);
    }
    if (status == SL_OK) {
        tell_unused(&c->overrides, notice, user);
    }
    type_overrides_close(&c->overrides);
    free(c);
    return status;
}
