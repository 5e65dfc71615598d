/* bench_report.c - bench_report.h. */
#include "cli/bench_report.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/output.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const double giga = 1e-9;

static struct {
    bench_format format;
    size_t model_width;
    bool headed; /* the head is printed with the first row, which a refusal never comes to */
    json_t *list;
} report;

double bench_percent(const bench_result *result) {
    const double limit = (result->limit_before + result->limit_after) / 2;
    return limit > 0 ? 100 * result->rate / limit : 0;
}

void bench_report_begin(bench_format format, size_t model_width) {
    report.format = format;
    report.model_width = model_width < 5 ? 5 : model_width;
    report.list = format == BENCH_JSON ? json_array() : NULL;
}

int bench_report_finish(void) {
    if (json_array_size(report.list) == 0) {
        json_decref(report.list);
        return output_finish(CLI_DONE);
    }
    json_write(report.list, true);
    output_text("\n");
    return json_finish();
}

/* A name in quotes, with quotes in it doubled. */
static void write_csv_name(const char *name) {
    output_text("\"");
    for (const char *c = name; *c; c++) {
        output_write(c, 1);
        if (*c == '"') {
            output_write(c, 1);
        }
    }
    output_text("\"");
}

/* ---- measurements --------------------------------------------------------------------------- */

static void write_head(void) {
    static const char line[] = "------------------------------------------------------------------"
                               "------------------------------------";
    if (report.format == BENCH_CSV) {
        output_text(
            "test,tokens_per_second,min,max,threads,model,type,depth,sequences,repetitions,rate,"
            "rate_unit,limit_kind,limit_before,limit_after,percent_of_limit\n");
    } else if (report.format == BENCH_MD) {
        const int width = (int)report.model_width;
        output_format(
            "| %-*s | type   | threads | test            | tokens/s |      min |      max "
            "|          rate |          limit | of limit |\n",
            width, "model");
        output_format("|%.*s|--------|--------:|-----------------|---------:|---------:|---------:"
                      "|--------------:|---------------:|---------:|\n",
                      width + 2, line);
    }
}

static void add_row(const bench_result *r) {
    char rate[32], limit[32] = "", percent[32] = "";
    snprintf(rate, sizeof rate, "%.1f %s", r->rate * giga, r->unit);
    if (r->limit_before > 0 && r->limit_after > 0) {
        snprintf(limit, sizeof limit, "%.1f %s", (r->limit_before + r->limit_after) / 2 * giga,
                 r->limit_kind);
        snprintf(percent, sizeof percent, "%.0f %%", bench_percent(r));
    }
    output_format("| %-*s | %-6s | %7zu | %-15s | %8.2f | %8.2f | %8.2f | %13s | %14s | %8s |\n",
                  (int)report.model_width, r->model, r->type, r->threads, r->test, r->median,
                  r->least, r->most, rate, limit, percent);
    output_flush();
}

static void add_csv(const bench_result *r) {
    output_format("%s,%.6g,%.6g,%.6g,%zu,", r->test, r->median, r->least, r->most, r->threads);
    write_csv_name(r->model);
    output_format(",%s,%zu,%zu,%zu,%.6g,%s,%s,", r->type, r->depth, r->sequences, r->repetitions,
                  r->rate * giga, r->unit, r->limit_kind);
    if (r->limit_before > 0 && r->limit_after > 0) {
        output_format("%.6g,%.6g,%.4g\n", r->limit_before * giga, r->limit_after * giga,
                      bench_percent(r));
    } else {
        output_text(",,\n");
    }
    output_flush();
}

static json_t *known_number(double number) {
    return number > 0 ? json_number(number) : json_null();
}

static void add_object(const bench_result *r) {
    json_t *const object = json_object();
    json_put(object, "test", json_bytes(r->test, strlen(r->test)));
    json_put(object, "tokens_per_second", json_number(r->median));
    json_put(object, "min", json_number(r->least));
    json_put(object, "max", json_number(r->most));
    json_put(object, "threads", json_unsigned(r->threads));
    json_put(object, "model", json_bytes(r->model, strlen(r->model)));
    json_put(object, "type", json_bytes(r->type, strlen(r->type)));
    json_put(object, "depth", json_unsigned(r->depth));
    json_put(object, "sequences", json_unsigned(r->sequences));
    json_put(object, "repetitions", json_unsigned(r->repetitions));
    json_put(object, "rate", json_number(r->rate * giga));
    json_put(object, "rate_unit", json_bytes(r->unit, strlen(r->unit)));
    json_put(object, "limit_kind", json_bytes(r->limit_kind, strlen(r->limit_kind)));
    json_put(object, "limit_before", known_number(r->limit_before * giga));
    json_put(object, "limit_after", known_number(r->limit_after * giga));
    json_put(object, "percent_of_limit", known_number(bench_percent(r)));
    json_append(report.list, object);
}

void bench_report_add(const bench_result *result) {
    if (!report.headed) {
        write_head();
        report.headed = true;
    }
    switch (report.format) {
    case BENCH_MD:
        add_row(result);
        break;
    case BENCH_CSV:
        add_csv(result);
        break;
    case BENCH_JSON:
        add_object(result);
        break;
    }
}

/* ---- limits --------------------------------------------------------------------------------- */

static void write_limits_head(void) {
    if (report.format == BENCH_CSV) {
        output_text("threads,limit_kind,rate,rate_unit,how\n");
    } else if (report.format == BENCH_MD) {
        output_text("| threads | limit |           rate | how                      |\n"
                    "|--------:|-------|---------------:|--------------------------|\n");
    }
}

void bench_report_add_limit(const bench_limit *l) {
    if (!report.headed) {
        write_limits_head();
        report.headed = true;
    }
    if (report.format == BENCH_MD) {
        char rate[32];
        snprintf(rate, sizeof rate, "%.1f %s", l->rate * giga, l->unit);
        output_format("| %7zu | %-5s | %14s | %-24s |\n", l->threads, l->kind, rate, l->how);
        output_flush();
    } else if (report.format == BENCH_CSV) {
        output_format("%zu,%s,%.6g,%s,%s\n", l->threads, l->kind, l->rate * giga, l->unit, l->how);
        output_flush();
    } else {
        json_t *const object = json_object();
        json_put(object, "threads", json_unsigned(l->threads));
        json_put(object, "limit_kind", json_bytes(l->kind, strlen(l->kind)));
        json_put(object, "rate", json_number(l->rate * giga));
        json_put(object, "rate_unit", json_bytes(l->unit, strlen(l->unit)));
        json_put(object, "how", json_bytes(l->how, strlen(l->how)));
        json_append(report.list, object);
    }
}
