/* Eleven variables, one of them in no document, and one without a name. */
#include <stdio.h>
#include <stdlib.h>

int base_environment(const char *any) {
    /* getenv(any) in a comment is no use of it. */
    int found = getenv("SLUICE_A") || getenv("SLUICE_B") || getenv("SLUICE_C");
    found |= getenv("SLUICE_D") || getenv("SLUICE_E") || getenv("SLUICE_F");
    found |= getenv("SLUICE_G") || getenv("SLUICE_H") || getenv("SLUICE_I");
    found |= getenv("SLUICE_SECRET") != NULL;   /* expect: environment */
    found |= getenv("SLUICE_K") || found;       /* expect: environment */
    found |= getenv("SLUICE_A") || getenv(any); /* expect: environment */
    FILE *file = fopen("/etc/passwd", "r");     /* expect: system */
    return file == NULL ? 0 : found;
}
