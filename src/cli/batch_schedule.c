/* batch_schedule.c - batch_schedule.h.
 *
 *     requests in line --admit--> slots --step--> logits --sample--> texts --finish--> results
 *                                  |  ^
 *                          suspend v  | bring back
 *                                spill file
 *
 * A slot is one of the group's sessions and the request that it computes. Each turn of the loop is
 * one pass over the weights for all slots that run: those that generate have one row in it, what
 * is left of the batch goes to prompts. A request begins as soon as there is a slot and its prompt
 * finds room in the pool of keys and values; how long its text will be nobody knows, so that the
 * pool may become full later. Then the rules are:
 *
 *   1. What finished requests left behind, kept for those that begin alike, goes first.
 *   2. Then the slot that began last is suspended, while those before it go on. So the oldest
 *      always goes on, and all end.
 *   3. Suspended slots come back, the oldest first, as soon as there is room for them and a little
 *      more, and before any new request begins.
 *
 * A request that begins as another one does shares those pages: with what is computed already at
 * once; with a prompt that is still being computed, it waits for that. None of this changes a
 * result, for a token's logits depend on the tokens before it only, and each request has its own
 * random numbers.
 */
#include "cli/batch_schedule.h"

#include "cli/cli.h"
#include "cli/open.h"
#include "cli/progress.h"
#include "os/console/console.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_PARALLEL = 128, /* where -np does not say: beyond it arithmetic counts, not reading */
    LEAST_SHARED = 16,   /* tokens that are worth a page's copy */
    WORTH_WAITING = 32,  /* tokens that are worth waiting for another to compute them */
};

typedef enum slot_state {
    SLOT_FREE,    /* may hold the tokens of what it computed last */
    SLOT_WAITING, /* for its leader to compute what both begin with */
    SLOT_RUNNING,
    SLOT_AWAY, /* suspended, or on the way there or back */
} slot_state;

typedef struct slot {
    sl_session *session;
    slot_state state;
    size_t index;  /* of the request */
    uint64_t turn; /* counts up as requests begin; of a free slot, as they end */
    batch_request request;
    int32_t *tokens; /* n_ctx: the prompt, then what is generated */
    size_t count, prompt_count;
    size_t position;     /* tokens that the session holds */
    struct slot *leader; /* of one that waits */
    uint64_t leader_turn;
    size_t prefix; /* tokens that both begin with */
    sl_sampler *sampler;
    sl_decoder *decoder;
    char *text;
    size_t text_length, text_room;
    size_t longest_stop;
} slot;

typedef struct schedule {
    batch_job *job;
    sl_session **sessions;
    slot *slots;
    size_t n_slot;
    sl_session_content *contents; /* n_slot: of the pass */
    slot **running;               /* n_slot: whose they are */
    size_t page, n_page;
    uint64_t turn;
    size_t next; /* request in line, maybe done already */
    /* The request in line, parsed, where it could not begin yet. */
    bool has_pending;
    batch_request pending;
    int32_t *pending_tokens;
    size_t pending_count;
    double started;
} schedule;

/* ---- tokens --------------------------------------------------------------------------------- */

static void refuse(batch_request *r, const char *param, const char *problem) {
    snprintf(r->problem, sizeof r->problem, "%s", problem);
    snprintf(r->param, sizeof r->param, "%s", param);
}

static bool known_tokens(const batch_job *job, batch_request *r, const int32_t *tokens,
                         size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] < 0 || (size_t)tokens[i] >= job->info.n_vocab) {
            char line[160];
            snprintf(line, sizeof line, "prompt: token %d is outside the vocabulary of %zu tokens",
                     tokens[i], job->info.n_vocab);
            refuse(r, "prompt", line);
            return false;
        }
    }
    for (size_t i = 0; i < r->n_bias; i++) {
        if ((size_t)r->biases[i].token >= job->info.n_vocab) {
            refuse(r, "logit_bias", "logit_bias: a token is outside the vocabulary");
            return false;
        }
    }
    return true;
}

