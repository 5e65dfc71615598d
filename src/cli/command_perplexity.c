/* command_perplexity.c - `sluice perplexity`: how well a model predicts a text, by itself and
 * beside what another model said of it.
 *
 * The text is cut into windows (windows.h). Each scored token of one has a logarithm of its
 * probability, from the logits that follow the token before it; scores.h says what is added up of
 * them. Then
 *
 *     perplexity = exp(m), with standard error exp(m) e, where m is the mean of nll over the N
 *                  scored tokens and e its standard error
 *     bits/byte  = N m / log 2 / bytes, where bytes is what the scored tokens stand for
 *
 * One window is in memory at a time: a reference, read or written, passes by some rows at a time,
 * which the session's threads share out; they are added up in their order.
 */
#include "cli/cli.h"
#include "cli/open.h"
#include "cli/perplexity_report.h"
#include "cli/progress.h"
#include "cli/whole_file.h"
#include "cli/windows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct measurement {
    const cli_options *options;
    const char *read, *save; /* paths of references; NULL: none */
    sl_model *model;
    sl_session *session;
    sl_reference *reference;
    size_t n_vocab, n_logits;
    windows text;
    int32_t *window;          /* being computed */
    float *log_probabilities; /* of the reference, SCORES_TOGETHER rows */
    void *rows;               /* of the one being saved, as many */
    whole_file out;
    scores sums;
    size_t bytes;    /* that the scored tokens stand for */
    size_t computed; /* tokens */
} measurement;

/* ---- some tokens ---------------------------------------------------------------------------- */

/* A token being scored, with what its thread needs and gives. */
typedef struct row {
    const float *logits;
    int32_t token;
    size_t window, scored; /* its number among the window's scored ones */
    float *log_probabilities;
    void *saved;
    token_score score;
    sl_status status; /* of reading the reference */
    sl_error error;
} row;

typedef struct block {
    const measurement *m;
    row rows[SCORES_TOGETHER];
} block;

/* An sl_work_fn: a vocabulary may have a quarter of a million tokens, with an exponential each. */
static void score_row(void *user, size_t index) {
    block *const b = user;
    const measurement *const m = b->m;
    row *const r = &b->rows[index];
    if (m->read) {
        r->status =
            sl_reference_read(m->reference, r->window, r->scored, r->log_probabilities, &r->error);
        if (r->status != SL_OK) {
            return;
        }
    }
    r->score =
        token_score_of(r->logits, m->read ? r->log_probabilities : NULL, m->n_vocab, r->token);
    if (m->save && isfinite(r->score.nll)) {
        sl_reference_make_row(r->logits, m->n_vocab, r->score.log_sum, r->saved);
    }
}

/* In the order of the tokens, so that sums do not depend on who was first. */
static int add_row(measurement *m, const row *r) {
    if (r->status != SL_OK) {
        return library_error(&r->error);
    }
    if (!scores_add(&m->sums, &r->score)) {
        message("the model gave a logit that is not a number");
        return CLI_FAILED;
    }
    if (m->save && !whole_file_write(&m->out, r->saved, sl_reference_row_bytes(m->n_vocab))) {
        return CLI_FAILED; /* whole_file_finish says why */
    }
    const char *piece;
    m->bytes += sl_token_piece(m->model, r->token, false, &piece);
    return CLI_DONE;
}

/* Tokens [from, from + count) of window `number`, of which the session has logits; scored tokens of
 * the window begin at `first`. */
static int score_tokens(measurement *m, size_t number, size_t first, size_t from, size_t count) {
    block b = {.m = m};
    int status = CLI_DONE;
    for (size_t i = 0; i < count; i++) {
        const size_t at = from + i;
        b.rows[i] = (row){
            .logits = sl_session_logits_at(m->session, at - 1),
            .token = m->window[at],
            .window = number,
            .scored = at - first,
            .log_probabilities = m->log_probabilities + (m->read ? i * m->n_vocab : 0),
            .saved = (char *)m->rows + (m->save ? i * sl_reference_row_bytes(m->n_vocab) : 0),
        };
    }
    sl_session_spread(m->session, count, score_row, &b);
    for (size_t i = 0; i < count && status == CLI_DONE; i++) {
        status = add_row(m, &b.rows[i]);
    }
    return status;
}

