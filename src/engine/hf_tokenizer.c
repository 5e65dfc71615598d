#include "engine/hf_tokenizer.h"

#include "base/limits.h"
#include "os/os.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/tokenizer_json.h"

#include <stdlib.h>

/* What a folder may have of a vocabulary. */
typedef enum word_file {
    TOKENIZER_JSON,
    TOKENIZER_MODEL,
    VOCAB_JSON,
    MERGES_TXT,
    ADDED_TOKENS,
    CONFIG,
    SPECIAL_TOKENS,
    GENERATION,
    MODEL_CONFIG,
    CHAT_TEMPLATE,
    WORD_FILES,
} word_file;

static const char *const names[WORD_FILES] = {
    [TOKENIZER_JSON] = "tokenizer.json",
    [TOKENIZER_MODEL] = "tokenizer.model",
    [VOCAB_JSON] = "vocab.json",
    [MERGES_TXT] = "merges.txt",
    [ADDED_TOKENS] = "added_tokens.json",
    [CONFIG] = "tokenizer_config.json",
    [SPECIAL_TOKENS] = "special_tokens_map.json",
    [GENERATION] = "generation_config.json",
    [MODEL_CONFIG] = "config.json",
    [CHAT_TEMPLATE] = "chat_template.jinja",
};

typedef struct word_texts {
    uint8_t *bytes[WORD_FILES]; /* NULL: not there */
    size_t size[WORD_FILES];
} word_texts;

static str text_of(const word_texts *w, word_file which) {
    return (str){(const char *)w->bytes[which], w->size[which]};
}

/* A file that is not there is none; one that is there and cannot be read is a failure. */
static void read_file(tables *t, const char *directory, word_file which, word_texts *w) {
    const char *path = tables_text(t, "%s/%s", directory, names[which]);
    if (t->status == SL_OK && os_exists(path)) {
        sl_error inner = {0};
        const sl_status status =
            os_read_file(path, LIMIT_TOKENIZER_BYTES, &w->bytes[which], &w->size[which], &inner);
        if (status != SL_OK) {
            w->bytes[which] = NULL;
            tables_fail(t, status, "%s", inner.message);
        }
    }
}

static sl_status add_words(tables *t, const word_texts *w) {
    const tensor_entry *embedding = tables_find_tensor(t, "token_embd.weight");
    const tokenizer_json_files files = {
        .tokenizer = text_of(w, TOKENIZER_JSON),
        .config = text_of(w, CONFIG),
        .special_tokens = text_of(w, SPECIAL_TOKENS),
        .chat_template = text_of(w, CHAT_TEMPLATE),
        /* Before there were files for it, config.json had eos_token_id. */
        .generation = text_of(w, w->bytes[GENERATION] ? GENERATION : MODEL_CONFIG),
        .at_least = embedding ? (size_t)embedding->dims[1] : 0,
    };
    if (w->bytes[TOKENIZER_JSON]) {
        return tokenizer_json_read(&files, t);
    }
    if (w->bytes[TOKENIZER_MODEL]) {
        sentencepiece_add_rows(t, w->bytes[TOKENIZER_MODEL], w->size[TOKENIZER_MODEL],
                               files.at_least);
        return tokenizer_config_read(&files, t);
    }
    if (w->bytes[VOCAB_JSON] && w->bytes[MERGES_TXT]) {
        return vocab_merges_read(text_of(w, VOCAB_JSON), text_of(w, MERGES_TXT),
                                 text_of(w, ADDED_TOKENS), &files, t);
    }
    return SL_OK;
}

void hf_tokenizer_read(tables *t, const char *directory) {
    word_texts w = {0};
    for (int i = 0; i < WORD_FILES; i++) {
        read_file(t, directory, (word_file)i, &w);
    }
    sl_status status = t->status;
    if (status == SL_OK) {
        status = add_words(t, &w);
    }
    t->status = t->status == SL_OK ? status : t->status;
    for (int i = 0; i < WORD_FILES; i++) {
        free(w.bytes[i]);
    }
}
