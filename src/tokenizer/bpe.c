#include "tokenizer/bpe.h"

#include "base/error.h"
#include "base/limits.h"
#include "tokenizer/merge_lines.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>

/* ---- bytes as characters -------------------------------------------------------------------- */

/* GPT-2's bytes_to_unicode: bytes that are printable in Latin-1 stand for themselves, the others,
 * in order, for the code points from 256 on: 0x00 to 0x20, 0x7f to 0xa0, and 0xad. */
enum {
    BYTE_CODES = 324,
    LOW_CODE = 256,                        /* 0x00's */
    HIGH_CODE = LOW_CODE + 0x21,           /* 0x7f's */
    HYPHEN_CODE = HIGH_CODE + 0xa1 - 0x7f, /* 0xad's, the soft hyphen */
};

static bool prints(unsigned byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

static uint32_t code_of_byte(unsigned byte) {
    return prints(byte)   ? byte
           : byte <= 0x20 ? LOW_CODE + byte
           : byte <= 0xa0 ? HIGH_CODE + byte - 0x7f
                          : HYPHEN_CODE;
}

/* -1: the character stands for none. */
static int byte_of_code(uint32_t code) {
    return code < LOW_CODE      ? (prints(code) ? (int)code : -1)
           : code < HIGH_CODE   ? (int)(code - LOW_CODE)
           : code < HYPHEN_CODE ? (int)(code - HIGH_CODE + 0x7f)
           : code < BYTE_CODES  ? 0xad
                                : -1;
}

bool bpe_decode_text(str text, char *out, size_t *length) {
    size_t written = 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        const size_t n = utf8_decode(text.ptr + at, text.len - at, &code);
        const int byte = n ? byte_of_code(code) : -1;
        if (byte < 0) {
            return false;
        }
        out[written++] = (char)byte;
        at += n;
    }
    *length = written;
    return true;
}

size_t bpe_encode_bytes(str bytes, char *out) {
    size_t length = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        length += utf8_encode(code_of_byte((unsigned char)bytes.ptr[i]), out + length);
    }
    return length;
}

void bpe_byte_order(uint8_t order[256]) {
    size_t count = 0;
    for (uint32_t code = 0; code < BYTE_CODES; code++) {
        const int byte = byte_of_code(code);
        if (byte >= 0) {
            order[count++] = (uint8_t)byte;
        }
    }
}

/* ---- building ------------------------------------------------------------------------------- */

static void assign_bytes(bpe *b, const vocabulary *v) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[4];
        const size_t length = utf8_encode(code_of_byte(byte), text);
        const int64_t token = vocabulary_find(v, (str){text, length});
        const bool usable = token >= 0 && vocabulary_is_plain(v, (size_t)token);
        b->symbols[byte] = (uint32_t)(usable ? (size_t)token : v->count + byte);
    }
}

typedef struct target {
    bpe *b;
    merge_table *merges;
    const str *pieces;
} target;

static void add_merge(void *user, const merge_line *line) {
    const target *t = user;
    const str left = t->pieces[line->tokens[0]], right = t->pieces[line->tokens[1]];
    const uint8_t first = (uint8_t)left.ptr[left.len - 1], second = (uint8_t)right.ptr[0];
    t->b->seams[first][second / 64] |= (uint64_t)1 << second % 64;
    merge_table_add(t->merges, (merge_pair){line->tokens[0], line->tokens[1],
                                            (uint32_t)line->number, line->tokens[2]});
}

static sl_status read_merges(bpe *b, merge_table *merges, const vocabulary *v, const str *pieces,
                             sl_error *error) {
    size_t count;
    target t = {b, merges, pieces};
    sl_status status = merge_lines_count(v, &count, error);
    status =
        status == SL_OK ? merge_table_init(merges, count, count, v->index.key[0], error) : status;
    status = status == SL_OK ? merge_lines_read(v, add_merge, &t, error) : status;
    merge_table_finish(merges);
    return status;
}

/* Tokens that plain text may become, by their bytes. Those not written in byte characters are left
 * out: no word can be one. */
static sl_status index_words(bpe *b, const vocabulary *v, const str *pieces, sl_error *error) {
    char *scratch = malloc(LIMIT_TOKEN_BYTES);
    b->words = malloc(v->count * sizeof *b->words);
    if (!scratch || !b->words) {
        free(scratch);
        return error_memory(error, "the vocabulary", v->count * sizeof *b->words);
    }
    for (size_t i = 0; i < v->count; i++) {
        size_t length;
        if (vocabulary_is_plain(v, i) && pieces[i].len > 0 &&
            bpe_decode_text(v->texts[i], scratch, &length)) {
            b->words[b->word_count++] = (bpe_word){pieces[i], (uint32_t)i};
            b->longest_word = length > b->longest_word ? length : b->longest_word;
        }
    }
    free(scratch);
    size_t first, twice; /* texts differ, so their bytes do */
    return name_index_build(&b->word_index, b->words, sizeof *b->words, b->word_count, &first,
                            &twice, error);
}

