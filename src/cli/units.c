/* units.c - units.h. */
#include "cli/units.h"

#include <stdio.h>

/* Divides by `base` until below it. */
static const char *scaled(char out[32], uint64_t value, double base, const char *const names[6]) {
    double v = (double)value;
    int step = 0;
    while (v >= base - 0.05 && step < 5) {
        v /= base;
        step++;
    }
    snprintf(out, 32, step == 0 ? "%.0f%s" : "%.1f%s", v, names[step]);
    return out;
}

const char *units_bytes(char out[32], uint64_t bytes) {
    static const char *const names[] = {" B", " kB", " MB", " GB", " TB", " PB"};
    return scaled(out, bytes, 1000, names);
}

const char *units_binary(char out[32], uint64_t bytes) {
    static const char *const names[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
    return scaled(out, bytes, 1024, names);
}

const char *units_count(char out[32], uint64_t count) {
    static const char *const names[] = {"", " K", " M", " B", " T", " Q"};
    return scaled(out, count, 1000, names);
}

const char *units_duration(char out[32], double seconds) {
    /* Beyond a year the number is no forecast any more. */
    const long s = seconds < 31536000.0 ? (long)(seconds + 0.5) : 31536000;
    if (s < 60) {
        snprintf(out, 32, "%ld s", s);
    } else if (s < 3600) {
        snprintf(out, 32, "%ld min %ld s", s / 60, s % 60);
    } else {
        snprintf(out, 32, "%ld h %ld min", s / 3600, s % 3600 / 60);
    }
    return out;
}
