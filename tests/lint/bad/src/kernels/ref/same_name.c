/* A name that another file has; a room below is as wrong from a sub-folder. expect: names */
#include "ops/matmul.h" /* expect: rooms */
