/* test_dialect_hf.c - config.json and names of tensors in GGUF's dialect, and what is refused. */
#include "models/dialect_hf.h"

#include "base/size.h"
#include "formats/json_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t weights[1 << 14];

static void add(raw_tensors *list, const char *name, uint64_t rows, uint64_t columns) {
    const raw_tensor t = {
        .name = str_from(name),
        .type = RAW_F16,
        .type_name = "F16",
        .n_dims = columns > 0 ? 2 : 1,
        .dims = {rows, columns},
        .data = weights,
        .bytes = 2 * (size_t)(rows * (columns > 0 ? columns : 1)),
    };
    assert_int_equal(raw_tensors_add(list, &t, NULL), SL_OK);
}

static raw_tensor *last(raw_tensors *list) {
    return (raw_tensor *)list->items.items + list->items.count - 1;
}

/* A GPT-2 of two layers of 4 values, 8 tokens and positions. */
static raw_tensors gpt2_list(const char *prefix) {
    static const struct {
        const char *name;
        uint64_t rows, columns;
    } layer[] = {
        {"ln_1.weight", 4, 0},       {"ln_1.bias", 4, 0},          {"attn.c_attn.weight", 4, 12},
        {"attn.c_attn.bias", 12, 0}, {"attn.c_proj.weight", 4, 4}, {"attn.c_proj.bias", 4, 0},
        {"ln_2.weight", 4, 0},       {"ln_2.bias", 4, 0},          {"mlp.c_fc.weight", 4, 16},
        {"mlp.c_fc.bias", 16, 0},    {"mlp.c_proj.weight", 16, 4}, {"mlp.c_proj.bias", 4, 0}};
    raw_tensors list = raw_tensors_new();
    char name[100];
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < COUNT_OF(layer); k++) {
            snprintf(name, sizeof name, "%sh.%d.%s", prefix, i, layer[k].name);
            add(&list, name, layer[k].rows, layer[k].columns);
        }
    }
    static const char *const model[] = {"wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"};
    for (size_t k = 0; k < COUNT_OF(model); k++) {
        snprintf(name, sizeof name, "%s%s", prefix, model[k]);
        add(&list, name, k < 2 ? 8 : 4, k < 2 ? 4 : 0);
    }
    return list;
}

#define GPT2 "{\"model_type\":\"gpt2\",\"n_embd\":4,\"n_layer\":2,\"n_head\":2,\"n_positions\":8"

static sl_status translate(const char *config, const raw_tensors *list, model_file *file,
                           sl_error *error) {
    json_t *root;
    *error = (sl_error){0};
    if (json_text_parse((const uint8_t *)config, strlen(config), "config.json", &root, error) !=
        SL_OK) {
        fail_msg("%s", error->message);
    }
    tables t = tables_new("test", weights, sizeof weights, error);
    dialect_hf_translate(&t, root, list);
    json_decref(root);
    return tables_finish(&t, file);
}

static void refuse(const char *config, const raw_tensors *list, const char *part) {
    model_file file;
    sl_error error;
    const sl_status status = translate(config, list, &file, &error);
    if (status == SL_OK) {
        model_file_free(&file);
    }
    if (status == SL_OK || !strstr(error.message, part)) {
        fail_msg("%s: expected \"%s\", found \"%s\"", config, part, error.message);
    }
}

static uint64_t number(const model_file *file, const char *key) {
    uint64_t value = UINT64_MAX;
    assert_int_equal(meta_get_u64(file, key, true, 0, UINT64_MAX - 1, &value, NULL), SL_OK);
    return value;
}

static float real(const model_file *file, const char *key) {
    float value = NAN;
    assert_int_equal(meta_get_float(file, key, true, -1e30, 1e30, &value, NULL), SL_OK);
    return value;
}

static bool flag(const model_file *file, const char *key) {
    bool value = false;
    assert_int_equal(meta_get_bool(file, key, false, &value, NULL), SL_OK);
    return value;
}

