/* text_order.h - puts the texts of a vocabulary in order.
 *
 * Most texts differ in their first eight bytes, so these are compared as one number, and only what
 * is alike in them byte by byte. */
#ifndef TOKENIZER_TEXT_ORDER_H
#define TOKENIZER_TEXT_ORDER_H

#include "base/str.h"
#include "sluice.h"

#include <stdint.h>

/* Fills order[0..count) with the numbers of the texts in the order of their bytes, or with
 * `backwards` of their bytes from the last to the first; what is part of another comes before it,
 * and of texts alike the one of the lower number. Under 2^32 texts. SL_ERR_MEMORY. */
SL_CHECK sl_status text_order(const str *texts, size_t count, bool backwards, uint32_t *order,
                              sl_error *error);

#endif
