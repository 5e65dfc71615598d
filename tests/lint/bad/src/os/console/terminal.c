/* The console belongs to the command and knows no more of the library than it. */
#include "base/str.h" /* expect: rooms */
#include "os/console/terminal.h"

#include <termios.h>
#include <unistd.h>
