/* batch_requests.c - batch_requests.h. */
#include "cli/batch_requests.h"

#include "cli/cli.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINE = 64 << 20, MOST_ID = 512, MOST_STOPS = 16, MOST_STOP_BYTES = 4096 };

/* ---- lines ---------------------------------------------------------------------------------- */

enum { FORMAT_AUTO, FORMAT_JSONL, FORMAT_TEXT }; /* --input-format, in the table's order */

static bool is_blank(const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (!strchr(" \t\r", bytes[i]) || !bytes[i]) {
            return false;
        }
    }
    return true;
}

/* Fills lines, or only counts them where it is NULL. */
static size_t cut_lines(const text *all, bool json, batch_line *lines) {
    size_t count = 0, number = 0;
    for (size_t at = 0; at < all->length;) {
        const char *const begin = all->bytes + at;
        const char *const end = memchr(begin, '\n', all->length - at);
        const size_t length = end ? (size_t)(end - begin) : all->length - at;
        number++;
        if (!json || !is_blank(begin, length)) {
            if (lines) {
                lines[count] = (batch_line){at, length, number};
            }
            count++;
        }
        at += length + 1;
    }
    return count;
}

int batch_input_read(const cli_options *options, batch_input *input) {
    *input = (batch_input){.json = options->input_format == FORMAT_JSONL};
    const int status = text_read(options->input, &input->all);
    if (status != CLI_DONE) {
        return status;
    }
    if (options->input_format == FORMAT_AUTO) {
        const size_t before = strspn(input->all.bytes, " \t\r\n");
        input->json = input->all.bytes[before] == '{';
    }
    const size_t count = cut_lines(&input->all, input->json, NULL);
    if (count == 0) {
        return usage_error("%s: expected a request on each line, found none", options->input);
    }
    input->lines = calloc(count, sizeof *input->lines);
    if (!input->lines) {
        return usage_error("out of memory: %zu requests", count);
    }
    input->count = cut_lines(&input->all, input->json, input->lines);
    return CLI_DONE;
}

void batch_input_free(batch_input *input) {
    free(input->all.bytes);
    free(input->lines);
    *input = (batch_input){0};
}

/* ---- one request ---------------------------------------------------------------------------- */

/* Where a value goes. */
typedef enum field_kind {
    FIELD_FLOAT,    /* a float of the sampler's options */
    FIELD_INT32,    /* an int32_t of them */
    FIELD_IGNORED,  /* a text that changes nothing */
    FIELD_ONE,      /* only the number 1 can be done */
    FIELD_NOT,      /* only false can be done */
    FIELD_ABSENT,   /* nothing can be done */
    FIELD_ELSEWHERE /* read by a function of its own */
} field_kind;

typedef struct field {
    const char *name;
    field_kind kind;
    size_t offset;
    double low, high;
} field;

#define AT(name) offsetof(sl_sampler_options, name)

static const field fields[] = {
    {"model", FIELD_IGNORED, 0, 0, 0},
    {"user", FIELD_IGNORED, 0, 0, 0},
    {"prompt", FIELD_ELSEWHERE, 0, 0, 0},
    {"max_tokens", FIELD_ELSEWHERE, 0, 0, 0},
    {"seed", FIELD_ELSEWHERE, 0, 0, 0},
    {"stop", FIELD_ELSEWHERE, 0, 0, 0},
    {"logit_bias", FIELD_ELSEWHERE, 0, 0, 0},
    {"temperature", FIELD_FLOAT, AT(temperature), 0, 100},
    {"top_p", FIELD_FLOAT, AT(top_p), 0, 1},
    {"min_p", FIELD_FLOAT, AT(min_p), 0, 1},
    {"top_k", FIELD_INT32, AT(top_k), -1, INT32_MAX},
    {"presence_penalty", FIELD_FLOAT, AT(presence_penalty), -100, 100},
    {"frequency_penalty", FIELD_FLOAT, AT(frequency_penalty), -100, 100},
    {"repeat_penalty", FIELD_FLOAT, AT(repeat_penalty), 0.01, 100},
    {"n", FIELD_ONE, 0, 0, 0},
    {"best_of", FIELD_ONE, 0, 0, 0},
    {"stream", FIELD_NOT, 0, 0, 0},
    {"echo", FIELD_NOT, 0, 0, 0},
    {"logprobs", FIELD_ABSENT, 0, 0, 0},
    {"suffix", FIELD_ABSENT, 0, 0, 0},
};

