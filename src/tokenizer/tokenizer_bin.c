#include "tokenizer/tokenizer_bin.h"

#include "base/limits.h"
#include "base/size.h"
#include "tokenizer/spm.h"
#include "tokenizer/vocabulary.h"

#include <stdlib.h>

#define KEY(name) "tokenizer.ggml." name

enum { HEAD = 4, ENTRY = 8 };

/* <unk>, <s> and </s> come first, whatever their texts say. */
static const char *const first_names[] = {"<unk>", "<s>", "</s>"};

typedef struct pieces {
    str *texts;
    float *scores;
    int32_t *types;
    char *bytes;
    size_t count, used;
} pieces;

/* The entry at *at, behind which *at stands then. False at the end, or if it is cut short. */
static bool next(const uint8_t *bytes, size_t size, size_t *at, float *score, str *text) {
    uint32_t length;
    if (size - *at < ENTRY) {
        return false;
    }
    memcpy(score, bytes + *at, sizeof *score);
    memcpy(&length, bytes + *at + 4, sizeof length);
    if (length > LIMIT_TOKEN_BYTES || length > size - *at - ENTRY) {
        return false;
    }
    *text = (str){(const char *)bytes + *at + ENTRY, length};
    *at += ENTRY + length;
    return true;
}

/* How many entries there are; 0 if they are not the whole file. */
static size_t count_entries(const uint8_t *bytes, size_t size) {
    size_t at = HEAD, count = 0;
    uint32_t longest, most = 0;
    float score;
    str text;
    if (size < HEAD) {
        return 0;
    }
    memcpy(&longest, bytes, sizeof longest);
    while (next(bytes, size, &at, &score, &text)) {
        most = text.len > most ? (uint32_t)text.len : most;
        count++;
    }
    const bool whole = at == size && most <= longest && count <= LIMIT_VOCABULARY;
    return whole && count > COUNT_OF(first_names) ? count : 0;
}

bool tokenizer_bin_detect(const uint8_t *bytes, size_t size) {
    return count_entries(bytes, size) > 0;
}

static void add_piece(pieces *p, size_t i, str text) {
    if (i < COUNT_OF(first_names)) {
        p->texts[i] = str_from(first_names[i]);
        p->types[i] = i == 0 ? TOKEN_UNKNOWN : TOKEN_CONTROL;
        return;
    }
    char *out = p->bytes + p->used;
    const size_t length = spm_marks_from_spaces(text, out);
    p->texts[i] = (str){out, length};
    p->types[i] = vocabulary_byte_value(text) >= 0 ? TOKEN_BYTE
                  : text.len > 0                   ? TOKEN_NORMAL
                                                   : TOKEN_UNUSED;
    p->used += length;
}

static void add_tables(tables *t, const pieces *p) {
    tables_string(t, KEY("model"), str_from("llama"));
    tables_strings(t, KEY("tokens"), p->texts, p->count);
    tables_floats(t, KEY("scores"), p->scores, p->count);
    tables_ints(t, KEY("token_type"), p->types, p->count);
    tables_u64(t, KEY("bos_token_id"), 1);
    tables_u64(t, KEY("eos_token_id"), 2);
    tables_u64(t, KEY("unknown_token_id"), 0);
}

void tokenizer_bin_add(tables *t, const uint8_t *bytes, size_t size) {
    pieces p = {.count = count_entries(bytes, size)};
    if (p.count == 0) {
        tables_fail(t, SL_ERR_FORMAT,
                    "expected a tokenizer.bin of llama2.c: the longest text's bytes, then for each "
                    "token a score, a length and a text, to the end of the file");
        return;
    }
    p.texts = calloc(p.count, sizeof *p.texts);
    p.scores = malloc(p.count * sizeof *p.scores);
    p.types = malloc(p.count * sizeof *p.types);
    p.bytes = malloc(SPM_MARK_BYTES * size);
    if (p.texts && p.scores && p.types && p.bytes) {
        size_t at = HEAD;
        str text;
        for (size_t i = 0; i < p.count && next(bytes, size, &at, &p.scores[i], &text); i++) {
            add_piece(&p, i, text);
        }
        add_tables(t, &p);
    } else {
        tables_fail(t, SL_ERR_MEMORY, "out of memory: a vocabulary of %zu tokens", p.count);
    }
    free(p.texts);
    free(p.scores);
    free(p.types);
    free(p.bytes);
}
