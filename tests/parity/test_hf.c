/* Hugging Face folders, opened as they lie: logits against transformers for every folder hf/ of
 * tests/golden/families, the same bits from pytorch_model.bin and from GGUF, and folders that must
 * be refused.
 *
 * Bounds are those of test_families.c: 1e-4 of the logits' range, 1e-2 where BF16 weights round
 * activations. GGUF's LLaMA has the rows of q and k in another order, so a score is another sum;
 * and some of the GGUF files have their weights in another type.
 */
#include "support/temp_folder.h"
#include "support/test_model.h"
#include "support/tokenizer_cases.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char families[] = TEST_GOLDEN "/families";

enum { PATH_BYTES = 512, MOST_FOLDERS = 64 };

static const char *path_of(const char *name, const char *file) {
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s/%s", families, name, file);
    return path;
}

/* ---- logits by the public interface --------------------------------------------------------- */

typedef struct result {
    float *logits; /* NULL: the model was refused */
    size_t count;
    sl_model_info info; /* its texts are not kept */
    char type[16];      /* of most of its weights */
    sl_error error;
} result;

typedef struct keeper {
    float *to;
    size_t width, count;
} keeper;

static bool keep(void *user, size_t index, const float *logits) {
    keeper *k = user;
    memcpy(k->to + index * k->width, logits, k->width * sizeof *logits);
    k->count += k->width;
    return true;
}

static result run(const char *path, uint64_t budget, const int32_t *tokens, size_t n) {
    result r = {0};
    sl_model *model;
    sl_session *session;
    const sl_model_options how = {.memory_budget = budget};
    if (sl_model_load(path, &how, &model, &r.error) != SL_OK) {
        return r;
    }
    const sl_session_options options = {
        .n_ctx = n, .threads = 2, .type_k = SL_KV_F32, .type_v = SL_KV_F32};
    if (sl_session_create(model, &options, &session, &r.error) == SL_OK) {
        sl_model_get_info(model, &r.info);
        snprintf(r.type, sizeof r.type, "%s", r.info.type);
        keeper k = {.width = r.info.n_vocab};
        k.to = malloc(n * k.width * sizeof *k.to);
        assert_non_null(k.to);
        if (sl_session_eval_all(session, tokens, n, keep, &k, &r.error) == SL_OK) {
            r.logits = k.to;
            r.count = k.count;
        } else {
            free(k.to);
        }
        sl_session_free(session);
    }
    sl_model_free(model);
    return r;
}

static void assert_same(const char *name, const result *a, const result *b) {
    if (!b->logits) {
        fail_msg("%s: %s", name, b->error.message);
    }
    assert_int_equal(a->count, b->count);
    if (memcmp(a->logits, b->logits, a->count * sizeof *a->logits) != 0) {
        fail_msg("%s: other bits", name);
    }
}

/* The weights of hf-bin/ with whatever it lacks from hf/. */
static void check_bin(const char *name, const result *expected, const int32_t *tokens, size_t n) {
    const temp_folder folder = temp_folder_make();
    temp_folder_link(&folder, path_of(name, "hf-bin"));
    temp_folder_link(&folder, path_of(name, "hf"));
    unlink(temp_folder_path(&folder, "model.safetensors"));
    unlink(temp_folder_path(&folder, "model.safetensors.index.json"));
    result r = run(folder.path, 0, tokens, n);
    assert_same(name, expected, &r);
    free(r.logits);
    if (access(path_of(name, "hf-bin/vocab.json"), R_OK) == 0) {
        unlink(temp_folder_path(&folder, "tokenizer.json"));
        r = run(temp_folder_path(&folder, "pytorch_model.bin"), 0, tokens, n);
        assert_same(name, expected, &r);
        free(r.logits);
    }
    temp_folder_remove(&folder);
}

