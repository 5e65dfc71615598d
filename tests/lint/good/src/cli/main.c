/* A command that uses the public header and its own folder. */
#include "cli/options.h"
#include "os/console/console.h"
#include "sluice.h"

#include <stdio.h>

int main(void) {
    FILE *file = fopen("x", "r");
    return file == NULL;
}
