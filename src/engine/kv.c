#include "engine/kv.h"

#include "base/error.h"
#include "base/size.h"
#include "ops/attention.h"
#include "os/os.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct kv_sequence {
    uint32_t *pages; /* room for all of the pool */
    size_t length;   /* positions */
} kv_sequence;

enum { HOLE = UINT32_MAX }; /* in place of a page's number */

struct kv_cache {
    kv_layout layout;
    size_t n_page, n_free, n_seq;
    uint32_t *free_pages; /* a stack */
    uint32_t *refs;       /* by page */
    kv_sequence *sequences;
    size_t *slot_offsets; /* two for each KV slot: keys, values */
};

static size_t pages_for(size_t positions) {
    return (positions + ATTENTION_PAGE - 1) / ATTENTION_PAGE;
}

size_t kv_table_bytes(size_t n_positions, size_t n_seq) {
    const size_t lists = n_seq + 2; /* of each sequence, of free pages, of references */
    return n_seq * sizeof(kv_sequence) + lists * pages_for(n_positions) * sizeof(uint32_t);
}

static size_t slot_bytes(size_t n_head, size_t head, quant_type type) {
    return n_head * ATTENTION_PAGE * quant_row_bytes(type, head);
}

size_t kv_page_bytes(const program *p, quant_type type_k, quant_type type_v) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < p->kv_slots.count; i++) {
        const kv_slot *slot = program_kv_slot(p, i);
        if (!size_add(bytes, slot_bytes(slot->n_head_kv, slot->head_k, type_k), &bytes) ||
            !size_add(bytes, slot_bytes(slot->n_head_kv, slot->head_v, type_v), &bytes)) {
            return 0;
        }
    }
    return size_round_up(bytes, 64);
}

static sl_status check_heads(const program *p, quant_type type, bool keys, sl_error *error) {
    const quant_format *format = quant_format_of(type);
    for (uint32_t i = 0; i < p->kv_slots.count; i++) {
        const kv_slot *slot = program_kv_slot(p, i);
        const size_t head = keys ? slot->head_k : slot->head_v;
        if (head % format->block_length != 0) {
            return error_set(error, SL_ERR_ARGUMENT,
                             "%s cannot be kept as %s: heads have %zu values, expected a multiple "
                             "of %zu",
                             keys ? "keys" : "values", format->name, head, format->block_length);
        }
    }
    return SL_OK;
}

sl_status kv_check_types(const program *p, quant_type type_k, quant_type type_v, sl_error *error) {
    const sl_status status = check_heads(p, type_k, true, error);
    return status == SL_OK ? check_heads(p, type_v, false, error) : status;
}

static void place_slots(kv_cache *kv, const program *p) {
    size_t at = 0;
    for (uint32_t i = 0; i < p->kv_slots.count; i++) {
        const kv_slot *slot = program_kv_slot(p, i);
        kv->slot_offsets[2 * i] = at;
        at += slot_bytes(slot->n_head_kv, slot->head_k, kv->layout.type_k);
        kv->slot_offsets[2 * i + 1] = at;
        at += slot_bytes(slot->n_head_kv, slot->head_v, kv->layout.type_v);
    }
}

static bool allocate(kv_cache *kv, size_t n_kv_slot) {
    size_t pool_bytes;
    if (kv->layout.page_bytes == 0 || kv->n_page > UINT32_MAX ||
        !size_mul(kv->n_page, kv->layout.page_bytes, &pool_bytes)) {
        return false;
    }
    kv->layout.pool = os_pages_allocate(pool_bytes);
    kv->free_pages = calloc(kv->n_page, sizeof *kv->free_pages);
    kv->refs = calloc(kv->n_page, sizeof *kv->refs);
    kv->sequences = calloc(kv->n_seq, sizeof *kv->sequences);
    kv->slot_offsets = calloc(2 * n_kv_slot + 1, sizeof *kv->slot_offsets);
    bool good = kv->layout.pool && kv->free_pages && kv->refs && kv->sequences && kv->slot_offsets;
    for (size_t i = 0; good && i < kv->n_seq; i++) {
        kv->sequences[i].pages = calloc(kv->n_page, sizeof *kv->sequences[i].pages);
        good = kv->sequences[i].pages != NULL;
    }
    return good;
}

sl_status kv_create(const program *p, quant_type type_k, quant_type type_v, size_t n_positions,
                    size_t n_seq, kv_cache **out, sl_error *error) {
    const sl_status status = kv_check_types(p, type_k, type_v, error);
    if (status != SL_OK) {
        return status;
    }
    kv_cache *kv = calloc(1, sizeof *kv);
    if (!kv) {
        return error_memory(error, "the cache of keys and values", sizeof *kv);
    }
    kv->layout.type_k = type_k;
    kv->layout.type_v = type_v;
    kv->layout.page_bytes = kv_page_bytes(p, type_k, type_v);
    kv->n_page = pages_for(n_positions);
    kv->n_seq = n_seq;
    if (!allocate(kv, p->kv_slots.count)) {
        kv_free(kv);
        return error_set(error, SL_ERR_MEMORY,
                         "out of memory: keys and values of %zu positions, %zu bytes each %d",
                         n_positions, kv_page_bytes(p, type_k, type_v), ATTENTION_PAGE);
    }
    place_slots(kv, p);
    for (size_t i = 0; i < kv->n_page; i++) {
        kv->free_pages[kv->n_free++] = (uint32_t)(kv->n_page - 1 - i); /* low pages first */
    }
    *out = kv;
    return SL_OK;
}

