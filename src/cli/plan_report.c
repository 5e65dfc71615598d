/* plan_report.c - plan_report.h. */
#include "cli/plan_report.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BAR = 64, MEASURED_ROWS = SL_FIGURE_ROWS };

static const double giga = 1e9;
static const char *const limit_names[] = {"unknown", "memory", "disk", "arithmetic"};
static const char *const place_names[] = {"mapped", "rearranged", "streamed"};
static const char *const kv_names[] = {"f16", "f32", "bf16", "q8_0", "q4_0"};
static const size_t measured_rows[MEASURED_ROWS] = {1, 2, 4, 8, 16, 64, 512};

/* ---- for people: what was measured ---------------------------------------------------------- */

/* "19.4 GB/s (18.2 to 20.3)"; without the range where there is none. */
static void print_rate(const sl_spread *s, double scale, const char *unit) {
    if (!(s->median > 0)) {
        output_text("unknown");
        return;
    }
    output_format("%.1f %s", s->median * scale, unit);
    if (s->least < s->most) {
        output_format(" (%.1f to %.1f)", s->least * scale, s->most * scale);
    }
}

static void print_machine(const plan_report *r) {
    const sl_figures *const f = &r->figures->figures;
    if (!r->figures->measured[0]) {
        output_text("machine     as given: memory ");
        print_rate(&f->read, 1 / giga, "GB/s");
        output_text(", arithmetic ");
        print_rate(&f->int8, 1 / giga, "GOP/s");
        output_text(", disk ");
        print_rate(&f->disk, 1 / giga, "GB/s");
        output_text("\n");
        return;
    }
    output_text("machine     ");
    output_escaped(f->processor, strlen(f->processor), 0);
    output_format(", %zu thread%s, ", f->threads, f->threads == 1 ? "" : "s");
    output_escaped(f->features, strlen(f->features), 0);
    output_text("\n            measured ");
    output_escaped(r->figures->measured, strlen(r->figures->measured), 0);
    output_text(" (--remeasure does it again); median (range)\n  memory    ");
    print_rate(&f->read, 1 / giga, "GB/s");
    output_text("\n  disk      ");
    print_rate(&f->disk, 1 / giga, "GB/s");
    output_text(" of what was read before, else ");
    print_rate(&f->disk_first, 1 / giga, "GB/s");
    output_text("\n  int8      ");
    print_rate(&f->int8, 1 / giga, "GOP/s");
    output_text("\n  bf16      ");
    print_rate(&f->bf16, 1 / giga, "GOP/s");
    output_text("\n  f32       ");
    print_rate(&f->f32, 1 / giga, "GOP/s");
    output_text("\n");
}

/* What products of the model's main type reach. */
static void print_kernels(const plan_report *r) {
    const sl_figures *const f = &r->figures->figures;
    for (size_t i = 0; i < f->n_kernel; i++) {
        const sl_kernel_figure *const k = &f->kernels[i];
        if (strncmp(k->type, r->plan->type, sizeof k->type) != 0) {
            continue;
        }
        output_text("  ");
        output_escaped(k->type, strnlen(k->type, sizeof k->type), 0);
        output_format("%*s  one row ", (int)(6 - strnlen(k->type, 6)), "");
        print_rate(&k->rate[0], k->weight_bytes / giga, "GB/s");
        output_text(", 8 rows ");
        print_rate(&k->rate[3], 2 / giga, "GOP/s");
        output_text(", 512 ");
        print_rate(&k->rate[MEASURED_ROWS - 1], 2 / giga, "GOP/s");
        output_text(k->rearranged ? ", rearranged\n" : ", as in the file\n");
    }
}

/* ---- for people: memory --------------------------------------------------------------------- */

typedef struct bar_part {
    char letter;
    uint64_t bytes;
} bar_part;

/* "[wwwwwwwwwwrrkkbp......]": each part as long as its share of `all`, but one letter at least. */
static void print_bar(const bar_part *parts, size_t count, uint64_t all) {
    char bar[BAR + 1];
    size_t length = 0, later = 0;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        later += parts[i].bytes > 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (parts[i].bytes == 0) {
            continue;
        }
        later--; /* parts behind this one, each of which needs its letter */
        sum += (double)parts[i].bytes;
        const double share = sum < (double)all ? sum / (double)all : 1;
        const size_t end = (size_t)(share * BAR + 0.5);
        do {
            bar[length++] = parts[i].letter;
        } while (length < end && length + later < BAR);
    }
    while (length < BAR) {
        bar[length++] = '.';
    }
    bar[length] = 0;
    output_format("  [%s]\n", bar);
}

