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

/* The calling thread is member 0; members 1 to size - 1 are threads that sleep between runs. */
typedef struct team team;

SL_CHECK sl_status team_create(size_t size, team **out, sl_error *error);
void team_free(team *t);
size_t team_size(const team *t);

/* Runs run(context, member) on every member, in the floating-point mode of kernels.h, and returns
 * when all are back. Not reentrant. */
void team_run(team *t, void (*run)(void *context, size_t member), void *context);

/* Waits until every member is here: spins briefly, then sleeps, so that a busy neighbour costs its
 * share of a core and no more. What was written before is seen after. */
void team_barrier(team *t);

/* Takes the next `step` items of `total` from a counter that began at 0 and is shared by all
 * members. Returns false when none are left; else [*begin, *end). */
static inline bool team_take(_Atomic size_t *counter, size_t step, size_t total, size_t *begin,
                             size_t *end) {
    const size_t at = atomic_fetch_add_explicit(counter, step, memory_order_relaxed);
    if (at >= total) {
        return false;
    }
    *begin = at;
    *end = total - at < step ? total : at + step;
    return true;
}

/* The same one by one, where a member had better go on behind what it took last: each begins with a
 * share of its own, from one place to the next, and when that is used up goes on with what the
 * others have left. A counter for each member. */
static inline bool team_take_near(_Atomic size_t *counters, size_t member, size_t members,
                                  size_t total, size_t *taken) {
    for (size_t i = 0; i < members; i++) {
        const size_t of = (member + i) % members, first = total * of / members;
        const size_t count = total * (of + 1) / members - first;
        size_t begin, end;
        if (atomic_load_explicit(&counters[of], memory_order_relaxed) < count &&
            team_take(&counters[of], 1, count, &begin, &end)) {
            *taken = first + begin;
            return true;
        }
    }
    return false;
}

#endif
