#include "tokenizer/wordpiece.h"

#include "base/error.h"
#include "base/size.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

#define MARK "\xe2\x96\x81"

/* ---- characters ----------------------------------------------------------------------------- */

static bool is_category(uint32_t code, utf8proc_category_t first, utf8proc_category_t last) {
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category >= first && category <= last;
}

/* Unicode's White_Space without its control characters, which are left out before. */
static bool is_space(uint32_t code) {
    return code == '\t' || code == '\n' || code == '\r' ||
           is_category(code, UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZP);
}

static bool is_left_out(uint32_t code) {
    return code == 0 || code == 0xfffd ||
           (!is_space(code) && is_category(code, UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CO));
}

static bool is_punctuation(uint32_t code) {
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') ||
           (code >= '[' && code <= '`') || (code >= '{' && code <= '~') ||
           is_category(code, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

/* BERT's "Chinese characters": the blocks of ideographs that there were. */
static bool is_ideograph(uint32_t code) {
    static const struct {
        uint32_t first, last;
    } blocks[] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df}, {0x2a700, 0x2b73f},
                  {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
    for (size_t i = 0; code >= 0x3400 && i < COUNT_OF(blocks); i++) {
        if (code >= blocks[i].first && code <= blocks[i].last) {
            return true;
        }
    }
    return false;
}

/* ---- building ------------------------------------------------------------------------------- */

bool wordpiece_is_marked(const vocabulary *v) {
    for (size_t i = 0; i < v->count; i++) {
        const str text = v->texts[i];
        if (vocabulary_is_plain(v, i) && text.len > 3 && memcmp(text.ptr, MARK, 3) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the text begins a word; *rest is what it matches there. */
static bool begins_word(str text, bool marked, str *rest) {
    const char *sign = marked ? MARK : "##";
    const size_t length = strlen(sign);
    const bool signed_ = text.len > length && memcmp(text.ptr, sign, length) == 0;
    *rest = signed_ ? (str){text.ptr + length, text.len - length} : text;
    return signed_ == marked;
}

size_t wordpiece_decode_text(str text, bool marked, char *out) {
    str rest;
    const size_t space = begins_word(text, marked, &rest) ? 1 : 0;
    out[0] = ' ';
    memcpy(out + space, rest.len ? rest.ptr : "", rest.len);
    return space + rest.len;
}

static bool has_capital(str text) {
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        const size_t length = utf8_decode(text.ptr + at, text.len - at, &code);
        if (length > 0 && is_category(code, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LU)) {
            return true;
        }
        at += length ? length : 1;
    }
    return false;
}

static sl_status read_rules(wordpiece *w, const vocabulary *v, sl_error *error) {
    w->clean = w->ideographs = w->lower_case = true;
    for (size_t i = 0; i < v->count && w->lower_case; i++) {
        w->lower_case = !(vocabulary_is_plain(v, i) && has_capital(v->texts[i]));
    }
    sl_status status =
        meta_get_bool(v->file, "sluice.tokenizer.lowercase", false, &w->lower_case, error);
    w->strip_accents = w->lower_case;
    const struct {
        const char *key;
        bool *out;
    } rules[] = {{"sluice.tokenizer.strip_accents", &w->strip_accents},
                 {"sluice.tokenizer.clean_text", &w->clean},
                 {"sluice.tokenizer.ideographs", &w->ideographs}};
    for (size_t i = 0; status == SL_OK && i < COUNT_OF(rules); i++) {
        status = meta_get_bool(v->file, rules[i].key, false, rules[i].out, error);
    }
    return status;
}

static sl_status index_words(wordpiece_words *words, sl_error *error) {
    size_t first, twice; /* texts differ, and so does what is left without their signs */
    return name_index_build(&words->index, words->words, sizeof *words->words, words->count, &first,
                            &twice, error);
}

sl_status wordpiece_build(wordpiece *w, const vocabulary *v, const str *pieces, sl_error *error) {
    if (v->unknown < 0) {
        return error_set(error, SL_ERR_FORMAT,
                         "the vocabulary has no unknown token: neither \"[UNK]\" nor "
                         "tokenizer.ggml.unknown_token_id");
    }
    w->unknown = (uint32_t)v->unknown;
    w->marked = wordpiece_is_marked(v);
    w->begin.words = malloc(v->count * sizeof *w->begin.words);
    w->inner.words = malloc(v->count * sizeof *w->inner.words);
    if (!w->begin.words || !w->inner.words) {
        return error_memory(error, "the vocabulary", 2 * v->count * sizeof *w->begin.words);
    }
    for (size_t i = 0; i < v->count; i++) {
        str rest;
        const bool begins = begins_word(v->texts[i], w->marked, &rest);
        if (!vocabulary_is_plain(v, i) || rest.len == 0) {
            continue;
        }
        wordpiece_words *words = begins ? &w->begin : &w->inner;
        const str text = {pieces[i].ptr + pieces[i].len - rest.len, rest.len};
        words->words[words->count++] = (wordpiece_word){text, (uint32_t)i};
        w->longest = size_max(w->longest, rest.len);
    }
    sl_status status = read_rules(w, v, error);
    status = status == SL_OK ? index_words(&w->begin, error) : status;
    return status == SL_OK ? index_words(&w->inner, error) : status;
}

void wordpiece_free(wordpiece *w) {
    free(w->begin.words);
    free(w->inner.words);
    name_index_free(&w->begin.index);
    name_index_free(&w->inner.index);
    *w = (wordpiece){0};
}

size_t wordpiece_bytes(const wordpiece *w) {
    return (w->begin.count + w->inner.count) * sizeof *w->begin.words +
           w->begin.index.size * sizeof *w->begin.index.slots +
           w->inner.index.size * sizeof *w->inner.index.slots;
}

/* ---- encoding ------------------------------------------------------------------------------- */

/* The word at hand. */
typedef struct word {
    char bytes[4 * WORDPIECE_CHARACTERS];
    size_t ends[WORDPIECE_CHARACTERS + 1]; /* bytes of the first n characters */
    size_t count;                          /* characters; one more than fit: it is too long */
} word;

/* The token that matches the characters from..to, or false. */
static bool find(const wordpiece_words *words, const word *at, size_t from, size_t to,
                 uint32_t *token) {
    const str text = {at->bytes + at->ends[from], at->ends[to] - at->ends[from]};
    const size_t found = name_index_find(&words->index, words->words, sizeof *words->words, text);
    if (found != NAME_INDEX_NONE) {
        *token = words->words[found].token;
    }
    return found != NAME_INDEX_NONE;
}

static sl_status finish_word(const wordpiece *w, encoder *e, word *at) {
    uint32_t tokens[WORDPIECE_CHARACTERS];
    size_t count = 0, from = 0;
    const size_t characters = at->count;
    at->count = 0;
    if (characters == 0) {
        return SL_OK;
    }
    while (characters <= WORDPIECE_CHARACTERS && from < characters) {
        size_t to = characters;
        while (to > from && (at->ends[to] - at->ends[from] > w->longest ||
                             !find(from ? &w->inner : &w->begin, at, from, to, &tokens[count]))) {
            to--;
        }
        if (to == from) {
            break;
        }
        count++;
        from = to;
    }
    return from < characters ? encoder_put(e, &w->unknown, 1) : encoder_put(e, tokens, count);
}

static void append(word *at, uint32_t code) {
    if (at->count < WORDPIECE_CHARACTERS) {
        at->ends[at->count + 1] =
            at->ends[at->count] + utf8_encode(code, at->bytes + at->ends[at->count]);
    }
    at->count += at->count <= WORDPIECE_CHARACTERS;
}

/* A character behind all rules but the last. */
static sl_status add(const wordpiece *w, encoder *e, word *at, uint32_t code) {
    const bool space = is_space(code) || (code >= 0x0b && code <= 0x0c) || code == 0x85;
    const bool alone = !space && is_punctuation(code);
    if (!space && !alone) {
        append(at, code);
        return SL_OK;
    }
    sl_status status = finish_word(w, e, at);
    if (status == SL_OK && alone) {
        append(at, code);
        status = finish_word(w, e, at);
    }
    return status;
}

/* Small letters. U+0130 is the only one that becomes two characters. */
static sl_status add_small(const wordpiece *w, encoder *e, word *at, uint32_t code) {
    if (!w->lower_case) {
        return add(w, e, at, code);
    }
    const sl_status status =
        add(w, e, at, code == 0x130 ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)code));
    return status == SL_OK && code == 0x130 ? add(w, e, at, 0x307) : status;
}

/* Without accents. A character decomposes into at most four. */
static sl_status add_bare(const wordpiece *w, encoder *e, word *at, uint32_t code) {
    if (!w->strip_accents || code < 0x80) {
        return add_small(w, e, at, code);
    }
    utf8proc_int32_t parts[8];
    int last = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(
        (utf8proc_int32_t)code, parts, COUNT_OF(parts), UTF8PROC_DECOMPOSE, &last);
    sl_status status = SL_OK;
    for (utf8proc_ssize_t i = 0; i < count && status == SL_OK; i++) {
        if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN) {
            status = add_small(w, e, at, (uint32_t)parts[i]);
        }
    }
    return status;
}

static sl_status add_character(const wordpiece *w, encoder *e, word *at, uint32_t code) {
    if (w->clean && is_left_out(code)) {
        return SL_OK;
    }
    const bool alone = w->ideographs && is_ideograph(code);
    sl_status status = alone ? finish_word(w, e, at) : SL_OK;
    status = status == SL_OK ? add_bare(w, e, at, code) : status;
    return status == SL_OK && alone ? finish_word(w, e, at) : status;
}

sl_status wordpiece_encode(const wordpiece *w, encoder *e, str text) {
    word at = {.ends = {0}};
    sl_status status = SL_OK;
    for (size_t i = 0; i < text.len && status == SL_OK;) {
        uint32_t code;
        const size_t length = utf8_decode(text.ptr + i, text.len - i, &code);
        status = add_character(w, e, &at, length ? code : 0xfffd);
        i += length ? length : 1;
    }
    return status == SL_OK ? finish_word(w, e, &at) : status;
}
