/* command_bench.c - `sluice bench`: how fast a model is here, and how near to what limits it.
 *
 *     for each number of threads       a session
 *       for each depth                 its first tokens, not measured
 *         for each prompt, generation  limit, warm-up, repetitions, limit; a row of the report
 *
 *     rate of generation = tokens/s * (bytes of weights + bytes of keys and values so far, mean)
 *     rate of a prompt   = tokens/s * 2 * (weights of layers + weights of the output / tokens)
 *
 * A repetition begins with a token that differs from the last one's, so that the session keeps the
 * depth's tokens and nothing else.
 */
#include "cli/bench_report.h"
#include "cli/cli.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "os/console/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tokens generated before a generation is measured. */
static const size_t warm_up_tokens = 16;

/* Of the process beside the model and the session, where --memory is shared out. */
static const uint64_t process_bytes = 16 << 20;
static const uint64_t least_probe_bytes = 64 << 20; /* sl_machine_measure takes no less */

typedef struct bench {
    const cli_options *options;
    sl_model *model;
    sl_model_info info;
    char name[96], type[16];
    count_list prompts, predictions, depths, thread_counts;
    size_t threads; /* of the session */
    sl_session *session;
    sl_session_info session_info;
    int32_t *tokens; /* n_ctx */
    size_t n_ctx;
    uint64_t random;
    double *seconds; /* of each repetition */
    bool told_no_probe;

    char label[64]; /* progress of the row being measured, in tokens */
    uint64_t done, total;
} bench;

