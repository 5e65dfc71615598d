/* figures.c - sl_figures: what this machine is, and measuring what a plan needs of it.
 *
 * In steps: limits of memory and arithmetic in several runs, the disk, the fixed time of an
 * operation, then every type of the model's matrices in the orders that it may have, and its
 * attention. What the figures hold already is left as it is.
 */
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "engine/kv.h"
#include "engine/measure.h"
#include "engine/plan.h"
#include "engine/planner.h"
#include "engine/session_need.h"
#include "os/machine.h"

#include <stdio.h>
#include <string.h>

enum {
    LIMIT_RUNS = 3,
    KERNEL_STEPS = MEASURE_ROUNDS * SL_FIGURE_ROWS,
    ATTENTION_STEPS = 2 * MEASURE_ROUNDS,
    SMALL_FILE = 64 << 20, /* too small to learn from how fast a disk is */
};

void sl_figures_init(sl_figures *figures, size_t threads) {
    *figures = (sl_figures){.threads = threads ? threads : os_core_count()};
    os_processor_name(figures->processor, sizeof figures->processor);
    snprintf(figures->features, sizeof figures->features, "%s", cpu_features_text());
}

/* ---- what a plan needs ---------------------------------------------------------------------- */

typedef struct kernel_need {
    quant_type type;
    bool packed;
} kernel_need;

typedef struct needs {
    kernel_need kernels[SL_FIGURE_KERNELS];
    const op_attention *attentions[SL_FIGURE_ATTENTIONS]; /* in the program */
    size_t n_kernel, n_attention;
    bool limits, disk, operation;
    const char *disk_path; /* file, or the folder for one */
    bool disk_in_folder;
} needs;

static void need_kernel(needs *n, const sl_figures *figures, quant_type type, bool packed) {
    for (size_t i = 0; i < n->n_kernel; i++) {
        if (n->kernels[i].type == type && n->kernels[i].packed == packed) {
            return;
        }
    }
    if (!planner_kernel(figures, type, packed) && n->n_kernel < SL_FIGURE_KERNELS) {
        n->kernels[n->n_kernel++] = (kernel_need){type, packed};
    }
}

static void need_attention(needs *n, const sl_figures *figures, const op_attention *heads,
                           const sl_session_options *session) {
    for (size_t i = 0; i < n->n_attention; i++) {
        const op_attention *other = n->attentions[i];
        if (other->n_head == heads->n_head && other->n_head_kv == heads->n_head_kv &&
            other->head_k == heads->head_k && other->head_v == heads->head_v) {
            return;
        }
    }
    if (!planner_attention(figures, heads, session->type_k, session->type_v) &&
        n->n_attention < SL_FIGURE_ATTENTIONS) {
        n->attentions[n->n_attention++] = heads;
    }
}

/* File order is needed where nothing is rearranged, and for what may be streamed. */
static void need_program(needs *n, const sl_figures *figures, const program *p,
                         const sl_plan_options *options, bool whole) {
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        for (size_t k = 0; o->kind == OP_LINEAR && k < o->as.linear.n_weight; k++) {
            const quant_type type = program_weight(p, o->as.linear.weight[k])->type;
            const bool packs = !options->no_rearrange && planner_rearranges(type);
            if (packs) {
                need_kernel(n, figures, type, true);
            }
            if (!packs || !whole) {
                need_kernel(n, figures, type, false);
            }
        }
        if (o->kind == OP_ATTENTION) {
            need_attention(n, figures, &o->as.attention, &options->session);
        }
    }
}

/* Where to measure the disk: the model's own file if it is large enough. */
static void need_disk(needs *n, const sl_figures *figures, const sl_plan_options *options,
                      const char *scratch) {
    n->disk_in_folder =
        !options->path || options->heads_only || os_file_size(options->path) < SMALL_FILE;
    n->disk_path = n->disk_in_folder ? scratch : options->path;
    const uint64_t device = n->disk_path ? os_device_of(n->disk_path) : 0;
    n->disk = n->disk_path && (!(figures->disk.median > 0) || figures->disk_device != device);
}

