#include "tokenizer/text_order.h"

#include "base/error.h"

#include <stdlib.h>

enum { KEY_BYTES = 8, DIGIT_BITS = 11, DIGITS = 6, DIGIT_VALUES = 1 << DIGIT_BITS };

typedef struct keyed {
    uint64_t key; /* the first bytes, the very first one highest; zeros where there are no more */
    const str *text;
} keyed;

static uint64_t first_bytes(str text, bool backwards) {
    uint64_t key = 0;
    for (size_t i = 0; i < KEY_BYTES; i++) {
        const size_t at = backwards ? text.len - 1 - i : i;
        key = key << 8 | (i < text.len ? (uint8_t)text.ptr[at] : 0);
    }
    return key;
}

/* ---- keys alike ----------------------------------------------------------------------------- */

/* The numbers of texts grow with their places. */
static int by_place(const keyed *a, const keyed *b) {
    return a->text < b->text ? -1 : a->text > b->text;
}

static int by_length(size_t a, size_t b) {
    return a < b ? -1 : a > b;
}

static int by_text(const void *a, const void *b) {
    const str s = *((const keyed *)a)->text, t = *((const keyed *)b)->text;
    const size_t shorter = s.len < t.len ? s.len : t.len;
    int order = shorter ? memcmp(s.ptr, t.ptr, shorter) : 0;
    order = order ? order : by_length(s.len, t.len);
    return order ? order : by_place(a, b);
}

static int by_reversed_text(const void *a, const void *b) {
    const str s = *((const keyed *)a)->text, t = *((const keyed *)b)->text;
    for (size_t i = 1; i <= s.len && i <= t.len; i++) {
        const uint8_t x = (uint8_t)s.ptr[s.len - i], y = (uint8_t)t.ptr[t.len - i];
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    const int order = by_length(s.len, t.len);
    return order ? order : by_place(a, b);
}

static void settle_ties(keyed *items, size_t count, bool backwards) {
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && items[end].key == items[i].key) {
            end++;
        }
        if (end - i > 1) {
            qsort(items + i, end - i, sizeof *items, backwards ? by_reversed_text : by_text);
        }
        i = end;
    }
}

/* ---- keys ----------------------------------------------------------------------------------- */

static size_t digit_of(uint64_t key, size_t digit) {
    return (size_t)(key >> (digit * DIGIT_BITS)) & (DIGIT_VALUES - 1);
}

/* From the lowest digit of the keys to the highest, each time keeping the order among equals. The
 * result is in *items; *other is as large. */
static void order_by_key(keyed **items, keyed **other, size_t count,
                         uint32_t places[DIGITS][DIGIT_VALUES]) {
    memset(places, 0, DIGITS * sizeof *places);
    for (size_t i = 0; i < count; i++) {
        for (size_t digit = 0; digit < DIGITS; digit++) {
            places[digit][digit_of((*items)[i].key, digit)]++;
        }
    }
    for (size_t digit = 0; digit < DIGITS; digit++) {
        uint32_t before = 0;
        for (size_t value = 0; value < DIGIT_VALUES; value++) {
            const uint32_t here = places[digit][value];
            places[digit][value] = before;
            before += here;
        }
        keyed *const from = *items, *const to = *other;
        for (size_t i = 0; i < count; i++) {
            to[places[digit][digit_of(from[i].key, digit)]++] = from[i];
        }
        *items = to;
        *other = from;
    }
}

sl_status text_order(const str *texts, size_t count, bool backwards, uint32_t *order,
                     sl_error *error) {
    const size_t room = count ? count : 1;
    keyed *const block = calloc(room, 2 * sizeof *block);
    uint32_t(*places)[DIGIT_VALUES] = malloc(DIGITS * sizeof *places);
    if (!block || !places) {
        free(block);
        free(places);
        return error_memory(error, "the vocabulary", room * 2 * sizeof *block);
    }
    keyed *items = block, *other = block + count;
    for (size_t i = 0; i < count; i++) {
        items[i] = (keyed){first_bytes(texts[i], backwards), &texts[i]};
    }
    order_by_key(&items, &other, count, places);
    settle_ties(items, count, backwards);
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)(items[i].text - texts);
    }
    free(block);
    free(places);
    return SL_OK;
}