static void print_part(char letter, const char *what, uint64_t bytes) {
    char a[32];
    output_format("  %c %-18s%10s   ", letter, what, units_binary(a, bytes));
}

static void print_weights(const sl_plan *p) {
    char a[32], b[32];
    print_part('w', "weights", p->kept_bytes);
    if (p->place != SL_PLACE_STREAMED) {
        output_text(p->place == SL_PLACE_REARRANGED ? "all of them, rearranged for this processor\n"
                                                    : "all of them, as the file has them\n");
        return;
    }
    output_format("of %s; a pass reads the other %s from the file\n",
                  units_binary(a, p->pass_bytes), units_binary(b, p->streamed_bytes));
    print_part('r', "ring", p->ring_bytes);
    output_text("through which they are read\n");
}

static void print_memory(const plan_report *r) {
    const sl_plan *const p = r->plan;
    char a[32], b[32];
    const uint64_t program = p->base_bytes + p->tokenizer_bytes;
    const bar_part parts[] = {
        {'w', p->kept_bytes},   {'r', p->ring_bytes}, {'k', p->kv_bytes},
        {'b', p->buffer_bytes}, {'p', program},
    };
    output_format("\nmemory      %s at its peak, of %s\n", units_binary(a, p->peak_bytes),
                  units_binary(b, p->budget));
    print_bar(parts, sizeof parts / sizeof parts[0], p->budget);
    print_weights(p);
    print_part('k', "keys and values", p->kv_bytes);
    output_format("%zu sequence%s of %zu positions, %s each, in %s and %s\n", p->n_session,
                  p->n_session == 1 ? "" : "s", p->n_ctx, units_binary(a, p->kv_token_bytes),
                  kv_names[r->options->type_k], kv_names[r->options->type_v]);
    print_part('b', "buffers", p->buffer_bytes);
    output_format("batches of %zu rows, %zu threads\n", p->n_batch, p->threads);
    print_part('p', "program", program);
    output_format("tokenizer: %s\n", units_binary(a, p->tokenizer_bytes));
    if (p->place == SL_PLACE_STREAMED) {
        output_format("  All weights stay in memory with --memory %" PRIu64 "M",
                      (p->whole_bytes >> 20) + 1);
        if (p->whole_ctx > 0) {
            output_format(", or -c %zu", p->whole_ctx);
        }
        if (p->whole_type[0]) {
            output_format(", or --type %s", p->whole_type);
        }
        output_text(".\n");
    }
}

/* ---- for people: speed ---------------------------------------------------------------------- */

static void print_speed(const char *what, size_t tokens, const sl_speed *s) {
    char label[64];
    snprintf(label, sizeof label, "%s %zu", what, tokens);
    if (s->tokens_per_second > 0) {
        output_format("  %-26s%10.*f tokens/s   %s\n", label, s->tokens_per_second < 10 ? 2 : 1,
                      s->tokens_per_second, limit_names[s->limit]);
    } else {
        output_format("  %-26s%10s\n", label, "unknown");
    }
}

static void print_speeds(const sl_plan *p) {
    output_text("\nspeed                                         limited by\n");
    if (p->load_seconds > 0) {
        output_format("  %-26s%10.1f s          disk, nothing being in memory before\n", "loading",
                      p->load_seconds);
    } else {
        output_format("  %-26s%10s\n", "loading", "unknown");
    }
    print_speed("prompt of", p->n_prompt, &p->prompt);
    if (p->n_ctx > p->n_prompt) {
        print_speed("prompt of", p->n_ctx, &p->prompt_full);
    }
    print_speed("generation after", p->n_prompt < p->n_ctx ? p->n_prompt : p->n_ctx - 1, &p->first);
    if (p->n_ctx > p->n_prompt + 1) {
        print_speed("generation after", p->n_ctx - 1, &p->full);
    }
}

static void print_cell(const sl_speed *s) {
    if (s->tokens_per_second > 0) {
        output_format("%9.1f %-10s", s->tokens_per_second, limit_names[s->limit]);
    } else {
        output_format("%9s %-10s", "unknown", "");
    }
}

