/* dialect_legacy.c - names and hyper-parameters of ggml's first files, as GGUF has them. */
#include "models/dialect_legacy.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <stdio.h>

typedef struct renaming {
    const char *old, *now;
} renaming;

typedef struct dialect {
    const char *architecture;
    const char *layer;           /* what stands before a layer's number, */
    char behind;                 /* and behind it */
    const renaming *once, *each; /* tensors of the model, of each layer; ended by NULL */
} dialect;

static const renaming gpt2_once[] = {
    {"model/wte", "token_embd.weight"},     {"model/wpe", "position_embd.weight"},
    {"model/ln_f/g", "output_norm.weight"}, {"model/ln_f/b", "output_norm.bias"},
    {"model/lm_head", "output.weight"},     {NULL, NULL},
};
static const renaming gpt2_each[] = {
    {"ln_1/g", "attn_norm.weight"},
    {"ln_1/b", "attn_norm.bias"},
    {"ln_2/g", "ffn_norm.weight"},
    {"ln_2/b", "ffn_norm.bias"},
    {"attn/c_attn/w", "attn_qkv.weight"},
    {"attn/c_attn/b", "attn_qkv.bias"},
    {"attn/c_proj/w", "attn_output.weight"},
    {"attn/c_proj/b", "attn_output.bias"},
    {"mlp/c_fc/w", "ffn_up.weight"},
    {"mlp/c_fc/b", "ffn_up.bias"},
    {"mlp/c_proj/w", "ffn_down.weight"},
    {"mlp/c_proj/b", "ffn_down.bias"},
    {NULL, NULL},
};
static const renaming gptj_once[] = {
    {"transformer.wte.weight", "token_embd.weight"},
    {"transformer.ln_f.weight", "output_norm.weight"},
    {"transformer.ln_f.bias", "output_norm.bias"},
    {"lm_head.weight", "output.weight"},
    {"lm_head.bias", "output.bias"},
    {NULL, NULL},
};
static const renaming gptj_each[] = {
    {"ln_1.weight", "attn_norm.weight"},
    {"ln_1.bias", "attn_norm.bias"},
    {"attn.q_proj.weight", "attn_q.weight"},
    {"attn.k_proj.weight", "attn_k.weight"},
    {"attn.v_proj.weight", "attn_v.weight"},
    {"attn.out_proj.weight", "attn_output.weight"},
    {"mlp.fc_in.weight", "ffn_up.weight"},
    {"mlp.fc_in.bias", "ffn_up.bias"},
    {"mlp.fc_out.weight", "ffn_down.weight"},
    {"mlp.fc_out.bias", "ffn_down.bias"},
    {"attn.bias", NULL},
    {"attn.masked_bias", NULL},
    {NULL, NULL},
};
static const renaming gptneox_once[] = {
    {"gpt_neox.embed_in.weight", "token_embd.weight"},
    {"gpt_neox.final_layer_norm.weight", "output_norm.weight"},
    {"gpt_neox.final_layer_norm.bias", "output_norm.bias"},
    {"embed_out.weight", "output.weight"},
    {NULL, NULL},
};
static const renaming gptneox_each[] = {
    {"input_layernorm.weight", "attn_norm.weight"},
    {"input_layernorm.bias", "attn_norm.bias"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"post_attention_layernorm.bias", "ffn_norm.bias"},
    {"attention.query_key_value.weight", "attn_qkv.weight"},
    {"attention.query_key_value.bias", "attn_qkv.bias"},
    {"attention.dense.weight", "attn_output.weight"},
    {"attention.dense.bias", "attn_output.bias"},
    {"mlp.dense_h_to_4h.weight", "ffn_up.weight"},
    {"mlp.dense_h_to_4h.bias", "ffn_up.bias"},
    {"mlp.dense_4h_to_h.weight", "ffn_down.weight"},
    {"mlp.dense_4h_to_h.bias", "ffn_down.bias"},
    {"attention.bias", NULL},
    {"attention.masked_bias", NULL},
    {"attention.rotary_emb.inv_freq", NULL},
    {NULL, NULL},
};
static const renaming llama_once[] = {
    {"tok_embeddings.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"output.weight", "output.weight"},
    {NULL, NULL},
};
static const renaming llama_each[] = {
    {"attention_norm.weight", "attn_norm.weight"},
    {"ffn_norm.weight", "ffn_norm.weight"},
    {"attention.wq.weight", "attn_q.weight"},
    {"attention.wk.weight", "attn_k.weight"},
    {"attention.wv.weight", "attn_v.weight"},
    {"attention.wo.weight", "attn_output.weight"},
    {"feed_forward.w1.weight", "ffn_gate.weight"},
    {"feed_forward.w2.weight", "ffn_down.weight"},
    {"feed_forward.w3.weight", "ffn_up.weight"},
    {"attention.inner_attention.rope.freqs", NULL},
    {NULL, NULL},
};

static const dialect dialects[] = {
    [LEGACY_GPT2] = {"gpt2", "model/h", '/', gpt2_once, gpt2_each},
    [LEGACY_GPTJ] = {"gptj", "transformer.h.", '.', gptj_once, gptj_each},
    [LEGACY_GPTNEOX] = {"gptneox", "gpt_neox.layers.", '.', gptneox_once, gptneox_each},
    [LEGACY_LLAMA] = {"llama", "layers.", '.', llama_once, llama_each},
};

typedef struct translation {
    const legacy_file *file;
    const dialect *as;
    tables t;
    bool transposed;         /* the writer left Conv1D's matrices of GPT-2 as they were */
    uint64_t n_ff, n_kv_out; /* rows of layer 0's ffn_up and attn_k */
} translation;

/* ---- tensors -------------------------------------------------------------------------------- */

static const renaming *find(const renaming *names, str old) {
    while (names->old && !str_is(old, names->old)) {
        names++;
    }
    return names->old ? names : NULL;
}

/* "model/h11/ln_1/g" is 11 and "ln_1/g". A number is written in one way only, so that no two names
 * become one. */
static bool split_layer(const dialect *as, str name, uint32_t *layer, str *rest) {
    const size_t prefix = strlen(as->layer);
    if (name.len <= prefix || memcmp(name.ptr, as->layer, prefix) != 0) {
        return false;
    }
    uint32_t number = 0;
    size_t at = prefix;
    for (; at < name.len && name.ptr[at] >= '0' && name.ptr[at] <= '9'; at++) {
        number = number * 10 + (uint32_t)(name.ptr[at] - '0');
        if (number >= LIMIT_LAYERS || (name.ptr[prefix] == '0' && at > prefix)) {
            return false;
        }
    }
    if (at == prefix || at == name.len || name.ptr[at] != as->behind) {
        return false;
    }
    *layer = number;
    *rest = (str){name.ptr + at + 1, name.len - at - 1};
    return true;
}

/* The name in GGUF; NULL for what is no weight. Unknown names fail. */
static const char *new_name(translation *x, str old) {
    uint32_t layer = 0;
    str rest;
    const bool layered = split_layer(x->as, old, &layer, &rest);
    const renaming *found = layered && layer < x->file->n_layer ? find(x->as->each, rest)
                            : layered                           ? NULL
                                                                : find(x->as->once, old);
    if (!found) {
        tables_fail(&x->t, SL_ERR_FORMAT,
                    "tensor \"%.*s\" is none of a %s model of %u layers in ggml's old format",
                    STR_ARG(old), x->file->name, x->file->n_layer);
        return NULL;
    }
    return layered && found->now ? tables_text(&x->t, "blk.%u.%s", layer, found->now) : found->now;
}

/* Whether the matrix lies with its columns one after the other. The writer that did so (GPT-2 from
 * Hugging Face) did it to three of four: two of them show it by their shape, and the square one is
 * as they are. */
static bool is_transposed(const translation *x, const legacy_tensor *tensor) {
    return x->transposed && (str_ends_with(tensor->name, "/attn/c_attn/w") ||
                             str_ends_with(tensor->name, "/attn/c_proj/w") ||
                             str_ends_with(tensor->name, "/mlp/c_fc/w"));
}

static bool shows_transposition(const legacy_file *file) {
    for (size_t i = 0; file->kind == LEGACY_GPT2 && i < file->tensor_count; i++) {
        const legacy_tensor *tensor = &file->tensors[i];
        if (str_ends_with(tensor->name, "/attn/c_attn/w")) {
            return tensor->dims[0] == 3 * (uint64_t)file->n_embd && tensor->dims[1] == file->n_embd;
        }
    }
    return false;
}

static void add_tensor(translation *x, const legacy_tensor *tensor) {
    const char *name = new_name(x, tensor->name);
    if (!name) {
        return;
    }
    uint64_t dims[2] = {tensor->dims[0], tensor->dims[1]};
    const bool transposed = is_transposed(x, tensor);
    if (transposed) {
        dims[0] = tensor->dims[1];
        dims[1] = tensor->dims[0];
        if (quant_format_of(tensor->type)->block_length != 1) {
            tables_fail(&x->t, SL_ERR_UNSUPPORTED,
                        "tensor \"%.*s\" was quantized with its columns one after the other; write "
                        "the f16 file anew and quantize that",
                        STR_ARG(tensor->name));
        }
    }
    tensor_entry *entry =
        tables_tensor(&x->t, name, tensor->type, tensor->n_dims, dims, tensor->data);
    if (!entry) {
        return;
    }
    entry->layout = transposed ? TENSOR_TRANSPOSED : TENSOR_ROWS;
    if (strcmp(name, "blk.0.ffn_up.weight") == 0) {
        x->n_ff = dims[1];
    } else if (strcmp(name, "blk.0.attn_k.weight") == 0) {
        x->n_kv_out = dims[1];
    } else if (x->file->kind == LEGACY_LLAMA && strcmp(name, "token_embd.weight") == 0 &&
               dims[0] < x->file->n_embd && x->file->n_embd % dims[0] == 0) {
        tables_fail(&x->t, SL_ERR_UNSUPPORTED,
                    "the file is one of %u parts of a model, in which each tensor is cut: not "
                    "supported; convert the model from its original weights",
                    x->file->n_embd / (uint32_t)dims[0]);
    }
}

/* ---- hyper-parameters ----------------------------------------------------------------------- */

static const char *key(translation *x, const char *name) {
    return tables_text(&x->t, "%s.%s", x->as->architecture, name);
}

/* What a vocabulary alone leaves at 0 is left out. */
static void add_number(translation *x, const char *name, uint64_t value) {
    if (value > 0) {
        tables_u64(&x->t, key(x, name), value);
    }
}

static void add_llama(translation *x) {
    const legacy_file *f = x->file;
    const uint64_t head = f->n_embd / (f->n_head ? f->n_head : 1);
    uint64_t n_head_kv = f->n_head;
    if (x->n_kv_out > 0 && head > 0) {
        n_head_kv = x->n_kv_out / head;
        if (x->n_kv_out % head != 0 || n_head_kv == 0 || f->n_head % n_head_kv != 0) {
            tables_fail(&x->t, SL_ERR_FORMAT,
                        "tensor \"layers.0.attention.wk.weight\" has %llu rows, expected %llu for "
                        "each of %u heads or of a divisor of as many",
                        (unsigned long long)x->n_kv_out, (unsigned long long)head, f->n_head);
        }
    }
    const bool grouped = n_head_kv != f->n_head;
    const unsigned context = grouped ? 4096 : 2048;
    /* 1e-6 in LLaMA 1 but for 65B, 1e-5 in LLaMA 2: 5e-6 is what programs of that time settled on
     * where they could not know. Only LLaMA 2 groups heads. */
    const char *const epsilon = grouped ? "1e-5" : "5e-6";
    add_number(x, "attention.head_count_kv", n_head_kv);
    add_number(x, "context_length", context);
    tables_float(&x->t, key(x, "attention.layer_norm_rms_epsilon"), grouped ? 1e-5f : 5e-6f);
    if (f->tensor_count > 0) {
        const char *line = tables_text(
            &x->t,
            "the file does not say the norms' epsilon, the rotation's base and the context; taken "
            "for %s, 10000 and %u, as usual for such files",
            epsilon, context);
        tables_string(&x->t, "sluice.notice", str_from(line));
    }
}

static void add_numbers(translation *x) {
    const legacy_file *f = x->file;
    tables_string(&x->t, "general.architecture", str_from(x->as->architecture));
    add_number(x, "block_count", f->n_layer);
    add_number(x, "embedding_length", f->n_embd);
    add_number(x, "feed_forward_length", x->n_ff);
    add_number(x, "attention.head_count", f->n_head);
    add_number(x, "rope.dimension_count", f->n_rot);
    if (f->kind == LEGACY_LLAMA) {
        add_llama(x);
        return;
    }
    add_number(x, "context_length", f->n_ctx);
    tables_float(&x->t, key(x, "attention.layer_norm_epsilon"), 1e-5f);
    if (f->kind == LEGACY_GPTNEOX) {
        tables_bool(&x->t, key(x, "use_parallel_residual"), f->parallel_residual);
        tables_bool(&x->t, "sluice.qkv_interleaved", true);
    }
}

static sl_status translate(const legacy_file *file, model_file *out, sl_error *error) {
    char format[64];
    snprintf(format, sizeof format, "%s (%s, %s)", file->container, file->name, file->type);
    translation x = {
        .file = file,
        .as = &dialects[file->kind],
        .t = tables_new(format, file->bytes, file->size, error),
        .transposed = shows_transposition(file),
    };
    for (size_t i = 0; i < file->tensor_count && x.t.status == SL_OK; i++) {
        add_tensor(&x, &file->tensors[i]);
    }
    add_numbers(&x);
    dialect_legacy_words(&x.t, file);
    const sl_status status = tables_finish(&x.t, out);
    if (status == SL_OK) {
        out->data_offset = file->data_offset;
    }
    return status;
}

sl_status dialect_legacy_read(const uint8_t *bytes, size_t size, model_file *out, sl_error *error) {
    legacy_file file;
    sl_status status = legacy_ggml_parse(bytes, size, &file, error);
    if (status == SL_OK) {
        status = translate(&file, out, error);
        legacy_ggml_free(&file);
    }
    return status;
}
