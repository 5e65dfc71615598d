/* tokenizer_json_steps.c - the normalizer, pre-tokenizer and post-processor of a tokenizer.json:
 * trees of small steps, each of which either means something that the tokenizer here does or is
 * refused by its name. */
#include "base/size.h"
#include "tokenizer/pretokenizer_names.h"
#include "tokenizer/tokenizer_json_parts.h"

#define MARK "\xe2\x96\x81"

/* What a step of any kind may say; the rest is skipped. */
typedef struct json_step {
    str type, content, prepend, pattern, behavior, replacement, scheme;
    bool pattern_is_regex, invert, individual, add_prefix_space, use_regex, split, left, right;
    bool clean, ideographs, lower_case;
    int strip_accents; /* -1: null */
    bool has_steps;    /* a Sequence: they have been read */
} json_step;

typedef void (*step_fn)(json_pull *j, const json_step *step, tokenizer_json *found);

static void refuse(json_pull *j, const char *what, str name) {
    json_fail(j, SL_ERR_UNSUPPORTED, "%s \"%.*s\" is not known here", what, STR_ARG(name));
}

/* {"String": " "} or {"Regex": "..."} */
static void read_pattern(json_pull *j, json_step *step) {
    json_enter_object(j);
    for (str key; json_key(j, &key);) {
        step->pattern_is_regex = str_is(key, "Regex");
        if (!step->pattern_is_regex && !str_is(key, "String")) {
            refuse(j, "a pattern of the kind", key);
        }
        step->pattern = json_take_string(j);
    }
}

static bool read_flag(json_pull *j, str key, json_step *step) {
    const struct {
        const char *key;
        bool *out;
    } flags[] = {{"invert", &step->invert},
                 {"individual_digits", &step->individual},
                 {"add_prefix_space", &step->add_prefix_space},
                 {"use_regex", &step->use_regex},
                 {"split", &step->split},
                 {"strip_left", &step->left},
                 {"strip_right", &step->right},
                 {"clean_text", &step->clean},
                 {"handle_chinese_chars", &step->ideographs},
                 {"lowercase", &step->lower_case}};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        if (str_is(key, flags[i].key)) {
            *flags[i].out = json_bool(j);
            return true;
        }
    }
    return false;
}

static bool read_text(json_pull *j, str key, json_step *step) {
    const struct {
        const char *key;
        str *out;
    } texts[] = {{"type", &step->type},
                 {"content", &step->content},
                 {"prepend", &step->prepend},
                 {"behavior", &step->behavior},
                 {"replacement", &step->replacement},
                 {"prepend_scheme", &step->scheme}};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (str_is(key, texts[i].key) && json_peek(j) == JSON_STRING) {
            *texts[i].out = json_take_string(j);
            return true;
        }
    }
    return false;
}

/* A step, or the steps of a sequence, each handed to `take` in turn. Sequences lie in each other at
 * most JSON_DEPTH deep. */
static void read_steps(json_pull *j, tokenizer_json *found, step_fn take) {
    if (json_peek(j) == JSON_NULL) {
        json_skip(j);
        return;
    }
    json_step step = {.use_regex = true,
                      .add_prefix_space = true,
                      .split = true,
                      .clean = true,
                      .ideographs = true,
                      .lower_case = true,
                      .strip_accents = -1};
    json_enter_object(j);
    for (str key; json_key(j, &key);) {
        if (str_is(key, "normalizers") || str_is(key, "pretokenizers")) {
            step.has_steps = true;
            for (json_enter_array(j); json_element(j);) {
                read_steps(j, found, take);
            }
        } else if (str_is(key, "pattern")) {
            read_pattern(j, &step);
        } else if (str_is(key, "strip_accents") && json_peek(j) == JSON_BOOL) {
            step.strip_accents = json_bool(j);
        } else if (!read_flag(j, key, &step) && !read_text(j, key, &step)) {
            json_skip(j);
        }
    }
    if (j->status == SL_OK && !step.has_steps) {
        take(j, &step, found);
    }
}

/* ---- normalizers ---------------------------------------------------------------------------- */

