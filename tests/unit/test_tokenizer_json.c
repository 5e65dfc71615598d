/* tokenizer.json, vocab.json with merges.txt, and tokenizer.model: the ids of Hugging Face's and
 * Google's libraries, what is made of each setting, and files that are wrong. */
#include "support/tokenizer_cases.h"

#include "base/random.h"
#include "formats/tables.h"
#include "tokenizer/json_pull.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FAMILIES TEST_GOLDEN "/families/"
#define GOLDEN TEST_GOLDEN "/tokenizer/"
#define SHARED TEST_SHARED "/tokenizers/"

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

/* ---- tokenizer.model ------------------------------------------------------------------------ */

static tokenizer *create_sentencepiece(str bytes, sl_status expected, const char *part) {
    sl_error error = {0};
    model_file file = {0};
    tokenizer *t = NULL;
    tables made = tables_new("test", NULL, 0, &error);
    sentencepiece_add(&made, (const uint8_t *)bytes.ptr, bytes.len);
    sl_status status = tables_finish(&made, &file);
    status = status == SL_OK ? tokenizer_create(&file, &t, &error) : status;
    model_file_free(&file);
    if (status != expected || (part && !strstr(error.message, part))) {
        fail_msg("%d: %s", status, error.message);
    }
    return t;
}

static bool check_sentencepiece(const char *model, const char *texts, const char *separator,
                                const char *ids) {
    size_t size;
    tokenizer_cases cases;
    char *bytes = tokenizer_cases_read(model, &size);
    if (!bytes) {
        return false;
    }
    assert_true(sentencepiece_detect((const uint8_t *)bytes, size));
    tokenizer *t = create_sentencepiece((str){bytes, size}, SL_OK, NULL);
    free(bytes);
    assert_true(tokenizer_cases_open(&cases, texts, separator, ids));
    print_message("%s: %zu ids\n", model, tokenizer_cases_check(&cases, t));
    tokenizer_cases_close(&cases);
    tokenizer_free(t);
    return true;
}

static void sentencepiece_models_give_the_ids_of_the_reference(void **state) {
    (void)state;
    assert_true(check_sentencepiece(GOLDEN "spm.model", GOLDEN "texts.txt", "\n__text__\n",
                                    GOLDEN "spm.ids"));
    assert_true(check_sentencepiece(GOLDEN "unk.model", GOLDEN "texts.txt", "\n__text__\n",
                                    GOLDEN "unk.ids"));
}

static void llamas_own_model_gives_the_published_ids(void **state) {
    (void)state;
    if (!check_sentencepiece(SHARED "llama2/tokenizer.model",
                             SHARED "ggml-vocab-llama-spm.gguf.inp", "\n__ggml_vocab_test__\n",
                             SHARED "ggml-vocab-llama-spm.gguf.out")) {
        print_message("no shared tokenizer.model: not tested\n");
        skip();
    }
}

static void wrong_sentencepiece_models_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        sl_status status;
        const char *part;
    } wrong[] = {
        {"\x0a\x03\x0a\x01"
         "a",
         5, SL_ERR_UNSUPPORTED, "is of Unigram"},
        {"\x0a\x03\x0a\x01"
         "a\x12\x02\x18\x03",
         9, SL_ERR_UNSUPPORTED, "is of words"},
        {"\x0a\x03\x0a\x01"
         "a\x12\x02\x18\x02",
         9, SL_ERR_UNSUPPORTED, "collapses spaces"},
        {"\x0a\x03\x0a\x01"
         "a\x12\x02\x18\x02\x1a\x06\x0a\x01n\x12\x01x",
         17, SL_ERR_UNSUPPORTED, "the rule \"n\""},
        {"\x0a\x7f\x0a\x01"
         "a",
         5, SL_ERR_FORMAT, "byte 2: a field past the end"},
        {"\x0a\x03\x0a\x02"
         "a",
         5, SL_ERR_FORMAT, "a field past the end"},
        {"\x0a\x03\x0a\x01\xff", 5, SL_ERR_FORMAT, "a piece without a text"},
        {"\x0a\x02\x18\x01", 4, SL_ERR_FORMAT, "a piece without a text"},
        {"\x0b", 1, SL_ERR_FORMAT, "a field of an unknown kind"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, SL_ERR_FORMAT, "64 bits"},
        {"\x08\x80", 2, SL_ERR_FORMAT, "does not end"},
        {"\x12\x02\x18\x02\x1a\x02\x20\x00", 8, SL_ERR_FORMAT, "a vocabulary of 0 tokens"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(create_sentencepiece((str){wrong[i].bytes, wrong[i].size}, wrong[i].status,
                                         wrong[i].part));
    }
}

