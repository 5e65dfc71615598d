#include "support/vocab_llama3.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN 128000u
#define SPECIAL 256u
#define BEGIN_OF_TEXT 128000u
#define END_OF_TEXT 128001u
#define EOT 128009u

/* The order in which Meta's tokenizer.py names them; what is between is reserved. */
static void name_special(size_t i, char out[48]) {
    static const struct {
        size_t at;
        const char *name;
    } named[] = {{0, "<|begin_of_text|>"},
                 {1, "<|end_of_text|>"},
                 {6, "<|start_header_id|>"},
                 {7, "<|end_header_id|>"},
                 {9, "<|eot_id|>"}};
    size_t before = 0;
    for (size_t k = 0; k < sizeof named / sizeof *named; k++) {
        if (named[k].at == i) {
            snprintf(out, 48, "%s", named[k].name);
            return;
        }
        before += named[k].at < i;
    }
    snprintf(out, 48, "<|reserved_special_token_%zu|>", i - before);
}

static json_t *read_tokens(const char *folder, const char *texts[PLAIN + SPECIAL]) {
    char path[512];
    snprintf(path, sizeof path, "%s/encoder.json", folder);
    json_t *tokens = json_load_file(path, JSON_ALLOW_NUL, NULL);
    const char *text;
    json_t *number;
    size_t found = 0;
    json_object_foreach(tokens, text, number) {
        const json_int_t id = json_integer_value(number);
        if (id >= 0 && id < PLAIN && !texts[id]) {
            texts[id] = text;
            found++;
        }
    }
    if (found != PLAIN) {
        json_decref(tokens);
        return NULL;
    }
    return tokens;
}

/* The file's lines, cut in place; the caller frees *text and the result. */
static const char **read_lines(const char *folder, char **text, size_t *count) {
    char path[512];
    snprintf(path, sizeof path, "%s/vocab.bpe", folder);
    FILE *file = fopen(path, "rb");
    if (!file) {
        return NULL;
    }
    fseek(file, 0, SEEK_END);
    const size_t size = (size_t)ftell(file);
    rewind(file);
    *text = malloc(size + 1);
    const char **lines = malloc((size / 4 + 1) * sizeof *lines); /* "a b\n" is the shortest */
    if (!*text || !lines || fread(*text, 1, size, file) != size) {
        abort();
    }
    fclose(file);
    (*text)[size] = 0;
    *count = 0;
    for (char *line = strtok(*text, "\n"); line; line = strtok(NULL, "\n")) {
        lines[(*count)++] = line;
    }
    return lines;
}

bool vocab_llama3_add(gguf_builder *b, const char *folder) {
    static const char *texts[PLAIN + SPECIAL];
    static char names[SPECIAL][48];
    static int32_t types[PLAIN + SPECIAL];
    memset(texts, 0, sizeof texts);
    char *text = NULL;
    size_t count;
    const char **lines = read_lines(folder, &text, &count);
    json_t *tokens = lines ? read_tokens(folder, texts) : NULL;
    if (tokens) {
        for (size_t i = 0; i < PLAIN + SPECIAL; i++) {
            types[i] = i < PLAIN ? 1 : 3;
        }
        for (size_t i = 0; i < SPECIAL; i++) {
            name_special(i, names[i]);
            texts[PLAIN + i] = names[i];
        }
        gguf_builder_string(b, "tokenizer.ggml.model", "gpt2");
        gguf_builder_string(b, "tokenizer.ggml.pre", "llama-bpe");
        gguf_builder_strings(b, "tokenizer.ggml.tokens", texts, PLAIN + SPECIAL);
        gguf_builder_array(b, "tokenizer.ggml.token_type", META_I32, types, PLAIN + SPECIAL);
        gguf_builder_strings(b, "tokenizer.ggml.merges", lines, count);
        gguf_builder_u32(b, "tokenizer.ggml.bos_token_id", BEGIN_OF_TEXT);
        gguf_builder_u32(b, "tokenizer.ggml.eos_token_id", END_OF_TEXT);
        gguf_builder_u32(b, "tokenizer.ggml.eot_token_id", EOT);
    }
    json_decref(tokens);
    free(lines);
    free(text);
    return tokens;
}
