#include "tokenizer/merge_lines.h"

#include "base/error.h"
#include "base/limits.h"

#include <inttypes.h>
#include <stdlib.h>

#define MERGES "tokenizer.ggml.merges"

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

static bool is_whole(const vocabulary *v, size_t token, const merge_line *line) {
    const str left = line->left, right = line->right;
    return token < v->count && v->texts[token].len == left.len + right.len &&
           memcmp(v->texts[token].ptr, left.ptr, left.len) == 0 &&
           memcmp(v->texts[token].ptr + left.len, right.ptr, right.len) == 0;
}

/* The token that a line merges into. Most vocabularies number tokens by their merges, so it is
 * mostly the one that the line before merged into, or the next one. */
static int64_t find_whole(const vocabulary *v, const merge_line *line, size_t before,
                          char *scratch) {
    for (size_t token = before; token <= before + 1; token++) {
        if (is_whole(v, token, line)) {
            return (int64_t)token;
        }
    }
    memcpy(scratch, line->left.ptr, line->left.len);
    memcpy(scratch + line->left.len, line->right.ptr, line->right.len);
    return vocabulary_find(v, (str){scratch, line->left.len + line->right.len});
}

/* `before`: the token that the line before merged into. */
static sl_status find_tokens(const vocabulary *v, merge_line *line, size_t before, char *scratch,
                             sl_error *error) {
    const int64_t tokens[] = {vocabulary_find(v, line->left), vocabulary_find(v, line->right),
                              find_whole(v, line, before, scratch)};
    for (size_t i = 0; i < 3; i++) {
        const int64_t token = tokens[i];
        if (token < 0) {
            const str whole = {scratch, line->left.len + line->right.len};
            return i < 2 ? merge_error(line, "no token: ", i ? line->right : line->left, error)
                         : merge_error(line, "merges into no token: ", whole, error);
        }
        line->tokens[i] = (uint32_t)token;
    }
    return SL_OK;
}

static sl_status find_lines(const vocabulary *v, const meta_entry **lines, sl_error *error) {
    const sl_status status = meta_get_array(v->file, MERGES, true, META_STRING, lines, error);
    if (status == SL_OK && (*lines)->count > LIMIT_MERGES) {
        return error_set(error, SL_ERR_FORMAT,
                         "byte %" PRIu64 ": metadata \"" MERGES "\": expected at most "
                         "%u entries, found %" PRIu64,
                         (*lines)->offset, LIMIT_MERGES, (*lines)->count);
    }
    return status;
}

sl_status merge_lines_count(const vocabulary *v, size_t *count, sl_error *error) {
    const meta_entry *lines = NULL;
    const sl_status status = find_lines(v, &lines, error);
    *count = status == SL_OK ? (size_t)lines->count : 0;
    return status;
}

sl_status merge_lines_read(const vocabulary *v, void (*add)(void *user, const merge_line *line),
                           void *user, sl_error *error) {
    const meta_entry *lines = NULL;
    sl_status status = find_lines(v, &lines, error);
    char *scratch = malloc(LIMIT_TOKEN_BYTES);
    if (status == SL_OK && !scratch) {
        status = error_memory(error, "merges", LIMIT_TOKEN_BYTES);
    }
    size_t cursor = 0, before = 0;
    for (size_t i = 0; status == SL_OK && i < lines->count; i++) {
        merge_line line = {.number = i, .text = meta_array_string(v->file, lines, &cursor)};
        status = split_line(&line, error);
        status = status == SL_OK ? find_tokens(v, &line, before, scratch, error) : status;
        before = status == SL_OK ? line.tokens[2] : 0;
        if (status == SL_OK && vocabulary_is_plain(v, line.tokens[2])) {
            add(user, &line);
        }
    }
    free(scratch);
    return status;
}
