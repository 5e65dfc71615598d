/* probe_reads.h - the read loops, in vectors that a file chooses to suit its level: it defines
 * PROBE_VECTOR, the bytes of a register, and includes this. */
#ifndef KERNELS_PROBE_READS_H
#define KERNELS_PROBE_READS_H

#include "kernels/probe.h"

typedef uint64_t probe_lanes __attribute__((vector_size(PROBE_VECTOR)));

enum {
    PROBE_SUMS = 8,       /* which the smallest set of sixteen registers holds */
    PROBE_LINE = 64,      /* bytes of a cache line */
    PROBE_AHEAD = 2 << 10 /* bytes from a load to its prefetch: 100 ns at 20 GB/s */
};

static inline uint64_t probe_fold(const probe_lanes *sums) {
    uint64_t all = 0;
    for (size_t i = 0; i < PROBE_SUMS; i++) {
        for (size_t k = 0; k < PROBE_VECTOR / sizeof all; k++) {
            all ^= sums[i][k];
        }
    }
    return all;
}

static uint64_t probe_read_forward(const uint8_t *bytes, size_t size) {
    const probe_lanes *p = (const probe_lanes *)(const void *)bytes;
    probe_lanes sums[PROBE_SUMS] = {{0}};
    for (const probe_lanes *const end = p + size / PROBE_VECTOR; p < end; p += PROBE_SUMS) {
#pragma GCC unroll 8
        for (size_t i = 0; i < PROBE_SUMS; i++) {
            sums[i] ^= p[i];
        }
    }
    return probe_fold(sums);
}

/* A prefetch behind the end is none, or of what the next call reads. */
static uint64_t probe_read_prefetch(const uint8_t *bytes, size_t size) {
    const probe_lanes *p = (const probe_lanes *)(const void *)bytes;
    probe_lanes sums[PROBE_SUMS] = {{0}};
    for (const probe_lanes *const end = p + size / PROBE_VECTOR; p < end; p += PROBE_SUMS) {
#pragma GCC unroll 8
        for (size_t at = 0; at < sizeof sums; at += PROBE_LINE) {
            __builtin_prefetch((const uint8_t *)p + at + PROBE_AHEAD);
        }
#pragma GCC unroll 8
        for (size_t i = 0; i < PROBE_SUMS; i++) {
            sums[i] ^= p[i];
        }
    }
    return probe_fold(sums);
}

static uint64_t probe_read_streams(const uint8_t *bytes, size_t size) {
    const size_t quarter = size / PROBE_VECTOR / 4;
    const probe_lanes *p = (const probe_lanes *)(const void *)bytes;
    probe_lanes sums[PROBE_SUMS] = {{0}};
    for (const probe_lanes *const end = p + quarter; p < end; p += 2) {
#pragma GCC unroll 4
        for (size_t stream = 0; stream < 4; stream++) {
            sums[2 * stream] ^= p[stream * quarter];
            sums[2 * stream + 1] ^= p[stream * quarter + 1];
        }
    }
    return probe_fold(sums);
}

static inline void probe_fill_reads(probe_table *table) {
    table->read[PROBE_READ_FORWARD] = probe_read_forward;
    table->read[PROBE_READ_PREFETCH] = probe_read_prefetch;
    table->read[PROBE_READ_STREAMS] = probe_read_streams;
}

#endif
