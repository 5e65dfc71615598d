/* Names, lists of files, choices and manifests of src/hub, without a net. */
#include "hub/cache.h"
#include "support/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- names ---------------------------------------------------------------------------------- */

static void test_names(void **state) {
    (void)state;
    hub_name n;
    assert_true(hub_name_parse("a/b", &n));
    assert_string_equal(n.user, "a");
    assert_string_equal(n.repo, "b");
    assert_string_equal(n.quant, "");
    assert_true(hub_name_parse("Some-One/Model_1.5-GGUF:q4_k_m", &n));
    assert_string_equal(n.repo, "Model_1.5-GGUF");
    assert_string_equal(n.quant, "q4_k_m");
    assert_true(hub_name_parse("a/b:folder/file.gguf", &n));
    assert_string_equal(n.quant, "folder/file.gguf");
    static const char *const bad[] = {
        "",       "a",        "/b",         "a/",    "a/b/c",    "../b", "a/..",
        "a/b:",   "a/b:../c", "a/b:/c",     "a b/c", "-a/b",     ".a/b", "a/.b",
        "a/b..c", "a/b\n",    "models/x y", "~/x",   "a/b:x\ny", "./x",  "a//b",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (hub_name_parse(bad[i], &n)) {
            fail_msg("\"%s\" is taken for a name", bad[i]);
        }
    }
    char longest[2 * 96 + 3];
    memset(longest, 'x', sizeof longest);
    longest[96] = '/';
    longest[193] = 0;
    assert_true(hub_name_parse(longest, &n));
    memmove(longest + 97, longest + 96, 98);
    longest[96] = 'x';
    assert_false(hub_name_parse(longest, &n));
}

