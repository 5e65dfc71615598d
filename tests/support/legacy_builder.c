#include "support/legacy_builder.h"

#include "base/size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void legacy_free(legacy_builder *b) {
    free(b->image.data);
    *b = (legacy_builder){0};
}

void legacy_u32(legacy_builder *b, uint32_t value) {
    gguf_builder_put(&b->image, &value, sizeof value);
}

void legacy_token(legacy_builder *b, const char *text, size_t length, const float *score) {
    legacy_u32(b, (uint32_t)length);
    gguf_builder_put(&b->image, text, length);
    if (score) {
        gguf_builder_put(&b->image, score, sizeof *score);
    }
}

void legacy_tensor_add(legacy_builder *b, const char *name, uint32_t type, uint32_t n_dims,
                       const uint32_t *dims, const void *data, size_t bytes, bool align) {
    if (b->n_record < COUNT_OF(b->record_at)) {
        b->record_at[b->n_record++] = b->image.count;
    }
    legacy_u32(b, n_dims);
    legacy_u32(b, (uint32_t)strlen(name));
    legacy_u32(b, type);
    gguf_builder_put(&b->image, dims, n_dims * sizeof *dims);
    gguf_builder_put(&b->image, name, strlen(name));
    while (align && b->image.count % 32 != 0) {
        gguf_builder_put(&b->image, "", 1);
    }
    if (data) {
        gguf_builder_put(&b->image, data, bytes);
        return;
    }
    uint8_t *zeros = calloc(bytes, 1);
    if (!zeros) {
        abort();
    }
    gguf_builder_put(&b->image, zeros, bytes);
    free(zeros);
}

/* ---- models of a gguf_builder --------------------------------------------------------------- */

typedef struct pair {
    const char *now, *then;
} pair;

/* The name of that time; `each` has %d for the layer. */
static void old_name(const char *now, const pair *once, size_t n_once, const pair *each,
                     size_t n_each, const char *layer_format, char out[128]) {
    int layer, used = 0;
    for (size_t i = 0; i < n_once; i++) {
        if (strcmp(now, once[i].now) == 0) {
            snprintf(out, 128, "%s", once[i].then);
            return;
        }
    }
    if (sscanf(now, "blk.%d.%n", &layer, &used) == 1) {
        for (size_t i = 0; i < n_each; i++) {
            if (strcmp(now + used, each[i].now) == 0) {
                char prefix[64];
                snprintf(prefix, sizeof prefix, layer_format, layer);
                snprintf(out, 128, "%s%s", prefix, each[i].then);
                return;
            }
        }
    }
    fprintf(stderr, "no old name for %s\n", now);
    abort();
}

static uint32_t number(const gguf_builder *model, const char *key) {
    for (size_t i = 0; i < model->meta_count; i++) {
        if (strcmp(model->meta[i].key, key) == 0) {
            uint32_t value;
            memcpy(&value, model->meta[i].value.data, sizeof value);
            return value;
        }
    }
    return 0;
}

static const gguf_builder_tensor *tensor(const gguf_builder *model, const char *name) {
    for (size_t i = 0; i < model->tensor_count; i++) {
        if (strcmp(model->tensor[i].name, name) == 0) {
            return &model->tensor[i];
        }
    }
    return NULL;
}

/* "he", "hf", ... "ie", ..., every third with a space before it */
static size_t piece(size_t i, char out[8]) {
    char *at = out;
    if (i % 3 == 2) {
        *at++ = ' ';
    }
    *at++ = (char)('a' + (i / 26 + 7) % 26);
    *at++ = (char)('a' + (i + 4) % 26);
    return (size_t)(at - out);
}

static void llama_words(legacy_builder *b, size_t count, bool scored) {
    for (size_t i = 0; i < count; i++) {
        const float score = i < 259 ? 0 : 259 - (float)i;
        char text[8];
        size_t length = 0;
        if (i == 0) {
            memcpy(text, " \xe2\x81\x87 ", length = 5);
        } else if (i >= 3 && i < 259) {
            text[0] = (char)(i - 3);
            length = 1;
        } else if (i >= 259) {
            length = piece(i - 259, text);
        }
        legacy_token(b, text, length, scored ? &score : NULL);
    }
}