static needs find_needs(const sl_plan_options *options, const char *scratch, const plan_subject *s,
                        const sl_figures *figures) {
    needs n = {
        .limits = !(figures->read.median > 0) || !(figures->int8.median > 0) ||
                  !(figures->bf16.median > 0) || !(figures->f32.median > 0),
        .operation = !(figures->operation.median > 0),
    };
    /* Whether all fits is not known exactly before the plan; near the edge measure both orders. */
    const uint64_t edge = s->model->memory_budget - s->model->memory_budget / 4;
    need_program(&n, figures, &s->model->computation, options, s->model->file.size < edge);
    need_disk(&n, figures, options, scratch);
    return n;
}

/* ---- measuring ------------------------------------------------------------------------------ */

typedef struct measuring {
    const sl_plan_options *options;
    sl_figures *figures;
    team *threads;
    uint64_t done, total;
} measuring;

/* A measure_poll_fn. */
static bool step(void *user) {
    measuring *const m = user;
    m->done++;
    return !m->options->progress ||
           m->options->progress(m->options->user, "measuring", m->done, m->total);
}

static sl_status measure_limits(measuring *m, sl_error *error) {
    double read[LIMIT_RUNS], int8[LIMIT_RUNS], bf16[LIMIT_RUNS], f32[LIMIT_RUNS];
    const uint64_t memory = os_memory_available() / 2 + 1; /* 0 would be what it likes */
    const uint64_t enough = size_min(memory, measure_bytes());
    for (size_t i = 0; i < LIMIT_RUNS; i++) {
        sl_machine_limits limits;
        const sl_status status =
            sl_machine_measure(SL_MEASURE_ALL, m->figures->threads, enough, &limits, error);
        if (status != SL_OK) {
            return status;
        }
        read[i] = limits.read_bytes;
        int8[i] = limits.int8_operations;
        bf16[i] = limits.bf16_operations;
        f32[i] = limits.f32_operations;
        for (int k = 0; k < KERNEL_STEPS / LIMIT_RUNS; k++) {
            if (!step(m)) {
                return error_set(error, SL_ERR_CANCELLED, "interrupted");
            }
        }
    }
    m->figures->read = measure_spread(read, LIMIT_RUNS);
    m->figures->int8 = measure_spread(int8, LIMIT_RUNS);
    m->figures->bf16 = measure_spread(bf16, LIMIT_RUNS);
    m->figures->f32 = measure_spread(f32, LIMIT_RUNS);
    return SL_OK;
}

/* A disk that cannot be measured stays unknown, which is noted. */
static void measure_disk(measuring *m, const needs *n) {
    os_disk_rates rates;
    sl_error error = {0};
    char line[sizeof error.message + 64] = "";
    const sl_status status = n->disk_in_folder ? os_disk_measure_in(n->disk_path, &rates, &error)
                                               : os_disk_measure(n->disk_path, &rates, &error);
    m->figures->disk = m->figures->disk_first = (sl_spread){0};
    m->figures->disk_device = 0;
    if (status != SL_OK) {
        snprintf(line, sizeof line, "how fast the disk is stays unknown: %s", error.message);
    } else {
        m->figures->disk = measure_spread(rates.again, OS_DISK_RUNS);
        m->figures->disk_first = measure_spread(rates.first, OS_DISK_RUNS);
        m->figures->disk_device = os_device_of(n->disk_path);
    }
    if (status == SL_OK && !rates.direct) {
        snprintf(line, sizeof line,
                 "the disk was measured through the page cache, since the file "
                 "system refuses direct reads");
    }
    if (line[0] && m->options->notice) {
        m->options->notice(m->options->user, line);
    }
}

/* The newest comes first; of too many the oldest is dropped. */
static sl_status measure_one_kernel(measuring *m, const kernel_need *k, sl_error *error) {
    sl_figures *const f = m->figures;
    sl_kernel_figure made = {
        .rearranged = k->packed,
        .weight_bytes = (double)quant_row_bytes(k->type, 256) / 256,
    };
    snprintf(made.type, sizeof made.type, "%s", quant_format_of(k->type)->name);
    const sl_status status =
        measure_kernel(m->threads, k->type, k->packed, step, m, made.rate, error);
    if (status == SL_OK) {
        memmove(&f->kernels[1], &f->kernels[0], (SL_FIGURE_KERNELS - 1) * sizeof made);
        f->kernels[0] = made;
        f->n_kernel = size_min(f->n_kernel + 1, SL_FIGURE_KERNELS);
    }
    return status;
}

