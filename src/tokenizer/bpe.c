#include "tokenizer/bpe.h"

#include "base/error.h"
#include "base/limits.h"
#include "tokenizer/utf8.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- bytes as characters -------------------------------------------------------------------- */

/* GPT-2's bytes_to_unicode: bytes that are printable in Latin-1 stand for themselves, the others,
 * in order, for the code points from 256 on. */
#define BYTE_CODES 324u

static bool prints(unsigned byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

typedef struct byte_codes {
    uint16_t code[256];
    int16_t byte[BYTE_CODES]; /* -1: none */
} byte_codes;

static byte_codes make_byte_codes(void) {
    byte_codes codes;
    memset(codes.byte, 0xff, sizeof codes.byte);
    unsigned next = 256;
    for (unsigned byte = 0; byte < 256; byte++) {
        const unsigned code = prints(byte) ? byte : next++;
        codes.code[byte] = (uint16_t)code;
        codes.byte[code] = (int16_t)byte;
    }
    return codes;
}

static bool decode_text(const byte_codes *codes, str text, char *out, size_t *length) {
    *length = 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t code;
        const size_t n = utf8_decode(text.ptr + at, text.len - at, &code);
        if (n == 0 || code >= BYTE_CODES || codes->byte[code] < 0) {
            return false;
        }
        out[(*length)++] = (char)codes->byte[code];
        at += n;
    }
    return true;
}

bool bpe_decode_text(str text, char *out, size_t *length) {
    const byte_codes codes = make_byte_codes();
    return decode_text(&codes, text, out, length);
}

size_t bpe_encode_bytes(str bytes, char *out) {
    const byte_codes codes = make_byte_codes();
    size_t length = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        length += utf8_encode(codes.code[(unsigned char)bytes.ptr[i]], out + length);
    }
    return length;
}

void bpe_byte_order(uint8_t order[256]) {
    const byte_codes codes = make_byte_codes();
    size_t count = 0;
    for (unsigned code = 0; code < BYTE_CODES; code++) {
        if (codes.byte[code] >= 0) {
            order[count++] = (uint8_t)codes.byte[code];
        }
    }
}

/* ---- building ------------------------------------------------------------------------------- */

static void assign_bytes(bpe *b, const vocabulary *v) {
    const byte_codes codes = make_byte_codes();
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[4];
        const size_t length = utf8_encode(codes.code[byte], text);
        const int64_t token = vocabulary_find(v, (str){text, length});
        const bool usable = token >= 0 && vocabulary_is_plain(v, (size_t)token);
        b->symbols[byte] = (uint32_t)(usable ? (size_t)token : v->count + byte);
    }
}

typedef struct merge_line {
    size_t number;
    str text, left, right;
} merge_line;

static sl_status merge_error(const merge_line *line, const char *what, str name, sl_error *error) {
    return error_set(error, SL_ERR_FORMAT,
                     "metadata \"tokenizer.ggml.merges\": entry %zu (\"%.*s\"): %s%.*s",
                     line->number, STR_ARG(line->text), what, STR_ARG(name));
}

static sl_status split_line(merge_line *line, sl_error *error) {
    const char *space = line->text.len ? memchr(line->text.ptr, ' ', line->text.len) : NULL;
    const size_t at = space ? (size_t)(space - line->text.ptr) : line->text.len;
    line->left = (str){line->text.ptr, at};
    line->right = space ? (str){space + 1, line->text.len - at - 1} : (str){NULL, 0};
    if (line->left.len == 0 || line->right.len == 0 ||
        memchr(line->right.ptr, ' ', line->right.len)) {
        return merge_error(line, "expected two pieces with one space between them", (str){NULL, 0},
                           error);
    }
    if (line->left.len + line->right.len > LIMIT_TOKEN_BYTES) {
        return merge_error(line, "longer than any token", (str){NULL, 0}, error);
    }
    return SL_OK;
}

static sl_status add_merge(bpe *b, merge_table *merges, const vocabulary *v, const str *pieces,
                           const merge_line *line, char *scratch, sl_error *error) {
    memcpy(scratch, line->left.ptr, line->left.len);
    memcpy(scratch + line->left.len, line->right.ptr, line->right.len);
    const str whole = {scratch, line->left.len + line->right.len};
    const str names[] = {line->left, line->right, whole};
    int64_t tokens[3];
    for (size_t i = 0; i < 3; i++) {
        tokens[i] = vocabulary_find(v, names[i]);
        if (tokens[i] < 0) {
            return merge_error(line, i < 2 ? "no token: " : "merges into no token: ", names[i],
                               error);
        }
    }
    /* Plain text never becomes a control token, and user-defined ones are found before merging. */
    if (!vocabulary_is_plain(v, (size_t)tokens[2])) {
        return SL_OK;
    }
    const str left = pieces[tokens[0]], right = pieces[tokens[1]];
    const uint8_t first = (uint8_t)left.ptr[left.len - 1], second = (uint8_t)right.ptr[0];
    b->seams[first][second / 64] |= (uint64_t)1 << second % 64;
    merge_table_add(merges, (merge_pair){(uint32_t)tokens[0], (uint32_t)tokens[1],
                                         (uint32_t)line->number, (uint32_t)tokens[2]});
    return SL_OK;
}

static sl_status read_merges(bpe *b, merge_table *merges, const vocabulary *v, const str *pieces,
                             sl_error *error) {
    const meta_entry *lines;
    sl_status status =
        meta_get_array(v->file, "tokenizer.ggml.merges", true, META_STRING, &lines, error);
    if (status == SL_OK && lines->count > LIMIT_MERGES) {
        return error_set(error, SL_ERR_FORMAT,
                         "byte %" PRIu64 ": metadata \"tokenizer.ggml.merges\": expected at most "
                         "%u entries, found %" PRIu64,
                         lines->offset, LIMIT_MERGES, lines->count);
    }
    if (status == SL_OK) {
        const size_t count = (size_t)lines->count;
        status = merge_table_init(merges, count, count, v->index.key[0], error);
    }
    char *scratch = malloc(LIMIT_TOKEN_BYTES);
    if (status == SL_OK && !scratch) {
        status = error_memory(error, "merges", LIMIT_TOKEN_BYTES);
    }
    size_t cursor = 0;
    for (size_t i = 0; status == SL_OK && i < lines->count; i++) {
        merge_line line = {.number = i, .text = meta_array_string(v->file, lines, &cursor)};
        status = split_line(&line, error);
        status = status == SL_OK ? add_merge(b, merges, v, pieces, &line, scratch, error) : status;
    }
    free(scratch);
    return status;
}

/* Tokens that plain text may become, by their bytes. Those not written in byte characters are left
 * out: no word can be one. */
static sl_status index_words(bpe *b, const vocabulary *v, const str *pieces, sl_error *error) {
    const byte_codes codes = make_byte_codes();
    char *scratch = malloc(LIMIT_TOKEN_BYTES);
    b->words = malloc(v->count * sizeof *b->words);
    if (!scratch || !b->words) {
        free(scratch);
        return error_memory(error, "the vocabulary", v->count * sizeof *b->words);
    }
    for (size_t i = 0; i < v->count; i++) {
        size_t length;
        if (vocabulary_is_plain(v, i) && pieces[i].len > 0 &&
            decode_text(&codes, v->texts[i], scratch, &length)) {
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
