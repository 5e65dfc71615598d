#include "models/dialect_llama2c.h"

#include "formats/llama2c.h"
#include "formats/tables.h"

#include <stdio.h>

static const struct {
    const char *name;
    bool layered;
} names[LLAMA2C_PART_LIMIT] = {
    [LLAMA2C_EMBEDDING] = {"token_embd.weight", false},
    [LLAMA2C_ATTENTION_NORM] = {"attn_norm.weight", true},
    [LLAMA2C_WQ] = {"attn_q.weight", true},
    [LLAMA2C_WK] = {"attn_k.weight", true},
    [LLAMA2C_WV] = {"attn_v.weight", true},
    [LLAMA2C_WO] = {"attn_output.weight", true},
    [LLAMA2C_FEED_FORWARD_NORM] = {"ffn_norm.weight", true},
    [LLAMA2C_W1] = {"ffn_gate.weight", true},
    [LLAMA2C_W2] = {"ffn_down.weight", true},
    [LLAMA2C_W3] = {"ffn_up.weight", true},
    [LLAMA2C_FINAL_NORM] = {"output_norm.weight", false},
    [LLAMA2C_OUTPUT] = {"output.weight", false},
};

static void add_weight(tables *t, const char *name, llama2c_weight w) {
    const uint64_t dims[] = {w.n_in, w.n_out};
    const size_t n_dims = w.n_out > 1 ? 2 : 1;
    if (w.group > 0) {
        tables_planes(t, name, n_dims, dims, w.group, w.data);
    } else {
        tables_tensor(t, name, QUANT_F32, n_dims, dims, w.data);
    }
}

static void add_part(tables *t, const llama2c_file *file, llama2c_part part) {
    if (!names[part].layered) {
        add_weight(t, names[part].name, llama2c_weight_of(file, part, 0));
        return;
    }
    for (size_t layer = 0; layer < file->n_layer && t->status == SL_OK; layer++) {
        add_weight(t, tables_text(t, "blk.%zu.%s", layer, names[part].name),
                   llama2c_weight_of(file, part, layer));
    }
}

static void add_numbers(tables *t, const llama2c_file *file) {
    tables_string(t, "general.architecture", str_from("llama"));
    tables_u64(t, "llama.context_length", file->n_ctx);
    tables_u64(t, "llama.block_count", file->n_layer);
    tables_u64(t, "llama.embedding_length", file->n_embd);
    tables_u64(t, "llama.feed_forward_length", file->n_ff);
    tables_u64(t, "llama.attention.head_count", file->n_head);
    tables_u64(t, "llama.attention.head_count_kv", file->n_head_kv);
    tables_float(t, "llama.attention.layer_norm_rms_epsilon", 1e-5f); /* as in llama2.c itself */
    if (file->group > 0) {
        tables_string(t, "sluice.notice",
                      str_from("the file's int8 groups become blocks of Q8_0 where they fit, whose "
                               "scales have 11 bits and not 24"));
    }
}

sl_status dialect_llama2c_read(const uint8_t *bytes, size_t size, model_file *out,
                               sl_error *error) {
    llama2c_file file;
    const sl_status status = llama2c_parse(bytes, size, &file, error);
    if (status != SL_OK) {
        return status;
    }
    char format[32];
    snprintf(format, sizeof format, "llama2.c v%u", file.version);
    tables t = tables_new(format, bytes, size, error);
    for (llama2c_part part = 0; part < LLAMA2C_PART_LIMIT; part++) {
        if (part != LLAMA2C_OUTPUT || file.has_output) {
            add_part(&t, &file, part);
        }
    }
    add_numbers(&t, &file);
    const sl_status made = tables_finish(&t, out);
    if (made == SL_OK) {
        out->data_offset = file.data_offset;
    }
    return made;
}
