#include "models/gguf_words.h"

#include "base/error.h"
#include "base/size.h"
#include "tokenizer/bpe.h"
#include "tokenizer/merge_lines.h"
#include "tokenizer/vocabulary.h"

#include <stdlib.h>

static bool is_set(const model_file *file, const char *key, tables *more) {
    bool set = false;
    if (more->status == SL_OK) {
        more->status = meta_get_bool(file, key, false, &set, more->error);
    }
    return set;
}

/* ---- scores from merges --------------------------------------------------------------------- */

typedef struct score_list {
    float *scores;
    bool *seen;
} score_list;

/* The first merge that makes a token is its best. */
static void note_line(void *user, const merge_line *line) {
    const score_list *list = user;
    const uint32_t token = line->tokens[2];
    if (!list->seen[token]) {
        list->seen[token] = true;
        list->scores[token] = -(float)line->number;
    }
}

/* Two neighbours merge sooner the higher the score of what they become: the merge's rank, negative.
 * What no merge makes comes after all of them. */
static void add_scores(const model_file *file, tables *more) {
    vocabulary v = {0};
    size_t count = 0;
    const vocabulary_defaults defaults = {.sentencepiece = true};
    sl_status status = vocabulary_read(&v, file, &defaults, more->error);
    status = status == SL_OK ? merge_lines_count(&v, &count, more->error) : status;
    score_list list = {malloc((v.count + 1) * sizeof(float)), calloc(v.count + 1, sizeof(bool))};
    if (status == SL_OK && (!list.scores || !list.seen)) {
        status = error_memory(more->error, "scores", v.count * sizeof(float));
    }
    for (size_t i = 0; status == SL_OK && i < v.count; i++) {
        list.scores[i] = vocabulary_is_plain(&v, i) ? -(float)count : 0;
    }
    status = status == SL_OK ? merge_lines_read(&v, note_line, &list, more->error) : status;
    if (status == SL_OK) {
        tables_floats(more, "tokenizer.ggml.scores", list.scores, v.count);
    } else {
        more->status = status;
    }
    free(list.scores);
    free(list.seen);
    vocabulary_free(&v);
}

/* ---- merges from the order of tokens -------------------------------------------------------- */

/* Longer tokens would take long to take apart, and there are none. */
enum { LONGEST = 1024 };

/* A token's text, cut into what it is merged from. */
typedef struct parts {
    str text;
    size_t ends[LONGEST]; /* of each part */
    size_t count;
} parts;

static size_t start_of(const parts *p, size_t i) {
    return i ? p->ends[i - 1] : 0;
}

/* Every character is a byte of the token. */
static void cut_characters(parts *p) {
    p->count = 0;
    for (size_t i = 1; i <= p->text.len; i++) {
        if (i == p->text.len || ((unsigned char)p->text.ptr[i] & 0xc0) != 0x80) {
            p->ends[p->count++] = i;
        }
    }
}

/* Merges the two neighbours that become the lowest token below `limit`; false if there are none. */
static bool merge_once(const vocabulary *v, parts *p, int64_t limit) {
    size_t best = 0;
    int64_t lowest = limit;
    for (size_t i = 0; i + 1 < p->count; i++) {
        const size_t from = start_of(p, i);
        const int64_t token = vocabulary_find(v, (str){p->text.ptr + from, p->ends[i + 1] - from});
        if (token >= 0 && token < lowest && vocabulary_is_plain(v, (size_t)token)) {
            lowest = token;
            best = i;
        }
    }
    if (lowest == limit) {
        return false;
    }
    memmove(p->ends + best, p->ends + best + 1, (p->count - best - 1) * sizeof *p->ends);
    p->count--;
    return true;
}

/* "left right", the last merge that makes the token; empty if it is made of none. */
static str last_merge(const vocabulary *v, size_t token, parts *p, tables *more) {
    char decoded[LONGEST];
    size_t length;
    p->text = v->texts[token];
    if (!vocabulary_is_plain(v, token) || p->text.len < 2 || p->text.len > LONGEST ||
        !bpe_decode_text(p->text, decoded, &length)) {
        return (str){"", 0};
    }
    cut_characters(p);
    while (p->count > 2 && merge_once(v, p, (int64_t)token)) {
    }
    char *line = p->count == 2 ? tables_room(more, p->text.len + 1) : NULL;
    if (!line) {
        return (str){"", 0};
    }
    const size_t left = p->ends[0];
    memcpy(line, p->text.ptr, left);
    line[left] = ' ';
    memcpy(line + left + 1, p->text.ptr + left, p->text.len - left);
    return (str){line, p->text.len + 1};
}

static void add_merges(const model_file *file, tables *more) {
    vocabulary v = {0};
    size_t count = 0;
    const vocabulary_defaults defaults = {0};
    more->status = vocabulary_read(&v, file, &defaults, more->error);
    str *lines = more->status == SL_OK ? malloc((v.count + 1) * sizeof *lines) : NULL;
    parts *p = more->status == SL_OK ? malloc(sizeof *p) : NULL;
    if (more->status == SL_OK && (!lines || !p)) {
        more->status = error_memory(more->error, "merges", v.count * sizeof *lines);
    }
    for (size_t i = 0; more->status == SL_OK && i < v.count; i++) {
        lines[count] = last_merge(&v, i, p, more);
        count += lines[count].len > 0;
    }
    tables_strings(more, "tokenizer.ggml.merges", lines, count);
    free(lines);
    free(p);
    vocabulary_free(&v);
}

/* ---- rotary factors ------------------------------------------------------------------------- */

static void add_factors(const model_file *file, const char *key, const char *name, tables *more) {
    const meta_entry *factors = meta_find(file, key);
    if (factors && factors->element_type == META_F32 && factors->count > 0) {
        tables_tensor(more, name, QUANT_F32, 1, &factors->count, factors->data);
    }
}

void gguf_words_add(const model_file *file, tables *more) {
    if (is_set(file, "sluice.tokenizer.by_merges", more)) {
        add_scores(file, more);
    }
    if (is_set(file, "sluice.tokenizer.ranks", more)) {
        add_merges(file, more);
    }
    add_factors(file, "sluice.rope_factors_short", "rope_factors_short.weight", more);
    add_factors(file, "sluice.rope_factors_long", "rope_factors_long.weight", more);
}
