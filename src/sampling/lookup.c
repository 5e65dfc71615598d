#include "sampling/lookup.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <math.h>
#include <stdlib.h>

/* Slots that are looked at for a sequence of tokens before it takes another one's place: hostile
 * texts, whose sequences share their slots, make the index forget and not slow. */
enum { MOST_PROBES = 32 };

/* Classes of places, by the tokens that agree: 1, 2, 3, 4 to 7, 8 to 15, and LOOKUP_AGREED. */
enum { CLASSES = 6 };

/* Passes of more rows are taken to cost what row_cost says; of fewer, at most so many times as much
 * or as little: what is more is noise. */
enum { UNEVEN_ROWS = 17 };
static const double most_uneven = 1.5;

/* How much a new observation counts: of a place's class; of the time of a pass, for any number of
 * rows and for its own; and how much of what was learned of a number of rows goes with each pass of
 * another, so that what is avoided is tried again. Simulated on prose, code, diffs and JSON with
 * measured times, also with half as much noise again. */
static const float hit_rate = 1.0f / 32;
static const double time_rate = 1.0 / 16, uneven_rate = 1.0 / 8, forget_rate = 1.0 / 256;

/* The most that a row may seem to cost: with more nothing would be drafted ever again, and so no
 * pass be timed that shows otherwise. */
static const double most_row_cost = 0.9;

/* Where the weights are in memory a row costs this much of a pass, and less where they must be read
 * from a disk, which is about so many times slower. */
static const double memory_row_cost = 0.25, disk_slowness = 10;

struct sl_lookup {
    sl_lookup_options options;
    int32_t *tokens; /* n_ctx */
    size_t count;
    /* For each length of sequence, by hash: where the last sequence of those tokens ended, as the
     * number of tokens up to there; 0: nowhere. */
    uint32_t *ends[LOOKUP_GRAM];
    size_t slots;
    uint32_t *before; /* n_ctx + 1: the end before such an end of a longest sequence; 0: none */
    size_t next;      /* the token that is expected now */
    size_t agreed;    /* tokens before it that agree with the text's end; 0: nothing is expected */
    float hits[CLASSES];
    double row_cost;
    double one_row_seconds; /* 0: not known yet */
    /* For passes of so many rows: their time as a share of what row_cost says. Kernels take rows in
     * groups, so that three may cost more than four. */
    double uneven[UNEVEN_ROWS + 1];
};

void sl_lookup_options_init(sl_lookup_options *options) {
    *options = (sl_lookup_options){.n_draft = 16, .row_cost = memory_row_cost};
}

double sl_lookup_row_cost(const sl_model_info *model) {
    const double all = fmax((double)model->bytes_per_token, 1);
    const double streamed = fmin((double)model->streamed_bytes, all);
    return memory_row_cost * all / (all + (disk_slowness - 1) * streamed);
}

/* ---- making --------------------------------------------------------------------------------- */

static size_t slots_for(size_t n_ctx) {
    return n_ctx + n_ctx / 2 + 1;
}

uint64_t sl_lookup_bytes(const sl_lookup_options *options) {
    const uint64_t n_ctx = size_min(options->n_ctx, LIMIT_CONTEXT);
    return sizeof(sl_lookup) + n_ctx * sizeof(int32_t) + (n_ctx + 1) * sizeof(uint32_t) +
           (uint64_t)LOOKUP_GRAM * slots_for(n_ctx) * sizeof(uint32_t);
}

static sl_status check_options(const sl_lookup_options *o, sl_error *error) {
    if (o->n_ctx < 1 || o->n_ctx > LIMIT_CONTEXT) {
        return error_set(error, SL_ERR_ARGUMENT, "n_ctx: expected 1 to %u, found %zu",
                         LIMIT_CONTEXT, o->n_ctx);
    }
    if (o->n_draft < 1 || o->n_draft > LIMIT_DRAFT) {
        return error_set(error, SL_ERR_ARGUMENT, "n_draft: expected 1 to %u, found %zu",
                         LIMIT_DRAFT, o->n_draft);
    }
    if (!(o->row_cost >= 0) || !isfinite(o->row_cost)) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "row_cost: expected a finite number of at least 0, found %g", o->row_cost);
    }
    return SL_OK;
}