static const tensor_entry *tensor(const model_file *file, const char *name) {
    const tensor_entry *t = tensor_find(file, str_from(name));
    if (!t) {
        fail_msg("no tensor %s", name);
    }
    return t;
}

/* ---- good ones ------------------------------------------------------------------------------ */

static void gpt2_is_translated(void **state) {
    (void)state;
    static const char *const prefixes[] = {"transformer.", ""};
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        raw_tensors list = gpt2_list(prefixes[i]);
        char name[100];
        snprintf(name, sizeof name, "%sh.1.attn.bias", prefixes[i]);
        add(&list, name, 8, 8); /* the mask, which is skipped whatever it is */
        last(&list)->type = RAW_OTHER;
        add(&list, "lm_head.weight", 8, 4); /* tied, so not used */
        model_file file;
        sl_error error;
        if (translate(GPT2 "}", &list, &file, &error) != SL_OK) {
            fail_msg("%s", error.message);
        }
        assert_int_equal(file.tensor_count, 28);
        assert_int_equal(number(&file, "gpt2.block_count"), 2);
        assert_int_equal(number(&file, "gpt2.context_length"), 8);
        assert_int_equal(number(&file, "gpt2.feed_forward_length"), 16);
        assert_true(real(&file, "gpt2.attention.layer_norm_epsilon") == 1e-5f);
        const tensor_entry *up = tensor(&file, "blk.1.ffn_up.weight");
        assert_int_equal(up->layout, TENSOR_TRANSPOSED);
        assert_int_equal(up->dims[0], 4);
        assert_int_equal(up->dims[1], 16);
        assert_int_equal(tensor(&file, "token_embd.weight")->layout, TENSOR_ROWS);
        assert_int_equal(tensor(&file, "token_embd.weight")->dims[1], 8);
        model_file_free(&file);
        raw_tensors_free(&list);
    }
}

/* A Conv1D that was saved as a transposed view lies in rows again; a plain matrix does not. */
static void views_are_turned_by_layout(void **state) {
    (void)state;
    raw_tensors list = gpt2_list("");
    ((raw_tensor *)list.items.items)[2].transposed = true; /* c_attn */
    last(&list)[-3].transposed = true;                     /* wte */
    model_file file;
    sl_error error;
    assert_int_equal(translate(GPT2 "}", &list, &file, &error), SL_OK);
    assert_int_equal(tensor(&file, "blk.0.attn_qkv.weight")->layout, TENSOR_ROWS);
    assert_int_equal(tensor(&file, "blk.1.attn_qkv.weight")->layout, TENSOR_TRANSPOSED);
    assert_int_equal(tensor(&file, "token_embd.weight")->layout, TENSOR_TRANSPOSED);
    assert_int_equal(tensor(&file, "token_embd.weight")->dims[0], 4);
    model_file_free(&file);
    raw_tensors_free(&list);
}

/* Settings alone: what is said of each is in the tables before the missing tensors stop it. So the
 * tensors are put there, too, for a model of one layer that has the names of `list`. */
static raw_tensors opt_list(bool biases) {
    static const char *const layer[] = {"self_attn.q_proj",
                                        "self_attn.k_proj",
                                        "self_attn.v_proj",
                                        "self_attn.out_proj",
                                        "fc1",
                                        "fc2",
                                        "self_attn_layer_norm",
                                        "final_layer_norm"};
    raw_tensors list = raw_tensors_new();
    char name[100];
    for (size_t k = 0; k < COUNT_OF(layer); k++) {
        snprintf(name, sizeof name, "model.decoder.layers.0.%s.weight", layer[k]);
        add(&list, name, 4, k < 6 ? 4 : 0);
        snprintf(name, sizeof name, "model.decoder.layers.0.%s.bias", layer[k]);
        if (biases || k >= 6) {
            add(&list, name, 4, 0);
        }
    }
    add(&list, "model.decoder.embed_tokens.weight", 8, 4);
    add(&list, "model.decoder.embed_positions.weight", 10, 4);
    add(&list, "model.decoder.final_layer_norm.weight", 4, 0);
    add(&list, "model.decoder.final_layer_norm.bias", 4, 0);
    return list;
}

