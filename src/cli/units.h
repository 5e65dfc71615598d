/* units.h - numbers with the unit that a person would choose. Each writes to `out` and returns it.
 */
#ifndef CLI_UNITS_H
#define CLI_UNITS_H

#include <stdint.h>

/* "812 B", "1.1 MB", "12.1 GB": powers of 1000, as file managers and disks count. */
const char *units_bytes(char out[32], uint64_t bytes);

/* "812 B", "1.1 MiB", "12.1 GiB": powers of 1024, as --memory counts. */
const char *units_binary(char out[32], uint64_t bytes);

/* "7 s", "3 min 20 s", "2 h 5 min" */
const char *units_duration(char out[32], double seconds);

/* "15.2 M", "6.7 B" */
const char *units_count(char out[32], uint64_t count);

#endif
