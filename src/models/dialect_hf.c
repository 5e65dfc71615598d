#include "models/dialect_hf.h"

#include "base/limits.h"
#include "base/size.h"
#include "models/hf_families.h"

#include <stdlib.h>

enum { OPT_FIRST_POSITION = 2 };

typedef struct translator {
    hf_config config;
    const hf_family *family;
    uint32_t *found; /* a bit for each rule: of the model, then of each layer */
} translator;

/* ---- names ---------------------------------------------------------------------------------- */

static str behind(str text, size_t bytes) {
    return (str){text.ptr + bytes, text.len - bytes};
}

/* "h.12.attn.bias" with "h.": layer 12, *name "attn.bias". UINT64_MAX if the name is no layer's. */
static uint64_t layer_of(const char *layers, str *name) {
    if (!str_begins_with(*name, layers)) {
        return UINT64_MAX;
    }
    str rest = behind(*name, strlen(layers));
    uint64_t layer = 0;
    size_t digits = 0;
    while (digits < rest.len && digits < 6 && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9') {
        layer = 10 * layer + (uint64_t)(rest.ptr[digits++] - '0');
    }
    const bool padded = digits > 1 && rest.ptr[0] == '0';
    if (digits == 0 || padded || digits >= rest.len || rest.ptr[digits] != '.') {
        return UINT64_MAX;
    }
    *name = behind(rest, digits + 1);
    return layer;
}

static const hf_tensor_rule *find_rule(const hf_tensor_rule *rules, str name, size_t *number) {
    for (*number = 0; rules[*number].name; ++*number) {
        if (str_is(name, rules[*number].name)) {
            const hf_tensor_rule *rule = &rules[*number];
            *number -= (rule->flags & HF_OTHER_NAME) != 0;
            return rule;
        }
    }
    return NULL;
}

/* ---- tensors -------------------------------------------------------------------------------- */

static bool quant_type_of(raw_type type, quant_type *out) {
    static const quant_type types[] = {
        [RAW_F32] = QUANT_F32, [RAW_F16] = QUANT_F16, [RAW_BF16] = QUANT_BF16};
    *out = type == RAW_OTHER ? QUANT_F32 : types[type];
    return type != RAW_OTHER;
}

/* GGUF counts dimensions from the one that varies fastest, and means [n_in, n_out] by two. A Conv1D
 * has them the other way round, and so has a matrix that was saved as a transposed view; what is
 * both lies in rows again. */
static void add_tensor(translator *x, const raw_tensor *raw, const hf_tensor_rule *rule,
                       const char *name) {
    tables *t = x->config.t;
    quant_type type;
    if (!quant_type_of(raw->type, &type) || raw->scattered) {
        tables_fail(t, SL_ERR_UNSUPPORTED,
                    "tensor \"%.*s\" %s%s; expected float32, float16 or bfloat16, one value after "
                    "the other",
                    STR_ARG(raw->name), raw->scattered ? "is a view with gaps, of " : "has type ",
                    raw->type_name);
        return;
    }
    if (raw->n_dims == 0 || raw->n_dims > 2 || (rule->flags & HF_CONV1D && raw->n_dims != 2)) {
        tables_fail(t, SL_ERR_FORMAT, "tensor \"%.*s\" has %zu dimensions, which its kind has not",
                    STR_ARG(raw->name), raw->n_dims);
        return;
    }
    const bool conv = rule->flags & HF_CONV1D;
    uint64_t dims[2] = {raw->dims[0], 1};
    if (raw->n_dims == 2) {
        dims[0] = raw->dims[conv ? 0 : 1];
        dims[1] = raw->dims[conv ? 1 : 0];
    }
    const bool in_rows = raw->n_dims == 1 || conv == raw->transposed;
    const uint8_t *data = raw->data;
    if (rule->flags & HF_SKIP_TWO) {
        if (raw->n_dims != 2 || !in_rows || dims[1] <= OPT_FIRST_POSITION) {
            tables_fail(t, SL_ERR_FORMAT, "tensor \"%.*s\" is expected to have rows of positions",
                        STR_ARG(raw->name));
            return;
        }
        dims[1] -= OPT_FIRST_POSITION;
        data += OPT_FIRST_POSITION * (raw->bytes / raw->dims[0]);
    }
    tensor_entry *entry = tables_tensor(t, name, type, raw->n_dims, dims, data);
    if (entry && !in_rows) {
        entry->layout = TENSOR_TRANSPOSED;
    }
}

