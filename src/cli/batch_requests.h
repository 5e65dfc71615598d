/* batch_requests.h - what `sluice batch` is asked for: a text of requests, one a line.
 *
 * In JSON lines each is an object in the form of OpenAI's batches; in plain text each line is a
 * prompt. Lines are parsed when their turn comes, so that of a long input only the text and where
 * its lines begin are held.
 */
#ifndef CLI_BATCH_REQUESTS_H
#define CLI_BATCH_REQUESTS_H

#include "cli/options.h"
#include "cli/text.h"
#include "sluice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tokens to generate where neither the request nor -n says: what OpenAI's completions take. */
enum { BATCH_PREDICT = 16 };

typedef struct batch_line {
    size_t at, length; /* in the text, without the newline */
    size_t number;     /* from 1, as an editor counts */
} batch_line;

typedef struct batch_input {
    text all;
    bool json;         /* else plain text */
    batch_line *lines; /* those that are requests: blank lines of JSON are left out */
    size_t count;
} batch_input;

/* Reads options->input, finds its form and cuts it into lines. Returns CLI_DONE, or the exit status
 * after a message; either way the caller ends with batch_input_free. */
int batch_input_read(const cli_options *options, batch_input *input);
void batch_input_free(batch_input *input);

/* One request, with the options' values where it gives none. */
typedef struct batch_request {
    char *custom_id; /* UTF-8 of any characters; NULL: it has none */
    size_t custom_id_length;
    text prompt;     /* its text; bytes are NULL where tokens are given */
    int32_t *tokens; /* its tokens where they are given in place of a text */
    size_t n_token;
    size_t max_tokens;
    sl_sampler_options sampling; /* its own seed too; without logit_bias, which is below */
    sl_logit_bias *biases;
    size_t n_bias;
    text *stops; /* none is empty */
    size_t n_stop;
    char problem[256]; /* what is wrong with it, or "" */
    char param[64];    /* the field that is wrong, or "" */
} batch_request;

/* Parses line number `index` of the input. Whatever the line holds, *request is the caller's to
 * free with batch_request_free; what is wrong with it is in `problem`. Returns false, after a
 * message, only if memory is out. */
bool batch_request_parse(const cli_options *options, const batch_input *input, size_t index,
                         batch_request *request);
void batch_request_free(batch_request *request);

/* The tokens of a request, from its text or its list, as the options say; at least one. What is
 * wrong goes into its `problem`. *tokens is for free(). Returns CLI_DONE or the exit status after a
 * message. */
int batch_tokenize(const cli_options *options, const sl_model *model, batch_request *request,
                   int32_t **tokens, size_t *count);

#endif