static void check_family(const char *name) {
    size_t n, n_reference;
    int32_t *tokens = test_read_tokens(path_of(name, "tokens.txt"), &n);
    float *reference = test_read_npy(path_of(name, "logits.npy"), &n_reference);
    result hf = run(path_of(name, "hf"), 0, tokens, n);
    if (!hf.logits) {
        fail_msg("%s: %s", name, hf.error.message);
    }
    assert_int_equal(hf.count, n_reference);
    const double d = test_distance(hf.logits, reference, n_reference);
    const bool has_bin = access(path_of(name, "hf-bin"), R_OK) == 0;
    if (has_bin) {
        check_bin(name, &hf, tokens, n);
    }
    const bool is_bf16 = strcmp(hf.type, "BF16") == 0;
    result gguf = run(path_of(name, "model.gguf"), 0, tokens, n);
    const bool same = gguf.logits && gguf.count == hf.count &&
                      memcmp(gguf.logits, hf.logits, hf.count * sizeof *hf.logits) == 0;
    print_message("  %-20s difference / range %.1e%s%s%s\n", name, d, is_bf16 ? ", BF16" : "",
                  has_bin ? ", same bits from .bin" : "", same ? ", same bits from GGUF" : "");
    assert_true(d <= (is_bf16 ? 1e-2 : 1e-4));
    assert_true(same || strcmp(name, "llama") == 0 || strcmp(hf.type, gguf.type) != 0);
    free(gguf.logits);
    free(hf.logits);
    free(reference);
    free(tokens);
}

static void every_folder_is_as_transformers_has_it(void **state) {
    (void)state;
    DIR *d = opendir(families);
    assert_non_null(d);
    size_t count = 0;
    for (const struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        if (entry->d_name[0] != '.' && access(path_of(entry->d_name, "hf"), R_OK) == 0) {
            check_family(entry->d_name);
            count++;
        }
    }
    closedir(d);
    assert_true(count >= 12);
}

/* ---- vocabularies --------------------------------------------------------------------------- */