static void print_groups(const sl_plan *p) {
    char a[32], b[32];
    const size_t before = p->n_prompt < p->n_ctx ? p->n_prompt : p->n_ctx - 1;
    output_format("\nsequences   tokens/s together after\n"
                  "together    %zu tokens each     %zu tokens each    memory\n",
                  before, p->n_ctx - 1);
    for (size_t i = 0; i < SL_PLAN_GROUPS; i++) {
        const sl_plan_group *const g = &p->groups[i];
        output_format("  %4zu   ", g->sequences);
        if (!g->fits && g->peak_bytes == 0) {
            output_text("more positions than there can be\n");
            continue;
        }
        if (!g->fits) {
            output_format("does not fit: %s are needed\n", units_binary(a, g->peak_bytes));
            continue;
        }
        print_cell(&g->first);
        print_cell(&g->full);
        output_format(" %9s", units_binary(a, g->peak_bytes));
        if (g->streamed_bytes > 0) {
            output_format(", %s read for each pass", units_binary(b, g->streamed_bytes));
        }
        output_text("\n");
    }
}

int plan_report_text(const plan_report *r) {
    const sl_plan *const p = r->plan;
    char a[32], b[32];
    const char *const name = r->options->shape ? r->options->shape : r->options->model;
    output_text("model       ");
    output_escaped(name, strlen(name), 0);
    output_format(": ");
    output_escaped(p->architecture, strlen(p->architecture), 0);
    output_format(", mostly %s, %s parameters, %s of weights\n", p->type,
                  units_count(a, p->parameter_count), units_binary(b, p->weight_bytes));
    print_machine(r);
    print_kernels(r);
    print_memory(r);
    print_speeds(p);
    print_groups(p);
    return output_finish(CLI_DONE);
}

/* ---- as JSON -------------------------------------------------------------------------------- */

static json_t *known(double number) {
    return number > 0 ? json_number(number) : json_null();
}

static json_t *speed_as_json(const sl_speed *s) {
    json_t *const object = json_object();
    json_put(object, "tokens_per_second", known(s->tokens_per_second));
    json_put(object, "limit",
             s->limit == SL_LIMIT_UNKNOWN ? json_null() : json_string(limit_names[s->limit]));
    return object;
}

static json_t *spread_as_json(const sl_spread *s, double scale) {
    if (!(s->median > 0)) {
        return json_null();
    }
    json_t *const object = json_object();
    json_put(object, "median", json_number(s->median * scale));
    json_put(object, "least", json_number(s->least * scale));
    json_put(object, "most", json_number(s->most * scale));
    return object;
}

static json_t *kernels_as_json(const sl_figures *f) {
    json_t *const array = json_array();
    for (size_t i = 0; i < f->n_kernel; i++) {
        const sl_kernel_figure *const k = &f->kernels[i];
        json_t *const object = json_object(), *const rows = json_array();
        json_put(object, "type", json_string(k->type));
        json_put(object, "rearranged", json_boolean(k->rearranged));
        json_put(object, "one_row_gb_per_second",
                 spread_as_json(&k->rate[0], k->weight_bytes / giga));
        for (size_t i_row = 0; i_row < MEASURED_ROWS; i_row++) {
            json_t *const entry = json_object();
            json_put(entry, "rows", json_unsigned(measured_rows[i_row]));
            json_put(entry, "gop_per_second", spread_as_json(&k->rate[i_row], 2 / giga));
            json_append(rows, entry);
        }
        json_put(object, "rates", rows);
        json_append(array, object);
    }
    return array;
}

static json_t *machine_as_json(const figures_cache *cache) {
    const sl_figures *const f = &cache->figures;
    json_t *const object = json_object();
    const bool given = !cache->measured[0];
    json_put(object, "processor",
             given ? json_null() : json_bytes(f->processor, strlen(f->processor)));
    json_put(object, "features", given ? json_null() : json_string(f->features));
    json_put(object, "threads", json_unsigned(f->threads));
    json_put(object, "measured", given ? json_null() : json_string(cache->measured));
    json_put(object, "memory_gb_per_second", spread_as_json(&f->read, 1 / giga));
    json_put(object, "disk_gb_per_second", spread_as_json(&f->disk, 1 / giga));
    json_put(object, "disk_first_gb_per_second", spread_as_json(&f->disk_first, 1 / giga));
    json_put(object, "int8_gop_per_second", spread_as_json(&f->int8, 1 / giga));
    json_put(object, "bf16_gop_per_second", spread_as_json(&f->bf16, 1 / giga));
    json_put(object, "f32_gop_per_second", spread_as_json(&f->f32, 1 / giga));
    json_put(object, "operation_seconds", spread_as_json(&f->operation, 1));
    json_put(object, "kernels", kernels_as_json(f));
    return object;
}