void kv_free(kv_cache *kv) {
    if (!kv) {
        return;
    }
    for (size_t i = 0; kv->sequences && i < kv->n_seq; i++) {
        free(kv->sequences[i].pages);
    }
    os_pages_free(kv->layout.pool, kv->n_page * kv->layout.page_bytes);
    free(kv->sequences);
    free(kv->free_pages);
    free(kv->refs);
    free(kv->slot_offsets);
    free(kv);
}

size_t kv_sequences(const kv_cache *kv) {
    return kv->n_seq;
}

size_t kv_length(const kv_cache *kv, size_t sequence) {
    return kv->sequences[sequence].length;
}

static uint32_t take_page(kv_cache *kv) {
    const uint32_t page = kv->free_pages[--kv->n_free];
    kv->refs[page] = 1;
    return page;
}

static void drop_page(kv_cache *kv, uint32_t page) {
    assert(kv->refs[page] > 0);
    if (--kv->refs[page] == 0) {
        kv->free_pages[kv->n_free++] = page;
    }
}

/* Whether to append means to copy the last page, which others have too. */
static bool must_copy(const kv_cache *kv, const kv_sequence *s, size_t n) {
    const bool partial = s->length % ATTENTION_PAGE != 0;
    return n > 0 && partial && kv->refs[s->pages[pages_for(s->length) - 1]] > 1;
}

size_t kv_pages_wanted(kv_cache *kv, size_t sequence, size_t n, bool *copies) {
    const kv_sequence *const s = &kv->sequences[sequence];
    *copies = must_copy(kv, s, n);
    if (*copies) {
        kv->refs[s->pages[pages_for(s->length) - 1]]--;
    }
    return pages_for(s->length + n) - pages_for(s->length) + *copies;
}

void kv_forget_copy(kv_cache *kv, size_t sequence) {
    const kv_sequence *const s = &kv->sequences[sequence];
    kv->refs[s->pages[pages_for(s->length) - 1]]++;
}

sl_status kv_append(kv_cache *kv, size_t sequence, size_t n, sl_error *error) {
    kv_sequence *s = &kv->sequences[sequence];
    const size_t have = pages_for(s->length), need = pages_for(s->length + n);
    const bool copy = must_copy(kv, s, n);
    if (need - have + copy > kv->n_free) {
        return error_set(error, SL_ERR_MEMORY,
                         "the cache of keys and values is full: %zu positions more do not fit into "
                         "%zu free pages of %d",
                         n, kv->n_free, ATTENTION_PAGE);
    }
    if (copy) {
        const uint32_t old = s->pages[have - 1], fresh = take_page(kv);
        const size_t bytes = kv->layout.page_bytes;
        memcpy(kv->layout.pool + fresh * bytes, kv->layout.pool + old * bytes, bytes);
        drop_page(kv, old);
        s->pages[have - 1] = fresh;
    }
    for (size_t i = have; i < need; i++) {
        s->pages[i] = take_page(kv);
    }
    s->length += n;
    return SL_OK;
}

void kv_truncate(kv_cache *kv, size_t sequence, size_t length) {
    kv_sequence *s = &kv->sequences[sequence];
    assert(length <= s->length);
    for (size_t i = pages_for(s->length); i > pages_for(length); i--) {
        if (s->pages[i - 1] != HOLE) {
            drop_page(kv, s->pages[i - 1]);
        }
    }
    s->length = length;
}

void kv_share(kv_cache *kv, size_t from, size_t to, size_t length) {
    assert(from != to && length <= kv->sequences[from].length);
    kv_truncate(kv, to, 0);
    for (size_t i = 0; i < pages_for(length); i++) {
        const uint32_t page = kv->sequences[from].pages[i];
        kv->refs[page]++;
        kv->sequences[to].pages[i] = page;
    }
    kv->sequences[to].length = length;
}

size_t kv_free_pages(const kv_cache *kv) {
    return kv->n_free;
}

size_t kv_all_pages(const kv_cache *kv) {
    return kv->n_page;
}

bool kv_page_is_own(const kv_cache *kv, size_t sequence, size_t index) {
    return kv->refs[kv->sequences[sequence].pages[index]] == 1;
}

void kv_take_out(kv_cache *kv, size_t sequence, size_t index) {
    uint32_t *const page = &kv->sequences[sequence].pages[index];
    drop_page(kv, *page);
    *page = HOLE;
}

void kv_put_in(kv_cache *kv, size_t sequence, size_t index) {
    uint32_t *const page = &kv->sequences[sequence].pages[index];
    assert(*page == HOLE && kv->n_free > 0);
    *page = take_page(kv);
}

const uint32_t *kv_pages(const kv_cache *kv, size_t sequence) {
    return kv->sequences[sequence].pages;
}

kv_layout kv_get_layout(const kv_cache *kv) {
    return kv->layout;
}

void kv_slot_offsets(const kv_cache *kv, uint32_t slot, size_t *k_offset, size_t *v_offset) {
    *k_offset = kv->slot_offsets[2 * slot];
    *v_offset = kv->slot_offsets[2 * slot + 1];
}
