/* spill.h - pages of waiting sequences, put into a file and fetched back by a thread of its own.
 *
 *     spill_out    HERE -> LEAVING -> AWAY     its pages are written, then free for others
 *     spill_in     AWAY -> RETURNING -> HERE   free pages are taken, then read into
 *
 * Page number i of sequence s has one place in the file, so that nothing has to be looked up; a
 * place that was never written takes no room on the disk. A page that the sequence shares with
 * others stays where it is, for writing it would make nothing free. The thread only moves bytes
 * between the file and pages that nobody else touches meanwhile: who holds which page changes on
 * the caller's thread alone, in spill_collect.
 */
#ifndef ENGINE_SPILL_H
#define ENGINE_SPILL_H

#include "engine/kv.h"

typedef enum spill_place { SPILL_HERE, SPILL_LEAVING, SPILL_AWAY, SPILL_RETURNING } spill_place;

/* Private to one thread at a time. */
typedef struct spill spill;

/* Bytes that spill_create allocates. n_positions: most of a sequence. */
size_t spill_bytes(size_t n_seq, size_t n_positions);

/* Creates the file, without a name, in `directory`, and starts the thread. The cache must outlive
 * *out. SL_ERR_FILE where there can be no file. */
SL_CHECK sl_status spill_create(kv_cache *kv, const char *directory, size_t n_positions,
                                spill **out, sl_error *error);
void spill_free(spill *s); /* NULL is allowed */

spill_place spill_where(const spill *s, size_t sequence);

/* Begins to put away a sequence that is HERE; until it has returned nobody may run, append to or
 * share it. Allocates nothing. */
void spill_out(spill *s, size_t sequence);

/* Begins to fetch a sequence that is AWAY. SL_ERR_MEMORY, nothing changed, if the pool has too few
 * free pages. Allocates nothing. */
SL_CHECK sl_status spill_in(spill *s, size_t sequence, sl_error *error);

/* Pages that fetching the sequence takes. */
size_t spill_pages_away(const spill *s, size_t sequence);

/* Makes the moves that have ended count: pages of sequences that are AWAY become free. Those that
 * failed wait for spill_settle. */
void spill_collect(spill *s);

/* The same for one sequence, with its outcome: if `wait`, sleeps while it moves. What could not be
 * written is HERE as it was; what could not be read is HERE too, but with holes, and the caller
 * must truncate it to nothing: both are SL_ERR_FILE, once. */
SL_CHECK sl_status spill_settle(spill *s, size_t sequence, bool wait, sl_error *error);

/* Waits for the end of what moves the sequence and forgets what the file holds of it. It is HERE
 * then, maybe with holes, and the caller must truncate it to nothing. */
void spill_forget(spill *s, size_t sequence);

#endif
