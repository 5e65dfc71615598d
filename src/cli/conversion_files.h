/* conversion_files.h - the files that a conversion gives, each whole or absent, with progress. */
#ifndef CLI_CONVERSION_FILES_H
#define CLI_CONVERSION_FILES_H

#include "cli/options.h"

/* Writes them all under the name options->output, or names made of it where they are several. What
 * would not fit onto the disk is refused before, with the bytes that are missing; of a set that is
 * not complete nothing stays. Returns CLI_DONE, or the exit status after a message. */
int conversion_files_write(const cli_options *options, sl_conversion *conversion);

#endif
