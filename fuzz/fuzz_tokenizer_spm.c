/* SentencePiece vocabularies of any pieces, scores and types, and any text. The input is a GGUF
 * file or: a byte of options, the number of pieces, the pieces (length and type, score, bytes), the
 * text. */
#include "fuzz_tokenizer.h"

#include <stdio.h>

enum { WITHOUT_SPACE = 1, WITHOUT_BYTES = 2, WITHOUT_UNKNOWN = 4, ADD_EOS = 8 };

typedef struct tables {
    fuzz_array tokens, scores, types, model, no, yes;
} tables;

static void add_token(tables *t, const char *text, size_t length, int32_t type, float score) {
    fuzz_put_string(&t->tokens, text, length);
    fuzz_put_number(&t->types, &type);
    fuzz_put_number(&t->scores, &score);
}

static void add_pieces(tables *t, fuzz_input *in) {
    for (size_t left = fuzz_byte(in) % 64; left > 0; left--) {
        const uint8_t shape = fuzz_byte(in);
        const int8_t score = (int8_t)fuzz_byte(in);
        char text[8 * 3];
        size_t length = 0;
        for (size_t i = 0; i < shape % 8; i++) {
            const uint8_t byte = fuzz_byte(in);
            if (byte == '_') {
                memcpy(text + length, "\xe2\x96\x81", 3);
                length += 3;
            } else {
                text[length++] = (char)byte;
            }
        }
        static const int32_t types[] = {1, 1, 1, 1, 1, 3, 4, 5};
        add_token(t, text, length, types[shape / 8 % 8], score);
    }
}

static void run(fuzz_input in) {
    static tables t;
    static fuzz_file f;
    memset(&t, 0, sizeof t);
    memset(&f, 0, sizeof f);
    const uint8_t options = fuzz_byte(&in);
    add_token(&t, "<unk>", 5, options & WITHOUT_UNKNOWN ? 1 : 2, 0);
    add_token(&t, "<s>", 3, 3, 0);
    add_token(&t, "</s>", 4, 3, 0);
    for (unsigned byte = 0; byte < (options & WITHOUT_BYTES ? 0x70u : 256u); byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        add_token(&t, text, 6, 6, 0);
    }
    add_pieces(&t, &in);
    fuzz_put_string(&t.model, "llama", 5);
    fuzz_put(&t.no, "", 1);
    fuzz_put(&t.yes, "\1", 1);
    fuzz_add(&f, "tokenizer.ggml.model", META_STRING, META_STRING, &t.model);
    fuzz_add(&f, "tokenizer.ggml.tokens", META_ARRAY, META_STRING, &t.tokens);
    fuzz_add(&f, "tokenizer.ggml.scores", META_ARRAY, META_F32, &t.scores);
    fuzz_add(&f, "tokenizer.ggml.token_type", META_ARRAY, META_I32, &t.types);
    fuzz_add(&f, "tokenizer.ggml.add_space_prefix", META_BOOL, META_BOOL,
             options & WITHOUT_SPACE ? &t.no : &t.yes);
    fuzz_add(&f, "tokenizer.ggml.add_eos_token", META_BOOL, META_BOOL,
             options & ADD_EOS ? &t.yes : &t.no);
    f.file.string_length_bytes = 8;
    f.file.meta = f.meta;
    sl_error error;
    tokenizer *made = NULL;
    fuzz_require(model_file_index(&f.file, &error) == SL_OK);
    if (tokenizer_create(&f.file, &made, &error) == SL_OK) {
        const bool lossless = !(options & (WITHOUT_BYTES | WITHOUT_SPACE));
        fuzz_text_through(made, (str){(const char *)in.data, in.size}, lossless);
    } else {
        fuzz_require(!made && error.message[0]);
    }
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
        fuzz_whole_file(in, str_from("<s> the  a\xc3\xa9\xff\xe2\x96\x81\n12's"));
    } else {
        run(in);
    }
    return 0;
}