/* Says what is wrong, the first time. Returns false. */
SL_PRINTF(3, 4)
static bool refuse(batch_request *r, const char *param, const char *format, ...) {
    if (!r->problem[0]) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(r->problem, sizeof r->problem, format, arguments);
        va_end(arguments);
        snprintf(r->param, sizeof r->param, "%s", param);
    }
    return false;
}

static bool out_of_memory(void) {
    message("out of memory: a request");
    return false;
}

/* A copy of a JSON string, with a NUL behind it. */
static bool copy_string(const json_t *value, text *out) {
    const size_t length = json_string_length(value);
    *out = (text){malloc(length + 1), length};
    if (!out->bytes) {
        return out_of_memory();
    }
    memcpy(out->bytes, json_string_value(value), length);
    out->bytes[length] = '\0';
    return true;
}

static void read_simple(batch_request *r, const field *f, const json_t *value) {
    char *const place = (char *)&r->sampling + f->offset;
    const double number = json_number_value(value);
    switch (f->kind) {
    case FIELD_FLOAT:
        if (!json_is_number(value) || !(number >= f->low && number <= f->high)) {
            refuse(r, f->name, "%s: expected a number from %g to %g", f->name, f->low, f->high);
        } else {
            *(float *)place = (float)number;
        }
        break;
    case FIELD_INT32:
        if (!json_is_integer(value) || !(number >= f->low && number <= f->high)) {
            refuse(r, f->name, "%s: expected a whole number from %.0f to %.0f", f->name, f->low,
                   f->high);
        } else {
            *(int32_t *)place = (int32_t)json_integer_value(value);
        }
        break;
    case FIELD_IGNORED:
        if (!json_is_string(value)) {
            refuse(r, f->name, "%s: expected a text", f->name);
        }
        break;
    case FIELD_ONE:
        if (!json_is_integer(value) || json_integer_value(value) != 1) {
            refuse(r, f->name, "%s: expected 1, for more than one choice is not supported",
                   f->name);
        }
        break;
    case FIELD_NOT:
        if (!json_is_false(value)) {
            refuse(r, f->name, "%s is not supported in a batch", f->name);
        }
        break;
    case FIELD_ABSENT:
        refuse(r, f->name, "%s is not supported", f->name);
        break;
    case FIELD_ELSEWHERE:
        break;
    }
}

static bool read_prompt(batch_request *r, const json_t *value) {
    if (json_is_string(value)) {
        return copy_string(value, &r->prompt);
    }
    const size_t count = json_array_size(value);
    if (count == 0 || !json_is_integer(json_array_get(value, 0))) {
        refuse(r, "prompt", "prompt: expected a text or a list of tokens");
        return true;
    }
    r->tokens = calloc(count, sizeof *r->tokens);
    if (!r->tokens) {
        return out_of_memory();
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *const token = json_array_get(value, i);
        const json_int_t id = json_integer_value(token);
        if (!json_is_integer(token) || id < 0 || id > INT32_MAX) {
            refuse(r, "prompt", "prompt: expected a token's number at place %zu of the list", i);
            return true;
        }
        r->tokens[r->n_token++] = (int32_t)id;
    }
    return true;
}

static bool add_stop(batch_request *r, const json_t *value) {
    const size_t length = json_string_length(value);
    if (!json_is_string(value) || length == 0 || length > MOST_STOP_BYTES) {
        refuse(r, "stop", "stop: expected texts of 1 to %d bytes", MOST_STOP_BYTES);
        return true;
    }
    return copy_string(value, &r->stops[r->n_stop]) ? (r->n_stop++, true) : false;
}

