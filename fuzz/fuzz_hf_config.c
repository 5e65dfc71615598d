/* Any bytes as a config.json, beside the tensors of a tiny GPT-2, LLaMA and OPT: whatever it says
 * of them, tables come of it or one line. */
#include "models/dialect_hf.h"

#include "base/size.h"
#include "formats/json_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const uint8_t weights[4096];

static const struct {
    const char *name;
    size_t n_dims;
    uint64_t dims[2];
} tensors[] = {
    {"wte.weight", 2, {8, 4}},
    {"wpe.weight", 2, {8, 4}},
    {"transformer.h.0.attn.c_attn.weight", 2, {4, 12}},
    {"model.embed_tokens.weight", 2, {8, 4}},
    {"model.layers.0.self_attn.q_proj.weight", 2, {4, 4}},
    {"model.decoder.embed_positions.weight", 2, {8, 4}},
    {"model.norm.weight", 1, {4, 0}},
    {"lm_head.weight", 2, {8, 4}},
    {"h.0.attn.bias", 2, {4, 4}},
};

/* The tensors from number size % 16 on, so that each comes first for some input. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    json_t *config;
    sl_error error = {0};
    if (json_text_parse(bytes, size, "config.json", &config, &error) != SL_OK) {
        if (!error.message[0]) {
            abort();
        }
        return 0;
    }
    raw_tensors list = raw_tensors_new();
    for (size_t i = size % 16; i < COUNT_OF(tensors); i++) {
        const raw_tensor t = {
            .name = str_from(tensors[i].name),
            .type = RAW_F32,
            .type_name = "F32",
            .n_dims = tensors[i].n_dims,
            .dims = {tensors[i].dims[0], tensors[i].dims[1]},
            .data = weights,
            .bytes = 256,
        };
        if (raw_tensors_add(&list, &t, NULL) != SL_OK) {
            abort();
        }
    }
    model_file file = {0};
    tables t = tables_new("fuzz", weights, sizeof weights, &error);
    dialect_hf_translate(&t, config, &list);
    if (tables_finish(&t, &file) != SL_OK && !error.message[0]) {
        abort();
    }
    model_file_free(&file);
    raw_tensors_free(&list);
    json_decref(config);
    return 0;
}
