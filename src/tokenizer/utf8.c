#include "tokenizer/utf8.h"

#include <string.h>

size_t utf8_subpart(const char *p, size_t n, bool *open) {
    const uint8_t *b = (const uint8_t *)p;
    const size_t length = utf8_length_from(b[0]);
    *open = false;
    if (length == 0) {
        return 1;
    }
    size_t have = 1;
    while (have < n && have < length &&
           (have == 1 ? utf8_second_fits(b[0], b[1]) : (b[have] & 0xc0) == 0x80)) {
        have++;
    }
    *open = have == n && have < length;
    return have;
}

/* Most characters of three bytes: those whose second byte may be any continuation. */
static bool is_common_triple(const uint8_t *b) {
    return b[0] > 0xe0 && b[0] < 0xf0 && b[0] != 0xed && (b[1] & 0xc0) == 0x80 &&
           (b[2] & 0xc0) == 0x80;
}

size_t utf8_valid_prefix(const char *p, size_t n) {
    size_t at = 0;
    while (at < n) {
        if ((uint8_t)p[at] < 0x80) {
            uint64_t word = UINT64_MAX;
            if (n - at >= sizeof word) {
                memcpy(&word, p + at, sizeof word);
            }
            at += word & 0x8080808080808080u ? 1 : sizeof word;
            continue;
        }
        if (n - at >= 3 && is_common_triple((const uint8_t *)p + at)) {
            at += 3;
            continue;
        }
        uint32_t code;
        const size_t length = utf8_decode(p + at, n - at, &code);
        if (length == 0) {
            break;
        }
        at += length;
    }
    return at;
}

size_t utf8_encode(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}
