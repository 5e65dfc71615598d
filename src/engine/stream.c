#include "engine/stream.h"

#include "base/error.h"
#include "base/size.h"

#include <stdatomic.h>
#include <stdlib.h>

/* What a slot holds is known by its ticket: the number of the read among all that were begun since
 * the last restart, plus one, so that 0 is none. */
enum { TICKETS = 0x7fffffff };
static const uint32_t spoilt = UINT32_MAX;

typedef struct slot {
    _Atomic uint32_t ticket; /* that has arrived; `spoilt` when reading has failed */
    _Atomic size_t left;     /* units not released; 0: free */
    uint32_t reading;        /* the ticket that will arrive */
} slot;

struct stream {
    stream_plan plan;
    os_reader *reader;
    os_thread *thread;
    slot *slots;
    /* The pass, by the thread that computes it. */
    _Atomic uint32_t busy; /* 1: a pass is going on */
    uint64_t base;         /* number of the pass's first read since the restart */
    bool optional;
    /* Between it and the reading thread. */
    _Atomic uint64_t begun;    /* 2 * passes begun, + 1 if the last one wants the optional reads */
    _Atomic uint32_t events;   /* counts whatever the reading thread might wait for */
    _Atomic uint32_t restart;  /* 1: asked for; 0: done */
    _Atomic bool stop, failed; /* failed: `error` is filled, until the restart */
    sl_error error;
    /* The reading thread's own. */
    uint64_t next;    /* number of the next read since the restart */
    size_t at;        /* the same within its pass */
    uint64_t pass;    /* that it is reading for: 1 is the first */
    size_t under_way; /* reads */
};

static uint32_t ticket_of(uint64_t number) {
    return (uint32_t)(number % TICKETS) + 1;
}

static slot *slot_of(const stream *s, uint64_t number) {
    return &s->slots[number % s->plan.n_slot];
}

static uint8_t *slot_bytes_of(const stream *s, uint64_t number) {
    return (uint8_t *)s->plan.slots + (size_t)(number % s->plan.n_slot) * s->plan.slot_bytes;
}

static void tell_reader(stream *s) {
    atomic_fetch_add(&s->events, 1);
    os_wake_all(&s->events);
}

/* ---- the reading thread --------------------------------------------------------------------- */

/* Moves to the next read that is known to be wanted; false while that is not known: at the optional
 * reads of a pass that has not begun. */
static bool find_next(stream *s) {
    const size_t sure = s->plan.n_read - s->plan.n_optional;
    for (;;) {
        if (s->at == s->plan.n_read) {
            s->at = 0;
            s->pass++;
        }
        if (s->at != sure) {
            return true;
        }
        const uint64_t begun = atomic_load(&s->begun);
        if (s->pass > begun / 2) {
            return false;
        }
        if (s->pass == begun / 2 && begun % 2 == 1) {
            return true;
        }
        s->at = 0; /* that pass does not want them, or is over, and so did not */
        s->pass++;
    }
}

/* Starts the next read if its slot is free. */
static bool start_next(stream *s) {
    slot *const to = slot_of(s, s->next);
    if (atomic_load(&s->failed) || atomic_load(&to->left) > 0 || !find_next(s)) {
        return false;
    }
    const stream_read *read = &s->plan.reads[s->at++];
    atomic_store(&to->left, read->units);
    to->reading = ticket_of(s->next);
    os_reader_start(s->reader, (size_t)(to - s->slots), read->offset, read->size,
                    slot_bytes_of(s, s->next));
    s->under_way++;
    s->next++;
    return true;
}

static void publish(slot *to, uint32_t ticket) {
    atomic_store(&to->ticket, ticket);
    os_wake_all(&to->ticket);
}

/* Waits for a read. The first that fails lets everybody go on. */
static void finish_one(stream *s) {
    size_t tag;
    sl_error error;
    const sl_status status = os_reader_wait(s->reader, &tag, &error);
    s->under_way--;
    if (atomic_load(&s->failed)) {
        return;
    }
    if (status == SL_OK) {
        publish(&s->slots[tag], s->slots[tag].reading);
        return;
    }
    s->error = error;
    atomic_store(&s->failed, true);
    for (size_t i = 0; i < s->plan.n_slot; i++) {
        publish(&s->slots[i], spoilt);
    }
}

