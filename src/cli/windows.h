/* windows.h - a text cut into windows of tokens that are computed each by itself.
 *
 * The text's tokens, where the tokenizer begins a text with BOS behind that, are cut in one of two
 * ways. With a tokenizer that begins with BOS and n = 4:
 *
 *   usual   [BOS a b c] [d e f g] h     computed as  BOS a b c, BOS e f g; h is left out
 *   all     [a b c] [d e f] [g h]       computed as  BOS a b c, BOS d e f, BOS g h
 *
 * The usual way is that of llama.cpp's programs: each window begins with BOS in place of its first
 * token, and a rest shorter than a window is left out. Scored are there the tokens of the second
 * half, those behind number n / 2; in the other way all but the first one of a window.
 */
#ifndef CLI_WINDOWS_H
#define CLI_WINDOWS_H

#include "cli/text.h"
#include "sluice.h"

typedef struct windows {
    int32_t *tokens;
    void (*release)(void *tokens);
    size_t n_token;
    int32_t bos;   /* -1: none */
    size_t lead;   /* 1: it stands before the tokens, 0: they have it, or there is none */
    bool all;      /* not the usual way */
    size_t length; /* tokens of a window; the last one of `all` may have fewer */
    size_t count;
} windows;

/* Whether -c asks for windows that are long enough, before anything is loaded. Returns CLI_DONE, or
 * the exit status after a message. */
int windows_check(int64_t ctx, bool all);

/* Tokens of a window as -c asks for them: the model's own context for 0, and at most that much
 * where nothing was said, else 512. */
size_t windows_length(int64_t ctx, const sl_model *model);

/* Cuts a text, into at most `most` windows if that is not 0. Returns CLI_DONE, or the exit status
 * after a message: `length` too small, or the text too short. The caller ends with windows_free. */
int windows_cut(const sl_model *model, const text *t, size_t length, bool all, size_t most,
                windows *w);
void windows_free(windows *w);

/* The windows of a reference, at most `most` of them if that is not 0, in the usual way. Returns as
 * windows_cut. */
int windows_of_reference(const sl_model *model, const sl_reference *reference, size_t most,
                         windows *w);

/* Whether the reference is of these windows, but for more of them on either side, of which
 * w->count becomes the number that both have. Returns CLI_DONE, or the exit status after a message
 * of what differs. */
int windows_match(windows *w, const sl_reference *reference);

/* Copies the tokens of window `index` as the text has them, or of `all` as they are computed;
 * `out` has room for w->length. Returns how many there are. */
size_t windows_read(const windows *w, size_t index, int32_t *out);

/* Makes of them what is computed. */
void windows_begin(const windows *w, int32_t *out);

/* The number of a window's first token that is scored; and how many tokens are computed, and
 * scored, of all windows. */
size_t windows_first_scored(const windows *w);
size_t windows_computed(const windows *w);
size_t windows_scored(const windows *w);

#endif
