#include "engine/planner.h"

#include "base/error.h"
#include "base/size.h"
#include "cpu/cpu.h"
#include "engine/placement.h"
#include "engine/residency.h"
#include "engine/session_need.h"
#include "kernels/packed.h"

#include <stdio.h>
#include <string.h>

enum {
    PROMPT = 512,        /* the prompt that is predicted */
    FEW_ROWS = 4,        /* so many rows of a sequence read its keys as one row does */
    MOST_BATCHES = 1024, /* of a prompt, about, that are predicted one by one */
};

const size_t planner_rows[SL_FIGURE_ROWS] = {1, 2, 4, 8, 16, 64, 512};

/* ---- figures -------------------------------------------------------------------------------- */

const sl_kernel_figure *planner_kernel(const sl_figures *figures, quant_type type,
                                       bool rearranged) {
    const char *name = quant_format_of(type)->name;
    for (size_t i = 0; i < figures->n_kernel && i < SL_FIGURE_KERNELS; i++) {
        const sl_kernel_figure *k = &figures->kernels[i];
        if (k->rearranged == rearranged && strncmp(k->type, name, sizeof k->type) == 0) {
            return k;
        }
    }
    return NULL;
}

const sl_attention_figure *planner_attention(const sl_figures *figures, const op_attention *heads,
                                             sl_kv_type type_k, sl_kv_type type_v) {
    for (size_t i = 0; i < figures->n_attention && i < SL_FIGURE_ATTENTIONS; i++) {
        const sl_attention_figure *a = &figures->attentions[i];
        if (a->n_head == heads->n_head && a->n_head_kv == heads->n_head_kv &&
            a->head_k == heads->head_k && a->head_v == heads->head_v && a->type_k == type_k &&
            a->type_v == type_v) {
            return a;
        }
    }
    return NULL;
}

bool planner_rearranges(quant_type type) {
    kernel_table kernels;
    kernel_table_fill(&kernels, cpu_features());
    return kernel_packs(&kernels, type);
}

/* The bare limit of the arithmetic that a type's products take. */
static double arithmetic_limit(const sl_figures *figures, quant_type type) {
    switch (type) {
    case QUANT_F32:
    case QUANT_F16:
        return figures->f32.median;
    case QUANT_BF16:
        return figures->bf16.median;
    default:
        return figures->int8.median;
    }
}

/* amount / rate; nothing where the rate is not known. */
static double seconds_at(double amount, double rate) {
    return rate > 0 ? amount / rate : 0;
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

/* Seconds that one weight takes with n rows, from what was measured. 0: not known. */
static double weight_seconds(const sl_kernel_figure *k, size_t n) {
    double seconds[SL_FIGURE_ROWS];
    for (size_t i = 0; i < SL_FIGURE_ROWS; i++) {
        if (!(k->rate[i].median > 0)) {
            return 0;
        }
        seconds[i] = (double)planner_rows[i] / k->rate[i].median;
    }
    const size_t last = SL_FIGURE_ROWS - 1;
    if (n >= planner_rows[last]) {
        return seconds[last] * (double)n / (double)planner_rows[last];
    }
    size_t i = 0;
    while (n >= planner_rows[i + 1]) {
        i++;
    }
    const double part =
        (double)(n - planner_rows[i]) / (double)(planner_rows[i + 1] - planner_rows[i]);
    return seconds[i] + part * (seconds[i + 1] - seconds[i]);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* How a program lies in memory with some number of sequences. */
typedef struct arrangement {
    session_need need;
    uint64_t fixed;   /* all but weights and ring */
    uint64_t whole;   /* what it takes with all weights in memory, in file order */
    uint64_t packing; /* and what rearranging takes beside that */
    uint64_t pass_bytes, kept, ring, streamed, output;
    sl_weights_place place;
    uint64_t peak;
} arrangement;

/* Floats of norms and biases, which are held beside the file. */
static uint64_t vector_bytes(const program *p) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->weights.count; i++) {
        const weight_ref *ref = program_weight(p, (weight_id)i);
        bytes += ref->vector ? ref->n_in * sizeof(float) : 0;
    }
    return bytes;
}

