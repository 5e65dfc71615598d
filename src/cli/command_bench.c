/* command_bench.c - `sluice bench`: how fast a model is here, and how near to what limits it.
 *
 *     for each number of threads       a group of sessions, as many as the largest of -np
 *       for each depth                 its first tokens, not measured
 *         for each prompt              limit, warm-up, repetitions, limit; a row of the report
 *         for each generation
 *           for each of -np            the same
 *
 * What a token costs: in a prompt of n, 2 * (weights of layers + weights of the output / n)
 * operations; where s sequences generate together, (bytes of weights) / s + bytes of the keys and
 * values so far in the mean to be read, and 2 * (weights of layers and of the output) operations.
 * The rate in the report is tokens/s times the operations of a prompt, the bytes of a generation;
 * for several sequences times whichever of them takes longer at the limits.
 *
 * A repetition begins with a token that differs from the last one's, so that a session keeps the
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
    count_list prompts, predictions, depths, parallel, thread_counts;
    size_t threads; /* of the sessions */
    sl_session **sessions;
    size_t n_session;
    sl_session_info session_info;
    sl_session_content *contents; /* of each session; tokens point into `tokens` */
    int32_t *tokens;              /* n_ctx for each session */
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

/* ---- what is measured ----------------------------------------------------------------------- */

typedef struct bench_test {
    bool prompt;
    size_t depth;     /* tokens before, of each sequence */
    size_t count;     /* tokens, of each sequence */
    size_t sequences; /* 1 for a prompt */
} bench_test;

static double operations_per_token(const bench *b, const bench_test *t) {
    const double layers = (double)b->info.layer_weights, output = (double)b->info.output_weights;
    return 2 * (layers + (t->prompt ? output / (double)t->count : output));
}

static double bytes_per_token(const bench *b, const bench_test *t) {
    const double positions = (double)b->session_info.n_ctx * (double)b->session_info.n_session;
    const double seen = (double)t->depth + (double)(t->count + 1) / 2;
    return (double)b->info.bytes_per_token / (double)t->sequences +
           (double)b->session_info.kv_bytes / positions * seen;
}

/* What limits the test, measured now: the place in limit_kinds, and the limit. Several sequences
 * may be limited by either. */
static size_t find_limit(bench *b, const bench_test *t, double *limit) {
    const size_t arithmetic = prompt_limit(b->info.type), reading = 0;
    if (t->prompt || t->sequences == 1) {
        const size_t kind = t->prompt ? arithmetic : reading;
        *limit = measure_limit(b, kind);
        return kind;
    }
    const double read = measure_limit(b, reading), products = measure_limit(b, arithmetic);
    const bool by_products = operations_per_token(b, t) * read > bytes_per_token(b, t) * products;
    *limit = by_products ? products : read;
    return by_products ? arithmetic : reading;
}

static void name_test(const bench_test *t, char *name, size_t size) {
    char together[32] = "", behind[32] = "";
    if (t->sequences > 1) {
        snprintf(together, sizeof together, "x%zu", t->sequences);
    }
    if (t->depth > 0) {
        snprintf(behind, sizeof behind, " @ d%zu", t->depth);
    }
    snprintf(name, size, "%s%zu%s%s", t->prompt ? "pp" : "tg", t->count, together, behind);
}

/* ---- measuring ------------------------------------------------------------------------------ */

/* An sl_progress_fn of one evaluation, as part of the row. */
static bool tell_progress(void *user, const char *what, uint64_t done, uint64_t total) {
    bench *const b = user;
    (void)what;
    (void)total;
    return progress_update(NULL, b->label, b->done + done, b->total);
}

/* Puts `count` new tokens behind the first `depth` of a sequence. */
static void choose_tokens(bench *b, size_t sequence, size_t depth, size_t count) {
    int32_t *const tokens = b->tokens + sequence * b->n_ctx;
    const int32_t before = tokens[depth];
    for (size_t i = 0; i < count; i++) {
        tokens[depth + i] = random_token(b);
    }
    if (tokens[depth] == before) {
        tokens[depth] = (int32_t)(((size_t)before + 1) % b->info.n_vocab);
    }
}