static void free_stops(batch_request *r) {
    for (size_t i = 0; i < r->n_stop; i++) {
        free(r->stops[i].bytes);
    }
    free(r->stops);
    r->stops = NULL;
    r->n_stop = 0;
}

/* A text or a list of them; it takes the place of -r. */
static bool read_stops(batch_request *r, const json_t *value) {
    const size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count > MOST_STOPS) {
        refuse(r, "stop", "stop: expected at most %d texts, found %zu", MOST_STOPS, count);
        return true;
    }
    free_stops(r);
    r->stops = calloc(count + 1, sizeof *r->stops);
    if (!r->stops) {
        return out_of_memory();
    }
    for (size_t i = 0; i < count; i++) {
        if (!add_stop(r, json_is_array(value) ? json_array_get(value, i) : value)) {
            return false;
        }
    }
    return true;
}

/* One way to write each number, so that no token is named twice. */
static bool parse_token(const char *digits, int32_t *token) {
    char *end;
    const long number = strtol(digits, &end, 10);
    *token = (int32_t)number;
    return digits[0] >= (digits[1] ? '1' : '0') && digits[0] <= '9' && !*end && number >= 0 &&
           number <= INT32_MAX;
}

static bool read_biases(batch_request *r, json_t *value) {
    r->biases = calloc(json_object_size(value) + 1, sizeof *r->biases);
    if (!r->biases) {
        return out_of_memory();
    }
    if (!json_is_object(value)) {
        refuse(r, "logit_bias", "logit_bias: expected an object of tokens and numbers");
        return true;
    }
    const char *key;
    json_t *bias;
    json_object_foreach(value, key, bias) {
        const double number = json_number_value(bias);
        int32_t token;
        if (!parse_token(key, &token) || !json_is_number(bias) || !(fabs(number) <= 1e30)) {
            refuse(r, "logit_bias", "logit_bias: expected an object of tokens and numbers");
            return true;
        }
        r->biases[r->n_bias++] = (sl_logit_bias){token, (float)number};
    }
    return true;
}

/* Returns false if memory is out. */
static bool read_field(batch_request *r, const char *name, json_t *value) {
    const field *f = fields;
    const field *const end = fields + sizeof fields / sizeof fields[0];
    while (f < end && strcmp(f->name, name) != 0) {
        f++;
    }
    if (json_is_null(value)) {
        return true; /* as if it were not there */
    }
    if (f == end) {
        refuse(r, name, "%.60s: no such field is known here", name);
        return true;
    }
    if (strcmp(name, "prompt") == 0) {
        return read_prompt(r, value);
    }
    if (strcmp(name, "stop") == 0) {
        return read_stops(r, value);
    }
    if (strcmp(name, "logit_bias") == 0) {
        return read_biases(r, value);
    }
    if (f->kind == FIELD_ELSEWHERE) {
        const bool seed = strcmp(name, "seed") == 0;
        const json_int_t number = json_integer_value(value);
        if (!json_is_integer(value) || (!seed && number < 0)) {
            refuse(r, name, "%s: expected a whole number%s", name, seed ? "" : " of at least 0");
        } else if (seed) {
            r->sampling.seed = (uint64_t)number;
        } else {
            r->max_tokens = (size_t)number;
        }
        return true;
    }
    read_simple(r, f, value);
    return true;
}

static bool read_body(batch_request *r, json_t *body) {
    if (!json_is_object(body)) {
        refuse(r, "body", "body: expected an object");
        return true;
    }
    const char *name;
    json_t *value;
    json_object_foreach(body, name, value) {
        if (!read_field(r, name, value)) {
            return false;
        }
    }
    if (!r->prompt.bytes && !r->tokens) {
        refuse(r, "prompt", "prompt: expected a text or a list of tokens");
    }
    return true;
}

