/* command_imatrix.c - `sluice imatrix`: how large the inputs of a model's matrices are.
 *
 * The text is cut into windows as llama.cpp's programs do (windows.h), each is computed by itself,
 * and of every row that meets a matrix the squares are added up, column by column.
 */
#include "cli/cli.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/whole_file.h"
#include "cli/windows.h"

#include <stdlib.h>
#include <string.h>

typedef struct gathering {
    const cli_options *options;
    sl_session *session;
    sl_importance *importance;
    windows text;
    size_t before; /* tokens of the windows that are done */
} gathering;

/* An sl_progress_fn for one window. */
static bool update(void *user, const char *what, uint64_t done, uint64_t total) {
    const gathering *const g = user;
    (void)what;
    (void)total;
    return progress_update(NULL, "imatrix", g->before + done, windows_computed(&g->text));
}

/* An sl_logits_fn: they are computed for what the output matrix meets. */
static bool pass_over(void *user, size_t index, const float *logits) {
    (void)logits;
    return update(user, NULL, index + 1, 0);
}

static sl_status compute_window(gathering *g, const int32_t *window, size_t count,
                                sl_error *error) {
    if (g->options->process_output) {
        return sl_session_eval_all(g->session, window, count, pass_over, g, error);
    }
    sl_session_cut(g->session, 0); /* nothing is taken over from the window before */
    return sl_session_eval(g->session, window, count, update, g, error);
}

static int compute(gathering *g) {
    int32_t *const window = calloc(g->text.length, sizeof *window);
    if (!window) {
        return usage_error("out of memory: a window of %zu tokens", g->text.length);
    }
    sl_error error = {0};
    sl_status status = SL_OK;
    progress_begin(PROGRESS_TOKENS);
    for (size_t i = 0; i < g->text.count && status == SL_OK; i++) {
        const size_t count = windows_read(&g->text, i, window);
        windows_begin(&g->text, window);
        status = compute_window(g, window, count, &error);
        g->before += count;
    }
    progress_end();
    free(window);
    return status == SL_OK ? CLI_DONE : library_error(&error);
}

/* An sl_write_fn. */
static bool write_bytes(void *user, const void *bytes, size_t size) {
    return whole_file_write(user, bytes, size);
}

static bool is_dat(const char *path) {
    const char *const end = strrchr(path, '.');
    return end && strcmp(end, ".dat") == 0;
}

static int write_file(const gathering *g, whole_file *out) {
    const sl_importance_file file = {
        .dat = is_dat(g->options->output),
        .text = g->options->file ? g->options->file : "-",
        .n_ctx = g->text.length,
        .chunks = g->text.count,
    };
    sl_error error = {0};
    const sl_status status = sl_importance_write(g->importance, &file, write_bytes, out, &error);
    /* A write that failed is told by whole_file_finish. */
    return status == SL_OK || out->failure ? CLI_DONE : library_error(&error);
}

static int gather(gathering *g) {
    whole_file out;
    int status = whole_file_begin(g->options->output, &out);
    if (status != CLI_DONE) {
        return status;
    }
    status = compute(g);
    status = status == CLI_DONE ? write_file(g, &out) : status;
    status = whole_file_finish(&out, status);
    if (status == CLI_DONE && !g->options->quiet) {
        message("%s: %zu tensors, from %zu windows of %zu tokens", g->options->output,
                sl_importance_count(g->importance), g->text.count, g->text.length);
    }
    return status;
}

static int open_and_gather(gathering *g, sl_model *model) {
    sl_error error = {0};
    const unsigned flags =
        OPEN_IMPORTANCE | (g->options->process_output ? (unsigned)OPEN_ALL_LOGITS : 0);
    if (open_session(g->options, model, g->text.length, flags, &g->session, &error) != SL_OK ||
        sl_importance_create(g->session, g->options->process_output, &g->importance, &error) !=
            SL_OK) {
        return library_error(&error);
    }
    open_describe(g->options, model, g->session);
    const int status = gather(g);
    open_tell_memory(g->options, g->session);
    return status;
}

int command_imatrix(const cli_options *options) {
    if (!options->output) {
        return usage_error("imatrix: no file to write: give -o FILE");
    }
    gathering g = {.options = options};
    text t = {0};
    sl_model *model = NULL;
    int status = windows_check(options->ctx, false);
    status = status == CLI_DONE ? text_from_options(options, "text", false, &t) : status;
    if (status == CLI_DONE) {
        status = open_model(options, OPEN_WEIGHTS, open_text_bytes(&t), &model);
    }
    if (status == CLI_DONE) {
        status = windows_cut(model, &t, windows_length(options->ctx, model), false,
                             (size_t)options->chunks, &g.text);
    }
    if (status == CLI_DONE) {
        status = open_and_gather(&g, model);
    }
    sl_importance_free(g.importance);
    sl_session_free(g.session);
    windows_free(&g.text);
    free(t.bytes);
    sl_model_free(model);
    return status;
}
