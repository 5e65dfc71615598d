/* command_logits.c - `sluice logits`: the logits of every token, as an array in a file. */
#include "cli/cli.h"
#include "cli/npy.h"
#include "cli/open.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct job {
    whole_file out;
    size_t n_tokens;
    size_t n_vocab;
} job;

/* An sl_logits_fn. */
static bool write_logits(void *user, size_t index, const float *logits) {
    job *const j = user;
    return npy_write_row(&j->out, logits, j->n_vocab) &&
           progress_update(NULL, "logits", index + 1, j->n_tokens);
}

static int check_tokens(const token_list *list, size_t n_vocab) {
    for (size_t i = 0; i < list->count; i++) {
        if ((size_t)list->items[i] >= n_vocab) {
            return usage_error("--tokens: expected numbers from 0 to %zu, found %" PRId32,
                               n_vocab - 1, list->items[i]);
        }
    }
    return CLI_DONE;
}

static int write_all(const cli_options *options, sl_session *session, const int32_t *tokens,
                     size_t count, size_t n_vocab) {
    job j = {.n_tokens = count, .n_vocab = n_vocab};
    int status = whole_file_begin(options->output, &j.out);
    if (status != CLI_DONE) {
        return status;
    }
    if (npy_write_head(&j.out, count, n_vocab)) {
        sl_error error = {0};
        progress_begin(PROGRESS_TOKENS);
        const sl_status result =
            sl_session_eval_all(session, tokens, count, write_logits, &j, &error);
        progress_end();
        /* A write that failed stops the computation; whole_file_finish tells of it. */
        if (result != SL_OK && !j.out.failure) {
            status = library_error(&error);
        }
    }
    return whole_file_finish(&j.out, status);
}

static int compute(const cli_options *options, sl_model *model, const int32_t *tokens,
                   size_t count) {
    sl_model_info info;
    sl_model_get_info(model, &info);
    if (count == 0) {
        return usage_error("no tokens: the text is empty");
    }
    const size_t n_ctx = options->ctx == OPTION_UNSET ? count
                         : options->ctx == 0          ? info.n_ctx_train
                                                      : (size_t)options->ctx;
    if (count > n_ctx) {
        return usage_error("%zu tokens do not fit into a context of %zu", count, n_ctx);
    }
    sl_error error = {0};
    sl_session *session = NULL;
    if (open_session(options, model, n_ctx, OPEN_ALL_LOGITS, &session, &error) != SL_OK) {
        return library_error(&error);
    }
    open_describe(options, model, session);
    const int status = write_all(options, session, tokens, count, info.n_vocab);
    open_tell_memory(options, session);
    sl_session_free(session);
    return status;
}

static int compute_text(const cli_options *options, sl_model *model, const text *t) {
    int32_t *tokens = NULL;
    size_t count = 0;
    int status = open_tokens(options, model, t, &tokens, &count);
    if (status == CLI_DONE) {
        status = compute(options, model, tokens, count);
    }
    sl_free(tokens);
    return status;
}

static int compute_list(const cli_options *options, sl_model *model) {
    sl_model_info info;
    sl_model_get_info(model, &info);
    const int status = check_tokens(&options->tokens, info.n_vocab);
    return status == CLI_DONE
               ? compute(options, model, options->tokens.items, options->tokens.count)
               : status;
}

int command_logits(const cli_options *options) {
    const bool list = options->tokens.items;
    if (!options->output) {
        return usage_error("logits: no file to write: give -o FILE");
    }
    if (list && (options->prompt || options->file)) {
        return usage_error("give --tokens or a text, not both");
    }
    text t = {NULL, 0};
    sl_model *model = NULL;
    int status = list ? CLI_DONE : text_from_options(options, "text", false, &t);
    if (status == CLI_DONE) {
        const uint64_t held = options->tokens.count * sizeof *options->tokens.items;
        status = open_model(options, OPEN_WEIGHTS, list ? held : open_text_bytes(&t), &model);
    }
    if (status == CLI_DONE) {
        status = list ? compute_list(options, model) : compute_text(options, model, &t);
    }
    free(t.bytes);
    sl_model_free(model);
    return status;
}
