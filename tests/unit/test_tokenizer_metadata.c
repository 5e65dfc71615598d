/* What a tokenizer takes from a file's metadata, and what it refuses there; special tokens, ends,
 * and the streaming decoder, on vocabularies made by hand. */
#include "support/gguf_builder.h"

#include "base/limits.h"
#include "base/random.h"
#include "base/size.h"
#include "formats/gguf.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY(name) "tokenizer.ggml." name
#define MARK "\xe2\x96\x81" /* U+2581 */

/* ---- vocabularies made by hand -------------------------------------------------------------- */

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

typedef struct token {
    const char *text;
    int32_t type;
    float score;
} token;

/* Tokens 0 to 2 and the bytes, 3 to 258, stand before these. */
#define FIRST 259

static const token pieces[] = {
    {MARK, NORMAL, -1},         /* 259 */
    {"a", NORMAL, -2},          /* 260 */
    {"b", NORMAL, -3},          /* 261 */
    {"ab", NORMAL, -1.5f},      /* 262 */
    {MARK "ab", NORMAL, -1.2f}, /* 263 */
    {"bab", NORMAL, -9},        /* 264: needs b + ab */
    {"<|im_end|>", NORMAL, 0},  /* 265: an end by its name */
    {"<turn>", CONTROL, 0},     /* 266 */
    {"<turn>2", CONTROL, 0},    /* 267 */
    {"@@", USER_DEFINED, 0},    /* 268 */
    {"\xc3\xa9", NORMAL, -4},   /* 269: e with acute */
    {"<x", NORMAL, -5},         /* 270 */
    {"", NORMAL, 0},            /* 271: empty is allowed */
};
#define COUNT (FIRST + COUNT_OF(pieces))

typedef struct metadata {
    gguf_builder b;
    const char *texts[COUNT + 1];
    char bytes[256][8];
    int32_t types[COUNT + 1];
    float scores[COUNT + 1];
} metadata;

static void begin_spm(metadata *m) {
    static const token first[] = {{"<unk>", UNKNOWN, 0}, {"<s>", CONTROL, 0}, {"</s>", CONTROL, 0}};
    gguf_builder_init(&m->b, 3);
    for (size_t i = 0; i < COUNT; i++) {
        token t = {"", BYTE, 0};
        if (i < 3 || i >= FIRST) {
            t = i < 3 ? first[i] : pieces[i - FIRST];
        } else {
            snprintf(m->bytes[i - 3], sizeof m->bytes[0], "<0x%02X>", (unsigned)(i - 3));
            t.text = m->bytes[i - 3];
        }
        m->texts[i] = t.text;
        m->types[i] = t.type;
        m->scores[i] = t.score;
    }
    gguf_builder_string(&m->b, KEY("model"), "llama");
    gguf_builder_strings(&m->b, KEY("tokens"), m->texts, COUNT);
    gguf_builder_array(&m->b, KEY("scores"), META_F32, m->scores, COUNT);
    gguf_builder_array(&m->b, KEY("token_type"), META_I32, m->types, COUNT);
}

/* The same after a change of texts, types or scores. */
static void set_tables(metadata *m) {
    gguf_builder_remove(&m->b, KEY("tokens"));
    gguf_builder_remove(&m->b, KEY("scores"));
    gguf_builder_remove(&m->b, KEY("token_type"));
    gguf_builder_strings(&m->b, KEY("tokens"), m->texts, COUNT);
    gguf_builder_array(&m->b, KEY("scores"), META_F32, m->scores, COUNT);
    gguf_builder_array(&m->b, KEY("token_type"), META_I32, m->types, COUNT);
}

/* The tiny model's byte-level tokenizer: 256 bytes, "<|end|>", then pairs of letters. */
static void begin_bpe(metadata *m) {
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_vocab = 300;
    gguf_builder_init(&m->b, 3);
    gguf_builder_tiny_llama(&m->b, &options);
}

static sl_status create(metadata *m, tokenizer **t, sl_error *error) {
    model_file file;
    gguf_builder_finish(&m->b);
    if (gguf_parse(m->b.image, m->b.image_bytes, &file, error) != SL_OK) {
        fail_msg("%s", error->message);
    }
    *t = NULL;
    const sl_status status = tokenizer_create(&file, t, error);
    model_file_free(&file);
    gguf_builder_free(&m->b);
    return status;
}