static double bounded_cost(double cost) {
    return fmin(fmax(cost, 0), most_row_cost);
}

sl_status sl_lookup_create(const sl_lookup_options *options, sl_lookup **lookup, sl_error *error) {
    const sl_status status = check_options(options, error);
    if (status != SL_OK) {
        return status;
    }
    sl_lookup *l = calloc(1, sizeof *l);
    bool made = l;
    if (l) {
        l->options = *options;
        l->slots = slots_for(options->n_ctx);
        l->tokens = calloc(options->n_ctx, sizeof *l->tokens);
        l->before = calloc(options->n_ctx + 1, sizeof *l->before);
        made = l->tokens && l->before;
        for (size_t i = 0; i < LOOKUP_GRAM; i++) {
            l->ends[i] = calloc(l->slots, sizeof *l->ends[i]);
            made = made && l->ends[i];
        }
    }
    if (!made) {
        sl_lookup_free(l);
        return error_memory(error, "a lookup", (size_t)sl_lookup_bytes(options));
    }
    /* What texts of many kinds begin with; a text's own shares follow within some tokens. */
    static const float first_hits[CLASSES] = {0.1f, 0.25f, 0.4f, 0.6f, 0.8f, 0.9f};
    for (size_t i = 0; i < CLASSES; i++) {
        l->hits[i] = first_hits[i];
    }
    for (size_t i = 0; i <= UNEVEN_ROWS; i++) {
        l->uneven[i] = 1;
    }
    l->row_cost = bounded_cost(options->row_cost);
    *lookup = l;
    return SL_OK;
}

void sl_lookup_free(sl_lookup *lookup) {
    if (lookup) {
        for (size_t i = 0; i < LOOKUP_GRAM; i++) {
            free(lookup->ends[i]);
        }
        free(lookup->before);
        free(lookup->tokens);
        free(lookup);
    }
}

/* ---- the place ------------------------------------------------------------------------------ */

/* Tokens that agree before `a` and before `b`, up to `most`, which is at most either. */
static size_t agreement(const int32_t *tokens, size_t a, size_t b, size_t most) {
    size_t agreed = 0;
    while (agreed < most && tokens[a - 1 - agreed] == tokens[b - 1 - agreed]) {
        agreed++;
    }
    return agreed;
}

/* Makes the text's end the last one of the sequence of its last n tokens. Returns where that ended
 * before; 0: nowhere, or it is forgotten. */