static void translate_tensor(translator *x, const raw_tensor *raw) {
    tables *t = x->config.t;
    str name = raw->name;
    for (size_t i = 0; i < COUNT_OF(x->family->left_out) && x->family->left_out[i]; i++) {
        if (str_begins_with(name, x->family->left_out[i])) {
            return;
        }
    }
    for (size_t i = 0; i < COUNT_OF(x->family->prefixes) && x->family->prefixes[i]; i++) {
        if (str_begins_with(name, x->family->prefixes[i])) {
            name = behind(name, strlen(x->family->prefixes[i]));
            break;
        }
    }
    const uint64_t layer = layer_of(x->family->layers, &name);
    const bool in_layer = layer != UINT64_MAX;
    size_t number;
    const hf_tensor_rule *rule =
        find_rule(in_layer ? x->family->layer : x->family->model, name, &number);
    if (!rule || (in_layer && layer >= x->config.n_layer)) {
        tables_fail(t, SL_ERR_UNSUPPORTED,
                    "tensor \"%.*s\" is none that a %s of %llu layers is known to have",
                    STR_ARG(raw->name), x->family->model_type,
                    (unsigned long long)x->config.n_layer);
        return;
    }
    const bool off = (rule->needs & x->config.features) != rule->needs;
    if (!rule->gguf || (off && rule->flags & HF_LEFT_OUT)) {
        return;
    }
    uint32_t *found = &x->found[in_layer ? layer + 1 : 0];
    if (off || *found >> number & 1) {
        tables_fail(t, SL_ERR_FORMAT, "tensor \"%.*s\" is there %s", STR_ARG(raw->name),
                    off ? "although config.json says that the model has none" : "twice");
        return;
    }
    *found |= (uint32_t)1 << number;
    add_tensor(x, raw, rule,
               in_layer ? tables_text(t, "blk.%llu.%s", (unsigned long long)layer, rule->gguf)
                        : rule->gguf);
}

/* Whatever the settings ask for must be there: the first one that is not is named. */
static void check_complete(translator *x) {
    for (uint64_t i = 0; i <= x->config.n_layer; i++) {
        const hf_tensor_rule *rules = i == 0 ? x->family->model : x->family->layer;
        for (size_t k = 0; rules[k].name; k++) {
            const bool on = (rules[k].needs & x->config.features) == rules[k].needs;
            if (!rules[k].gguf || !on || rules[k].flags & HF_OTHER_NAME || x->found[i] >> k & 1) {
                continue;
            }
            if (i == 0) {
                tables_fail(x->config.t, SL_ERR_FORMAT, "tensor \"%s\" is missing", rules[k].name);
            } else {
                tables_fail(x->config.t, SL_ERR_FORMAT, "tensor \"%s%llu.%s\" is missing",
                            x->family->layers, (unsigned long long)(i - 1), rules[k].name);
            }
            return;
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

static const hf_family *find_family(tables *t, const json_t *config) {
    const json_t *type = json_object_get(config, "model_type");
    if (!json_is_string(type)) {
        tables_fail(t, SL_ERR_FORMAT, "config.json has no \"model_type\"");
        return NULL;
    }
    const char *names;
    const str word = {json_string_value(type), json_string_length(type)};
    const hf_family *family = hf_family_find(word, &names);
    if (!family) {
        tables_fail(t, SL_ERR_UNSUPPORTED,
                    "config.json: the model_type \"%.*s\" is not supported; known: %s",
                    STR_ARG(word), names);
    }
    return family;
}

/* A model of text and images keeps the settings of text in an object of their own. */
static const json_t *text_settings(tables *t, const json_t *config) {
    const json_t *inner = json_object_get(config, "text_config");
    if (!inner) {
        return config;
    }
    if (!json_is_object(inner)) {
        tables_fail(t, SL_ERR_FORMAT, "config.json: \"text_config\" is expected to be an object");
    }
    return inner;
}

void dialect_hf_translate(tables *t, const json_t *config, const raw_tensors *list) {
    if (!json_is_object(config)) {
        tables_fail(t, SL_ERR_FORMAT, "config.json is expected to be an object");
    }
    const hf_family *family = t->status == SL_OK ? find_family(t, config) : NULL;
    if (!family) {
        return;
    }
    translator x = {
        .config = {.t = t, .root = text_settings(t, config), .architecture = family->architecture},
        .family = family,
    };
    const json_t *quantized = json_object_get(config, "quantization_config");
    if (hf_has(&x.config, "quantization_config") || json_is_object(quantized)) {
        tables_fail(t, SL_ERR_UNSUPPORTED,
                    "config.json: \"quantization_config\" is not supported; weights are expected "
                    "to be float32, float16 or bfloat16");
    }
    tables_string(t, "general.architecture", str_from(family->architecture));
    family->keys(&x.config);
    x.found = t->status == SL_OK ? calloc(x.config.n_layer + 1, sizeof *x.found) : NULL;
    if (t->status == SL_OK && !x.found) {
        tables_fail(t, SL_ERR_MEMORY, "out of memory: a list of layers");
    }
    for (size_t i = 0; i < list->items.count && t->status == SL_OK; i++) {
        translate_tensor(&x, raw_tensor_at(list, i));
    }
    if (t->status == SL_OK) {
        check_complete(&x);
    }
    free(x.found);
}
