/* batch_schedule.c - batch_schedule.h.
 *
 *     requests in line --admit--> slots --step--> logits --sample--> texts --finish--> results
 *                                  |  ^
 *                          suspend v  | bring back
 *                                spill file
 *
 * A slot is one of the group's sessions and the request that it computes. Each turn of the loop is
 * one pass over the weights for all slots that run: those that generate have one row in it, what
 * is left of the batch goes to prompts, or less (batch_group.c: rows_of_pass). A request begins as
 * soon as there is a slot and its prompt finds room in the pool of keys and values; how long its
 * text will be nobody knows, so that the pool may become full later; batch_room.h says what happens
 * then.
 *
 * A request that begins as another one does shares those pages: with what is computed already at
 * once; with a prompt that is still being computed, it waits for that. None of this changes a
 * result, for a token's logits depend on the tokens before it only, and each request has its own
 * random numbers.
 */
#include "cli/batch_schedule.h"

#include "cli/batch_group.h"
#include "cli/batch_room.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "os/console/console.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_SHARED = 16,  /* tokens that are worth a page's copy */
    WORTH_WAITING = 32, /* tokens that are worth waiting for another to compute them */
};

/* ---- beginning ------------------------------------------------------------------------------ */

static size_t common_prefix(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b) {
    const size_t most = n_a < n_b ? n_a : n_b;
    size_t n = 0;
    while (n < most && a[n] == b[n]) {
        n++;
    }
    return n;
}

/* What a prompt has in common with a slot. */
typedef struct match {
    slot *slot;
    size_t length; /* tokens */
} match;

/* The best match among slots that hold the tokens already (`now`), or will once they have computed
 * theirs; the slot that began first, of several. The last token is always computed, for its
 * logits. */
static match find_match(const schedule *s, const int32_t *tokens, size_t count, bool now) {
    match best = {NULL, 0};
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        const bool holds = l->state == SLOT_RUNNING || l->state == SLOT_FREE;
        const bool will = l->state == SLOT_RUNNING || l->state == SLOT_WAITING;
        if (now ? !holds : !will) {
            continue;
        }
        const size_t length =
            common_prefix(tokens, count - 1, l->tokens, now ? l->position : l->count);
        if (length > best.length ||
            (length == best.length && length > 0 && best.slot && l->turn < best.slot->turn)) {
            best = (match){l, length};
        }
    }
    return best;
}

/* The free slot to take: an empty one, else the one that ended first, `spared` last of all. NULL:
 * none is free. */
static slot *choose_slot(const schedule *s, slot *spared) {
    slot *best = NULL;
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        if (l->state != SLOT_FREE || l == spared) {
            continue;
        }
        const bool better = !best || (best->position > 0 && l->position == 0) ||
                            ((best->position > 0) == (l->position > 0) && l->turn < best->turn);
        best = better ? l : best;
    }
    return best ? best : spared && spared->state == SLOT_FREE ? spared : NULL;
}

/* Makes the first `length` tokens of `from` those of `to`, pages and all. */
static int share(schedule *s, slot *from, slot *to, size_t length) {
    if (from == to) {
        room_cut(to, length);
    } else {
        sl_error error = {0};
        if (sl_session_share(from->session, to->session, length, &error) != SL_OK) {
            return library_error(&error);
        }
        to->position = length;
    }
    s->job->counts.shared += length;
    return CLI_DONE;
}

static int make_sampler(schedule *s, slot *l) {
    batch_job *const job = s->job;
    batch_request *const r = &l->request;
    sl_sampler_options *const how = &r->sampling;
    size_t ends = 0;
    for (size_t i = 0; job->options->ignore_eos && i < job->info.n_vocab; i++) {
        ends += sl_token_is_end(job->model, (int32_t)i);
    }
    if (ends > 0) {
        sl_logit_bias *const grown = realloc(r->biases, (r->n_bias + ends) * sizeof *grown);
        if (!grown) {
            return usage_error("out of memory: %zu biases", r->n_bias + ends);
        }
        r->biases = grown;
        for (size_t i = 0; i < job->info.n_vocab; i++) {
            if (sl_token_is_end(job->model, (int32_t)i)) {
                r->biases[r->n_bias++] = (sl_logit_bias){(int32_t)i, -INFINITY};
            }
        }
    }
    how->n_ctx = job->n_ctx;
    how->logit_bias = r->biases;
    how->logit_bias_count = r->n_bias;
    sl_error error = {0};
    if (sl_sampler_create(job->info.n_vocab, how, &l->sampler, &error) != SL_OK ||
        sl_decoder_create(job->model, false, &l->decoder, &error) != SL_OK) {
        return library_error(&error);
    }
    for (size_t i = 0; i < l->count; i++) {
        const char *shown; /* decides whether the space in front of the first word is shown */
        sl_sampler_accept(l->sampler, l->tokens[i]);
        sl_decoder_add(l->decoder, l->tokens[i], &shown);
    }
    for (size_t i = 0; i < r->n_stop; i++) {
        const size_t length = r->stops[i].length;
        l->longest_stop = length > l->longest_stop ? length : l->longest_stop;
    }
    return CLI_DONE;
}