static sl_status measure_one_attention(measuring *m, const op_attention *heads, sl_error *error) {
    sl_figures *const f = m->figures;
    const sl_session_options *const session = &m->options->session;
    sl_attention_figure made = {
        .n_head = heads->n_head,
        .n_head_kv = heads->n_head_kv,
        .head_k = heads->head_k,
        .head_v = heads->head_v,
        .type_k = session->type_k,
        .type_v = session->type_v,
    };
    const sl_status status = measure_attention(
        m->threads, heads, session_cache_type(session->type_k), session_cache_type(session->type_v),
        step, m, &made.one, &made.many, error);
    if (status == SL_OK) {
        memmove(&f->attentions[1], &f->attentions[0], (SL_FIGURE_ATTENTIONS - 1) * sizeof made);
        f->attentions[0] = made;
        f->n_attention = size_min(f->n_attention + 1, SL_FIGURE_ATTENTIONS);
    }
    return status;
}

static sl_status measure_all(measuring *m, const needs *n, sl_error *error) {
    sl_status status = SL_OK;
    m->total = (n->limits ? KERNEL_STEPS : 0) + n->n_kernel * KERNEL_STEPS +
               n->n_attention * ATTENTION_STEPS + 1;
    if (n->limits) {
        status = measure_limits(m, error);
    }
    if (status == SL_OK && n->disk) {
        measure_disk(m, n);
    }
    if (status == SL_OK && n->operation) {
        status = measure_operation(m->threads, &m->figures->operation, error);
    }
    for (size_t i = 0; i < n->n_kernel && status == SL_OK; i++) {
        status = measure_one_kernel(m, &n->kernels[i], error);
    }
    for (size_t i = 0; i < n->n_attention && status == SL_OK; i++) {
        status = measure_one_attention(m, n->attentions[i], error);
    }
    return status;
}

/* Blocks of some types do not fit some heads; the plan says so with its own words. */
static sl_status check_options(const sl_plan_options *o, const sl_figures *figures,
                               sl_error *error) {
    if ((unsigned)o->session.type_k > SL_KV_Q4_0 || (unsigned)o->session.type_v > SL_KV_Q4_0) {
        return error_set(error, SL_ERR_ARGUMENT, "no such type of keys and values");
    }
    if (figures->threads < 1 || figures->threads > LIMIT_THREADS) {
        return error_set(error, SL_ERR_ARGUMENT, "%zu threads, expected 1 to %u", figures->threads,
                         LIMIT_THREADS);
    }
    return SL_OK;
}

sl_status sl_figures_measure(const sl_plan_options *options, const char *scratch,
                             sl_figures *figures, sl_error *error) {
    sl_status status = check_options(options, figures, error);
    if (status != SL_OK) {
        return status;
    }
    sl_plan_options quick = *options;
    quick.quick = true;
    plan_subject s = {0};
    if ((status = plan_open(&quick, &s, error)) != SL_OK) {
        return status;
    }
    measuring m = {.options = options, .figures = figures};
    status = kv_check_types(&s.model->computation, session_cache_type(options->session.type_k),
                            session_cache_type(options->session.type_v), error);
    if (status == SL_OK) {
        status = team_create(figures->threads, &m.threads, error);
    }
    if (status == SL_OK) {
        const needs n = find_needs(options, scratch, &s, figures);
        status = measure_all(&m, &n, error);
    }
    team_free(m.threads);
    plan_close(&s);
    return status;
}

bool sl_figures_suffice(const sl_plan_options *options, const sl_figures *figures) {
    sl_plan_options quick = *options;
    quick.quick = true;
    plan_subject s = {0};
    if (plan_open(&quick, &s, NULL) != SL_OK) {
        return false;
    }
    const needs n = find_needs(options, NULL, &s, figures);
    plan_close(&s);
    return !n.limits && !n.disk && !n.operation && n.n_kernel == 0 && n.n_attention == 0;
}
