/* The first of its name. */
#include "os/console/terminal.h" /* expect: rooms */