/* Gives the request in line to slot `l`, which begins with the tokens of `now`, or waits for those
 * of `later`. */
static int begin(schedule *s, slot *l, match now, match later) {
    const bool waits = later.length >= now.length + WORTH_WAITING;
    int status = CLI_DONE;
    if (!waits && now.length >= LEAST_SHARED) {
        status = share(s, now.slot, l, now.length);
    } else {
        room_cut(l, 0);
    }
    memcpy(l->tokens, s->pending_tokens, s->pending_count * sizeof *l->tokens);
    l->count = l->prompt_count = s->pending_count;
    l->request = s->pending;
    free(l->request.prompt.bytes); /* its tokens are all that is needed */
    free(l->request.tokens);
    l->request.prompt = (text){NULL, 0};
    l->request.tokens = NULL;
    l->index = s->next++;
    l->turn = ++s->turn;
    l->state = waits ? SLOT_WAITING : SLOT_RUNNING;
    l->leader = later.slot;
    l->leader_turn = waits ? later.slot->turn : 0;
    l->prefix = later.length;
    l->text_length = l->longest_stop = 0;
    s->has_pending = false;
    s->pending = (batch_request){0};
    free(s->pending_tokens);
    s->pending_tokens = NULL;
    return status == CLI_DONE ? make_sampler(s, l) : status;
}

/* Whether the request in line may begin now, in *place. Gives up remains for it where that helps.
 */
static bool find_place(schedule *s, slot **place, match *now, match *later) {
    for (;;) {
        *now = find_match(s, s->pending_tokens, s->pending_count, true);
        *later = find_match(s, s->pending_tokens, s->pending_count, false);
        *place = choose_slot(s, now->slot);
        if (!*place) {
            return false;
        }
        if (room_most_pages(s) + room_pages(s, s->job->needs[s->next]) <= s->n_page) {
            return true; /* whatever comes; room_make drops remains when it must */
        }
        const size_t shared = now->length > later->length ? now->length : later->length;
        const size_t whole = shared >= LEAST_SHARED ? shared / s->page : 0;
        if (room_is_there(s, room_pages(s, s->pending_count) - whole + 2)) {
            return true;
        }
        if (room_drop_remains(s, now->slot) || room_drop_remains(s, NULL)) {
            continue;
        }
        return room_count(s, SLOT_FREE) == s->n_slot; /* alone it fits */
    }
}

/* What results call the model. */
static const char *model_name(const batch_job *job) {
    return job->info.name[0] ? job->info.name : job->info.architecture;
}

static int add_result(schedule *s, const batch_request *r, const batch_outcome *how) {
    return batch_results_add(s->job->results, r, how) ? CLI_DONE : CLI_FAILED;
}

/* Parses the next request that is not done, and answers those that are refused or take no more than
 * their prompts. s->has_pending tells whether there is one. */
static int fetch_request(schedule *s) {
    batch_job *const job = s->job;
    while (!s->has_pending && s->next < job->input->count) {
        if (job->results->done[s->next]) {
            s->next++;
            continue;
        }
        batch_request *const r = &s->pending;
        if (!batch_request_parse(job->options, job->input, s->next, r)) {
            batch_request_free(r);
            return CLI_FAILED;
        }
        int status =
            batch_tokenize(job->options, job->model, r, &s->pending_tokens, &s->pending_count);
        /* One that has room for its prompt only, or wants no more, has its result already. */
        s->has_pending = status == CLI_DONE && job->needs[s->next] > s->pending_count;
        if (status == CLI_DONE && !s->has_pending) {
            const batch_outcome how = {.index = s->next++,
                                       .problem = r->problem[0] ? r->problem : NULL,
                                       .param = r->param,
                                       .text = "",
                                       .prompt_tokens = s->pending_count,
                                       .model = model_name(job)};
            job->counts.refused += r->problem[0] != '\0';
            status = add_result(s, r, &how);
        }
        if (!s->has_pending) {
            batch_request_free(r);
            free(s->pending_tokens);
            s->pending_tokens = NULL;
        }
        if (status != CLI_DONE) {
            return status;
        }
    }
    return CLI_DONE;
}

