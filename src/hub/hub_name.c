#include "hub/hub_name.h"

#include <stdio.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

/* A user or a repository. */
static bool read_part(str text, char out[HUB_PART_BYTES]) {
    if (text.len == 0 || text.len >= HUB_PART_BYTES || !is_word(text.ptr[0])) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        const bool twice = i > 0 && c == '.' && text.ptr[i - 1] == '.';
        if ((!is_word(c) && c != '-' && c != '.') || twice) {
            return false;
        }
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = 0;
    return true;
}

bool hub_name_parse(const char *text, hub_name *name) {
    const char *const slash = strchr(text, '/');
    if (!slash) {
        return false;
    }
    const size_t repo = strcspn(slash + 1, ":");
    const char *const quant = slash[1 + repo] ? slash + 1 + repo + 1 : NULL;
    if (!read_part((str){text, (size_t)(slash - text)}, name->user) ||
        !read_part((str){slash + 1, repo}, name->repo) ||
        (quant && !hub_path_is_good(str_from(quant)))) {
        return false;
    }
    snprintf(name->quant, sizeof name->quant, "%s", quant ? quant : "");
    return true;
}

bool hub_path_is_good(str path) {
    size_t depth = 0;
    if (path.len == 0 || path.len > LIMIT_HUB_PATH_BYTES) {
        return false;
    }
    for (size_t at = 0; at <= path.len;) {
        size_t length = 0;
        while (at + length < path.len && path.ptr[at + length] != '/') {
            const unsigned char c = (unsigned char)path.ptr[at + length];
            if (c < 0x20 || c == 0x7f || c == '\\') {
                return false;
            }
            length++;
        }
        const str part = {path.ptr + at, length};
        /* What is appended to names, such as ".part", must have room too. */
        if (length == 0 || length > 240 || str_is(part, ".") || str_is(part, "..") ||
            ++depth > LIMIT_HUB_DEPTH) {
            return false;
        }
        at += length + 1;
    }
    return true;
}

static bool is_hexadecimal(str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]) && !(text.ptr[i] >= 'a' && text.ptr[i] <= 'f')) {
            return false;
        }
    }
    return true;
}

bool hub_commit_is_good(str text) {
    return (text.len == 40 || text.len == 64) && is_hexadecimal(text);
}

bool hub_sha256_is_good(str text) {
    return text.len == 64 && is_hexadecimal(text);
}

bool hub_revision_is_good(const char *text) {
    return strlen(text) <= 256 && text[0] != '-' && hub_path_is_good(str_from(text));
}
