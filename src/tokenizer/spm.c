#include "tokenizer/spm.h"

#include "tokenizer/utf8.h"

#include <stdlib.h>

static bool is_seam(const spm *s, uint32_t first, uint32_t second) {
    if (second == ' ' && s->cut_spaces) {
        return false;
    }
    if (first < 128 && second < 128) {
        return s->ascii_seams[first][second / 64] >> second % 64 & 1;
    }
    return *spm_seam(s, spm_seam_key(first, second)) != 0;
}

static sl_status put_bytes(const spm *s, encoder *e, const char *bytes, size_t count) {
    uint32_t tokens[4];
    for (size_t i = 0; i < count; i++) {
        const int32_t token = s->bytes[(uint8_t)bytes[i]];
        if (token < 0) {
            /* Neighbours that are unknown become one unknown token, as SentencePiece does it. */
            const uint32_t unknown = (uint32_t)s->unknown;
            const bool joined = e->after_unknown && !s->unknowns_apart;
            const sl_status status = joined ? SL_OK : encoder_put(e, &unknown, 1);
            e->after_unknown = true;
            return status;
        }
        tokens[i] = (uint32_t)token;
    }
    return encoder_put(e, tokens, count);
}

static sl_status put_code(const spm *s, encoder *e, uint32_t code) {
    char bytes[4];
    return put_bytes(s, e, bytes, utf8_encode(code, bytes));
}

static sl_status put_odd(encoder *e, const void *part, uint32_t symbol) {
    const spm *s = part;
    return put_code(s, e, s->odd_codes[symbol - s->vocabulary]);
}

static sl_status finish(const spm *s, encoder *e, str word) {
    if (e->symbols.count == 0) {
        return SL_OK;
    }
    bool done = false;
    if (e->symbols.count > 1) {
        const sl_status status = encoder_recall(e, word, &done);
        if (done || status != SL_OK) {
            e->symbols.count = 0;
            return status;
        }
    }
    return encoder_finish_word(e, word, put_odd, s);
}

/* One character, or one byte that is part of none (length 0), after a word that has begun. */
static sl_status add_character(const spm *s, encoder *e, uint32_t code, size_t length,
                               const char *at) {
    if (length == 0) {
        return put_bytes(s, e, at, 1);
    }
    const uint32_t symbol = spm_symbol(s, code);
    return symbol == MERGE_NONE ? put_code(s, e, code) : encoder_push(e, symbol);
}

sl_status spm_encode(const spm *s, encoder *e, str text, bool space) {
    sl_status status = space ? add_character(s, e, ' ', 1, " ") : SL_OK;
    /* The first word's text lacks the space put before, so that it is not to be remembered. */
    bool by_text = !space;
    size_t begin = 0;
    uint32_t before = ' ';
    for (size_t at = 0; at < text.len && status == SL_OK;) {
        uint32_t code = 0;
        const size_t length = utf8_decode(text.ptr + at, text.len - at, &code);
        code = spm_canonical(code);
        if (length == 0 || !is_seam(s, before, code)) {
            status = finish(s, e, (str){text.ptr + begin, by_text ? at - begin : 0});
            by_text = true;
            begin = at;
        }
        if (status == SL_OK) {
            status = add_character(s, e, code, length, text.ptr + at);
        }
        before = length ? code : UINT32_MAX; /* which no character is */
        at += length ? length : 1;
    }
    return status == SL_OK ? finish(s, e, (str){text.ptr + begin, by_text ? text.len - begin : 0})
                           : status;
}
