/* utf8.h - UTF-8 as the Unicode Standard defines it (table 3-7): which bytes are well-formed, and
 * how many of those that are not belong together. */
#ifndef TOKENIZER_UTF8_H
#define TOKENIZER_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_MAX_CODE 0x10ffffu

/* The replacement character U+FFFD. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* The range of a character's second byte depends on its first: this shuts out overlong forms,
 * surrogates and code points over U+10FFFF. */
static inline bool utf8_second_fits(uint8_t first, uint8_t second) {
    const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high;
}

/* Bytes of a character that begins so; 0: none does. */
static inline size_t utf8_length_from(uint8_t first) {
    return first < 0x80                     ? 1
           : first >= 0xc2 && first <= 0xdf ? 2
           : first >= 0xe0 && first <= 0xef ? 3
           : first >= 0xf0 && first <= 0xf4 ? 4
                                            : 0;
}

/* Length of the well-formed character at p[0..n), n >= 1, with its code point in *code; 0 if there
 * is none, whether malformed or cut short. */
static inline size_t utf8_decode(const char *p, size_t n, uint32_t *code) {
    const uint8_t *b = (const uint8_t *)p;
    if (b[0] < 0x80) {
        *code = b[0];
        return 1;
    }
    const size_t length = utf8_length_from(b[0]);
    if (length == 0 || length > n || !utf8_second_fits(b[0], b[1])) {
        return 0;
    }
    uint32_t value = b[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (b[i] & 0x3f);
    }
    *code = value;
    return length;
}

/* Where utf8_decode gives 0: how many bytes one replacement character stands for, by the practice
 * of maximal subparts (section 3.9): the longest beginning of a well-formed character, or one byte.
 * *open: they reach the end of the text, and more bytes could complete them. */
size_t utf8_subpart(const char *p, size_t n, bool *open);

/* How many bytes from p on are well-formed. */
size_t utf8_valid_prefix(const char *p, size_t n);

/* Writes a code point up to UTF8_MAX_CODE; returns its length. */
size_t utf8_encode(uint32_t code, char out[4]);

#endif
