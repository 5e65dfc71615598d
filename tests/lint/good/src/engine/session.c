/* An engine file that asks only for rooms above it, and mentions fopen() in a comment. */
#include "engine/session.h"

#include "base/str.h"
#include "kernels/kernels.h"
#include "os/thread.h"
#include "sluice.h"

#include <math.h>
#include <stdlib.h>

const char *engine_variable(void) {
    return getenv("SLUICE_THREADS");
}
