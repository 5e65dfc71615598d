/* tokenizer.json, and vocab.json with merges.txt: the ids of Hugging Face's library for each family
 * of models, what is made of each setting, and files that are wrong. */
#include "support/tokenizer_cases.h"

#include "formats/tables.h"
#include "tokenizer/json_pull.h"
#include "tokenizer/tokenizer_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define FAMILIES TEST_GOLDEN "/families/"

/* ---- families ------------------------------------------------------------------------------- */

typedef struct folder {
    tokenizer_json_files files;
    str vocabulary, merges, added;
} folder;

static str read_file(const char *family, const char *kind, const char *name) {
    char path[512];
    size_t size;
    snprintf(path, sizeof path, FAMILIES "%s/%s/%s", family, kind, name);
    char *bytes = tokenizer_cases_read(path, &size);
    return bytes ? (str){bytes, size} : (str){NULL, 0};
}

static folder read_folder(const char *family, const char *kind) {
    return (folder){.files = {.tokenizer = read_file(family, kind, "tokenizer.json"),
                              .config = read_file(family, kind, "tokenizer_config.json"),
                              .special_tokens = read_file(family, kind, "special_tokens_map.json"),
                              .generation = read_file(family, kind, "generation_config.json")},
                    .vocabulary = read_file(family, kind, "vocab.json"),
                    .merges = read_file(family, kind, "merges.txt"),
                    .added = read_file(family, kind, "added_tokens.json")};
}

static void free_folder(folder *f) {
    const str all[] = {f->files.tokenizer,
                       f->files.config,
                       f->files.special_tokens,
                       f->files.generation,
                       f->vocabulary,
                       f->merges,
                       f->added};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free((void *)all[i].ptr);
    }
}

static tokenizer *create(const folder *f) {
    sl_error error = {0};
    model_file file = {0};
    tokenizer *t = NULL;
    tables made = tables_new("test", NULL, 0, &error);
    const sl_status status = f->files.tokenizer.len ? tokenizer_json_read(&f->files, &made)
                                                    : vocab_merges_read(f->vocabulary, f->merges,
                                                                        f->added, &f->files, &made);
    if (status != SL_OK || tables_finish(&made, &file) != SL_OK ||
        tokenizer_create(&file, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    model_file_free(&file);
    return t;
}

/* tokenizer.out is of texts whose special tokens are recognised. */
static void check_cases(const tokenizer *t, const char *family) {
    char ids_path[512];
    tokenizer_cases cases;
    snprintf(ids_path, sizeof ids_path, FAMILIES "%s/tokenizer.out", family);
    assert_true(
        tokenizer_cases_open(&cases, FAMILIES "texts.inp", "\n__ggml_vocab_test__\n", ids_path));
    size_t total = 0;
    for (size_t i = 0; i < cases.count; i++) {
        array ids = array_new(sizeof(int32_t), 1u << 20);
        sl_error error;
        if (tokenizer_encode(t, cases.texts[i], SL_TOKENIZE_SPECIAL, &ids, &error) != SL_OK) {
            fail_msg("%s", error.message);
        }
        const bool same = ids.count == cases.ids[i].count &&
                          (ids.count == 0 ||
                           memcmp(ids.items, cases.ids[i].items, ids.count * sizeof(int32_t)) == 0);
        if (!same) {
            for (size_t k = 0; k < ids.count || k < cases.ids[i].count; k++) {
                print_message("%d/%d ", k < ids.count ? ((int32_t *)ids.items)[k] : -1,
                              k < cases.ids[i].count ? ((int32_t *)cases.ids[i].items)[k] : -1);
            }
            fail_msg("%s: text %zu (\"%.*s\") found/expected", family, i, STR_ARG(cases.texts[i]));
        }
        total += ids.count;
        array_free(&ids);
    }
    print_message("%s: %zu ids of %zu texts\n", family, total, cases.count);
    tokenizer_cases_close(&cases);
}

static void every_family_gives_the_ids_of_the_reference(void **state) {
    (void)state;
    static const char *const families[] = {"bloom",
                                           "bloom-heads",
                                           "gemma2",
                                           "gemma3",
                                           "gpt2",
                                           "gptj",
                                           "gptneox-parallel",
                                           "llama",
                                           "opt",
                                           "phi3",
                                           "opt-galactica",
                                           "qwen2",
                                           "phi3-longrope",
                                           "qwen3",
                                           "gptneox-sequential",
                                           "opt-350m"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        folder f = read_folder(families[i], "hf");
        assert_non_null(f.files.tokenizer.ptr);
        tokenizer *t = create(&f);
        check_cases(t, families[i]);
        tokenizer_free(t);
        free_folder(&f);
    }
}

static void vocabularies_with_merges_give_the_same(void **state) {
    (void)state;
    static const char *const families[] = {"gpt2", "opt"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        folder f = read_folder(families[i], "hf-bin");
        assert_non_null(f.vocabulary.ptr);
        free((void *)f.files.tokenizer.ptr);
        f.files.tokenizer = (str){NULL, 0};
        tokenizer *t = create(&f);
        check_cases(t, families[i]);
        tokenizer_free(t);
        free_folder(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_gives_the_ids_of_the_reference),
        cmocka_unit_test(vocabularies_with_merges_give_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
