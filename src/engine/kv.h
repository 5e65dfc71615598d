/* kv.h - the cache of keys and values: pages of ATTENTION_PAGE positions in one pool.
 *
 *   sequence 0:  length 70   pages [ 4 | 1 | 7 ]        page 4, refs 2
 *   sequence 1:  length 40   pages [ 4 | 9 ]            free: 0 2 3 5 6 8
 *
 * A page holds, for its positions, the keys and values of every layer: for each KV slot all key
 * heads, then all value heads; ops/attention.h says how a head's lie. Sequences may share pages of
 * a common prefix; whoever writes into a shared page first gets a copy of it.
 */
#ifndef ENGINE_KV_H
#define ENGINE_KV_H

#include "program/program.h"

typedef struct kv_cache kv_cache;

/* Refuses types whose blocks do not fit the heads: SL_ERR_ARGUMENT. */
SL_CHECK sl_status kv_check_types(const program *p, quant_type type_k, quant_type type_v,
                                  sl_error *error);

/* Bytes of one page, 0 if that overflows or a type's blocks do not fit the heads. */
size_t kv_page_bytes(const program *p, quant_type type_k, quant_type type_v);

/* Bytes of what is kept beside the pages: which are whose, which are free. */
size_t kv_table_bytes(size_t n_positions, size_t n_seq);

/* All memory is allocated here. n_positions: rounded up to pages; shared by all n_seq sequences,
 * each of which may hold up to all of them. The program must outlive *out. */
SL_CHECK sl_status kv_create(const program *p, quant_type type_k, quant_type type_v,
                             size_t n_positions, size_t n_seq, kv_cache **out, sl_error *error);
void kv_free(kv_cache *kv);

size_t kv_sequences(const kv_cache *kv);
size_t kv_length(const kv_cache *kv, size_t sequence);

/* Makes room for n more positions and gives them to the sequence: copies a shared last page, takes
 * free pages. SL_ERR_MEMORY, the sequence unchanged, if there are not enough. */
SL_CHECK sl_status kv_append(kv_cache *kv, size_t sequence, size_t n, sl_error *error);

/* Cuts the sequence back to its first `length` positions; pages that nobody uses become free. */
void kv_truncate(kv_cache *kv, size_t sequence, size_t length);

/* Makes `to` the first `length` positions of `from`, sharing its pages. from != to. */
void kv_share(kv_cache *kv, size_t from, size_t to, size_t length);

/* Pages of the pool that nobody uses, and all. */
size_t kv_free_pages(const kv_cache *kv);
size_t kv_all_pages(const kv_cache *kv);

/* Pages that kv_append would take from the pool for n positions more. *copies: whether one of them
 * is for a copy of a shared last page, which then counts as made, so that the next sequence that
 * shares the page is answered rightly; the caller takes that back with kv_forget_copy. */
size_t kv_pages_wanted(kv_cache *kv, size_t sequence, size_t n, bool *copies);
void kv_forget_copy(kv_cache *kv, size_t sequence);

/* Whether nobody else has page number `index` of the sequence, which it holds. */
bool kv_page_is_own(const kv_cache *kv, size_t sequence, size_t index);

/* Takes the page out of the sequence, whose length stays, so that there is a hole; and puts a free
 * page, of any content, into the hole. While it has holes a sequence may be truncated, but neither
 * grow nor be shared, and nobody may run it. There must be a free page. */
void kv_take_out(kv_cache *kv, size_t sequence, size_t index);
void kv_put_in(kv_cache *kv, size_t sequence, size_t index);

/* Page numbers of a sequence by position / ATTENTION_PAGE. */
const uint32_t *kv_pages(const kv_cache *kv, size_t sequence);

typedef struct kv_layout {
    uint8_t *pool;
    size_t page_bytes;
    quant_type type_k, type_v;
} kv_layout;

kv_layout kv_get_layout(const kv_cache *kv);

/* Where a KV slot's keys and values begin in each page. */
void kv_slot_offsets(const kv_cache *kv, uint32_t slot, size_t *k_offset, size_t *v_offset);

#endif
