/* command_batch.c - `sluice batch`: completes many prompts together, from file to file.
 *
 *     input -> lines, no custom_id twice -> model -> how long each is -> results so far
 *           -> [ schedule ] -> results, put into order or written as plain text
 *
 * What is wrong with the job as a whole (two requests of one name, results of another job) is said
 * before anything is computed; what is wrong with one request is its result.
 */
#include "cli/batch_schedule.h"
#include "cli/cli.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/units.h"
#include "os/console/console.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- digests -------------------------------------------------------------------------------- */

/* FNV-1a of 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/. It tells apart what people mix up,
 * not what somebody forges. */
static const uint64_t digest_start = 0xcbf29ce484222325u;

static uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t length) {
    const unsigned char *const b = bytes;
    for (size_t i = 0; i < length; i++) {
        digest = (digest ^ b[i]) * 0x100000001b3u;
    }
    return digest;
}

static uint64_t digest_text(uint64_t digest, const char *string) {
    return digest_bytes(digest, string, strlen(string) + 1);
}

/* Of all that results depend on: the requests, the model as far as its tables tell, and options. */
static uint64_t digest_job(const batch_job *job) {
    const cli_options *const o = job->options;
    const sl_model_info *const m = &job->info;
    char line[1024];
    snprintf(line, sizeof line,
             "1 %d %" PRIu64 " %" PRIu64 " %zu %zu %zu %zu %" PRId64 " %" PRId64 " %" PRId64
             " %" PRId64 " %" PRId64 " %a %" PRId64 " %a %a %a %a %a %" PRId64 " %d%d%d%d",
             job->input->json, m->parameter_count, m->weight_bytes, m->n_vocab, m->n_layer,
             m->n_embd, m->n_ctx_train, o->ctx > 0 ? o->ctx : 0, o->type_k, o->type_v,
             o->predict < 0 ? (int64_t)BATCH_PREDICT : o->predict, o->seed < 0 ? 0 : o->seed,
             o->temperature, o->top_k, o->top_p, o->min_p, o->repeat_penalty, o->presence_penalty,
             o->frequency_penalty, o->repeat_last_n, o->no_bos, o->parse_special, o->ignore_eos,
             o->escape);
    uint64_t digest = digest_text(digest_start, line);
    digest = digest_text(digest, m->architecture);
    digest = digest_text(digest, m->name);
    digest = digest_text(digest, m->type);
    for (size_t i = 0; i < o->reverse.count; i++) {
        digest = digest_text(digest, o->reverse.items[i]);
    }
    return digest_bytes(digest, job->input->all.bytes, job->input->all.length);
}

/* ---- names ---------------------------------------------------------------------------------- */

typedef struct name_digest {
    uint64_t digest;
    size_t index; /* of the request */
} name_digest;

static int compare_digests(const void *a, const void *b) {
    const name_digest *const x = a, *const y = b;
    if (x->digest != y->digest) {
        return x->digest < y->digest ? -1 : 1;
    }
    return (x->index > y->index) - (x->index < y->index);
}

/* Whether two requests have the same custom_id; says so then. */
static int compare_names(const cli_options *options, const batch_input *input, size_t a, size_t b) {
    batch_request first = {0}, second = {0};
    int status = CLI_DONE;
    if (!batch_request_parse(options, input, a, &first) ||
        !batch_request_parse(options, input, b, &second)) {
        status = CLI_FAILED;
    } else if (first.custom_id_length == second.custom_id_length &&
               memcmp(first.custom_id, second.custom_id, first.custom_id_length) == 0) {
        status = usage_error("%s: line %zu has the custom_id \"%.100s\" of line %zu, expected one "
                             "of its own",
                             options->input, input->lines[b].number, second.custom_id,
                             input->lines[a].number);
    }
    batch_request_free(&first);
    batch_request_free(&second);
    return status;
}