static void test_paths(void **state) {
    (void)state;
    static const char *const good[] = {"a", "a/b.c", "..a", "a..", "...", "\xc3\xa4 b"};
    static const char *const bad[] = {"",    "/a",   "a/",   "a//b",  ".",     "..",   "a/..",
                                      "./a", "a\tb", "a\\b", "a/./b", "a\x7f", "../a", "a/../b"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(hub_path_is_good(str_from(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(hub_path_is_good(str_from(bad[i])));
    }
    assert_false(hub_path_is_good((str){"a\0b", 3}));
    char name[LIMIT_HUB_PATH_BYTES + 2];
    memset(name, 'x', sizeof name);
    assert_true(hub_path_is_good((str){name, 240}));
    assert_false(hub_path_is_good((str){name, 241}));
    for (size_t i = 100; i < sizeof name; i += 100) {
        name[i] = '/';
    }
    assert_true(hub_path_is_good((str){name, LIMIT_HUB_PATH_BYTES}));
    assert_false(hub_path_is_good((str){name, LIMIT_HUB_PATH_BYTES + 1}));
    assert_false(hub_path_is_good(str_from("a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a")));
    assert_true(hub_path_is_good(str_from("a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a")));
    assert_true(hub_commit_is_good(str_from("0123456789abcdef0123456789abcdef01234567")));
    assert_false(hub_commit_is_good(str_from("0123456789ABCDEF0123456789abcdef01234567")));
    assert_false(hub_commit_is_good(str_from("0123456789abcdef")));
    assert_true(hub_revision_is_good("refs/pr/1"));
    assert_false(hub_revision_is_good("../x"));
    assert_false(hub_revision_is_good(""));
}

/* What names of public repositories look like. */
static void test_labels(void **state) {
    (void)state;
    static const char *const names[][2] = {
        {"tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf", "Q4_K_M"},
        {"Llama-3.2-1B-Instruct-IQ4_XS.gguf", "IQ4_XS"},
        {"ggml-model-q4_0.gguf", "q4_0"},
        {"model_q8_0.gguf", "q8_0"},
        {"Qwen3-8B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"},
        {"gpt-oss-20b-mxfp4.gguf", "mxfp4"},
        {"gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4_MOE"},
        {"x-BF16.gguf", "BF16"},
        {"x.fp16.gguf", "fp16"},
        {"x-Q4_0_4_4.gguf", "Q4_0_4_4"},
        {"x-TQ1_0.gguf", "TQ1_0"},
        {"x-Q4_K_M-00001-of-00003.gguf", "Q4_K_M"},
        {"Q5_K_S/x-00001-of-00002.gguf", "Q5_K_S"},
        {"Q5_K_S/x-Q6_K.gguf", "Q6_K"},
        {"x-Q4_K_M-imat.gguf", "Q4_K_M"},
        {"plain.gguf", "plain.gguf"},
        {"sub/plain.gguf", "sub/plain.gguf"},
        {"Quux-Q.gguf", "Quux-Q.gguf"},
        {".gguf", ".gguf"},
        {"Q4_0", "Q4_0"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char label[LIMIT_HUB_PATH_BYTES + 1];
        hub_choice_label(names[i][0], label);
        assert_string_equal(label, names[i][1]);
    }
}

/* ---- lists ---------------------------------------------------------------------------------- */

static sl_status add(hub_listing *l, const char *json, sl_error *error) {
    return hub_listing_add_page(l, (const uint8_t *)json, strlen(json), error);
}

static const char sum[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static void test_listing(void **state) {
    (void)state;
    sl_error error;
    char json[512];
    hub_listing l = hub_listing_new();
    snprintf(json, sizeof json,
             "[{\"type\":\"file\",\"path\":\"z\",\"size\":134,\"lfs\":{\"oid\":\"%s\",\"size\":7}},"
             "{\"type\":\"directory\",\"path\":\"d\",\"size\":0},"
             "{\"type\":\"file\",\"path\":\"d/a\",\"size\":0,\"oid\":\"x\"}]",
             sum);
    assert_int_equal(add(&l, json, &error), SL_OK);
    assert_int_equal(add(&l, "[]", &error), SL_OK);
    assert_int_equal(hub_listing_sort(&l, &error), SL_OK);
    assert_int_equal(l.files.count, 2);
    assert_int_equal(hub_listing_find(&l, "d/a"), 0);
    assert_int_equal(hub_listing_find(&l, "z"), 1);
    assert_int_equal(hub_listing_find(&l, "d"), SIZE_MAX);
    assert_int_equal(hub_listing_at(&l, 1)->size, 7);
    assert_string_equal(hub_listing_at(&l, 1)->sha256, sum);
    assert_string_equal(hub_listing_at(&l, 0)->sha256, "");
    assert_int_equal(add(&l, "[{\"type\":\"file\",\"path\":\"z\",\"size\":1}]", &error), SL_OK);
    assert_int_equal(hub_listing_sort(&l, &error), SL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "twice"));
    hub_listing_free(&l);
}

static void test_bad_listings(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[",
        "[1]",
        "[{}]",
        "[{\"type\":\"file\"}]",
        "[{\"type\":\"file\",\"path\":\"a\"}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":-1}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":1.5}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":\"1\"}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":17592186044417}]", /* 2^44 + 1 */
        "[{\"type\":\"file\",\"path\":\"../a\",\"size\":1}]",
        "[{\"type\":\"file\",\"path\":\"a\\u0000b\",\"size\":1}]",
        "[{\"type\":\"file\",\"path\":\"a\\nb\",\"size\":1}]",
        "[{\"type\":\"link\",\"path\":\"a\",\"size\":1}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":1,\"lfs\":{\"size\":1}}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":1,\"lfs\":{\"size\":1,\"oid\":\"00\"}}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":1,\"path\":\"b\"}]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sl_error error = {0};
        hub_listing l = hub_listing_new();
        if (add(&l, bad[i], &error) == SL_OK) {
            fail_msg("%s is taken for a list", bad[i]);
        }
        assert_true(error.message[0] != 0);
        hub_listing_free(&l);
    }
}

/* ---- choices -------------------------------------------------------------------------------- */

/* A list of such paths, ended by NULL. */
static hub_listing list_of(const char *const *paths) {
    hub_listing l = hub_listing_new();
    for (; *paths; paths++) {
        assert_int_equal(hub_listing_add(&l, str_from(*paths), 10, sum, NULL), SL_OK);
    }
    assert_int_equal(hub_listing_sort(&l, NULL), SL_OK);
    return l;
}

/* The files that are chosen, with blanks between; or the refusal. */
static const char *chosen(const char *const *paths, const char *quant) {
    static char text[2048];
    sl_error error = {0};
    hub_choice c;
    hub_listing l = list_of(paths);
    text[0] = 0;
    if (hub_choose(&l, quant, &c, &error) != SL_OK) {
        snprintf(text, sizeof text, "%s", error.message);
    } else {
        for (size_t i = 0; i < c.count; i++) {
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
                     hub_listing_at(&l, c.files[i])->path);
        }
        hub_choice_free(&c);
    }
    hub_listing_free(&l);
    return text;
}