/* Brings the first n sessions to their first `count` tokens. */
static sl_status eval(bench *b, size_t n, size_t count, sl_progress_fn progress, sl_error *error) {
    for (size_t i = 0; i < n; i++) {
        b->contents[i].count = count;
    }
    return sl_session_eval_group(b->contents, n, progress, b, error);
}

static sl_status run_prompt(bench *b, const bench_test *t, size_t count, sl_error *error) {
    const sl_status status = eval(b, 1, t->depth + count, tell_progress, error);
    b->done += count;
    return status;
}

static sl_status run_generation(bench *b, const bench_test *t, size_t count, sl_error *error) {
    for (size_t i = 1; i <= count; i++) {
        const sl_status status = eval(b, t->sequences, t->depth + i, NULL, error);
        if (status != SL_OK) {
            return status;
        }
        b->done += t->sequences;
        if (!progress_update(NULL, b->label, b->done, b->total)) {
            error->status = SL_ERR_CANCELLED;
            return SL_ERR_CANCELLED;
        }
    }
    return SL_OK;
}

/* One repetition, or `count` tokens of it; *seconds becomes its time. */
static sl_status run_once(bench *b, const bench_test *t, size_t count, double *seconds,
                          sl_error *error) {
    for (size_t i = 0; i < t->sequences; i++) {
        choose_tokens(b, i, t->depth, count);
    }
    const double started = console_seconds();
    const sl_status status =
        t->prompt ? run_prompt(b, t, count, error) : run_generation(b, t, count, error);
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
static sl_status run_repetitions(bench *b, const bench_test *t, sl_error *error) {
    const size_t n = (size_t)b->options->repetitions;
    const size_t most = t->prompt ? b->session_info.n_batch : warm_up_tokens;
    const size_t warm = t->count < most ? t->count : most;
    double unused;
    b->done = 0;
    b->total = (warm + (uint64_t)n * t->count) * t->sequences;
    progress_begin(PROGRESS_TOKENS);
    progress_remark("warming up");
    sl_status status = run_once(b, t, warm, &unused, error);
    for (size_t i = 0; i < n && status == SL_OK; i++) {
        char remark[48];
        snprintf(remark, sizeof remark, "%zu of %zu", i + 1, n);
        progress_remark(remark);
        status = run_once(b, t, t->count, &b->seconds[i], error);
    }
    progress_end();
    return status;
}

static int measure_row(bench *b, const bench_test *t) {
    bench_result result = {
        .model = b->name,
        .type = b->type,
        .depth = t->depth,
        .sequences = t->sequences,
        .threads = b->threads,
        .repetitions = (size_t)b->options->repetitions,
    };
    name_test(t, result.test, sizeof result.test);
    snprintf(b->label, sizeof b->label, "%s, %zu thread%s", result.test, b->threads,
             b->threads == 1 ? "" : "s");
    sl_error error = {0};
    const size_t kind = find_limit(b, t, &result.limit_before);
    result.unit = limit_kinds[kind].unit;
    result.limit_kind = limit_kinds[kind].kind;
    if (run_repetitions(b, t, &error) != SL_OK) {
        return library_error(&error);
    }
    result.limit_after = measure_limit(b, kind);
    qsort(b->seconds, result.repetitions, sizeof *b->seconds, compare_doubles);
    summarize(b->seconds, result.repetitions, t->count * t->sequences, &result);
    result.rate =
        result.median * (limit_kinds[kind].what == SL_MEASURE_READ ? bytes_per_token(b, t)
                                                                   : operations_per_token(b, t));
    bench_report_add(&result);
    const double before = result.limit_before, after = result.limit_after;
    if (before > 1.1 * after || after > 1.1 * before) {
        message("%s: the limit (%s) was %.1f %s before and %.1f after: the machine was not quiet",
                b->label, result.limit_kind, before * 1e-9, result.unit, after * 1e-9);
    }
    return console_interrupted() ? interrupted() : CLI_DONE;
}

/* ---- sessions and depths -------------------------------------------------------------------- */

/* Gives the first n sessions their first `depth` tokens, where they lack them. */
static int fill_depth(bench *b, size_t n, size_t depth) {
    if (depth == 0) {
        return CLI_DONE;
    }
    sl_error error = {0};
    snprintf(b->label, sizeof b->label, "first %zu tokens", depth);
    b->done = 0;
    b->total = n * depth;
    progress_begin(PROGRESS_TOKENS);
    const sl_status status = eval(b, n, depth, tell_progress, &error);
    progress_end();
    return status == SL_OK ? CLI_DONE : library_error(&error);
}

static int measure_prompts(bench *b, size_t depth) {
    int status = fill_depth(b, 1, depth);
    for (size_t i = 0; i < b->prompts.count && status == CLI_DONE; i++) {
        const bench_test test = {true, depth, (size_t)b->prompts.items[i], 1};
        if (test.count > 0) {
            status = measure_row(b, &test);
        }
    }
    return status;
}

static int measure_generations(bench *b, size_t depth) {
    int status = CLI_DONE;
    for (size_t i = 0; i < b->predictions.count && status == CLI_DONE; i++) {
        for (size_t k = 0; k < b->parallel.count && status == CLI_DONE; k++) {
            const bench_test test = {false, depth, (size_t)b->predictions.items[i],
                                     (size_t)b->parallel.items[k]};
            if (test.count > 0 && (status = fill_depth(b, test.sequences, depth)) == CLI_DONE) {
                status = measure_row(b, &test);
            }
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
        for (size_t k = 0; k < b->n_session * b->n_ctx; k++) {
            b->tokens[k] = random_token(b);
        }
        status = measure_prompts(b, depth);
        if (status == CLI_DONE) {
            status = measure_generations(b, depth);
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

static void close_sessions(bench *b) {
    for (size_t i = 0; i < b->n_session && b->sessions; i++) {
        sl_session_free(b->sessions[i]);
        b->sessions[i] = NULL;
    }
}

static int measure_threads(bench *b, size_t threads) {
    sl_session_options how;
    sl_session_options_init(&how);
    how.n_ctx = b->n_ctx;
    how.n_batch = (size_t)b->options->batch;
    how.threads = threads;
    how.type_k = (sl_kv_type)b->options->type_k;
    how.type_v = (sl_kv_type)b->options->type_v;
    how.progress = progress_update;
    how.notice = print_notice;
    sl_error error = {0};
    progress_begin(PROGRESS_BYTES);
    const sl_status created =
        sl_session_create_group(b->model, &how, b->n_session, b->sessions, &error);
    progress_end();
    if (created == SL_ERR_MEMORY) {
        const size_t length = strlen(error.message);
        snprintf(error.message + length, sizeof error.message - length,
                 " (-p, -n, -d, -np, -ctk, -ctv)");
    }
    if (created != SL_OK) {
        return library_error(&error);
    }
    for (size_t i = 0; i < b->n_session; i++) {
        b->contents[i] = (sl_session_content){b->sessions[i], b->tokens + i * b->n_ctx, 0};
    }
    sl_session_get_info(b->sessions[0], &b->session_info);
    b->threads = b->session_info.threads;
    sl_model_wait(b->model); /* half rearranged, the first measurements would be slower */
    const int status = measure_depths(b);
    close_sessions(b);
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
    b->n_session = predict > 0 ? (size_t)largest(&b->parallel) : 1;
    b->sessions = calloc(b->n_session, sizeof(sl_session *));
    b->contents = calloc(b->n_session, sizeof *b->contents);
    b->tokens = calloc(b->n_session * b->n_ctx, sizeof *b->tokens); /* at most 2^12 * 2^29 */
    b->seconds = calloc((size_t)b->options->repetitions, sizeof *b->seconds);
    if (!b->sessions || !b->contents || !b->tokens || !b->seconds) {
        return usage_error("out of memory: %zu sequences of %zu tokens", b->n_session, b->n_ctx);
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
    int64_t prompt = 512, predict = 128, depth = 0, sequences = 1;
    int64_t threads = (int64_t)machine.cores;
    bench b = {
        .options = options,
        .prompts = list_or(&options->prompts, &prompt),
        .predictions = list_or(&options->predictions, &predict),
        .depths = list_or(&options->depths, &depth),
        .parallel = list_or(&options->parallel, &sequences),
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
    close_sessions(&b);
    sl_model_free(b.model);
    free(b.sessions);
    free(b.contents);
    free(b.tokens);
    free(b.seconds);
    return status;
}
