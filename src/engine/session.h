/* session.h - what an sl_session is inside, and what its files share: session.c opens and closes
 * groups, session_eval.c computes, session_pool.c moves keys and values.
 *
 *     group: executor, its team, pool of pages, room for a batch
 *       session 0 -> sequence 0    tokens held, where its logits are
 *       session 1 -> sequence 1
 */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include "engine/executor.h"
#include "engine/model.h"
#include "engine/spill.h"

/* What the sessions of a group share. Only its sessions point at it; the last one frees it. */
typedef struct session_group {
    sl_model *model;
    uint64_t reserved; /* of the model's budget */
    executor *runner;
    executor_options options;
    executor_plan plan;
    bool spills; /* sessions can be suspended */
    spill *spill;
    size_t n_ctx;    /* positions of each session */
    size_t n_open;   /* sessions not freed yet */
    uint64_t n_run;  /* runs begun; the executor holds the logits of the last one only */
    batch_row *rows; /* n_batch */
} session_group;

struct sl_session {
    session_group *group;
    size_t sequence; /* of the executor's cache */
    int32_t *tokens; /* n_ctx: what the cache holds */
    size_t position;
    uint64_t logits_run; /* the run that gave the last token's logits; 0: none did */
    size_t logits_row;   /* which of that run's outputs they are */
    size_t logits_count; /* tokens, up to the last one, whose logits end there */
    bool logits_lent;    /* to the caller, who may have written to them */
    bool marked;         /* met before in the list being checked */
    size_t taken;        /* rows of it in the batch being made */
    size_t next_row;     /* which of that batch's outputs are its logits, if it comes to that */
    bool copies;         /* a page for them, as far as pages are being counted */
};

/* Keeps the first `length` tokens, without logits. */
void session_cut_back(sl_session *s, size_t length);

/* Whether its keys and values are in the pool, and a refusal where they are not. */
bool session_is_here(const sl_session *s);
sl_status session_check_here(const sl_session *s, sl_error *error);

/* Lets the moves that have ended count, so that as many pages are free as can be. */
void session_collect_moves(const session_group *g);

/* Drops what the session has in the spill file, waiting for a move that is going on. */
void session_forget_spilled(sl_session *s);

/* Pages that the sessions take from the pool for what they have in the batch, or if `all` for all
 * that they miss. */
size_t session_pages_wanted(const sl_session_content *contents, size_t n, bool all);

#endif
