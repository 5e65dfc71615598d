/* The type of each tensor: as llama-quantize chooses it (tests/golden/mixes/types.txt, made by
 * tools/make_mix_golden.py), and what is our own: overrides, fallbacks, refusals. */
#include "engine/type_mix.h"

#include "base/size.h"
#include "engine/type_overrides.h"
#include "formats/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_TENSORS = 1024, LINE_BYTES = 4096 };

/* A model, as its lines come. */
typedef struct made_model {
    char name[64];
    tables keys;
    model_file file; /* of the keys */
    bool finished;
    gguf_tensor tensors[MOST_TENSORS];
    char names[MOST_TENSORS][64];
    size_t n;
} made_model;

static void model_end(made_model *m) {
    if (m->finished) {
        model_file_free(&m->file);
    } else {
        tables_free(&m->keys);
    }
    m->finished = false;
    m->n = 0;
}

static void add_tensor(made_model *m, const char *name, quant_type type, size_t n_dims,
                       const uint64_t *dims) {
    assert_true(m->n < MOST_TENSORS);
    snprintf(m->names[m->n], sizeof m->names[0], "%s", name);
    gguf_tensor *const t = &m->tensors[m->n];
    *t = (gguf_tensor){str_from(m->names[m->n]), type, n_dims, {1, 1, 1, 1}};
    memcpy(t->dims, dims, n_dims * sizeof *dims);
    m->n++;
}

static void finish_keys(made_model *m) {
    if (!m->finished) {
        assert_int_equal(tables_finish(&m->keys, &m->file), SL_OK);
        m->finished = true;
    }
}

/* ---- as llama-quantize ---------------------------------------------------------------------- */

/* "NAME TYPE DIM..." */
static void read_tensor(made_model *m, char *line) {
    uint64_t dims[4];
    size_t n_dims = 0;
    const char *const name = strtok(line, " ");
    const quant_type type = (quant_type)atoi(strtok(NULL, " "));
    for (const char *dim = strtok(NULL, " "); dim; dim = strtok(NULL, " ")) {
        assert_true(n_dims < 4);
        dims[n_dims++] = strtoull(dim, NULL, 10);
    }
    add_tensor(m, name, type, n_dims, dims);
}

static void read_key(made_model *m, char *line) {
    const char *const key = strtok(line, " ");
    const char *const type = strtok(NULL, " ");
    const char *const value = strtok(NULL, " ");
    if (strcmp(type, "str") == 0) {
        tables_string(&m->keys, key, str_from(value));
    } else {
        tables_u64(&m->keys, key, strtoull(value, NULL, 10));
    }
}

/* "OPTION... MIX LETTERS"; returns whether the mix is known here. */
static bool compare(made_model *m, char *line) {
    static type_choice choices[MOST_TENSORS];
    char asked[256];
    const char *words[8];
    size_t n_word = 0;
    snprintf(asked, sizeof asked, "%.*s", (int)(strrchr(line, ' ') - line), line);
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
        assert_true(n_word < COUNT_OF(words));
        words[n_word++] = word;
    }
    const char *const letters = words[n_word - 1], *const mix = words[n_word - 2];
    type_wishes wishes = {0};
    for (size_t i = 0; i + 2 < n_word; i++) {
        const bool last = i + 3 == n_word;
        wishes.pure |= strcmp(words[i], "--pure") == 0;
        wishes.leave_output |= strcmp(words[i], "--leave-output-tensor") == 0;
        wishes.has_importance |= strcmp(words[i], "--imatrix") == 0;
        if (!last && strcmp(words[i], "--output-tensor-type") == 0) {
            wishes.output = words[i + 1];
        } else if (!last && strcmp(words[i], "--token-embedding-type") == 0) {
            wishes.embedding = words[i + 1];
        } else if (!last && strcmp(words[i], "--tensor-type") == 0) {
            wishes.overrides = &words[i + 1];
            wishes.n_override = 1;
        }
    }
    sl_error error = {0};
    if (type_mix_find(mix, &wishes.mix, &error) != SL_OK) {
        return false;
    }
    finish_keys(m);
    assert_int_equal(strlen(letters), m->n);
    assert_int_equal(
        type_mix_choose(&m->file, &wishes, m->tensors, m->n, choices, NULL, NULL, &error), SL_OK);
    for (size_t i = 0; i < m->n; i++) {
        if ((int)choices[i].type != letters[i] - 'A') {
            fail_msg("%s, %s: %s is %s, llama-quantize has number %d", m->name, asked, m->names[i],
                     quant_format_of(choices[i].type)->name, letters[i] - 'A');
        }
    }
    return true;
}

