/* stream.h - weights that are read from the file anew for each pass over the model.
 *
 *   reading  --->  slot 0 | slot 1 | slot 2 | ... | slot n - 1   --->  products
 *                  in the order of the pass; a slot is read into again when its rows are done with
 *
 * A thread keeps as many reads under way as there are free slots. It runs ahead into the next pass
 * before that has begun, since a pass always begins with the same weights, and holds at the weights
 * that only some passes want. A read that fails spoils the pass and not the process: whoever waits
 * gets a slot with wrong bytes, computes on, and stream_end says what happened.
 */
#ifndef ENGINE_STREAM_H
#define ENGINE_STREAM_H

#include "os/reader.h"

/* One read of a pass. */
typedef struct stream_read {
    uint64_t offset; /* of the first byte wanted, of any alignment */
    size_t size;
    size_t units; /* what stream_release counts down: rows */
} stream_read;

typedef struct stream_plan {
    const stream_read *reads; /* of a pass, in order; outlives the stream */
    size_t n_read;
    size_t n_optional; /* the last ones, which only some passes want */
    void *slots;       /* n_slot of slot_bytes, multiples of OS_READER_ALIGN; outlives the stream */
    size_t n_slot, slot_bytes; /* at most the reader's depth; a slot holds a read and
                                  OS_READER_ALIGN on both sides */
} stream_plan;

/* Any number of threads may use one, as the functions say. */
typedef struct stream stream;

/* Begins to read. Takes over the reader, also on failure. */
SL_CHECK sl_status stream_create(const stream_plan *plan, os_reader *reader, stream **out,
                                 sl_error *error);
void stream_free(stream *s);

/* Bytes held beside the slots. */
size_t stream_bytes(const stream *s);

/* Begins a pass, with the optional reads or without, and waits for the end of another's. */
void stream_begin(stream *s, bool optional);

/* Waits for read `number` of the pass; returns its first byte. By any thread; reads are to be
 * acquired in their order, or those that wait for each other's slots would wait for ever. */
const uint8_t *stream_acquire(stream *s, size_t number);

/* `units` of the read are done with; its bytes must not be touched when all are. */
void stream_release(stream *s, size_t number, size_t units);

/* Whether the pass is spoilt. */
bool stream_failed(const stream *s);

/* Ends the pass; `whole` says that every read of it was acquired and released. SL_ERR_FILE if a
 * read failed: the results of the pass are worthless, and the next pass tries anew. */
SL_CHECK sl_status stream_end(stream *s, bool whole, sl_error *error);

#endif
