/* logits_file.h - what a model said of a text, saved: the files of llama-perplexity's
 * --kl-divergence-base, which this program reads and writes too.
 *
 *   "_logits_"  u32 n_ctx  i32 n_vocab  i32 n_window
 *   n_window times n_ctx i32: the text's tokens. (What is computed has BOS in the place of each
 *       window's first one, if the tokenizer begins a text with BOS.)
 *   n_window times n_scored rows, n_scored = n_ctx - 1 - n_ctx / 2: for the tokens of a window's
 *       second half, those behind number n_ctx / 2, what was said of them by the token before:
 *       f32 scale, f32 least, n_vocab u16 q, and another u16 if n_vocab is odd:
 *       log probability of token i = least + scale * q[i]
 *
 * Little-endian. A row spans at most 16 below its largest value: what is less likely has q = 0, and
 * is then below e^-16. Half a step, scale / 2, is at most 1.3e-4.
 */
#ifndef FORMATS_LOGITS_FILE_H
#define FORMATS_LOGITS_FILE_H

#include "sluice.h"

#include <stdint.h>

/* Points into the bytes. Read-only: any number of threads may use one. */
typedef struct logits_file {
    sl_reference_info info;
    const uint8_t *tokens, *rows; /* any alignment */
    size_t row_bytes;
} logits_file;

/* Reads the head and checks it against the size, which must be exactly what it says; and the tokens
 * against the vocabulary. */
SL_CHECK sl_status logits_file_parse(const uint8_t *bytes, size_t size, logits_file *file,
                                     sl_error *error);

/* The tokens of window `window`, below the file's number: n_ctx of them. */
void logits_file_tokens(const logits_file *file, size_t window, int32_t *tokens);

/* The n_vocab log probabilities of row `index`, below n_scored, of a window. SL_ERR_FORMAT if scale
 * or least cannot be: no log probability is above 0, or more than 16 below the row's largest. */
SL_CHECK sl_status logits_file_row(const logits_file *file, size_t window, size_t index,
                                   float *log_probabilities, sl_error *error);

/* Where that row lies. */
const uint8_t *logits_file_row_at(const logits_file *file, size_t window, size_t index);

#endif