void legacy_llama(legacy_builder *b, const gguf_builder *model, uint32_t magic, uint32_t version,
                  uint32_t ftype) {
    static const pair once[] = {{"token_embd.weight", "tok_embeddings.weight"},
                                {"output_norm.weight", "norm.weight"},
                                {"output.weight", "output.weight"}};
    static const pair each[] = {{"attn_norm.weight", "attention_norm.weight"},
                                {"ffn_norm.weight", "ffn_norm.weight"},
                                {"attn_q.weight", "attention.wq.weight"},
                                {"attn_k.weight", "attention.wk.weight"},
                                {"attn_v.weight", "attention.wv.weight"},
                                {"attn_output.weight", "attention.wo.weight"},
                                {"ffn_gate.weight", "feed_forward.w1.weight"},
                                {"ffn_down.weight", "feed_forward.w2.weight"},
                                {"ffn_up.weight", "feed_forward.w3.weight"}};
    const uint32_t vocabulary = (uint32_t)tensor(model, "token_embd.weight")->dims[1];
    const uint32_t n_embd = number(model, "llama.embedding_length");
    const uint32_t n_head = number(model, "llama.attention.head_count");
    *b = (legacy_builder){0};
    legacy_u32(b, magic);
    if (version > 0) {
        legacy_u32(b, version);
    }
    const uint32_t header[] = {
        vocabulary,      n_embd, 256, n_head, number(model, "llama.block_count"),
        n_embd / n_head, ftype};
    gguf_builder_put(&b->image, header, sizeof header);
    b->words_at = b->image.count;
    llama_words(b, vocabulary, magic != LEGACY_GGML);
    b->tensors_at = b->image.count;
    for (size_t i = 0; i < model->tensor_count; i++) {
        const gguf_builder_tensor *t = &model->tensor[i];
        const uint32_t dims[] = {(uint32_t)t->dims[0], (uint32_t)t->dims[1]};
        char name[128];
        old_name(t->name, once, COUNT_OF(once), each, COUNT_OF(each), "layers.%d.", name);
        legacy_tensor_add(b, name, t->type, t->n_dims, dims, t->data.data, t->data.count,
                          magic == LEGACY_GGJT);
    }
}

/* Values of 2 or 4 bytes, [rows][columns] as [columns][rows]. */
static uint8_t *transposed(const gguf_builder_tensor *t) {
    const size_t in = t->dims[0], out = t->dims[1], width = t->data.count / (in * out);
    uint8_t *to = malloc(t->data.count);
    if (!to) {
        abort();
    }
    for (size_t r = 0; r < out; r++) {
        for (size_t c = 0; c < in; c++) {
            memcpy(to + (c * out + r) * width, t->data.data + (r * in + c) * width, width);
        }
    }
    return to;
}

void legacy_gpt2(legacy_builder *b, const gguf_builder *model, uint32_t ftype, bool columns) {
    static const pair once[] = {{"token_embd.weight", "model/wte"},
                                {"position_embd.weight", "model/wpe"},
                                {"output_norm.weight", "model/ln_f/g"},
                                {"output_norm.bias", "model/ln_f/b"},
                                {"output.weight", "model/lm_head"}};
    static const pair each[] = {
        {"attn_norm.weight", "ln_1/g"},          {"attn_norm.bias", "ln_1/b"},
        {"ffn_norm.weight", "ln_2/g"},           {"ffn_norm.bias", "ln_2/b"},
        {"attn_qkv.weight", "attn/c_attn/w"},    {"attn_qkv.bias", "attn/c_attn/b"},
        {"attn_output.weight", "attn/c_proj/w"}, {"attn_output.bias", "attn/c_proj/b"},
        {"ffn_up.weight", "mlp/c_fc/w"},         {"ffn_up.bias", "mlp/c_fc/b"},
        {"ffn_down.weight", "mlp/c_proj/w"},     {"ffn_down.bias", "mlp/c_proj/b"}};
    const uint32_t vocabulary = (uint32_t)tensor(model, "token_embd.weight")->dims[1];
    *b = (legacy_builder){0};
    const uint32_t header[] = {LEGACY_GGML,
                               vocabulary,
                               number(model, "gpt2.context_length"),
                               number(model, "gpt2.embedding_length"),
                               number(model, "gpt2.attention.head_count"),
                               number(model, "gpt2.block_count"),
                               ftype,
                               vocabulary};
    gguf_builder_put(&b->image, header, sizeof header);
    b->words_at = b->image.count;
    for (uint32_t i = 0; i < vocabulary; i++) {
        const char byte = (char)i;
        const bool last = i + 1 == vocabulary;
        legacy_token(b, last ? "<|endoftext|>" : &byte, last ? 13 : 1, NULL);
    }
    b->tensors_at = b->image.count;
    for (size_t i = 0; i < model->tensor_count; i++) {
        const gguf_builder_tensor *t = &model->tensor[i];
        uint32_t dims[] = {(uint32_t)t->dims[0], (uint32_t)t->dims[1]};
        char name[128];
        old_name(t->name, once, COUNT_OF(once), each, COUNT_OF(each), "model/h%d/", name);
        const bool turn = columns && (strstr(name, "c_attn/w") || strstr(name, "attn/c_proj/w") ||
                                      strstr(name, "c_fc/w"));
        uint8_t *data = turn ? transposed(t) : NULL;
        if (turn) {
            dims[0] = (uint32_t)t->dims[1];
            dims[1] = (uint32_t)t->dims[0];
        }
        legacy_tensor_add(b, name, t->type, t->n_dims, dims, data ? data : t->data.data,
                          t->data.count, false);
        free(data);
    }
}