static void remark(const measurement *m) {
    char line[64];
    snprintf(line, sizeof line, m->read ? "perplexity %.4f, KL %.5f" : "perplexity %.4f",
             exp(m->sums.nll.mean), m->sums.divergence.mean);
    progress_remark(line);
}

/* ---- windows -------------------------------------------------------------------------------- */

/* An sl_progress_fn for a part of a window. */
static bool update(void *user, const char *what, uint64_t done, uint64_t total) {
    const measurement *const m = user;
    (void)what;
    (void)total;
    return progress_update(NULL, "perplexity", m->computed + done, windows_computed(&m->text));
}

/* Computes `count` tokens of a window, and scores as many as logits are kept of at a time. */
static int score_window(measurement *m, size_t number, size_t count) {
    const size_t before = m->computed;
    const size_t first = windows_first_scored(&m->text);
    int status = CLI_DONE;
    for (size_t at = first; at < count && status == CLI_DONE;) {
        const size_t n = count - at < m->n_logits ? count - at : m->n_logits;
        sl_error error = {0};
        /* The logits that follow token k tell of token k + 1. */
        if (sl_session_eval_last(m->session, m->window, at + n - 1, n, update, m, &error)) {
            return library_error(&error);
        }
        for (size_t i = 0; i < n && status == CLI_DONE; i += SCORES_TOGETHER) {
            const size_t together = n - i < SCORES_TOGETHER ? n - i : SCORES_TOGETHER;
            status = score_tokens(m, number, first, at + i, together);
        }
        at += n;
        m->computed = before + at - 1;
        remark(m);
    }
    m->computed = before + count;
    return status;
}

static int score_windows(measurement *m) {
    int status = CLI_DONE;
    progress_begin(PROGRESS_TOKENS);
    for (size_t i = 0; i < m->text.count && status == CLI_DONE; i++) {
        const size_t count = windows_read(&m->text, i, m->window);
        windows_begin(&m->text, m->window);
        status = score_window(m, i, count);
    }
    progress_end();
    return status;
}

/* ---- a reference to save -------------------------------------------------------------------- */

static bool write_front(measurement *m) {
    const sl_reference_info info = {m->text.length, m->n_vocab, m->text.count};
    uint8_t head[SL_REFERENCE_HEAD_BYTES];
    sl_reference_make_head(&info, head);
    bool written = whole_file_write(&m->out, head, sizeof head);
    for (size_t i = 0; i < m->text.count && written; i++) {
        const size_t count = windows_read(&m->text, i, m->window);
        written = whole_file_write(&m->out, m->window, count * sizeof *m->window);
    }
    return written;
}

static int score_and_save(measurement *m) {
    const uint64_t rows = (uint64_t)m->text.count * sl_reference_scored(m->text.length);
    const uint64_t tokens = (uint64_t)windows_computed(&m->text) * sizeof *m->window;
    const uint64_t need =
        SL_REFERENCE_HEAD_BYTES + tokens + rows * sl_reference_row_bytes(m->n_vocab);
    int status = whole_file_check_room(m->save, need);
    status = status == CLI_DONE ? whole_file_begin(m->save, &m->out) : status;
    if (status != CLI_DONE) {
        return status;
    }
    m->out.need = need;
    status = write_front(m) ? score_windows(m) : CLI_DONE;
    if (m->out.failure) {
        status = CLI_DONE; /* not yet told */
    }
    return whole_file_finish(&m->out, status);
}

/* ---- all ------------------------------------------------------------------------------------ */

static bool allocate(measurement *m) {
    const size_t row_bytes = m->save ? sl_reference_row_bytes(m->n_vocab) : 1;
    m->window = calloc(m->text.length, sizeof *m->window);
    m->log_probabilities =
        calloc(m->read ? SCORES_TOGETHER * m->n_vocab : 1, sizeof *m->log_probabilities);
    m->rows = malloc(SCORES_TOGETHER * row_bytes);
    return m->window && m->log_probabilities && m->rows &&
           scores_begin(&m->sums, m->read ? windows_scored(&m->text) : 0);
}

