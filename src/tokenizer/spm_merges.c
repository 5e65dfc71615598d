/* spm_merges.c - the merges of a vocabulary of characters that lists them, as tokenizer.json does:
 * their order is their rank, and scores play no part. */
#include "base/error.h"
#include "base/limits.h"
#include "tokenizer/merge_lines.h"
#include "tokenizer/spm.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>

/* Whether a token is one character, as merges see it. U+2581 is a space by now, which no token of
 * that text is. */
static bool is_character(const vocabulary *v, size_t token, uint32_t *code) {
    const str text = v->texts[token];
    const bool is = text.len > 0 && text.len <= 4 && vocabulary_is_plain(v, token) &&
                    utf8_decode(text.ptr, text.len, code) == text.len && *code != ' ';
    *code = is ? spm_canonical(*code) : 0;
    return is;
}

/* Tokens of one character are what a text begins as. */
static sl_status assign_symbols(spm *s, const vocabulary *v, sl_error *error) {
    uint32_t code = 0;
    for (size_t i = 0; i < v->count; i++) {
        if (is_character(v, i, &code)) {
            spm_ask_page(s, code);
        }
    }
    const sl_status status = spm_make_pages(s, error);
    for (size_t i = 0; status == SL_OK && i < v->count; i++) {
        if (is_character(v, i, &code)) {
            *spm_symbol_place(s, code) = (uint32_t)i;
        }
    }
    return status;
}

typedef struct target {
    spm *s;
    merge_table *merges;
    bool short_of_memory;
} target;

static void add(void *user, const merge_line *line) {
    target *t = user;
    const str left = line->left, right = line->right;
    if (utf8_valid_prefix(left.ptr, left.len) == left.len &&
        utf8_valid_prefix(right.ptr, right.len) == right.len) {
        t->short_of_memory |= !spm_add_seam(t->s, spm_last_code(left.ptr + left.len),
                                            spm_first_code(right.ptr, right.ptr + right.len));
        merge_table_add(t->merges, (merge_pair){line->tokens[0], line->tokens[1],
                                                (uint32_t)line->number, line->tokens[2]});
    }
}

sl_status spm_add_merges(spm *s, merge_table *merges, const vocabulary *v, sl_error *error) {
    size_t count;
    target t = {.s = s, .merges = merges};
    sl_status status = assign_symbols(s, v, error);
    status = status == SL_OK ? merge_lines_count(v, &count, error) : status;
    status = status == SL_OK ? merge_table_init(merges, count, count, s->seed, error) : status;
    status = status == SL_OK ? spm_make_seams(s, error) : status;
    status = status == SL_OK ? merge_lines_read(v, add, &t, error) : status;
    merge_table_finish(merges);
    return t.short_of_memory ? error_memory(error, "the vocabulary's characters",
                                            2 * (s->seam_mask + 1) * sizeof *s->seams)
                             : status;
}