/* ---- GPT-J and GPT-NeoX --------------------------------------------------------------------- */

enum { EMBD = 32, HEADS = 2, TOKENS = 300 };

typedef struct part {
    const char *name;
    uint32_t n_in, n_out; /* n_out 0: a vector */
} part;

static void add_parts(legacy_builder *b, quant_type type, const part *parts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const bool vector = parts[i].n_out == 0;
        const uint32_t dims[] = {parts[i].n_in, parts[i].n_out};
        const quant_type stored = vector ? QUANT_F32 : type;
        legacy_tensor_add(b, parts[i].name, stored, vector ? 1 : 2, dims, NULL,
                          quant_row_bytes(stored, dims[0]) * (vector ? 1 : dims[1]), false);
    }
}

void legacy_gptj(legacy_builder *b, quant_type type, uint32_t ftype) {
    static const part parts[] = {
        {"transformer.wte.weight", EMBD, TOKENS},
        {"transformer.h.0.ln_1.weight", EMBD, 0},
        {"transformer.h.0.ln_1.bias", EMBD, 0},
        {"transformer.h.0.attn.q_proj.weight", EMBD, EMBD},
        {"transformer.h.0.attn.k_proj.weight", EMBD, EMBD},
        {"transformer.h.0.attn.v_proj.weight", EMBD, EMBD},
        {"transformer.h.0.attn.out_proj.weight", EMBD, EMBD},
        {"transformer.h.0.mlp.fc_in.weight", EMBD, 4 * EMBD},
        {"transformer.h.0.mlp.fc_in.bias", 4 * EMBD, 0},
        {"transformer.h.0.mlp.fc_out.weight", 4 * EMBD, EMBD},
        {"transformer.h.0.mlp.fc_out.bias", EMBD, 0},
        {"transformer.ln_f.weight", EMBD, 0},
        {"transformer.ln_f.bias", EMBD, 0},
        {"lm_head.weight", EMBD, TOKENS},
        {"lm_head.bias", TOKENS, 0},
    };
    static const uint32_t header[] = {LEGACY_GGML, TOKENS, 64, EMBD, HEADS, 1, 8};
    *b = (legacy_builder){0};
    gguf_builder_put(&b->image, header, sizeof header);
    legacy_u32(b, ftype);
    legacy_u32(b, TOKENS);
    b->words_at = b->image.count;
    for (uint32_t i = 0; i < TOKENS; i++) {
        char text[32];
        if (i < 256) {
            text[0] = (char)i;
        } else if (i < 280) {
            snprintf(text, sizeof text, "%c%c", (char)('a' + i - 256), 'e');
        } else if (i == 280) {
            snprintf(text, sizeof text, "<|endoftext|>");
        } else {
            snprintf(text, sizeof text, "<|extratoken_%u|>", i - 280);
        }
        legacy_token(b, text, i < 256 ? 1 : strlen(text), NULL);
    }
    b->tensors_at = b->image.count;
    add_parts(b, type, parts, COUNT_OF(parts));
}

