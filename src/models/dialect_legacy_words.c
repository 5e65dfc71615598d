/* dialect_legacy_words.c - the vocabularies of ggml's first files, as GGUF has them.
 *
 * The GPTs' files hold each token's bytes, in the order of byte-level BPE's merges. Only
 * GPT-NeoX's writer took each token for a text of its own: what is no whole character became
 * U+FFFD, and the space before a full stop was lost. LLaMA's files hold the text of each piece,
 * spaces as spaces, and bytes as themselves. */
#include "base/error.h"
#include "base/size.h"
#include "models/dialect_legacy.h"
#include "tokenizer/bpe.h"
#include "tokenizer/spm.h"
#include "tokenizer/text_order.h"
#include "tokenizer/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY(name) "tokenizer.ggml." name

/* The score that LLaMA's writer gave to tokens added by hand. */
#define USER_SCORE (-1000.0f)

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

enum {
    FIRST_BYTE = 3, /* LLaMA's pieces: <unk>, <s>, </s>, the bytes, the rest by merges */
    FIRST_MERGED = 259,
    BYTE_NAME = 6, /* "<0x0A>" */
};

typedef struct words {
    const legacy_file *file;
    size_t count;
    str *raw;    /* each token's bytes */
    str *texts;  /* as GGUF has them */
    char *bytes; /* theirs */
    size_t used; /* of bytes */
    int32_t *types;
    uint32_t *order;  /* the tokens by their texts */
    char single[256]; /* bytes that were restored */
    size_t lost;      /* tokens whose text the file does not tell */
} words;

/* ---- memory --------------------------------------------------------------------------------- */

/* A byte becomes at most three: a space in LLaMA's pieces. Names of bytes and of <unk> take more,
 * once each. */
static bool allocate(words *w) {
    size_t room = 260 * (BYTE_NAME + 1);
    for (size_t i = 0; i < w->count; i++) {
        room += 3 * w->file->tokens[i].len + 3;
    }
    w->raw = malloc(w->count * sizeof *w->raw);
    w->texts = calloc(w->count, sizeof *w->texts);
    w->types = malloc(w->count * sizeof *w->types);
    w->order = malloc(w->count * sizeof *w->order);
    w->bytes = malloc(room);
    if (!w->raw || !w->texts || !w->types || !w->order || !w->bytes) {
        return false;
    }
    for (size_t i = 0; i < w->count; i++) {
        w->raw[i] = w->file->tokens[i];
        w->types[i] = TOKEN_NORMAL;
    }
    return true;
}

static void release(words *w) {
    free(w->raw);
    free(w->texts);
    free(w->types);
    free(w->order);
    free(w->bytes);
}

static void lose(words *w, size_t token) {
    w->texts[token] = (str){"", 0};
    w->types[token] = TOKEN_UNUSED;
    w->lost++;
}

/* ---- byte-level BPE ------------------------------------------------------------------------- */

/* Tokens that stand for no text. "<|...|>" is how GPT-2, GPT-J and GPT-NeoX write theirs. */
static bool is_control(str text) {
    static const char *const starcoder[] = {
        "<fim_prefix>",   "<fim_middle>",   "<fim_suffix>",     "<fim_pad>",      "<filename>",
        "<gh_stars>",     "<issue_start>",  "<issue_comment>",  "<issue_closed>", "<jupyter_start>",
        "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<empty_output>", "<commit_before>",
        "<commit_msg>",   "<commit_after>", "<reponame>"};
    if (text.len == 0 || text.ptr[0] != '<') {
        return false;
    }
    if (text.len > 4 && memcmp(text.ptr, "<|", 2) == 0 &&
        memcmp(text.ptr + text.len - 2, "|>", 2) == 0) {
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(starcoder); i++) {
        if (str_is(text, starcoder[i])) {
            return true;
        }
    }
    return false;
}

static int64_t find(const words *w, const str *texts, const char *text) {
    const str wanted = str_from(text);
    for (size_t i = 0; i < w->count; i++) {
        if (str_equal(texts[i], wanted)) {
            return (int64_t)i;
        }
    }
    return -1;
}

/* The 256 bytes are 256 tokens in a row, in the order that all trainers of such vocabularies use.
 * Those from 0x80 on are no characters, and GPT-NeoX's writer lost them. */
static void restore_bytes(words *w) {
    uint8_t order[256];
    bpe_byte_order(order);
    const int64_t first = find(w, w->raw, "!");
    if (first < 0 || (size_t)first + 256 > w->count) {
        return;
    }
    for (size_t i = 0; i < 256; i++) {
        const str raw = w->raw[(size_t)first + i];
        const bool same = raw.len == 1 && (uint8_t)raw.ptr[0] == order[i];
        if (!same && !(order[i] >= 0x80 && str_is(raw, replacement))) {
            return;
        }
        w->single[i] = (char)order[i];
    }
    for (size_t i = 0; i < 256; i++) {
        w->raw[(size_t)first + i] = (str){&w->single[i], 1};
    }
}