static void test_choice_of_gguf(void **state) {
    (void)state;
    static const char *const usual[] = {
        "README.md",     "config.json",   "m-Q2_K.gguf",        "m-Q4_0.gguf",    "m-Q4_0_4_4.gguf",
        "m-Q4_K_M.gguf", "m-IQ4_XS.gguf", "mmproj-Q4_K_M.gguf", "m.imatrix.gguf", NULL};
    assert_string_equal(chosen(usual, ""), "m-Q4_K_M.gguf");
    assert_string_equal(chosen(usual, "q2_k"), "m-Q2_K.gguf");
    assert_string_equal(chosen(usual, "Q4_0"), "m-Q4_0.gguf");
    assert_string_equal(chosen(usual, "iq4_xs"), "m-IQ4_XS.gguf");
    assert_string_equal(chosen(usual, "m-Q4_0_4_4.gguf"), "m-Q4_0_4_4.gguf");
    assert_string_equal(chosen(usual, "Q8_0"),
                        "the repository has no model Q8_0; there are IQ4_XS, Q2_K, Q4_0, Q4_0_4_4, "
                        "Q4_K_M");
    assert_non_null(strstr(chosen(usual, "Q4_K"), "no model Q4_K"));
    assert_non_null(strstr(chosen(usual, "XS"), "no model XS"));
    static const char *const other[] = {"m-Q8_0.gguf", "m-Q4_0.gguf", NULL};
    assert_string_equal(chosen(other, ""), "m-Q4_0.gguf");
    static const char *const only[] = {"m.gguf", "mmproj.gguf", NULL};
    assert_string_equal(chosen(only, ""), "m.gguf");
    static const char *const neither[] = {"m-Q2_K.gguf", "m-Q3_K_S.gguf", NULL};
    assert_string_equal(chosen(neither, ""),
                        "which model is wanted must be said; there are Q2_K, Q3_K_S");
    static const char *const two[] = {"a-Q4_0.gguf", "b-Q4_0.gguf", NULL};
    assert_string_equal(chosen(two, "Q4_0"), "the repository has several models for Q4_0; there "
                                             "are a-Q4_0.gguf, b-Q4_0.gguf");
    assert_string_equal(chosen(two, "b-Q4_0.gguf"), "b-Q4_0.gguf");
    /* Not by way of a preferred one, of which there are two, to the other one. */
    assert_non_null(strstr(chosen(two, ""), "must be said"));
    /* "Q4_K_XL" is a part of another's name, where nothing has it exactly. */
    static const char *const dynamic[] = {"m-UD-Q4_K_XL.gguf", "m-Q4_0.gguf", NULL};
    assert_string_equal(chosen(dynamic, "Q4_K_XL"), "m-UD-Q4_K_XL.gguf");
    assert_string_equal(chosen(dynamic, "ud-q4_k_xl"), "m-UD-Q4_K_XL.gguf");
}

