/* The processor may be asked. */
#include <pthread.h>
#include <sys/auxv.h>
