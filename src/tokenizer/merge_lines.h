/* merge_lines.h - reads tokenizer.ggml.merges, lines such as "th e" in the order of their ranks. */
#ifndef TOKENIZER_MERGE_LINES_H
#define TOKENIZER_MERGE_LINES_H

#include "base/str.h"
#include "tokenizer/vocabulary.h"

typedef struct merge_line {
    size_t number; /* its rank */
    str text, left, right;
    uint32_t tokens[3]; /* the left, the right and what they become */
} merge_line;

/* How many there are. SL_ERR_FORMAT without the key or for more than LIMIT_MERGES. */
SL_CHECK sl_status merge_lines_count(const vocabulary *v, size_t *count, sl_error *error);

/* Hands each line on whose result plain text may become: plain text never becomes a control token,
 * and user-defined ones are found before merging. SL_ERR_FORMAT for lines that are malformed or
 * name no tokens. */
SL_CHECK sl_status merge_lines_read(const vocabulary *v,
                                    void (*add)(void *user, const merge_line *line), void *user,
                                    sl_error *error);

#endif