static void types_are_those_of_llama_quantize(void **state) {
    (void)state;
    static made_model m;
    static char line[LINE_BYTES];
    sl_error error = {0};
    FILE *file = fopen(TEST_GOLDEN "/mixes/types.txt", "r");
    size_t compared = 0, unknown = 0, models = 0;
    assert_non_null(file);
    m.keys = tables_new("", NULL, 0, &error);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *const rest = strchr(line, ' ') + 1;
        if (strncmp(line, "model ", 6) == 0) {
            model_end(&m);
            m.keys = tables_new("", NULL, 0, &error);
            snprintf(m.name, sizeof m.name, "%s", rest);
            models++;
        } else if (strncmp(line, "key ", 4) == 0) {
            read_key(&m, rest);
        } else if (strncmp(line, "tensor ", 7) == 0) {
            read_tensor(&m, rest);
        } else {
            const bool known = compare(&m, rest);
            compared += known;
            unknown += !known;
        }
    }
    fclose(file);
    model_end(&m);
    print_message("%zu models, %zu files compared\n", models, compared);
    assert_true(models >= 20 && compared >= 500);
    assert_int_equal(unknown, 0);
}

/* ---- our own -------------------------------------------------------------------------------- */

/* Two layers of a model with an output matrix of its own. */
static void make_small(made_model *m, uint64_t width) {
    static sl_error error;
    static const char *const parts[] = {"attn_q", "attn_v", "ffn_down"};
    *m = (made_model){.keys = tables_new("", NULL, 0, &error)};
    tables_string(&m->keys, "general.architecture", str_from("llama"));
    tables_u64(&m->keys, "llama.block_count", 2);
    finish_keys(m);
    add_tensor(m, "token_embd.weight", QUANT_F16, 2, (uint64_t[]){width, 64});
    add_tensor(m, "output.weight", QUANT_F16, 2, (uint64_t[]){width, 64});
    add_tensor(m, "output_norm.weight", QUANT_F16, 1, (uint64_t[]){width});
    add_tensor(m, "position_embd.weight", QUANT_F16, 2, (uint64_t[]){width, 16});
    for (int layer = 0; layer < 2; layer++) {
        for (size_t i = 0; i < COUNT_OF(parts); i++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", layer, parts[i]);
            add_tensor(m, name, QUANT_F16, 2, (uint64_t[]){width, 64});
        }
    }
}

static sl_status choose(made_model *m, const char *mix, type_wishes wishes, type_choice *choices,
                        sl_error *error) {
    if (mix) {
        assert_int_equal(type_mix_find(mix, &wishes.mix, error), SL_OK);
    }
    return type_mix_choose(&m->file, &wishes, m->tensors, m->n, choices, NULL, NULL, error);
}

static const type_choice *choice_of(const made_model *m, const type_choice *choices,
                                    const char *name) {
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->names[i], name) == 0) {
            return &choices[i];
        }
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

