#include "tokenizer/tokenizer.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "tokenizer/tokenizer_parts.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>

/* ---- making one ----------------------------------------------------------------------------- */

/* A piece of SentencePiece with its spaces; out has room for as many bytes as the text. */
static size_t spaces_from_marks(str text, char *out) {
    size_t length = 0;
    for (size_t i = 0; i < text.len;) {
        if (text.ptr[i] == '\xe2' && text.len - i >= 3 &&
            memcmp(text.ptr + i, "\xe2\x96\x81", 3) == 0) {
            out[length++] = ' ';
            i += 3;
        } else {
            out[length++] = text.ptr[i++];
        }
    }
    return length;
}

/* The bytes that token number i stands for; at most one more than its text has. */
static size_t write_piece(const tokenizer *t, const vocabulary *v, size_t i, char *out) {
    const str text = v->texts[i];
    const uint8_t type = v->types[i];
    if (type == TOKEN_BYTE) {
        out[0] = (char)vocabulary_byte_value(text);
        return 1;
    }
    if (t->kind == TOKENIZER_SPM && type != TOKEN_CONTROL && type != TOKEN_UNKNOWN) {
        return spaces_from_marks(text, out);
    }
    if (t->kind == TOKENIZER_WORDPIECE && vocabulary_is_plain(v, i)) {
        return wordpiece_decode_text(text, t->wordpiece.marked, out);
    }
    size_t length;
    if (t->kind == TOKENIZER_BPE && vocabulary_is_plain(v, i) &&
        bpe_decode_text(text, out, &length)) {
        return length;
    }
    memcpy(out, text.len ? text.ptr : "", text.len);
    return text.len;
}

static sl_status write_pieces(tokenizer *t, const vocabulary *v, sl_error *error) {
    size_t room = 1;
    for (size_t i = 0; i < v->count; i++) {
        room += v->texts[i].len + 1;
    }
    t->pieces = malloc(v->count * sizeof *t->pieces);
    t->piece_bytes = malloc(room);
    if (!t->pieces || !t->piece_bytes) {
        return error_memory(error, "the vocabulary", room + v->count * sizeof *t->pieces);
    }
    for (size_t i = 0; i < v->count; i++) {
        char *out = t->piece_bytes + t->piece_total;
        const size_t length = write_piece(t, v, i, out);
        t->pieces[i] = (str){out, length};
        t->piece_total += length;
        t->longest_piece = length > t->longest_piece ? length : t->longest_piece;
    }
    return SL_OK;
}

static sl_status find_specials(tokenizer *t, const vocabulary *v, sl_error *error) {
    special_source *sources = malloc(v->count * sizeof *sources);
    if (!sources) {
        return error_memory(error, "special tokens", v->count * sizeof *sources);
    }
    size_t count = 0;
    for (size_t i = 0; i < v->count; i++) {
        if (v->types[i] == TOKEN_USER_DEFINED) {
            sources[count++] =
                (special_source){v->texts[i], (uint32_t)i, t->kind == TOKENIZER_SPM && !t->literal};
        }
    }
    sl_status status = special_tokens_build(&t->user_defined, sources, count, error);
    for (size_t i = 0; i < v->count; i++) {
        if (v->types[i] == TOKEN_CONTROL || v->types[i] == TOKEN_UNKNOWN) {
            sources[count++] = (special_source){v->texts[i], (uint32_t)i, false};
        }
    }
    if (status == SL_OK) {
        status = special_tokens_build(&t->all_special, sources, count, error);
    }
    free(sources);
    return status;
}

/* Which kind of tokenizer, and for byte-level BPE its pre-tokenizer. */
static sl_status read_kind(tokenizer *t, const model_file *file, sl_error *error) {
    str model = {NULL, 0}, pre = str_from("default");
    sl_status status = meta_get_string(file, "tokenizer.ggml.model", true, &model, error);
    if (status != SL_OK) {
        return status;
    }
    static const char *const kinds[] = {
        [TOKENIZER_SPM] = "llama", [TOKENIZER_BPE] = "gpt2", [TOKENIZER_WORDPIECE] = "bert"};
    size_t kind = 0;
    while (kind < COUNT_OF(kinds) && !str_is(model, kinds[kind])) {
        kind++;
    }
    if (kind == COUNT_OF(kinds)) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "metadata \"tokenizer.ggml.model\": unknown tokenizer \"%.*s\" (known: "
                         "llama, gpt2, bert)",
                         STR_ARG(model));
    }
    t->kind = (tokenizer_kind)kind;
    if (t->kind != TOKENIZER_BPE) {
        return SL_OK;
    }
    bool found = false;
    status = translated_patterns(&t->bpe.pre, file, &found, error);
    if (status != SL_OK || found) {
        return status;
    }
    status = meta_get_string(file, "tokenizer.ggml.pre", false, &pre, error);
    return status == SL_OK ? pretokenizer_create(&t->bpe.pre, pre, error) : status;
}