/* Every beginning of a good file is refused or, where a field just ends, a smaller vocabulary. */
static void cut_short_sentencepiece_models_do_no_harm(void **state) {
    (void)state;
    size_t size;
    char *bytes = tokenizer_cases_read(GOLDEN "spm.model", &size);
    for (size_t length = 0; length < size; length += 1 + length / 50) {
        char *part = malloc(length + 1);
        memcpy(part, bytes, length);
        sl_error error = {0};
        model_file file = {0};
        tables made = tables_new("test", NULL, 0, &error);
        sentencepiece_add(&made, (const uint8_t *)part, length);
        if (tables_finish(&made, &file) == SL_OK) {
            model_file_free(&file);
        } else {
            assert_true(error.message[0]);
        }
        free(part);
    }
    free(bytes);
}

/* ---- settings ------------------------------------------------------------------------------- */

#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\u0120\":3,\"<s>\":4,\"1\":5,\"\\u010a\":6}"
#define BPE "\"model\":{\"type\":\"BPE\",\"merges\":[\"a b\"]," VOCAB "}"

static tokenizer *create_json(const char *text, sl_status expected, const char *part) {
    sl_error error = {0};
    model_file file = {0};
    tokenizer *t = NULL;
    const tokenizer_json_files files = {.tokenizer = str_from(text)};
    tables made = tables_new("test", NULL, 0, &error);
    sl_status status = tokenizer_json_read(&files, &made);
    assert_int_equal(tables_finish(&made, &file), status);
    status = status == SL_OK ? tokenizer_create(&file, &t, &error) : status;
    model_file_free(&file);
    if (status != expected || (part && !strstr(error.message, part))) {
        fail_msg("%s: %d: %s", text, status, error.message);
    }
    assert_null(strchr(error.message, '\n'));
    return t;
}

static void check_ids(const char *json, const char *text, const char *expected) {
    tokenizer *t = create_json(json, SL_OK, NULL);
    array ids = array_new(sizeof(int32_t), 1000);
    char found[1000] = "";
    assert_int_equal(
        tokenizer_encode(t, str_from(text), SL_TOKENIZE_BOS | SL_TOKENIZE_SPECIAL, &ids, NULL),
        SL_OK);
    for (size_t i = 0; i < ids.count; i++) {
        snprintf(found + strlen(found), sizeof found - strlen(found), i ? " %d" : "%d",
                 ((int32_t *)ids.items)[i]);
    }
    assert_string_equal(found, expected);
    array_free(&ids);
    tokenizer_free(t);
}

#define BYTES(space) "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":" space "},"