static size_t visit(sl_lookup *l, size_t n) {
    uint64_t hash = 0;
    for (size_t i = l->count - n; i < l->count; i++) {
        hash = (hash ^ (uint32_t)l->tokens[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    uint32_t *const ends = l->ends[n - 1];
    const size_t home = (size_t)((hash & UINT32_MAX) * l->slots >> 32);
    size_t slot = home;
    for (size_t i = 0; i < MOST_PROBES; i++) {
        const uint32_t end = ends[slot];
        if (end == 0 || agreement(l->tokens, end, l->count, n) == n) {
            ends[slot] = (uint32_t)l->count;
            return end;
        }
        slot = slot + 1 == l->slots ? 0 : slot + 1;
    }
    ends[home] = (uint32_t)l->count;
    return 0;
}

/* Expects what followed at `end` if more tokens agree there than where we are now, or as many:
 * places come from the last one to the first, behind the one that was followed so far. */
static void consider(sl_lookup *l, size_t end, bool even_if_equal) {
    const size_t agreed = agreement(l->tokens, end, l->count, size_min(end, LOOKUP_AGREED));
    if (agreed > l->agreed || (agreed == l->agreed && even_if_equal)) {
        l->agreed = agreed;
        l->next = end;
    }
}

static void find_place(sl_lookup *l) {
    size_t found = 0;
    for (size_t n = size_min(LOOKUP_GRAM, l->count); n >= 1; n--) {
        const size_t end = visit(l, n);
        if (n == LOOKUP_GRAM) {
            l->before[l->count] = (uint32_t)end;
        }
        if (end && !found) {
            found = end;
            consider(l, end, true);
        }
    }
    size_t end = l->count < LOOKUP_GRAM ? 0 : l->before[l->count];
    for (size_t i = 1; i < LOOKUP_WALK && end && l->agreed < LOOKUP_AGREED; i++) {
        end = l->before[end];
        if (end) {
            consider(l, end, false);
        }
    }
}

/* ---- how sure it is ------------------------------------------------------------------------- */

static size_t class_of(size_t agreed) {
    return agreed < 4 ? agreed - 1 : agreed < 8 ? 3 : agreed < LOOKUP_AGREED ? 4 : 5;
}

void sl_lookup_accept(sl_lookup *lookup, int32_t token) {
    sl_lookup *l = lookup;
    if (l->count == l->options.n_ctx) {
        l->agreed = 0;
        return;
    }
    if (l->agreed > 0) {
        const bool hit = l->tokens[l->next] == token;
        float *const hits = &l->hits[class_of(l->agreed)];
        *hits += hit_rate * ((hit ? 1.0f : 0.0f) - *hits);
        l->agreed = hit ? size_min(l->agreed + 1, LOOKUP_AGREED) : 0;
        l->next++;
    }
    l->tokens[l->count++] = token;
    find_place(l);
}

/* The time of a pass of 1 + `drafted` rows, in passes of one row. */
static double cost_of(const sl_lookup *l, size_t drafted) {
    const double even = 1 + (double)drafted * l->row_cost;
    return drafted < UNEVEN_ROWS ? even * l->uneven[drafted + 1] : even;
}

/* How many tokens to draft, at most `most`: as many as give the most for their time. */
static size_t choose_length(const sl_lookup *l, size_t most) {
    double survival = 1, expected = 1, best = 1;
    size_t length = 0;
    for (size_t i = 0; i < most; i++) {
        survival *= l->hits[class_of(l->agreed + i)];
        expected += survival;
        const double gain = expected / cost_of(l, i + 1);
        if (gain > best) {
            best = gain;
            length = i + 1;
        }
    }
    return length;
}

size_t sl_lookup_draft(const sl_lookup *lookup, int32_t *draft, size_t room) {
    const sl_lookup *l = lookup;
    if (l->agreed == 0) {
        return 0;
    }
    const size_t length = choose_length(l, size_min(room, l->options.n_draft));
    for (size_t i = 0; i < length; i++) {
        /* What repeats itself goes on behind the text's end with what was drafted. */
        const size_t at = l->next + i;
        draft[i] = at < l->count ? l->tokens[at] : draft[at - l->count];
    }
    return length;
}

/* A pass of several rows took so many times as long as one of one row. */
static void learn_costs(sl_lookup *l, size_t rows, double times) {
    const double drafted = (double)(rows - 1);
    l->row_cost += time_rate * (bounded_cost((times - 1) / drafted) - l->row_cost);
    for (size_t i = 2; i <= UNEVEN_ROWS; i++) {
        l->uneven[i] += forget_rate * (1 - l->uneven[i]);
    }
    if (rows <= UNEVEN_ROWS) {
        const double here =
            fmin(fmax(times / (1 + drafted * l->row_cost), 1 / most_uneven), most_uneven);
        l->uneven[rows] += uneven_rate * (here - l->uneven[rows]);
    }
}

void sl_lookup_timed(sl_lookup *lookup, size_t rows, double seconds) {
    sl_lookup *l = lookup;
    if (rows < 1 || !(seconds > 0) || !isfinite(seconds)) {
        return;
    }
    if (rows == 1) {
        const double before = l->one_row_seconds;
        l->one_row_seconds = before > 0 ? before + time_rate * (seconds - before) : seconds;
    } else if (l->one_row_seconds > 0) {
        learn_costs(l, rows, seconds / l->one_row_seconds);
    }
}
