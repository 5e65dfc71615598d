/* batch_room.c - batch_room.h. */
#include "cli/batch_room.h"

#include "cli/cli.h"

size_t room_pages(const schedule *s, size_t positions) {
    return (positions + s->page - 1) / s->page;
}

static size_t free_pages(const schedule *s) {
    sl_session_pool pool;
    sl_session_get_pool(s->sessions[0], &pool);
    return pool.free / s->page;
}

size_t room_count(const schedule *s, slot_state state) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_slot; i++) {
        n += s->slots[i].state == state;
    }
    return n;
}

size_t room_collect_running(schedule *s) {
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
    return sl_session_wanted(s->contents, room_collect_running(s)) / s->page;
}

/* The same for those that wait. */
static size_t wanted_by_waiting(const schedule *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_slot; i++) {
        const slot *const l = &s->slots[i];
        n += l->state == SLOT_WAITING ? room_pages(s, l->count) - l->prefix / s->page : 0;
    }
    return n;
}

size_t room_most_pages(const schedule *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_slot; i++) {
        const slot *const l = &s->slots[i];
        n += l->state != SLOT_FREE ? room_pages(s, s->job->needs[l->index]) : 0;
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

void room_cut(slot *l, size_t count) {
    sl_session_cut(l->session, count);
    sl_session_info info;
    sl_session_get_info(l->session, &info);
    l->position = info.position;
}

bool room_drop_remains(const schedule *s, const slot *spared) {
    slot *oldest = NULL;
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        if (l->state == SLOT_FREE && l != spared && l->position > 0 &&
            (!oldest || l->turn < oldest->turn)) {
            oldest = l;
        }
    }
    if (oldest) {
        room_cut(oldest, 0);
    }
    return oldest;
}

bool room_is_there(schedule *s, size_t wanted) {
    const size_t n_running = room_count(s, SLOT_RUNNING);
    const size_t taken = wanted_by_running(s) + wanted_by_waiting(s) + n_running / 2;
    return taken + wanted <= free_pages(s);
}

/* ---- suspending ----------------------------------------------------------------------------- */

/* Empties a slot that is away, which is computed anew when it comes back. */
static void give_up(schedule *s, slot *l) {
    room_cut(l, 0);
    s->job->counts.given_up++;
}

static int suspend(schedule *s, slot *l) {
    l->state = SLOT_AWAY;
    if (s->spill_failed) {
        give_up(s, l);
        return CLI_DONE;
    }
    sl_error error = {0};
    if (sl_session_suspend(l->session, &error) != SL_OK) {
        return library_error(&error);
    }
    s->job->counts.suspended++;
    return CLI_DONE;
}

/* Where a slot that is away is by now; if `wait`, once it moves no more. One that could not be
 * moved is given up. */
static sl_session_place settle(schedule *s, slot *l, bool wait) {
    sl_session_place place;
    sl_error error = {0};
    if (sl_session_settle(l->session, wait, &place, &error) != SL_OK) {
        if (!s->spill_failed) {
            message("%s; from here on, requests that must wait for room are computed anew",
                    error.message);
        }
        s->spill_failed = true;
        give_up(s, l);
    }
    return place;
}

static bool is_moving(sl_session_place place) {
    return place == SL_SESSION_LEAVING || place == SL_SESSION_RETURNING;
}

/* Pages for a slot that is away to come back and go on. */
static size_t pages_to_return(const schedule *s, const slot *l) {
    return sl_session_away(l->session) / s->page + room_pages(s, l->count) -
           room_pages(s, l->position);
}

static bool make_room_to_return(schedule *s, const slot *l) {
    while (!room_is_there(s, pages_to_return(s, l))) {
        if (!room_drop_remains(s, NULL)) {
            /* If nobody else runs it comes back anyway, for it fits the pool alone. */
            return room_count(s, SLOT_RUNNING) + room_count(s, SLOT_WAITING) == 0 &&
                   sl_session_away(l->session) / s->page <= free_pages(s);
        }
    }
    return true;
}

/* Rule 3. */
int room_bring_back(schedule *s) {
    for (slot *l; (l = extreme(s, SLOT_AWAY, false));) {
        const sl_session_place place = settle(s, l, false);
        if (is_moving(place)) {
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

bool room_wait_for_move(schedule *s) {
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        if (l->state != SLOT_AWAY) {
            continue;
        }
        const uint64_t given_up = s->job->counts.given_up;
        if (is_moving(settle(s, l, false))) {
            (void)settle(s, l, true);
            return true;
        }
        if (s->job->counts.given_up > given_up) {
            return true; /* its move had failed */
        }
    }
    return false;
}

bool room_give_up_last(schedule *s) {
    slot *last = NULL;
    for (size_t i = 0; i < s->n_slot; i++) {
        slot *const l = &s->slots[i];
        if (l->state == SLOT_AWAY && l->position > 0 && (!last || l->turn > last->turn)) {
            last = l;
        }
    }
    if (last) {
        give_up(s, last);
    }
    return last;
}

/* Rules 1 and 2: afterwards the pool has pages for all that run. */
int room_make(schedule *s) {
    while (wanted_by_running(s) > free_pages(s)) {
        if (room_drop_remains(s, NULL)) {
            continue;
        }
        if (room_count(s, SLOT_RUNNING) > 1) {
            const int status = suspend(s, extreme(s, SLOT_RUNNING, true));
            if (status != CLI_DONE) {
                return status;
            }
            continue;
        }
        if (room_wait_for_move(s)) {
            continue;
        }
        if (!room_give_up_last(s)) {
            message("keys and values of one sequence do not fit the pool of %zu positions",
                    s->n_page * s->page);
            return CLI_FAILED;
        }
    }
    return CLI_DONE;
}