static void settings_are_honoured(void **state) {
    (void)state;
    check_ids("{" BYTES("false") BPE "}", "ab a", "2 3 0");
    check_ids("{" BYTES("true") BPE "}", "ab a", "3 2 3 0");
    check_ids("{" BYTES("true") BPE "}", " ab a", "3 2 3 0");
    /* Pairs instead of lines. */
    check_ids("{" BYTES("false") "\"model\":{\"type\":\"BPE\",\"merges\":[[\"a\",\"b\"]]," VOCAB
                                 "}}",
              "aab", "0 2");
    /* A pattern of its own: "a" stands alone. */
    check_ids("{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
              "\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Isolated\"},"
              "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}," BPE "}",
              "ab ab", "0 1 3 0 1");
    /* No pattern at all: merging goes on over spaces. */
    check_ids("{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
              "\"use_regex\":false}," BPE "}",
              "ab ab", "2 3 2");
    /* Special tokens, and white space that they take with them. */
    check_ids("{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true,\"rstrip\":true,"
              "\"lstrip\":true}]," BYTES("false") BPE "}",
              "a <s> b", "0 4 1");
    /* Templates. */
    check_ids(
        "{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true}],"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
        "{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]}," BYTES(
            "false") BPE "}",
        "a", "4 0");
}

/* A pattern of a file's own that would try 2^40 ways fails instead. */
static void patterns_without_end_are_stopped(void **state) {
    (void)state;
    char text[60] = "";
    sl_error error = {0};
    array ids = array_new(sizeof(int32_t), 1000);
    memset(text, 'a', 40);
    tokenizer *t = create_json(
        "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
        "\"pattern\":{\"Regex\":\"(?:a|a)*[bc]\"},\"behavior\":\"Isolated\"},"
        "{\"type\":\"ByteLevel\",\"use_regex\":false,\"add_prefix_space\":false}]}," BPE "}",
        SL_OK, NULL);
    assert_int_equal(tokenizer_encode(t, str_from(text), 0, &ids, &error), SL_ERR_RUNTIME);
    assert_non_null(strstr(error.message, "pattern 1 failed at byte 0"));
    assert_int_equal(ids.count, 0);
    array_free(&ids);
    tokenizer_free(t);
}

