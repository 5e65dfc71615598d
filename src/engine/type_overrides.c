#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/type_overrides.h"

#include "base/error.h"
#include "base/limits.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Names have at most some hundred bytes: far more steps than any sensible pattern takes. */
enum { MOST_STEPS = 1000000 };

bool type_by_name(const char *name, quant_type *type) {
    for (uint32_t i = 0; i < QUANT_TYPE_LIMIT; i++) {
        const quant_format *format = quant_format_of(i);
        if (format && strcasecmp(format->name, name) == 0) {
            *type = (quant_type)i;
            return true;
        }
    }
    return false;
}

/* The last '=' ends the pattern, as no type's name has one. */
static sl_status compile(const char *text, type_override *out, sl_error *error) {
    const char *const equals = strrchr(text, '=');
    if (!equals || equals == text) {
        return error_set(error, SL_ERR_ARGUMENT, "expected PATTERN=TYPE, found '%.200s'", text);
    }
    *out = (type_override){.text = text};
    if (!type_by_name(equals + 1, &out->type)) {
        return error_set(error, SL_ERR_ARGUMENT, "'%.200s': no type is named '%.40s'", text,
                         equals + 1);
    }
    int number;
    PCRE2_SIZE offset;
    out->code =
        pcre2_compile((PCRE2_SPTR)text, (PCRE2_SIZE)(equals - text), 0, &number, &offset, NULL);
    if (out->code) {
        return SL_OK;
    }
    char reason[128] = "";
    pcre2_get_error_message(number, (PCRE2_UCHAR *)reason, sizeof reason);
    return error_set(error, SL_ERR_ARGUMENT,
                     "PCRE2 does not take the pattern of '%.200s' at %zu: %s", text, (size_t)offset,
                     reason);
}

sl_status type_overrides_open(const char *const *texts, size_t n, type_overrides *o,
                              sl_error *error) {
    *o = (type_overrides){0};
    if (n > LIMIT_TYPE_OVERRIDES) {
        return error_set(error, SL_ERR_ARGUMENT, "%zu types for patterns, expected at most %u", n,
                         LIMIT_TYPE_OVERRIDES);
    }
    if (n == 0) {
        return SL_OK;
    }
    o->items = calloc(n, sizeof *o->items);
    o->data = pcre2_match_data_create(1, NULL);
    o->context = pcre2_match_context_create(NULL);
    sl_status status = SL_OK;
    if (!o->items || !o->data || !o->context) {
        status = error_memory(error, "patterns of tensors' names", n * sizeof *o->items);
    } else {
        pcre2_set_match_limit(o->context, MOST_STEPS);
        pcre2_set_depth_limit(o->context, MOST_STEPS);
    }
    while (status == SL_OK && o->count < n) {
        status = compile(texts[o->count], &o->items[o->count], error);
        o->count += status == SL_OK;
    }
    if (status != SL_OK) {
        type_overrides_close(o);
    }
    return status;
}

void type_overrides_close(type_overrides *o) {
    for (size_t i = 0; i < o->count; i++) {
        pcre2_code_free(o->items[i].code);
    }
    pcre2_match_data_free(o->data);
    pcre2_match_context_free(o->context);
    free(o->items);
    *o = (type_overrides){0};
}

sl_status type_overrides_apply(type_overrides *o, str name, quant_type *type, bool *applied,
                               sl_error *error) {
    *applied = false;
    for (size_t i = 0; i < o->count; i++) {
        type_override *const item = &o->items[i];
        const int found = pcre2_match(item->code, (PCRE2_SPTR)(name.len ? name.ptr : ""), name.len,
                                      0, 0, o->data, o->context);
        if (found >= 0) {
            item->found = *applied = true;
            *type = item->type;
        } else if (found != PCRE2_ERROR_NOMATCH) {
            return error_set(error, SL_ERR_ARGUMENT,
                             "the pattern of '%.200s' takes too many steps on '%.*s'", item->text,
                             STR_ARG(name));
        }
    }
    return SL_OK;
}
