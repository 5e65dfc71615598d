#include "tokenizer/normalizer.h"

#include "base/error.h"
#include "base/size.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

/* So much is normalized at once, or more where there is no place to stop. */
#define CHUNK_BYTES 32768u

sl_status normalizer_read(normalizer *n, const model_file *file, sl_error *error) {
    static const struct {
        const char *name;
        int options;
    } forms[] = {{"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
                 {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
                 {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
                 {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};
    str form = {NULL, 0};
    sl_status status = meta_get_string(file, "sluice.tokenizer.normal_form", false, &form, error);
    for (size_t i = 0; status == SL_OK && i < COUNT_OF(forms); i++) {
        n->form = str_is(form, forms[i].name) ? forms[i].options : n->form;
    }
    if (status == SL_OK && form.len > 0 && n->form == 0) {
        return error_set(error, SL_ERR_UNSUPPORTED, "unknown normal form \"%.*s\"", STR_ARG(form));
    }
    return status == SL_OK
               ? meta_get_bool(file, "sluice.tokenizer.prefix_space", false, &n->add_space, error)
               : status;
}

static bool is_ascii(str text) {
    size_t at = 0;
    while (at < text.len && !(text.ptr[at] & 0x80)) {
        at++;
    }
    return at == text.len;
}

/* Whether what comes before may be normalized without this character: one that begins anew and
 * joins nothing before it, such as ASCII, ideographs, kana and syllables of Hangul. */
static bool begins_anew(uint32_t code) {
    return code < 0x80 || (code >= 0x3041 && code <= 0x3096) ||
           (code >= 0x30a1 && code <= 0x30fa) || (code >= 0x4e00 && code <= 0x9fff) ||
           (code >= 0xac00 && code <= 0xd7a3);
}

/* Where the chunk of well-formed text that begins at `at` ends. */
static size_t chunk_end(str text, size_t at) {
    const size_t least = at + CHUNK_BYTES;
    while (at < text.len) {
        uint32_t code = 0;
        const size_t length = utf8_decode(text.ptr + at, text.len - at, &code);
        if (at >= least && begins_anew(code)) {
            break;
        }
        at += length ? length : 1;
    }
    return at;
}

static sl_status append(array *buffer, str text, sl_error *error) {
    const sl_status status = array_reserve(buffer, text.len, error);
    if (status == SL_OK && text.len > 0) {
        memcpy((char *)buffer->items + buffer->count, text.ptr, text.len);
        buffer->count += text.len;
    }
    return status;
}

static sl_status append_normal(const normalizer *n, array *buffer, str text, sl_error *error) {
    if (is_ascii(text)) {
        return append(buffer, text, error);
    }
    utf8proc_uint8_t *made = NULL;
    const utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)text.ptr, (utf8proc_ssize_t)text.len, &made,
                     (utf8proc_option_t)n->form);
    if (length < 0) {
        return error_memory(error, "normalizing a text", 4 * text.len);
    }
    const sl_status status = append(buffer, (str){(char *)made, (size_t)length}, error);
    free(made);
    return status;
}

/* Well-formed text, chunk by chunk. */
static sl_status append_run(const normalizer *n, array *buffer, str run, sl_error *error) {
    sl_status status = SL_OK;
    for (size_t at = 0; at < run.len && status == SL_OK;) {
        const size_t end = chunk_end(run, at);
        status = append_normal(n, buffer, (str){run.ptr + at, end - at}, error);
        at = end;
    }
    return status;
}

sl_status normalizer_apply(const normalizer *n, str text, array *buffer, str *out,
                           sl_error *error) {
    *out = text;
    const bool form = n->form && !is_ascii(text);
    const bool space = n->add_space && text.len > 0 && text.ptr[0] != ' ';
    if (!form && !space) {
        return SL_OK;
    }
    buffer->count = 0;
    sl_status status = space ? append(buffer, str_from(" "), error) : SL_OK;
    if (!form && status == SL_OK) {
        status = append(buffer, text, error);
    }
    for (size_t at = 0; form && at < text.len && status == SL_OK;) {
        const size_t valid = utf8_valid_prefix(text.ptr + at, text.len - at);
        status = append_run(n, buffer, (str){text.ptr + at, valid}, error);
        at += valid;
        if (status == SL_OK && at < text.len) {
            status = append(buffer, (str){text.ptr + at, 1}, error);
            at++;
        }
    }
    *out = (str){buffer->items, buffer->count};
    return status;
}
