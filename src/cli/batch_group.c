/* batch_group.c - batch_group.h. */
#include "cli/batch_group.h"

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_PARALLEL = 128,   /* where -np does not say: beyond it arithmetic counts, not reading */
    LEAST_PASS_ROWS = 128, /* about what most disks leave time for */
};

static int descending(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x < y) - (x > y);
}

/* Positions that `parallel` requests take at most, those that take most, each in whole pages and
 * with one for a copy. From needs in descending order. */
static size_t most_positions(const size_t *needs, size_t count, size_t parallel) {
    enum { PAGE = 32 }; /* about: the library rounds as it must */
    size_t sum = 2 * PAGE;
    for (size_t i = 0; i < count && i < parallel && needs[i] > 0; i++) {
        sum += (needs[i] + 2 * PAGE - 1) / PAGE * PAGE;
    }
    return sum;
}

/* The folder of the output, from malloc; NULL: memory is out. */
static char *folder_of(const char *path) {
    const char *const slash = strrchr(path, '/');
    const size_t length = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
    char *const folder = malloc(length + 2);
    if (folder) {
        memcpy(folder, slash ? path : ".", slash ? length : 1);
        folder[slash ? length : 1] = '\0';
    }
    return folder;
}

enum { NOTICE_BYTES = 512 };

/* An sl_notice_fn: what each try says again is told once. `user`: the last that was told. */
static void tell_once(void *user, const char *line) {
    char *const last = user;
    if (strncmp(last, line, NOTICE_BYTES - 1) != 0) {
        snprintf(last, NOTICE_BYTES, "%s", line);
        print_notice(NULL, line);
    }
}

/* Opens the group with the largest pool that fits the budget, and at least half of what its slots
 * may come to need; with fewer slots where that is too much. `wanted` slots at most, and `least`
 * positions at least. */
static sl_status try_sizes(schedule *s, sl_session_options *how, const size_t *needs, size_t wanted,
                           size_t least, sl_error *error) {
    const char *const folder = how->spill_directory;
    const size_t most = (size_t)s->job->options->pool; /* 0: not given */
    sl_status status = SL_ERR_MEMORY;
    for (size_t n = wanted; n > 0; n /= 2) {
        const size_t full = most_positions(needs, wanted, n);
        for (size_t eighths = 8; eighths >= 4; eighths--) {
            size_t pool = full / 8 * eighths;
            if (most > 0 && pool > most) {
                pool = most;
            }
            how->pool_positions = pool > least ? pool : least;
            how->spill_directory = how->pool_positions < full ? folder : NULL;
            status = sl_session_create_group(s->job->model, how, n, s->sessions, error);
            if (status != SL_ERR_MEMORY) {
                s->n_slot = status == SL_OK ? n : 0;
                how->spill_directory = folder;
                return status;
            }
        }
    }
    how->spill_directory = folder;
    return status;
}

/* Where all weights fit, more sequences are not worth having to read some of them for each pass. */
static int open_sessions(schedule *s, const size_t *needs, size_t count, const char *folder) {
    const cli_options *const o = s->job->options;
    sl_session_options how;
    sl_session_options_init(&how);
    how.n_ctx = s->job->n_ctx;
    how.n_batch = (size_t)o->batch;
    how.threads = (size_t)o->threads;
    how.type_k = (sl_kv_type)o->type_k;
    how.type_v = (sl_kv_type)o->type_v;
    how.spill_directory = folder;
    char told[NOTICE_BYTES] = "";
    how.progress = progress_update;
    how.notice = tell_once;
    how.user = told;
    const size_t least = most_positions(needs, count, 1);
    if (o->pool > 0 && (size_t)o->pool < least) {
        message("--pool: one request may take up to %zu positions; the pool has %zu", s->job->n_ctx,
                least);
    }
    const size_t asked = o->most_parallel > 0 ? (size_t)o->most_parallel : MOST_PARALLEL;
    const size_t wanted = asked < count ? asked : count;
    sl_error error = {0};
    progress_begin(PROGRESS_BYTES);
    how.keep_weights = true;
    sl_status status = try_sizes(s, &how, needs, wanted, least, &error);
    if (status == SL_ERR_MEMORY) {
        how.keep_weights = false;
        status = try_sizes(s, &how, needs, wanted, least, &error);
    }
    progress_end();
    if (status == SL_ERR_MEMORY) {
        const size_t length = strlen(error.message);
        snprintf(error.message + length, sizeof error.message - length, " (-c, -n, -ctk, -ctv)");
    }
    if (status != SL_OK) {
        return library_error(&error);
    }
    if (o->most_parallel > 0 && s->n_slot < wanted) {
        message("memory has room for %zu sequences at a time, not for %zu", s->n_slot, asked);
    }
    return CLI_DONE;
}