/* A splitmix64 generator: the same tokens in every run. */
static uint64_t next_random(bench *b) {
    uint64_t z = b->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int32_t random_token(bench *b) {
    return (int32_t)(next_random(b) % b->info.n_vocab);
}

/* ---- limits --------------------------------------------------------------------------------- */

static const struct {
    unsigned what;
    const char *kind, *unit;
} limit_kinds[] = {
    {SL_MEASURE_READ, "read", "GB/s"},
    {SL_MEASURE_INT8, "int8", "GOP/s"},
    {SL_MEASURE_BF16, "bf16", "GFLOP/s"},
    {SL_MEASURE_F32, "f32", "GFLOP/s"},
};

enum { LIMIT_KINDS = sizeof limit_kinds / sizeof limit_kinds[0] };

static double limit_of(const sl_machine_limits *limits, unsigned what, const char **how) {
    *how = what == SL_MEASURE_READ   ? limits->read_loop
           : what == SL_MEASURE_INT8 ? limits->int8_instructions
           : what == SL_MEASURE_BF16 ? limits->bf16_instructions
                                     : limits->f32_instructions;
    return what == SL_MEASURE_READ   ? limits->read_bytes
           : what == SL_MEASURE_INT8 ? limits->int8_operations
           : what == SL_MEASURE_BF16 ? limits->bf16_operations
                                     : limits->f32_operations;
}

/* The place in limit_kinds of what limits a prompt: the arithmetic of the weights' type. */
static size_t prompt_limit(const char *type) {
    if (strcmp(type, "BF16") == 0) {
        return 2;
    }
    return strcmp(type, "F32") == 0 || strcmp(type, "F16") == 0 ? 3 : 1;
}

/* What --memory leaves for the buffer of a probe; 0: it was not given. */
static uint64_t probe_memory(const bench *b) {
    if (b->options->memory == 0) {
        return 0;
    }
    const uint64_t used = b->info.weight_bytes + b->session_info.kv_bytes +
                          b->session_info.buffer_bytes + process_bytes;
    return b->options->memory > used + least_probe_bytes ? b->options->memory - used : 1;
}

/* 0 where there is no memory for it, which is said once. */
static double measure_limit(bench *b, size_t kind) {
    sl_machine_limits limits;
    sl_error error = {0};
    if (sl_machine_measure(limit_kinds[kind].what, b->threads, probe_memory(b), &limits, &error) !=
        SL_OK) {
        if (!b->told_no_probe) {
            message("%s; the share of that limit is left out", error.message);
        }
        b->told_no_probe = true;
        return 0;
    }
    const char *how;
    return limit_of(&limits, limit_kinds[kind].what, &how);
}

/* ---- measuring ------------------------------------------------------------------------------ */

/* An sl_progress_fn of one evaluation, as part of the row. */
static bool tell_progress(void *user, const char *what, uint64_t done, uint64_t total) {
    bench *const b = user;
    (void)what;
    (void)total;
    return progress_update(NULL, b->label, b->done + done, b->total);
}

/* Puts `count` new tokens behind the first `depth`. */
static void choose_tokens(bench *b, size_t depth, size_t count) {
    const int32_t before = b->tokens[depth];
    for (size_t i = 0; i < count; i++) {
        b->tokens[depth + i] = random_token(b);
    }
    if (b->tokens[depth] == before) {
        b->tokens[depth] = (int32_t)(((size_t)before + 1) % b->info.n_vocab);
    }
}

static sl_status run_prompt(bench *b, size_t depth, size_t count, sl_error *error) {
    const sl_status status =
        sl_session_eval(b->session, b->tokens, depth + count, tell_progress, b, error);
    b->done += count;
    return status;
}

static sl_status run_generation(bench *b, size_t depth, size_t count, sl_error *error) {
    for (size_t i = 1; i <= count; i++) {
        const sl_status status =
            sl_session_eval(b->session, b->tokens, depth + i, NULL, NULL, error);
        if (status != SL_OK) {
            return status;
        }
        if (!progress_update(NULL, b->label, ++b->done, b->total)) {
            error->status = SL_ERR_CANCELLED;
            return SL_ERR_CANCELLED;
        }
    }
    return SL_OK;
}

/* One repetition; *seconds becomes its time. */
static sl_status run_once(bench *b, bool prompt, size_t depth, size_t count, double *seconds,
                          sl_error *error) {
    choose_tokens(b, depth, count);
    const double started = console_seconds();
    const sl_status status =
        prompt ? run_prompt(b, depth, count, error) : run_generation(b, depth, count, error);
    *seconds = console_seconds() - started;
    return status;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median, least and most tokens per second of the sorted times. */
static void summarize(const double *seconds, size_t n, size_t tokens, bench_result *result) {
    const double middle = n % 2 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
    result->median = (double)tokens / middle;
    result->least = (double)tokens / seconds[n - 1];
    result->most = (double)tokens / seconds[0];
}

/* Warm-up and repetitions, into b->seconds. */
static sl_status run_repetitions(bench *b, bool prompt, size_t depth, size_t count,
                                 sl_error *error) {
    const size_t n = (size_t)b->options->repetitions;
    const size_t most = prompt ? b->session_info.n_batch : warm_up_tokens;
    const size_t warm = count < most ? count : most;
    double unused;
    b->done = 0;
    b->total = warm + (uint64_t)n * count;
    progress_begin(PROGRESS_TOKENS);
    progress_remark("warming up");
    sl_status status = run_once(b, prompt, depth, warm, &unused, error);
    for (size_t i = 0; i < n && status == SL_OK; i++) {
        char remark[48];
        snprintf(remark, sizeof remark, "%zu of %zu", i + 1, n);
        progress_remark(remark);
        status = run_once(b, prompt, depth, count, &b->seconds[i], error);
    }
    progress_end();
    return status;
}

/* What one token costs: bytes to read, or operations. */
static double work_per_token(const bench *b, bool prompt, size_t depth, size_t count) {
    if (prompt) {
        return 2 * ((double)b->info.layer_weights + (double)b->info.output_weights / (double)count);
    }
    const double position_bytes = (double)b->session_info.kv_bytes / (double)b->session_info.n_ctx;
    return (double)b->info.bytes_per_token +
           position_bytes * ((double)depth + (double)(count + 1) / 2);
}

static int measure_row(bench *b, bool prompt, size_t depth, size_t count) {
    const size_t kind = prompt ? prompt_limit(b->info.type) : 0;
    bench_result result = {
        .model = b->name,
        .type = b->type,
        .depth = depth,
        .threads = b->threads,
        .repetitions = (size_t)b->options->repetitions,
        .unit = limit_kinds[kind].unit,
        .limit_kind = limit_kinds[kind].kind,
    };
    const int length =
        snprintf(result.test, sizeof result.test, "%s%zu", prompt ? "pp" : "tg", count);
    if (depth > 0) {
        snprintf(result.test + length, sizeof result.test - (size_t)length, " @ d%zu", depth);
    }
    snprintf(b->label, sizeof b->label, "%s, %zu thread%s", result.test, b->threads,
             b->threads == 1 ? "" : "s");
    sl_error error = {0};
    result.limit_before = measure_limit(b, kind);
    if (run_repetitions(b, prompt, depth, count, &error) != SL_OK) {
        return library_error(&error);
    }
    result.limit_after = measure_limit(b, kind);
    qsort(b->seconds, result.repetitions, sizeof *b->seconds, compare_doubles);
    summarize(b->seconds, result.repetitions, count, &result);
    result.rate = result.median * work_per_token(b, prompt, depth, count);
    bench_report_add(&result);
    const double before = result.limit_before, after = result.limit_after;
    if (before > 1.1 * after || after > 1.1 * before) {
        message("%s: the limit (%s) was %.1f %s before and %.1f after: the machine was not quiet",
                b->label, result.limit_kind, before * 1e-9, result.unit, after * 1e-9);
    }
    return console_interrupted() ? interrupted() : CLI_DONE;
}

/* ---- sessions and depths -------------------------------------------------------------------- */

static int fill_depth(bench *b, size_t depth) {
    if (depth == 0) {
        return CLI_DONE;
    }
    sl_error error = {0};
    snprintf(b->label, sizeof b->label, "first %zu tokens", depth);
    b->done = 0;
    b->total = depth;
    progress_begin(PROGRESS_TOKENS);
    const sl_status status =
        sl_session_eval(b->session, b->tokens, depth, tell_progress, b, &error);
    progress_end();
    return status == SL_OK ? CLI_DONE : library_error(&error);
}

static int measure_list(bench *b, bool prompt, const count_list *counts, size_t depth) {
    int status = CLI_DONE;
    for (size_t i = 0; i < counts->count && status == CLI_DONE; i++) {
        if (counts->items[i] > 0) {
            status = measure_row(b, prompt, depth, (size_t)counts->items[i]);
        }
    }
    return status;
}

static int measure_depths(bench *b) {
    int status = CLI_DONE;
    for (size_t i = 0; i < b->depths.count && status == CLI_DONE; i++) {
        const size_t depth = (size_t)b->depths.items[i];
        /* What was measured before may have left other tokens there. */
        b->random = 1;
        for (size_t k = 0; k < depth; k++) {
            b->tokens[k] = random_token(b);
        }
        status = fill_depth(b, depth);
        if (status == CLI_DONE) {
            status = measure_list(b, true, &b->prompts, depth);
        }
        if (status == CLI_DONE) {
            status = measure_list(b, false, &b->predictions, depth);
        }
    }
    return status;
}

static int64_t largest(const count_list *list) {
    int64_t most = 0;
    for (size_t i = 0; i < list->count; i++) {
        most = list->items[i] > most ? list->items[i] : most;
    }
    return most;
}

static int measure_threads(bench *b, size_t threads) {
    sl_session_options how;
    sl_session_options_init(&how);
    how.n_ctx = b->n_ctx;
    how.n_batch = (size_t)b->options->batch;
    how.threads = threads;
    how.type_k = (sl_kv_type)b->options->type_k;
    how.type_v = (sl_kv_type)b->options->type_v;
    how.notice = print_notice;
    sl_error error = {0};
    const sl_status created = sl_session_create(b->model, &how, &b->session, &error);
    if (created == SL_ERR_MEMORY) {
        const size_t length = strlen(error.message);
        snprintf(error.message + length, sizeof error.message - length,
                 " (-p, -n, -d, -ctk, -ctv)");
    }
    if (created != SL_OK) {
        return library_error(&error);
    }
    sl_session_get_info(b->session, &b->session_info);
    b->threads = b->session_info.threads;
    const int status = measure_depths(b);
    sl_session_free(b->session);
    b->session = NULL;
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* The last part of a path, with '?' for what a terminal should not see. */
static void set_name(bench *b, const char *path) {
    const char *const slash = strrchr(path, '/');
    const char *next = slash && slash[1] ? slash + 1 : path;
    const char *const end = next + strlen(next);
    size_t length = 0;
    while (next < end) {
        const size_t size = text_printable(next, (size_t)(end - next));
        const size_t taken = size > 0 ? size : 1;
        if (length + taken >= sizeof b->name) {
            break;
        }
        memcpy(b->name + length, size > 0 ? next : "?", taken);
        length += taken;
        next += taken;
    }
    b->name[length] = '\0';
}

/* The type that most weights have, or the name of the mix that was asked for ("Q4_K_M"). */
static void set_type(bench *b) {
    const char *const asked = b->options->shape ? b->options->type : "";
    const size_t length = strlen(asked);
    const bool mix = length > 2 && (asked[length - 1] == 'm' || asked[length - 1] == 'M');
    snprintf(b->type, sizeof b->type, "%s", mix ? asked : b->info.type);
    for (char *c = b->type; *c; c++) {
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    }
}

static int measure_model(bench *b) {
    sl_model_get_info(b->model, &b->info);
    if (b->info.n_vocab < 2) {
        return usage_error("the model has a vocabulary of %zu tokens, expected at least 2",
                           b->info.n_vocab);
    }
    set_name(b, b->options->shape ? b->options->shape : b->options->model);
    set_type(b);
    const int64_t prompt = largest(&b->prompts), predict = largest(&b->predictions);
    b->n_ctx = (size_t)(largest(&b->depths) + (prompt > predict ? prompt : predict));
    if (b->n_ctx == 0) {
        return usage_error("-p and -n are both 0: there is nothing to measure");
    }
    b->tokens = calloc(b->n_ctx, sizeof *b->tokens);
    b->seconds = calloc((size_t)b->options->repetitions, sizeof *b->seconds);
    if (!b->tokens || !b->seconds) {
        return usage_error("out of memory: %zu tokens", b->n_ctx);
    }
    bench_report_begin((bench_format)b->options->format, strlen(b->name));
    int status = CLI_DONE;
    for (size_t i = 0; i < b->thread_counts.count && status == CLI_DONE; i++) {
        status = measure_threads(b, (size_t)b->thread_counts.items[i]);
    }
    const int written = bench_report_finish();
    return status == CLI_DONE ? written : status;
}

static int measure_limits(const cli_options *options, const count_list *thread_counts) {
    bench_report_begin((bench_format)options->format, 0);
    for (size_t i = 0; i < thread_counts->count; i++) {
        const size_t threads = (size_t)thread_counts->items[i];
        for (size_t k = 0; k < LIMIT_KINDS; k++) {
            sl_machine_limits limits;
            sl_error error = {0};
            if (sl_machine_measure(limit_kinds[k].what, threads, options->memory, &limits,
                                   &error) != SL_OK) {
                return library_error(&error);
            }
            if (console_interrupted()) {
                return interrupted();
            }
            bench_limit limit = {.kind = limit_kinds[k].kind, .unit = limit_kinds[k].unit};
            limit.rate = limit_of(&limits, limit_kinds[k].what, &limit.how);
            limit.threads = threads;
            bench_report_add_limit(&limit);
        }
    }
    return bench_report_finish();
}

/* Whether exactly one thing to measure was named. */
static int check_source(const cli_options *o) {
    if (!o->model && !o->shape && !o->limits) {
        return usage_error("bench: no model: give -m FILE, or --shape NAME and --type TYPE "
                           "(sluice bench --help)");
    }
    if ((o->model != NULL) + (o->shape != NULL) + o->limits > 1) {
        return usage_error("bench: expected one of -m, --shape and --limits, found more");
    }
    if (!o->shape != !o->type) {
        return usage_error(o->shape ? "bench: --shape needs --type, such as q4_0"
                                    : "bench: --type is for --shape; a file has its own");
    }
    return CLI_DONE;
}

/* The list as it was given, or one number. */
static count_list list_or(const count_list *given, int64_t *otherwise) {
    return given->count > 0 ? *given : (count_list){otherwise, 1};
}

int command_bench(const cli_options *options) {
    sl_machine_info machine;
    sl_machine_get_info(&machine);
    int64_t prompt = 512, predict = 128, depth = 0, threads = (int64_t)machine.cores;
    bench b = {
        .options = options,
        .prompts = list_or(&options->prompts, &prompt),
        .predictions = list_or(&options->predictions, &predict),
        .depths = list_or(&options->depths, &depth),
        .thread_counts = list_or(&options->thread_counts, &threads),
    };
    int status = check_source(options);
    if (status == CLI_DONE && options->limits) {
        return measure_limits(options, &b.thread_counts);
    }
    if (status == CLI_DONE) {
        status = open_model(options, OPEN_WEIGHTS, 0, &b.model);
    }
    if (status == CLI_DONE) {
        status = measure_model(&b);
    }
    sl_session_free(b.session);
    sl_model_free(b.model);
    free(b.tokens);
    free(b.seconds);
    return status;
}