static void take_normalizer(json_pull *j, const json_step *step, tokenizer_json *found) {
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"};
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (str_is(step->type, forms[i])) {
            if (found->normal_form.len > 0 || found->marks_spaces) {
                refuse(j, "a second normalizer", step->type);
            }
            found->normal_form = str_from(forms[i]);
            return;
        }
    }
    if (str_is(step->type, "BertNormalizer")) {
        found->bert = true;
        found->clean = step->clean;
        found->ideographs = step->ideographs;
        found->lower_case = step->lower_case;
        found->strip_accents = step->strip_accents;
    } else if (str_is(step->type, "Prepend") && str_is(step->prepend, MARK) &&
               !found->marks_spaces) {
        found->prepends = true;
    } else if (str_is(step->type, "Replace") && str_is(step->pattern, " ") &&
               !step->pattern_is_regex && str_is(step->content, MARK)) {
        found->marks_spaces = true;
    } else if (!str_is(step->type, "Strip") || step->left || step->right) {
        refuse(j, "the normalizer", step->type);
    }
}

void json_read_normalizer(json_pull *j, tokenizer_json *found) {
    read_steps(j, found, take_normalizer);
}

/* ---- pre-tokenizers ------------------------------------------------------------------------- */

/* Adds a pattern; behind ByteLevel one that sees bytes. */
static void add_pattern(json_pull *j, tokenizer_json *found, str pattern) {
    pretokenizer_source *cuts = &found->cuts;
    if (cuts->count == PRETOKENIZER_PATTERNS) {
        json_fail(j, SL_ERR_UNSUPPORTED, "a pre-tokenizer of more than %u patterns",
                  PRETOKENIZER_PATTERNS);
        return;
    }
    cuts->patterns[cuts->count++] = pattern;
    if (!found->bytes) {
        cuts->bytes_from = cuts->count;
    }
}

/* Line ends and tabs that are written as themselves mean what their escapes do, by which names are
 * compared. The result lives in the reader's room. */
static str escape_controls(json_pull *j, str pattern, char *room) {
    static const char controls[] = "\n\r\t", letters[] = "nrt";
    size_t length = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        const char *found = pattern.ptr[i] ? strchr(controls, pattern.ptr[i]) : NULL;
        if (found && i > 0 && pattern.ptr[i - 1] == '\\') {
            json_fail(j, SL_ERR_UNSUPPORTED, "a pattern with a line end behind '\\'");
        }
        if (found) {
            room[length++] = '\\';
        }
        room[length++] = found ? letters[found - controls] : pattern.ptr[i];
    }
    return (str){room, length};
}

/* A text that is to be matched as it is. */
static str escape_all(str text, char *room) {
    size_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] && strchr("\\^$.|?*+()[]{}", text.ptr[i])) {
            room[length++] = '\\';
        }
        room[length++] = text.ptr[i];
    }
    return (str){room, length};
}

/* Cut out alone; "Removed" with `invert` keeps what matches, which is everything in the patterns
 * that are used so. */
static void take_split(json_pull *j, const json_step *step, tokenizer_json *found) {
    if (!step->pattern_is_regex && str_is(step->pattern, " ") && found->marks_spaces) {
        found->splits_at_space = true; /* there are none */
        return;
    }
    const bool isolated = str_is(step->behavior, "Isolated");
    if (!isolated && !(str_is(step->behavior, "Removed") && step->invert)) {
        refuse(j, "Split with the behavior", step->behavior);
        return;
    }
    if (found->bytes && !str_is(step->pattern, "[0-9][0-9][0-9]")) {
        refuse(j, "behind ByteLevel, the pattern", step->pattern);
        return;
    }
    if (step->pattern.len > JSON_PATTERN_BYTES || found->pattern_count == PRETOKENIZER_PATTERNS) {
        json_fail(j, SL_ERR_UNSUPPORTED, "a pattern of over %u bytes, or more than %u of them",
                  JSON_PATTERN_BYTES, PRETOKENIZER_PATTERNS);
        return;
    }
    char *room = found->pattern_room[found->pattern_count++];
    add_pattern(j, found,
                step->pattern_is_regex ? escape_controls(j, step->pattern, room)
                                       : escape_all(step->pattern, room));
}

static void take_byte_level(json_pull *j, const json_step *step, tokenizer_json *found) {
    if (step->use_regex) {
        add_pattern(j, found, str_from(PATTERN_GPT2));
    }
    if (step->add_prefix_space && found->cuts.count > (step->use_regex ? 1u : 0u)) {
        json_fail(j, SL_ERR_UNSUPPORTED, "ByteLevel with add_prefix_space behind other steps");
    }
    found->add_prefix_space = step->add_prefix_space;
    found->bytes = true;
}