static sl_status place_streamed(const planner_subject *s, arrangement *a, sl_error *error) {
    const uint64_t beside = s->file_table_bytes + placement_list_bytes(s->file_bytes);
    const uint64_t taken = a->fixed + beside;
    const uint64_t room = s->budget > taken ? s->budget - taken : 0;
    placement l;
    const sl_status status = placement_make(s->p, room, &l, error);
    if (status != SL_OK) {
        return status;
    }
    a->place = SL_PLACE_STREAMED;
    a->kept = l.kept_bytes;
    a->ring = (uint64_t)l.n_slot * l.slot_bytes;
    a->streamed = l.streamed_bytes;
    a->output = l.output_bytes;
    a->peak = a->fixed + s->file_table_bytes + placement_bytes(&l) + a->kept + a->ring;
    placement_free(&l);
    return SL_OK;
}

/* Where weights lie, once the session's need is known. */
static sl_status place_weights(const planner_subject *s, arrangement *a, sl_error *error) {
    if (a->whole > s->budget) {
        return s->must_stay ? error_set(error, SL_ERR_MEMORY, "the weights would not fit memory")
                            : place_streamed(s, a, error);
    }
    const bool packed = a->packing > 0 && a->whole + a->packing <= s->budget;
    a->place = packed ? SL_PLACE_REARRANGED : SL_PLACE_MAPPED;
    a->kept = s->file_bytes + (packed ? a->packing : 0);
    a->peak = a->whole + (packed ? a->packing : 0);
    return SL_OK;
}