/* Begins requests as long as there are slots and room, unless others wait to come back. */
static int admit(schedule *s) {
    while (room_count(s, SLOT_AWAY) == 0) {
        const int status = fetch_request(s);
        slot *place;
        match now, later;
        if (status != CLI_DONE || !s->has_pending || !find_place(s, &place, &now, &later)) {
            return status;
        }
        const int begun = begin(s, place, now, later);
        if (begun != CLI_DONE) {
            return begun;
        }
    }
    return CLI_DONE;
}

/* Lets those run whose leader has computed what they wait for, or will not. Comes right behind a
 * pass, before a slot is used anew. */
static int follow(schedule *s) {
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        slot *const from = l->leader;
        if (l->state != SLOT_WAITING) {
            continue;
        }
        const bool same = from->turn == l->leader_turn;
        if (same && (from->state == SLOT_WAITING ||
                     (from->state == SLOT_RUNNING && from->position < l->prefix))) {
            continue;
        }
        l->state = SLOT_RUNNING;
        if (same && from->state == SLOT_RUNNING) {
            const int status = share(s, from, l, l->prefix);
            if (status != CLI_DONE) {
                return status;
            }
        }
    }
    return CLI_DONE;
}

/* ---- generating ----------------------------------------------------------------------------- */

static bool add_text(slot *l, const char *piece, size_t length) {
    if (length > l->text_room - l->text_length) {
        const size_t room = 2 * (l->text_length + length);
        char *const grown = realloc(l->text, room);
        if (!grown) {
            message("out of memory: a text of %zu bytes", room);
            return false;
        }
        l->text = grown;
        l->text_room = room;
    }
    if (length > 0) {
        memcpy(l->text + l->text_length, piece, length);
    }
    l->text_length += length;
    return true;
}

/* Cuts the text at the first stop text that is in it; only what begins near the last `fresh` bytes
 * has not been looked at. */
static bool cut_at_stop(slot *l, size_t fresh) {
    const size_t before = l->text_length - fresh;
    const size_t from = before > l->longest_stop ? before - l->longest_stop : 0;
    for (size_t at = from; at < l->text_length; at++) {
        for (size_t i = 0; i < l->request.n_stop; i++) {
            const text *const stop = &l->request.stops[i];
            if (stop->length <= l->text_length - at &&
                memcmp(l->text + at, stop->bytes, stop->length) == 0) {
                l->text_length = at;
                return true;
            }
        }
    }
    return false;
}

/* The slot's session keeps its tokens, for others that begin alike. */
static int finish(schedule *s, slot *l, bool stopped) {
    const batch_outcome how = {.index = l->index,
                               .text = l->text_length ? l->text : "",
                               .text_length = l->text_length,
                               .stopped = stopped,
                               .prompt_tokens = l->prompt_count,
                               .completion_tokens = l->count - l->prompt_count,
                               .model = model_name(s->job)};
    const int status = add_result(s, &l->request, &how);
    batch_request_free(&l->request);
    sl_sampler_free(l->sampler);
    sl_decoder_free(l->decoder);
    l->sampler = NULL;
    l->decoder = NULL;
    l->state = SLOT_FREE;
    l->turn = ++s->turn;
    return status;
}

/* Adds `length` bytes to the text; *stopped: a stop text has come. */
static bool extend(slot *l, const char *piece, size_t length, bool *stopped) {
    const bool good = add_text(l, piece, length);
    *stopped = good && cut_at_stop(l, length);
    return good;
}

/* The slot's logits are there: chooses the next token. */
static int choose(schedule *s, slot *l) {
    sl_error error = {0};
    int32_t token;
    if (sl_sampler_sample(l->sampler, sl_session_logits(l->session), &token, &error) != SL_OK) {
        return library_error(&error);
    }
    sl_sampler_accept(l->sampler, token);
    bool stopped = sl_token_is_end(s->job->model, token);
    bool full = false, good = true;
    const char *piece;
    if (!stopped) {
        l->tokens[l->count++] = token;
        s->job->counts.generated++;
        const size_t length = sl_decoder_add(l->decoder, token, &piece);
        good = extend(l, piece, length, &stopped);
        full = l->count - l->prompt_count >= l->request.max_tokens || l->count >= s->job->n_ctx;
    }
    if (good && (stopped || full)) {
        const size_t length = sl_decoder_finish(l->decoder, &piece);
        bool found = false;
        /* What the decoder held back comes behind a stop text, where one was found. */
        good = stopped && !sl_token_is_end(s->job->model, token) ? true
                                                                 : extend(l, piece, length, &found);
        return good ? finish(s, l, stopped || found) : CLI_FAILED;
    }
    return good ? CLI_DONE : CLI_FAILED;
}