static void test_choice_of_sets(void **state) {
    (void)state;
    static const char *const sets[] = {"Q8_0/m-00002-of-00003.gguf",
                                       "Q8_0/m-00001-of-00003.gguf",
                                       "Q8_0/m-00003-of-00003.gguf",
                                       "m-Q4_K_M-00001-of-00002.gguf",
                                       "m-Q4_K_M-00002-of-00002.gguf",
                                       "m-Q2_K-00002-of-00002.gguf",
                                       NULL};
    assert_string_equal(chosen(sets, "Q8_0"), "Q8_0/m-00001-of-00003.gguf "
                                              "Q8_0/m-00002-of-00003.gguf "
                                              "Q8_0/m-00003-of-00003.gguf");
    assert_string_equal(chosen(sets, ""),
                        "m-Q4_K_M-00001-of-00002.gguf m-Q4_K_M-00002-of-00002.gguf");
    assert_string_equal(chosen(sets, "Q2_K"), "m-Q2_K-00001-of-00002.gguf is not in the "
                                              "repository: file 1 of the 2 of a model");
    static const char *const many[] = {"m-Q4_0-00001-of-09999.gguf", NULL};
    assert_non_null(strstr(chosen(many, ""), "a set of 9999 files"));
}

static void test_choice_of_folders(void **state) {
    (void)state;
    static const char *const plain[] = {
        "README.md",      "config.json",     "model.safetensors",  "pytorch_model.bin",
        "tokenizer.json", "sub/config.json", "flax_model.msgpack", NULL};
    assert_string_equal(chosen(plain, ""), "config.json tokenizer.json model.safetensors");
    assert_non_null(strstr(chosen(plain, "Q4_0"), "no GGUF files"));
    static const char *const torch[] = {"config.json", "pytorch_model.bin", "vocab.json", NULL};
    assert_string_equal(chosen(torch, ""), "config.json vocab.json pytorch_model.bin");
    static const char *const none[] = {"config.json", "tokenizer.json", NULL};
    assert_non_null(strstr(chosen(none, ""), "no weights"));
    static const char *const nothing[] = {NULL};
    assert_non_null(strstr(chosen(nothing, ""), "no model"));
}

