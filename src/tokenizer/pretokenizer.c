#define PCRE2_CODE_UNIT_WIDTH 8

#include "tokenizer/pretokenizer.h"

#include "base/error.h"
#include "base/size.h"

#include <pcre2.h>
#include <string.h>

/* \s of the published patterns is Unicode's White_Space; PCRE2's own is not quite. */
#define SPACES                                                                                     \
    "\\x{09}-\\x{0d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"                             \
    "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define SPACE "[" SPACES "]"
#define NO_SPACE "[^" SPACES "]"

/* Every pattern takes any character in one of its branches. Possessive quantifiers stand where
 * giving back could not help: they keep long runs linear and off the stack. */
/* GPT-2's, in encoder.py of openai/gpt-2. */
static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}++| ?\\p{N}++"
                           "| ?[^" SPACES "\\p{L}\\p{N}]++|" SPACE "+(?!" NO_SPACE ")|" SPACE "+";

/* StarCoder's cuts out each digit first and applies GPT-2's pattern to what is between, to which a
 * digit is the end of the text: spaces before one stay together, and never join it. */
static const char starcoder[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}++|\\p{N}"
                                "| ?[^" SPACES "\\p{L}\\p{N}]++"
                                "|" SPACE "+(?![^" SPACES "\\p{N}])|" SPACE "+";

/* Llama 3's and Qwen2's, in their tokenizer.json; they differ in how many digits stay together. */
#define LLAMA3(digits)                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}++|" digits "| ?[^" SPACES           \
    "\\p{L}\\p{N}]++[\\r\\n]*+|" SPACE "*[\\r\\n]++|" SPACE "+(?!" NO_SPACE ")|" SPACE "+"
static const char llama3[] = LLAMA3("\\p{N}{1,3}+");
static const char qwen2[] = LLAMA3("\\p{N}");

static const struct {
    const char *name;
    const char *pattern;
    bool whole_words, add_bos;
} known[] = {
    {"default", gpt2, false, false},        {"gpt-2", gpt2, false, false},
    {"llama-bpe", llama3, true, true},      {"llama3", llama3, true, true},
    {"llama-v3", llama3, true, true},       {"qwen2", qwen2, false, false},
    {"starcoder", starcoder, false, false},
};

static sl_status compile(pretokenizer *p, const char *pattern, sl_error *error) {
    int number;
    PCRE2_SIZE offset;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY, &number, &offset, NULL);
    if (!code && number == PCRE2_ERROR_HEAP_FAILED) {
        return error_memory(error, "the pre-tokenizer's pattern", strlen(pattern));
    }
    if (!code) {
        char text[128] = "";
        pcre2_get_error_message(number, (PCRE2_UCHAR *)text, sizeof text);
        return error_set(error, SL_ERR_RUNTIME, "PCRE2 does not take a pattern at %zu: %s",
                         (size_t)offset, text);
    }
    /* Where the system gives no executable memory, the interpreter does the same, slower. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    p->code = code;
    return SL_OK;
}

sl_status pretokenizer_create(pretokenizer *p, str name, sl_error *error) {
    *p = (pretokenizer){0};
    char names[128] = "";
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (str_is(name, known[i].name)) {
            p->whole_words = known[i].whole_words;
            p->add_bos = known[i].add_bos;
            return compile(p, known[i].pattern, error);
        }
        strcat(names, i ? ", " : "");
        strcat(names, known[i].name);
    }
    return error_set(error, SL_ERR_UNSUPPORTED,
                     "metadata \"tokenizer.ggml.pre\": unknown pre-tokenizer \"%.*s\" (known: %s)",
                     STR_ARG(name), names);
}

void pretokenizer_free(pretokenizer *p) {
    pcre2_code_free(p->code);
    *p = (pretokenizer){0};
}

size_t pretokenizer_bytes(const pretokenizer *p) {
    size_t bytes = 0, compiled = 0;
    if (p->code) {
        pcre2_pattern_info(p->code, PCRE2_INFO_SIZE, &bytes);
        pcre2_pattern_info(p->code, PCRE2_INFO_JITSIZE, &compiled);
    }
    return bytes + compiled;
}

sl_status pretokenizer_match_create(pretokenizer_match *match, const pretokenizer *p,
                                    sl_error *error) {
    match->data = pcre2_match_data_create_from_pattern(p->code, NULL);
    match->context = pcre2_match_context_create(NULL);
    if (!match->data || !match->context) {
        pretokenizer_match_free(match);
        return error_memory(error, "matching a pattern", 256);
    }
    /* Each pattern's steps are in proportion to the text; a limit would only refuse long ones. */
    pcre2_set_match_limit(match->context, UINT32_MAX);
    pcre2_set_depth_limit(match->context, UINT32_MAX);
    pcre2_set_heap_limit(match->context, UINT32_MAX);
    return SL_OK;
}

void pretokenizer_match_free(pretokenizer_match *match) {
    pcre2_match_data_free(match->data);
    pcre2_match_context_free(match->context);
    *match = (pretokenizer_match){0};
}

sl_status pretokenizer_next(const pretokenizer *p, const pretokenizer_match *match, str text,
                            size_t at, size_t *length, sl_error *error) {
    const int found = pcre2_match(p->code, (PCRE2_SPTR)text.ptr, text.len, at, PCRE2_NO_UTF_CHECK,
                                  match->data, match->context);
    if (found == PCRE2_ERROR_NOMEMORY) {
        return error_memory(error, "matching a pattern", text.len);
    }
    if (found < 0) {
        return error_set(error, SL_ERR_RUNTIME,
                         "the pre-tokenizer's pattern failed at byte %zu of the text (PCRE2 %d)",
                         at, found);
    }
    *length = pcre2_get_ovector_pointer(match->data)[1] - at;
    return SL_OK;
}