/* As sl_tokenize gives it, or a copy of the request's own list. */
static int raw_tokens(const batch_job *job, const batch_request *r, int32_t **tokens,
                      size_t *count) {
    const cli_options *const o = job->options;
    const unsigned flags = (o->no_bos ? 0u : (unsigned)SL_TOKENIZE_BOS) |
                           (o->parse_special ? (unsigned)SL_TOKENIZE_SPECIAL : 0u);
    int32_t *made = NULL;
    sl_error error = {0};
    if (r->tokens) {
        *count = r->n_token;
    } else if (sl_tokenize(job->model, r->prompt.bytes, r->prompt.length, flags, &made, count,
                           &error) != SL_OK) {
        return library_error(&error);
    }
    *tokens = calloc(*count + 1, sizeof **tokens);
    if (!*tokens) {
        sl_free(made);
        return usage_error("out of memory: %zu tokens", *count);
    }
    memcpy(*tokens, made ? made : r->tokens, *count * sizeof **tokens);
    sl_free(made);
    return CLI_DONE;
}

int batch_tokenize(const batch_job *job, batch_request *request, int32_t **tokens, size_t *count) {
    *tokens = NULL;
    *count = 0;
    if (request->problem[0]) {
        return CLI_DONE;
    }
    const int status = raw_tokens(job, request, tokens, count);
    if (status != CLI_DONE || !known_tokens(job, request, *tokens, *count)) {
        return status;
    }
    /* An empty prompt begins with BOS, for there must be a token to go on from. */
    const int32_t bos = sl_token_bos(job->model);
    if (*count == 0 && !job->options->no_bos && bos >= 0) {
        (*tokens)[(*count)++] = bos;
    } else if (*count == 0) {
        refuse(request, "prompt", "prompt: expected at least one token to go on from");
    }
    const size_t own = job->info.n_ctx_train;
    const size_t most = job->options->ctx > 0 ? (size_t)job->options->ctx : own;
    if (*count > most) {
        char line[160];
        snprintf(line, sizeof line,
                 "the prompt has %zu tokens and does not fit into the context of %zu", *count,
                 most);
        refuse(request, "prompt", line);
    }
    return CLI_DONE;
}

/* ---- room ----------------------------------------------------------------------------------- */

static size_t pages(const schedule *s, size_t positions) {
    return (positions + s->page - 1) / s->page;
}

static size_t free_pages(const schedule *s) {
    sl_session_pool pool;
    sl_session_get_pool(s->sessions[0], &pool);
    return pool.free / s->page;
}

static size_t count_state(const schedule *s, slot_state state) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_slot; i++) {
        n += s->slots[i].state == state;
    }
    return n;
}

/* Collects what runs; returns how many. In the order of their beginning, so that prompts are
 * computed one after the other. */
static size_t collect_running(schedule *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        if (l->state != SLOT_RUNNING) {
            continue;
        }
        size_t at = n++;
        for (; at > 0 && s->running[at - 1]->turn > l->turn; at--) {
            s->running[at] = s->running[at - 1];
        }
        s->running[at] = l;
    }
    for (size_t i = 0; i < n; i++) {
        const slot *const l = s->running[i];
        s->contents[i] = (sl_session_content){l->session, l->tokens, l->count};
    }
    return n;
}

/* Pages that slots which run take from the pool until their tokens are computed. */
static size_t wanted_by_running(schedule *s) {
    return sl_session_wanted(s->contents, collect_running(s)) / s->page;
}

/* The same for those that wait. */
static size_t wanted_by_waiting(const schedule *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_slot; i++) {
        const slot *const l = &s->slots[i];
        n += l->state == SLOT_WAITING ? pages(s, l->count) - l->prefix / s->page : 0;
    }
    return n;
}

/* Pages that all requests under way need at most, sharing nothing. */
static size_t most_pages(const schedule *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_slot; i++) {
        const slot *const l = &s->slots[i];
        n += l->state != SLOT_FREE ? pages(s, s->job->needs[l->index]) : 0;
    }
    return n;
}

/* The slot in `state` that began, or ended, first or last; NULL: there is none. */
static slot *extreme(const schedule *s, slot_state state, bool last) {
    slot *found = NULL;
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        if (l->state == state && (!found || (l->turn > found->turn) == last)) {
            found = l;
        }
    }
    return found;
}

static void cut(slot *l, size_t count) {
    sl_session_cut(l->session, count);
    sl_session_info info;
    sl_session_get_info(l->session, &info);
    l->position = info.position;
}

/* Gives up what the slot that ended first holds, but not that of `spared`. Returns false if there
 * is nothing more. */
static bool drop_remains(const schedule *s, const slot *spared) {
    slot *oldest = NULL;
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        if (l->state == SLOT_FREE && l != spared && l->position > 0 &&
            (!oldest || l->turn < oldest->turn)) {
            oldest = l;
        }
    }
    if (oldest) {
        cut(oldest, 0);
    }
    return oldest;
}

