#define PCRE2_CODE_UNIT_WIDTH 8

#include "tokenizer/pretokenizer.h"

#include "base/error.h"
#include "base/size.h"
#include "tokenizer/pattern.h"
#include "tokenizer/pretokenizer_names.h"
#include "tokenizer/utf8.h"

#include <pcre2.h>
#include <string.h>

/* The steps that one match of a file's own pattern may take, which is PCRE2's own default. Each
 * step is a few nanoseconds. */
#define STRANGER_STEPS 10000000u

/* ---- patterns ------------------------------------------------------------------------------- */

/* Published patterns that take a time quadratic in the text, and what matches the same where they
 * are used: deepseek-llm's sees no line end but alone, so that a space with a space before it never
 * begins a match, and giving back spaces never helps. */
static const struct { const char *published, *quicker; } replaced[] = {{"\\s+$", "(?<!\\s)\\s++$"}};

static str quicker(str pattern) {
    for (size_t i = 0; i < COUNT_OF(replaced); i++) {
        if (str_is(pattern, replaced[i].published)) {
            return str_from(replaced[i].quicker);
        }
    }
    return pattern;
}

static sl_status compile_error(str pattern, int number, size_t offset, sl_error *error) {
    if (number == PCRE2_ERROR_HEAP_FAILED) {
        return error_memory(error, "the pre-tokenizer's pattern", pattern.len);
    }
    char text[128] = "";
    pcre2_get_error_message(number, (PCRE2_UCHAR *)text, sizeof text);
    return error_set(error, SL_ERR_UNSUPPORTED,
                     "PCRE2 does not take the pattern \"%.*s\" at %zu: %s", STR_ARG(pattern),
                     offset, text);
}

/* Patterns that see bytes are PCRE2's already. */
static sl_status compile_one(str pattern, bool bytes, void **out, sl_error *error) {
    array translated = array_new(1, 64 * PATTERN_BYTES);
    sl_status status = bytes ? SL_OK : pattern_translate(pattern, &translated, error);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (status == SL_OK && !context) {
        status = error_memory(error, "the pre-tokenizer's pattern", pattern.len);
    }
    if (status == SL_OK) {
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        int number;
        PCRE2_SIZE offset;
        const str given = bytes ? pattern : (str){translated.items, translated.count};
        pcre2_code *code =
            pcre2_compile((PCRE2_SPTR)given.ptr, given.len, bytes ? 0 : PCRE2_UTF | PCRE2_MULTILINE,
                          &number, &offset, context);
        if (code) {
            /* Where there is no executable memory, the interpreter does the same, slower. */
            (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
        } else {
            status = compile_error(pattern, number, offset, error);
        }
        *out = code;
    }
    pcre2_compile_context_free(context);
    array_free(&translated);
    return status;
}

static sl_status compile(pretokenizer *p, const pretokenizer_source *source, bool known,
                         sl_error *error) {
    *p = (pretokenizer){.match_limit = known ? UINT32_MAX : STRANGER_STEPS};
    for (size_t i = 0; i < source->count; i++) {
        const str pattern = known ? quicker(source->patterns[i]) : source->patterns[i];
        const sl_status status = compile_one(pattern, i >= source->bytes_from, &p->codes[i], error);
        if (status != SL_OK) {
            pretokenizer_free(p);
            return status;
        }
        p->count++;
    }
    return SL_OK;
}

static pretokenizer_source source_of(const pretokenizer_set *set) {
    pretokenizer_source source = {0};
    while (source.count < COUNT_OF(set->patterns) && set->patterns[source.count]) {
        source.patterns[source.count] = str_from(set->patterns[source.count]);
        source.count++;
    }
    source.bytes_from = set->bytes_from ? set->bytes_from : source.count;
    return source;
}

sl_status pretokenizer_create(pretokenizer *p, str name, sl_error *error) {
    *p = (pretokenizer){0};
    char names[384] = "";
    for (size_t i = 0; i < pretokenizer_name_count; i++) {
        const pretokenizer_named *known = &pretokenizer_names[i];
        if (str_is(name, known->name)) {
            const pretokenizer_source source = source_of(known->set);
            const sl_status status = compile(p, &source, true, error);
            p->whole_words = known->whole_words;
            p->add_bos = known->add_bos;
            return status;
        }
        if (i == 0 || known->set != pretokenizer_names[i - 1].set) {
            strcat(names, i ? ", " : "");
            strcat(names, known->name);
        }
    }
    return error_set(
        error, SL_ERR_UNSUPPORTED,
        "metadata \"tokenizer.ggml.pre\": unknown pre-tokenizer \"%.*s\" (known: %s, and "
        "those that are the same under other names)",
        STR_ARG(name), names);
}

const char *pretokenizer_name(const pretokenizer_source *source, bool whole_words) {
    for (size_t i = 0; i < pretokenizer_name_count; i++) {
        const pretokenizer_source known = source_of(pretokenizer_names[i].set);
        size_t same = 0;
        while (same < known.count && same < source->count &&
               str_equal(known.patterns[same], source->patterns[same])) {
            same++;
        }
        if (same == known.count && same == source->count &&
            known.bytes_from == source->bytes_from &&
            pretokenizer_names[i].whole_words == whole_words) {
            return pretokenizer_names[i].name;
        }
    }
    return NULL;
}

sl_status pretokenizer_compile(pretokenizer *p, const pretokenizer_source *source,
                               sl_error *error) {
    return compile(p, source, false, error);
}

void pretokenizer_free(pretokenizer *p) {
    for (size_t i = 0; i < p->count; i++) {
        pcre2_code_free(p->codes[i]);
    }
    *p = (pretokenizer){0};
}

size_t pretokenizer_bytes(const pretokenizer *p) {
    size_t sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        size_t bytes = 0, compiled = 0;
        pcre2_pattern_info(p->codes[i], PCRE2_INFO_SIZE, &bytes);
        pcre2_pattern_info(p->codes[i], PCRE2_INFO_JITSIZE, &compiled);
        sum += bytes + compiled;
    }
    return sum;
}

