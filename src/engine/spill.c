/* spill.c - spill.h.
 *
 * A ring of sequences to move, in which each is at most once:
 *
 *     caller:  queue[next_in] = sequence; n_queued++; wake
 *     thread:  moves queue[next_out]; outcome of the sequence; n_moved++; wake
 */
#include "engine/spill.h"

#include "base/error.h"
#include "base/size.h"
#include "ops/attention.h"
#include "os/os.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MOVING = -1 }; /* as an outcome; else 0 or an errno */

typedef struct spill_sequence {
    spill_place place;
    _Atomic int outcome; /* of the last move */
} spill_sequence;

struct spill {
    kv_cache *kv;
    os_scratch *file;
    os_thread *thread;
    size_t n_seq, n_page;      /* sequences; pages that each has places for */
    spill_sequence *sequences; /* n_seq */
    bool *away;                /* n_seq * n_page: the page is in the file, or is being moved */
    size_t *queue;             /* n_seq */
    size_t next_in;            /* the caller's place in the queue */
    size_t n_moving;           /* sequences LEAVING or RETURNING, as the caller knows it */
    _Atomic uint32_t n_queued, n_moved; /* to sleep on; they may wrap */
    _Atomic bool stop;
};

static size_t pages_for(size_t positions) {
    return (positions + ATTENTION_PAGE - 1) / ATTENTION_PAGE;
}

size_t spill_bytes(size_t n_seq, size_t n_positions) {
    return sizeof(spill) + n_seq * (sizeof(spill_sequence) + sizeof(size_t)) +
           n_seq * pages_for(n_positions) * sizeof(bool);
}

/* ---- the thread ----------------------------------------------------------------------------- */

static bool *away_of(const spill *s, size_t sequence) {
    return s->away + sequence * s->n_page;
}

static size_t pages_of(const spill *s, size_t sequence) {
    return pages_for(kv_length(s->kv, sequence));
}

/* Returns 0 or an errno. What was written of a sequence that does not fit on the disk is taken back
 * at once, for others may have to write there. */
static int move_pages(spill *s, size_t sequence) {
    const kv_layout layout = kv_get_layout(s->kv);
    const uint32_t *const pages = kv_pages(s->kv, sequence);
    const size_t bytes = layout.page_bytes;
    const uint64_t begin = (uint64_t)(sequence * s->n_page) * bytes;
    const bool leaving = s->sequences[sequence].place == SPILL_LEAVING;
    int failure = 0;
    for (size_t i = 0; i < pages_of(s, sequence) && failure == 0; i++) {
        if (!away_of(s, sequence)[i]) {
            continue;
        }
        const uint64_t offset = begin + (uint64_t)i * bytes;
        uint8_t *const page = layout.pool + pages[i] * bytes;
        failure = leaving ? os_scratch_write(s->file, offset, page, bytes)
                          : os_scratch_read(s->file, offset, page, bytes);
    }
    if (leaving && failure != 0) {
        os_scratch_discard(s->file, begin, (uint64_t)s->n_page * bytes);
    }
    return failure;
}

static void run_thread(void *argument) {
    spill *const s = argument;
    size_t next_out = 0;
    for (uint32_t n = 0;; n++) {
        while (atomic_load(&s->n_queued) == n) {
            os_wait(&s->n_queued, n);
        }
        if (atomic_load(&s->stop)) {
            return; /* what is still queued, nobody wants any more */
        }
        const size_t sequence = s->queue[next_out];
        next_out = (next_out + 1) % s->n_seq;
        atomic_store(&s->sequences[sequence].outcome, move_pages(s, sequence));
        atomic_fetch_add(&s->n_moved, 1);
        os_wake_all(&s->n_moved);
    }
}

/* ---- made and freed ------------------------------------------------------------------------- */

sl_status spill_create(kv_cache *kv, const char *directory, size_t n_positions, spill **out,
                       sl_error *error) {
    const size_t n_seq = kv_sequences(kv), n_page = pages_for(n_positions);
    spill *s = calloc(1, sizeof *s);
    if (!s) {
        return error_memory(error, "the spill file", sizeof *s);
    }
    *s = (spill){.kv = kv, .n_seq = n_seq, .n_page = n_page};
    s->sequences = calloc(n_seq, sizeof *s->sequences);
    s->away = calloc(n_seq * n_page, sizeof *s->away);
    s->queue = calloc(n_seq, sizeof *s->queue);
    sl_status status = s->sequences && s->away && s->queue
                           ? os_scratch_open(directory, &s->file, error)
                           : error_memory(error, "the spill file", spill_bytes(n_seq, n_positions));
    if (status == SL_OK) {
        status = os_thread_start(run_thread, s, &s->thread, error);
    }
    if (status != SL_OK) {
        spill_free(s);
        return status;
    }
    *out = s;
    return SL_OK;
}