static sl_status build_part(tokenizer *t, const vocabulary *v, sl_error *error) {
    if (t->kind == TOKENIZER_BPE) {
        return bpe_build(&t->bpe, &t->merges, v, t->pieces, error);
    }
    if (t->kind == TOKENIZER_WORDPIECE) {
        return wordpiece_build(&t->wordpiece, v, t->pieces, error);
    }
    bool add_space = true;
    const sl_status status =
        meta_get_bool(v->file, "tokenizer.ggml.add_space_prefix", false, &add_space, error);
    return status == SL_OK ? spm_build(&t->spm, &t->merges, v, add_space, error) : status;
}

static sl_status build(tokenizer *t, vocabulary *v, const model_file *file, sl_error *error) {
    sl_status status = read_kind(t, file, error);
    if (status == SL_OK) {
        const vocabulary_defaults defaults = {.sentencepiece = t->kind == TOKENIZER_SPM,
                                              .wordpiece = t->kind == TOKENIZER_WORDPIECE,
                                              .add_bos =
                                                  t->kind != TOKENIZER_BPE || t->bpe.pre.add_bos,
                                              .add_eos = t->kind == TOKENIZER_WORDPIECE};
        status = vocabulary_read(v, file, &defaults, error);
    }
    if (status == SL_OK && t->kind == TOKENIZER_WORDPIECE) {
        t->wordpiece.marked = wordpiece_is_marked(v);
    }
    status = status == SL_OK ? translated_read(t, v, error) : status;
    status = status == SL_OK ? write_pieces(t, v, error) : status;
    status = status == SL_OK ? find_specials(t, v, error) : status;
    return status == SL_OK ? build_part(t, v, error) : status;
}

sl_status tokenizer_create(const model_file *file, tokenizer **out, sl_error *error) {
    tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        return error_memory(error, "the tokenizer", sizeof *t);
    }
    vocabulary v = {0};
    const sl_status status = build(t, &v, file, error);
    if (status == SL_OK) {
        t->count = v.count;
        t->types = v.types;
        t->ends = v.ends;
        v.types = NULL;
        v.ends = NULL;
        t->bos = v.bos;
        t->eos = v.eos;
        t->add_bos = v.add_bos;
        t->add_eos = v.add_eos;
        *out = t;
    } else {
        tokenizer_free(t);
    }
    vocabulary_free(&v);
    return status;
}

void tokenizer_free(tokenizer *t) {
    if (!t) {
        return;
    }
    spm_free(&t->spm);
    bpe_free(&t->bpe);
    wordpiece_free(&t->wordpiece);
    merge_table_free(&t->merges);
    special_tokens_free(&t->user_defined);
    special_tokens_free(&t->all_special);
    free(t->types);
    free(t->ends);
    free(t->strips);
    free(t->pieces);
    free(t->piece_bytes);
    free(t);
}

/* ---- asking --------------------------------------------------------------------------------- */

static bool exists(const tokenizer *t, int32_t token) {
    return token >= 0 && (size_t)token < t->count;
}

size_t tokenizer_count(const tokenizer *t) {
    return t->count;
}

int32_t tokenizer_bos(const tokenizer *t) {
    return t->bos;
}

int32_t tokenizer_eos(const tokenizer *t) {
    return t->eos;
}

bool tokenizer_is_end(const tokenizer *t, int32_t token) {
    return exists(t, token) && t->ends[token];
}

bool tokenizer_is_control(const tokenizer *t, int32_t token) {
    return exists(t, token) &&
           (t->types[token] == TOKEN_CONTROL || t->types[token] == TOKEN_UNKNOWN);
}

bool tokenizer_adds_space(const tokenizer *t) {
    return t->kind == TOKENIZER_SPM && t->spm.add_space;
}

bool tokenizer_drops_space(const tokenizer *t) {
    return tokenizer_adds_space(t) || t->kind == TOKENIZER_WORDPIECE;
}