#define OPT                                                                                        \
    "{\"model_type\":\"opt\",\"hidden_size\":4,\"num_hidden_layers\":1,\"num_attention_heads\":2," \
    "\"ffn_dim\":4,\"max_position_embeddings\":8"

static void positions_of_opt_begin_two_rows_later(void **state) {
    (void)state;
    raw_tensors list = opt_list(true);
    model_file file;
    sl_error error;
    if (translate(OPT ",\"word_embed_proj_dim\":4}", &list, &file, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    const tensor_entry *positions = tensor(&file, "position_embd.weight");
    assert_int_equal(positions->dims[1], 8);
    assert_ptr_equal(positions->data, weights + 2 * 4 * 2);
    assert_true(flag(&file, "opt.normalize_before"));
    model_file_free(&file);
    refuse(OPT ",\"do_layer_norm_before\":false}", &list, "says that the model has none");
    refuse(OPT ",\"enable_bias\":false}", &list, "says that the model has none");
    refuse(OPT ",\"word_embed_proj_dim\":2}", &list, "\"project_in.weight\" is missing");
    refuse(OPT ",\"_remove_final_layer_norm\":true}", &list, "\"_remove_final_layer_norm\": true");
    refuse(OPT ",\"activation_function\":\"silu\"}", &list, "known: relu gelu");
    raw_tensors_free(&list);
    list = opt_list(false);
    refuse(OPT "}", &list, "\"layers.0.self_attn.q_proj.bias\" is missing");
    raw_tensors_free(&list);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void bad_settings_are_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "config.json is expected to be an object"},
        {"{}", "has no \"model_type\""},
        {"{\"model_type\":3}", "has no \"model_type\""},
        {"{\"model_type\":\"t5\"}", "\"t5\" is not supported; known: bloom, gemma2"},
        {GPT2 ",\"quantization_config\":{}}", "\"quantization_config\" is not supported"},
        {GPT2 ",\"activation_function\":\"tanh\"}", "\"tanh\" is not supported for gpt2"},
        {GPT2 ",\"scale_attn_weights\":false}", "\"scale_attn_weights\": false"},
        {GPT2 ",\"scale_attn_by_inverse_layer_idx\":true}", "inverse_layer_idx\": true"},
        {GPT2 ",\"layer_norm_epsilon\":\"x\"}", "is expected to be a number"},
        {GPT2 ",\"tie_word_embeddings\":1}", "is expected to be true or false"},
        {GPT2 ",\"n_inner\":-1}", "a whole number of 1"},
        {GPT2 ",\"n_inner\":1e300}", "a whole number of 1"},
        {GPT2 ",\"text_config\":3}", "\"text_config\" is expected to be an object"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":0}", "\"n_layer\" is expected to be a whole number"},
        {"{\"model_type\":\"gpt2\",\"n_layer\":5000}", "\"n_layer\" is expected"},
        {"{\"model_type\":\"bloom\",\"apply_residual_connection_post_layernorm\":true}",
         "is not supported for bloom"},
        {"{\"model_type\":\"bloom\",\"alibi\":false}", "\"alibi\": false is not supported"},
        {"{\"model_type\":\"qwen2\",\"use_sliding_window\":true}", "\"use_sliding_window\": true"},
        {"{\"model_type\":\"qwen2\",\"num_hidden_layers\":1,\"layer_types\":[\"sliding_attention\"]"
         "}",
         "\"layer_types\" is not the order"},
        {"{\"model_type\":\"qwen3\",\"attention_bias\":true}", "\"attention_bias\": true"},
        {"{\"model_type\":\"gemma2\",\"layer_types\":[]}", "\"layer_types\" is not the order"},
        {"{\"model_type\":\"gemma2\",\"query_pre_attn_scalar\":0}", "to be above 0"},
        {"{\"model_type\":\"gemma3_text\",\"use_bidirectional_attention\":true}", "bidirectional"},
        {"{\"model_type\":\"llama\",\"hidden_act\":\"gelu\"}", "known: silu"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":3}", "\"rope_parameters\" is expected"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}",
         "type \"dynamic\" is not supported for llama; known: default linear llama3"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2}}",
         "type \"yarn\" is not supported"},
        {"{\"model_type\":\"llama\",\"rope_parameters\":{\"rope_type\":\"linear\"}}",
         "\"factor\" is expected to be a number above 0"},
        {"{\"model_type\":\"llama\",\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":2}}",
         "\"original_max_position_embeddings\" is expected"},
        {"{\"model_type\":\"phi3\",\"rope_scaling\":{\"type\":\"su\",\"long_factor\":[1]}}",
         "\"short_factor\" is expected to be a list"},
        {"{\"model_type\":\"phi3\",\"rope_scaling\":{\"type\":\"longrope\",\"long_factor\":[1],"
         "\"short_factor\":[-1]}}",
         "\"short_factor\" is expected to be a list of numbers above 0"},
        {"{\"model_type\":\"phi3\",\"partial_rotary_factor\":2}", "above 0 and at most 1"},
    };
    raw_tensors list = gpt2_list("");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        refuse(cases[i][0], &list, cases[i][1]);
    }
    raw_tensors_free(&list);
}