static tokenizer *create_good(metadata *m) {
    tokenizer *t;
    sl_error error;
    if (create(m, &t, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return t;
}

/* The message must hold `part`, and be one line. */
static void refuse(metadata *m, sl_status status, const char *part) {
    tokenizer *t;
    sl_error error = {0};
    assert_int_equal(create(m, &t, &error), status);
    assert_null(t);
    assert_int_equal(error.status, status);
    assert_null(strchr(error.message, '\n'));
    if (!strstr(error.message, part)) {
        fail_msg("\"%s\" does not say \"%s\"", error.message, part);
    }
}

static void check_ids(const tokenizer *t, const char *text, unsigned flags, const char *expected) {
    array ids = array_new(sizeof(int32_t), 1000);
    char found[1000] = "";
    assert_int_equal(tokenizer_encode(t, str_from(text), flags, &ids, NULL), SL_OK);
    for (size_t i = 0; i < ids.count; i++) {
        snprintf(found + strlen(found), sizeof found - strlen(found), i ? " %d" : "%d",
                 ((int32_t *)ids.items)[i]);
    }
    array_free(&ids);
    assert_string_equal(found, expected);
}

/* ---- what the metadata asks for ------------------------------------------------------------- */

static void sentencepiece_defaults(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    tokenizer *t = create_good(&m);
    assert_int_equal(tokenizer_count(t), COUNT);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    assert_true(tokenizer_adds_space(t));
    assert_true(tokenizer_bytes(t) > COUNT);
    check_ids(t, "", 0, "");
    check_ids(t, "", SL_TOKENIZE_BOS, "1");
    check_ids(t, "ab", SL_TOKENIZE_BOS, "1 263");
    /* "bab": b + ab is better than ba, which is nothing; then bab. */
    check_ids(t, "bab", 0, "259 264");
    /* Not mergeable at all: z is in no piece, and comes as its byte. */
    check_ids(t, "z\xc3\xa9", 0, "259 125 269");
    check_ids(t, "\xff\xc3", 0, "259 258 198");
    tokenizer_free(t);
}

static void sentencepiece_without_a_space_before(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    gguf_builder_bool(&m.b, KEY("add_space_prefix"), false);
    gguf_builder_bool(&m.b, KEY("add_bos_token"), false);
    gguf_builder_bool(&m.b, KEY("add_eos_token"), true);
    tokenizer *t = create_good(&m);
    check_ids(t, "ab ab", SL_TOKENIZE_BOS, "262 263 2");
    check_ids(t, "ab ab", 0, "262 263");
    assert_false(tokenizer_adds_space(t));
    tokenizer_free(t);
}

static void special_tokens_only_when_asked(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    tokenizer *t = create_good(&m);
    /* Character by character, though "<x" is a piece: no '<' of its own, so byte 0x3c = 3 + 60. */
    check_ids(t, "<s>", 0, "259 63 118 65");
    check_ids(t, "<s>ab", SL_TOKENIZE_SPECIAL, "1 263");
    check_ids(t, "ab</s>", SL_TOKENIZE_SPECIAL, "263 2");
    check_ids(t, "<unk>", SL_TOKENIZE_SPECIAL, "0");
    check_ids(t, "<turn>2<turn>", SL_TOKENIZE_SPECIAL, "267 266");
    /* User-defined tokens are matched in any case, and do not begin a new text. */
    check_ids(t, "ab@@ab", 0, "263 268 262");
    check_ids(t, "@@@", 0, "259 268 67");
    check_ids(t, "@@<s>@@ab", SL_TOKENIZE_SPECIAL, "259 268 1 268 262");
    tokenizer_free(t);
}

static void byte_level_defaults(void **state) {
    (void)state;
    metadata m;
    begin_bpe(&m);
    tokenizer *t = create_good(&m);
    check_ids(t, "aab", SL_TOKENIZE_BOS, "257 98"); /* no BOS unless asked for */
    check_ids(t, "a<|end|>", SL_TOKENIZE_SPECIAL, "97 256");
    array ids = array_new(sizeof(int32_t), 100);
    assert_int_equal(tokenizer_encode(t, str_from("a<|end|>"), 0, &ids, NULL), SL_OK);
    for (size_t i = 0; i < ids.count; i++) {
        assert_int_not_equal(((int32_t *)ids.items)[i], 256);
    }
    array_free(&ids);
    tokenizer_free(t);
}

static void ends_by_id_and_by_name(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    gguf_builder_u32(&m.b, KEY("eot_token_id"), 266);
    gguf_builder_u32(&m.b, KEY("eom_token_id"), 267);
    tokenizer *t = create_good(&m);
    for (int32_t id = -2; id < (int32_t)COUNT + 2; id++) {
        const bool end = id == 2 || id == 265 || id == 266 || id == 267;
        assert_int_equal(tokenizer_is_end(t, id), end);
    }
    /* By its name it is a control token, whatever its type says. */
    assert_int_equal(tokenizer_piece(t, 265, false).len, 0);
    check_ids(t, "<|im_end|>", SL_TOKENIZE_SPECIAL, "265");
    tokenizer_free(t);
}

static void pieces_are_as_stored(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    tokenizer *t = create_good(&m);
    assert_true(str_is(tokenizer_piece(t, 263, false), " ab"));
    assert_true(str_is(tokenizer_piece(t, 3 + 0x41, false), "A"));
    assert_int_equal(tokenizer_piece(t, 1, false).len, 0);
    assert_int_equal(tokenizer_piece(t, 0, false).len, 0);
    assert_true(str_is(tokenizer_piece(t, 1, true), "<s>"));
    assert_int_equal(tokenizer_piece(t, 271, true).len, 0);
    assert_int_equal(tokenizer_piece(t, -1, true).len, 0);
    assert_int_equal(tokenizer_piece(t, (int32_t)COUNT, true).len, 0);
    assert_int_equal(tokenizer_longest_piece(t), strlen("<|im_end|>"));
    tokenizer_free(t);
}

static void types_may_be_missing(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    gguf_builder_remove(&m.b, KEY("token_type"));
    tokenizer *t = create_good(&m);
    check_ids(t, "z<s>", 0, "259 125 63 118 65");
    check_ids(t, "<s>", SL_TOKENIZE_SPECIAL, "1");
    assert_true(str_is(tokenizer_piece(t, 3 + 0x41, false), "A"));
    tokenizer_free(t);
}

static void missing_bytes_become_the_unknown_token(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    m.texts[3 + 'z'] = "zzzz";
    m.types[3 + 'z'] = NORMAL;
    set_tables(&m);
    tokenizer *t = create_good(&m);
    check_ids(t, "azz", 0, "259 260 0"); /* neighbours become one */
    tokenizer_free(t);

    begin_spm(&m);
    m.texts[3 + 'z'] = "zzzz";
    m.types[3 + 'z'] = NORMAL;
    m.texts[0] = "unk";
    m.types[0] = NORMAL;
    set_tables(&m);
    refuse(&m, SL_ERR_FORMAT, "<0x7A>");
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void wrong_kinds_are_refused(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    gguf_builder_remove(&m.b, KEY("model"));
    refuse(&m, SL_ERR_FORMAT, KEY("model"));
    begin_spm(&m);
    gguf_builder_remove(&m.b, KEY("model"));
    gguf_builder_string(&m.b, KEY("model"), "t5");
    refuse(&m, SL_ERR_UNSUPPORTED, "\"t5\" (known: llama, gpt2, bert)");
    begin_bpe(&m);
    gguf_builder_remove(&m.b, KEY("pre"));
    gguf_builder_string(&m.b, KEY("pre"), "deepseek-llm2");
    refuse(&m, SL_ERR_UNSUPPORTED, "\"deepseek-llm2\" (known: gpt-2, starcoder, llama-bpe");
    begin_bpe(&m);
    gguf_builder_remove(&m.b, KEY("pre"));
    tokenizer_free(create_good(&m));
}

static void wrong_tables_are_refused(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    gguf_builder_remove(&m.b, KEY("tokens"));
    refuse(&m, SL_ERR_FORMAT, KEY("tokens"));
    begin_spm(&m);
    gguf_builder_remove(&m.b, KEY("tokens"));
    gguf_builder_array(&m.b, KEY("tokens"), META_I32, m.types, COUNT);
    refuse(&m, SL_ERR_FORMAT, KEY("tokens"));
    begin_spm(&m);
    gguf_builder_remove(&m.b, KEY("tokens"));
    gguf_builder_strings(&m.b, KEY("tokens"), m.texts, 0);
    refuse(&m, SL_ERR_FORMAT, "found 0");
    begin_spm(&m);
    gguf_builder_remove(&m.b, KEY("scores"));
    refuse(&m, SL_ERR_FORMAT, KEY("scores"));
    begin_spm(&m);
    gguf_builder_remove(&m.b, KEY("scores"));
    gguf_builder_array(&m.b, KEY("scores"), META_F32, m.scores, COUNT - 1);
    refuse(&m, SL_ERR_FORMAT, "scores\": expected 272 elements, one for each token, found 271");
    begin_spm(&m);
    m.scores[262] = NAN;
    set_tables(&m);
    refuse(&m, SL_ERR_FORMAT, "token 262 is not a number");
    begin_spm(&m);
    gguf_builder_remove(&m.b, KEY("token_type"));
    gguf_builder_array(&m.b, KEY("token_type"), META_I32, m.types, COUNT - 3);
    refuse(&m, SL_ERR_FORMAT, "token_type\": expected 272 elements");
    static const int32_t wrong[] = {0, 7, -1};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        begin_spm(&m);
        m.types[260] = wrong[i];
        set_tables(&m);
        refuse(&m, SL_ERR_FORMAT, "for token 260");
    }
    begin_spm(&m);
    m.types[260] = BYTE;
    set_tables(&m);
    refuse(&m, SL_ERR_FORMAT, "token 260 is of type byte");
    begin_spm(&m);
    m.texts[261] = "ab";
    set_tables(&m);
    refuse(&m, SL_ERR_FORMAT, "\"ab\" as tokens 261 and 262");
}

static void wrong_ids_are_refused(void **state) {
    (void)state;
    static const char *const keys[] = {KEY("bos_token_id"), KEY("eos_token_id"),
                                       KEY("unknown_token_id"), KEY("eot_token_id"),
                                       KEY("eom_token_id")};
    metadata m;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        begin_spm(&m);
        gguf_builder_u32(&m.b, keys[i], COUNT);
        refuse(&m, SL_ERR_FORMAT, keys[i]);
        begin_spm(&m);
        gguf_builder_string(&m.b, keys[i], "2");
        refuse(&m, SL_ERR_FORMAT, keys[i]);
    }
    begin_bpe(&m);
    gguf_builder_remove(&m.b, KEY("bos_token_id"));
    gguf_builder_remove(&m.b, KEY("add_bos_token"));
    gguf_builder_bool(&m.b, KEY("add_bos_token"), true);
    refuse(&m, SL_ERR_FORMAT, KEY("add_bos_token"));
}

static void wrong_merges_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *merge, *says;
    } wrong[] = {
        {"ab", "one space"},     {"a b c", "one space"},   {" ab", "one space"},
        {"ab ", "one space"},    {"", "one space"},        {" ", "one space"},
        {"a  b", "one space"},   {"zz a", "no token: zz"}, {"a zz", "no token: zz"},
        {"z z", "no token: zz"}, {"aa \xff", "no token"},
    };
    metadata m;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        begin_bpe(&m);
        const char *merges[] = {"a a", wrong[i].merge};
        gguf_builder_remove(&m.b, KEY("merges"));
        gguf_builder_strings(&m.b, KEY("merges"), merges, 2);
        refuse(&m, SL_ERR_FORMAT, wrong[i].says);
        begin_bpe(&m);
        gguf_builder_remove(&m.b, KEY("merges"));
        gguf_builder_strings(&m.b, KEY("merges"), merges, 2);
        refuse(&m, SL_ERR_FORMAT, "entry 1");
    }
    begin_bpe(&m);
    gguf_builder_remove(&m.b, KEY("merges"));
    refuse(&m, SL_ERR_FORMAT, KEY("merges"));
    begin_bpe(&m);
    gguf_builder_remove(&m.b, KEY("merges"));
    gguf_builder_strings(&m.b, KEY("merges"), NULL, 0);
    tokenizer *t = create_good(&m);
    check_ids(t, "aa", 0, "97 97");
    tokenizer_free(t);
}