/* A field in the wrong place would be missed in silence. */
static void check_names(batch_request *r, json_t *root) {
    static const char *const known[] = {"custom_id", "method", "url", "body"};
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            found |= strcmp(name, known[i]) == 0;
        }
        if (!found) {
            refuse(r, name, "%.60s: no such field is known beside custom_id, method, url and body",
                   name);
        }
    }
}

static void check_target(batch_request *r, const json_t *root) {
    const json_t *const method = json_object_get(root, "method");
    const json_t *const url = json_object_get(root, "url");
    const char *const where = json_is_string(url) ? json_string_value(url) : "";
    if (!json_is_string(method) || strcmp(json_string_value(method), "POST") != 0) {
        refuse(r, "method", "method: expected \"POST\"");
    } else if (strcmp(where, "/v1/chat/completions") == 0) {
        refuse(r, "url",
               "/v1/chat/completions needs chat templates, which this version does not have; "
               "/v1/completions takes a prompt as it is");
    } else if (strcmp(where, "/v1/completions") != 0) {
        refuse(r, "url", "url: expected \"/v1/completions\"");
    }
}

static bool read_id(batch_request *r, const json_t *root) {
    const json_t *const id = json_object_get(root, "custom_id");
    if (!json_is_string(id) || json_string_length(id) > MOST_ID) {
        refuse(r, "custom_id", "custom_id: expected a text of at most %d bytes", MOST_ID);
        return true;
    }
    text copy;
    if (!copy_string(id, &copy)) {
        return false;
    }
    r->custom_id = copy.bytes;
    r->custom_id_length = copy.length;
    return true;
}

static bool parse_json(const char *bytes, size_t length, batch_request *r) {
    if (length > MOST_LINE) {
        refuse(r, "", "expected a line of at most %d bytes, found %zu", MOST_LINE, length);
        return true;
    }
    json_error_t error;
    json_t *const root = json_loadb(bytes, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory) {
        return out_of_memory();
    }
    if (!json_is_object(root)) {
        refuse(r, "", "expected a JSON object on one line: %.120s",
               root ? "found another value" : error.text);
        json_decref(root);
        return true;
    }
    bool good = read_id(r, root);
    check_names(r, root);
    check_target(r, root);
    good = good && read_body(r, json_object_get(root, "body"));
    json_decref(root);
    return good;
}

static bool parse_plain(const char *bytes, size_t length, size_t number, bool escape,
                        batch_request *r) {
    if (length > 0 && bytes[length - 1] == '\r') {
        length--; /* a text from Windows */
    }
    char id[32];
    const int size = snprintf(id, sizeof id, "line-%zu", number);
    r->custom_id = strdup(id);
    r->custom_id_length = (size_t)size;
    r->prompt = (text){malloc(length + 1), length};
    if (!r->custom_id || !r->prompt.bytes) {
        return out_of_memory();
    }
    memcpy(r->prompt.bytes, bytes, length);
    r->prompt.bytes[length] = '\0';
    if (escape) {
        text_unescape(&r->prompt);
    }
    return true;
}