size_t tokenizer_bytes(const tokenizer *t) {
    return sizeof *t + (t->strips ? t->count : 0) +
           t->count * (sizeof *t->types + sizeof *t->ends + sizeof *t->pieces) + t->piece_total +
           special_tokens_bytes(&t->user_defined) + special_tokens_bytes(&t->all_special) +
           merge_table_bytes(&t->merges) + spm_bytes(&t->spm) + bpe_bytes(&t->bpe) +
           wordpiece_bytes(&t->wordpiece);
}

size_t tokenizer_work_bytes(const tokenizer *t) {
    return WORD_CACHE_ENTRIES * sizeof(word_cache_entry) + merge_queue_bytes(t->merges.rank_count) +
           ENCODER_SYMBOLS * ENCODER_SYMBOL_BYTES + ENCODER_MATCHES * ENCODER_MATCH_BYTES +
           (t->normalizer.form || t->normalizer.add_space ? 3 * ENCODER_NORMAL_BYTES : 0);
}

str tokenizer_piece(const tokenizer *t, int32_t token, bool special) {
    if (!exists(t, token) || (!special && tokenizer_is_control(t, token))) {
        return (str){"", 0};
    }
    return t->pieces[token];
}

size_t tokenizer_longest_piece(const tokenizer *t) {
    return t->longest_piece;
}

/* Whether positions of special tokens count the space that is put before a text. */
static bool counts_space(const tokenizer *t) {
    return tokenizer_adds_space(t) && !t->literal;
}

/* ---- encoding ------------------------------------------------------------------------------- */

static sl_status encode_plain(const tokenizer *t, encoder *e, str text, bool space) {
    if (t->kind == TOKENIZER_WORDPIECE) {
        return wordpiece_encode(&t->wordpiece, e, text);
    }
    if (t->kind == TOKENIZER_SPM) {
        const bool has_one =
            text.len > 0 &&
            (text.ptr[0] == ' ' || (text.len >= 3 && !memcmp(text.ptr, "\xe2\x96\x81", 3)));
        return spm_encode(&t->spm, e, text, space && !(t->space_if_none && has_one));
    }
    const sl_status status =
        normalizer_apply(&t->normalizer, text, &e->normalized, &text, e->error);
    return status == SL_OK ? bpe_encode(&t->bpe, e, text) : status;
}