/* ---- passes --------------------------------------------------------------------------------- */

static bool show_progress(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    (void)done;
    (void)total;
    const schedule *const s = user;
    const batch_counts *const c = &s->job->counts;
    const double seconds = console_seconds() - s->started;
    char remark[64];
    snprintf(remark, sizeof remark, "%.1f tokens/s", (double)c->generated / seconds);
    progress_remark(remark);
    return progress_update(NULL, "batch", s->job->results->n_done, s->job->input->count);
}

/* Gives those of the n slots of s->running that have prompts left what rows of the pass the others
 * do not take, in order. Returns how many are in s->contents then: at least one. */
static size_t spread_prompts(schedule *s, size_t n) {
    size_t left = s->pass_rows, count = 0;
    for (size_t i = 0; i < n; i++) {
        const slot *const l = s->running[i];
        left -= l->count - l->position <= 1 && left > 0;
    }
    for (size_t i = 0; i < n; i++) {
        const slot *const l = s->running[i];
        size_t rows = l->count - l->position;
        if (rows > 1) {
            rows = rows < left ? rows : left;
            left -= rows;
            if (rows == 0) {
                continue;
            }
        }
        s->contents[count++] = (sl_session_content){l->session, l->tokens, l->position + rows};
    }
    return count;
}

/* One pass for the n slots of s->running. */
static int run_pass(schedule *s, size_t n) {
    batch_counts *const counts = &s->job->counts;
    sl_error error = {0};
    const size_t n_content = spread_prompts(s, n);
    if (sl_session_step_group(s->contents, n_content, show_progress, s, &error) != SL_OK) {
        return error.status == SL_ERR_CANCELLED ? CLI_SIGNALLED + console_interrupted()
                                                : library_error(&error);
    }
    counts->passes++;
    for (size_t i = 0; i < n; i++) {
        slot *const l = s->running[i];
        sl_session_info info;
        sl_session_get_info(l->session, &info);
        const size_t moved = info.position - l->position;
        counts->together += moved > 0;
        const size_t of_prompt = l->position < l->prompt_count ? l->prompt_count - l->position : 0;
        counts->computed += moved < of_prompt ? moved : of_prompt;
        l->position = info.position;
    }
    return CLI_DONE;
}

/* One turn of the loop. */
static int turn(schedule *s) {
    int status = follow(s);
    if (status == CLI_DONE && (status = room_bring_back(s)) == CLI_DONE &&
        (status = admit(s)) == CLI_DONE) {
        status = room_make(s);
    }
    const size_t n = status == CLI_DONE ? room_collect_running(s) : 0;
    if (status == CLI_DONE && n == 0) {
        if (!room_wait_for_move(s)) {
            room_give_up_last(s);
        }
        return CLI_DONE;
    }
    if (status == CLI_DONE) {
        status = run_pass(s, n);
    }
    if (status == CLI_DONE) {
        status = follow(s); /* before a leader that ends now gives its place away */
    }
    for (size_t i = 0; i < n && status == CLI_DONE; i++) {
        slot *const l = s->running[i];
        if (l->position == l->count && sl_session_logits(l->session)) {
            status = choose(s, l);
        }
    }
    return status;
}

static int loop(schedule *s) {
    batch_results *const results = s->job->results;
    int status = CLI_DONE;
    while (status == CLI_DONE && results->n_done < s->job->input->count) {
        status = console_interrupted() ? CLI_SIGNALLED + console_interrupted() : turn(s);
        const int written = batch_results_write(results, false);
        status = status == CLI_DONE ? written : status;
    }
    const int written = batch_results_write(results, true);
    return status == CLI_DONE ? written : status;
}

int batch_compute(batch_job *job) {
    schedule s = {.job = job};
    int status = group_open(&s);
    if (status == CLI_DONE) {
        s.started = console_seconds();
        progress_begin(PROGRESS_REQUESTS);
        status = loop(&s);
        progress_end();
        job->counts.seconds = console_seconds() - s.started;
    }
    group_close(&s);
    return status;
}