/* The bytes in the order of their characters: those that print, then the others. */
static void neox_byte(uint32_t i, char text[8], size_t *length) {
    const bool ascii = i < 94;
    const uint32_t late = i == 221 ? 127 : i < 188 || i > 221 ? 0x80 : i - 188;
    const uint32_t byte = ascii ? '!' + i : late;
    if (byte < 0x80) {
        text[0] = (char)byte;
        *length = 1;
    } else {
        memcpy(text, "\xef\xbf\xbd", *length = 3); /* what the writer made of it */
    }
}

void legacy_gptneox(legacy_builder *b, quant_type type, uint32_t ftype, bool parallel) {
    static const part parts[] = {
        {"gpt_neox.embed_in.weight", EMBD, TOKENS},
        {"gpt_neox.layers.0.input_layernorm.weight", EMBD, 0},
        {"gpt_neox.layers.0.input_layernorm.bias", EMBD, 0},
        {"gpt_neox.layers.0.post_attention_layernorm.weight", EMBD, 0},
        {"gpt_neox.layers.0.post_attention_layernorm.bias", EMBD, 0},
        {"gpt_neox.layers.0.attention.query_key_value.weight", EMBD, 3 * EMBD},
        {"gpt_neox.layers.0.attention.query_key_value.bias", 3 * EMBD, 0},
        {"gpt_neox.layers.0.attention.dense.weight", EMBD, EMBD},
        {"gpt_neox.layers.0.attention.dense.bias", EMBD, 0},
        {"gpt_neox.layers.0.mlp.dense_h_to_4h.weight", EMBD, 4 * EMBD},
        {"gpt_neox.layers.0.mlp.dense_h_to_4h.bias", 4 * EMBD, 0},
        {"gpt_neox.layers.0.mlp.dense_4h_to_h.weight", 4 * EMBD, EMBD},
        {"gpt_neox.layers.0.mlp.dense_4h_to_h.bias", EMBD, 0},
        {"gpt_neox.final_layer_norm.weight", EMBD, 0},
        {"gpt_neox.final_layer_norm.bias", EMBD, 0},
        {"embed_out.weight", EMBD, TOKENS},
    };
    static const uint32_t header[] = {LEGACY_GGML, TOKENS, 64, EMBD, HEADS, 1, 4};
    *b = (legacy_builder){0};
    gguf_builder_put(&b->image, header, sizeof header);
    legacy_u32(b, parallel);
    legacy_u32(b, ftype);
    b->words_at = b->image.count;
    for (uint32_t i = 0; i < TOKENS; i++) {
        /* 258: "he"; 259: what was " he" but for a byte of a character; 260: "." that was " ." */
        static const char *const more[] = {"he", "\xef\xbf\xbd", ".", "ll", "    "};
        char text[8];
        size_t length = 0;
        if (i < 2) {
            legacy_token(b, i == 0 ? "<|endoftext|>" : "<|padding|>", i == 0 ? 13 : 11, NULL);
        } else if (i < 258) {
            neox_byte(i - 2, text, &length);
            legacy_token(b, text, length, NULL);
        } else {
            const char *word = i - 258 < COUNT_OF(more) ? more[i - 258] : "";
            legacy_token(b, word, strlen(word), NULL);
        }
    }
    b->tensors_at = b->image.count;
    add_parts(b, type, parts, COUNT_OF(parts));
}

/* ---- llama2.c ------------------------------------------------------------------------------- */

static void put_floats(gguf_builder_bytes *image, const gguf_builder_tensor *t) {
    gguf_builder_put(image, t->data.data, t->data.count);
}

/* Groups over the whole tensor, scaled so that the largest becomes 127. */
static void put_groups(gguf_builder_bytes *image, const gguf_builder_tensor *t, uint32_t group) {
    const size_t n = t->data.count / sizeof(float);
    float *scales = malloc(n / group * sizeof *scales);
    if (!scales) {
        abort();
    }
    for (size_t g = 0; g < n / group; g++) {
        float values[1024], most = 0;
        memcpy(values, t->data.data + g * group * sizeof *values, group * sizeof *values);
        for (uint32_t i = 0; i < group; i++) {
            most = fmaxf(most, fabsf(values[i]));
        }
        scales[g] = most / 127;
        for (uint32_t i = 0; i < group; i++) {
            const int8_t q = (int8_t)lrintf(values[i] / scales[g]);
            gguf_builder_put(image, &q, 1);
        }
    }
    gguf_builder_put(image, scales, n / group * sizeof *scales);
    free(scales);
}

