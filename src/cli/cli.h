/* cli.h - what the sub-commands share: exit status, messages, and their entry points.
 *
 * cli/ is the command `sluice`, one file per sub-command (command_*.c). It sees the engine only
 * through sluice.h and the system only through os/console and hub. All of it runs on the first
 * thread.
 * What a sub-command was asked for goes to standard output (output.h), everything else to standard
 * error, through this header or progress.h.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/options.h"
#include "sluice.h"

/* Ended by a signal: 128 + its number, which is 130 for Ctrl-C. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_SIGNALLED = 128 };

/* Each sub-command returns the exit status. */
int command_run(const cli_options *options);
int command_tokenize(const cli_options *options);
int command_logits(const cli_options *options);
int command_perplexity(const cli_options *options);
int command_inspect(const cli_options *options);
int command_bench(const cli_options *options);
int command_batch(const cli_options *options);
int command_plan(const cli_options *options);
int command_convert(const cli_options *options);
int command_quantize(const cli_options *options);
int command_imatrix(const cli_options *options);
int command_pull(const cli_options *options);
int command_list(const cli_options *options);
int command_rm(const cli_options *options);

/* Prints "sluice: " and one line on standard error. Control characters and broken UTF-8 in it
 * become '?', so that a hostile name cannot upset a terminal. */
void message(const char *format, ...) SL_PRINTF(1, 2);

/* The same; returns CLI_USAGE. */
int usage_error(const char *format, ...) SL_PRINTF(1, 2);

/* Prints what the library said and returns the exit status it means. */
int library_error(const sl_error *error);

/* Prints "interrupted" and returns the exit status of the signal that was noted. */
int interrupted(void);

/* For sl_notice_fn: a note of the library as a message. */
void print_notice(void *user, const char *line);

#endif