/* Unicode's White_Space. */
static bool is_white(uint32_t code) {
    return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

/* The bytes of white space that a text begins with. */
static size_t white_prefix(str text) {
    size_t at = 0;
    while (at < text.len) {
        uint32_t code;
        const size_t length = utf8_decode(text.ptr + at, text.len - at, &code);
        if (length == 0 || !is_white(code)) {
            break;
        }
        at += length;
    }
    return at;
}

/* The length of the text without the white space that it ends with. */
static size_t without_white_suffix(str text) {
    size_t kept = text.len;
    while (kept > 0) {
        size_t at = kept - 1;
        while (at > 0 && kept - at < 4 && ((uint8_t)text.ptr[at] & 0xc0) == 0x80) {
            at--;
        }
        uint32_t code;
        if (utf8_decode(text.ptr + at, kept - at, &code) != kept - at || !is_white(code)) {
            break;
        }
        kept = at;
    }
    return kept;
}

/* The text between special tokens, and these. Positions count the space that is put before a
 * SentencePiece text, as a user-defined token may begin with it, unless these are matched as they
 * are written. A control token begins a new text in this respect, a user-defined one only where
 * they are matched so. */
static sl_status encode_pieces(const tokenizer *t, encoder *e, str text,
                               const special_tokens *special, const array *matches) {
    const special_match *found = matches->items;
    const size_t in_front = counts_space(t) ? 1 : 0;
    const size_t end = text.len + in_front;
    size_t at = 0;
    bool space = tokenizer_adds_space(t); /* the next plain text gets a space before */
    for (size_t i = matches->count;; i--) {
        while (i > 0 && found[i - 1].start < at) {
            i--;
        }
        const size_t next = i > 0 ? found[i - 1].start : end;
        const size_t from = at > in_front ? at - in_front : 0;
        const special_pattern *pattern = i > 0 ? &special->patterns[found[i - 1].pattern] : NULL;
        const unsigned strips = pattern && t->strips ? t->strips[pattern->token] : 0;
        str plain = {text.ptr + from, next > at ? next - in_front - from : 0};
        if (strips & STRIP_LEFT) {
            plain.len = without_white_suffix(plain);
        }
        /* Before a user-defined token the space stands alone, before a control token not at all. */
        const bool alone =
            in_front && next > at && pattern && !tokenizer_is_control(t, (int32_t)pattern->token);
        if (plain.len > 0 || (space && alone)) {
            const sl_status status = encode_plain(t, e, plain, space);
            if (status != SL_OK) {
                return status;
            }
        }
        if (!pattern) {
            return SL_OK;
        }
        const sl_status status = encoder_put(e, &pattern->token, 1);
        if (status != SL_OK) {
            return status;
        }
        at = next + pattern->length;
        if (strips & STRIP_RIGHT && at >= in_front) {
            at += white_prefix((str){text.ptr + at - in_front, end - at});
        }
        space = tokenizer_adds_space(t) && !t->space_at_start &&
                (t->literal || tokenizer_is_control(t, (int32_t)pattern->token));
    }
}

/* A ceiling for what a text has one of for each byte, or one more. */
static size_t text_ceiling(uint64_t most) {
    return most < LIMIT_TEXT_BYTES + 1 ? (size_t)most : LIMIT_TEXT_BYTES + 1;
}

static sl_status encode_text(const tokenizer *t, encoder *e, str text, bool parse_special,
                             uint64_t room) {
    if (text.len >= ENCODER_CACHE_FROM) {
        /* Without it, it only takes longer. */
        e->cache = calloc(WORD_CACHE_ENTRIES, sizeof *e->cache);
    }
    sl_status status = t->kind == TOKENIZER_BPE
                           ? pretokenizer_match_create(&e->match, &t->bpe.pre, e->error)
                           : SL_OK;
    const special_tokens *special = parse_special ? &t->all_special : &t->user_defined;
    array matches = array_new(sizeof(special_match),
                              text_ceiling(room / ENCODER_MATCH_BYTES + ENCODER_MATCHES));
    if (status == SL_OK) {
        status = special_tokens_find(special, text, counts_space(t), &matches, e->error);
    }
    const uint64_t taken = (uint64_t)matches.count * ENCODER_MATCH_BYTES;
    room -= taken < room ? taken : room;
    if (t->normalizer.form || t->normalizer.add_space) {
        /* Growing, it may take three times what it holds. */
        e->normalized = array_new(1, (size_t)(room / 6 < 4ull * LIMIT_TEXT_BYTES
                                                  ? room / 6 + ENCODER_NORMAL_BYTES
                                                  : 4ull * LIMIT_TEXT_BYTES));
        room -= room / 2;
    }
    e->symbols.ceiling = text_ceiling(room / ENCODER_SYMBOL_BYTES + ENCODER_SYMBOLS);
    if (status == SL_OK) {
        status = encode_pieces(t, e, text, special, &matches);
    }
    array_free(&matches);
    pretokenizer_match_free(&e->match);
    merge_queue_free(&e->queue);
    array_free(&e->symbols);
    array_free(&e->normalized);
    free(e->cache);
    return status;
}

sl_status tokenizer_encode(const tokenizer *t, str text, unsigned flags, array *out,
                           sl_error *error) {
    return tokenizer_encode_within(t, text, flags, UINT64_MAX, out, error);
}

sl_status tokenizer_encode_within(const tokenizer *t, str text, unsigned flags, uint64_t room,
                                  array *out, sl_error *error) {
    if (text.len > LIMIT_TEXT_BYTES) {
        return error_set(error, SL_ERR_ARGUMENT, "a text of %zu bytes: at most %u are tokenized",
                         text.len, LIMIT_TEXT_BYTES);
    }
    const size_t before = out->count;
    encoder e = {.merges = &t->merges,
                 .vocabulary = t->count,
                 .out = out,
                 .symbols = array_new(sizeof(uint32_t), LIMIT_TEXT_BYTES + 1),
                 .error = error};
    sl_status status = SL_OK;
    if (flags & SL_TOKENIZE_BOS && t->add_bos) {
        status = encoder_put(&e, (const uint32_t *)&t->bos, 1);
    }
    if (status == SL_OK && text.len > 0) {
        status = encode_text(t, &e, text, flags & SL_TOKENIZE_SPECIAL, room);
    }
    if (status == SL_OK && flags & SL_TOKENIZE_BOS && t->add_eos) {
        status = encoder_put(&e, (const uint32_t *)&t->eos, 1);
    }
    if (status != SL_OK) {
        out->count = before;
    }
    return status;
}