sl_status bpe_build(bpe *b, merge_table *merges, const vocabulary *v, const str *pieces,
                    sl_error *error) {
    b->vocabulary = v->count;
    b->unknown = v->unknown;
    assign_bytes(b, v);
    bool by_id = false;
    sl_status status = meta_get_bool(v->file, "sluice.tokenizer.ranks", false, &by_id, error);
    if (status == SL_OK) {
        status = (by_id ? bpe_add_ranks : read_merges)(b, merges, v, pieces, error);
    }
    return status == SL_OK && b->pre.whole_words ? index_words(b, v, pieces, error) : status;
}

void bpe_free(bpe *b) {
    pretokenizer_free(&b->pre);
    free(b->words);
    name_index_free(&b->word_index);
    *b = (bpe){0};
}

size_t bpe_bytes(const bpe *b) {
    return pretokenizer_bytes(&b->pre) + b->word_count * sizeof *b->words +
           b->word_index.size * sizeof *b->word_index.slots;
}

/* ---- encoding ------------------------------------------------------------------------------- */

static sl_status put_missing_byte(encoder *e, const void *part, uint32_t symbol) {
    const bpe *b = part;
    if (b->unknown < 0) {
        return error_set(e->error, SL_ERR_UNSUPPORTED,
                         "the text holds the byte 0x%02x, for which the vocabulary has no token",
                         (unsigned)(symbol - b->vocabulary));
    }
    const uint32_t unknown = (uint32_t)b->unknown;
    return encoder_put(e, &unknown, 1);
}

/* Cuts between bytes that no merge joins: what is between merges on its own, and is short even
 * where a word is not. */
static sl_status merge_bytes(const bpe *b, encoder *e, str word) {
    size_t begin = 0;
    for (size_t at = 0; at < word.len; at++) {
        const uint8_t byte = (uint8_t)word.ptr[at];
        sl_status status = encoder_push(e, b->symbols[byte]);
        const uint8_t next = at + 1 < word.len ? (uint8_t)word.ptr[at + 1] : 0;
        const bool joined = at + 1 < word.len && (b->seams[byte][next / 64] >> next % 64 & 1);
        if (status == SL_OK && !joined) {
            const bool whole = begin == 0 && at + 1 == word.len;
            status = encoder_finish_word(e, whole ? word : (str){NULL, 0}, put_missing_byte, b);
            begin = at + 1;
        }
        if (status != SL_OK) {
            return status;
        }
    }
    return SL_OK;
}

static sl_status encode_word(const bpe *b, encoder *e, str word) {
    bool done = false;
    if (word.len > 1) {
        const sl_status status = encoder_recall(e, word, &done);
        if (done || status != SL_OK) {
            return status;
        }
        if (word.len <= b->longest_word) {
            const size_t known = name_index_find(&b->word_index, b->words, sizeof *b->words, word);
            if (known != NAME_INDEX_NONE) {
                return encoder_put_word(e, word, b->words[known].token);
            }
        }
    }
    return merge_bytes(b, e, word);
}

sl_status bpe_encode(const bpe *b, encoder *e, str text) {
    for (size_t at = 0; at < text.len;) {
        const size_t valid = utf8_valid_prefix(text.ptr + at, text.len - at);
        pretokenizer_begin(&e->match, (str){text.ptr + at, valid});
        for (str word;;) {
            sl_status status = pretokenizer_next(&b->pre, &e->match, &word, e->error);
            if (status == SL_OK && word.len == 0) {
                break;
            }
            status = status == SL_OK ? encode_word(b, e, word) : status;
            if (status != SL_OK) {
                return status;
            }
        }
        at += valid;
        /* Bytes that are no characters make a word together, up to the next character. */
        const size_t begin = at;
        uint32_t code;
        while (at < text.len && utf8_decode(text.ptr + at, text.len - at, &code) == 0) {
            at++;
        }
        const sl_status status =
            at > begin ? encode_word(b, e, (str){text.ptr + begin, at - begin}) : SL_OK;
        if (status != SL_OK) {
            return status;
        }
    }
    return SL_OK;
}
