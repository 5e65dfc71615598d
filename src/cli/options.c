/* options.c - parsing arguments by the table. */
#include "cli/options.h"

#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const command *command_find(const char *name) {
    for (const command *c = command_table; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

/* The option of command `c` whose name is the first `length` bytes of `name`. */
static const option *find_option(const command *c, const char *name, size_t length) {
    for (const option *o = option_table; o->names[0]; o++) {
        for (size_t i = 0; i < 4 && o->names[i]; i++) {
            if ((o->commands & c->bit) && strlen(o->names[i]) == length &&
                memcmp(o->names[i], name, length) == 0) {
                return o;
            }
        }
    }
    return NULL;
}

/* What an option that takes any name is about. */
static const char *kind_of_name(const char *argument) {
    return strcmp(argument, "FILE") == 0   ? "the name of a file"
           : strcmp(argument, "DIR") == 0  ? "the name of a folder"
           : strcmp(argument, "TYPE") == 0 ? "a type"
                                           : "a name";
}

/* What a good value is, in words. */
static const char *expected(const option *o, char *line, size_t size) {
    switch (o->type) {
    case OPTION_INTEGER:
        snprintf(line, size, "a whole number from %lld to %lld", (long long)o->low,
                 (long long)o->high);
        break;
    case OPTION_NUMBER:
        snprintf(line, size, "a number from %g to %g", o->lowest, o->highest);
        break;
    case OPTION_SIZE:
        snprintf(line, size, "a size of at least %lld bytes, such as 500M or 6G",
                 (long long)o->low);
        break;
    case OPTION_CHOICE:
        snprintf(line, size, "one of %s", o->choices);
        break;
    case OPTION_BIAS_MANY:
        snprintf(line, size, "a token and a bias, such as 15+2.5 or 15-inf");
        break;
    case OPTION_TOKENS:
        snprintf(line, size, "token numbers with commas between them, such as 1,15,7");
        break;
    case OPTION_COUNTS:
        snprintf(line, size, "whole numbers from %lld to %lld with commas between them",
                 (long long)o->low, (long long)o->high);
        break;
    case OPTION_PATH:
        snprintf(line, size, "%s", kind_of_name(o->argument));
        break;
    case OPTION_FLAG:
        snprintf(line, size, "no value");
        break;
    case OPTION_TEXT:
    case OPTION_TEXT_MANY:
        snprintf(line, size, "a text%s", o->type == OPTION_TEXT ? "" : " that is not empty");
        break;
    }
    return line;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool parse_integer(const char *value, int64_t low, int64_t high, int64_t *out) {
    if (!is_digit(value[value[0] == '-'])) {
        return false;
    }
    char *end;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    if (*end || errno || number < low || number > high) {
        return false;
    }
    *out = number;
    return true;
}

/* A decimal number; *end is set behind it. strtod would also take spaces, hexadecimals and names.
 */
static bool parse_decimal(const char *value, double *out, const char **end) {
    const char *p = value + (value[0] == '-' || value[0] == '+');
    if (!is_digit(p[0]) && !(p[0] == '.' && is_digit(p[1]))) {
        return false;
    }
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        return false;
    }
    char *stop;
    *out = strtod(value, &stop);
    *end = stop;
    return isfinite(*out);
}

static bool parse_size(const char *value, int64_t low, uint64_t *out) {
    static const char letters[] = "KMGT";
    const char *end;
    double number;
    if (!parse_decimal(value, &number, &end) || number < 0) {
        return false;
    }
    if (*end) {
        const char letter = *end >= 'a' ? (char)(*end - 'a' + 'A') : *end;
        const char *const found = strchr(letters, letter);
        end++;
        if (!found || (*end && strcmp(end, "iB") != 0)) {
            return false;
        }
        number = ldexp(number, 10 * (int)(found - letters + 1));
    }
    if (number < (double)low || number > ldexp(1, 62)) {
        return false;
    }
    *out = (uint64_t)number;
    return true;
}

static bool parse_choice(const char *value, const char *choices, int64_t *out) {
    const size_t length = strlen(value);
    int64_t place = 0;
    for (const char *choice = choices; length > 0; place++) {
        const size_t size = strcspn(choice, " ");
        if (size == length && memcmp(choice, value, length) == 0) {
            *out = place;
            return true;
        }
        if (!choice[size]) {
            return false;
        }
        choice += size + 1;
    }
    return false;
}

/* "15-2.5" */
static bool parse_bias(const char *value, sl_logit_bias *out) {
    if (!is_digit(value[0])) {
        return false;
    }
    char *sign;
    errno = 0;
    const long token = strtol(value, &sign, 10);
    if (errno || token > INT32_MAX || (*sign != '+' && *sign != '-')) {
        return false;
    }
    double bias = -INFINITY;
    if (strcmp(sign, "-inf") != 0) {
        const char *end;
        if (!parse_decimal(sign, &bias, &end) || *end || fabs(bias) > 1e30) {
            return false;
        }
    }
    *out = (sl_logit_bias){(int32_t)token, (float)bias};
    return true;
}

static bool parse_tokens(const char *value, token_list *list) {
    size_t most = 1;
    for (const char *c = value; *c; c++) {
        most += *c == ',';
    }
    free(list->items);
    *list = (token_list){calloc(most, sizeof *list->items), 0};
    for (const char *next = value; list->items;) {
        if (!is_digit(*next)) {
            return false;
        }
        char *end;
        errno = 0;
        const long token = strtol(next, &end, 10);
        if (errno || token > INT32_MAX || (*end && *end != ',')) {
            return false;
        }
        list->items[list->count++] = (int32_t)token;
        if (!*end) {
            return true;
        }
        next = end + 1;
    }
    return false;
}

static bool parse_counts(const char *value, int64_t low, int64_t high, count_list *list) {
    size_t most = 1;
    for (const char *c = value; *c; c++) {
        most += *c == ',';
    }
    free(list->items);
    *list = (count_list){calloc(most, sizeof *list->items), 0};
    for (const char *next = value; list->items;) {
        if (!is_digit(*next)) {
            return false;
        }
        char *end;
        errno = 0;
        const long long number = strtoll(next, &end, 10);
        if (errno || number < low || number > high || (*end && *end != ',')) {
            return false;
        }
        list->items[list->count++] = number;
        if (!*end) {
            return true;
        }
        next = end + 1;
    }
    return false;
}

/* Stores `value` where the option says; false if it is not a good one. */
static bool store(const option *o, const char *value, cli_options *options) {
    void *const field = (char *)options + o->field;
    switch (o->type) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
        *(const char **)field = value;
        return true;
    case OPTION_PATH:
        *(const char **)field = value;
        return *value;
    case OPTION_INTEGER:
        return parse_integer(value, o->low, o->high, field);
    case OPTION_NUMBER: {
        const char *end;
        double number;
        if (!parse_decimal(value, &number, &end) || *end || number < o->lowest ||
            number > o->highest) {
            return false;
        }
        *(double *)field = number;
        return true;
    }
    case OPTION_SIZE:
        return parse_size(value, o->low, field);
    case OPTION_CHOICE:
        return parse_choice(value, o->choices, field);
    case OPTION_TEXT_MANY: {
        text_list *const list = field;
        list->items[list->count++] = value;
        return *value;
    }
    case OPTION_BIAS_MANY: {
        bias_list *const list = field;
        return parse_bias(value, &list->items[list->count++]);
    }
    case OPTION_TOKENS:
        return parse_tokens(value, field);
    case OPTION_COUNTS:
        return parse_counts(value, o->low, o->high, field);
    }
    return false;
}

