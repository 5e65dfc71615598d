/* Byte-level vocabularies of any merges, and any text. The input is a GGUF file or: a byte that
 * chooses the pre-tokenizer, the number of merges, the merges (the number of the left and of the
 * right token, the type of what they become), the text. */
#include "fuzz_tokenizer.h"

#define TOKENS_MAX (256u + 1u + 64u)
#define TEXT_MAX 64u

typedef struct vocabulary_text {
    char text[TEXT_MAX];
    size_t length;
} vocabulary_text;

typedef struct tables {
    vocabulary_text words[TOKENS_MAX];
    size_t count;
    fuzz_array tokens, types, merges, model, pre, end;
} tables;

/* GPT-2's bytes_to_unicode, all of whose characters have one or two bytes. */
static void add_byte(tables *t, unsigned byte) {
    unsigned code = 256;
    for (unsigned b = 0; b <= byte; b++) {
        const bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        code += !prints && b < byte;
        code = prints && b == byte ? byte : code;
    }
    vocabulary_text *word = &t->words[t->count++];
    word->length = utf8_encode(code, word->text);
}

/* Bytes 128 to 191, which begin no character, name what merges have made so far. */
static const vocabulary_text *name_token(const tables *t, uint8_t number) {
    const size_t made = (size_t)number + 128;
    return &t->words[number >= 128 && number < 192 && made < t->count ? made : number];
}

/* Two tokens become one, which may be there already; too long ones are left out. */
static void add_merge(tables *t, fuzz_input *in) {
    const vocabulary_text *left = name_token(t, fuzz_byte(in));
    const vocabulary_text *right = name_token(t, fuzz_byte(in));
    const int32_t type = fuzz_byte(in) % 16 == 0 ? 4 : 1;
    const size_t length = left->length + right->length;
    if (length > TEXT_MAX) {
        return;
    }
    char line[2 * TEXT_MAX + 1];
    memcpy(line, left->text, left->length);
    line[left->length] = ' ';
    memcpy(line + left->length + 1, right->text, right->length);
    fuzz_put_string(&t->merges, line, length + 1);
    vocabulary_text whole = {.length = length};
    memcpy(whole.text, left->text, left->length);
    memcpy(whole.text + left->length, right->text, right->length);
    for (size_t i = 0; i < t->count; i++) {
        if (t->words[i].length == length && memcmp(t->words[i].text, whole.text, length) == 0) {
            return;
        }
    }
    t->words[t->count++] = whole;
    fuzz_put_number(&t->types, &type);
}

static void run(fuzz_input in) {
    static const char *const names[] = {"gpt-2",  "llama-bpe",    "qwen2",       "starcoder",
                                        "falcon", "deepseek-llm", "deepseek-v3", "gpt-4o",
                                        "bloom",  "viking",       "tekken",      "bailingmoe"};
    static tables t;
    static fuzz_file f;
    memset(&t, 0, sizeof t);
    memset(&f, 0, sizeof f);
    const int32_t normal = 1, control = 3;
    const char *pre = names[fuzz_byte(&in) % COUNT_OF(names)];
    for (unsigned i = 0; i < 256; i++) {
        add_byte(&t, i);
        fuzz_put_number(&t.types, &normal);
    }
    for (size_t left = fuzz_byte(&in) % 64; left > 0; left--) {
        add_merge(&t, &in);
    }
    for (size_t i = 0; i < t.count; i++) {
        fuzz_put_string(&t.tokens, t.words[i].text, t.words[i].length);
    }
    fuzz_put_string(&t.tokens, "<|end|>", 7);
    fuzz_put_number(&t.types, &control);
    fuzz_put_string(&t.model, "gpt2", 4);
    fuzz_put_string(&t.pre, pre, strlen(pre));
    fuzz_put_number(&t.end, &(uint32_t){(uint32_t)t.count});
    fuzz_add(&f, "tokenizer.ggml.model", META_STRING, META_STRING, &t.model);
    fuzz_add(&f, "tokenizer.ggml.pre", META_STRING, META_STRING, &t.pre);
    fuzz_add(&f, "tokenizer.ggml.tokens", META_ARRAY, META_STRING, &t.tokens);
    fuzz_add(&f, "tokenizer.ggml.token_type", META_ARRAY, META_I32, &t.types);
    fuzz_add(&f, "tokenizer.ggml.merges", META_ARRAY, META_STRING, &t.merges);
    fuzz_add(&f, "tokenizer.ggml.eos_token_id", META_U32, META_U32, &t.end);
    fuzz_add(&f, "tokenizer.ggml.bos_token_id", META_U32, META_U32, &t.end);
    f.file.string_length_bytes = 8;
    f.file.meta = f.meta;
    sl_error error;
    tokenizer *made = NULL;
    fuzz_require(model_file_index(&f.file, &error) == SL_OK);
    fuzz_require(tokenizer_create(&f.file, &made, &error) == SL_OK);
    fuzz_text_through(made, (str){(const char *)in.data, in.size}, true);
    tokenizer_free(made);
    f.file.meta = NULL;
    model_file_free(&f.file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const fuzz_input in = {data, size};
    if (size > 4096) {
        return 0;
    }
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) {
        fuzz_whole_file(in, str_from("<|end|> the  a\xc3\xa9\xff\xe2\x96\x81\n12's"));
    } else {
        run(in);
    }
    return 0;
}
