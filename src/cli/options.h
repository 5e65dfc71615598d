/* options.h - what can be typed behind `sluice`, as tables: sub-commands, their options, and the
 * values that come of them.
 *
 * One table (option_table.c) holds every option: names, sub-commands that know it, type, range,
 * where its value goes, and its help. Parsing (options.c) and help (help.c) walk it.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "sluice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct text_list {
    const char **items;
    size_t count;
} text_list;

typedef struct bias_list {
    sl_logit_bias *items;
    size_t count;
} bias_list;

typedef struct token_list {
    int32_t *items;
    size_t count;
} token_list;

typedef struct count_list {
    int64_t *items;
    size_t count;
} count_list;

/* Strings point into argv. A number that was not given is OPTION_UNSET where that matters. */
typedef struct cli_options {
    const char *model;
    const char *tokenizer;
    uint64_t memory; /* 0: what is available */
    bool no_repack;
    int64_t ctx; /* OPTION_UNSET: not given; 0: the model's own */
    int64_t batch;
    int64_t threads;        /* 0: not given */
    int64_t type_k, type_v; /* sl_kv_type */

    const char *prompt, *file;
    bool no_bos, parse_special, escape;
    token_list tokens;

    int64_t predict; /* -1: to the end of the text; -2: the same */
    bool ignore_eos, echo, special;
    text_list reverse;
    bool lookup;
    int64_t draft; /* OPTION_UNSET: not given */

    int64_t seed; /* -1: random */
    double temperature;
    int64_t top_k;
    double top_p, min_p;
    double repeat_penalty, presence_penalty, frequency_penalty;
    int64_t repeat_last_n;
    bias_list logit_bias;

    const char *shape, *type;
    count_list prompts, predictions, depths, parallel, thread_counts; /* empty: not given */
    int64_t repetitions;
    int64_t format; /* bench_format */
    bool limits;

    const char *input;           /* of a batch */
    int64_t input_format;        /* FORMAT_* of batch_requests.c */
    int64_t most_parallel, pool; /* 0: not given */
    const char *spill_dir;
    bool plain, ordered, restart;
    int64_t sequences; /* of a plan */
    bool remeasure;
    double bandwidth, disk, flops; /* of another machine, in 10^9 a second; 0: not given */

    int64_t chunks; /* 0: not given */
    bool process_output, all, kl_divergence;
    const char *reference, *save_reference, *kl_base;

    const char *output;
    uint64_t split_size; /* 0: one file */
    const char *imatrix, *output_type, *embedding_type;
    text_list tensor_types;
    bool leave_output, pure, allow_requantize, dry_run;
    bool ids, json, tensors, program, plan;
    bool quiet, verbose, help;
} cli_options;

#define OPTION_UNSET INT64_MIN

/* The field that an option sets has the type in parentheses. */
typedef enum option_type {
    OPTION_FLAG,      /* no value (bool) */
    OPTION_TEXT,      /* any text (const char *) */
    OPTION_PATH,      /* a text that is not empty (const char *) */
    OPTION_INTEGER,   /* within [low, high] (int64_t) */
    OPTION_NUMBER,    /* within [lowest, highest] (double) */
    OPTION_SIZE,      /* "6G", at least low bytes (uint64_t) */
    OPTION_CHOICE,    /* one of `choices`; its place among them (int64_t) */
    OPTION_TEXT_MANY, /* not empty, may be repeated (text_list) */
    OPTION_BIAS_MANY, /* "15-2.5", may be repeated (bias_list) */
    OPTION_TOKENS,    /* "1,15,7" (token_list) */
    OPTION_COUNTS,    /* "512,1024", each within [low, high] (count_list) */
} option_type;

/* Sub-commands as a set of bits. */
enum {
    COMMAND_RUN = 1,
    COMMAND_TOKENIZE = 2,
    COMMAND_LOGITS = 4,
    COMMAND_PERPLEXITY = 8,
    COMMAND_INSPECT = 16,
    COMMAND_BENCH = 32,
    COMMAND_BATCH = 64,
    COMMAND_PLAN = 128,
    COMMAND_CONVERT = 256,
    COMMAND_QUANTIZE = 512,
    COMMAND_IMATRIX = 1024,
};

typedef struct option {
    const char *names[4]; /* short ones first; unused ones are NULL */
    unsigned commands;    /* COMMAND_* that know it */
    option_type type;
    size_t field;         /* offset in cli_options */
    const char *argument; /* what help calls the value */
    int64_t low, high;
    double lowest, highest;
    const char *choices; /* separated by spaces */
    const char *help;
} option;

/* Ended by an entry without names. A name may occur twice, for different sub-commands. */
extern const option option_table[];

typedef struct command {
    const char *name;
    unsigned bit;
    int (*run)(const cli_options *options);
    const char *summary;  /* for the list of sub-commands */
    const char *usage;    /* behind "sluice NAME" */
    const char *details;  /* paragraphs for its own help */
    const char *argument; /* name of the positional argument that goes to `model`, or NULL */
    const char *second;   /* of the one that goes to `output`, or NULL */
    const char *third;    /* of the one that goes to `type`, or NULL */
} command;

/* Ended by an entry without a name. */
extern const command command_table[];

/* NULL if there is none of that name. */
const command *command_find(const char *name);

/* Parses the `count` arguments behind the sub-command's name. Returns CLI_DONE, or the exit status
 * after one line that names the option, what was expected and what was found. Either way the
 * caller ends with options_free. */
int options_parse(const command *c, int count, char **arguments, cli_options *options);
void options_free(cli_options *options);

/* Help, on standard output. */
void help_print(void);
void help_print_command(const command *c);

/* Whether the sub-command has what it needs: prints a message and returns CLI_USAGE if not. */
int options_require(const command *c, const cli_options *options);

#endif