static void what_is_not_known_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *json;
        sl_status status;
        const char *part;
    } wrong[] = {
        {"{}", SL_ERR_FORMAT, "expected a model"},
        {"[]", SL_ERR_FORMAT, "tokenizer.json: byte 0: expected an object, found '['"},
        {"{\"model\":{\"type\":\"Unigram\"}}", SL_ERR_UNSUPPORTED, "\"Unigram\" (known: BPE"},
        {"{\"model\":{\"vocab\":[[\"a\",0.5]]}}", SL_ERR_UNSUPPORTED, "\"Unigram\""},
        {"{\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\"]}}", SL_ERR_FORMAT,
         "a token and its id, found 1 values"},
        {"{\"normalizer\":{\"type\":\"Nmt\"}}", SL_ERR_UNSUPPORTED, "the normalizer \"Nmt\""},
        {"{\"pre_tokenizer\":{\"type\":\"Whitespace\"}}", SL_ERR_UNSUPPORTED, "\"Whitespace\""},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":"
         "\"MergedWithNext\"}}",
         SL_ERR_UNSUPPORTED, "MergedWithNext"},
        {"{\"added_tokens\":[{\"id\":1,\"content\":\"a\",\"single_word\":true}]}",
         SL_ERR_UNSUPPORTED, "as a word only"},
        {"{\"model\":{\"end_of_word_suffix\":\"</w>\"}}", SL_ERR_UNSUPPORTED, "</w>"},
        {"{\"model\":{\"dropout\":0.1}}", SL_ERR_FORMAT, "an integer from 0 to 0, found 0.1"},
        {"{\"model\":{\"merges\":[[\"a\"]]}}", SL_ERR_FORMAT, "a merge of two tokens, found 1"},
        {"{\"model\":{\"merges\":[[\"a b\",\"c\"]]}}", SL_ERR_UNSUPPORTED, "with a space in it"},
        {"{\"model\":{\"vocab\":{\"a\":99999999999999999999}}}", SL_ERR_FORMAT, "found 99999"},
        {"{\"model\":{\"vocab\":{\"a\":4000000}}}", SL_ERR_FORMAT, "expected ids below"},
        {"{\"model\":{\"vocab\":{\"a\":-1}}}", SL_ERR_FORMAT, "found -1"},
        {"{\"model\":{\"vocab\":{\"a\":0,\"b\":0}}}", SL_ERR_FORMAT, "token 0 is there twice"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", SL_ERR_UNSUPPORTED,
         "spaces as U+2581"},
        {"{" BYTES("false") "\"model\":{\"type\":\"BPE\",\"merges\":[\"a c\"]," VOCAB "}}",
         SL_ERR_FORMAT, "no token: c"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
         "\"pattern\":{\"Regex\":\"(a\"},\"behavior\":\"Isolated\"},"
         "{\"type\":\"ByteLevel\",\"use_regex\":false,\"add_prefix_space\":false}]}," BPE "}",
         SL_ERR_UNSUPPORTED, "PCRE2 does not take the pattern \"(a\""},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
         "\"pattern\":{\"Regex\":\"a\\\\b\"},\"behavior\":\"Isolated\"},"
         "{\"type\":\"ByteLevel\",\"use_regex\":false,\"add_prefix_space\":false}]}," BPE "}",
         SL_ERR_UNSUPPORTED, "PCRE2 would read differently"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(create_json(wrong[i].json, wrong[i].status, wrong[i].part));
    }
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void wrong_json_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
    } wrong[] = {
        {"", "byte 0: expected a value, found the end"},
        {"{", "found the end"},
        {"{\"a\":1,}", "expected a string, found '}'"},
        {"[1,]", "expected a value"},
        {"[1 2]", "',' or ']'"},
        {"{\"a\" 1}", "expected ':'"},
        {"nul", "expected null"},
        {"tru", "expected true or false"},
        {"01", "a number"},
        {"1.", "a number"},
        {"1e", "a number"},
        {"-", "a number"},
        {"\"a", "the string's end"},
        {"\"\\x\"", "an escape"},
        {"\"\\u12g4\"", "hexadecimal"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\ud800\\u0041\"", "surrogate"},
        {"\"\n\"", "a control character, 0x0a"},
        {"\"\xff\"", "expected UTF-8, found the byte 0xff"},
        {"1 2", "expected the end, found '2'"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sl_error error = {0};
        json_pull j = json_open(str_from(wrong[i].text), "x", &error);
        json_skip(&j);
        json_end(&j);
        json_close(&j);
        assert_int_equal(j.status, SL_ERR_FORMAT);
        if (!strstr(error.message, wrong[i].part)) {
            fail_msg("%s: %s", wrong[i].text, error.message);
        }
    }
}

static void depth_and_keys_have_ceilings(void **state) {
    (void)state;
    char deep[2 * JSON_DEPTH + 3] = "";
    sl_error error = {0};
    for (size_t depth = JSON_DEPTH; depth <= JSON_DEPTH + 1; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        json_pull j = json_open((str){deep, 2 * depth}, "x", &error);
        json_skip(&j);
        json_end(&j);
        json_close(&j);
        assert_int_equal(j.status, depth > JSON_DEPTH ? SL_ERR_FORMAT : SL_OK);
    }
    json_pull j = json_open(str_from("{\"a\":1,\"b\":{\"a\":2},\"\\u0061\":3}"), "x", &error);
    size_t members = 0;
    json_enter_object(&j);
    for (str key; json_key(&j, &key); members++) {
        json_skip(&j);
    }
    json_close(&j);
    assert_int_equal(members, 2);
    assert_non_null(strstr(error.message, "the key \"a\" is there twice"));
}