/* A seed of its own for each line, from the one of the options (the steps of splitmix64). */
static uint64_t seed_of_line(uint64_t seed, size_t number) {
    uint64_t x = seed + (uint64_t)number * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool set_defaults(const cli_options *o, size_t number, batch_request *r) {
    sl_sampler_options *const s = &r->sampling;
    sl_sampler_options_init(s);
    s->seed = seed_of_line(o->seed < 0 ? 0 : (uint64_t)o->seed, number);
    s->temperature = (float)o->temperature;
    s->top_k = (int32_t)o->top_k;
    s->top_p = (float)o->top_p;
    s->min_p = (float)o->min_p;
    s->repeat_penalty = (float)o->repeat_penalty;
    s->presence_penalty = (float)o->presence_penalty;
    s->frequency_penalty = (float)o->frequency_penalty;
    s->repeat_last_n = (int32_t)o->repeat_last_n;
    r->max_tokens = o->predict < 0 ? BATCH_PREDICT : (size_t)o->predict;
    r->stops = calloc(o->reverse.count + 1, sizeof *r->stops);
    if (!r->stops) {
        return out_of_memory();
    }
    for (; r->n_stop < o->reverse.count; r->n_stop++) {
        if (!text_copy(&r->stops[r->n_stop], o->reverse.items[r->n_stop])) {
            return false;
        }
        if (o->escape) {
            text_unescape(&r->stops[r->n_stop]);
        }
    }
    return true;
}

bool batch_request_parse(const cli_options *options, const batch_input *input, size_t index,
                         batch_request *request) {
    const batch_line *const line = &input->lines[index];
    const char *const bytes = input->all.bytes + line->at;
    *request = (batch_request){0};
    if (!set_defaults(options, line->number, request)) {
        return false;
    }
    return input->json ? parse_json(bytes, line->length, request)
                       : parse_plain(bytes, line->length, line->number, options->escape, request);
}

void batch_request_free(batch_request *request) {
    free_stops(request);
    free(request->custom_id);
    free(request->prompt.bytes);
    free(request->tokens);
    free(request->biases);
    *request = (batch_request){0};
}

/* ---- tokens --------------------------------------------------------------------------------- */

static bool known_tokens(size_t n_vocab, batch_request *r, const int32_t *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] < 0 || (size_t)tokens[i] >= n_vocab) {
            refuse(r, "prompt", "prompt: token %d is outside the vocabulary of %zu tokens",
                   tokens[i], n_vocab);
            return false;
        }
    }
    for (size_t i = 0; i < r->n_bias; i++) {
        if ((size_t)r->biases[i].token >= n_vocab) {
            refuse(r, "logit_bias", "logit_bias: a token is outside the vocabulary");
            return false;
        }
    }
    return true;
}

/* As sl_tokenize gives it, or a copy of the request's own list. */
static int raw_tokens(const cli_options *o, const sl_model *model, const batch_request *r,
                      int32_t **tokens, size_t *count) {
    const unsigned flags = (o->no_bos ? 0u : (unsigned)SL_TOKENIZE_BOS) |
                           (o->parse_special ? (unsigned)SL_TOKENIZE_SPECIAL : 0u);
    int32_t *made = NULL;
    sl_error error = {0};
    if (r->tokens) {
        *count = r->n_token;
    } else if (sl_tokenize(model, r->prompt.bytes, r->prompt.length, flags, &made, count, &error) !=
               SL_OK) {
        return library_error(&error);
    }
    *tokens = calloc(*count + 1, sizeof **tokens);
    if (!*tokens) {
        sl_free(made);
        return usage_error("out of memory: %zu tokens", *count);
    }
    if (*count > 0) {
        memcpy(*tokens, made ? made : r->tokens, *count * sizeof **tokens);
    }
    sl_free(made);
    return CLI_DONE;
}

int batch_tokenize(const cli_options *options, const sl_model *model, batch_request *request,
                   int32_t **tokens, size_t *count) {
    sl_model_info info;
    sl_model_get_info(model, &info);
    *tokens = NULL;
    *count = 0;
    if (request->problem[0]) {
        return CLI_DONE;
    }
    const int status = raw_tokens(options, model, request, tokens, count);
    if (status != CLI_DONE || !known_tokens(info.n_vocab, request, *tokens, *count)) {
        return status;
    }
    /* An empty prompt begins with BOS, for there must be a token to go on from. */
    const int32_t bos = sl_token_bos(model);
    if (*count == 0 && !options->no_bos && bos >= 0) {
        (*tokens)[(*count)++] = bos;
    } else if (*count == 0) {
        refuse(request, "prompt", "prompt: expected at least one token to go on from");
    }
    const size_t own = info.n_ctx_train;
    const size_t most = options->ctx > 0 ? (size_t)options->ctx : own;
    if (*count > most) {
        refuse(request, "prompt",
               "the prompt has %zu tokens and does not fit into the context of %zu", *count, most);
    }
    return CLI_DONE;
}