static void too_long_is_refused(void **state) {
    (void)state;
    metadata m;
    char *text = malloc(LIMIT_TOKEN_BYTES + 2);
    memset(text, 'x', LIMIT_TOKEN_BYTES + 1);
    text[LIMIT_TOKEN_BYTES + 1] = 0;
    begin_spm(&m);
    m.texts[262] = text;
    set_tables(&m);
    refuse(&m, SL_ERR_FORMAT, "found 65537 in token 262");
    text[LIMIT_TOKEN_BYTES] = 0;
    begin_spm(&m);
    m.texts[262] = text;
    set_tables(&m);
    tokenizer *t = create_good(&m);
    assert_int_equal(tokenizer_longest_piece(t), LIMIT_TOKEN_BYTES);
    tokenizer_free(t);
    free(text);
}

static void a_byte_without_token_is_said(void **state) {
    (void)state;
    metadata m;
    begin_bpe(&m);
    gguf_builder_remove(&m.b, KEY("merges"));
    gguf_builder_strings(&m.b, KEY("merges"), NULL, 0);
    const char *texts[] = {"a", "b", "<|end|>"};
    const int32_t types[] = {NORMAL, NORMAL, CONTROL};
    static const char *const ids[] = {"bos_token_id", "eos_token_id", "padding_token_id"};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        char key[64];
        snprintf(key, sizeof key, KEY("%s"), ids[i]);
        gguf_builder_remove(&m.b, key);
    }
    gguf_builder_remove(&m.b, KEY("tokens"));
    gguf_builder_remove(&m.b, KEY("token_type"));
    gguf_builder_strings(&m.b, KEY("tokens"), texts, 3);
    gguf_builder_array(&m.b, KEY("token_type"), META_I32, types, 3);
    tokenizer *t = create_good(&m);
    check_ids(t, "ab", 0, "0 1");
    array ids_out = array_new(sizeof(int32_t), 100);
    sl_error error;
    assert_int_equal(tokenizer_encode(t, str_from("abc"), 0, &ids_out, &error), SL_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "0x63"));
    assert_int_equal(ids_out.count, 0);
    array_free(&ids_out);
    tokenizer_free(t);
}

