/* ggml's first formats: what is read, what is translated, what is refused and with which words. */
#include "formats/legacy_ggml.h"

#include "base/size.h"
#include "models/dialect_legacy.h"
#include "support/legacy_builder.h"
#include "support/temp_file.h"
#include "tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- helpers -------------------------------------------------------------------------------- */

/* One layer, so that records are few. */
static legacy_builder llama_file(uint32_t magic, uint32_t version, quant_type type) {
    gguf_builder model;
    legacy_builder old;
    gguf_tiny_options options = gguf_tiny_defaults();
    options.n_layer = 1;
    options.n_vocab = 270;
    options.n_head_kv = options.n_head;
    options.type = type;
    gguf_builder_init(&model, 3);
    gguf_builder_tiny_llama(&model, &options);
    legacy_llama(&old, &model, magic, version, 1);
    gguf_builder_free(&model);
    return old;
}

static legacy_builder gpt2_file(quant_type type, uint32_t ftype) {
    gguf_builder model;
    legacy_builder old;
    gguf_builder_init(&model, 3);
    gguf_builder_tiny_gpt2(&model, type);
    legacy_gpt2(&old, &model, ftype, false);
    gguf_builder_free(&model);
    return old;
}

static void put_u32(legacy_builder *b, size_t at, uint32_t value) {
    memcpy(b->image.data + at, &value, sizeof value);
}

/* Refused with a line that holds each of the words, which end with NULL. */
static void refused(legacy_builder *b, sl_status status, ...) {
    sl_error error = {0};
    model_file file;
    if (dialect_legacy_read(b->image.data, b->image.count, &file, &error) == SL_OK) {
        fail_msg("accepted");
    }
    assert_int_equal(error.status, status);
    va_list words;
    va_start(words, status);
    for (const char *word; (word = va_arg(words, const char *)) != NULL;) {
        if (!strstr(error.message, word)) {
            fail_msg("'%s' is not in: %s", word, error.message);
        }
    }
    va_end(words);
    legacy_free(b);
}