static json_t *memory_as_json(const sl_plan *p) {
    json_t *const object = json_object();
    json_put(object, "budget", json_unsigned(p->budget));
    json_put(object, "peak", json_unsigned(p->peak_bytes));
    json_put(object, "program", json_unsigned(p->base_bytes));
    json_put(object, "tokenizer", json_unsigned(p->tokenizer_bytes));
    json_put(object, "keys_and_values", json_unsigned(p->kv_bytes));
    json_put(object, "keys_and_values_of_a_token", json_unsigned(p->kv_token_bytes));
    json_put(object, "buffers", json_unsigned(p->buffer_bytes));
    json_put(object, "weights", json_unsigned(p->kept_bytes));
    json_put(object, "ring", json_unsigned(p->ring_bytes));
    json_put(object, "place", json_string(place_names[p->place]));
    json_put(object, "read_by_a_pass", json_unsigned(p->pass_bytes));
    json_put(object, "read_from_disk_by_a_pass", json_unsigned(p->streamed_bytes));
    json_put(object, "all_weights_need", json_unsigned(p->whole_bytes));
    json_put(object, "all_weights_context", json_unsigned(p->whole_ctx));
    json_put(object, "all_weights_type",
             p->whole_type[0] ? json_string(p->whole_type) : json_null());
    return object;
}

static json_t *groups_as_json(const sl_plan *p) {
    json_t *const array = json_array();
    for (size_t i = 0; i < SL_PLAN_GROUPS; i++) {
        const sl_plan_group *const g = &p->groups[i];
        json_t *const object = json_object();
        json_put(object, "sequences", json_unsigned(g->sequences));
        json_put(object, "fits", json_boolean(g->fits));
        json_put(object, "memory", json_unsigned(g->peak_bytes));
        json_put(object, "read_from_disk_by_a_pass", json_unsigned(g->streamed_bytes));
        json_put(object, "after_prompt", speed_as_json(&g->first));
        json_put(object, "full", speed_as_json(&g->full));
        json_append(array, object);
    }
    return array;
}

json_t *plan_report_as_json(const plan_report *r) {
    const sl_plan *const p = r->plan;
    const char *const name = r->options->shape ? r->options->shape : r->options->model;
    json_t *const object = json_object();
    json_put(object, "model", json_bytes(name, strlen(name)));
    json_put(object, "architecture", json_bytes(p->architecture, strlen(p->architecture)));
    json_put(object, "name", json_bytes(p->name, strlen(p->name)));
    json_put(object, "type", json_string(p->type));
    json_put(object, "parameters", json_unsigned(p->parameter_count));
    json_put(object, "weight_bytes", json_unsigned(p->weight_bytes));
    json_put(object, "context", json_unsigned(p->n_ctx));
    json_put(object, "context_trained", json_unsigned(p->n_ctx_train));
    json_put(object, "batch", json_unsigned(p->n_batch));
    json_put(object, "sequences", json_unsigned(p->n_session));
    json_put(object, "threads", json_unsigned(p->threads));
    json_put(object, "prompt_tokens", json_unsigned(p->n_prompt));
    json_put(object, "machine", machine_as_json(r->figures));
    json_put(object, "memory", memory_as_json(p));
    json_put(object, "load_seconds", known(p->load_seconds));
    json_put(object, "prompt", speed_as_json(&p->prompt));
    json_put(object, "prompt_full", speed_as_json(&p->prompt_full));
    json_put(object, "generation", speed_as_json(&p->first));
    json_put(object, "generation_full", speed_as_json(&p->full));
    json_put(object, "groups", groups_as_json(p));
    return object;
}

int plan_report_json(const plan_report *r) {
    json_write(plan_report_as_json(r), true);
    output_text("\n");
    return json_finish();
}

/* ---- one line ------------------------------------------------------------------------------- */

void plan_report_line(const sl_plan *p) {
    char a[32], b[32], c[32], speed[96] = "";
    if (p->first.tokens_per_second > 0) {
        snprintf(speed, sizeof speed, ": about %.*f tokens/s (%s)",
                 p->first.tokens_per_second < 10 ? 2 : 1, p->first.tokens_per_second,
                 limit_names[p->first.limit]);
    }
    units_binary(c, p->peak_bytes);
    if (p->place == SL_PLACE_STREAMED) {
        message("plan: %s of %s of weights in memory, %s read for each pass%s, peak %s",
                units_binary(a, p->pass_bytes - p->streamed_bytes), units_binary(b, p->pass_bytes),
                units_binary((char[32]){0}, p->streamed_bytes), speed, c);
    } else {
        message("plan: all %s of weights in memory%s, peak %s", units_binary(a, p->weight_bytes),
                speed, c);
    }
}