static void later_overrides_win(void **state) {
    (void)state;
    static made_model m;
    static type_choice choices[MOST_TENSORS];
    sl_error error = {0};
    const char *const overrides[] = {"attn=q8_0", "^blk\\.1\\.=F16", "a=b=q4_0",
                                     "DOWN|attn_v=Q5_0"};
    make_small(&m, 256);
    const type_wishes wishes = {.overrides = overrides, .n_override = COUNT_OF(overrides)};
    assert_int_equal(choose(&m, "Q4_k", wishes, choices, &error), SL_OK);
    assert_int_equal(choice_of(&m, choices, "blk.0.attn_q.weight")->type, QUANT_Q8_0);
    assert_int_equal(choice_of(&m, choices, "blk.1.attn_q.weight")->type, QUANT_F16);
    assert_int_equal(choice_of(&m, choices, "blk.1.attn_v.weight")->type, QUANT_Q5_0);
    assert_int_equal(choice_of(&m, choices, "blk.1.ffn_down.weight")->type, QUANT_F16);
    assert_int_equal(choice_of(&m, choices, "output.weight")->type, QUANT_Q6_K);
    /* Vectors and positions are floats whatever is asked. */
    const char *const all[] = {".=q4_0"};
    const type_wishes every = {.overrides = all, .n_override = 1};
    assert_int_equal(choose(&m, "q8_0", every, choices, &error), SL_OK);
    assert_int_equal(choice_of(&m, choices, "output.weight")->type, QUANT_Q4_0);
    assert_int_equal(choice_of(&m, choices, "output_norm.weight")->type, QUANT_F32);
    assert_int_equal(choice_of(&m, choices, "position_embd.weight")->type, QUANT_F32);
    model_end(&m);
}

static void rows_that_are_no_blocks_fall_back(void **state) {
    (void)state;
    static const struct {
        uint64_t width;
        const char *mix;
        quant_type type, wanted;
    } cases[] = {
        {256, "q4_k_s", QUANT_Q4_K, QUANT_Q4_K}, {288, "q4_k_s", QUANT_Q5_0, QUANT_Q4_K},
        {288, "q5_k_s", QUANT_Q5_1, QUANT_Q5_K}, {288, "q6_k", QUANT_Q8_0, QUANT_Q6_K},
        {288, "q3_k_s", QUANT_Q4_0, QUANT_Q3_K}, {288, "q2_k", QUANT_Q4_0, QUANT_Q2_K},
        {100, "q4_k_s", QUANT_F16, QUANT_Q4_K},  {100, "q8_0", QUANT_F16, QUANT_Q8_0},
        {100, "bf16", QUANT_BF16, QUANT_BF16},   {1, "q4_0", QUANT_F16, QUANT_Q4_0},
    };
    static made_model m;
    static type_choice choices[MOST_TENSORS];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        sl_error error = {0};
        make_small(&m, cases[i].width);
        assert_int_equal(choose(&m, cases[i].mix, (type_wishes){0}, choices, &error), SL_OK);
        const type_choice *const c = choice_of(&m, choices, "blk.1.attn_q.weight");
        assert_int_equal(c->type, cases[i].type);
        assert_int_equal(c->wanted, cases[i].wanted);
        model_end(&m);
    }
}

static void without_a_mix_types_stay(void **state) {
    (void)state;
    static made_model m;
    static type_choice choices[MOST_TENSORS];
    sl_error error = {0};
    make_small(&m, 256);
    assert_int_equal(choose(&m, NULL, (type_wishes){0}, choices, &error), SL_OK);
    assert_int_equal(choice_of(&m, choices, "output.weight")->type, QUANT_F16);
    assert_int_equal(choice_of(&m, choices, "position_embd.weight")->type, QUANT_F32);
    model_end(&m);
}

