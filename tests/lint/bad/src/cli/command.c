/* The command looks into the library. */
#include "base/str.h" /* expect: rooms */
#include "cli/options.h"
#include "os/console/terminal.h"
#include "sluice.h"

#include <stdio.h>
#include <unistd.h> /* expect: system */