static void bad_tensors_are_refused(void **state) {
    (void)state;
    raw_tensors list = gpt2_list("");
    refuse(GPT2 ",\"tie_word_embeddings\":false}", &list, "\"lm_head.weight\" is missing");
    refuse("{\"model_type\":\"gpt2\",\"n_layer\":1}", &list, "\"h.1.ln_1.weight\" is none that");
    refuse("{\"model_type\":\"gpt2\",\"n_layer\":3}", &list, "\"h.2.ln_1.weight\" is missing");
    list.items.count--;
    refuse(GPT2 "}", &list, "\"ln_f.bias\" is missing");
    list.items.count++;
    last(&list)->type = RAW_OTHER;
    last(&list)->type_name = "I64";
    refuse(GPT2 "}", &list, "\"ln_f.bias\" has type I64; expected float32");
    last(&list)->type = RAW_F32;
    last(&list)->scattered = true;
    refuse(GPT2 "}", &list, "\"ln_f.bias\" is a view with gaps");
    last(&list)->scattered = false;
    last(&list)->n_dims = 3;
    refuse(GPT2 "}", &list, "has 3 dimensions");
    last(&list)->n_dims = 1;
    last(&list)->dims[0] = sizeof weights;
    refuse(GPT2 "}", &list, "output_norm.bias");
    last(&list)->dims[0] = 4;
    static const struct {
        const char *name, *part;
    } more[] = {
        {"ln_f.bias", "is there twice"},
        {"transformer.ln_f.bias", "is there twice"},
        {"h.0.extra", "\"h.0.extra\" is none"},
        {"h.00.ln_1.weight", "is none"},
        {"h.ln_1.weight", "is none"},
        {"h.99999999999.ln_1.weight", "is none"},
        {"h.1", "is none"},
        {"score.weight", "\"score.weight\" is none that a gpt2"},
    };
    for (size_t i = 0; i < COUNT_OF(more); i++) {
        raw_tensors longer = gpt2_list("");
        add(&longer, more[i].name, 4, 0);
        refuse(GPT2 "}", &longer, more[i].part);
        raw_tensors_free(&longer);
    }
    raw_tensors_free(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_is_translated),
        cmocka_unit_test(views_are_turned_by_layout),
        cmocka_unit_test(positions_of_opt_begin_two_rows_later),
        cmocka_unit_test(bad_settings_are_refused),
        cmocka_unit_test(bad_tensors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
