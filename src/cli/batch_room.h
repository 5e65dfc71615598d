/* batch_room.h - the slots in which requests of a batch are computed, and their room in the pool of
 * keys and values: who has it, who must wait in the spill file, who comes back.
 *
 * A slot is one of the group's sessions and the request that it computes:
 *
 *     FREE -> RUNNING <-> AWAY       a request begins at once, or
 *          -> WAITING -> RUNNING     waits for another that begins alike
 *
 * When the pool is full:
 *
 *   1. What finished requests left behind, kept for those that begin alike, goes first.
 *   2. Then the slot that began last is suspended, while those before it go on. So the oldest
 *      always goes on, and all end.
 *   3. Suspended slots come back, the oldest first, as soon as there is room for them and a little
 *      more, and before any new request begins.
 *
 * If the spill file cannot be written or read (the disk is full, say), what had to be in it is
 * given up and computed anew, and so is all that is suspended later: it costs time, not results.
 */
#ifndef CLI_BATCH_ROOM_H
#define CLI_BATCH_ROOM_H

#include "cli/batch_schedule.h"

#include <stdbool.h>

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
    size_t pass_rows; /* of a pass, where prompts are spread over several; SIZE_MAX: they are not */
    uint64_t turn;
    bool spill_failed; /* nothing more is put into the spill file */
    size_t next;       /* request in line, maybe done already */
    /* The request in line, parsed, where it could not begin yet. */
    bool has_pending;
    batch_request pending;
    int32_t *pending_tokens;
    size_t pending_count;
    double started;
} schedule;

/* Pages for so many positions. */
size_t room_pages(const schedule *s, size_t positions);

/* How many slots are in that state. */
size_t room_count(const schedule *s, slot_state state);

/* Fills s->running and s->contents with the slots that run, in the order of their beginning, so
 * that prompts are computed one after the other. Returns how many. */
size_t room_collect_running(schedule *s);

/* Pages that all requests under way need at most, sharing nothing. */
size_t room_most_pages(const schedule *s);

/* Cuts the slot's session back to `count` tokens; one that is away is emptied. */
void room_cut(slot *l, size_t count);

/* Gives up what the slot that ended first left behind, but not that of `spared` (may be NULL).
 * Returns false if there is nothing more. */
bool room_drop_remains(const schedule *s, const slot *spared);

/* Whether `wanted` pages are free besides what the slots that run or wait are going to take, and
 * one more for every two of them, so that who begins is not soon suspended again. */
bool room_is_there(schedule *s, size_t wanted);

/* Rule 3. Returns CLI_DONE, or the exit status after a message. */
int room_bring_back(schedule *s);

/* Rules 1 and 2: afterwards the pool has pages for all that run. Returns as above. */
int room_make(schedule *s);

/* Waits for one of the moves under way. Returns false if there was none. */
bool room_wait_for_move(schedule *s);

/* Slots that are away hold pages that they share with each other. Where those are in the way, the
 * last one gives up all that it has, and computes it anew one day. Returns false if none has any.
 */
bool room_give_up_last(schedule *s);

#endif
