/* text.c - text.h. */
#include "cli/text.h"

#include "cli/cli.h"
#include "os/console/console.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the library takes at most. */
static const size_t longest_text = (size_t)1 << 30;

/* Decodes one UTF-8 character. Returns its bytes, 0 if they are not valid (RFC 3629). */
static size_t decode(const unsigned char *s, size_t length, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t size = s[0] < 0x80             ? 1
                        : (s[0] & 0xe0) == 0xc0 ? 2
                        : (s[0] & 0xf0) == 0xe0 ? 3
                        : (s[0] & 0xf8) == 0xf0 ? 4
                                                : 0;
    if (size == 0 || size > length) {
        return 0;
    }
    uint32_t c = size == 1 ? s[0] : s[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *code = c;
    return size;
}

size_t text_printable(const char *bytes, size_t length) {
    /* Controls, then marks and overrides of direction, separators, tags, the byte-order mark. */
    static const uint32_t hidden[][2] = {{0x00, 0x1f},     {0x7f, 0x9f},     {0x061c, 0x061c},
                                         {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
                                         {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
    uint32_t code;
    const size_t size = decode((const unsigned char *)bytes, length, &code);
    for (size_t i = 0; size > 0 && i < sizeof hidden / sizeof hidden[0]; i++) {
        if (code >= hidden[i][0] && code <= hidden[i][1]) {
            return 0;
        }
    }
    return size;
}

size_t text_escape_next(const char *bytes, size_t length, char quote, char *shown,
                        size_t *shown_length) {
    static const char named[] = "\nn\tt\rr\\\\";
    char *const out = shown + *shown_length;
    const char c = bytes[0];
    for (const char *pair = named; *pair; pair += 2) {
        if (c == pair[0]) {
            out[0] = '\\';
            out[1] = pair[1];
            *shown_length += 2;
            return 1;
        }
    }
    if (quote && c == quote) {
        out[0] = '\\';
        out[1] = c;
        *shown_length += 2;
        return 1;
    }
    const size_t size = text_printable(bytes, length);
    if (size == 0) {
        *shown_length += (size_t)sprintf(out, "\\x%02x", (unsigned char)c);
        return 1;
    }
    memcpy(out, bytes, size);
    *shown_length += size;
    return size;
}

static int hex_value(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

void text_unescape(text *t) {
    static const char named[] = "n\nt\tr\r\\\\\"\"''";
    size_t out = 0;
    for (size_t i = 0; i < t->length; i++) {
        char c = t->bytes[i];
        /* The NUL behind the text ends each look ahead. */
        if (c == '\\') {
            const char next = t->bytes[i + 1];
            for (const char *pair = named; *pair; pair += 2) {
                if (next == pair[0]) {
                    c = pair[1];
                    i++;
                    break;
                }
            }
            if (next == '0') {
                c = '\0';
                i++;
            } else if (next == 'x' && hex_value(t->bytes[i + 2]) >= 0 &&
                       hex_value(t->bytes[i + 3]) >= 0) {
                c = (char)(hex_value(t->bytes[i + 2]) * 16 + hex_value(t->bytes[i + 3]));
                i += 3;
            }
        }
        t->bytes[out++] = c;
    }
    t->bytes[out] = '\0';
    t->length = out;
}

bool text_copy(text *t, const char *bytes) {
    *t = (text){malloc(strlen(bytes) + 1), strlen(bytes)};
    if (!t->bytes) {
        message("out of memory: %zu bytes for a text", t->length + 1);
        return false;
    }
    memcpy(t->bytes, bytes, t->length + 1);
    return true;
}

/* Reads to the end of `file`. On failure errno says why, t->bytes is still to be freed. */
static bool read_all(FILE *file, text *t) {
    size_t capacity = 0;
    for (;;) {
        if (t->length + 1 >= capacity) {
            capacity = capacity ? 2 * capacity : (size_t)1 << 16;
            char *const grown = realloc(t->bytes, capacity);
            if (!grown) {
                errno = ENOMEM;
                return false;
            }
            t->bytes = grown;
        }
        errno = 0;
        const size_t size = fread(t->bytes + t->length, 1, capacity - t->length - 1, file);
        t->length += size;
        t->bytes[t->length] = '\0';
        if (t->length > longest_text) {
            errno = EFBIG;
            return false;
        }
        if (size == 0) {
            return !ferror(file);
        }
    }
}

int text_read(const char *path, text *t) {
    const bool standard = strcmp(path, "-") == 0;
    const char *const name = standard ? "standard input" : path;
    *t = (text){NULL, 0};
    FILE *const file = standard ? stdin : fopen(path, "rb");
    if (!file) {
        return usage_error("cannot open %s: %s", name, strerror(errno));
    }
    const bool whole = read_all(file, t);
    const int reason = errno;
    if (!standard) {
        fclose(file);
    }
    if (whole) {
        return CLI_DONE;
    }
    free(t->bytes);
    *t = (text){NULL, 0};
    if (console_interrupted()) {
        return interrupted();
    }
    if (reason == EFBIG) {
        return usage_error("%s: expected a text of at most %zu bytes, found more", name,
                           longest_text);
    }
    return usage_error("cannot read %s: %s", name, strerror(reason));
}

int text_from_options(const cli_options *options, const char *what, bool optional, text *t) {
    *t = (text){NULL, 0};
    if (options->prompt && options->file) {
        return usage_error("give -p or -f, not both");
    }
    if (options->prompt) {
        if (!text_copy(t, options->prompt)) {
            return CLI_USAGE;
        }
        if (options->escape) {
            text_unescape(t);
        }
        return CLI_DONE;
    }
    if (options->file && strcmp(options->file, "-") != 0) {
        return text_read(options->file, t);
    }
    if (!options->file && console_is_terminal(CONSOLE_IN)) {
        if (!optional) {
            return usage_error("no %s: give it on standard input or by an option (see --help)",
                               what);
        }
        return text_copy(t, "") ? CLI_DONE : CLI_USAGE;
    }
    if (!options->quiet && !console_wait_input(1000)) {
        message("waiting for the %s on standard input", what);
    }
    return text_read("-", t);
}