/* What the slots that run do not need at once, and others may take: one page in reserve for every
 * two of them, so that who begins is not soon suspended again. */
static bool has_room(schedule *s, size_t wanted) {
    const size_t n_running = count_state(s, SLOT_RUNNING);
    const size_t taken = wanted_by_running(s) + wanted_by_waiting(s) + n_running / 2;
    return taken + wanted <= free_pages(s);
}

/* ---- suspending ----------------------------------------------------------------------------- */

static int suspend(schedule *s, slot *l) {
    sl_error error = {0};
    if (sl_session_suspend(l->session, &error) != SL_OK) {
        return library_error(&error);
    }
    l->state = SLOT_AWAY;
    s->job->counts.suspended++;
    return CLI_DONE;
}

static int settle(const slot *l, bool wait, sl_session_place *place) {
    sl_error error = {0};
    if (sl_session_settle(l->session, wait, place, &error) != SL_OK) {
        (void)library_error(&error);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

/* Pages for a slot that is away to come back and go on. */
static size_t pages_to_return(const schedule *s, const slot *l) {
    return sl_session_away(l->session) / s->page + pages(s, l->count) - pages(s, l->position);
}

static bool make_room_to_return(schedule *s, const slot *l) {
    while (!has_room(s, pages_to_return(s, l))) {
        if (!drop_remains(s, NULL)) {
            /* If nobody else runs it comes back anyway, for it fits the pool alone. */
            return count_state(s, SLOT_RUNNING) + count_state(s, SLOT_WAITING) == 0 &&
                   sl_session_away(l->session) / s->page <= free_pages(s);
        }
    }
    return true;
}

/* Rule 3. */
static int bring_back(schedule *s) {
    for (slot *l; (l = extreme(s, SLOT_AWAY, false));) {
        sl_session_place place;
        int status = settle(l, false, &place);
        if (status != CLI_DONE) {
            return status;
        }
        if (place == SL_SESSION_LEAVING || place == SL_SESSION_RETURNING) {
            return CLI_DONE;
        }
        if (place == SL_SESSION_HERE && l->position > 0) {
            l->state = SLOT_RUNNING; /* room was made when its return began */
            continue;
        }
        if (!make_room_to_return(s, l)) {
            return CLI_DONE;
        }
        sl_error error = {0};
        if (place == SL_SESSION_HERE) {
            l->state = SLOT_RUNNING; /* dropped: it is computed anew */
        } else if (sl_session_resume(l->session, &error) != SL_OK) {
            return library_error(&error);
        }
    }
    return CLI_DONE;
}

/* Waits for one of the moves under way; *waited: whether there was one. */
static int wait_for_move(const schedule *s, bool *waited) {
    *waited = false;
    for (size_t i = 0; i < s->n_slot && !*waited; i++) {
        const slot *const l = &s->slots[i];
        sl_session_place place = SL_SESSION_HERE;
        int status = l->state == SLOT_AWAY ? settle(l, false, &place) : CLI_DONE;
        if (status == CLI_DONE && (place == SL_SESSION_LEAVING || place == SL_SESSION_RETURNING)) {
            *waited = true;
            status = settle(l, true, &place);
        }
        if (status != CLI_DONE) {
            return status;
        }
    }
    return CLI_DONE;
}

/* Slots that are away hold pages that they share with each other. Where those are in the way, the
 * last one gives up all that it has, and computes it anew one day. Returns false if none has any.
 */
static bool give_up_last(const schedule *s) {
    slot *last = NULL;
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        if (l->state == SLOT_AWAY && l->position > 0 && (!last || l->turn > last->turn)) {
            last = l;
        }
    }
    if (last) {
        cut(last, 0);
    }
    return last;
}

/* Rules 1 and 2: afterwards the pool has pages for all that run. */
static int make_room(schedule *s) {
    while (wanted_by_running(s) > free_pages(s)) {
        if (drop_remains(s, NULL)) {
            continue;
        }
        if (count_state(s, SLOT_RUNNING) > 1) {
            const int status = suspend(s, extreme(s, SLOT_RUNNING, true));
            if (status != CLI_DONE) {
                return status;
            }
            continue;
        }
        bool waited;
        const int status = wait_for_move(s, &waited);
        if (status != CLI_DONE) {
            return status;
        }
        if (waited) {
            continue;
        }
        if (!give_up_last(s)) {
            message("keys and values of one sequence do not fit the pool of %zu positions",
                    s->n_page * s->page);
            return CLI_FAILED;
        }
    }
    return CLI_DONE;
}

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
        cut(to, length);
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
        cut(l, 0);
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
        if (most_pages(s) + pages(s, s->job->needs[s->next]) <= s->n_page) {
            return true; /* whatever comes; make_room drops remains when it must */
        }
        const size_t shared = now->length > later->length ? now->length : later->length;
        const size_t whole = shared >= LEAST_SHARED ? shared / s->page : 0;
        if (has_room(s, pages(s, s->pending_count) - whole + 2)) {
            return true;
        }
        if (drop_remains(s, now->slot) || drop_remains(s, NULL)) {
            continue;
        }
        return count_state(s, SLOT_FREE) == s->n_slot; /* alone it fits */
    }
}