/* Keys that lie: no layers, no heads, more layers than there can be. */
static void strange_models_are_no_harm(void **state) {
    (void)state;
    static made_model m;
    static type_choice choices[MOST_TENSORS];
    static const uint64_t numbers[] = {0, 1, 80, 5000, UINT64_MAX};
    static const char *const mixes[] = {"q2_k", "q3_k_m", "q4_k_m", "q4_0"};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        sl_error error = {0};
        m = (made_model){.keys = tables_new("", NULL, 0, &error)};
        tables_string(&m.keys, "general.architecture", str_from("llama"));
        tables_u64(&m.keys, "llama.block_count", numbers[i]);
        tables_u64(&m.keys, "llama.attention.head_count", numbers[COUNT_OF(numbers) - 1 - i]);
        tables_u64(&m.keys, "llama.attention.head_count_kv", numbers[i]);
        tables_string(&m.keys, "llama.expert_count", str_from("eight"));
        finish_keys(&m);
        add_tensor(&m, "blk.99999999999999999999.attn_v.weight", QUANT_F16, 2,
                   (uint64_t[]){256, 1});
        add_tensor(&m, "blk..ffn_down.weight", QUANT_F16, 2, (uint64_t[]){256, 1});
        add_tensor(&m, "blk.4095.attn_v.weight", QUANT_F16, 2, (uint64_t[]){256, 1});
        add_tensor(&m, "weight", QUANT_F16, 2, (uint64_t[]){256, 1});
        add_tensor(&m, "", QUANT_F16, 2, (uint64_t[]){256, 1});
        for (size_t k = 0; k < COUNT_OF(mixes); k++) {
            assert_int_equal(choose(&m, mixes[k], (type_wishes){0}, choices, &error), SL_OK);
            assert_int_equal(choices[4].type, QUANT_F16); /* no name that ends in "weight" */
        }
        model_end(&m);
    }
}

static void assert_refused(type_wishes wishes, const char *mix, const char *fragment) {
    static made_model m;
    static type_choice choices[MOST_TENSORS];
    sl_error error = {0};
    make_small(&m, 256);
    assert_int_equal(choose(&m, mix, wishes, choices, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, fragment));
    model_end(&m);
}

static void what_makes_no_sense_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *override, *fragment;
    } bad[] = {
        {"attn_q", "expected PATTERN=TYPE, found 'attn_q'"},
        {"=q8_0", "expected PATTERN=TYPE"},
        {"", "expected PATTERN=TYPE"},
        {"attn_q=", "no type is named ''"},
        {"attn_q=q4_k_m", "no type is named 'q4_k_m'"},
        {"attn(=q8_0", "PCRE2 does not take the pattern of 'attn(=q8_0' at 5"},
    };
    const type_mix *mix;
    sl_error error = {0};
    assert_int_equal(type_mix_find("q9", &mix, &error), SL_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "no type is named 'q9'; known: f32, f16, bf16, q8_0"));
    assert_int_equal(type_mix_find("", &mix, &error), SL_ERR_ARGUMENT);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_refused((type_wishes){.overrides = &bad[i].override, .n_override = 1}, "q4_k_m",
                       bad[i].fragment);
    }
    assert_refused((type_wishes){.output = "q9"}, "q4_0", "the output matrix: no type is named");
    assert_refused((type_wishes){.embedding = "q9"}, "q4_0", "the embedding: no type is named");
    /* A pattern that would try for ever. */
    const char *const endless[] = {"(.*.*.*.*.*.*.*.*)*[^a-z._0-9]=q8_0"};
    assert_refused((type_wishes){.overrides = endless, .n_override = 1}, "q4_0", "too many steps");
}

static void overrides_have_a_ceiling(void **state) {
    (void)state;
    enum { MANY = 1024 };
    static const char *texts[MANY + 1];
    type_overrides o;
    sl_error error = {0};
    for (size_t i = 0; i <= MANY; i++) {
        texts[i] = "x=q8_0";
    }
    assert_int_equal(type_overrides_open(texts, MANY, &o, &error), SL_OK);
    type_overrides_close(&o);
    assert_int_equal(type_overrides_open(texts, MANY + 1, &o, &error), SL_ERR_ARGUMENT);
    assert_null(o.items);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_those_of_llama_quantize),
        cmocka_unit_test(later_overrides_win),
        cmocka_unit_test(rows_that_are_no_blocks_fall_back),
        cmocka_unit_test(without_a_mix_types_stay),
        cmocka_unit_test(strange_models_are_no_harm),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(overrides_have_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