static void put_all(gguf_builder_bytes *image, const gguf_builder *model, const char *name,
                    uint32_t group) {
    const uint32_t layers = strncmp(name, "blk", 3) == 0 ? number(model, "llama.block_count") : 1;
    for (uint32_t i = 0; i < layers; i++) {
        char full[64];
        snprintf(full, sizeof full, "%s", name);
        if (strncmp(name, "blk.", 4) == 0) {
            snprintf(full, sizeof full, "blk.%u.%s", i, name + 4);
        }
        const gguf_builder_tensor *t = tensor(model, full);
        if (group > 0) {
            put_groups(image, t, group);
        } else {
            put_floats(image, t);
        }
    }
}

void llama2c_write(gguf_builder_bytes *image, const gguf_builder *model, unsigned version,
                   uint32_t group) {
    static const char *const order_0[] = {
        "token_embd.weight",   "blk.attn_norm.weight", "blk.attn_q.weight",
        "blk.attn_k.weight",   "blk.attn_v.weight",    "blk.attn_output.weight",
        "blk.ffn_norm.weight", "blk.ffn_gate.weight",  "blk.ffn_down.weight",
        "blk.ffn_up.weight",   "output_norm.weight"};
    static const char *const order_1[] = {
        "blk.attn_norm.weight", "blk.ffn_norm.weight",    "output_norm.weight",
        "token_embd.weight",    "blk.attn_q.weight",      "blk.attn_k.weight",
        "blk.attn_v.weight",    "blk.attn_output.weight", "blk.ffn_gate.weight",
        "blk.ffn_down.weight",  "blk.ffn_up.weight"};
    const bool own = tensor(model, "output.weight") != NULL;
    const int32_t vocabulary = (int32_t)tensor(model, "token_embd.weight")->dims[1];
    const int32_t sizes[] = {(int32_t)number(model, "llama.embedding_length"),
                             (int32_t)number(model, "llama.feed_forward_length"),
                             (int32_t)number(model, "llama.block_count"),
                             (int32_t)number(model, "llama.attention.head_count"),
                             (int32_t)number(model, "llama.attention.head_count_kv"),
                             version == 0 && own ? -vocabulary : vocabulary,
                             (int32_t)number(model, "llama.context_length")};
    const uint32_t start[] = {0x616b3432u, version};
    *image = (gguf_builder_bytes){0};
    if (version > 0) {
        gguf_builder_put(image, start, sizeof start);
    }
    gguf_builder_put(image, sizes, sizeof sizes);
    if (version > 0) {
        const uint8_t shared = !own;
        static const uint8_t zeros[256];
        gguf_builder_put(image, &shared, 1);
        gguf_builder_put(image, &group, version == 2 ? sizeof group : 0);
        gguf_builder_put(image, zeros, 256 - image->count);
    }
    for (size_t i = 0; i < COUNT_OF(order_0); i++) {
        const char *name = version == 0 ? order_0[i] : order_1[i];
        put_all(image, model, name, strstr(name, "norm") ? 0 : group);
    }
    if (version == 0) {
        const size_t angles = (size_t)sizes[6] * (size_t)(sizes[0] / sizes[3] / 2);
        float *zeros = calloc(2 * angles, sizeof *zeros);
        if (!zeros) {
            abort();
        }
        gguf_builder_put(image, zeros, 2 * angles * sizeof *zeros);
        free(zeros);
    }
    if (own) {
        put_all(image, model, "output.weight", group);
    }
}

void llama2c_tokenizer(gguf_builder_bytes *image, size_t count) {
    static const char *const first[] = {"<unk>", "\n<s>\n", "\n</s>\n"};
    const uint32_t longest = 8;
    *image = (gguf_builder_bytes){0};
    gguf_builder_put(image, &longest, sizeof longest);
    for (size_t i = 0; i < count; i++) {
        const float score = i < 259 ? 0 : 259 - (float)i;
        char text[16];
        uint32_t length;
        if (i < 3) {
            length = (uint32_t)snprintf(text, sizeof text, "%s", first[i]);
        } else if (i < 259) {
            length = (uint32_t)snprintf(text, sizeof text, "<0x%02X>", (unsigned)(i - 3));
        } else {
            length = (uint32_t)piece(i - 259, text);
        }
        gguf_builder_put(image, &score, sizeof score);
        gguf_builder_put(image, &length, sizeof length);
        gguf_builder_put(image, text, length);
    }
}