/* Refuses two requests of one name, for results are told apart by it. */
static int check_names(const cli_options *options, const batch_input *input) {
    name_digest *const names = calloc(input->count, sizeof *names);
    size_t count = 0;
    int status = names ? CLI_DONE : usage_error("out of memory: %zu requests", input->count);
    for (size_t i = 0; i < input->count && status == CLI_DONE; i++) {
        batch_request r;
        if (!batch_request_parse(options, input, i, &r)) {
            status = CLI_FAILED;
        } else if (r.custom_id) {
            const uint64_t d = digest_bytes(digest_start, r.custom_id, r.custom_id_length);
            names[count++] = (name_digest){d, i};
        }
        batch_request_free(&r);
        if (console_interrupted()) {
            status = interrupted();
        }
    }
    if (status == CLI_DONE) {
        qsort(names, count, sizeof *names, compare_digests);
    }
    for (size_t i = 1; i < count && status == CLI_DONE; i++) {
        if (names[i].digest == names[i - 1].digest) {
            status = compare_names(options, input, names[i - 1].index, names[i].index);
        }
    }
    free(names);
    return status;
}

/* ---- lengths -------------------------------------------------------------------------------- */

/* Adds request `index` to what the job needs. */
static int measure(batch_job *job, size_t index) {
    batch_request r;
    int32_t *tokens = NULL;
    size_t count = 0;
    if (!batch_request_parse(job->options, job->input, index, &r)) {
        batch_request_free(&r);
        return CLI_FAILED;
    }
    const int status = batch_tokenize(job->options, job->model, &r, &tokens, &count);
    if (status == CLI_DONE && !r.problem[0]) {
        const size_t own = job->info.n_ctx_train;
        const size_t most = job->options->ctx > 0 ? (size_t)job->options->ctx : own;
        const size_t need = r.max_tokens < most - count ? count + r.max_tokens : most;
        job->n_ctx = need > job->n_ctx ? need : job->n_ctx;
        if (!job->results->done[index]) {
            job->needs[index] = need;
            job->to_do++;
            job->prompt_tokens += count;
            job->text_tokens += need - count;
        }
    }
    free(tokens);
    batch_request_free(&r);
    return status;
}

/* Fills needs and so on from the requests that are not done yet, n_ctx from all: there are models
 * whose results it decides, and a job that goes on is to have those of one that never ended. */
