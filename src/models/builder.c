#include "models/builder.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 160 };

void builder_fail(builder *b, sl_status status, const char *format, ...) {
    if (b->status != SL_OK) {
        return;
    }
    char message[sizeof b->error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    b->status = error_set(b->error, status, "%s", message);
}

/* ---- hyper-parameters ----------------------------------------------------------------------- */

static void key_of(const builder *b, const char *name, char key[NAME_BYTES]) {
    snprintf(key, NAME_BYTES, "%.*s.%s", STR_ARG(b->architecture), name);
}

uint64_t builder_u64(builder *b, const char *name, uint64_t otherwise, uint64_t low,
                     uint64_t high) {
    char key[NAME_BYTES];
    key_of(b, name, key);
    uint64_t value = otherwise == BUILDER_REQUIRED ? low : otherwise;
    if (b->status == SL_OK) {
        b->status =
            meta_get_u64(b->file, key, otherwise == BUILDER_REQUIRED, low, high, &value, b->error);
    }
    return b->status == SL_OK ? value : low;
}

float builder_float(builder *b, const char *name, bool required, float otherwise, double low,
                    double high) {
    char key[NAME_BYTES];
    key_of(b, name, key);
    float value = otherwise;
    if (b->status == SL_OK) {
        b->status = meta_get_float(b->file, key, required, low, high, &value, b->error);
    }
    return value;
}

str builder_string(builder *b, const char *name) {
    char key[NAME_BYTES];
    key_of(b, name, key);
    str value = {"", 0};
    if (b->status == SL_OK) {
        b->status = meta_get_string(b->file, key, false, &value, b->error);
    }
    return value;
}

const meta_entry *builder_meta(builder *b, const char *name) {
    char key[NAME_BYTES];
    key_of(b, name, key);
    return b->status == SL_OK ? meta_find(b->file, key) : NULL;
}

void builder_layer_flags(builder *b, const char *name, uint64_t *flags, size_t n_layer) {
    char key[NAME_BYTES];
    key_of(b, name, key);
    const meta_entry *entry = builder_meta(b, name);
    if (entry && entry->element_type == META_BOOL && entry->count == n_layer) {
        for (size_t i = 0; i < n_layer; i++) {
            flags[i] = meta_array_int(entry, i) != 0;
        }
    } else if (entry) {
        b->status = meta_get_u64_layers(b->file, key, false, 0, 1, flags, n_layer, b->error);
    }
}

static bool read_bool(builder *b, const char *key, bool otherwise) {
    bool value = otherwise;
    if (b->status == SL_OK) {
        b->status = meta_get_bool(b->file, key, false, &value, b->error);
    }
    return value;
}

bool builder_bool(builder *b, const char *name, bool otherwise) {
    char key[NAME_BYTES];
    key_of(b, name, key);
    return read_bool(b, key, otherwise);
}

bool builder_flag(builder *b, const char *key) {
    return read_bool(b, key, false);
}

/* ---- tensors -------------------------------------------------------------------------------- */

static const tensor_entry *find_tensor(builder *b, int64_t layer, const char *name, bool required,
                                       char full[NAME_BYTES]) {
    if (layer < 0) {
        snprintf(full, NAME_BYTES, "%s", name);
    } else {
        snprintf(full, NAME_BYTES, "blk.%lld.%s", (long long)layer, name);
    }
    if (b->status != SL_OK) {
        return NULL;
    }
    const tensor_entry *tensor = tensor_find(b->file, str_from(full));
    if (!tensor && required) {
        builder_fail(b, SL_ERR_FORMAT, "tensor '%s' is missing", full);
    }
    return tensor;
}

static bool is_float_type(quant_type type) {
    return type == QUANT_F32 || type == QUANT_F16 || type == QUANT_BF16;
}

static weight_id add_weight(builder *b, const tensor_entry *tensor, bool vector, size_t n_in,
                            size_t n_out) {
    const weight_ref ref = {
        .tensor = (uint32_t)(tensor - b->file->tensors),
        .type = tensor->type,
        .vector = vector,
        .n_in = n_in,
        .n_out = n_out,
        .row_stride = quant_row_bytes(tensor->type, n_in),
    };
    const weight_id id = program_add_weight(b->p, &ref, b->error);
    if (id == UINT32_MAX) {
        b->status = SL_ERR_MEMORY;
    }
    return id;
}

static weight_id matrix(builder *b, int64_t layer, const char *name, size_t n_in, size_t n_out,
                        bool required) {
    char full[NAME_BYTES];
    const tensor_entry *t = find_tensor(b, layer, name, required, full);
    if (!t) {
        return NO_WEIGHT;
    }
    if (t->n_dims > 2 || t->dims[0] != n_in || t->dims[1] != n_out) {
        builder_fail(b, SL_ERR_FORMAT,
                     "tensor '%s' has shape [%llu, %llu, %llu, %llu], expected [%zu, %zu]", full,
                     (unsigned long long)t->dims[0], (unsigned long long)t->dims[1],
                     (unsigned long long)t->dims[2], (unsigned long long)t->dims[3], n_in, n_out);
        return NO_WEIGHT;
    }
    return add_weight(b, t, false, n_in, n_out);
}

static weight_id vector(builder *b, int64_t layer, const char *name, size_t n, bool required) {
    char full[NAME_BYTES];
    const tensor_entry *t = find_tensor(b, layer, name, required, full);
    if (!t) {
        return NO_WEIGHT;
    }
    if (t->dims[0] != n || t->dims[1] != 1 || t->dims[2] != 1 || t->dims[3] != 1) {
        builder_fail(b, SL_ERR_FORMAT, "tensor '%s' has shape [%llu, %llu], expected [%zu]", full,
                     (unsigned long long)t->dims[0], (unsigned long long)t->dims[1], n);
        return NO_WEIGHT;
    }
    if (!is_float_type(t->type)) {
        builder_fail(b, SL_ERR_FORMAT, "tensor '%s' has type %s, expected F32, F16 or BF16", full,
                     quant_format_of(t->type)->name);
        return NO_WEIGHT;
    }
    return add_weight(b, t, true, n, 1);
}

weight_id builder_matrix(builder *b, int64_t layer, const char *name, size_t n_in, size_t n_out) {
    return matrix(b, layer, name, n_in, n_out, true);
}

weight_id builder_optional_matrix(builder *b, int64_t layer, const char *name, size_t n_in,
                                  size_t n_out) {
    return matrix(b, layer, name, n_in, n_out, false);
}

weight_id builder_vector(builder *b, int64_t layer, const char *name, size_t n) {
    return vector(b, layer, name, n, true);
}

weight_id builder_optional_vector(builder *b, int64_t layer, const char *name, size_t n) {
    return vector(b, layer, name, n, false);
}

weight_id builder_norm(builder *b, int64_t layer, const char *name, size_t n, bool plus_one) {
    const weight_id id = vector(b, layer, name, n, true);
    if (id != NO_WEIGHT) {
        ((weight_ref *)b->p->weights.items)[id].plus_one = plus_one;
    }
    return id;
}

size_t builder_rows(builder *b, const char *name) {
    char full[NAME_BYTES];
    const tensor_entry *t = find_tensor(b, -1, name, true, full);
    if (t && (t->n_dims != 2 || t->dims[1] > UINT32_MAX)) {
        builder_fail(b, SL_ERR_FORMAT, "tensor '%s' has %zu dimensions, expected 2", full,
                     t->n_dims);
    }
    return t ? (size_t)t->dims[1] : 0;
}

/* ---- slots and operations ------------------------------------------------------------------- */

slot_id builder_slot(builder *b, size_t width) {
    if (b->status != SL_OK) {
        return NO_SLOT;
    }
    const slot_id id = program_add_slot(b->p, width, b->error);
    b->status = id == NO_SLOT ? SL_ERR_MEMORY : SL_OK;
    return id;
}

uint32_t builder_kv_slot(builder *b, size_t n_head_kv, size_t head_k, size_t head_v) {
    if (b->status != SL_OK) {
        return UINT32_MAX;
    }
    const uint32_t id = program_add_kv_slot(b->p, &(kv_slot){n_head_kv, head_k, head_v}, b->error);
    b->status = id == UINT32_MAX ? SL_ERR_MEMORY : SL_OK;
    return id;
}

void builder_op(builder *b, const op *operation) {
    if (b->status == SL_OK) {
        b->status = program_add_op(b->p, operation, b->error);
    }
}

slot_id builder_linear(builder *b, uint32_t layer, slot_id in, op_linear linear, size_t n_out) {
    const slot_id out = builder_slot(b, n_out);
    builder_op(b,
               &(op){.kind = OP_LINEAR, .layer = layer, .in = in, .out = out, .as.linear = linear});
    return out;
}

void builder_linear_add(builder *b, uint32_t layer, slot_id in, slot_id out, op_linear linear) {
    linear.accumulate = true;
    builder_op(b,
               &(op){.kind = OP_LINEAR, .layer = layer, .in = in, .out = out, .as.linear = linear});
}

void builder_columns(op_attention *a) {
    a->q_at = 0;
    a->k_at = a->n_head * a->head_k;
    a->v_at = a->k_at + a->n_head_kv * a->head_k;
    a->q_step = a->k_step = a->head_k;
    a->v_step = a->head_v;
}

void builder_interleaved_columns(op_attention *a) {
    a->q_at = 0;
    a->k_at = a->head_k;
    a->v_at = 2 * a->head_k;
    a->q_step = a->k_step = a->v_step = 2 * a->head_k + a->head_v;
}

slot_id builder_attention(builder *b, uint32_t layer, slot_id heads, const op_attention *a) {
    builder_op(
        b,
        &(op){
            .kind = OP_STORE_KV, .layer = layer, .in = heads, .out = NO_SLOT, .as.attention = *a});
    const slot_id mixed = builder_slot(b, a->n_head * a->head_v);
    builder_op(
        b,
        &(op){.kind = OP_ATTENTION, .layer = layer, .in = heads, .out = mixed, .as.attention = *a});
    return mixed;
}

slot_id builder_select(builder *b, slot_id x, size_t width) {
    const slot_id chosen = builder_slot(b, width);
    builder_op(b, &(op){.kind = OP_SELECT, .layer = UINT32_MAX, .in = x, .out = chosen});
    return chosen;
}

void builder_logits(builder *b, slot_id hidden, weight_id embedding, size_t n_embd,
                    size_t n_vocab) {
    const weight_id output = builder_optional_matrix(b, -1, "output.weight", n_embd, n_vocab);
    const op_linear head = {
        .norm_weight = NO_WEIGHT,
        .norm_bias = NO_WEIGHT,
        .n_in = n_embd,
        .n_weight = 1,
        .weight = {output == NO_WEIGHT ? embedding : output},
        .bias = {builder_optional_vector(b, -1, "output.bias", n_vocab)},
        .cap = b->logit_cap,
    };
    b->p->hidden = hidden;
    b->p->logits = builder_linear(b, UINT32_MAX, hidden, head, n_vocab);
    b->p->n_vocab = n_vocab;
    b->p->n_embd = n_embd;
}

void builder_output(builder *b, slot_id x, weight_id embedding, op_linear last, size_t n_vocab) {
    const slot_id chosen = builder_select(b, x, last.n_in);
    const slot_id hidden = builder_slot(b, last.n_in);
    builder_op(
        b,
        &(op){
            .kind = OP_NORM, .layer = UINT32_MAX, .in = chosen, .out = hidden, .as.linear = last});
    builder_logits(b, hidden, embedding, last.n_in, n_vocab);
}