/* ---- cutting -------------------------------------------------------------------------------- */

sl_status pretokenizer_match_create(pretokenizer_match *match, const pretokenizer *p,
                                    sl_error *error) {
    *match = (pretokenizer_match){.data = pcre2_match_data_create(1, NULL),
                                  .context = pcre2_match_context_create(NULL)};
    if (!match->data || !match->context) {
        pretokenizer_match_free(match);
        return error_memory(error, "matching a pattern", 256);
    }
    /* Known patterns' steps are in proportion to the text; a limit would only refuse long ones. */
    pcre2_set_match_limit(match->context, p->match_limit);
    pcre2_set_depth_limit(match->context, p->match_limit);
    pcre2_set_heap_limit(match->context, p->match_limit);
    return SL_OK;
}

void pretokenizer_match_free(pretokenizer_match *match) {
    pcre2_match_data_free(match->data);
    pcre2_match_context_free(match->context);
    *match = (pretokenizer_match){0};
}

static void enter(pretokenizer_match *match, str text) {
    match->pieces[match->depth++] = (pretokenizer_piece){.text = text, .last_end = SIZE_MAX};
}

void pretokenizer_begin(pretokenizer_match *match, str text) {
    match->depth = 0;
    enter(match, text);
}

/* One search from piece->from on. Where the compiled code's stack is too small, PCRE2's interpreter
 * does it again. */
static sl_status search(const pretokenizer *p, pretokenizer_match *match, pretokenizer_piece *piece,
                        sl_error *error) {
    const void *code = p->codes[piece - match->pieces];
    int found = pcre2_match(code, (PCRE2_SPTR)piece->text.ptr, piece->text.len, piece->from,
                            PCRE2_NO_UTF_CHECK, match->data, match->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
        found = pcre2_match(code, (PCRE2_SPTR)piece->text.ptr, piece->text.len, piece->from,
                            PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match->data, match->context);
    }
    if (found == PCRE2_ERROR_NOMEMORY) {
        return error_memory(error, "matching a pattern", piece->text.len);
    }
    if (found == PCRE2_ERROR_NOMATCH) {
        piece->match = piece->match_end = piece->text.len;
        return SL_OK;
    }
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(match->data);
    if (found < 0 || ends[0] < piece->from || ends[1] < ends[0] || ends[1] > piece->text.len) {
        return error_set(error, SL_ERR_RUNTIME,
                         "the pre-tokenizer's pattern %zu failed at byte %zu of a piece of the "
                         "text (PCRE2 %d)",
                         (size_t)(piece - match->pieces) + 1, piece->from, found);
    }
    piece->match = ends[0];
    piece->match_end = ends[1];
    return SL_OK;
}

/* The next match, as Oniguruma's callers walk a text: an empty match cuts it, but not where the
 * match before ended; there the search goes on one character later. */
static sl_status find(const pretokenizer *p, pretokenizer_match *match, pretokenizer_piece *piece,
                      sl_error *error) {
    for (;;) {
        const sl_status status = search(p, match, piece, error);
        if (status != SL_OK) {
            return status;
        }
        if (piece->match < piece->match_end || piece->match != piece->last_end ||
            piece->match == piece->text.len) {
            piece->matched = true;
            return SL_OK;
        }
        const size_t length = utf8_length_from((uint8_t)piece->text.ptr[piece->from]);
        piece->from += length ? length : 1;
        if (piece->from > piece->text.len) {
            piece->from = piece->text.len;
        }
    }
}

/* The next part of the piece, which may be empty: what lies before the next match, or the match. */
static sl_status cut(const pretokenizer *p, pretokenizer_match *match, pretokenizer_piece *piece,
                     str *part, sl_error *error) {
    const sl_status status = piece->matched ? SL_OK : find(p, match, piece, error);
    if (status != SL_OK) {
        return status;
    }
    const bool gap = piece->at < piece->match;
    const size_t end = gap ? piece->match : piece->match_end;
    *part = (str){piece->text.ptr + piece->at, end - piece->at};
    piece->at = end;
    if (!gap) {
        piece->matched = false;
        piece->from = piece->last_end = end;
    }
    return SL_OK;
}

sl_status pretokenizer_next(const pretokenizer *p, pretokenizer_match *match, str *word,
                            sl_error *error) {
    *word = (str){NULL, 0};
    while (match->depth > 0) {
        pretokenizer_piece *piece = &match->pieces[match->depth - 1];
        if (piece->at == piece->text.len) {
            match->depth--;
            continue;
        }
        str part;
        const sl_status status = cut(p, match, piece, &part, error);
        if (status != SL_OK) {
            return status;
        }
        if (part.len == 0) {
            continue;
        }
        if (match->depth == p->count) {
            *word = part;
            return SL_OK;
        }
        enter(match, part);
    }
    return SL_OK;
}
