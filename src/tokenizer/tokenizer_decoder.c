/* The streaming decoder: token after token in, whole characters of valid UTF-8 out. */
#include "base/error.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>

/* A character of four bytes lacks at least one. */
#define HELD_MAX 3u

struct tokenizer_decoder {
    const tokenizer *t;
    bool special;
    bool at_start; /* no text piece yet: a space that comes first is the encoder's */
    size_t held;   /* bytes that begin a character, at the start of `in` */
    char *in;      /* HELD_MAX + the longest piece */
    char *out;     /* three times that: each byte may become U+FFFD */
};

sl_status tokenizer_decoder_create(const tokenizer *t, bool special, tokenizer_decoder **out,
                                   sl_error *error) {
    const size_t room = HELD_MAX + tokenizer_longest_piece(t);
    tokenizer_decoder *d = calloc(1, sizeof *d);
    if (d) {
        *d = (tokenizer_decoder){t, special, true, 0, malloc(room), malloc(3 * room)};
    }
    if (!d || !d->in || !d->out) {
        tokenizer_decoder_free(d);
        return error_memory(error, "a decoder", sizeof *d + 4 * room);
    }
    *out = d;
    return SL_OK;
}

void tokenizer_decoder_free(tokenizer_decoder *d) {
    if (d) {
        free(d->in);
        free(d->out);
        free(d);
    }
}

/* Turns in[0..count) into text; what may still become a character is kept unless the stream ends.
 */
static str give(tokenizer_decoder *d, size_t count, bool ends) {
    size_t given = 0, at = 0;
    while (at < count) {
        const size_t valid = utf8_valid_prefix(d->in + at, count - at);
        memcpy(d->out + given, d->in + at, valid);
        given += valid;
        at += valid;
        if (at == count) {
            break;
        }
        bool open;
        const size_t length = utf8_subpart(d->in + at, count - at, &open);
        if (open && !ends) {
            break;
        }
        memcpy(d->out + given, UTF8_REPLACEMENT, 3);
        given += 3;
        at += length;
    }
    d->held = count - at;
    memmove(d->in, d->in + at, d->held);
    return (str){d->out, given};
}

str tokenizer_decoder_add(tokenizer_decoder *d, int32_t token) {
    str piece = tokenizer_piece(d->t, token, d->special);
    if (d->at_start && piece.len > 0 && !tokenizer_is_control(d->t, token)) {
        d->at_start = false;
        if (tokenizer_drops_space(d->t) && piece.ptr[0] == ' ') {
            piece.ptr++;
            piece.len--;
        }
    }
    memcpy(d->in + d->held, piece.ptr, piece.len);
    return give(d, d->held + piece.len, false);
}

str tokenizer_decoder_finish(tokenizer_decoder *d) {
    d->at_start = true;
    return give(d, d->held, true);
}