static void strings_are_read(void **state) {
    (void)state;
    sl_error error = {0};
    json_pull j = json_open(
        str_from(
            " [\"plain\", \"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"\\u00e9\\ud83d\\ude00x\\u0000\", -12]"),
        "x", &error);
    json_enter_array(&j);
    assert_true(json_element(&j));
    const str plain = json_take_string(&j);
    assert_true(json_element(&j));
    assert_true(str_is(json_take_string(&j), "\"\\/\b\f\n\r\t"));
    assert_true(json_element(&j));
    assert_true(str_equal(json_take_string(&j), (str){"\u00e9\U0001f600x\0", 8}));
    assert_true(json_element(&j));
    assert_int_equal(json_take_integer(&j, -12, -12), -12);
    assert_false(json_element(&j));
    json_end(&j);
    assert_true(str_is(plain, "plain"));
    assert_int_equal(j.status, SL_OK);
    json_close(&j);
}

/* Strings are searched eight bytes at a time: what ends one is found at every place. */
static void every_place_of_a_string_is_looked_at(void **state) {
    (void)state;
    static const char *const within[] = {"\\\"", "\\n", "\x1f", "\xff", "\xc3\xa9", "\xed\xa0\x80"};
    static const char *const becomes[] = {"\"", "\n", NULL, NULL, "\xc3\xa9", NULL};
    static const char *const fillings[] = {"!", "~", "\x7f", "\xe4\xb9\x81", "\xf0\x9f\x98\x80"};
    for (size_t at = 0; at < 20 * sizeof fillings / sizeof *fillings; at++) {
        for (size_t kind = 0; kind < sizeof within / sizeof *within; kind++) {
            char text[200] = "\"", expected[200] = "";
            const char *filling = fillings[at / 20];
            for (size_t i = 0; i < 24; i++) {
                strcat(text, i == at % 20 ? within[kind] : filling);
                strcat(expected, i == at % 20 && becomes[kind] ? becomes[kind] : filling);
            }
            strcat(text, "\"");
            sl_error error = {0};
            json_pull j = json_open(str_from(text), "x", &error);
            const str found = json_take_string(&j);
            json_end(&j);
            assert_int_equal(j.status, becomes[kind] ? SL_OK : SL_ERR_FORMAT);
            assert_true(!becomes[kind] || str_is(found, expected));
            json_close(&j);
        }
    }
}

/* The same as looking at one character after the other. */
static void well_formed_text_is_told_from_other(void **state) {
    (void)state;
    static const char bytes[] = "a\x7f\x80\x9f\xa0\xbf\xc3\xe0\xe1\xe4\xed\xef\xf0\xf4zzz";
    random_state random;
    random_seed(&random, 8);
    for (size_t round = 0; round < 200000; round++) {
        char text[24];
        const size_t length = random_u64(&random) % (sizeof text + 1);
        for (size_t i = 0; i < length; i++) {
            text[i] = bytes[random_u64(&random) % (sizeof bytes - 1)];
        }
        size_t at = 0;
        for (uint32_t code; at < length;) {
            const size_t one = utf8_decode(text + at, length - at, &code);
            if (one == 0) {
                break;
            }
            at += one;
        }
        assert_int_equal(utf8_valid_prefix(text, length), at);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_gives_the_ids_of_the_reference),
        cmocka_unit_test(vocabularies_with_merges_give_the_same),
        cmocka_unit_test(sentencepiece_models_give_the_ids_of_the_reference),
        cmocka_unit_test(llamas_own_model_gives_the_published_ids),
        cmocka_unit_test(wrong_sentencepiece_models_are_refused),
        cmocka_unit_test(cut_short_sentencepiece_models_do_no_harm),
        cmocka_unit_test(settings_are_honoured),
        cmocka_unit_test(patterns_without_end_are_stopped),
        cmocka_unit_test(what_is_not_known_is_refused),
        cmocka_unit_test(wrong_json_is_refused),
        cmocka_unit_test(depth_and_keys_have_ceilings),
        cmocka_unit_test(strings_are_read),
        cmocka_unit_test(every_place_of_a_string_is_looked_at),
        cmocka_unit_test(well_formed_text_is_told_from_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