static int add_result(schedule *s, const batch_request *r, const batch_outcome *how) {
    return batch_results_add(s->job->results, r, how) ? CLI_DONE : CLI_FAILED;
}

/* Parses the next request that is not done, and answers those that are refused. s->has_pending
 * tells whether there is one. */
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
        int status = batch_tokenize(job, r, &s->pending_tokens, &s->pending_count);
        s->has_pending = status == CLI_DONE && !r->problem[0] && r->max_tokens > 0;
        if (status == CLI_DONE && !s->has_pending) {
            const batch_outcome how = {.index = s->next++,
                                       .problem = r->problem[0] ? r->problem : NULL,
                                       .param = r->param,
                                       .text = "",
                                       .prompt_tokens = s->pending_count,
                                       .model = job->info.name};
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
    while (count_state(s, SLOT_AWAY) == 0) {
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
                               .model = s->job->info.name};
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

/* One pass for the n slots of s->running. */
static int run_pass(schedule *s, size_t n) {
    batch_counts *const counts = &s->job->counts;
    sl_error error = {0};
    if (sl_session_step_group(s->contents, n, show_progress, s, &error) != SL_OK) {
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
    if (status == CLI_DONE && (status = bring_back(s)) == CLI_DONE &&
        (status = admit(s)) == CLI_DONE) {
        status = make_room(s);
    }
    const size_t n = status == CLI_DONE ? collect_running(s) : 0;
    if (status == CLI_DONE && n == 0) {
        bool waited;
        status = wait_for_move(s, &waited);
        if (status == CLI_DONE && !waited) {
            give_up_last(s);
        }
        return status;
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

/* ---- the group ------------------------------------------------------------------------------ */

static int descending(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x < y) - (x > y);
}

/* Positions that `parallel` requests take at most, those that take most, each in whole pages and
 * with one for a copy. From needs in descending order. */
static size_t most_positions(const size_t *needs, size_t count, size_t parallel) {
    enum { PAGE = 32 }; /* about: the library rounds as it must */
    size_t sum = 2 * PAGE;
    for (size_t i = 0; i < count && i < parallel && needs[i] > 0; i++) {
        sum += (needs[i] + 2 * PAGE - 1) / PAGE * PAGE;
    }
    return sum;
}

/* The folder of the output, from malloc; NULL: memory is out. */
static char *folder_of(const char *path) {
    const char *const slash = strrchr(path, '/');
    const size_t length = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
    char *const folder = malloc(length + 2);
    if (folder) {
        memcpy(folder, slash ? path : ".", slash ? length : 1);
        folder[slash ? length : 1] = '\0';
    }
    return folder;
}

/* Opens the group with the largest pool that fits the budget, and at least half of what its slots
 * may come to need; with fewer slots where that is too much. */
static int open_sessions(schedule *s, const size_t *needs, size_t count, const char *folder) {
    const cli_options *const o = s->job->options;
    sl_session_options how;
    sl_session_options_init(&how);
    how.n_ctx = s->job->n_ctx;
    how.n_batch = (size_t)o->batch;
    how.threads = (size_t)o->threads;
    how.type_k = (sl_kv_type)o->type_k;
    how.type_v = (sl_kv_type)o->type_v;
    how.notice = print_notice;
    const size_t least = most_positions(needs, count, 1);
    if (o->pool > 0 && (size_t)o->pool < least) {
        message("--pool: one request may take up to %zu positions; the pool has %zu", s->job->n_ctx,
                least);
    }
    const size_t wanted = o->most_parallel > 0 ? (size_t)o->most_parallel : MOST_PARALLEL;
    sl_error error = {0};
    for (size_t n = wanted < count ? wanted : count; n > 0; n /= 2) {
        const size_t full = most_positions(needs, count, n);
        for (size_t eighths = 8; eighths >= 4; eighths--) {
            size_t pool = full / 8 * eighths;
            if (o->pool > 0 && pool > (size_t)o->pool) {
                pool = (size_t)o->pool;
            }
            how.pool_positions = pool > least ? pool : least;
            how.spill_directory = how.pool_positions < full ? folder : NULL;
            const sl_status status =
                sl_session_create_group(s->job->model, &how, n, s->sessions, &error);
            how.notice = NULL; /* once is enough */
            if (status == SL_OK) {
                s->n_slot = n;
                if (o->most_parallel > 0 && n < wanted && n < count) {
                    message("memory has room for %zu sequences at a time, not for %zu", n, wanted);
                }
                return CLI_DONE;
            }
            if (status != SL_ERR_MEMORY) {
                return library_error(&error);
            }
        }
    }
    const size_t length = strlen(error.message);
    snprintf(error.message + length, sizeof error.message - length, " (-c, -n, -ctk, -ctv)");
    return library_error(&error);
}

static int open_slots(schedule *s) {
    batch_job *const job = s->job;
    batch_counts *const counts = &job->counts;
    s->slots = calloc(s->n_slot, sizeof *s->slots);
    s->contents = calloc(s->n_slot, sizeof *s->contents);
    s->running = calloc(s->n_slot, sizeof *s->running);
    if (!s->slots || !s->contents || !s->running) {
        return usage_error("out of memory: %zu sequences", s->n_slot);
    }
    for (size_t i = 0; i < s->n_slot; i++) {
        s->slots[i].session = s->sessions[i];
        s->slots[i].tokens = calloc(job->n_ctx, sizeof *s->slots[i].tokens);
        if (!s->slots[i].tokens) {
            return usage_error("out of memory: a context of %zu tokens", job->n_ctx);
        }
    }
    sl_session_pool pool;
    sl_session_get_pool(s->sessions[0], &pool);
    sl_session_info info;
    sl_session_get_info(s->sessions[0], &info);
    s->page = pool.page;
    s->n_page = pool.total / pool.page;
    counts->parallel = s->n_slot;
    counts->pool = pool.total;
    counts->planned_memory = info.planned_bytes;
    open_describe(job->options, job->model, s->sessions[0]);
    return CLI_DONE;
}

static int open_schedule(schedule *s) {
    const batch_job *const job = s->job;
    size_t count = 0;
    size_t *const needs = calloc(job->input->count, sizeof *needs);
    char *const folder =
        job->options->spill_dir ? strdup(job->options->spill_dir) : folder_of(job->options->output);
    int status = CLI_DONE;
    if (!needs || !folder) {
        status = usage_error("out of memory: %zu requests", job->input->count);
    }
    for (size_t i = 0; status == CLI_DONE && i < job->input->count; i++) {
        if (!job->results->done[i] && job->needs[i] > 0) {
            needs[count++] = job->needs[i];
        }
    }
    if (status == CLI_DONE) {
        count = count > 0 ? count : 1; /* all are refused: a group of one does */
        qsort(needs, count, sizeof *needs, descending);
        s->sessions = calloc(count < 65536 ? count : 65536, sizeof *s->sessions);
        status = s->sessions ? open_sessions(s, needs, count, folder)
                             : usage_error("out of memory: %zu requests", count);
    }
    free(needs);
    free(folder);
    return status == CLI_DONE ? open_slots(s) : status;
}

static void close_schedule(schedule *s) {
    for (size_t i = 0; i < s->n_slot; i++) {
        if (s->slots) {
            slot *const l = &s->slots[i];
            batch_request_free(&l->request);
            sl_sampler_free(l->sampler);
            sl_decoder_free(l->decoder);
            free(l->tokens);
            free(l->text);
        }
        sl_session_free(s->sessions[i]);
    }
    batch_request_free(&s->pending);
    free(s->pending_tokens);
    free(s->slots);
    free(s->contents);
    free(s->running);
    free(s->sessions);
}

int batch_compute(batch_job *job) {
    schedule s = {.job = job};
    int status = open_schedule(&s);
    if (status == CLI_DONE) {
        s.started = console_seconds();
        progress_begin(PROGRESS_REQUESTS);
        status = loop(&s);
        progress_end();
        job->counts.seconds = console_seconds() - s.started;
    }
    close_schedule(&s);
    return status;
}
