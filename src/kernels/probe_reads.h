/* probe_reads.h - the read loops, in vectors of 64 bytes that each file which includes this gets in
 * registers of its own level. */
#ifndef KERNELS_PROBE_READS_H
#define KERNELS_PROBE_READS_H

#include "kernels/probe.h"

typedef uint64_t probe_lanes __attribute__((vector_size(64)));

/* Lines of 64 bytes from a load to its prefetch: 2 KiB, which is about 100 ns at 20 GB/s. */
enum { PROBE_AHEAD = 32 };

static inline uint64_t probe_fold(probe_lanes a, probe_lanes b, probe_lanes c, probe_lanes d) {
    const probe_lanes all = a ^ b ^ c ^ d;
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++) {
        sum ^= all[i];
    }
    return sum;
}

static uint64_t probe_read_forward(const uint8_t *bytes, size_t size) {
    const probe_lanes *p = (const probe_lanes *)(const void *)bytes;
    probe_lanes a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i < size / sizeof *p; i += 4) {
        a ^= p[i];
        b ^= p[i + 1];
        c ^= p[i + 2];
        d ^= p[i + 3];
    }
    return probe_fold(a, b, c, d);
}

/* A prefetch behind the end is none, or of what the next call reads. */
static uint64_t probe_read_prefetch(const uint8_t *bytes, size_t size) {
    const probe_lanes *p = (const probe_lanes *)(const void *)bytes;
    probe_lanes a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i < size / sizeof *p; i += 4) {
        for (size_t k = 0; k < 4; k++) {
            __builtin_prefetch(bytes + (i + k + PROBE_AHEAD) * sizeof *p);
        }
        a ^= p[i];
        b ^= p[i + 1];
        c ^= p[i + 2];
        d ^= p[i + 3];
    }
    return probe_fold(a, b, c, d);
}

static uint64_t probe_read_streams(const uint8_t *bytes, size_t size) {
    const size_t quarter = size / sizeof(probe_lanes) / 4;
    const probe_lanes *p = (const probe_lanes *)(const void *)bytes;
    probe_lanes a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i < quarter; i++) {
        a ^= p[i];
        b ^= p[i + quarter];
        c ^= p[i + 2 * quarter];
        d ^= p[i + 3 * quarter];
    }
    return probe_fold(a, b, c, d);
}

static inline void probe_fill_reads(probe_table *table) {
    table->read[PROBE_READ_FORWARD] = probe_read_forward;
    table->read[PROBE_READ_PREFETCH] = probe_read_prefetch;
    table->read[PROBE_READ_STREAMS] = probe_read_streams;
}

#endif
