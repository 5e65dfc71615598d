/* session_pool.c - session.h: keys and values of a group's sessions: cut, shared, counted, put into
 * the spill file and fetched back. */
#include "base/error.h"
#include "base/size.h"
#include "engine/session.h"
#include "ops/attention.h"

#include <string.h>

void session_cut_back(sl_session *s, size_t length) {
    kv_truncate(executor_kv(s->group->runner), s->sequence, length);
    s->position = length;
    s->logits_run = 0;
}

bool session_is_here(const sl_session *s) {
    return !s->group->spill || spill_where(s->group->spill, s->sequence) == SPILL_HERE;
}

sl_status session_check_here(const sl_session *s, sl_error *error) {
    return session_is_here(s) ? SL_OK
                              : error_set(error, SL_ERR_ARGUMENT,
                                          "the session is suspended, expected one that is not");
}

void session_collect_moves(const session_group *g) {
    if (g->spill) {
        spill_collect(g->spill);
    }
}

void session_forget_spilled(sl_session *s) {
    if (s->group->spill) {
        spill_forget(s->group->spill, s->sequence);
    }
}

size_t session_pages_wanted(const sl_session_content *contents, size_t n, bool all) {
    kv_cache *const kv = executor_kv(contents[0].session->group->runner);
    size_t wanted = 0;
    for (size_t i = 0; i < n; i++) {
        sl_session *const s = contents[i].session;
        s->copies = false;
        if (!session_is_here(s)) {
            continue; /* it has no pages to look at */
        }
        const size_t missing =
            contents[i].count > s->position ? contents[i].count - s->position : 0;
        wanted += kv_pages_wanted(kv, s->sequence, all ? missing : s->taken, &s->copies);
    }
    for (size_t i = 0; i < n; i++) {
        if (contents[i].session->copies) {
            kv_forget_copy(kv, contents[i].session->sequence);
        }
    }
    return wanted;
}

void sl_session_get_pool(sl_session *session, sl_session_pool *pool) {
    const session_group *const g = session->group;
    session_collect_moves(g);
    const kv_cache *const kv = executor_kv(g->runner);
    *pool = (sl_session_pool){
        .page = ATTENTION_PAGE,
        .total = kv_all_pages(kv) * ATTENTION_PAGE,
        .free = kv_free_pages(kv) * ATTENTION_PAGE,
    };
}

size_t sl_session_wanted(const sl_session_content *contents, size_t n) {
    return n > 0 ? session_pages_wanted(contents, n, true) * ATTENTION_PAGE : 0;
}

void sl_session_cut(sl_session *session, size_t count) {
    sl_session *const s = session;
    if (!session_is_here(s)) {
        session_forget_spilled(s);
        session_cut_back(s, 0);
    } else if (count < s->position) {
        session_cut_back(s, count);
    }
}

sl_status sl_session_share(const sl_session *from, sl_session *to, size_t count, sl_error *error) {
    session_group *const g = to->group;
    if (from == to || from->group != g) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "tokens can be shared between two sessions of one group only");
    }
    if (!session_is_here(from) || !session_is_here(to)) {
        return session_check_here(session_is_here(from) ? to : from, error);
    }
    if (count > from->position) {
        return error_set(error, SL_ERR_ARGUMENT, "%zu tokens to share, but %zu are there", count,
                         from->position);
    }
    kv_share(executor_kv(g->runner), from->sequence, to->sequence, count);
    memcpy(to->tokens, from->tokens, count * sizeof *to->tokens);
    to->position = count;
    to->logits_run = 0;
    return SL_OK;
}

sl_status sl_session_suspend(sl_session *session, sl_error *error) {
    sl_session *const s = session;
    if (!s->group->spill) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "the group has no spill file, which its options would name a folder for");
    }
    session_collect_moves(s->group);
    if (!session_is_here(s)) {
        return session_check_here(s, error);
    }
    spill_out(s->group->spill, s->sequence);
    return SL_OK;
}

sl_status sl_session_resume(sl_session *session, sl_error *error) {
    const session_group *const g = session->group;
    session_collect_moves(g);
    if (!g->spill || spill_where(g->spill, session->sequence) != SPILL_AWAY) {
        return error_set(error, SL_ERR_ARGUMENT, "the session is not away, so it cannot come back");
    }
    return spill_in(g->spill, session->sequence, error);
}

sl_status sl_session_settle(sl_session *session, bool wait, sl_session_place *place,
                            sl_error *error) {
    static const sl_session_place places[] = {
        [SPILL_HERE] = SL_SESSION_HERE,
        [SPILL_LEAVING] = SL_SESSION_LEAVING,
        [SPILL_AWAY] = SL_SESSION_AWAY,
        [SPILL_RETURNING] = SL_SESSION_RETURNING,
    };
    *place = SL_SESSION_HERE;
    spill *const away = session->group->spill;
    if (!away) {
        return SL_OK;
    }
    const spill_place before = spill_where(away, session->sequence);
    const sl_status status = spill_settle(away, session->sequence, wait, error);
    if (status != SL_OK && before == SPILL_RETURNING) {
        session_cut_back(session, 0); /* what was read of its pages is not what they held */
    }
    *place = places[spill_where(away, session->sequence)];
    return status;
}

size_t sl_session_away(const sl_session *session) {
    const spill *const away = session->group->spill;
    return away ? spill_pages_away(away, session->sequence) * ATTENTION_PAGE : 0;
}