/* The ids of all texts by a folder's vocabulary are the reference's. */
static size_t check_texts(const char *path, const tokenizer_cases *cases) {
    sl_error error;
    sl_model *model;
    const sl_model_options how = {.vocabulary_only = true};
    if (sl_model_load(path, &how, &model, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    size_t compared = 0;
    for (size_t i = 0; i < cases->count; i++) {
        int32_t *tokens;
        size_t count;
        const str text = cases->texts[i];
        assert_int_equal(
            sl_tokenize(model, text.ptr, text.len, SL_TOKENIZE_SPECIAL, &tokens, &count, &error),
            SL_OK);
        const array *expected = &cases->ids[i];
        if (count != expected->count ||
            (count > 0 && memcmp(tokens, expected->items, count * sizeof *tokens) != 0)) {
            fail_msg("%s: text %zu \"%.*s\" has other ids", path, i, (int)text.len, text.ptr);
        }
        compared += count;
        sl_free(tokens);
    }
    sl_model_free(model);
    return compared;
}

static void texts_become_the_ids_of_the_library(void **state) {
    (void)state;
    static const char *const folders[] = {
        "llama", "gpt2", "gptj", "gptneox-parallel", "opt", "bloom", "qwen2", "gemma3", "phi3"};
    static const char *const beside[] = {"gpt2", "opt"}; /* vocab.json and merges.txt */
    char texts[PATH_BYTES], ids[PATH_BYTES];
    snprintf(texts, sizeof texts, "%s/texts.inp", families);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        tokenizer_cases cases;
        snprintf(ids, sizeof ids, "%s", path_of(folders[i], "tokenizer.out"));
        assert_true(tokenizer_cases_open(&cases, texts, "\n__ggml_vocab_test__\n", ids));
        size_t n = check_texts(path_of(folders[i], "hf"), &cases);
        for (size_t k = 0; k < 2; k++) {
            if (strcmp(folders[i], beside[k]) == 0) {
                n += check_texts(path_of(folders[i], "hf-bin"), &cases);
            }
        }
        print_message("  %-20s %zu ids\n", folders[i], n);
        tokenizer_cases_close(&cases);
    }
}

/* ---- refusals ------------------------------------------------------------------------------- */

/* A copy of llama's folder, which has two shards, by links. */
static temp_folder llama_folder(void) {
    const temp_folder folder = temp_folder_make();
    temp_folder_link(&folder, path_of("llama", "hf"));
    return folder;
}

static void refuse(const char *path, const char *part) {
    const int32_t token = 1;
    const result r = run(path, 0, &token, 1);
    if (r.logits || !strstr(r.error.message, part)) {
        fail_msg("expected \"%s\", found \"%s\"", part, r.error.message);
    }
}

static void write_text(const temp_folder *folder, const char *name, const char *text) {
    temp_folder_write(folder, name, text, strlen(text));
}

static const char index_name[] = "model.safetensors.index.json";

static void bad_folders_are_refused(void **state) {
    (void)state;
    temp_folder folder = temp_folder_make();
    refuse(folder.path, "config.json: No such file");
    write_text(&folder, "config.json", "{");
    refuse(folder.path, "config.json, line 1");
    write_text(&folder, "config.json", "{\"model_type\":\"llama\"}");
    refuse(folder.path, "there are no weights in the folder; looked for model.safetensors");
    temp_folder_write(&folder, "model.safetensors", "\x10\0\0\0\0\0\0\0{}", 10);
    refuse(folder.path, "model.safetensors: the header is said to have 16 bytes");
    write_text(&folder, "pytorch_model.bin", "PK\3\4");
    refuse(temp_folder_path(&folder, "pytorch_model.bin"), "no directory at its end");
    unlink(temp_folder_path(&folder, "model.safetensors"));
    refuse(folder.path, "pytorch_model.bin: the zip archive has no directory");
    temp_folder_write(&folder, "other.safetensors", "\2\0\0\0\0\0\0\0{}", 10);
    refuse(temp_folder_path(&folder, "other.safetensors"), "holds weights but not what model");
    refuse(temp_folder_path(&folder, "model.safetensors"), "no weights in the folder");
    temp_folder_remove(&folder);

    folder = llama_folder();
    write_text(&folder, "tokenizer.json", "{}");
    refuse(folder.path, "tokenizer.json");
    unlink(temp_folder_path(&folder, "tokenizer.json"));
    write_text(&folder, "tokenizer.model", "x");
    refuse(folder.path, "tokenizer.model");
    temp_folder_remove(&folder);
}

static void bad_indexes_are_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "expected an object \"weight_map\""},
        {"{\"weight_map\":{}}", "expected an object \"weight_map\""},
        {"{\"weight_map\":{\"a\":1}}", "tensor \"a\" is expected to be in a file"},
        {"{\"weight_map\":{\"a\":\"../model.safetensors\"}}",
         "\"../model.safetensors\" is expected"},
        {"{\"weight_map\":{\"a\":\"/etc/x.safetensors\"}}",
         "a .safetensors file in the same folder"},
        {"{\"weight_map\":{\"a\":\".safetensors\"}}", "in the same folder"},
        {"{\"weight_map\":{\"a\":\"x.bin\"}}", "in the same folder"},
        {"{\"weight_map\":{\"a\":\"no.safetensors\",\"b\":\"model-00001-of-00002.safetensors\"}}",
         "names 2 files, of which 1 are missing, \"no.safetensors\" first"},
        {"{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\"}}", "expects in no file"},
        {"{\"weight_map\":{\"a\":1,\"a\":2}}", "duplicate"},
    };
    const temp_folder folder = llama_folder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_text(&folder, index_name, cases[i][0]);
        refuse(folder.path, cases[i][1]);
    }
    unlink(temp_folder_path(&folder, index_name));
    temp_folder_link(&folder, path_of("llama", "hf"));
    unlink(temp_folder_path(&folder, "model-00002-of-00002.safetensors"));
    refuse(folder.path, "\"model-00002-of-00002.safetensors\" first");
    /* The first shard in place of the second. */
    assert_int_equal(symlink(temp_folder_path(&folder, "model-00001-of-00002.safetensors"),
                             temp_folder_path(&folder, "model-00002-of-00002.safetensors")),
                     0);
    refuse(folder.path, "expects in model-00001-of-00002.safetensors");
    temp_folder_remove(&folder);
}

/* A path to the weights means their folder; so does one that ends in a slash. */
static void paths_to_weights_mean_the_folder(void **state) {
    (void)state;
    const int32_t tokens[] = {1, 2, 3};
    char path[PATH_BYTES];
    result folder = run(path_of("llama", "hf"), 0, tokens, 3);
    assert_non_null(folder.logits);
    static const char *const others[] = {"hf/", "hf/model.safetensors.index.json"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s", path_of("llama", others[i]));
        result r = run(path, 0, tokens, 3);
        assert_same(path, &folder, &r);
        free(r.logits);
    }
    free(folder.logits);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_folder_is_as_transformers_has_it),
        cmocka_unit_test(texts_become_the_ids_of_the_library),
        cmocka_unit_test(paths_to_weights_mean_the_folder),
        cmocka_unit_test(bad_folders_are_refused),
        cmocka_unit_test(bad_indexes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