static int measure(measurement *m) {
    sl_error error = {0};
    if (!allocate(m)) {
        return usage_error("out of memory: a window of %zu tokens", m->text.length);
    }
    const unsigned flags =
        OPEN_ALL_LOGITS | (m->read ? OPEN_READS_SCORES : 0u) | (m->save ? OPEN_SAVES_SCORES : 0u);
    if (open_session(m->options, m->model, m->text.length, flags, &m->session, &error)) {
        return library_error(&error);
    }
    sl_session_info info;
    sl_session_get_info(m->session, &info);
    m->n_logits = info.n_logits;
    open_describe(m->options, m->model, m->session);
    const int status = m->save ? score_and_save(m) : score_windows(m);
    open_tell_memory(m->options, m->session);
    if (status != CLI_DONE) {
        return status;
    }
    scores_sort(&m->sums);
    const perplexity_result result = {
        .sums = &m->sums,
        .compared = m->read,
        .context = m->text.length,
        .windows = m->text.count,
        .bytes = m->bytes,
    };
    return perplexity_report(&result, m->options->json);
}

/* The windows: of the text, or where none is given of the reference. */
static int cut(measurement *m, const text *t) {
    const cli_options *const o = m->options;
    sl_reference_info info = {0};
    if (m->read) {
        sl_reference_get_info(m->reference, &info);
        if (info.n_vocab != m->n_vocab) {
            return usage_error("%s: the reference is of a vocabulary of %zu tokens, the model has "
                               "%zu",
                               m->read, info.n_vocab, m->n_vocab);
        }
    }
    const size_t length =
        m->read && o->ctx == OPTION_UNSET ? info.n_ctx : windows_length(o->ctx, m->model);
    int status;
    if (m->read && !o->file) {
        if (length != info.n_ctx) {
            return usage_error("%s: the reference has windows of %zu tokens, -c asks for %zu",
                               m->read, info.n_ctx, length);
        }
        status = windows_of_reference(m->model, m->reference, (size_t)o->chunks, &m->text);
    } else {
        status = windows_cut(m->model, t, length, o->all, (size_t)o->chunks, &m->text);
    }
    if (status == CLI_DONE && m->read && o->file) {
        status = windows_match(&m->text, m->reference);
    }
    return status;
}

static int open_and_measure(measurement *m, const text *t) {
    int status = open_model(m->options, OPEN_WEIGHTS, open_text_bytes(t), &m->model);
    if (status != CLI_DONE) {
        return status;
    }
    sl_model_info info;
    sl_model_get_info(m->model, &info);
    m->n_vocab = info.n_vocab;
    status = cut(m, t);
    return status == CLI_DONE ? measure(m) : status;
}

/* Which references are meant: llama-perplexity has one name for both, and a flag. */
static int choose_references(measurement *m) {
    const cli_options *const o = m->options;
    m->read = o->reference ? o->reference : o->kl_divergence ? o->kl_base : NULL;
    m->save = o->save_reference ? o->save_reference : o->kl_divergence ? NULL : o->kl_base;
    if (o->kl_divergence && !m->read) {
        return usage_error("--kl-divergence: no reference: give --kl-divergence-base FILE");
    }
    if (o->all && (m->read || m->save)) {
        return usage_error("references hold the second halves of windows: --all has none");
    }
    return CLI_DONE;
}

int command_perplexity(const cli_options *options) {
    measurement m = {.options = options};
    text t = {0};
    int status = choose_references(&m);
    status = status == CLI_DONE ? windows_check(options->ctx, options->all) : status;
    sl_error error = {0};
    if (status == CLI_DONE && (!m.read || options->file)) {
        status = text_from_options(options, "text", false, &t);
    }
    if (status == CLI_DONE && m.read && sl_reference_open(m.read, &m.reference, &error)) {
        status = library_error(&error);
    }
    if (status == CLI_DONE) {
        status = open_and_measure(&m, &t);
    }
    scores_end(&m.sums);
    windows_free(&m.text);
    sl_session_free(m.session);
    sl_reference_close(m.reference);
    free(m.window);
    free(m.log_probabilities);
    free(m.rows);
    free(t.bytes);
    sl_model_free(m.model);
    return status;
}