/* Rows of a pass over weights that are read from the disk, so that the disk and the computation are
 * both at work from the first pass to the last. As many requests as the pool holds take turns in
 * generating; in each pass they get a token each, and meanwhile as much of new prompts is computed
 * as keeps their number. Prompts by whole batches would be done too early, in passes that take many
 * times as long as the disk needs, and behind them would come passes that wait for the disk. */
static size_t rows_of_pass(const batch_job *job, const sl_session_info *info, size_t n_slot,
                           size_t pool) {
    sl_model_info model;
    sl_model_get_info(job->model, &model);
    if (model.streamed_bytes == 0 || job->text_tokens == 0) {
        return SIZE_MAX;
    }
    const double tokens = (double)job->prompt_tokens + (double)job->text_tokens;
    const double room = (double)pool * (double)job->to_do / tokens;
    const double together = room < (double)n_slot ? room : (double)n_slot;
    const double rows = together * tokens / (double)job->text_tokens;
    return rows >= (double)info->n_batch ? SIZE_MAX
           : rows < LEAST_PASS_ROWS      ? LEAST_PASS_ROWS
                                         : (size_t)rows;
}

static int open_slots(schedule *s) {
    batch_job *const job = s->job;
    batch_counts *const counts = &job->counts;
    s->slots = calloc(s->n_slot, sizeof *s->slots);
    s->contents = calloc(s->n_slot, sizeof *s->contents);
    s->running = calloc(s->n_slot, sizeof *s->running);
    if (!s->slots || !s->contents || !s->running) {
        return usage_error("out of memory: %zu sequences", s->n_slot);
    }
    for (size_t i = 0; i < s->n_slot; i++) {
        s->slots[i].session = s->sessions[i];
        s->slots[i].tokens = calloc(job->n_ctx, sizeof *s->slots[i].tokens);
        if (!s->slots[i].tokens) {
            return usage_error("out of memory: a context of %zu tokens", job->n_ctx);
        }
    }
    sl_session_pool pool;
    sl_session_get_pool(s->sessions[0], &pool);
    sl_session_info info;
    sl_session_get_info(s->sessions[0], &info);
    s->page = pool.page;
    s->n_page = pool.total / pool.page;
    s->pass_rows = rows_of_pass(job, &info, s->n_slot, pool.total);
    counts->parallel = s->n_slot;
    counts->pool = pool.total;
    counts->planned_memory = info.planned_bytes;
    open_describe(job->options, job->model, s->sessions[0]);
    return CLI_DONE;
}

int group_open(schedule *s) {
    const batch_job *const job = s->job;
    size_t count = 0;
    size_t *const needs = calloc(job->input->count, sizeof *needs);
    char *const folder =
        job->options->spill_dir ? strdup(job->options->spill_dir) : folder_of(job->options->output);
    int status = CLI_DONE;
    if (!needs || !folder) {
        status = usage_error("out of memory: %zu requests", job->input->count);
    }
    for (size_t i = 0; status == CLI_DONE && i < job->input->count; i++) {
        if (!job->results->done[i] && job->needs[i] > 0) {
            needs[count++] = job->needs[i];
        }
    }
    if (status == CLI_DONE) {
        count = count > 0 ? count : 1; /* all are refused: a group of one does */
        qsort(needs, count, sizeof *needs, descending);
        s->sessions = calloc(count < 65536 ? count : 65536, sizeof *s->sessions);
        status = s->sessions ? open_sessions(s, needs, count, folder)
                             : usage_error("out of memory: %zu requests", count);
    }
    free(needs);
    free(folder);
    return status == CLI_DONE ? open_slots(s) : status;
}

void group_close(schedule *s) {
    for (size_t i = 0; i < s->n_slot; i++) {
        if (s->slots) {
            slot *const l = &s->slots[i];
            batch_request_free(&l->request);
            sl_sampler_free(l->sampler);
            sl_decoder_free(l->decoder);
            free(l->tokens);
            free(l->text);
        }
        sl_session_free(s->sessions[i]);
    }
    batch_request_free(&s->pending);
    free(s->pending_tokens);
    free(s->slots);
    free(s->contents);
    free(s->running);
    free(s->sessions);
}