static void set_defaults(cli_options *options) {
    sl_sampler_options sampler;
    sl_sampler_options_init(&sampler);
    *options = (cli_options){
        .ctx = OPTION_UNSET,
        .batch = 512,
        .predict = -1,
        .draft = OPTION_UNSET,
        .seed = -1,
        .temperature = (double)sampler.temperature,
        .top_k = sampler.top_k,
        .top_p = (double)sampler.top_p,
        .min_p = (double)sampler.min_p,
        .repeat_penalty = (double)sampler.repeat_penalty,
        .presence_penalty = (double)sampler.presence_penalty,
        .frequency_penalty = (double)sampler.frequency_penalty,
        .repeat_last_n = sampler.repeat_last_n,
        .repetitions = 5,
        .sequences = 1,
        .most_files = 4,
        .timeout = 30,
    };
}

static int parse_positional(const command *c, const char *value, cli_options *options) {
    const char **const places[] = {&options->model, &options->output, &options->type};
    const char *const names[] = {c->argument, c->second, c->third};
    size_t i = 0;
    while (i < sizeof names / sizeof *names && names[i] && *places[i]) {
        i++;
    }
    if (i == sizeof names / sizeof *names || !names[i]) {
        return usage_error("%s: unexpected argument '%s' (sluice %s --help)", c->name, value,
                           c->name);
    }
    if (!*value) {
        return usage_error("%s: expected the name of a %s, found ''", names[i],
                           i < 2 ? "file" : "type");
    }
    *places[i] = value;
    return CLI_DONE;
}