static void take_digits(json_pull *j, const json_step *step, tokenizer_json *found) {
    const char *pattern = step->individual ? PATTERN_DIGIT : PATTERN_DIGITS;
    if (found->bytes) {
        pattern = step->individual ? PATTERN_BYTE_DIGIT : PATTERN_BYTE_DIGITS;
    }
    add_pattern(j, found, str_from(pattern));
}

static void take_metaspace(json_pull *j, const json_step *step, tokenizer_json *found) {
    if (!str_is(step->replacement, MARK) || found->cuts.count > 0 || found->bytes) {
        refuse(j, "Metaspace with the mark", step->replacement);
    }
    const bool never = str_is(step->scheme, "never") || !step->add_prefix_space;
    found->metaspace = true;
    found->cut_spaces = step->split;
    found->prepends = found->prepends || !never;
    found->space_at_start = str_is(step->scheme, "first");
}

static void take_pre_tokenizer(json_pull *j, const json_step *step, tokenizer_json *found) {
    const bool contiguous = str_is(step->behavior, "Contiguous");
    if (str_is(step->type, "Split")) {
        take_split(j, step, found);
    } else if (str_is(step->type, "ByteLevel") && !found->bytes) {
        take_byte_level(j, step, found);
    } else if (str_is(step->type, "Digits")) {
        take_digits(j, step, found);
    } else if (str_is(step->type, "Punctuation") && !found->bytes &&
               (contiguous || step->behavior.len == 0 || str_is(step->behavior, "Isolated"))) {
        add_pattern(j, found, str_from(contiguous ? PATTERN_MARKS : PATTERN_MARK));
    } else if (str_is(step->type, "Metaspace")) {
        take_metaspace(j, step, found);
    } else if (str_is(step->type, "BertPreTokenizer")) {
        found->bert_words = true;
    } else {
        refuse(j, "the pre-tokenizer", step->type);
    }
}

void json_read_pre_tokenizer(json_pull *j, tokenizer_json *found) {
    read_steps(j, found, take_pre_tokenizer);
}

/* ---- post-processors ------------------------------------------------------------------------ */

/* The elements of a TemplateProcessing's "single": tokens before and behind the text. */
static void read_template(json_pull *j, tokenizer_json *found) {
    bool text = false;
    found->has_template = true;
    for (json_enter_array(j); json_element(j);) {
        json_enter_object(j);
        for (str kind; json_key(j, &kind);) {
            str id = {"", 0};
            json_enter_object(j);
            for (str key; json_key(j, &key);) {
                if (str_is(key, "id")) {
                    id = json_take_string(j);
                } else {
                    json_skip(j);
                }
            }
            if (str_is(kind, "Sequence")) {
                text = true;
                continue;
            }
            json_special *side = text ? &found->behind : &found->before;
            if (side->text.ptr) {
                json_fail(j, SL_ERR_UNSUPPORTED,
                          "a template with more than one token on a side of the text");
            }
            side->text = id;
        }
    }
}

/* BertProcessing's and RobertaProcessing's ["[CLS]", 101] */
static void read_pair(json_pull *j, json_special *out) {
    size_t parts = 0;
    for (json_enter_array(j); json_element(j); parts++) {
        if (parts == 0) {
            out->text = json_take_string(j);
        } else {
            out->id = json_take_integer(j, 0, INT32_MAX);
        }
    }
    if (parts != 2) {
        json_fail(j, SL_ERR_FORMAT, "expected a token and its id, found %zu values", parts);
    }
}

void json_read_post_processor(json_pull *j, tokenizer_json *found) {
    if (json_peek(j) == JSON_NULL) {
        json_skip(j);
        return;
    }
    json_enter_object(j);
    for (str key; json_key(j, &key);) {
        if (str_is(key, "processors")) {
            for (json_enter_array(j); json_element(j);) {
                json_read_post_processor(j, found);
            }
        } else if (str_is(key, "single") && json_peek(j) == JSON_ARRAY) {
            read_template(j, found);
        } else if (str_is(key, "cls") || str_is(key, "sep")) {
            found->has_template = true;
            read_pair(j, str_is(key, "cls") ? &found->before : &found->behind);
        } else {
            json_skip(j);
        }
    }
}