static int measure_all(batch_job *job) {
    int status = CLI_DONE;
    job->needs = calloc(job->input->count, sizeof *job->needs);
    if (!job->needs) {
        return usage_error("out of memory: %zu requests", job->input->count);
    }
    progress_begin(PROGRESS_REQUESTS);
    for (size_t i = 0; i < job->input->count && status == CLI_DONE; i++) {
        status = measure(job, i);
        if (!progress_update(NULL, "tokenizing", i, job->input->count) && status == CLI_DONE) {
            status = CLI_SIGNALLED + console_interrupted();
        }
    }
    progress_end();
    job->n_ctx = job->n_ctx > 0 ? job->n_ctx : 1;
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void print_statistics(const batch_job *job, size_t done_before) {
    const batch_counts *const c = &job->counts;
    const double seconds = c->seconds > 0 ? c->seconds : 1e-9;
    char a[32], b[32];
    sl_model_info info; /* with what was loaded for the group */
    sl_model_get_info(job->model, &info);
    progress_clear();
    fprintf(stderr, "\n%-11s %25.3f s\n", "load", info.load_seconds);
    fprintf(stderr, "%-11s %8zu done", "requests", job->results->n_done - done_before);
    fprintf(stderr, ", %zu of them refused, %zu done before\n", c->refused, done_before);
    fprintf(stderr, "%-11s %8" PRIu64 " tokens, %" PRIu64 " more shared with others\n", "prompts",
            c->computed, c->shared);
    fprintf(stderr, "%-11s %8" PRIu64 " tokens %9.3f s %10.1f tokens/s\n", "generation",
            c->generated, c->seconds, (double)c->generated / seconds);
    fprintf(stderr, "%-11s %8" PRIu64 " of %.1f sequences on average, at most %zu\n", "passes",
            c->passes, c->passes ? (double)c->together / (double)c->passes : 0.0, c->parallel);
    fprintf(stderr, "%-11s %8zu positions, %" PRIu64 " sequences put into the spill file", "pool",
            c->pool, c->suspended);
    fprintf(stderr, c->given_up ? ", %" PRIu64 " given up and computed anew\n" : "\n", c->given_up);
    fprintf(stderr, "%-11s %s at its peak, of %s planned\n", "memory",
            units_bytes(a, sl_peak_memory()), units_bytes(b, c->planned_memory));
}

/* Where results gather: `path`, or beside it where that is to hold plain text. */
static char *results_path(const cli_options *options) {
    const size_t size = strlen(options->output) + sizeof ".jsonl";
    char *const path = malloc(size);
    if (path) {
        snprintf(path, size, "%s%s", options->output, options->plain ? ".jsonl" : "");
    }
    return path;
}

static int tell_interruption(const batch_job *job) {
    message("interrupted: %zu of %zu requests are done; the same command goes on from there",
            job->results->n_done, job->input->count);
    return CLI_SIGNALLED + console_interrupted();
}

/* The results are open. */
static int compute(batch_job *job) {
    const size_t done_before = job->results->n_done, count = job->input->count;
    if (done_before > 0) {
        message("%zu of %zu requests are done already", done_before, count);
    }
    int status = CLI_DONE;
    if (done_before < count) {
        status = measure_all(job);
        status = status == CLI_DONE ? batch_compute(job) : status;
        if (status == CLI_SIGNALLED + console_interrupted() && console_interrupted()) {
            return tell_interruption(job);
        }
    }
    if (status == CLI_DONE && job->options->ordered) {
        status = batch_results_order(job->results);
    }
    return status;
}

static int finish(batch_job *job, size_t done_before) {
    if (job->counts.refused > 0) {
        message("%zu requests were refused; their results say why", job->counts.refused);
    }
    if (!job->options->quiet && job->counts.passes > 0) {
        print_statistics(job, done_before);
    }
    return CLI_DONE;
}

static int run_job(batch_job *job, const char *path) {
    batch_results results;
    job->results = &results;
    sl_model_get_info(job->model, &job->info);
    int status =
        batch_results_open(path, job->input, digest_job(job), job->options->restart, &results);
    const size_t done_before = results.n_done;
    if (status == CLI_DONE) {
        status = compute(job);
    }
    if (status == CLI_DONE && job->options->plain) {
        status = batch_results_plain(&results, job->options->output);
    }
    if (status == CLI_DONE) {
        status = finish(job, done_before);
    }
    batch_results_close(&results);
    free(job->needs);
    return status;
}

static bool is_same_file(const char *a, const char *b) {
    char *const first = console_real_path(a);
    char *const second = console_real_path(b);
    const bool same = first && second && strcmp(first, second) == 0;
    free(first);
    free(second);
    return same;
}

/* `path` is where results gather; NULL: there is no output, or memory is out. */
static int check_options(const cli_options *options, const char *path) {
    if (!options->input || !options->output) {
        return usage_error("batch: no %s: give %s FILE (sluice batch --help)",
                           options->input ? "file for the results" : "requests",
                           options->input ? "-o" : "-i");
    }
    if (!path) {
        return usage_error("out of memory: the command line");
    }
    if (is_same_file(options->input, options->output)) {
        return usage_error("-i and -o are the same file, %s", options->output);
    }
    if (is_same_file(options->input, path)) {
        return usage_error("the results of --plain would gather in %s, which holds the requests",
                           path);
    }
    if (options->model &&
        (is_same_file(options->model, options->output) || is_same_file(options->model, path))) {
        return usage_error("-m and -o are the same file, %s", options->model);
    }
    return CLI_DONE;
}

/* What is held of the requests: the text, two lists by request, and of the one in line its values,
 * texts and tokens. */
static uint64_t input_bytes(const batch_input *input) {
    enum { LIST_BYTES = sizeof(batch_line) + sizeof(size_t) + sizeof(bool), PARSED = 12 };
    size_t longest = 0;
    for (size_t i = 0; i < input->count; i++) {
        longest = input->lines[i].length > longest ? input->lines[i].length : longest;
    }
    return input->all.length + (uint64_t)input->count * LIST_BYTES + (uint64_t)longest * PARSED;
}

int command_batch(const cli_options *options) {
    batch_input input = {0};
    batch_job job = {.options = options, .input = &input};
    char *const path = options->output ? results_path(options) : NULL;
    int status = check_options(options, path);
    if (status == CLI_DONE) {
        status = batch_input_read(options, &input);
    }
    if (status == CLI_DONE && input.json) {
        status = check_names(options, &input);
    }
    if (status == CLI_DONE) {
        status = open_model(options, OPEN_WEIGHTS, input_bytes(&input), &job.model);
    }
    if (status == CLI_DONE) {
        status = run_job(&job, path);
    }
    sl_model_free(job.model);
    batch_input_free(&input);
    free(path);
    return status;
}
