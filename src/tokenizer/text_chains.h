/* text_chains.h - which texts of a vocabulary begin and end which others.
 *
 * Among texts in alphabetical order, those that begin a text form a chain: the longest, the longest
 * that begins that one, and so on; likewise those that end it, where they are ordered by their
 * reversal. So all ways to cut a text into two others are found without trying every place. */
#ifndef TOKENIZER_TEXT_CHAINS_H
#define TOKENIZER_TEXT_CHAINS_H

#include "base/str.h"
#include "sluice.h"

#include <stdint.h>

#define CHAIN_END UINT32_MAX

typedef struct text_chains {
    uint32_t *begins; /* of each text: the longest other that begins it, or CHAIN_END */
    uint32_t *ends;   /* the longest other that ends it */
    /* Of each text, in bytes: who walks along a chain needs little else, and has it together. */
    uint32_t *lengths;
} text_chains;

/* The texts differ and are under 2^32. The caller frees *chains in any case. */
SL_CHECK sl_status text_chains_build(text_chains *chains, const str *texts, size_t count,
                                     sl_error *error);
void text_chains_free(text_chains *chains);

#endif