/* The output array has a ceiling; nothing of a text that does not fit is left in it. */
static void too_many_tokens_are_refused(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    tokenizer *t = create_good(&m);
    array ids = array_new(sizeof(int32_t), 5);
    const int32_t before = 42;
    sl_error error;
    assert_int_equal(array_push(&ids, &before, NULL), SL_OK);
    assert_int_equal(tokenizer_encode(t, str_from("zzzzzzz"), SL_TOKENIZE_BOS, &ids, &error),
                     SL_ERR_MEMORY);
    assert_int_equal(ids.count, 1);
    assert_int_equal(((int32_t *)ids.items)[0], 42);
    array_free(&ids);
    tokenizer_free(t);
}

/* ---- the decoder ---------------------------------------------------------------------------- */

static tokenizer_decoder *decoder_of(const tokenizer *t, bool special) {
    tokenizer_decoder *d = NULL;
    assert_int_equal(tokenizer_decoder_create(t, special, &d, NULL), SL_OK);
    return d;
}

/* Bytes as byte tokens, one by one. */
static void decode_bytes(const tokenizer *t, const char *bytes, size_t count, char *out) {
    tokenizer_decoder *d = decoder_of(t, false);
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        const str shown = tokenizer_decoder_add(d, 3 + (uint8_t)bytes[i]);
        memcpy(out + length, shown.ptr, shown.len);
        length += shown.len;
    }
    const str rest = tokenizer_decoder_finish(d);
    memcpy(out + length, rest.ptr, rest.len);
    out[length + rest.len] = 0;
    tokenizer_decoder_free(d);
}

