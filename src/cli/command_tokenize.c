/* command_tokenize.c - `sluice tokenize`: the tokens of a text. */
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/open.h"
#include "cli/output.h"

#include <inttypes.h>
#include <stdlib.h>

static void print_ids(const int32_t *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) {
        output_format("%s%" PRId32, i ? " " : "", tokens[i]);
    }
    output_text("\n");
}

static void print_lines(const sl_model *model, const int32_t *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *piece;
        const size_t length = sl_token_piece(model, tokens[i], true, &piece);
        output_format("%" PRId32 "\t'", tokens[i]);
        output_escaped(piece, length, '\'');
        output_text("'\n");
    }
}

/* Element by element: a long text has millions of tokens. */
static int print_json(const cli_options *options, const sl_model *model, const int32_t *tokens,
                      size_t count) {
    output_text("[");
    for (size_t i = 0; i < count; i++) {
        output_text(!i ? "" : options->ids ? ", " : ",\n ");
        json_t *const id = json_integer(tokens[i]);
        if (options->ids) {
            json_write(id, false);
            continue;
        }
        const char *piece;
        const size_t length = sl_token_piece(model, tokens[i], true, &piece);
        json_t *const object = json_object();
        json_put(object, "id", id);
        json_put(object, "piece", json_bytes(piece, length));
        json_write(object, false);
    }
    output_text("]\n");
    return json_finish();
}

static int print_tokens(const cli_options *options, const sl_model *model, const text *t) {
    int32_t *tokens = NULL;
    size_t count = 0;
    int status = open_tokens(options, model, t, &tokens, &count);
    if (status == CLI_DONE && options->json) {
        status = print_json(options, model, tokens, count);
    } else if (status == CLI_DONE) {
        if (options->ids) {
            print_ids(tokens, count);
        } else {
            print_lines(model, tokens, count);
        }
        status = output_finish(CLI_DONE);
    }
    sl_free(tokens);
    return status;
}

int command_tokenize(const cli_options *options) {
    text t;
    sl_model *model = NULL;
    int status = text_from_options(options, "text", false, &t);
    if (status == CLI_DONE) {
        status = open_model(options, OPEN_VOCABULARY, 0, &model);
    }
    if (status == CLI_DONE) {
        status = print_tokens(options, model, &t);
    }
    free(t.bytes);
    sl_model_free(model);
    return status;
}