static void test_choice_by_index(void **state) {
    (void)state;
    static const char *const paths[] = {"config.json",   "model.safetensors.index.json",
                                        "a.safetensors", "b.safetensors",
                                        "c.safetensors", NULL};
    static const struct {
        const char *json, *refusal;
    } cases[] = {
        {"{\"weight_map\":{\"x\":\"b.safetensors\",\"y\":\"a.safetensors\",\"z\":"
         "\"b.safetensors\"}}",
         NULL},
        {"{}", "weight_map"},
        {"{\"weight_map\":{}}", "weight_map"},
        {"{\"weight_map\":{\"x\":1}}", "not in the repository"},
        {"{\"weight_map\":{\"x\":\"../a\"}}", "not in the repository"},
        {"{\"weight_map\":", "is no JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sl_error error = {0};
        hub_choice c;
        hub_listing l = list_of(paths);
        assert_int_equal(hub_choose(&l, "", &c, &error), SL_OK);
        assert_string_equal(c.index, "model.safetensors.index.json");
        assert_int_equal(c.count, 2);
        const sl_status status = hub_choose_indexed(&l, (const uint8_t *)cases[i].json,
                                                    strlen(cases[i].json), &c, &error);
        if (cases[i].refusal) {
            assert_int_not_equal(status, SL_OK);
            assert_non_null(strstr(error.message, cases[i].refusal));
        } else {
            assert_int_equal(status, SL_OK);
            assert_int_equal(c.count, 4);
        }
        hub_choice_free(&c);
        hub_listing_free(&l);
    }
}

/* ---- manifests and the cache ----------------------------------------------------------------- */

static const char commit[] = "0123456789abcdef0123456789abcdef01234567";

/* One of three files and two models, which share a file. */
static hub_manifest make_manifest(void) {
    static const char *const paths[] = {"a-Q4_0.gguf", "b", "sub/c-Q8_0.gguf", NULL};
    hub_listing l = list_of(paths);
    hub_manifest m = hub_manifest_new();
    snprintf(m.repo, sizeof m.repo, "you/it");
    snprintf(m.commit, sizeof m.commit, "%s", commit);
    size_t first[] = {0, 1}, second[] = {1, 2};
    hub_choice c = {.label = "Q4_0", .path = (char[]){"a-Q4_0.gguf"}, .files = first, .count = 2};
    assert_int_equal(hub_manifest_put(&m, &l, &c, "main", 1700000000, NULL), SL_OK);
    c = (hub_choice){
        .label = "Q8_0", .path = (char[]){"sub/c-Q8_0.gguf"}, .files = second, .count = 2};
    assert_int_equal(hub_manifest_put(&m, &l, &c, "v1", 1700000001, NULL), SL_OK);
    assert_int_equal(hub_manifest_put(&m, &l, &c, "v2", 1700000002, NULL), SL_OK); /* again */
    hub_listing_free(&l);
    return m;
}

static void test_manifest(void **state) {
    (void)state;
    char *text, *again;
    hub_manifest m = make_manifest(), read;
    assert_int_equal(m.models.count, 2);
    assert_int_equal(hub_manifest_print(&m, &text, NULL), SL_OK);
    assert_int_equal(hub_manifest_parse((const uint8_t *)text, strlen(text), "it", &read, NULL),
                     SL_OK);
    assert_int_equal(read.models.count, 2);
    assert_int_equal(read.files.files.count, 3);
    assert_string_equal(hub_manifest_model(&read, 1)->revision, "v2");
    assert_int_equal(hub_manifest_model(&read, 1)->pulled, 1700000002);
    assert_int_equal(hub_manifest_print(&read, &again, NULL), SL_OK);
    assert_string_equal(text, again);
    hub_manifest_take(&read, 0);
    assert_int_equal(read.files.files.count, 2);
    assert_int_equal(hub_listing_find(&read.files, "a-Q4_0.gguf"), SIZE_MAX);
    assert_int_equal(hub_listing_find(&read.files, "b"), 0);
    hub_manifest_take(&read, 0);
    assert_int_equal(read.files.files.count, 0);
    /* Whatever is cut off or changed of it is refused, or another manifest, but does no harm. */
    for (size_t i = 0; i < strlen(text); i++) {
        hub_manifest cut;
        sl_error error = {0};
        assert_int_not_equal(hub_manifest_parse((const uint8_t *)text, i, "it", &cut, &error),
                             SL_OK);
        assert_int_equal(cut.models.count, 0);
        const char kept = text[i];
        text[i] = '"';
        if (hub_manifest_parse((const uint8_t *)text, strlen(text), "it", &cut, &error) == SL_OK) {
            hub_manifest_free(&cut);
        }
        text[i] = kept;
    }
    free(text);
    free(again);
    hub_manifest_free(&read);
    hub_manifest_free(&m);
}

/* Puts `bytes` bytes at a path of the store. */
static void put_file(store *s, const char *path, size_t bytes) {
    char zeros[64] = {0};
    assert_true(bytes <= sizeof zeros);
    assert_int_equal(store_write_whole(s, path, zeros, bytes), 0);
}

static void count_told(void *user, const hub_cached *model) {
    (void)model;
    ++*(size_t *)user;
}

static void test_cache(void **state) {
    (void)state;
    const temp_folder made = temp_folder_make();
    const char *const folder = made.path;
    char path[512], inside[128];
    store *s;
    hub_cached_list list;
    sl_error error = {0};
    hub_manifest m = make_manifest();
    assert_int_equal(store_open(folder, false, &s), 0);
    assert_int_equal(hub_cache_write(s, &m, NULL), SL_OK);
    snprintf(inside, sizeof inside, "you/it/%s", commit);
    snprintf(path, sizeof path, "%s/a-Q4_0.gguf", inside);
    put_file(s, path, 10);
    snprintf(path, sizeof path, "%s/b", inside);
    put_file(s, path, 10);
    snprintf(path, sizeof path, "%s/sub/c-Q8_0.gguf.part", inside);
    put_file(s, path, 4);

    assert_int_equal(hub_cache_list(folder, NULL, NULL, &list, NULL), SL_OK);
    assert_int_equal(list.items.count, 2);
    assert_string_equal(hub_cached_at(&list, 0)->name, "you/it:Q4_0");
    assert_true(hub_cached_at(&list, 0)->complete);
    assert_int_equal(hub_cached_at(&list, 0)->bytes, 20);
    assert_false(hub_cached_at(&list, 1)->complete);
    assert_int_equal(hub_cached_at(&list, 1)->present, 14);
    hub_cached_list_free(&list);

    char *found = NULL;
    snprintf(path, sizeof path, "%s/%s/a-Q4_0.gguf", folder, inside);
    static const char *const names[] = {"you/it", "you/it:Q4_0", "you/it:q4_0",
                                        "you/it:a-Q4_0.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(hub_cache_find(folder, names[i], &found, NULL), SL_OK);
        assert_string_equal(found, path);
        free(found);
    }
    assert_int_equal(hub_cache_find(folder, "you/it:Q8_0", &found, &error), SL_ERR_FILE);
    assert_non_null(strstr(error.message, "is not whole yet"));
    assert_int_equal(hub_cache_find(folder, "you/other", &found, &error), SL_ERR_FILE);
    assert_non_null(strstr(error.message, "sluice pull you/other"));
    assert_int_equal(hub_cache_find(folder, "../it", &found, &error), SL_ERR_ARGUMENT);

    /* A shared file stays as long as one model has it. */
    size_t told = 0;
    uint64_t freed;
    store_entry entry;
    assert_int_equal(
        hub_cache_remove(folder, "you/it:Q8_0", false, count_told, &told, &freed, NULL), SL_OK);
    assert_int_equal(told, 1);
    snprintf(path, sizeof path, "%s/sub", inside);
    assert_int_equal(store_look(s, path, &entry), 0);
    assert_int_equal(entry.kind, STORE_NONE);
    snprintf(path, sizeof path, "%s/b", inside);
    assert_int_equal(store_look(s, path, &entry), 0);
    assert_int_equal(entry.kind, STORE_FILE);
    assert_int_equal(hub_cache_remove(folder, "you/it", false, count_told, &told, &freed, NULL),
                     SL_OK);
    assert_int_equal(freed, 20);
    assert_int_equal(store_look(s, "you", &entry), 0);
    assert_int_equal(entry.kind, STORE_NONE);
    assert_int_equal(hub_cache_remove(folder, "you/it", false, count_told, &told, &freed, &error),
                     SL_ERR_FILE);
    hub_manifest_free(&m);
    assert_int_equal(store_remove_all(s, "you"), 0);
    store_close(s);
    temp_folder_remove(&made);
}

/* Of several commits the newest that is whole counts; a damaged note hides nothing else. */
static void test_commits(void **state) {
    (void)state;
    const temp_folder made = temp_folder_make();
    const char *const folder = made.path;
    char path[512];
    store *s;
    hub_cached_list list;
    char *found = NULL;
    assert_int_equal(store_open(folder, false, &s), 0);
    static const char *const paths[] = {"m-Q4_0.gguf", NULL};
    for (size_t i = 0; i < 3; i++) {
        hub_listing l = list_of(paths);
        hub_manifest m = hub_manifest_new();
        size_t file = 0;
        hub_choice c = {
            .label = "Q4_0", .path = (char[]){"m-Q4_0.gguf"}, .files = &file, .count = 1};
        snprintf(m.repo, sizeof m.repo, "you/it");
        snprintf(m.commit, sizeof m.commit, "%zu%s", i, commit + 1);
        assert_int_equal(hub_manifest_put(&m, &l, &c, "main", 1700000000 + (int64_t)i, NULL), 0);
        assert_int_equal(hub_cache_write(s, &m, NULL), SL_OK);
        snprintf(path, sizeof path, "you/it/%s/m-Q4_0.gguf%s", m.commit, i == 2 ? ".part" : "");
        put_file(s, path, 10);
        hub_manifest_free(&m);
        hub_listing_free(&l);
    }
    snprintf(path, sizeof path, "you/it/f%s.json", commit + 1);
    put_file(s, path, 9);
    assert_int_equal(hub_cache_list(folder, NULL, NULL, &list, NULL), SL_OK);
    assert_int_equal(list.items.count, 3);
    hub_cached_list_free(&list);
    assert_int_equal(hub_cache_find(folder, "you/it", &found, NULL), SL_OK);
    snprintf(path, sizeof path, "%s/you/it/1%s/m-Q4_0.gguf", folder, commit + 1);
    assert_string_equal(found, path);
    free(found);
    assert_int_equal(hub_cache_list("/nowhere/at/all", NULL, NULL, &list, NULL), SL_OK);
    assert_int_equal(list.items.count, 0);
    assert_int_equal(store_remove_all(s, "you"), 0);
    store_close(s);
    temp_folder_remove(&made);
}

/* No name leads out of the store, and no link is followed. */
static void test_store(void **state) {
    (void)state;
    const temp_folder made = temp_folder_make();
    const char *const folder = made.path;
    store *s;
    store_entry entry;
    store_file *file = NULL;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(store_open(folder, false, &s), 0);
    static const char *const bad[] = {"../x", "/x", "a/../x", "", ".", "a//b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_not_equal(store_file_open(s, bad[i], &file), 0);
        assert_int_not_equal(store_write_whole(s, bad[i], "x", 1), 0);
        assert_int_not_equal(store_make_folder(s, bad[i]), 0);
    }
    assert_int_equal(store_write_whole(s, "a/b/c", "text", 4), 0);
    assert_int_equal(store_read_whole(s, "a/b/c", 4, &bytes, &size), 0);
    assert_int_equal(size, 4);
    free(bytes);
    assert_int_not_equal(store_read_whole(s, "a/b/c", 3, &bytes, &size), 0);
    assert_int_not_equal(store_remove(s, "a"), 0);
    assert_int_equal(store_rename(s, "a/b/c", "d/e"), 0);
    assert_int_equal(store_look(s, "d/e", &entry), 0);
    assert_int_equal(entry.bytes, 4);
    assert_int_equal(store_remove_all(s, "a"), 0);
    assert_int_equal(store_look(s, "a", &entry), 0);
    assert_int_equal(entry.kind, STORE_NONE);
    assert_int_equal(store_remove(s, "nothing"), 0);
    assert_int_equal(store_remove_all(s, "d"), 0);
    store_close(s);
    temp_folder_remove(&made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),           cmocka_unit_test(test_paths),
        cmocka_unit_test(test_labels),          cmocka_unit_test(test_listing),
        cmocka_unit_test(test_bad_listings),    cmocka_unit_test(test_choice_of_gguf),
        cmocka_unit_test(test_choice_of_sets),  cmocka_unit_test(test_choice_of_folders),
        cmocka_unit_test(test_choice_by_index), cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_cache),           cmocka_unit_test(test_commits),
        cmocka_unit_test(test_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