#define R "\xef\xbf\xbd"

/* Tables 3-8 to 3-11 of the Unicode Standard 15.0, section 3.9. */
static void replacement_follows_maximal_subparts(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *expected;
    } cases[] = {
        {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", R R R R R R R R "A"},
        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", R R R R R R R R "A"},
        {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", R R R R R "A" R R "B"},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", R R R R "A"},
        {"a\xf1\x80\x80\xe1\x80\xc2"
         "b\x80"
         "c\x80\xbf"
         "d",
         "a" R R R "b" R "c" R R "d"},
        {"\xe2\x82\xac\xf0\x9f\x99\x82", "\xe2\x82\xac\xf0\x9f\x99\x82"},
        {"x\xf0\x9f\x99", "x" R},
    };
    metadata m;
    begin_spm(&m);
    tokenizer *t = create_good(&m);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[100];
        decode_bytes(t, cases[i].bytes, strlen(cases[i].bytes), out);
        assert_string_equal(out, cases[i].expected);
    }
    tokenizer_free(t);
}

static void characters_are_given_whole(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    tokenizer *t = create_good(&m);
    tokenizer_decoder *d = decoder_of(t, false);
    static const uint8_t smile[] = {0xf0, 0x9f, 0x99, 0x82};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tokenizer_decoder_add(d, 3 + smile[i]).len, 0);
    }
    assert_true(str_is(tokenizer_decoder_add(d, 3 + smile[3]), "\xf0\x9f\x99\x82"));
    assert_int_equal(tokenizer_decoder_add(d, 3 + 0xf0).len, 0);
    assert_true(str_is(tokenizer_decoder_add(d, 260), R "a")); /* cannot be completed any more */
    assert_int_equal(tokenizer_decoder_add(d, 3 + 0xc3).len, 0);
    assert_true(str_is(tokenizer_decoder_finish(d), R));
    assert_int_equal(tokenizer_decoder_finish(d).len, 0);
    tokenizer_decoder_free(d);
    tokenizer_free(t);
}

