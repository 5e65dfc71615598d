/* lookup.h - drafts of what may come next, copied from earlier in the same text: sl_lookup of
 * sluice.h.
 *
 *   text   ... the quick brown fox ...... the quick brown ?
 *                              ^ next     \_ agreed = 3 _/
 *
 * The place. It is the one before which the most tokens agree with the end of the text, counted up
 * to LOOKUP_AGREED, and of several such the last. It is found by an index of the last LOOKUP_GRAM
 * tokens, of which the LOOKUP_WALK last occurrences are compared, else by indices of fewer tokens
 * down to one; a place that was followed so far is compared as well.
 *
 * The length. At each token of the text, whether or not it was drafted, the place either was right
 * about it or not; p[k] is the decaying share of right ones among places of class k, classes being
 * ranges of agreed tokens. A draft of d tokens is expected to give 1 + s[1] + ... + s[d] tokens,
 * s[i] = p[..] ... p[..] of the classes on the way, and to cost (1 + d c) u[d] of the time of a
 * pass of one row: c is what a row costs, u what passes of so many rows make of it, both learned
 * from the time that passes took. The d with the most tokens for their time is drafted, maybe none.
 * So where the text does not repeat itself nothing is lost, and it is noticed when it begins to.
 */
#ifndef SAMPLING_LOOKUP_H
#define SAMPLING_LOOKUP_H

#include "sluice.h"

enum {
    LOOKUP_GRAM = 3,    /* tokens of the longest indexed sequence */
    LOOKUP_WALK = 8,    /* earlier occurrences of it that are compared */
    LOOKUP_AGREED = 16, /* tokens compared at most */
};

#endif
