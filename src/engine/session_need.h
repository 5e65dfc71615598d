/* session_need.h - what a group of sessions will take, before it is opened; in session.c. */
#ifndef ENGINE_SESSION_NEED_H
#define ENGINE_SESSION_NEED_H

#include "program/program.h"

typedef struct session_need {
    size_t n_ctx;   /* positions of each */
    size_t n_batch; /* most rows computed at once */
    size_t threads;
    uint64_t kv_bytes;     /* keys and values of all */
    uint64_t buffer_bytes; /* all else: activations, logits, scratch, stacks, samplers */
} session_need;

/* In which keys or values of that kind are kept. */
quant_type session_cache_type(sl_kv_type type);

/* What sl_session_create_group would reserve for `count` sessions. Refuses, and notes, what that
 * refuses and notes but for the memory budget. Allocates nothing. */
SL_CHECK sl_status session_need_make(const program *p, const sl_session_options *options,
                                     size_t count, session_need *out, sl_error *error);

#endif
