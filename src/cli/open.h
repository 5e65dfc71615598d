/* open.h - models and sessions as the options ask for them. */
#ifndef CLI_OPEN_H
#define CLI_OPEN_H

#include "cli/options.h"
#include "cli/text.h"
#include "sluice.h"

/* How much of a model is wanted. */
typedef enum open_extent {
    OPEN_VOCABULARY, /* its tokenizer */
    OPEN_PROGRAM,    /* all, but weights are not read in: none is going to be computed with */
    OPEN_WEIGHTS,
} open_extent;

/* Loads options->model, or makes up a model of options->shape, showing progress and notices.
 * `reserved` bytes of the memory budget are for what the command holds itself. Returns CLI_DONE, or
 * the exit status after a message. */
int open_model(const cli_options *options, open_extent extent, uint64_t reserved, sl_model **model);

/* What to plan for, as the options say; notice prints. */
void open_plan_options(const cli_options *options, sl_plan_options *plan);

/* Before a model is loaded: one line of what it will need, and how fast it will be, if that can be
 * told from figures kept by `sluice plan`; without them, only if the model is larger than memory.
 * Nothing is measured. n_ctx_most: where -c does not say, about the most that the session will have
 * if the model's own context is not smaller; 0: not known. Returns whether the line has said that
 * weights are read from the file: a session with OPEN_PLACEMENT_TOLD does not say it again. */
bool open_tell_plan(const cli_options *options, size_t n_ctx_most);

/* What a text and its tokens hold: there is at most one for each byte, and most texts have a third
 * or a quarter of that. */
uint64_t open_text_bytes(const text *t);

/* What --lookup and --draft ask for, in a text of n_ctx tokens. */
sl_lookup_options open_lookup_options(const cli_options *options, size_t n_ctx);

typedef enum open_flags {
    OPEN_ALL_LOGITS = 1,      /* logits of every token are wanted */
    OPEN_KEEP_WEIGHTS = 2,    /* refuse rather than have weights leave memory */
    OPEN_IMPORTANCE = 4,      /* an sl_importance comes to it, and has its room in the plan */
    OPEN_READS_SCORES = 8,    /* rows of a reference are read, and have their room in the plan */
    OPEN_SAVES_SCORES = 16,   /* the same for rows that are saved */
    OPEN_PLACEMENT_TOLD = 32, /* where weights lie is noted only if reading them might be faster */
} open_flags;

/* A session of n_ctx positions with the options' batch, threads and types, and with --lookup room
 * for a draft and in the plan for an sl_lookup. *error says what went wrong, with the options that
 * help where memory is short; nothing is printed but notices and, where weights are loaded for it,
 * progress. */
SL_CHECK sl_status open_session(const cli_options *options, sl_model *model, size_t n_ctx,
                                unsigned flags, sl_session **session, sl_error *error);

/* With --verbose: what the model, the machine and the session are. */
void open_describe(const cli_options *options, const sl_model *model, const sl_session *session);

/* With --verbose, at the end: the peak of memory, and what was planned. */
void open_tell_memory(const cli_options *options, const sl_session *session);

/* The tokens of a text, as --no-bos and --parse-special say. Returns CLI_DONE or the exit status
 * after a message. The caller frees *tokens with sl_free. */
int open_tokens(const cli_options *options, const sl_model *model, const text *t, int32_t **tokens,
                size_t *count);

#endif
