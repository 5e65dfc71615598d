#include "models/gguf_habit.h"

#include "base/error.h"
#include "base/limits.h"

#include <stdio.h>

static bool is_one_of(str name, const char *weight, const char *bias) {
    return str_ends_with(name, weight) || str_ends_with(name, bias);
}

static sl_status read_flag(const model_file *file, const char *key, bool *out, sl_error *error) {
    *out = false;
    return meta_get_bool(file, key, false, out, error);
}

/* "<architecture>.attention.head_count<suffix>", `otherwise` where it is absent. */
static sl_status read_heads(const model_file *file, const char *suffix, uint64_t otherwise,
                            uint64_t *out, sl_error *error) {
    char key[320];
    str architecture;
    sl_status status = meta_get_string(file, "general.architecture", true, &architecture, error);
    if (status == SL_OK) {
        snprintf(key, sizeof key, "%.*s.attention.head_count%s", STR_ARG(architecture), suffix);
        *out = otherwise;
        status = meta_get_u64(file, key, otherwise == 0, 1, LIMIT_HEADS, out, error);
    }
    return status;
}

/* Cuts the tensor's rows into heads, each of `parts` runs of the same length. */
static sl_status cut_heads(const tensor_entry *t, uint64_t n_head, size_t parts, gguf_habit *out,
                           sl_error *error) {
    const uint64_t rows = t->n_dims == 1 ? t->dims[0] : t->dims[1];
    if (rows % (n_head * parts) != 0) {
        return error_set(error, SL_ERR_FORMAT,
                         "tensor '%.*s' has %llu rows, expected a multiple of %zu for %llu heads",
                         STR_ARG(t->name), (unsigned long long)rows, (size_t)n_head * parts,
                         (unsigned long long)n_head);
    }
    out->n_head = (size_t)n_head;
    out->head = (size_t)(rows / n_head / parts);
    return SL_OK;
}

static sl_status pairs(const model_file *file, const tensor_entry *t, gguf_habit *out,
                       sl_error *error) {
    uint64_t n_head;
    sl_status status = read_heads(file, "", 0, &n_head, error);
    if (status == SL_OK && is_one_of(t->name, "attn_k.weight", "attn_k.bias")) {
        status = read_heads(file, "_kv", n_head, &n_head, error);
    }
    out->order = HABIT_PAIRS;
    status = status == SL_OK ? cut_heads(t, n_head, 1, out, error) : status;
    if (status == SL_OK && out->head % 2 != 0) {
        return error_set(error, SL_ERR_FORMAT, "heads of %zu values have no halves", out->head);
    }
    return status;
}

sl_status gguf_habit_of(const model_file *file, const tensor_entry *tensor, gguf_habit *out,
                        sl_error *error) {
    bool halves, interleaved, plus_one;
    *out = (gguf_habit){.order = HABIT_AS_IT_IS};
    sl_status status = read_flag(file, "sluice.rope_halves", &halves, error);
    status =
        status == SL_OK ? read_flag(file, "sluice.qkv_interleaved", &interleaved, error) : status;
    status = status == SL_OK ? read_flag(file, "sluice.norm_plus_one", &plus_one, error) : status;
    if (status != SL_OK) {
        return status;
    }
    out->plus_one = plus_one && str_ends_with(tensor->name, "norm.weight");
    if (halves && (is_one_of(tensor->name, "attn_q.weight", "attn_q.bias") ||
                   is_one_of(tensor->name, "attn_k.weight", "attn_k.bias"))) {
        return pairs(file, tensor, out, error);
    }
    if (interleaved && is_one_of(tensor->name, "attn_qkv.weight", "attn_qkv.bias")) {
        uint64_t n_head;
        status = read_heads(file, "", 0, &n_head, error);
        out->order = HABIT_GATHERED;
        return status == SL_OK ? cut_heads(tensor, n_head, 3, out, error) : status;
    }
    return SL_OK;
}

size_t gguf_habit_source(const gguf_habit *habit, size_t row) {
    const size_t head = row / (habit->head ? habit->head : 1), in_head = row - head * habit->head;
    switch (habit->order) {
    case HABIT_PAIRS:
        return head * habit->head + in_head / 2 + in_head % 2 * (habit->head / 2);
    case HABIT_GATHERED: {
        const size_t part = head / habit->n_head;
        return (head % habit->n_head * 3 + part) * habit->head + in_head;
    }
    case HABIT_AS_IT_IS:
        break;
    }
    return row;
}

/* Other programs take GELU by tanh for granted; of GPT-NeoX, whose authors have the exact one, each
 * its own. */
static bool is_usual_activation(str architecture, str activation) {
    return str_is(activation, "gelu_tanh") ||
           (str_is(architecture, "gptneox") && str_is(activation, "gelu"));
}

/* Words by which a vocabulary works otherwise than any that GGUF has keys for. */
static sl_status check_words(const model_file *file, sl_error *error) {
    static const char *const keys[][2] = {
        {"sluice.tokenizer.patterns", "cuts words by patterns that have no name in GGUF"},
        {"sluice.tokenizer.prefix_space", "puts a space before texts"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (meta_find(file, keys[i][0])) {
            return error_set(error, SL_ERR_UNSUPPORTED,
                             "the vocabulary %s: it cannot be written as GGUF yet", keys[i][1]);
        }
    }
    return SL_OK;
}

sl_status gguf_habit_check(const model_file *file, sl_error *error) {
    str architecture = {"", 0}, activation = {"gelu_tanh", 9};
    sl_status status = meta_get_string(file, "general.architecture", false, &architecture, error);
    status = status == SL_OK ? meta_get_string(file, "sluice.activation", false, &activation, error)
                             : status;
    if (status != SL_OK) {
        return status;
    }
    if (!is_usual_activation(architecture, activation)) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "the activation of this %.*s is %.*s, for which GGUF has no key",
                         STR_ARG(architecture), STR_ARG(activation));
    }
    return check_words(file, error);
}
