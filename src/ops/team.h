/* team.h - threads that walk through one program together.
 *
 * ops/ is where kernels meet threads: splitting products and attention into chunks, and the team
 * that takes them. Results never depend on who computed which chunk.
 */
#ifndef OPS_TEAM_H
#define OPS_TEAM_H

#include "sluice.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* The calling thread is member 0; members 1 to size - 1 are threads that sleep between runs. */
typedef struct team team;

SL_CHECK sl_status team_create(size_t size, team **out, sl_error *error);
void team_free(team *t);
size_t team_size(const team *t);

/* Runs run(context, member) on every member, in the floating-point mode of kernels.h, and returns
 * when all are back. Not reentrant. */
void team_run(team *t, void (*run)(void *context, size_t member), void *context);

/* Waits until every member is here, which team_leave does not: spins briefly, then sleeps, so that a busy neighbour costs its
 * share of a core and no more. What was written before is seen after. */
void team_barrier(team *t);

/* Work that is cut into items and shared by whoever is there; all zeros before. It is done when its
 * items are, and not when every member has come by: a member that has no core just then is not
 * waited for, and later finds nothing left. Used as
 *
 *     if (team_enter(work)) {
 *         while (team_take(&work->next, ...)) { ... }
 *         team_leave(team, work);
 *     }
 *
 * Why that is right: whoever takes an item has entered before, and leaves when it has finished its
 * last one. The first to find itself the last inside has seen that no item is left; so all items
 * were taken by members that entered and have left. Whoever enters after that takes nothing. */
typedef struct team_work {
    _Atomic size_t next; /* item to take */
    _Atomic uint32_t inside;
    _Atomic uint32_t done;
} team_work;

/* False if the work is done already; then what it wrote is seen. */
static inline bool team_enter(team_work *work) {
    if (atomic_load_explicit(&work->done, memory_order_acquire)) {
        return false;
    }
    atomic_fetch_add(&work->inside, 1);
    return true;
}

/* Waits until the work is done: what it wrote is seen after. Spins briefly, then sleeps. */
void team_leave(team *t, team_work *work);

/* Takes the next `step` items of `total` from a counter that began at 0 and is shared by all
 * members. Returns false when none are left; else [*begin, *end). It acquires and releases, so that
 * who finds none left knows of all who took one (team_leave). */
static inline bool team_take(_Atomic size_t *counter, size_t step, size_t total, size_t *begin,
                             size_t *end) {
    const size_t at = atomic_fetch_add_explicit(counter, step, memory_order_acq_rel);
    if (at >= total) {
        return false;
    }
    *begin = at;
    *end = total - at < step ? total : at + step;
    return true;
}

#endif