/* SL_ERR_MEMORY: `a` has need, fixed and whole all the same. */
static sl_status arrange(const planner_subject *s, const sl_session_options *session, size_t count,
                         arrangement *a, sl_error *error) {
    *a = (arrangement){0};
    const sl_status status = session_need_make(s->p, session, count, &a->need, error);
    if (status != SL_OK) {
        return status;
    }
    a->pass_bytes = program_pass_bytes(s->p);
    a->fixed = s->base_bytes + s->tokenizer_bytes + vector_bytes(s->p) + a->need.kv_bytes +
               a->need.buffer_bytes;
    a->whole = a->fixed + s->file_bytes;
    a->packing = s->rearrange ? residency_plan_packing(s->p) : 0;
    if (a->need.kv_bytes > UINT64_MAX / 8 || a->need.buffer_bytes > UINT64_MAX / 8) {
        return error_set(error, SL_ERR_MEMORY, "keys and values would not fit any memory");
    }
    if (s->opening_bytes > s->budget) {
        return error_set(error, SL_ERR_MEMORY, "the vocabulary's tables would not fit memory");
    }
    const sl_status outcome = place_weights(s, a, error);
    a->peak = a->peak > s->opening_bytes ? a->peak : s->opening_bytes;
    return outcome;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* A pass: `count` rows of each of some sequences, which have `first` positions before them. */
typedef struct pass_rows {
    size_t sequences, first, count, outputs;
} pass_rows;

typedef struct pass_cost {
    double compute;            /* seconds */
    double waited;             /* for the disk, which reads while others compute */
    double memory, arithmetic; /* of the computing, at the bare limits */
} pass_cost;

typedef struct predictor {
    const planner_subject *s;
    const sl_figures *figures;
    const arrangement *a;
    double streamed_share; /* of the matrices' bytes */
} predictor;

/* Seconds of a matrix with n rows; 0: not known. */
static double product_seconds(const predictor *t, const weight_ref *ref, size_t n, double bare) {
    const bool packs = t->a->place != SL_PLACE_MAPPED && t->s->rearrange;
    const sl_kernel_figure *file = planner_kernel(t->figures, ref->type, false);
    const sl_kernel_figure *packed = planner_kernel(t->figures, ref->type, true);
    const sl_kernel_figure *kept = packs && packed ? packed : file ? file : packed;
    if (!kept) {
        return bare;
    }
    const double weights = (double)ref->n_out * (double)ref->n_in;
    const double in_memory = weight_seconds(kept, n), read = weight_seconds(file ? file : kept, n);
    return weights * ((1 - t->streamed_share) * in_memory + t->streamed_share * read);
}

static void add_linear(const predictor *t, const op *o, size_t n, pass_cost *cost) {
    for (size_t k = 0; k < o->as.linear.n_weight; k++) {
        const weight_ref *ref = program_weight(t->s->p, o->as.linear.weight[k]);
        const double bytes = (double)ref->n_out * (double)ref->row_stride;
        const double operations = 2 * (double)ref->n_out * (double)ref->n_in * (double)n;
        const double memory = seconds_at(bytes, t->figures->read.median);
        const double arithmetic = seconds_at(operations, arithmetic_limit(t->figures, ref->type));
        cost->memory += memory;
        cost->arithmetic += arithmetic;
        cost->compute += product_seconds(t, ref, n, larger(memory, arithmetic));
    }
}

/* Keys that all rows of a sequence look at together: row p sees p + 1 of them, at most `window`. */
static double keys_seen(const pass_rows *rows, size_t window) {
    const double first = (double)rows->first, n = (double)rows->count;
    if (window == 0 || rows->first + rows->count <= window) {
        return n * first + n * (n + 1) / 2;
    }
    if (rows->first >= window) {
        return n * (double)window;
    }
    const double before = (double)window - first;
    return before * first + before * (before + 1) / 2 + (n - before) * (double)window;
}

static void add_attention(const predictor *t, const op *o, const pass_rows *rows, pass_cost *cost) {
    const op_attention *h = &o->as.attention;
    const sl_session_options *session = t->s->session;
    const sl_attention_figure *a =
        planner_attention(t->figures, h, session->type_k, session->type_v);
    const double keys = (double)rows->sequences * keys_seen(rows, h->window);
    const bool few = rows->count <= FEW_ROWS;
    /* A sequence's keys are read once for many rows. */
    const size_t seen = rows->first + rows->count;
    const double read = few ? keys : (double)(h->window ? size_min(seen, h->window) : seen);
    const double layers = (double)t->s->p->kv_slots.count;
    const size_t positions = size_round_up(t->a->need.n_ctx, 32) * size_max(1, t->s->n_session);
    const double key_bytes = (double)t->a->need.kv_bytes / (double)positions / larger(layers, 1);
    const double memory = seconds_at(read * key_bytes, t->figures->read.median);
    const double operations = 2 * keys * (double)h->n_head * (double)(h->head_k + h->head_v);
    const double arithmetic = seconds_at(operations, t->figures->f32.median);
    const double rate = !a ? 0 : few ? a->one.median : a->many.median;
    cost->memory += memory;
    cost->arithmetic += arithmetic;
    cost->compute += rate > 0 ? keys / rate : larger(memory, arithmetic);
}

/* `times` passes that cost the same. */
static void add_passes(const predictor *t, const pass_rows *rows, size_t times, pass_cost *sum) {
    pass_cost cost = {0};
    const program *p = t->s->p;
    const size_t n = rows->sequences * rows->count;
    for (size_t i = 0; i < p->ops.count; i++) {
        const op *o = program_op(p, i);
        const slot_id slot = o->kind == OP_STORE_KV ? o->in : o->out;
        const size_t mine = program_slot(p, slot)->selected ? rows->outputs : n;
        if (mine == 0) {
            continue;
        }
        /* A product has two barriers, all else has one. */
        cost.compute += t->figures->operation.median * (o->kind == OP_LINEAR ? 1 : 0.5);
        if (o->kind == OP_LINEAR) {
            add_linear(t, o, mine, &cost);
        } else if (o->kind == OP_ATTENTION) {
            add_attention(t, o, rows, &cost);
        }
    }
    const uint64_t streamed = t->a->streamed - (rows->outputs == 0 ? t->a->output : 0);
    const double disk = seconds_at((double)streamed, t->figures->disk.median);
    sum->compute += (double)times * cost.compute;
    sum->waited += (double)times * larger(0, disk - cost.compute);
    sum->memory += (double)times * cost.memory;
    sum->arithmetic += (double)times * cost.arithmetic;
}

static sl_speed speed_of(const predictor *t, const pass_cost *sum, size_t tokens) {
    if (!(sum->compute > 0) || (t->a->streamed > 0 && !(t->figures->disk.median > 0))) {
        return (sl_speed){0};
    }
    return (sl_speed){
        .tokens_per_second = (double)tokens / (sum->compute + sum->waited),
        .limit = sum->waited > 0                 ? SL_LIMIT_DISK
                 : sum->memory > sum->arithmetic ? SL_LIMIT_MEMORY
                                                 : SL_LIMIT_ARITHMETIC,
    };
}

/* A prompt of n > 0 tokens from an empty context, in batches; the last token's logits are wanted.
 * Where there are very many batches, one stands for an odd number of neighbours, of which it is the
 * middle: what they cost grows evenly. */
static sl_speed prompt_speed(const predictor *t, size_t n) {
    pass_cost sum = {0};
    const size_t batch = t->a->need.n_batch, before_last = (n - 1) / batch;
    const size_t step = before_last / MOST_BATCHES / 2 * 2 + 1;
    for (size_t i = 0; i < before_last; i += step) {
        const size_t together = size_min(step, before_last - i);
        const pass_rows rows = {1, (i + (together - 1) / 2) * batch, batch, 0};
        add_passes(t, &rows, together, &sum);
    }
    const size_t first = before_last * batch;
    const pass_rows last = {1, first, n - first, 1};
    add_passes(t, &last, 1, &sum);
    return speed_of(t, &sum, n);
}

/* One token of each sequence, with `depth` before it. */
static sl_speed generation_speed(const predictor *t, size_t sequences, size_t depth) {
    pass_cost sum = {0};
    const pass_rows rows = {sequences, depth, 1, sequences};
    add_passes(t, &rows, 1, &sum);
    return speed_of(t, &sum, sequences);
}

static predictor predictor_of(const planner_subject *s, const sl_figures *figures,
                              const arrangement *a) {
    return (predictor){
        .s = s,
        .figures = figures,
        .a = a,
        .streamed_share = a->pass_bytes > 0 ? (double)a->streamed / (double)a->pass_bytes : 0,
    };
}

/* ---- advice --------------------------------------------------------------------------------- */

static unsigned long long mebibytes(uint64_t bytes) {
    return (unsigned long long)((bytes + (1 << 20) - 1) >> 20);
}

/* Whether a context works at all, or with all weights in memory. */
static bool context_works(const planner_subject *s, size_t n_ctx, bool whole) {
    sl_session_options session = *s->session;
    session.n_ctx = n_ctx;
    arrangement a;
    return arrange(s, &session, s->n_session, &a, NULL) == SL_OK &&
           (!whole || a.place != SL_PLACE_STREAMED);
}

/* The largest context below `most` that works; 0: none. */
static size_t largest_context(const planner_subject *s, size_t most, bool whole) {
    size_t low = 0, high = most;
    while (low + 1 < high) {
        const size_t middle = low + (high - low) / 2;
        if (context_works(s, middle, whole)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The least budget that works, to a MiB; the whole model's needs no streaming. */
static uint64_t least_budget(const planner_subject *s, const arrangement *failed) {
    planner_subject other = *s;
    const uint64_t enough = failed->whole > s->opening_bytes ? failed->whole : s->opening_bytes;
    uint64_t low = failed->fixed >> 20, high = (enough >> 20) + 1;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        arrangement a;
        other.budget = middle << 20;
        if (arrange(&other, s->session, s->n_session, &a, NULL) == SL_OK) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low << 20;
}

static sl_status refuse(const planner_subject *s, const arrangement *a, sl_error *error) {
    char advice[160] = "";
    size_t length = 0;
    const size_t context = largest_context(s, a->need.n_ctx, false);
    if (context > 0) {
        length = (size_t)snprintf(advice, sizeof advice, "; a context of %zu would fit", context);
    }
    planner_subject other = *s;
    sl_session_options session = *s->session;
    session.type_k = session.type_v = SL_KV_Q8_0;
    arrangement smaller;
    other.session = &session;
    if ((s->session->type_k < SL_KV_Q8_0 || s->session->type_v < SL_KV_Q8_0) &&
        arrange(&other, &session, s->n_session, &smaller, NULL) == SL_OK) {
        snprintf(advice + length, sizeof advice - length, "; so would keys and values in q8_0");
    }
    const uint64_t base = s->base_bytes + s->tokenizer_bytes;
    const char *const weights =
        s->must_stay ? "with all weights, which do not lie in rows and cannot be read as they are "
                       "used"
                     : "even with weights read from the file as they are used";
    return error_set(error, SL_ERR_MEMORY,
                     "needs at least %llu MiB of memory, %s (program and tokenizer %llu, keys and "
                     "values of %zu positions %llu, buffers %llu), but the budget is %llu MiB%s",
                     mebibytes(least_budget(s, a)), weights, mebibytes(base),
                     s->n_session * a->need.n_ctx, mebibytes(a->need.kv_bytes),
                     mebibytes(a->need.buffer_bytes), mebibytes(s->budget), advice);
}

/* ---- the plan ------------------------------------------------------------------------------- */

static void fill_memory(const planner_subject *s, const arrangement *a, sl_plan *plan) {
    plan->file_bytes = s->file_bytes;
    plan->pass_bytes = a->pass_bytes;
    plan->n_ctx = a->need.n_ctx;
    plan->n_ctx_train = s->p->n_ctx_train;
    plan->n_batch = a->need.n_batch;
    plan->n_session = s->n_session;
    plan->threads = a->need.threads;
    plan->n_prompt = size_min(PROMPT, a->need.n_ctx);
    plan->budget = s->budget;
    plan->base_bytes = s->base_bytes + vector_bytes(s->p);
    plan->tokenizer_bytes = s->tokenizer_bytes;
    plan->kv_bytes = a->need.kv_bytes;
    plan->kv_token_bytes = a->need.kv_bytes / (s->n_session * size_round_up(a->need.n_ctx, 32));
    plan->buffer_bytes = a->need.buffer_bytes;
    plan->place = a->place;
    plan->kept_bytes = a->kept;
    plan->ring_bytes = a->ring;
    plan->streamed_bytes = a->streamed;
    plan->peak_bytes = a->peak;
    plan->whole_bytes = a->whole;
    plan->whole_ctx =
        a->place != SL_PLACE_STREAMED ? a->need.n_ctx : largest_context(s, a->need.n_ctx, true);
}

/* What is read before the first pass: all, or what is kept and what no product uses. */
static double load_seconds(const planner_subject *s, const sl_figures *figures,
                           const arrangement *a) {
    const uint64_t streamed = a->place == SL_PLACE_STREAMED ? a->streamed : 0;
    const uint64_t read = s->file_bytes > streamed ? s->file_bytes - streamed : 0;
    const sl_spread *const first = &figures->disk_first;
    return seconds_at((double)read, first->median > 0 ? first->median : figures->disk.median);
}

static void fill_group(const planner_subject *s, const sl_figures *figures, size_t sequences,
                       sl_plan_group *group) {
    sl_session_options session = *s->session;
    planner_subject mine = *s;
    mine.session = &session;
    mine.n_session = sequences;
    arrangement a;
    *group = (sl_plan_group){.sequences = sequences};
    const sl_status status = arrange(&mine, &session, sequences, &a, NULL);
    if (status != SL_OK) {
        group->peak_bytes = status == SL_ERR_MEMORY ? least_budget(&mine, &a) : 0;
        return;
    }
    const predictor t = predictor_of(&mine, figures, &a);
    group->fits = true;
    group->peak_bytes = a.peak;
    group->streamed_bytes = a.streamed;
    group->first = generation_speed(&t, sequences, size_min(PROMPT, a.need.n_ctx - 1));
    group->full = generation_speed(&t, sequences, a.need.n_ctx - 1);
}

static sl_status make_quietly(const planner_subject *subject, const sl_figures *figures,
                              sl_plan *plan, sl_error *error) {
    arrangement a;
    const sl_status status = arrange(subject, subject->session, subject->n_session, &a, error);
    if (status == SL_ERR_MEMORY && a.fixed > 0) {
        return refuse(subject, &a, error);
    }
    if (status != SL_OK) {
        return status;
    }
    fill_memory(subject, &a, plan);
    const predictor t = predictor_of(subject, figures, &a);
    plan->load_seconds = load_seconds(subject, figures, &a);
    plan->prompt = prompt_speed(&t, plan->n_prompt);
    plan->prompt_full = prompt_speed(&t, plan->n_ctx);
    plan->first = generation_speed(&t, 1, size_min(PROMPT, plan->n_ctx - 1));
    plan->full = generation_speed(&t, 1, plan->n_ctx - 1);
    for (size_t i = 0; i < SL_PLAN_GROUPS; i++) {
        fill_group(subject, figures, (size_t)1 << i, &plan->groups[i]);
    }
    return SL_OK;
}

/* Sessions are tried with many options on the way; what is noted of the real one comes once. */
sl_status planner_make(const planner_subject *subject, const sl_figures *figures, sl_plan *plan,
                       sl_error *error) {
    sl_session_options session = *subject->session;
    session.notice = NULL;
    planner_subject quiet = *subject;
    quiet.session = &session;
    session_need need;
    const sl_status status = make_quietly(&quiet, figures, plan, error);
    return status == SL_OK
               ? session_need_make(subject->p, subject->session, subject->n_session, &need, error)
               : status;
}
