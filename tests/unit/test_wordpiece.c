/* WordPiece: what GGUF leaves to conventions, the rules one by one, and what is refused. Whole
 * texts against the reference are in test_tokenizer.c. */
#include "formats/tables.h"
#include "tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEY(name) "tokenizer.ggml." name
#define MARK "\xe2\x96\x81"

static const char *const marked[] = {"[PAD]",
                                     "[UNK]",
                                     "[CLS]",
                                     "[SEP]",
                                     MARK "un",
                                     "able",
                                     MARK "a",
                                     MARK "!",
                                     MARK "\u4e2d",
                                     "n",
                                     "a",
                                     MARK "un"
                                          "a",
                                     "e",
                                     MARK "\u1112",
                                     "\u1161"};
static const char *const signed_[] = {"[UNK]", "[CLS]", "[SEP]", "un", "##able", "Un", "caf\u00e9"};

typedef struct options {
    const char *const *words;
    size_t count;
    const char *flag; /* a key that is false, or NULL */
} options;

static sl_status create(options o, tokenizer **t, sl_error *error) {
    str texts[32];
    model_file file;
    for (size_t i = 0; i < o.count; i++) {
        texts[i] = str_from(o.words[i]);
    }
    tables made = tables_new("test", NULL, 0, error);
    tables_string(&made, KEY("model"), str_from("bert"));
    tables_strings(&made, KEY("tokens"), texts, o.count);
    if (o.flag) {
        tables_bool(&made, o.flag, false);
    }
    assert_int_equal(tables_finish(&made, &file), SL_OK);
    *t = NULL;
    const sl_status status = tokenizer_create(&file, t, error);
    model_file_free(&file);
    return status;
}

static void check(options o, const char *text, const char *expected) {
    tokenizer *t;
    sl_error error;
    char found[500] = "";
    array ids = array_new(sizeof(int32_t), 1000);
    if (create(o, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(tokenizer_encode(t, str_from(text), SL_TOKENIZE_BOS, &ids, NULL), SL_OK);
    for (size_t i = 0; i < ids.count; i++) {
        const str piece = tokenizer_piece(t, ((int32_t *)ids.items)[i], true);
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%.*s", i ? "|" : "",
                 STR_ARG(piece));
    }
    assert_string_equal(found, expected);
    array_free(&ids);
    tokenizer_free(t);
}

static const options small = {marked, sizeof marked / sizeof *marked, NULL};
static const options cased = {signed_, sizeof signed_ / sizeof *signed_, NULL};

static void words_become_their_longest_tokens(void **state) {
    (void)state;
    check(small, "una unan unae", "[CLS]| una| una|n| una|e|[SEP]");
    /* "una" is taken for the beginning, and "ble" is no token. */
    check(small, "unable", "[CLS]|[UNK]|[SEP]");
}

static void the_rules_hold(void **state) {
    (void)state;
    check(small, "", "[CLS]|[SEP]");
    check(small, "una a!a", "[CLS]| una| a| !| a|[SEP]");
    check(small, "un", "[CLS]| un|[SEP]");
    check(small, "UN\u00c1", "[CLS]| una|[SEP]");                    /* capitals, accents */
    check(small, "a\u4e2da", "[CLS]| a| \u4e2d| a|[SEP]");           /* ideographs stand alone */
    check(small, "a\tun\u00a0a\u2028a", "[CLS]| a| un| a| a|[SEP]"); /* white space */
    check(small, "u\x01n\xff\u200d", "[CLS]| un|[SEP]");             /* left out */
    check(small, "\ud558", "[CLS]| \u1112|\u1161|[SEP]");            /* a syllable decomposes */
    check(small, "ux", "[CLS]|[UNK]|[SEP]");                         /* the whole word */
    check(small, "[SEP]", "[CLS]|[UNK]|[UNK]|[UNK]|[SEP]"); /* plain text is no control token */
}

static void capitals_count_where_the_vocabulary_has_them(void **state) {
    (void)state;
    check(cased, "Un un UN unable", "[CLS]| Un| un|[UNK]| un|able|[SEP]");
    check(cased, "caf\u00e9", "[CLS]| caf\u00e9|[SEP]");
    options o = small;
    o.flag = "sluice.tokenizer.lowercase";
    check(o, "un UN \u00e1", "[CLS]| un|[UNK]|[UNK]|[SEP]");
    o.flag = "sluice.tokenizer.strip_accents";
    check(o, "UN \u00e1", "[CLS]| un|[UNK]|[SEP]");
    o.flag = "sluice.tokenizer.ideographs";
    check(o, "a\u4e2da", "[CLS]|[UNK]|[SEP]");
    o.flag = "sluice.tokenizer.clean_text";
    check(o, "u\x01n", "[CLS]|[UNK]|[SEP]");
}

static void long_words_are_unknown(void **state) {
    (void)state;
    char text[128] = "";
    memset(text, 'a', 100);
    tokenizer *t;
    sl_error error;
    array ids = array_new(sizeof(int32_t), 1000);
    assert_int_equal(create(small, &t, &error), SL_OK);
    assert_int_equal(tokenizer_encode(t, (str){text, 100}, 0, &ids, NULL), SL_OK);
    assert_int_equal(ids.count, 100);
    text[100] = 'a';
    ids.count = 0;
    assert_int_equal(tokenizer_encode(t, (str){text, 101}, 0, &ids, NULL), SL_OK);
    assert_int_equal(ids.count, 1);
    assert_int_equal(((int32_t *)ids.items)[0], 1);
    array_free(&ids);
    tokenizer_free(t);
}

static void a_vocabulary_without_unknown_is_refused(void **state) {
    (void)state;
    tokenizer *t;
    sl_error error;
    const options none = {marked + 2, 4, NULL};
    assert_int_equal(create(none, &t, &error), SL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "[UNK]"));
    assert_null(t);
}

static void the_first_space_is_dropped(void **state) {
    (void)state;
    tokenizer *t;
    tokenizer_decoder *d;
    sl_error error;
    assert_int_equal(create(small, &t, &error), SL_OK);
    assert_int_equal(tokenizer_decoder_create(t, false, &d, &error), SL_OK);
    assert_int_equal(tokenizer_decoder_add(d, 2).len, 0);
    assert_true(str_is(tokenizer_decoder_add(d, 4), "un"));
    assert_true(str_is(tokenizer_decoder_add(d, 5), "able"));
    assert_true(str_is(tokenizer_decoder_add(d, 6), " a"));
    tokenizer_decoder_free(d);
    tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_their_longest_tokens),
        cmocka_unit_test(the_rules_hold),
        cmocka_unit_test(capitals_count_where_the_vocabulary_has_them),
        cmocka_unit_test(long_words_are_unknown),
        cmocka_unit_test(a_vocabulary_without_unknown_is_refused),
        cmocka_unit_test(the_first_space_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