static model_file accepted(const legacy_builder *b) {
    sl_error error = {0};
    model_file file = {0};
    if (dialect_legacy_read(b->image.data, b->image.count, &file, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    return file;
}

static uint64_t number(const model_file *file, const char *key) {
    uint64_t value = UINT64_MAX;
    assert_int_equal(meta_get_u64(file, key, true, 0, UINT64_MAX, &value, NULL), SL_OK);
    return value;
}

static void check_string(const model_file *file, const char *key, const char *expected) {
    str value = {"", 0};
    assert_int_equal(meta_get_string(file, key, true, &value, NULL), SL_OK);
    if (!str_is(value, expected)) {
        fail_msg("%s is '%.*s', expected '%s'", key, STR_ARG(value), expected);
    }
}

static str token(const model_file *file, size_t index) {
    const meta_entry *tokens = meta_find(file, "tokenizer.ggml.tokens");
    size_t cursor = 0;
    str text = {"", 0};
    for (size_t i = 0; i <= index; i++) {
        text = meta_array_string(file, tokens, &cursor);
    }
    return text;
}

static int64_t token_type_of(const model_file *file, size_t index) {
    return meta_array_int(meta_find(file, "tokenizer.ggml.token_type"), index);
}

static void expect_shape(const model_file *file, const char *name, quant_type type, uint64_t in,
                         uint64_t out) {
    const tensor_entry *t = tensor_find(file, str_from(name));
    if (!t || t->type != type || t->dims[0] != in || t->dims[1] != out) {
        fail_msg("%s is not there, or not as it should be", name);
    }
}

/* ---- what is read --------------------------------------------------------------------------- */

static void gptj(void **state) {
    (void)state;
    legacy_builder b;
    legacy_gptj(&b, QUANT_F16, 1);
    model_file file = accepted(&b);
    assert_string_equal(file.format, "ggml (GPT-J, f16)");
    assert_int_equal(file.data_offset, b.tensors_at);
    assert_int_equal(file.tensor_count, 15);
    check_string(&file, "general.architecture", "gptj");
    assert_int_equal(number(&file, "gptj.block_count"), 1);
    assert_int_equal(number(&file, "gptj.context_length"), 64);
    assert_int_equal(number(&file, "gptj.embedding_length"), 32);
    assert_int_equal(number(&file, "gptj.feed_forward_length"), 128);
    assert_int_equal(number(&file, "gptj.attention.head_count"), 2);
    assert_int_equal(number(&file, "gptj.rope.dimension_count"), 8);
    expect_shape(&file, "token_embd.weight", QUANT_F16, 32, 300);
    expect_shape(&file, "blk.0.attn_output.weight", QUANT_F16, 32, 32);
    expect_shape(&file, "blk.0.ffn_down.weight", QUANT_F16, 128, 32);
    expect_shape(&file, "blk.0.attn_norm.bias", QUANT_F32, 32, 1);
    expect_shape(&file, "output.bias", QUANT_F32, 300, 1);
    check_string(&file, "tokenizer.ggml.model", "gpt2");
    check_string(&file, "tokenizer.ggml.pre", "gpt-2");
    assert_int_equal(number(&file, "tokenizer.ggml.eos_token_id"), 280);
    assert_true(str_is(token(&file, ' '), "\xc4\xa0")); /* U+0120 */
    assert_true(str_is(token(&file, 0xe9), "\xc3\xa9"));
    assert_true(str_is(token(&file, 257), "be"));
    assert_int_equal(token_type_of(&file, 257), 1);
    assert_int_equal(token_type_of(&file, 280), 3);
    assert_int_equal(token_type_of(&file, 299), 3);
    model_file_free(&file);
    legacy_free(&b);
}

/* The bytes that the writer lost, the space before the full stop, and what nobody can know. */
static void gptneox(void **state) {
    (void)state;
    legacy_builder b;
    legacy_gptneox(&b, QUANT_Q8_0, 2007, true);
    model_file file = accepted(&b);
    assert_string_equal(file.format, "ggml (GPT-NeoX, Q8_0)");
    check_string(&file, "general.architecture", "gptneox");
    bool flag = false;
    assert_int_equal(meta_get_bool(&file, "gptneox.use_parallel_residual", true, &flag, NULL),
                     SL_OK);
    assert_true(flag);
    assert_int_equal(meta_get_bool(&file, "sluice.qkv_interleaved", true, &flag, NULL), SL_OK);
    assert_true(flag);
    assert_int_equal(meta_get_bool(&file, "sluice.tokenizer.ranks", true, &flag, NULL), SL_OK);
    assert_true(flag);
    expect_shape(&file, "blk.0.attn_qkv.weight", QUANT_Q8_0, 32, 96);
    expect_shape(&file, "blk.0.attn_qkv.bias", QUANT_F32, 96, 1);
    expect_shape(&file, "output.weight", QUANT_Q8_0, 32, 300);
    assert_int_equal(token_type_of(&file, 0), 3);
    assert_int_equal(token_type_of(&file, 1), 3);
    assert_true(str_is(token(&file, 2), "!"));
    assert_true(str_is(token(&file, 2 + 94), "\xc2\xa1"));  /* byte 0xa1 */
    assert_true(str_is(token(&file, 2 + 188), "\xc4\x80")); /* byte 0 */
    assert_true(str_is(token(&file, 258), "he"));
    assert_int_equal(token(&file, 259).len, 0);
    assert_int_equal(token_type_of(&file, 259), 5);
    assert_true(str_is(token(&file, 260), "\xc4\xa0."));
    assert_int_equal(token_type_of(&file, 262), 4);
    str notice;
    assert_int_equal(meta_get_string(&file, "sluice.notice.words", true, &notice, NULL), SL_OK);
    sl_error error = {0};
    tokenizer *words;
    if (tokenizer_create(&file, &words, &error) != SL_OK) {
        fail_msg("%s", error.message);
    }
    array ids = array_new(sizeof(int32_t), 100);
    assert_int_equal(tokenizer_encode(words, str_from("he.\xc3\xa9"), 0, &ids, &error), SL_OK);
    assert_int_equal(ids.count, 4); /* "he", ".", two bytes */
    assert_int_equal(((int32_t *)ids.items)[0], 258);
    array_free(&ids);
    tokenizer_free(words);
    model_file_free(&file);
    legacy_free(&b);
}

static void gpt2(void **state) {
    (void)state;
    legacy_builder b = gpt2_file(QUANT_Q4_1, 2003);
    model_file file = accepted(&b);
    assert_string_equal(file.format, "ggml (GPT-2, Q4_1)");
    check_string(&file, "general.architecture", "gpt2");
    assert_int_equal(number(&file, "gpt2.block_count"), 2);
    assert_int_equal(number(&file, "gpt2.feed_forward_length"), 64);
    assert_int_equal(number(&file, "tokenizer.ggml.eos_token_id"), 256);
    expect_shape(&file, "position_embd.weight", QUANT_Q4_1, 32, 64);
    expect_shape(&file, "blk.1.ffn_up.weight", QUANT_Q4_1, 32, 64);
    assert_null(tensor_find(&file, str_from("output.weight")));
    model_file_free(&file);
    legacy_free(&b);
}

static void llama(void **state) {
    (void)state;
    static const struct {
        uint32_t magic, version;
        const char *format;
    } cases[] = {{LEGACY_GGML, 0, "ggml (LLaMA, f16)"},
                 {LEGACY_GGMF, 1, "ggmf v1 (LLaMA, f16)"},
                 {LEGACY_GGJT, 1, "ggjt v1 (LLaMA, f16)"},
                 {LEGACY_GGJT, 3, "ggjt v3 (LLaMA, f16)"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        legacy_builder b = llama_file(cases[i].magic, cases[i].version, QUANT_F16);
        model_file file = accepted(&b);
        assert_string_equal(file.format, cases[i].format);
        assert_int_equal(number(&file, "llama.attention.head_count_kv"), 4);
        assert_int_equal(number(&file, "llama.feed_forward_length"), 64);
        assert_int_equal(number(&file, "llama.context_length"), 2048);
        expect_shape(&file, "blk.0.ffn_down.weight", QUANT_F16, 64, 32);
        assert_true(str_is(token(&file, 0), "<unk>"));
        assert_true(str_is(token(&file, 2), "</s>"));
        assert_true(str_is(token(&file, 13), "<0x0A>"));
        assert_true(str_is(token(&file, 261), "\xe2\x96\x81hg")); /* " hg" */
        assert_int_equal(token_type_of(&file, 0), 2);
        assert_int_equal(token_type_of(&file, 1), 3);
        assert_int_equal(token_type_of(&file, 13), 6);
        const meta_entry *scores = meta_find(&file, "tokenizer.ggml.scores");
        assert_true(meta_array_float(scores, 259) == 0 && meta_array_float(scores, 269) == -10);
        sl_error error = {0};
        tokenizer *words;
        if (tokenizer_create(&file, &words, &error) != SL_OK) {
            fail_msg("%s", error.message);
        }
        assert_int_equal(tokenizer_bos(words), 1);
        tokenizer_free(words);
        model_file_free(&file);
        legacy_free(&b);
    }
}

/* Scores where a file has none, and tokens that were added by hand. */
static void scores(void **state) {
    (void)state;
    for (int scored = 0; scored < 2; scored++) {
        legacy_builder b = {0};
        const uint32_t header[] = {1301, 0, 256, 1, 0, 0, 0};
        legacy_u32(&b, scored ? LEGACY_GGMF : LEGACY_GGML);
        if (scored) {
            legacy_u32(&b, 1);
        }
        gguf_builder_put(&b.image, header, sizeof header);
        for (int i = 0; i < 1301; i++) {
            const char byte = (char)(i - 3);
            char text[16] = "  ";
            const float score = i < 259 ? 0 : i == 1300 ? -1000 : 259 - (float)i;
            if (i > 259) {
                snprintf(text, sizeof text, "w%d", i);
            }
            const size_t length = i < 3 ? 0 : i < 259 ? 1 : strlen(text);
            legacy_token(&b, i < 259 ? &byte : text, length, scored ? &score : NULL);
        }
        model_file file = accepted(&b);
        const meta_entry *found = meta_find(&file, "tokenizer.ggml.scores");
        assert_true(meta_array_float(found, 259) == (scored ? 0 : -1e9f));
        assert_true(meta_array_float(found, 300) == -41);
        assert_int_equal(token_type_of(&file, 1259), 1); /* -1000 by its rank */
        assert_int_equal(token_type_of(&file, 1300), scored ? 4 : 1);
        model_file_free(&file);
        legacy_free(&b);
    }
}

/* A vocabulary alone, whose header may leave all sizes at 0. */
static void vocabulary_alone(void **state) {
    (void)state;
    legacy_builder b = llama_file(LEGACY_GGJT, 1, QUANT_F32);
    b.image.count = b.tensors_at;
    for (size_t i = 1; i < 6; i++) {
        put_u32(&b, 8 + 4 * i, 0);
    }
    model_file file = accepted(&b);
    assert_int_equal(file.tensor_count, 0);
    assert_null(meta_find(&file, "llama.block_count"));
    assert_true(str_is(token(&file, 13), "<0x0A>"));
    model_file_free(&file);
    legacy_free(&b);
}

/* Columns one after the other: seen by the shape, and said by the layout. */
static void columns(void **state) {
    (void)state;
    gguf_builder model;
    legacy_builder b;
    gguf_builder_init(&model, 3);
    gguf_builder_tiny_gpt2(&model, QUANT_F16);
    legacy_gpt2(&b, &model, 1, true);
    gguf_builder_free(&model);
    model_file file = accepted(&b);
    expect_shape(&file, "blk.0.attn_qkv.weight", QUANT_F16, 32, 96);
    expect_shape(&file, "blk.0.ffn_up.weight", QUANT_F16, 32, 64);
    const struct {
        const char *name;
        tensor_layout layout;
    } expected[] = {{"blk.1.attn_qkv.weight", TENSOR_TRANSPOSED},
                    {"blk.1.attn_output.weight", TENSOR_TRANSPOSED},
                    {"blk.1.ffn_up.weight", TENSOR_TRANSPOSED},
                    {"blk.1.ffn_down.weight", TENSOR_ROWS},
                    {"token_embd.weight", TENSOR_ROWS}};
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_int_equal(tensor_find(&file, str_from(expected[i].name))->layout,
                         expected[i].layout);
    }
    model_file_free(&file);
    legacy_free(&b);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void too_old(void **state) {
    (void)state;
    static const char date[] = "before 20 May 2023";
    legacy_builder b = gpt2_file(QUANT_Q4_0, 2);
    refused(&b, SL_ERR_UNSUPPORTED, "model/wte", "Q4_0", date, "quantize again from f16", NULL);
    b = gpt2_file(QUANT_Q5_1, 9);
    refused(&b, SL_ERR_UNSUPPORTED, "Q5_1", date, NULL);
    b = gpt2_file(QUANT_Q8_0, 1007);
    refused(&b, SL_ERR_UNSUPPORTED, "Q8_0", date, NULL);
    legacy_gptj(&b, QUANT_Q4_1, 1003);
    refused(&b, SL_ERR_UNSUPPORTED, "Q4_1", "version 1", date, NULL);
    b = llama_file(LEGACY_GGJT, 1, QUANT_Q4_0);
    refused(&b, SL_ERR_UNSUPPORTED, "tok_embeddings.weight", date, NULL);
    b = llama_file(LEGACY_GGJT, 2, QUANT_Q8_0);
    refused(&b, SL_ERR_UNSUPPORTED, "Q8_0", date, NULL);
    b = llama_file(LEGACY_GGMF, 1, QUANT_Q5_0);
    refused(&b, SL_ERR_UNSUPPORTED, "Q5_0", date, NULL);
    b = gpt2_file(QUANT_F16, 2002);
    put_u32(&b, b.record_at[0] + 8, 4);
    refused(&b, SL_ERR_UNSUPPORTED, "Q4_2", "May 2023", NULL);
}

static void relatives(void **state) {
    (void)state;
    static const struct {
        uint32_t magic;
        const char *word;
    } cases[] = {
        {0x67676c61u, "LoRA adapter"}, {0x6767736eu, "session"}, {0x67677371u, "sequence"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        legacy_builder b = llama_file(LEGACY_GGJT, 3, QUANT_F16);
        put_u32(&b, 0, cases[i].magic);
        assert_true(legacy_ggml_detect(b.image.data, b.image.count));
        refused(&b, SL_ERR_UNSUPPORTED, cases[i].word, NULL);
    }
}

/* Families of the same container that are told by their layouts. */
static void other_families(void **state) {
    (void)state;
    const uint32_t dims[] = {8, 4};
    const float zeros[32] = {0}, score = 0;
    legacy_builder mpt = {0}, replit = {0}, whisper = {0}, unknown = {0};
    const uint32_t mpt_header[] = {LEGACY_GGML, 8, 64, 2, 1, 4, 0, 0, 1};
    gguf_builder_put(&mpt.image, mpt_header, sizeof mpt_header);
    const uint32_t replit_header[] = {LEGACY_GGML, 8, 64, 2, 1, 4, 1};
    gguf_builder_put(&replit.image, replit_header, sizeof replit_header);
    for (int i = 0; i < 4; i++) {
        legacy_token(&mpt, "word", 4, NULL);
        legacy_token(&replit, "word", 4, &score);
    }
    legacy_tensor_add(&mpt, "transformer.wte.weight", 0, 2, dims, zeros, sizeof zeros, false);
    legacy_tensor_add(&replit, "transformer.wte.weight", 0, 2, dims, zeros, sizeof zeros, false);
    refused(&mpt, SL_ERR_UNSUPPORTED, "MPT", NULL);
    refused(&replit, SL_ERR_UNSUPPORTED, "Replit", NULL);
    const uint32_t whisper_header[] = {LEGACY_GGML, 51864, 1500, 384, 6, 4,  448,
                                       384,         6,     4,    80,  1, 80, 201};
    gguf_builder_put(&whisper.image, whisper_header, sizeof whisper_header);
    refused(&whisper, SL_ERR_UNSUPPORTED, "Whisper", NULL);
    const uint32_t unknown_header[] = {LEGACY_GGML, 4, 8, 64, 2, 1, 4, 0};
    gguf_builder_put(&unknown.image, unknown_header, sizeof unknown_header);
    refused(&unknown, SL_ERR_FORMAT, "GPT-NeoX", NULL);
}

static void bad_headers(void **state) {
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
        const char *word;
    } cases[] = {
        {8, 0, "n_ctx"},          {8, 1u << 29, "n_ctx"},  {12, 0, "n_embd"},
        {12, 33, "multiple"},     {16, 0, "n_head"},       {16, 3, "multiple"},
        {20, 0, "n_layer"},       {20, 100000, "n_layer"}, {20, 1, "none of a GPT-2 model of 1"},
        {32, 1u << 31, "length"}, {32, 65537, "length"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        legacy_builder b = gpt2_file(QUANT_F32, 0);
        put_u32(&b, cases[i].at, cases[i].value);
        refused(&b, SL_ERR_FORMAT, cases[i].word, NULL);
    }
    legacy_builder b = llama_file(LEGACY_GGJT, 3, QUANT_F16);
    put_u32(&b, 4, 4);
    refused(&b, SL_ERR_UNSUPPORTED, "version 1 to 3", "found 4", NULL);
    b = llama_file(LEGACY_GGJT, 3, QUANT_F16);
    put_u32(&b, 8, UINT32_MAX);
    refused(&b, SL_ERR_FORMAT, "n_vocab", NULL);
    b = llama_file(LEGACY_GGJT, 3, QUANT_F16);
    put_u32(&b, 32, 99);
    refused(&b, SL_ERR_UNSUPPORTED, "file type", "99", NULL);
    b = llama_file(LEGACY_GGJT, 3, QUANT_F16);
    put_u32(&b, 12, 64); /* twice the width: a part of a model in two */
    refused(&b, SL_ERR_UNSUPPORTED, "2 parts", NULL);
}

static void bad_records(void **state) {
    (void)state;
    static const struct {
        size_t at; /* in the second record, of a vector */
        uint32_t value;
        const char *word;
    } cases[] = {
        {0, 0, "dimensions, found 0"},
        {0, 3, "dimensions, found 3"},
        {0, UINT32_MAX, "dimensions"},
        {4, 0, "name of 1 to 512"},
        {4, 513, "name of 1 to 512"},
        {8, 16, "IQ2_XXS"},
        {8, 99, "99"},
        {12, 0, "dimension between"},
        {12, UINT32_MAX, "dimension between"},
        {12, INT32_MAX, "truncated"},
        {16, 0x01010101, "expected a tensor's name"},
        {16, 0x78787878, "none of a GPT-2 model"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        legacy_builder b = gpt2_file(QUANT_F32, 0);
        put_u32(&b, b.record_at[3] + cases[i].at, cases[i].value);
        refused(&b, cases[i].at == 8 ? SL_ERR_UNSUPPORTED : SL_ERR_FORMAT, cases[i].word, NULL);
    }
    legacy_builder b = gpt2_file(QUANT_Q4_0, 2002);
    put_u32(&b, b.record_at[0] + 12, 33);
    refused(&b, SL_ERR_FORMAT, "multiple of 32", NULL);
    b = gpt2_file(QUANT_F32, 0);
    legacy_tensor_add(&b, "model/ln_f/b", 0, 1, (uint32_t[]){1}, NULL, 4, false);
    refused(&b, SL_ERR_FORMAT, "twice", NULL);
    b = gpt2_file(QUANT_F32, 0);
    legacy_tensor_add(&b, "model/h01/ln_1/b", 0, 1, (uint32_t[]){32}, NULL, 128, false);
    refused(&b, SL_ERR_FORMAT, "model/h01/ln_1/b", NULL);
    b = gpt2_file(QUANT_F32, 0);
    legacy_tensor_add(&b, "model/h2/ln_1/b", 0, 1, (uint32_t[]){32}, NULL, 128, false);
    refused(&b, SL_ERR_FORMAT, "model of 2 layers", NULL);
}

/* Whether the file is a whole one if it ends there: between two records. */
static bool is_whole(const legacy_builder *b, size_t size) {
    for (size_t i = 0; i < b->n_record; i++) {
        if (b->record_at[i] == size) {
            return true;
        }
    }
    return false;
}

/* Cut short at every byte (of data, at every seventh): only between two records it is a whole file,
 * of a model that lacks tensors, or of a vocabulary alone. */
static void truncated(void **state) {
    (void)state;
    legacy_builder files[4];
    files[0] = gpt2_file(QUANT_F16, 1);
    legacy_gptj(&files[1], QUANT_F16, 1);
    files[2] = llama_file(LEGACY_GGMF, 1, QUANT_F16);
    legacy_gptneox(&files[3], QUANT_F16, 1, false);
    for (size_t f = 0; f < COUNT_OF(files); f++) {
        legacy_builder *b = &files[f];
        for (size_t size = 0; size < b->image.count; size++) {
            if (size > b->tensors_at + 300 && size % 7 != 0 && !is_whole(b, size)) {
                continue;
            }
            sl_error error = {0};
            legacy_file parsed;
            uint8_t *copy = malloc(size ? size : 1); /* so that reads past it are seen */
            assert_non_null(copy);
            memcpy(copy, b->image.data, size);
            const sl_status status = legacy_ggml_parse(copy, size, &parsed, &error);
            if ((status == SL_OK) != is_whole(b, size)) {
                fail_msg("file %zu cut to %zu bytes: %s", f, size, error.message);
            }
            if (status == SL_OK) {
                legacy_ggml_free(&parsed);
            }
            free(copy);
        }
        legacy_free(b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gptj),        cmocka_unit_test(gptneox),
        cmocka_unit_test(gpt2),        cmocka_unit_test(llama),
        cmocka_unit_test(scores),      cmocka_unit_test(vocabulary_alone),
        cmocka_unit_test(columns),     cmocka_unit_test(too_old),
        cmocka_unit_test(relatives),   cmocka_unit_test(other_families),
        cmocka_unit_test(bad_headers), cmocka_unit_test(bad_records),
        cmocka_unit_test(truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