static bool contains(str text, const char *part) {
    const size_t length = strlen(part);
    for (size_t i = 0; i + length <= text.len; i++) {
        if (memcmp(text.ptr + i, part, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_spaces(str text) {
    size_t i = 0;
    while (i < text.len && text.ptr[i] == ' ') {
        i++;
    }
    return text.len > 1 && i == text.len;
}

static void write_bpe(words *w, size_t i) {
    if (w->raw[i].len == 0 ||
        (w->file->kind == LEGACY_GPTNEOX && contains(w->raw[i], replacement))) {
        lose(w, i);
        return;
    }
    if (w->types[i] != TOKEN_NORMAL) {
        w->texts[i] = w->raw[i];
        return;
    }
    char *out = w->bytes + w->used;
    const size_t length = bpe_encode_bytes(w->raw[i], out);
    w->texts[i] = (str){out, length};
    w->used += length;
}

static void make_bpe(words *w) {
    if (w->file->kind == LEGACY_GPTNEOX) {
        restore_bytes(w);
    }
    const int64_t end = find(w, w->raw, "<|endoftext|>");
    for (size_t i = 0; i < w->count; i++) {
        if (is_control(w->raw[i])) {
            w->types[i] = TOKEN_CONTROL;
        } else if (w->file->kind == LEGACY_GPTNEOX && is_spaces(w->raw[i]) && i > w->count / 2 &&
                   end == 0) {
            w->types[i] = TOKEN_USER_DEFINED; /* runs of spaces, added behind the merges */
        }
        write_bpe(w, i);
    }
}

/* ---- SentencePiece -------------------------------------------------------------------------- */

static bool has_bytes(const words *w) {
    if (w->count < FIRST_MERGED) {
        return false;
    }
    for (size_t i = 0; i < 256; i++) {
        const str raw = w->raw[FIRST_BYTE + i];
        if (raw.len != 1 || (uint8_t)raw.ptr[0] != i) {
            return false;
        }
    }
    return true;
}

static void put(words *w, size_t token, const char *text, size_t length) {
    memcpy(w->bytes + w->used, text, length);
    w->texts[token] = (str){w->bytes + w->used, length};
    w->used += length;
}

static void write_piece(words *w, size_t token) {
    char *const out = w->bytes + w->used;
    const size_t length = spm_marks_from_spaces(w->raw[token], out);
    w->texts[token] = (str){out, length};
    w->used += length;
}

/* The score that SentencePiece gives: what was merged sooner is better, by one for each number, and
 * runs of spaces are worse than all. */
static float rank_score(const words *w, size_t token) {
    const str raw = w->raw[token];
    return token < FIRST_MERGED                 ? 0
           : is_spaces(raw) || str_is(raw, " ") ? -1e9f
                                                : (float)FIRST_MERGED - (float)token;
}

static void make_pieces(words *w) {
    static const char *const names[FIRST_BYTE] = {"<unk>", "<s>", "</s>"};
    const bool bytes = has_bytes(w);
    for (size_t i = 0; i < w->count; i++) {
        if (i < FIRST_BYTE) {
            put(w, i, names[i], strlen(names[i]));
            w->types[i] = i == 0 ? TOKEN_UNKNOWN : TOKEN_CONTROL;
        } else if (bytes && i < FIRST_MERGED) {
            char name[BYTE_NAME + 1];
            snprintf(name, sizeof name, "<0x%02X>", (unsigned)(i - FIRST_BYTE));
            put(w, i, name, BYTE_NAME);
            w->types[i] = TOKEN_BYTE;
        } else if (w->raw[i].len == 0) {
            lose(w, i);
        } else {
            write_piece(w, i);
            const bool added = w->file->scores && w->file->scores[i] == USER_SCORE &&
                               rank_score(w, i) != USER_SCORE;
            w->types[i] = added ? TOKEN_USER_DEFINED : TOKEN_NORMAL;
        }
    }
}

/* What a file has no scores for is ranked by number: SentencePiece numbers by merges. */
static void add_scores(const words *w, tables *t) {
    float *made = NULL;
    const float *scores = w->file->scores;
    if (!scores) {
        made = malloc(w->count * sizeof *made);
        if (!made) {
            tables_fail(t, SL_ERR_MEMORY, "out of memory: the vocabulary's scores");
            return;
        }
        for (size_t i = 0; i < w->count; i++) {
            made[i] = rank_score(w, i);
        }
        scores = made;
    }
    tables_floats(t, KEY("scores"), scores, w->count);
    free(made);
}

/* ---- tokens alike --------------------------------------------------------------------------- */

/* GPT-NeoX's writer dropped the space before these. Of two tokens alike the later one had it. */
static bool restore_space(words *w, size_t token) {
    static const char *const spaced[] = {"\xc4\xa0.",  "\xc4\xa0,",  "\xc4\xa0!",   "\xc4\xa0?",
                                         "\xc4\xa0's", "\xc4\xa0'm", "\xc4\xa0've", "\xc4\xa0're",
                                         "\xc4\xa0n't"}; /* U+0120 is the space of such tokens */
    for (size_t i = 0; w->file->kind == LEGACY_GPTNEOX && i < COUNT_OF(spaced); i++) {
        if (str_is(w->texts[token], spaced[i] + 2) && find(w, w->texts, spaced[i]) < 0) {
            w->texts[token] = str_from(spaced[i]);
            return true;
        }
    }
    return false;
}

/* Of tokens alike, order[begin..end) in the order of their numbers, one keeps the text: the last if
 * it is a run of spaces that was added, else the first. Another may get back the space that it
 * lost; whether it does is the same for all, so only one is asked. */
static void settle_alike(words *w, size_t begin, size_t end) {
    const bool last_wins = w->types[w->order[end - 1]] == TOKEN_USER_DEFINED;
    const size_t keeper = last_wins ? end - 1 : begin;
    bool asked = false;
    for (size_t k = begin; k < end; k++) {
        if (k != keeper && (asked || !restore_space(w, w->order[k]))) {
            lose(w, w->order[k]);
        }
        asked = asked || k != keeper;
    }
}

/* A tokenizer wants each text once. Empty ones come first in the order. */
static void settle_duplicates(words *w, tables *t) {
    sl_error error = {0};
    const sl_status status = text_order(w->texts, w->count, false, w->order, &error);
    if (status != SL_OK) {
        tables_fail(t, status, "%s", error.message);
        return;
    }
    size_t begin = 0;
    while (begin < w->count && w->texts[w->order[begin]].len == 0) {
        begin++;
    }
    while (begin < w->count) {
        size_t end = begin + 1;
        while (end < w->count && str_equal(w->texts[w->order[end]], w->texts[w->order[begin]])) {
            end++;
        }
        if (end - begin > 1) {
            settle_alike(w, begin, end);
        }
        begin = end;
    }
}

/* ---- the tables ----------------------------------------------------------------------------- */

static void add_id(tables *t, const char *name, int64_t token) {
    if (token >= 0) {
        tables_u64(t, name, (uint64_t)token);
    }
}

static void add_bpe(words *w, tables *t) {
    const int64_t end = find(w, w->raw, "<|endoftext|>");
    const bool starcoder = find(w, w->raw, "<fim_prefix>") >= 0;
    tables_string(t, KEY("model"), str_from("gpt2"));
    tables_string(t, KEY("pre"), str_from(starcoder ? "starcoder" : "gpt-2"));
    tables_bool(t, "sluice.tokenizer.ranks", true);
    if (w->file->kind == LEGACY_GPTNEOX) { /* whose tokenizer composes characters first */
        tables_string(t, "sluice.tokenizer.normal_form", str_from("NFC"));
    }
    add_id(t, KEY("bos_token_id"), end);
    add_id(t, KEY("eos_token_id"), end);
    tables_bool(t, KEY("add_bos_token"), false);
}

static void add_spm(words *w, tables *t) {
    tables_string(t, KEY("model"), str_from("llama"));
    add_scores(w, t);
    tables_u64(t, KEY("bos_token_id"), 1);
    tables_u64(t, KEY("eos_token_id"), 2);
    tables_u64(t, KEY("unknown_token_id"), 0);
}

static void add_words(words *w, tables *t) {
    const bool pieces = w->file->kind == LEGACY_LLAMA;
    (pieces ? make_pieces : make_bpe)(w);
    const size_t unnamed = pieces ? w->lost : 0; /* LLaMA's empty pieces are meant so */
    settle_duplicates(w, t);
    (pieces ? add_spm : add_bpe)(w, t);
    tables_strings(t, KEY("tokens"), w->texts, w->count);
    tables_ints(t, KEY("token_type"), w->types, w->count);
    if (w->lost > unnamed) {
        const char *line = tables_text(
            t,
            "the file does not tell what %zu of %zu tokens stand for: they print as nothing, and "
            "texts with such characters may become other tokens than the model was trained with; "
            "--tokenizer names a file that knows",
            w->lost - unnamed, w->count);
        tables_string(t, "sluice.notice.words", str_from(line));
    }
}

void dialect_legacy_words(tables *t, const legacy_file *file) {
    words w = {.file = file, .count = file->n_vocab};
    if (file->kind == LEGACY_LLAMA && w.count <= FIRST_BYTE) {
        tables_fail(t, SL_ERR_FORMAT,
                    "expected a LLaMA vocabulary of more than %d tokens, found %zu", FIRST_BYTE,
                    w.count);
        return;
    }
    if (allocate(&w)) {
        add_words(&w, t);
    } else {
        tables_fail(t, SL_ERR_MEMORY, "out of memory: a vocabulary of %zu tokens", w.count);
    }
    release(&w);
}