/* Parses the option at arguments[*next] and moves *next behind it and its value. */
static int parse_option(const command *c, int count, char **arguments, int *next,
                        cli_options *options) {
    const char *const argument = arguments[(*next)++];
    const size_t length =
        strncmp(argument, "--", 2) == 0 ? strcspn(argument, "=") : strlen(argument);
    const option *const o = find_option(c, argument, length);
    if (!o) {
        return usage_error("%s: unknown option '%.*s' (sluice %s --help)", c->name, (int)length,
                           argument, c->name);
    }
    const char *value = argument[length] == '=' ? argument + length + 1 : NULL;
    char words[256];
    if (o->type == OPTION_FLAG ? value != NULL : !value && *next >= count) {
        return usage_error("%.*s: expected %s, found %s%s%s", (int)length, argument,
                           expected(o, words, sizeof words), value ? "'" : "",
                           value ? value : "nothing", value ? "'" : "");
    }
    if (o->type != OPTION_FLAG && !value) {
        value = arguments[(*next)++];
    }
    if (!store(o, value, options)) {
        return usage_error("%.*s: expected %s, found '%s'", (int)length, argument,
                           expected(o, words, sizeof words), value);
    }
    return CLI_DONE;
}

int options_parse(const command *c, int count, char **arguments, cli_options *options) {
    set_defaults(options);
    /* No list can become longer than the command line. */
    const size_t most = (size_t)count + 1;
    options->reverse.items = calloc(most, sizeof *options->reverse.items);
    options->logit_bias.items = calloc(most, sizeof *options->logit_bias.items);
    options->tensor_types.items = calloc(most, sizeof *options->tensor_types.items);
    if (!options->reverse.items || !options->logit_bias.items || !options->tensor_types.items) {
        return usage_error("out of memory: the command line");
    }
    int status = CLI_DONE;
    bool only_positional = false;
    for (int next = 0; next < count && status == CLI_DONE;) {
        const char *const argument = arguments[next];
        if (!only_positional && strcmp(argument, "--") == 0) {
            only_positional = true;
            next++;
        } else if (!only_positional && argument[0] == '-' && argument[1]) {
            status = parse_option(c, count, arguments, &next, options);
        } else {
            status = parse_positional(c, argument, options);
            next++;
        }
    }
    return status;
}

void options_free(cli_options *options) {
    free(options->reverse.items);
    free(options->logit_bias.items);
    free(options->tensor_types.items);
    free(options->tokens.items);
    free(options->prompts.items);
    free(options->predictions.items);
    free(options->depths.items);
    free(options->parallel.items);
    free(options->thread_counts.items);
    *options = (cli_options){0};
}

int options_require(const command *c, const cli_options *options) {
    if (c->bit == COMMAND_BENCH || c->bit == COMMAND_PLAN || c->bit == COMMAND_LIST) {
        return CLI_DONE; /* they have other sources, and look themselves */
    }
    if (!options->model && (c->bit == COMMAND_PULL || c->bit == COMMAND_RM)) {
        return usage_error("%s: no model: give user/repo or user/repo:quant (sluice %s --help)",
                           c->name, c->name);
    }
    if (!options->model) {
        return usage_error("%s: no model: give %s (sluice %s --help)", c->name,
                           c->argument ? c->argument : "-m FILE", c->name);
    }
    return CLI_DONE;
}
