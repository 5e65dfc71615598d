/* Kernels that ask for more than they may have. */
#include "kernels/kernels.h"

#include "base/size.h"
#include "cpu.h"           /* expect: rooms */
#include "engine/engine.h" /* expect: rooms */
#include "os/thread.h"     /* expect: rooms */
#include "sluice.h"

#include <math.h>
#include <sys/mman.h> /* expect: system */