static void the_first_space_is_dropped(void **state) {
    (void)state;
    metadata m;
    begin_spm(&m);
    tokenizer *t = create_good(&m);
    tokenizer_decoder *d = decoder_of(t, false);
    for (int round = 0; round < 2; round++) { /* finish starts anew */
        assert_int_equal(tokenizer_decoder_add(d, 1).len, 0);
        assert_true(str_is(tokenizer_decoder_add(d, 263), "ab"));
        assert_true(str_is(tokenizer_decoder_add(d, 263), " ab"));
        assert_int_equal(tokenizer_decoder_add(d, 2).len, 0);
        assert_int_equal(tokenizer_decoder_add(d, (int32_t)COUNT).len, 0);
        assert_int_equal(tokenizer_decoder_add(d, -1).len, 0);
        assert_int_equal(tokenizer_decoder_finish(d).len, 0);
    }
    assert_true(str_is(tokenizer_decoder_add(d, 260), "a"));
    assert_true(str_is(tokenizer_decoder_add(d, 263), " ab"));
    tokenizer_decoder_free(d);
    d = decoder_of(t, true);
    assert_true(str_is(tokenizer_decoder_add(d, 1), "<s>"));
    assert_true(str_is(tokenizer_decoder_add(d, 263), "ab"));
    tokenizer_decoder_free(d);
    tokenizer_free(t);

    begin_spm(&m);
    gguf_builder_bool(&m.b, KEY("add_space_prefix"), false);
    t = create_good(&m);
    d = decoder_of(t, false);
    assert_true(str_is(tokenizer_decoder_add(d, 263), " ab"));
    tokenizer_decoder_free(d);
    tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentencepiece_defaults),
        cmocka_unit_test(sentencepiece_without_a_space_before),
        cmocka_unit_test(special_tokens_only_when_asked),
        cmocka_unit_test(byte_level_defaults),
        cmocka_unit_test(ends_by_id_and_by_name),
        cmocka_unit_test(pieces_are_as_stored),
        cmocka_unit_test(types_may_be_missing),
        cmocka_unit_test(missing_bytes_become_the_unknown_token),
        cmocka_unit_test(wrong_kinds_are_refused),
        cmocka_unit_test(wrong_tables_are_refused),
        cmocka_unit_test(wrong_ids_are_refused),
        cmocka_unit_test(wrong_merges_are_refused),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(a_byte_without_token_is_said),
        cmocka_unit_test(too_many_tokens_are_refused),
        cmocka_unit_test(replacement_follows_maximal_subparts),
        cmocka_unit_test(characters_are_given_whole),
        cmocka_unit_test(the_first_space_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
