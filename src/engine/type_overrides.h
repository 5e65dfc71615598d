/* type_overrides.h - types for the tensors whose names a pattern is found in: "PATTERN=TYPE".
 *
 * The patterns are PCRE2's, see bytes, and are looked for anywhere in a name. They come from the
 * user, yet one that would take forever on some name is refused.
 */
#ifndef ENGINE_TYPE_OVERRIDES_H
#define ENGINE_TYPE_OVERRIDES_H

#include "base/str.h"
#include "quant/quant.h"
#include "sluice.h"

typedef struct type_override {
    const char *text; /* the caller's, "PATTERN=TYPE" */
    quant_type type;
    bool found; /* in a name so far */
    void *code; /* pcre2_code */
} type_override;

typedef struct type_overrides {
    type_override *items;
    size_t count;
    void *data, *context; /* pcre2_match_data and pcre2_match_context */
} type_overrides;

/* The type of that name, such as "q4_k", in any letter case; false if none is known. */
bool type_by_name(const char *name, quant_type *type);

/* Compiles up to LIMIT_TYPE_OVERRIDES of them. The texts must outlive *o. On failure nothing is
 * left. */
SL_CHECK sl_status type_overrides_open(const char *const *texts, size_t n, type_overrides *o,
                                       sl_error *error);

/* A zeroed one is allowed. */
void type_overrides_close(type_overrides *o);

/* Sets *type to that of the last pattern that is found in the name, and leaves it where none is. */
SL_CHECK sl_status type_overrides_apply(type_overrides *o, str name, quant_type *type,
                                        bool *applied, sl_error *error);

#endif
