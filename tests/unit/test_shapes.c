/* Shapes: numbers of parameters as they are published, and tensors that fit together.
 *
 * The counts are those that Hugging Face's transformers gives for the models' parameters; GPT-2's
 * and LLaMA's also stand in many places elsewhere. OPT's two rows of positions that nothing uses
 * are in the published counts, but in no model here. */
#include "engine/shapes.h"
#include "engine/synthetic.h"
#include "sluice.h"

#include "base/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void parameters_are_those_published(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint64_t parameters;
    } known[] = {
        {"gpt2-117m", 124439808},      {"gpt2-345m", 354823168},    {"gpt2-774m", 774030080},
        {"gpt2-1558m", 1557611200},    {"gpt-j-6b", 6050882784},    {"opt-125m", 125239296},
        {"opt-350m", 331196416},       {"opt-1.3b", 1315758080},    {"opt-2.7b", 2651596800},
        {"opt-6.7b", 6658473984},      {"bloom-560m", 559214592},   {"pythia-1.4b", 1414647808},
        {"pythia-2.8b", 2775208960},   {"pythia-6.9b", 6857302016}, {"pythia-12b", 11846072320},
        {"gpt-neox-20b", 20554567680}, {"bloom-1b1", 1065314304},   {"bloom-1b7", 1722408960},
        {"bloom-3b", 3002557440},      {"bloom-7b1", 7069016064},   {"tinyllama-1.1b", 1100048384},
        {"llama-7b", 6738415616},      {"llama-13b", 13015864320},  {"llama-30b", 32528943616},
        {"llama-65b", 65285660672},    {"llama3-1b", 1235814400},   {"llama3-3b", 3212749824},
        {"llama3-8b", 8030261248},     {"llama3-70b", 70553706496}, {"qwen2.5-0.5b", 494032768},
        {"qwen2.5-1.5b", 1543714304},  {"qwen2.5-7b", 7615616512},  {"qwen3-0.6b", 596049920},
        {"qwen3-4b", 4022468096},      {"qwen3-8b", 8190735360},    {"gemma2-2b", 2614341888},
        {"gemma2-9b", 9241705984},     {"gemma3-1b", 999885952},    {"gemma3-4b", 3880263168},
        {"gemma3-12b", 11766034176},   {"phi3-mini", 3821079552},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        const model_shape *shape = shape_find(known[i].name);
        assert_non_null(shape);
        const bool opt = strcmp(shape->architecture, "opt") == 0;
        const uint64_t expected = known[i].parameters - (opt ? 2 * shape->n_embd : 0);
        if (shape_parameters(shape) != expected) {
            fail_msg("%s: %llu parameters, expected %llu", known[i].name,
                     (unsigned long long)shape_parameters(shape), (unsigned long long)expected);
        }
    }
}

/* The three whose count is not above: their names say it, to within five percent. */
static void large_opt_models_are_as_large_as_their_names(void **state) {
    (void)state;
    const struct {
        const char *name;
        double parameters;
    } known[] = {{"opt-13b", 13e9}, {"opt-30b", 30e9}, {"opt-66b", 66e9}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        const double ratio =
            (double)shape_parameters(shape_find(known[i].name)) / known[i].parameters;
        assert_true(ratio > 0.95 && ratio < 1.05);
    }
}

static void every_shape_is_whole(void **state) {
    (void)state;
    size_t count = 0;
    for (const model_shape *shape; (shape = shape_at(count)); count++) {
        assert_string_equal(sl_shape_at(count), shape->name);
        assert_ptr_equal(shape_find(shape->name), shape);
        assert_true(shape->head > 0 || shape->n_embd % shape->n_head == 0);
        assert_int_equal(shape->n_head % shape->n_head_kv, 0);
        assert_true(shape_tensor_count(shape) > 6 * shape->n_layer);
        for (size_t i = 0; i < shape_tensor_count(shape); i++) {
            shape_tensor tensor;
            shape_tensor_at(shape, i, &tensor);
            assert_true(tensor.name[0] && tensor.n_in > 1 && tensor.n_rows > 0);
            assert_true(tensor.layer == SIZE_MAX || tensor.layer < shape->n_layer);
        }
    }
    assert_int_equal(count, 44);
    assert_null(sl_shape_at(count));
    assert_null(shape_find("llama"));
}

/* A published file, llama-2-7b.Q4_K_M.gguf, has 4081004224 bytes; its vocabulary and other metadata
 * take under a megabyte of that. TinyLlama's has 668788096 with two megabytes. */
static void the_mix_is_as_large_as_files(void **state) {
    (void)state;
    const synthetic_type *mix = synthetic_type_find("Q4_K_M");
    const uint64_t large = synthetic_bytes(shape_find("llama-7b"), mix);
    const uint64_t small = synthetic_bytes(shape_find("tinyllama-1.1b"), mix);
    assert_in_range(large, 4081004224 - 1000000, 4081004224);
    assert_in_range(small, 668788096 - 2000000, 668788096);
}

/* 8.5 bits a weight, and vectors in full. */
static void one_type_is_as_large_as_its_blocks(void **state) {
    (void)state;
    const model_shape *shape = shape_find("tinyllama-1.1b");
    const uint64_t vectors = (2 * 22 + 1) * 2048;
    const uint64_t matrices = 1100048384 - vectors;
    assert_int_equal(synthetic_bytes(shape, synthetic_type_find("q8_0")),
                     matrices / 32 * 34 + vectors * 4);
    assert_int_equal(synthetic_bytes(shape, synthetic_type_find("f32")), 1100048384ull * 4);
}

static void rows_that_do_not_divide_get_smaller_blocks(void **state) {
    (void)state;
    const model_shape *shape = shape_find("gpt2-1558m"); /* rows of 1600 and 6400 */
    shape_tensor tensor;
    const struct {
        const char *type;
        quant_type expected;
    } cases[] = {{"q6_k", QUANT_Q8_0}, {"q5_k", QUANT_Q5_1}, {"q4_k", QUANT_Q5_0},
                 {"q3_k", QUANT_Q4_0}, {"q8_0", QUANT_Q8_0}, {"f16", QUANT_F16}};
    shape_tensor_at(shape, 0, &tensor);
    assert_string_equal(tensor.name, "token_embd.weight");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const synthetic_type *type = synthetic_type_find(cases[i].type);
        assert_int_equal(synthetic_tensor_type(shape, type, &tensor), cases[i].expected);
        tensor.n_in = 6400;
        assert_int_equal(synthetic_tensor_type(shape, type, &tensor), type->main);
        tensor.n_in = 1600;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_those_published),
        cmocka_unit_test(large_opt_models_are_as_large_as_their_names),
        cmocka_unit_test(every_shape_is_whole),
        cmocka_unit_test(the_mix_is_as_large_as_files),
        cmocka_unit_test(one_type_is_as_large_as_its_blocks),
        cmocka_unit_test(rows_that_do_not_divide_get_smaller_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