/* Forgets what is in the slots and begins anew, with a pass that has not begun. */
static void start_over(stream *s) {
    while (s->under_way > 0) {
        finish_one(s);
    }
    for (size_t i = 0; i < s->plan.n_slot; i++) {
        atomic_store(&s->slots[i].ticket, 0);
        atomic_store(&s->slots[i].left, 0);
    }
    s->next = 0;
    s->at = 0;
    s->pass = atomic_load(&s->begun) / 2 + 1;
    atomic_store(&s->failed, false);
    atomic_store(&s->restart, 0);
    os_wake_all(&s->restart);
}

static void read_ahead(void *argument) {
    stream *s = argument;
    while (!atomic_load(&s->stop)) {
        const uint32_t seen = atomic_load(&s->events);
        if (atomic_load(&s->restart)) {
            start_over(s);
        }
        while (start_next(s)) {
        }
        if (s->under_way > 0) {
            finish_one(s);
        } else if (!atomic_load(&s->stop)) {
            os_wait(&s->events, seen);
        }
    }
    while (s->under_way > 0) {
        finish_one(s);
    }
}

/* ---- making and freeing --------------------------------------------------------------------- */

sl_status stream_create(const stream_plan *plan, os_reader *reader, stream **out, sl_error *error) {
    stream *s = calloc(1, sizeof *s);
    slot *slots = calloc(plan->n_slot, sizeof *slots);
    if (!s || !slots) {
        free(s);
        free(slots);
        os_reader_close(reader);
        return error_memory(error, "the ring of weights", plan->n_slot * sizeof *slots);
    }
    *s = (stream){.plan = *plan, .reader = reader, .slots = slots, .pass = 1};
    const sl_status status = os_thread_start(read_ahead, s, &s->thread, error);
    if (status != SL_OK) {
        stream_free(s);
        return status;
    }
    *out = s;
    return SL_OK;
}

void stream_free(stream *s) {
    if (!s) {
        return;
    }
    if (s->thread) {
        atomic_store(&s->stop, true);
        tell_reader(s);
        os_thread_join(s->thread);
    }
    os_reader_close(s->reader);
    free(s->slots);
    free(s);
}

size_t stream_bytes(const stream *s) {
    return sizeof *s + s->plan.n_slot * sizeof *s->slots;
}

/* ---- passes --------------------------------------------------------------------------------- */

void stream_begin(stream *s, bool optional) {
    while (atomic_exchange(&s->busy, 1) == 1) {
        os_wait(&s->busy, 1);
    }
    s->optional = optional;
    atomic_store(&s->begun, (atomic_load(&s->begun) / 2 + 1) * 2 + (optional ? 1 : 0));
    tell_reader(s);
}

const uint8_t *stream_acquire(stream *s, size_t number) {
    slot *const from = slot_of(s, s->base + number);
    const uint32_t wanted = ticket_of(s->base + number);
    for (;;) {
        const uint32_t ticket = atomic_load(&from->ticket);
        if (ticket == wanted || ticket == spoilt) {
            break;
        }
        os_wait(&from->ticket, ticket);
    }
    return slot_bytes_of(s, s->base + number) + s->plan.reads[number].offset % OS_READER_ALIGN;
}

void stream_release(stream *s, size_t number, size_t units) {
    if (atomic_fetch_sub(&slot_of(s, s->base + number)->left, units) == units) {
        tell_reader(s);
    }
}

bool stream_failed(const stream *s) {
    return atomic_load(&s->failed);
}

static void ask_to_start_over(stream *s) {
    atomic_store(&s->restart, 1);
    tell_reader(s);
    while (atomic_load(&s->restart) == 1) {
        os_wait(&s->restart, 1);
    }
    s->base = 0;
}

sl_status stream_end(stream *s, bool whole, sl_error *error) {
    sl_status status = SL_OK;
    if (atomic_load(&s->failed)) {
        status = error_set(error, SL_ERR_FILE, "%s", s->error.message);
    }
    if (status != SL_OK || !whole) {
        ask_to_start_over(s);
    } else {
        s->base += s->plan.n_read - (s->optional ? 0 : s->plan.n_optional);
    }
    atomic_store(&s->busy, 0);
    os_wake_all(&s->busy);
    return status;
}
