#include "ops/team.h"

#include "base/error.h"
#include "kernels/kernels.h"
#include "os/os.h"

#include <stdlib.h>

/* About 100 microseconds of pauses: longer than the spread between members that all have a core,
 * which is a tile (linear.c), and about what a sleep and a wake-up cost in a virtual machine. */
enum { SPINS = 4000, CACHE_LINE = 64 };

/* A number that only grows, on which members wait to change. */
typedef struct gate {
    _Alignas(CACHE_LINE) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
} gate;

struct team {
    gate start; /* one more for each run */
    gate meet;  /* one more for each barrier that opened */
    _Alignas(CACHE_LINE) _Atomic uint32_t arrived;
    _Alignas(CACHE_LINE) size_t size;
    void (*run)(void *, size_t);
    void *context;
    _Atomic bool stop;
    struct team_worker *workers; /* size - 1 */
};

typedef struct team_worker {
    team *owner;
    size_t member;
    os_thread *thread;
} team_worker;

static void gate_wait(gate *g, uint32_t old) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&g->value, memory_order_acquire) != old) {
            return;
        }
        os_relax();
    }
    /* Sequentially consistent: either the opener sees this sleeper, or os_wait sees the value. */
    atomic_fetch_add(&g->sleepers, 1);
    while (atomic_load(&g->value) == old) {
        os_wait(&g->value, old);
    }
    atomic_fetch_sub(&g->sleepers, 1);
}

static void gate_open(gate *g) {
    atomic_fetch_add(&g->value, 1);
    if (atomic_load(&g->sleepers) > 0) {
        os_wake_all(&g->value);
    }
}

void team_barrier(team *t) {
    const uint32_t old = atomic_load_explicit(&t->meet.value, memory_order_acquire);
    if (atomic_fetch_add(&t->arrived, 1) + 1 == t->size) {
        atomic_store(&t->arrived, 0);
        gate_open(&t->meet);
    } else {
        gate_wait(&t->meet, old);
    }
}

static void worker_main(void *argument) {
    const team_worker *worker = argument;
    team *t = worker->owner;
    kernel_set_float_mode();
    for (uint32_t seen = 0;; seen++) {
        gate_wait(&t->start, seen);
        if (atomic_load(&t->stop)) {
            return;
        }
        t->run(t->context, worker->member);
        team_barrier(t);
    }
}

void team_run(team *t, void (*run)(void *context, size_t member), void *context) {
    t->run = run;
    t->context = context;
    if (t->size > 1) {
        gate_open(&t->start);
    }
    const uint64_t mode = kernel_set_float_mode();
    run(context, 0);
    team_barrier(t);
    kernel_restore_float_mode(mode);
}

sl_status team_create(size_t size, team **out, sl_error *error) {
    const size_t bytes = (sizeof(team) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    team *t = aligned_alloc(CACHE_LINE, bytes);
    team_worker *workers = calloc(size, sizeof *workers);
    if (!t || !workers) {
        free(t);
        free(workers);
        return error_memory(error, "a team of threads", bytes);
    }
    *t = (team){.size = 1, .workers = workers};
    for (size_t i = 1; i < size; i++) {
        team_worker *worker = &workers[i - 1];
        *worker = (team_worker){.owner = t, .member = i};
        const sl_status status = os_thread_start(worker_main, worker, &worker->thread, error);
        if (status != SL_OK) {
            team_free(t);
            return status;
        }
        t->size = i + 1;
    }
    *out = t;
    return SL_OK;
}

void team_free(team *t) {
    if (!t) {
        return;
    }
    atomic_store(&t->stop, true);
    gate_open(&t->start);
    for (size_t i = 1; i < t->size; i++) {
        os_thread_join(t->workers[i - 1].thread);
    }
    free(t->workers);
    free(t);
}

size_t team_size(const team *t) {
    return t->size;
}
