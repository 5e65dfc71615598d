/* inspect_diff.h - `sluice inspect A B`: what differs between two models. */
#ifndef CLI_INSPECT_DIFF_H
#define CLI_INSPECT_DIFF_H

#include "cli/options.h"
#include "sluice.h"

/* Compares options->model, which is open as `a`, with options->output, and prints the differences
 * of metadata, tensors and their values. Returns the exit status. */
int inspect_diff(const cli_options *options, sl_file *a);

#endif
