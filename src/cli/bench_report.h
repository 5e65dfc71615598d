/* bench_report.h - what `sluice bench` prints: a table that grows row by row, CSV likewise, or one
 * JSON list at the end. */
#ifndef CLI_BENCH_REPORT_H
#define CLI_BENCH_REPORT_H

#include <stddef.h>

/* In the order of the choices of -o. */
typedef enum bench_format { BENCH_MD = 0, BENCH_JSON, BENCH_CSV } bench_format;

typedef struct bench_result {
    const char *model, *type;
    char test[96]; /* "pp512 @ d4096", "tg128x8" */
    size_t depth, sequences, threads, repetitions;
    double median, least, most;       /* tokens per second, of all sequences */
    double rate;                      /* what the median does: bytes or operations per second */
    const char *unit;                 /* that it is shown in, of 10^9: "GB/s" */
    const char *limit_kind;           /* "read", "int8", "bf16", "f32" */
    double limit_before, limit_after; /* as rate; 0: not known */
} bench_result;

/* The share of the limit, in percent; 0: not known. */
double bench_percent(const bench_result *result);

/* A report is of results or of limits. `model_width`: columns that the model's name takes, at most
 * 100. */
void bench_report_begin(bench_format format, size_t model_width);
void bench_report_add(const bench_result *result);

/* A limit by itself. */
typedef struct bench_limit {
    size_t threads;
    const char *kind;
    double rate;
    const char *unit;
    const char *how; /* "avx512 vnni" */
} bench_limit;

void bench_report_add_limit(const bench_limit *limit);

/* Returns the exit status; prints nothing if there was nothing. */
int bench_report_finish(void);

#endif