void spill_free(spill *s) {
    if (!s) {
        return;
    }
    if (s->thread) {
        atomic_store(&s->stop, true);
        atomic_fetch_add(&s->n_queued, 1);
        os_wake_all(&s->n_queued);
        os_thread_join(s->thread);
    }
    os_scratch_close(s->file);
    free(s->sequences);
    free(s->away);
    free(s->queue);
    free(s);
}

/* ---- moves ---------------------------------------------------------------------------------- */

spill_place spill_where(const spill *s, size_t sequence) {
    return s->sequences[sequence].place;
}

static void enqueue(spill *s, size_t sequence, spill_place place) {
    s->sequences[sequence].place = place;
    atomic_store(&s->sequences[sequence].outcome, MOVING);
    s->n_moving++;
    s->queue[s->next_in] = sequence;
    s->next_in = (s->next_in + 1) % s->n_seq;
    atomic_fetch_add(&s->n_queued, 1);
    os_wake_all(&s->n_queued);
}

void spill_out(spill *s, size_t sequence) {
    assert(s->sequences[sequence].place == SPILL_HERE);
    for (size_t i = 0; i < pages_of(s, sequence); i++) {
        away_of(s, sequence)[i] = kv_page_is_own(s->kv, sequence, i);
    }
    enqueue(s, sequence, SPILL_LEAVING);
}

size_t spill_pages_away(const spill *s, size_t sequence) {
    size_t count = 0;
    for (size_t i = 0; i < pages_of(s, sequence); i++) {
        count += away_of(s, sequence)[i];
    }
    return count;
}

sl_status spill_in(spill *s, size_t sequence, sl_error *error) {
    assert(s->sequences[sequence].place == SPILL_AWAY);
    const size_t wanted = spill_pages_away(s, sequence), n_free = kv_free_pages(s->kv);
    if (wanted > n_free) {
        return error_set(error, SL_ERR_MEMORY,
                         "the cache of keys and values is full: a sequence comes back to %zu pages "
                         "of %d positions, but %zu are free",
                         wanted, ATTENTION_PAGE, n_free);
    }
    for (size_t i = 0; i < pages_of(s, sequence); i++) {
        if (away_of(s, sequence)[i]) {
            kv_put_in(s->kv, sequence, i);
        }
    }
    enqueue(s, sequence, SPILL_RETURNING);
    return SL_OK;
}

static void here_again(spill *s, size_t sequence) {
    memset(away_of(s, sequence), 0, s->n_page * sizeof(bool));
    s->sequences[sequence].place = SPILL_HERE;
}

/* The move has ended well. */
static void accept_move(spill *s, size_t sequence) {
    spill_sequence *const moved = &s->sequences[sequence];
    s->n_moving--;
    if (moved->place == SPILL_RETURNING) {
        here_again(s, sequence);
        return;
    }
    for (size_t i = 0; i < pages_of(s, sequence); i++) {
        if (away_of(s, sequence)[i]) {
            kv_take_out(s->kv, sequence, i);
        }
    }
    moved->place = SPILL_AWAY;
}

static bool is_moving(const spill_sequence *q) {
    return q->place == SPILL_LEAVING || q->place == SPILL_RETURNING;
}

void spill_collect(spill *s) {
    size_t left = s->n_moving;
    for (size_t i = 0; i < s->n_seq && left > 0; i++) {
        spill_sequence *const q = &s->sequences[i];
        if (is_moving(q)) {
            left--;
            if (atomic_load(&q->outcome) == 0) {
                accept_move(s, i);
            }
        }
    }
}

static void wait_for(spill *s, size_t sequence) {
    for (;;) {
        const uint32_t n = atomic_load(&s->n_moved);
        if (atomic_load(&s->sequences[sequence].outcome) != MOVING) {
            return;
        }
        os_wait(&s->n_moved, n);
    }
}

sl_status spill_settle(spill *s, size_t sequence, bool wait, sl_error *error) {
    spill_sequence *const q = &s->sequences[sequence];
    if (!is_moving(q)) {
        return SL_OK;
    }
    if (wait) {
        wait_for(s, sequence);
    }
    const int outcome = atomic_load(&q->outcome);
    if (outcome == MOVING) {
        return SL_OK;
    }
    if (outcome == 0) {
        accept_move(s, sequence);
        return SL_OK;
    }
    const bool leaving = q->place == SPILL_LEAVING;
    s->n_moving--;
    here_again(s, sequence);
    return error_set(error, SL_ERR_FILE, "cannot %s the spill file of keys and values: %s",
                     leaving ? "write" : "read", strerror(outcome));
}

void spill_forget(spill *s, size_t sequence) {
    spill_sequence *const q = &s->sequences[sequence];
    if (is_moving(q)) {
        wait_for(s, sequence);
        s->n_moving--;
    }
    here_again(s, sequence);
}
